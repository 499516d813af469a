//! ARCHITECTURE.md's table of kernel features is the one that `lxd doctor` reads.
//!
//! `LXBOX_UPDATE_GOLDEN=1` writes it there anew.

use lxbox::runtime::host::features;

const BEGIN: &str = "<!-- features: written by tests/architecture.rs -->\n";
const END: &str = "<!-- end of features -->";

#[test]
fn the_table_of_kernel_features_is_the_programs_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("no begin of the table");
    let (table, after) = rest.split_once(END).expect("no end of the table");
    let wanted = features::markdown();
    if std::env::var_os("LXBOX_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, wanted, "run this test with LXBOX_UPDATE_GOLDEN=1");
}
