//! Storage pools on real file systems: layouts, crashes, full disks, hostile trees. Needs root.
//!
//! Mounts made here are detached, reached through their descriptor, and gone with it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lxbox::api::types::ConfigMap;
use lxbox::error::{Error, Kind, Result};
use lxbox::runtime::storage::{
    Content, Driver, Emptier, Found, Image, PoolPaths, Root, Volume, VolumeKind, check_update, empty_trash,
    open_driver, supported, tree,
};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// A daemon's directory, removed at the end by the code under test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        let mut bytes = [0u8; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
        let dir = Dir(std::env::temp_dir().join(format!("storage-test.{}", u64::from_ne_bytes(bytes))));
        lxd_dir(&dir.0);
        dir
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let parent = fs::File::open(self.0.parent().unwrap()).unwrap();
        tree::remove(&parent, &name(self.0.file_name().unwrap().to_str().unwrap())).unwrap();
    }
}

fn lxd_dir(path: &Path) {
    for dir in ["storage-pools", "containers", "virtual-machines"] {
        fs::create_dir_all(path.join(dir)).unwrap();
    }
}

fn name(name: &str) -> std::ffi::CString {
    std::ffi::CString::new(name).unwrap()
}

fn config(source: Option<&Path>) -> ConfigMap {
    source.map(|s| ("source".to_owned(), s.to_str().unwrap().to_owned())).into_iter().collect()
}

fn pool(driver: &str, lxd_dir: &Path) -> Box<dyn Driver> {
    let pool = open_driver(driver, &PoolPaths::new(lxd_dir, "p", &config(None)).unwrap()).unwrap();
    pool.create().unwrap();
    pool
}

fn container(name: &str) -> Volume {
    Volume::new(VolumeKind::Container, "default", name).unwrap()
}

fn at(dir: BorrowedFd<'_>, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{path}", dir.as_raw_fd()))
}

/// What an unpacker leaves: metadata, templates, and a root with a mode and owner of its own.
fn unpack(dir: BorrowedFd<'_>) -> Result<()> {
    fs::write(at(dir, "metadata.yaml"), "architecture: x86_64\n").unwrap();
    fs::create_dir(at(dir, "templates")).unwrap();
    fs::write(at(dir, "templates/hostname.tpl"), "{{ container.name }}\n").unwrap();
    fs::create_dir_all(at(dir, "rootfs/etc")).unwrap();
    fs::create_dir_all(at(dir, "rootfs/usr/share")).unwrap();
    fs::write(at(dir, "rootfs/etc/passwd"), "root\n").unwrap();
    fs::set_permissions(at(dir, "rootfs"), fs::Permissions::from_mode(0o751)).unwrap();
    std::os::unix::fs::chown(at(dir, "rootfs"), Some(12), Some(13)).unwrap();
    fs::set_permissions(at(dir, "."), fs::Permissions::from_mode(0o777)).unwrap();
    Ok(())
}

fn image<'a>(layer: &'a str) -> Content<'a> {
    Content::Image(Image { layer, unpack: Box::new(unpack) })
}

/// Mode, owner and relative path of everything, links with their targets: `find -printf '%m %U %P %l'`.
fn listing(top: &Path) -> Vec<String> {
    fn walk(top: &Path, dir: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let target = fs::read_link(&path).map(|t| format!(" -> {}", t.display())).unwrap_or_default();
            let shown = path.strip_prefix(top).unwrap().display();
            lines.push(format!("{:o} {} {shown}{target}", meta.mode() & 0o7777, meta.uid()));
            if meta.is_dir() {
                walk(top, &path, lines);
            }
        }
    }
    let mut lines = Vec::new();
    walk(top, top, &mut lines);
    lines.sort_by(|a, b| a.split(' ').nth(2).cmp(&b.split(' ').nth(2)));
    lines
}

/// The same without what only we have.
fn as_lxd(top: &Path) -> Vec<String> {
    let ours = [" trash", " pending", " overlay"];
    listing(top).into_iter().filter(|line| !ours.iter().any(|o| line.contains(o))).collect()
}

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// A detached file system of its own.
fn mount(kind: &str, options: &[(&str, &str)]) -> OwnedFd {
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(fs.as_fd(), *key, *value).unwrap();
    }
    rustix::mount::fsconfig_create(fs.as_fd()).unwrap();
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap()
}

