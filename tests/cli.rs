//! Our client beside the stock one: both drive the same fresh daemon, and must print the same.

use std::path::Path;
use std::process::{Command, Stdio};

/// `tests/cli_parity.sh` with the file that is tested; both clients must be there, as `packaging/test` sees to.
#[test]
fn our_client_prints_what_the_stock_one_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = std::env::var("LXBOX_BIN").unwrap_or_else(|_| "target/dist-test/lxbox".to_owned());
    let output = Command::new(root.join("tests/tools/with-daemon"))
        .arg(root.join("tests/cli_parity.sh"))
        .arg(root.join(ours))
        .arg("/usr/bin/lxc")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
}
