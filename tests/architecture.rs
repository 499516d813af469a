//! ARCHITECTURE.md's table of kernel features is the one that `lxd doctor` reads, each with the test that needs it or that has
//! to do without.
//!
//! `LXBOX_UPDATE_GOLDEN=1` writes it there anew.

mod source;

use lxbox::runtime::host::features;

/// Of each row the test.
const TESTS: &[(&str, &str)] = &[
    ("kernel", "runtime_container/basics.rs: an_overlay_container_lives_and_dies"),
    ("root", "contract/nesting.sh: runs our own daemon, with a guest that is unprivileged in an unprivileged one"),
    ("namespaces", "runtime_container/basics.rs: a_guest_looks_as_under_lxd"),
    ("pidfd", "survival/shim.sh: never runs it twice, however soon it is started again"),
    ("clone3", "runtime_container/basics.rs: a_dir_container_lives_and_dies"),
    ("openat2", "contract/files.sh: keeps inside of the guest, whatever that does meanwhile"),
    ("mount API", "runtime_container/basics.rs: templates_and_devices_are_there_before_init"),
    ("seccomp", "contract/attacks.sh: makes each system call that is denied, by each of the machine's ways in"),
    ("cgroups", "runtime_container/basics.rs: groups_are_emptied_and_removed_with_v1_trees_alone"),
    ("user namespaces", "runtime_container/basics.rs: a_privileged_dir_container_lives_and_dies"),
    ("subordinate ids", "contract/idmaps.sh: shares the host's map by default"),
    ("idmapped mounts", "runtime_container/basics.rs: ids_can_be_shifted_on_disk_instead"),
    ("overlay", "storage/pools.rs: an_overlay_pool_on_an_overlay_is_refused_by_name"),
    ("reflink", "contract/copies.sh: copies an instance with its snapshots"),
    ("memory controller", "contract/limits.sh: limits memory"),
    ("cpu controller", "contract/limits.sh: limits the time on them"),
    ("cpuset controller", "contract/limits.sh: limits the processors"),
    ("pids controller", "contract/limits.sh: limits the number of processes"),
    ("freezer", "runtime_container/basics.rs: a_frozen_guest_does_nothing_until_it_is_thawed"),
    ("device control", "contract/unixdevices.sh: lets a privileged guest use what it was given, and nothing else"),
    ("seccomp notification", "contract/interception.sh: makes the device nodes that harm nobody"),
    ("AppArmor", "contract/apparmor.sh: says when guests aren't confined by it"),
    ("FUSE", "contract/view.sh: shows the memory it may have"),
    ("bridge", "contract/networks.sh: makes a bridge, and chooses its addresses"),
    ("veth", "contract/nics.sh: plugs a cable into a bridge"),
    ("nftables", "contract/filters.sh: drops frames of a foreign hardware address"),
    ("forwarded packets", "contract/bridges.sh: brings guests out in the name of their host"),
    ("inotify instances", "contract/debian.sh: boots with nothing failed"),
];

const BEGIN: &str = "<!-- features: written by tests/architecture.rs -->\n";
const END: &str = "<!-- end of features -->";

#[test]
fn the_table_of_kernel_features_is_the_programs_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("no begin of the table");
    let (table, after) = rest.split_once(END).expect("no end of the table");
    let wanted = with_tests(&features::markdown());
    if std::env::var_os("LXBOX_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, wanted, "run this test with LXBOX_UPDATE_GOLDEN=1");
}

/// Adds a column.
fn with_tests(table: &str) -> String {
    let cell = |line: &str| match line.split(" | ").next().unwrap_or_default().trim_start_matches("| ") {
        "feature" => " test |".to_owned(),
        rule if rule.starts_with("|---") => "---|".to_owned(),
        name => {
            let test = TESTS.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no test of {name}")).1;
            assert!(source::has_test(test), "there is no {test}");
            format!(" `{test}` |")
        }
    };
    table.lines().map(|line| format!("{line}{}\n", cell(line))).collect()
}
