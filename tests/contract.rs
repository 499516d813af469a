//! Every script of `tests/contract` as a test of its own: each runs beside a fresh daemon in its own namespaces.
//!
//! `LXBOX_BIN` says what is tested: a file, `oracle` for the real LXD 5.0.2, by default the static build for tests.
//! Without root there is nothing to run containers with: `packaging/test` says so, and these fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs one script and shows what it said when it fails.
fn script(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/tools/with-daemon"))
        .arg(root.join("tests/contract").join(format!("{name}.sh")))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}\n{complained}", output.status);
}

/// One test a script, and the list of them.
macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test] fn $name() { script(stringify!($name)) })*
        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];
    };
}

scripts! {
    server https events operations profiles images sources proxies publish security idmaps interception storage host networks
    netkeys acls zones transfer instances lifecycle exec files sftp mounts metadata devlxd console limits view
    unixdevices nvidia forwards natproxies disks nics filters routed leases bridges debian snapshots copies unharmed backups
    cloudinit schedules sql nesting attacks apparmor quotas
}

#[test]
fn every_script_is_run() {
    let mut found: Vec<String> = paths().iter().map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let mut known: Vec<String> = SCRIPTS.iter().map(|s| s.to_string()).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

/// What guests may not call by default, each tried by `attacks.sh`.
#[test]
fn every_denied_system_call_is_tried() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/attacks.sh")).unwrap();
    let list = text.split_once("denied='").and_then(|(_, rest)| rest.split_once('\'')).unwrap().0;
    let tried: Vec<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    let denied: Vec<String> =
        lxbox::runtime::spec::syscalls::Policy::usual().rules.into_iter().map(|rule| rule.name).collect();
    assert_eq!(tried, denied);
}

/// Cases of `netkeys.sh` begin with `key NAME…`.
#[test]
fn every_key_of_a_bridge_has_a_case() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/netkeys.sh");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("key "))
        .flat_map(|names| names.split_whitespace().map(|name| name.trim_matches('\'')))
        .collect();
    let bridge = lxbox::api::config::entities().into_iter().find(|e| e.name == "network-bridge").unwrap();
    let keys = bridge.keys.into_iter().map(|row| row.name);
    let missing: Vec<&str> = keys.filter(|key| !cases.contains(key)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

fn paths() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract");
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|p| p.extension().is_some_and(|e| e == "sh")).collect()
}
