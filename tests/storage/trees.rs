//! Removing what a hostile guest left.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use lxbox::error::Kind;
use lxbox::runtime::storage::tree;
use rustix::fs::{CWD, IFlags, Mode, OFlags, RenameFlags};

use super::*;

#[test]
fn removal_follows_no_link_and_takes_off_flags() {
    let dir = Dir::new();
    let outside = dir.0.join("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    let victim = dir.0.join("victim");
    fs::create_dir_all(victim.join("a/b")).unwrap();
    symlink(&outside, victim.join("a/link")).unwrap();
    symlink("../../../outside/sub", victim.join("a/b/up")).unwrap();
    fs::hard_link(outside.join("precious"), victim.join("hard")).unwrap();
    fs::write(victim.join("a/b/immutable"), "x").unwrap();
    for (path, flag) in [("a/b/immutable", IFlags::IMMUTABLE), ("a/b", IFlags::IMMUTABLE), ("a", IFlags::APPEND)] {
        rustix::fs::ioctl_setflags(fs::File::open(victim.join(path)).unwrap(), flag).unwrap();
    }
    tree::remove(open(&dir.0), c"victim").unwrap();
    assert!(!victim.exists());
    assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "x");
    assert!(outside.join("sub").is_dir());
    symlink(&outside, dir.0.join("victim")).unwrap();
    tree::remove(open(&dir.0), c"victim").unwrap();
    assert!(outside.join("precious").exists() && fs::symlink_metadata(&victim).is_err());
    tree::remove(open(&dir.0), c"victim").unwrap();
}

#[test]
fn removal_takes_trees_deeper_than_paths_and_descriptors_go() {
    if !alone("trees::removal_takes_trees_deeper_than_paths_and_descriptors_go") {
        return;
    }
    let few = rustix::process::Rlimit { current: Some(100), maximum: Some(100) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let dir = Dir::new();
    let mut at = open(&dir.0);
    rustix::fs::mkdirat(&at, c"deep", Mode::RWXU).unwrap();
    at = tree::open_dir(&at, c"deep").unwrap();
    for i in 0..3000 {
        rustix::fs::openat(&at, c"file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        // The names that the removal itself uses are taken.
        if i < 3 {
            rustix::fs::mkdirat(&at, c".lxbox-removing-1", Mode::RWXU).unwrap();
        }
        rustix::fs::mkdirat(&at, c"directory", Mode::RWXU).unwrap();
        at = tree::open_dir(&at, c"directory").unwrap();
    }
    tree::remove(open(&dir.0), c"deep").unwrap();
    assert!(!dir.0.join("deep").exists());
}

#[test]
fn removal_takes_wide_trees_and_stops_when_told() {
    let dir = Dir::new();
    let top = open(&dir.0);
    for i in 0..1000 {
        fs::create_dir_all(dir.0.join(format!("wide/{i}/{i}"))).unwrap();
        fs::write(dir.0.join(format!("wide/file{i}")), "").unwrap();
    }
    let stopped = tree::remove_until(&top, c"wide", &AtomicBool::new(true)).unwrap();
    assert_eq!(stopped, tree::Removal::Stopped);
    assert!(dir.0.join("wide").exists());
    tree::remove(&top, c"wide").unwrap();
    assert!(!dir.0.join("wide").exists());
}

#[test]
fn removal_racing_with_a_swapper_never_leaves_the_tree() {
    let dir = Dir::new();
    let outside = dir.0.join("outside");
    fs::create_dir_all(outside.join("x")).unwrap();
    for i in 0..50 {
        fs::write(outside.join(format!("x/{i}")), "").unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Exchanges directories of the tree with links that lead out, as fast as it can.
            while !stop.load(Ordering::Relaxed) {
                for i in 0..20 {
                    let (a, b) = (dir.0.join(format!("victim/{i}")), dir.0.join(format!("victim/link{i}")));
                    let _ = symlink("../outside", &b);
                    let cwd = CWD;
                    let _ = rustix::fs::renameat_with(cwd, &a, cwd, &b, RenameFlags::EXCHANGE);
                }
            }
        });
        for _ in 0..30 {
            for i in 0..20 {
                let _ = fs::create_dir_all(dir.0.join(format!("victim/{i}/x/y")));
            }
            // Whether it wins against a writer that never rests is not the point.
            let _ = tree::remove(open(&dir.0), c"victim");
        }
        stop.store(true, Ordering::Relaxed);
    });
    tree::remove(open(&dir.0), c"victim").unwrap();
    for i in 0..50 {
        assert!(outside.join(format!("x/{i}")).exists());
    }
}

/// Runs this very test again in a process and mount namespace of its own, since it attaches mounts or sets limits.
fn alone(test: &str) -> bool {
    if std::env::var_os("STORAGE_TEST_ALONE").is_some() {
        return true;
    }
    let mut again = std::process::Command::new("unshare");
    again.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    let status = again.args(["--exact", test]).env("STORAGE_TEST_ALONE", "1").status().unwrap();
    assert!(status.success());
    false
}

#[test]
fn removal_and_copy_stop_at_somebodys_mount() {
    if !alone("trees::removal_and_copy_stop_at_somebodys_mount") {
        return;
    }
    let dir = Dir::new();
    let outside = dir.0.join("outside");
    let inside = dir.0.join("victim/a/mounted");
    for d in [&outside, &inside, &dir.0.join("to"), &dir.0.join("links")] {
        fs::create_dir_all(d).unwrap();
    }
    fs::write(outside.join("precious"), "x").unwrap();
    rustix::mount::mount_bind(&outside, &inside).unwrap();
    let error = tree::remove(open(&dir.0), c"victim").unwrap_err();
    assert_eq!(error.kind(), Kind::Busy, "{error}");
    let open_in = |d: &str| open(&dir.0.join(d));
    tree::copy(open_in("victim"), open_in("to"), open_in("links")).unwrap_err();
    assert!(outside.join("precious").exists() && !dir.0.join("to/a/mounted/precious").exists());
    rustix::mount::unmount(&inside, rustix::mount::UnmountFlags::DETACH).unwrap();
    tree::remove(open(&dir.0), c"victim").unwrap();
    assert!(outside.join("precious").exists());
}