/// What the shim does, without ids mapped.
fn mount_root(root: &Root) -> OwnedFd {
    let Root::Overlay { lowers, upper, work } = root else { panic!("{root:?} is no overlay") };
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    let keep: Vec<OwnedFd> = lowers.iter().chain([upper, work]).map(|p| open(p)).collect();
    let by_fd: Vec<String> = keep.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd())).collect();
    let (lowers, own) = by_fd.split_at(lowers.len());
    for lower in lowers {
        rustix::mount::fsconfig_set_string(fs.as_fd(), "lowerdir+", lower).unwrap();
    }
    for (key, value) in [
        ("upperdir", own[0].as_str()),
        ("workdir", &own[1]),
        ("redirect_dir", "on"),
        ("metacopy", "off"),
        ("index", "off"),
    ] {
        rustix::mount::fsconfig_set_string(fs.as_fd(), key, value).unwrap();
    }
    rustix::mount::fsconfig_create(fs.as_fd()).unwrap();
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap()
}

const POOL_AS_LXD_MAKES_IT: [&str; 8] = [
    "711 0 buckets",
    "711 0 containers",
    "711 0 containers-snapshots",
    "700 0 custom",
    "700 0 custom-snapshots",
    "700 0 images",
    "700 0 virtual-machines",
    "700 0 virtual-machines-snapshots",
];

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
fn guests_files_of_an_overlay_pool_are_below_a_private_directory() {
    let dir = Dir::new();
    let pool = pool("overlay", &dir.0);
    pool.create_volume(&container("c1"), image("abc")).unwrap();
    let root = dir.0.join("storage-pools/p");
    for path in ["overlay", "overlay/layers", "overlay/uppers", "overlay/layers/abc", "overlay/uppers/c1", "trash"] {
        assert_eq!(fs::metadata(root.join(path)).unwrap().mode() & 0o7777, 0o700, "{path}");
    }
    let upper = fs::metadata(root.join("overlay/uppers/c1/rootfs")).unwrap();
    assert_eq!((upper.mode() & 0o7777, upper.uid(), upper.gid()), (0o751, 12, 13), "the mount's root is the upper's");
}

#[test]
fn an_overlay_root_mounts_and_shows_the_image_and_the_changes() {
    let dir = Dir::new();
    let pool = pool("overlay", &dir.0);
    let c1 = container("c1");
    pool.create_volume(&c1, image("abc")).unwrap();
    let root = pool.root(&c1).unwrap();
    let mounted = mount_root(&root);
    let top = at(mounted.as_fd(), "");
    assert_eq!(fs::read_to_string(top.join("etc/passwd")).unwrap(), "root\n");
    fs::rename(top.join("usr/share"), top.join("usr/moved")).unwrap();
    fs::write(top.join("etc/passwd"), "changed\n").unwrap();
    drop(mounted);
    let layer = dir.0.join("storage-pools/p/overlay/layers/abc/rootfs/etc/passwd");
    assert_eq!(fs::read_to_string(layer).unwrap(), "root\n");
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
    assert_eq!(supported().iter().map(|d| d.name).collect::<Vec<_>>(), ["dir", "overlay"]);
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
fn concurrent_launches_unpack_an_image_once() {
    let dir = Dir::new();
    let pool: Arc<dyn Driver> = Arc::from(pool("overlay", &dir.0));
    let unpacked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for i in 0..20 {
            let (pool, unpacked) = (Arc::clone(&pool), &unpacked);
            scope.spawn(move || {
                let once = |fd: BorrowedFd<'_>| {
                    unpacked.fetch_add(1, Ordering::SeqCst);
                    // Long enough for all to arrive; the outcome doesn't depend on it.
                    std::thread::sleep(Duration::from_millis(100));
                    unpack(fd)
                };
                let image = Image { layer: "abc", unpack: Box::new(once) };
                pool.create_volume(&container(&format!("c{i}")), Content::Image(image)).unwrap();
            });
        }
    });
    assert_eq!(unpacked.load(Ordering::SeqCst), 1);
    assert_eq!(fs::read_dir(dir.0.join("storage-pools/p/overlay/layers")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(dir.0.join("containers")).unwrap().count(), 20);
}

