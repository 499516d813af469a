//! Pools: layout, sources, names, usage.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use lxbox::error::Kind;
use lxbox::runtime::storage::{Content, PoolPaths, Volume, VolumeKind, check_update, open_driver, supported};

use super::*;

#[test]
fn a_pool_has_lxds_directories_and_modes() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let root = dir.0.join("storage-pools/p");
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o7777, 0o711);
        assert_eq!(as_lxd(&root), POOL_AS_LXD_MAKES_IT, "{driver}");
        for private in ["trash", "pending"] {
            assert_eq!(fs::metadata(root.join(private)).unwrap().mode() & 0o7777, 0o700);
        }
        assert_eq!(pool.paths().source(), root.to_str().unwrap());
        assert_eq!(open_driver(driver, pool.paths()).unwrap().create().unwrap_err().kind(), Kind::Exists);
        pool.check().unwrap();
        pool.delete().unwrap();
        assert!(!root.exists());
        pool.delete().unwrap();
        assert_eq!(pool.check().unwrap_err().kind(), Kind::Unavailable);
    }
}

#[test]
fn a_source_is_checked_with_lxds_texts() {
    let dir = Dir::new();
    let make = |name: &str, source: &Path| {
        let paths = PoolPaths::new(&dir.0, name, &config(Some(source))).unwrap();
        open_driver("dir", &paths).unwrap().create()
    };
    let other = Dir::new();
    let full = other.0.join("full");
    fs::create_dir_all(full.join("images")).unwrap();
    fs::write(other.0.join("file"), "").unwrap();
    symlink(&dir.0, other.0.join("link")).unwrap();
    fs::create_dir(dir.0.join("foo")).unwrap();
    for (source, text) in [
        (PathBuf::from("/nonexistent/x"), "doesn't exist"),
        ("relative/x".into(), "doesn't exist"),
        (full.join("../empty/../full"), "doesn't exist"),
        (full.clone(), "isn't empty"),
        (other.0.join("file"), "isn't a directory"),
        (dir.0.join("foo"), "is within the LXD directory"),
        (other.0.join("link/foo"), "is within the LXD directory"),
    ] {
        let error = make("p1", &source).unwrap_err();
        assert_eq!(error.message(), format!("Source path '{}' {text}", source.display()));
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(fs::symlink_metadata(dir.0.join("storage-pools/p1")).is_err());
    }
    // What a deletion after such a refusal finds there isn't ours.
    let refused = PoolPaths::new(&dir.0, "p1", &config(Some(&full))).unwrap();
    open_driver("dir", &refused).unwrap().delete().unwrap();
    assert!(full.join("images").exists());
    make("p4", &dir.0.join("storage-pools/p4")).unwrap();
    assert!(dir.0.join("storage-pools/p4/containers").is_dir());
}

#[test]
fn a_pool_with_a_source_lives_there_and_leaves_it_empty() {
    for driver in ["dir", "overlay"] {
        let (dir, other) = (Dir::new(), Dir::new());
        let source = other.0.join("source");
        fs::create_dir(&source).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
        let paths = PoolPaths::new(&dir.0, "p", &config(Some(&source))).unwrap();
        let pool = open_driver(driver, &paths).unwrap();
        pool.create().unwrap();
        pool.create_volume(&container("c1"), image("abc")).unwrap();
        assert!(source.join("containers/c1/metadata.yaml").exists());
        assert!(dir.0.join("containers/c1/metadata.yaml").exists(), "reached as tools reach it");
        assert_eq!(fs::metadata(&source).unwrap().mode() & 0o7777, 0o755, "as LXD leaves it");
        pool.delete_volume(&container("c1")).unwrap();
        pool.delete().unwrap();
        assert_eq!(listing(&source), Vec::<String>::new());
        assert!(fs::symlink_metadata(dir.0.join("storage-pools/p")).is_err());
        fs::remove_dir(&source).unwrap();
        assert_eq!(pool.check().unwrap_err().kind(), Kind::Unavailable);
    }
}

#[test]
fn names_and_drivers_are_checked() {
    for bad in ["", "..", ".x", "a\0b"] {
        assert_eq!(PoolPaths::new(Path::new("/x"), bad, &config(None)).unwrap_err().kind(), Kind::Invalid, "{bad:?}");
    }
    let slash = PoolPaths::new(Path::new("/x"), "a/b", &config(None)).unwrap_err();
    assert_eq!(slash.message(), "Storage pool names may not contain slashes");
    let paths = PoolPaths::new(Path::new("/x"), "p", &config(None)).unwrap();
    let error = |driver| open_driver(driver, &paths).map(|_| ()).unwrap_err();
    assert_eq!(error("nodrv").message(), "Unknown driver");
    assert_eq!(error("zfs").kind(), Kind::Unsupported);
    assert_eq!(
        supported(std::path::Path::new("/var/tmp")).iter().map(|d| d.name).collect::<Vec<_>>(),
        ["dir", "overlay"]
    );
    let (old, new) = (config(Some(Path::new("/a"))), config(None));
    assert_eq!(
        check_update(&old, &new).unwrap_err().message(),
        "Pool source cannot be changed when not in pending state"
    );
    let mut more = old.clone();
    more.insert("user.x".into(), "1".into());
    check_update(&old, &more).unwrap();
    let vm = Volume::new(VolumeKind::VirtualMachine, "default", "v").unwrap();
    let dir = Dir::new();
    assert_eq!(pool("dir", &dir.0).create_volume(&vm, Content::Empty).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn usage_is_that_of_the_file_system() {
    let tmpfs = mount("tmpfs", &[("size", "4m"), ("nr_inodes", "1000")]);
    let top = at(tmpfs.as_fd(), "");
    lxd_dir(&top);
    let pool = pool("dir", &top);
    let before = pool.paths().usage().unwrap();
    assert_eq!((before.space.total, before.inodes.total), (4 << 20, 1000));
    fs::write(top.join("file"), vec![1u8; 1 << 20]).unwrap();
    let after = pool.paths().usage().unwrap();
    assert_eq!(after.space.used - before.space.used, 1 << 20);
    assert_eq!(after.inodes.used - before.inodes.used, 1);
}

#[test]
fn an_overlay_pool_on_an_overlay_is_refused_by_name() {
    let dir = Dir::new();
    for d in ["lower", "upper", "work"] {
        fs::create_dir(dir.0.join(d)).unwrap();
    }
    let path = |d: &str| dir.0.join(d).to_str().unwrap().to_owned();
    let (lower, upper, work) = (path("lower"), path("upper"), path("work"));
    let mounted = mount("overlay", &[("lowerdir", &lower), ("upperdir", &upper), ("workdir", &work)]);
    let top = at(mounted.as_fd(), "");
    lxd_dir(&top);
    let before = listing(&top);
    let paths = PoolPaths::new(&top, "p", &config(None)).unwrap();
    let error = open_driver("overlay", &paths).unwrap().create().unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.message().contains("overlay file system itself"), "{error}");
    assert_eq!(listing(&top), before);
    open_driver("dir", &paths).unwrap().create().unwrap();
}
