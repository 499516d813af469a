//! Debian 12 with systemd as process 1. Its image comes from `LXBOX_TEST_DEBIAN` or the tests' cache; without one there is nothing to test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lxbox::runtime::instances::container::{Ended, forget};

use crate::host::{Host, Kind, run, sh};

fn image() -> Option<PathBuf> {
    let path = std::env::var_os("LXBOX_TEST_DEBIAN")
        .map_or_else(|| "/var/tmp/lxbox-cache/debian12.tar.xz".into(), PathBuf::from);
    path.exists().then_some(path)
}

fn unpack(image: &Path, host: &Host) {
    let status = Command::new("tar")
        .args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-C"])
        .arg(&host.dir)
        .arg("-xf")
        .arg(image)
        .status()
        .unwrap();
    assert!(status.success());
}

async fn boots(name: &str, kind: Kind, privileged: bool) {
    let Some(image) = image() else {
        eprintln!("no Debian image: nothing tested");
        return;
    };
    let host = Host::new(name);
    unpack(&image, &host);
    let spec = if privileged { host.privileged(kind) } else { host.spec(kind) };
    let running = host.start(&spec).await;
    let begin = Instant::now();
    let mut state = String::new();
    while begin.elapsed() < Duration::from_secs(90) {
        state = sh(&running, "systemctl is-system-running").await;
        if ["running\n", "degraded\n"].contains(&state.as_str()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{name}: {state:?} after {:?}", begin.elapsed());
    assert_eq!(state, "running\n", "{}", sh(&running, "systemctl --failed --no-legend; systemctl list-jobs").await);
    println!("{:?}", running.usage());
    assert_eq!(run(&running, &["hostname"]).await.1, "guest\n");
    running.stop_signal().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), running.wait_exit()).await.unwrap().unwrap();
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    forget(&host.dirs()).await.unwrap();
    assert_eq!(host.litter(), Vec::<String>::new());
}

#[tokio::test]
async fn debian_boots_in_an_overlay() {
    boots("debovl", Kind::Overlay, false).await;
}

#[tokio::test]
async fn debian_boots_in_a_directory() {
    boots("debdir", Kind::Dir, false).await;
}

#[tokio::test]
async fn debian_boots_privileged() {
    boots("debpriv", Kind::Overlay, true).await;
}