#[test]
fn a_failed_unpacking_leaves_nothing_and_the_next_one_tries_again() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let before = listing(&dir.0);
        for panics in [false, true] {
            let bad = Image {
                layer: "abc",
                unpack: Box::new(move |fd| {
                    unpack(fd).unwrap();
                    assert!(!panics, "an unpacker's bug");
                    Err(Error::invalid("Bad image"))
                }),
            };
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.create_volume(&container("c1"), Content::Image(bad))
            }));
            if panics {
                assert!(made.is_err());
                let found = pool.reconcile(&[]).unwrap();
                assert!(found.unknown.is_empty() && found.missing.is_empty(), "{found:?}");
                empty_trash(&pool.paths().root(), &AtomicBool::new(false)).unwrap();
            } else {
                assert_eq!(made.unwrap().unwrap_err().message(), "Bad image");
            }
            assert_eq!(listing(&dir.0), before, "{driver}");
        }
        let without_root = Image { layer: "abc", unpack: Box::new(|_| Ok(())) };
        let error = pool.create_volume(&container("c1"), Content::Image(without_root)).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(listing(&dir.0), before, "{driver}");
        pool.create_volume(&container("c1"), image("abc")).unwrap();
    }
}

#[test]
fn a_full_disk_is_said_clearly_and_leaves_nothing() {
    for driver in ["dir", "overlay"] {
        let tmpfs = mount("tmpfs", &[("size", "2m")]);
        let top = at(tmpfs.as_fd(), "");
        lxd_dir(&top);
        let pool = pool(driver, &top);
        let before = (listing(&top), pool.paths().usage().unwrap().space.used);
        let large = Image {
            layer: "abc",
            unpack: Box::new(|fd| {
                unpack(fd)?;
                let mut file = fs::File::create(at(fd, "rootfs/large")).unwrap();
                use lxbox::error::Ctx;
                file.write_all(&vec![1u8; 3 << 20]).ctx(Kind::Internal, || "Failed writing \"rootfs/large\"")
            }),
        };
        let error = pool.create_volume(&container("c1"), Content::Image(large)).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.message().contains("No space left"), "{error}");
        assert_eq!((listing(&top), pool.paths().usage().unwrap().space.used), before, "{driver}");
        pool.create_volume(&container("c1"), image("abc")).unwrap();
    }
}

#[test]
fn no_inode_left_at_any_step_of_a_creation_leaves_nothing() {
    for driver in ["dir", "overlay"] {
        let mut worked = false;
        for inodes in 24..80 {
            let tmpfs = mount("tmpfs", &[("nr_inodes", &inodes.to_string())]);
            let top = at(tmpfs.as_fd(), "");
            lxd_dir(&top);
            let paths = PoolPaths::new(&top, "p", &config(None)).unwrap();
            let pool = open_driver(driver, &paths).unwrap();
            let empty = listing(&top);
            if let Err(e) = pool.create() {
                assert_eq!(e.kind(), Kind::Unavailable, "{e}");
                assert_eq!(listing(&top), empty, "{driver} {inodes}");
                continue;
            }
            let before = listing(&top);
            let careful = Image { layer: "abc", unpack: Box::new(unpack_carefully) };
            match pool.create_volume(&container("c1"), Content::Image(careful)) {
                Ok(()) => {
                    worked = true;
                    break;
                }
                Err(e) => {
                    assert_eq!(e.kind(), Kind::Unavailable, "{driver} {inodes}: {e}");
                    let now: Vec<_> = listing(&top).into_iter().filter(|l| !l.contains("/layers/")).collect();
                    assert_eq!(now, before, "{driver} {inodes}: {e}");
                }
            }
        }
        assert!(worked, "{driver}");
    }
}

