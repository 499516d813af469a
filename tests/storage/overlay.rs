//! What only the overlay driver does: layers, and mounts of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lxbox::runtime::storage::{Content, Driver, Image, MAX_LAYERS, Root, Volume};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::*;

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
    pool.copy_volume(&container("c1"), &container("c2"), None).unwrap();
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
    pool.copy_volume(&c1, &c2, None).unwrap();
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
        pool.copy_volume(&from, &to, None).unwrap();
    }
    let last = container("c20");
    assert!(pool.layered().unwrap().layers(&last).unwrap().len() <= MAX_LAYERS);
    for i in 0..20 {
        pool.delete_volume(&container(&format!("c{i}"))).unwrap();
    }
    pool.layered().unwrap().sweep(&BTreeSet::new()).unwrap();
    let mounted = mount_root(&pool.root(&last).unwrap());
    for i in 0..20 {
        assert!(at(mounted.as_fd(), &format!("file{i}")).exists(), "file{i}");
    }
}
