//! Volumes of both drivers: modes, copies, renaming, deletion, locks.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};

use std::time::{Duration, Instant};

use lxbox::error::{Kind, Result};
use lxbox::runtime::storage::{Content, Emptier, Image, Root, Volume, VolumeKind};
use rustix::fs::{AtFlags, FileType, Mode, XattrFlags, makedev, mknodat};

use super::*;

#[test]
fn a_container_looks_as_lxd_makes_it() {
    for (driver, rootfs) in [("dir", "751 12"), ("overlay", "755 0")] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let c1 = container("c1");
        let other = Volume::new(VolumeKind::Container, "pr", "c1").unwrap();
        let custom = Volume::new(VolumeKind::Custom, "default", "v_1").unwrap();
        pool.create_volume(&c1, image("abc")).unwrap();
        pool.create_volume(&other, Content::Empty).unwrap();
        pool.create_volume(&custom, Content::Empty).unwrap();
        let root = dir.0.join("storage-pools/p");
        let lines: Vec<String> =
            as_lxd(&root).into_iter().filter(|l| !l.contains("rootfs/") && !l.contains("pr_c1/")).collect();
        let rootfs = format!("{rootfs} containers/c1/rootfs");
        for line in [
            "100 0 containers/c1",
            "644 0 containers/c1/metadata.yaml",
            "755 0 containers/c1/templates",
            "644 0 containers/c1/templates/hostname.tpl",
            &rootfs,
            "100 0 containers/pr_c1",
            "711 0 custom/default_v_1",
        ] {
            assert!(lines.contains(&line.to_owned()), "{driver}: no {line:?} in {lines:#?}");
        }
        assert_eq!(lines.len(), POOL_AS_LXD_MAKES_IT.len() + 7, "{driver}: {lines:#?}");
        for name in ["c1", "pr_c1"] {
            assert_eq!(fs::read_link(dir.0.join("containers").join(name)).unwrap(), root.join("containers").join(name));
        }
        pool.paths().set_owner(&c1, 100_000).unwrap();
        let meta = fs::metadata(root.join("containers/c1")).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (100_000, 0, 0o100));
        assert_eq!(pool.create_volume(&c1, image("abc")).unwrap_err().kind(), Kind::Exists);
        assert!(root.join("containers/c1/metadata.yaml").exists());
    }
}

#[test]
fn a_volume_without_an_image_is_a_plain_directory() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        pool.create_volume(&container("c1"), Content::Empty).unwrap();
        let Root::Dir { path } = pool.root(&container("c1")).unwrap() else { panic!("{driver}") };
        assert!(path.ends_with("c1/rootfs"), "{path:?}");
        assert_eq!(pool.root(&container("none")).unwrap_err().kind(), Kind::NotFound);
    }
}

#[test]
fn deleting_renames_into_the_trash_and_the_thread_empties_it() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        pool.create_volume(&container("c1"), image("abc")).unwrap();
        pool.settle(&container("c1")).unwrap();
        pool.delete_volume(&container("c1")).unwrap();
        let trash = dir.0.join("storage-pools/p/trash");
        assert!(fs::symlink_metadata(dir.0.join("containers/c1")).is_err());
        assert!(!dir.0.join("storage-pools/p/containers/c1").exists());
        assert_ne!(fs::read_dir(&trash).unwrap().count(), 0);
        pool.delete_volume(&container("c1")).unwrap();
        let emptier = Emptier::start().unwrap();
        emptier.wake(pool.paths().root()).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while fs::read_dir(&trash).unwrap().count() > 0 {
            assert!(Instant::now() < end, "the trash was not emptied");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_mounted_volume_is_not_deleted_renamed_or_copied() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let c1 = container("c1");
        pool.create_volume(&c1, image("abc")).unwrap();
        assert!(!pool.is_locked(&c1).unwrap());
        let lock = open(&pool.lock_path(&c1));
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(pool.is_locked(&c1).unwrap());
        let before = listing(&dir.0);
        assert_eq!(pool.delete_volume(&c1).unwrap_err().kind(), Kind::Busy);
        assert_eq!(pool.rename_volume(&c1, &container("c2")).unwrap_err().kind(), Kind::Busy);
        assert_eq!(pool.copy_volume(&c1, &container("c2"), None).unwrap_err().kind(), Kind::Busy);
        assert_eq!(listing(&dir.0), before);
        drop(lock);
        pool.rename_volume(&c1, &container("c2")).unwrap();
        assert_eq!(pool.is_locked(&c1).unwrap_err().kind(), Kind::NotFound);
    }
}