fn unpack_carefully(dir: BorrowedFd<'_>) -> Result<()> {
    use lxbox::error::Ctx;
    let what = || "Failed unpacking";
    fs::create_dir(at(dir, "rootfs")).ctx(Kind::Internal, what)?;
    fs::create_dir(at(dir, "templates")).ctx(Kind::Internal, what)?;
    fs::write(at(dir, "templates/a"), "a").ctx(Kind::Internal, what)?;
    fs::write(at(dir, "metadata.yaml"), "a").ctx(Kind::Internal, what)
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
        assert_eq!(pool.copy_volume(&c1, &container("c2")).unwrap_err().kind(), Kind::Busy);
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
fn a_crash_before_the_record_discards_a_creation_and_mends_a_renaming() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let (kept, new, old, forgotten) =
            (container("kept"), container("new"), container("old"), container("forgotten"));
        for c in [&kept, &old, &forgotten] {
            pool.create_volume(c, image("abc")).unwrap();
            pool.settle(c).unwrap();
        }
        pool.create_volume(&container("half"), image("abc")).unwrap();
        pool.rename_volume(&old, &new).unwrap();
        drop(pool);
        let pool = open_driver(driver, &PoolPaths::new(&dir.0, "p", &config(None)).unwrap()).unwrap();
        let gone = container("gone");
        let found = pool.reconcile(&[kept.clone(), old.clone(), gone.clone()]).unwrap();
        let expected = Found {
            discarded: vec![container("half")],
            renamed: vec![old.clone()],
            unknown: vec![forgotten.clone()],
            missing: vec![gone],
        };
        assert_eq!(found, expected, "{driver}");
        pool.root(&old).unwrap();
        pool.root(&forgotten).unwrap();
        let links: BTreeSet<_> = fs::read_dir(dir.0.join("containers"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(links, BTreeSet::from(["kept".to_owned(), "old".to_owned()]));
        let again = pool.reconcile(&[kept, old, forgotten]).unwrap();
        assert_eq!(again, Found::default());
        assert_eq!(fs::read_dir(dir.0.join("storage-pools/p/pending")).unwrap().count(), 0);
    }
}

#[test]
fn a_renaming_cut_between_the_parts_of_a_volume_is_mended_either_way() {
    for known in ["a", "b"] {
        let dir = Dir::new();
        let pool = pool("overlay", &dir.0);
        pool.create_volume(&container("a"), image("abc")).unwrap();
        pool.settle(&container("a")).unwrap();
        let root = dir.0.join("storage-pools/p");
        symlink("containers:a", root.join("pending/rename.containers:b")).unwrap();
        fs::rename(root.join("overlay/uppers/a"), root.join("overlay/uppers/b")).unwrap();
        let found = pool.reconcile(&[container(known)]).unwrap();
        assert_eq!(found, Found { renamed: vec![container(known)], ..Found::default() });
        pool.root(&container(known)).unwrap();
    }
}

#[test]
fn layers_being_made_in_a_crash_are_swept_at_start() {
    let dir = Dir::new();
    let pool = pool("overlay", &dir.0);
    let half = dir.0.join("storage-pools/p/overlay/layers/.abc.0123");
    fs::create_dir_all(half.join("rootfs/etc")).unwrap();
    pool.reconcile(&[]).unwrap();
    assert!(!half.exists());
    assert!(!pool.layered().unwrap().has("abc").unwrap());
}

#[test]
fn layers_stay_as_long_as_something_stands_on_them() {
    let dir = Dir::new();
    let pool = pool("overlay", &dir.0);
    let layered = pool.layered().unwrap();
    for layer in ["used", "kept", "unused"] {
        layered.prepare(Image { layer, unpack: Box::new(unpack) }).unwrap();
    }
    pool.create_volume(&container("c1"), image("used")).unwrap();
    assert_eq!(layered.layers(&container("c1")).unwrap(), ["used"]);
    let keep = BTreeSet::from(["kept".to_owned()]);
    assert_eq!(layered.sweep(&keep).unwrap(), ["unused"]);
    assert!(layered.has("used").unwrap() && layered.has("kept").unwrap() && !layered.has("unused").unwrap());
    pool.copy_volume(&container("c1"), &container("c2")).unwrap();
    pool.delete_volume(&container("c1")).unwrap();
    assert_eq!(layered.sweep(&keep).unwrap(), Vec::<String>::new());
    pool.delete_volume(&container("c2")).unwrap();
    assert_eq!(layered.sweep(&BTreeSet::new()).unwrap().len(), 2);
}

#[test]
fn a_copy_has_what_the_stopped_container_had_and_goes_its_own_way() {
    let dir = Dir::new();
    let pool = pool("overlay", &dir.0);
    let (c1, c2) = (container("c1"), container("c2"));
    pool.create_volume(&c1, image("abc")).unwrap();
    let mounted = mount_root(&pool.root(&c1).unwrap());
    let top = at(mounted.as_fd(), "");
    fs::write(top.join("etc/own"), "c1").unwrap();
    fs::remove_file(top.join("etc/passwd")).unwrap();
    fs::rename(top.join("usr/share"), top.join("usr/moved")).unwrap();
    drop(mounted);
    pool.copy_volume(&c1, &c2).unwrap();
    let layered = pool.layered().unwrap();
    assert_eq!(layered.layers(&c1).unwrap().len(), 2);
    assert_eq!(layered.layers(&c1).unwrap(), layered.layers(&c2).unwrap());
    let write = |volume: &Volume, text: &str| {
        let mounted = mount_root(&pool.root(volume).unwrap());
        let top = at(mounted.as_fd(), "");
        assert!(!top.join("etc/passwd").exists() && top.join("usr/moved").is_dir() && !top.join("usr/share").exists());
        assert_eq!(fs::read_to_string(top.join("etc/own")).unwrap(), "c1");
        let meta = fs::metadata(&top).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o751, 12));
        fs::write(top.join("etc/own"), text).unwrap();
        assert_eq!(fs::read_to_string(top.join("etc/own")).unwrap(), text);
    };
    write(&c1, "one");
    write(&c2, "two");
    assert_eq!(layered.sweep(&BTreeSet::new()).unwrap(), Vec::<String>::new());
    assert!(dir.0.join("containers/c2/templates/hostname.tpl").exists());
    pool.delete_volume(&c1).unwrap();
    pool.root(&c2).unwrap();
}

