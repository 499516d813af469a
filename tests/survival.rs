//! Survival: daemons, shims and guests that die at any moment, operations against each other, full disks, bad clients.
//!
//! Each test runs one script of `tests/survival/` beside a fresh lxbox (`tests/tools/with-daemon`). They are about our
//! processes and files, so there is no oracle. Without root there is nothing to run containers with: they fail then.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs one script beside so many daemons, with this driver of the pool, and shows what it said when it fails.
fn script(name: &str, daemons: &str, pool: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/tools/with-daemon"))
        .args(["-n", daemons])
        .arg(folder().join(format!("{name}.sh")))
        .env("LXBOX_POOL", pool)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}\n{complained}", output.status);
}

/// Tests: a name, its script, and how it is run.
macro_rules! scripts {
    ($($name:ident: $script:literal $daemons:literal $pool:literal)*) => {
        $(#[test] fn $name() { script($script, $daemons, $pool) })*
        const SCRIPTS: &[&str] = &[$($script),*];
    };
}

scripts! {
    guests_outlive_the_daemon: "adoption" "1" "dir"
    guests_do_not_outlive_their_shim: "shim" "1" "dir"
    guests_reboot_and_power_off: "reboot" "1" "dir"
    intercepted_calls_are_answered: "interception" "1" "dir"
    crashes_leave_nothing_in_a_dir_pool: "crash" "1" "dir"
    crashes_leave_nothing_in_an_overlay_pool: "crash" "1" "overlay"
    clients_hang_up_and_flood: "clients" "1" "dir"
    full_disks_are_told: "full" "1" "dir"
    pairs_of_operations_end: "pairs" "1" "overlay"
    profile_changes_reach_hundreds: "fanout" "1" "dir"
    network_devices_outlive_the_daemon: "nics" "1" "dir"
    infiniband_outlives_the_daemon: "infiniband" "1" "dir"
    tpms_keep_what_they_know_in_a_dir_pool: "tpm" "1" "dir"
    tpms_keep_what_they_know_in_an_overlay_pool: "tpm" "1" "overlay"
    networks_serve_without_the_daemon: "names" "1" "dir"
    the_host_goes_down: "shutdown" "1" "dir"
    two_daemons_share_a_host: "two" "2" "dir"
    ids_are_shifted_on_disk: "idmaps" "1" "dir"
    guests_go_on_seeing_their_share: "view" "1" "dir"
    a_lost_database_is_recovered: "recover" "1" "overlay"
}

#[test]
fn every_script_is_run() {
    let all = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let scripts = all.filter(|p| p.extension().is_some_and(|e| e == "sh"));
    let mut found: Vec<String> = scripts.map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let mut known: Vec<String> = SCRIPTS.iter().map(|s| s.to_string()).collect();
    found.sort();
    known.sort();
    known.dedup();
    assert_eq!(found, known);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/survival")
}
