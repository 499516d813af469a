//! Backups and images that go from one daemon to another come out as they were: between ours on each pool driver, and to the
//! installed LXD 5.0.2 and back, where there is one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The daemon that `LXBOX_BIN` names, or the static build for tests.
const OURS: &str = "ours";
/// The real LXD 5.0.2.
const ORACLE: &str = "oracle";

/// A directory that the runs share, removed with everything in it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a script beside a daemon: ours or the oracle, and the driver of its pool.
fn beside((daemon, pool): (&str, &str), script: &str, directory: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("tests/tools/with-daemon"));
    command.arg(root.join("tests/exchange").join(script)).arg(directory).env("LXBOX_POOL", pool).stdin(Stdio::null());
    if daemon == ORACLE {
        command.env("LXBOX_BIN", ORACLE);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} beside {daemon}, {pool}: {}\n{said}\n{complained}", output.status);
}

/// Whether the real LXD is installed, as it has to be unless the one who runs this says otherwise.
fn oracle() -> bool {
    let there = Path::new("/usr/bin/lxd").exists();
    assert!(there || std::env::var("LXBOX_WITHOUT_LXD").is_ok_and(|without| without == "1"), "no LXD is installed");
    there
}

fn exchange(from: (&str, &str), to: (&str, &str)) {
    let name = format!("exchange-{}-{}-{}-{}", from.0, from.1, to.0, to.1);
    // One that was killed has left its own.
    let scratch = Scratch(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    let _ = std::fs::remove_dir_all(&scratch.0);
    std::fs::create_dir(&scratch.0).unwrap();
    beside(from, "give.sh", &scratch.0);
    beside(to, "take.sh", &scratch.0);
}

#[test]
fn an_overlay_pool_takes_what_a_dir_pool_gave() {
    exchange((OURS, "dir"), (OURS, "overlay"));
}

#[test]
fn a_dir_pool_takes_what_an_overlay_pool_gave() {
    exchange((OURS, "overlay"), (OURS, "dir"));
}

#[test]
fn lxd_takes_what_we_gave_and_we_take_what_it_gave() {
    if oracle() {
        exchange((OURS, "overlay"), (ORACLE, "dir"));
        exchange((ORACLE, "dir"), (OURS, "overlay"));
    }
}

#[test]
fn images_are_copied_between_servers() {
    beside((OURS, "overlay"), "copy.sh", Path::new("lxd"));
}

#[test]
fn images_are_copied_between_us_and_lxd() {
    if oracle() {
        beside((OURS, "overlay"), "copy.sh", Path::new("/usr/bin/lxd"));
    }
}