#[test]
fn copies_of_copies_never_have_too_many_layers() {
    let dir = Dir::new();
    let pool = pool("overlay", &dir.0);
    pool.create_volume(&container("c0"), image("abc")).unwrap();
    for i in 0..20 {
        let (from, to) = (container(&format!("c{i}")), container(&format!("c{}", i + 1)));
        let mounted = mount_root(&pool.root(&from).unwrap());
        fs::write(at(mounted.as_fd(), &format!("file{i}")), "x").unwrap();
        drop(mounted);
        pool.copy_volume(&from, &to).unwrap();
    }
    let last = container("c20");
    assert!(pool.layered().unwrap().layers(&last).unwrap().len() <= lxbox::runtime::storage::MAX_LAYERS);
    let mounted = mount_root(&pool.root(&last).unwrap());
    for i in 0..20 {
        assert!(at(mounted.as_fd(), &format!("file{i}")).exists(), "file{i}");
    }
}

#[test]
fn a_copy_in_a_dir_pool_keeps_everything() {
    let dir = Dir::new();
    let pool = pool("dir", &dir.0);
    let (c1, c2) = (container("c1"), container("c2"));
    pool.create_volume(&c1, Content::Image(Image { layer: "abc", unpack: Box::new(unpack_odd_things) })).unwrap();
    pool.copy_volume(&c1, &c2).unwrap();
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
    use rustix::fs::{FileType, XattrFlags, makedev, mknodat};
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
    use std::os::unix::fs::FileExt;
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
    for (path, flag) in [
        ("a/b/immutable", rustix::fs::IFlags::IMMUTABLE),
        ("a/b", rustix::fs::IFlags::IMMUTABLE),
        ("a", rustix::fs::IFlags::APPEND),
    ] {
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
    let dir = Dir::new();
    let mut at = open(&dir.0);
    rustix::fs::mkdirat(&at, c"deep", Mode::RWXU).unwrap();
    at = tree::open_dir(&at, c"deep").unwrap();
    for i in 0..5000 {
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
    for i in 0..3000 {
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
                    let cwd = rustix::fs::CWD;
                    let _ = rustix::fs::renameat_with(cwd, &a, cwd, &b, rustix::fs::RenameFlags::EXCHANGE);
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