#[test]
fn renaming_moves_everything_and_refuses_a_taken_name() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let (c1, c2, c3) = (container("c1"), container("c2"), container("c3"));
        for c in [&c1, &c3] {
            pool.create_volume(c, image("abc")).unwrap();
            pool.settle(c).unwrap();
        }
        let before = listing(&dir.0);
        assert_eq!(pool.rename_volume(&c1, &c3).unwrap_err().kind(), Kind::Exists);
        assert_eq!(listing(&dir.0), before);
        pool.rename_volume(&c1, &c2).unwrap();
        pool.settle(&c2).unwrap();
        let renamed: Vec<String> = before.iter().map(|l| l.replace("c1", "c2")).collect();
        let sorted = |lines: Vec<String>| lines.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(sorted(listing(&dir.0)), sorted(renamed));
        assert_eq!(pool.rename_volume(&c1, &c2).unwrap_err().kind(), Kind::NotFound);
        pool.root(&c2).unwrap();
    }
}

#[test]
fn a_copy_in_a_dir_pool_keeps_everything() {
    let dir = Dir::new();
    let pool = pool("dir", &dir.0);
    let (c1, c2) = (container("c1"), container("c2"));
    pool.create_volume(&c1, Content::Image(Image { layer: "abc", unpack: Box::new(unpack_odd_things) })).unwrap();
    pool.copy_volume(&c1, &c2, None).unwrap();
    let root = dir.0.join("storage-pools/p/containers");
    let find = |name: &str| {
        let format = "%P %y %m %U %G %n %s %l %T@\n";
        let mut find = std::process::Command::new("find");
        let out = run(find.arg(root.join(name)).args(["-mindepth", "1", "-printf", format]));
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(find("c1"), find("c2"));
    assert_eq!(find("c2").len(), 13);
    let c2 = root.join("c2/rootfs");
    assert_eq!(fs::metadata(c2.join("one")).unwrap().ino(), fs::metadata(c2.join("deep/two")).unwrap().ino());
    assert!(fs::metadata(c2.join("sparse")).unwrap().blocks() * 512 < 1 << 20);
    assert_eq!(fs::read(c2.join("sparse")).unwrap(), fs::read(root.join("c1/rootfs/sparse")).unwrap());
    assert!(fs::metadata(c2.join("null")).unwrap().file_type().is_char_device());
    let mut value = [0u8; 64];
    let n = rustix::fs::getxattr(c2.join("one"), "user.test", &mut value[..]).unwrap();
    assert_eq!(&value[..n], b"value");
    let n = rustix::fs::lgetxattr(c2.join("link"), "trusted.test", &mut value[..]).unwrap();
    assert_eq!(&value[..n], b"on a link");
    let n = rustix::fs::getxattr(c2.join("setuid"), "security.capability", &mut value[..]).unwrap();
    assert_eq!(&value[..n], CAPABILITY);
    assert_eq!(fs::metadata(c2.join("setuid")).unwrap().mode() & 0o7777, 0o6755);
    assert_eq!(fs::read_dir(dir.0.join("storage-pools/p/trash")).unwrap().count(), 0);
}

/// `cap_net_raw=ep` as `VFS_CAP_REVISION_2` (linux/capability.h).
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn unpack_odd_things(dir: BorrowedFd<'_>) -> Result<()> {
    let path = |p: &str| at(dir, &format!("rootfs/{p}"));
    fs::create_dir_all(path("deep/deeper")).unwrap();
    fs::set_permissions(path("deep/deeper"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(path("one"), "linked").unwrap();
    fs::hard_link(path("one"), path("deep/two")).unwrap();
    rustix::fs::setxattr(path("one"), "user.test", b"value", XattrFlags::empty()).unwrap();
    symlink("/etc/shadow", path("link")).unwrap();
    rustix::fs::lsetxattr(path("link"), "trusted.test", b"on a link", XattrFlags::empty()).unwrap();
    std::os::unix::fs::lchown(path("link"), Some(5), Some(6)).unwrap();
    let mut sparse = fs::File::create(path("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 32 << 20).unwrap();
    sparse.flush().unwrap();
    fs::write(path("setuid"), "x".repeat(300_000)).unwrap();
    std::os::unix::fs::chown(path("setuid"), Some(7), Some(8)).unwrap();
    rustix::fs::setxattr(path("setuid"), "security.capability", CAPABILITY, XattrFlags::empty()).unwrap();
    fs::set_permissions(path("setuid"), fs::Permissions::from_mode(0o6755)).unwrap();
    let root = open(&path(""));
    mknodat(&root, "fifo", FileType::Fifo, Mode::from_raw_mode(0o642), 0).unwrap();
    mknodat(&root, "socket", FileType::Socket, Mode::from_raw_mode(0o600), 0).unwrap();
    mknodat(&root, "null", FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3)).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("name\nwith\u{fffd} odd \\ bytes"), "").unwrap_or_default();
    fs::remove_file(path("name\nwith\u{fffd} odd \\ bytes")).unwrap();
    fs::write(path("..."), "").unwrap();
    let old = rustix::fs::Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
    let times = rustix::fs::Timestamps { last_access: old, last_modification: old };
    for p in ["one", "link", "fifo", "deep/deeper", "deep", "setuid"] {
        rustix::fs::utimensat(&root, p, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    Ok(())
}

fn run(command: &mut std::process::Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}
