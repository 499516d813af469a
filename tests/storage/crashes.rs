//! Failures at any step, full disks, and what is found after a crash.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicBool;

use lxbox::error::{Ctx, Error, Kind, Result};
use lxbox::runtime::storage::{Content, Emptier, Found, Image, PoolPaths, empty_trash, open_driver};

use super::*;

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
fn no_inode_left_at_any_step_of_a_pools_creation_leaves_nothing() {
    for driver in ["dir", "overlay"] {
        let mut failed = 0;
        loop {
            let tmpfs = mount("tmpfs", &[("nr_inodes", &(failed + 6).to_string())]);
            let top = at(tmpfs.as_fd(), "");
            lxd_dir(&top);
            let before = listing(&top);
            let paths = PoolPaths::new(&top, "p", &config(None)).unwrap();
            let Err(e) = open_driver(driver, &paths).unwrap().create() else { break };
            assert_eq!(e.kind(), Kind::Unavailable, "{driver} {failed}: {e}");
            assert_eq!(listing(&top), before, "{driver} {failed}");
            failed += 1;
        }
        assert!((8..60).contains(&failed), "{driver}: {failed}");
    }
}

#[test]
fn no_inode_left_at_any_step_of_a_volumes_creation_leaves_nothing() {
    for driver in ["dir", "overlay"] {
        let mut failed = 0;
        loop {
            let tmpfs = mount("tmpfs", &[("nr_inodes", "100")]);
            let top = at(tmpfs.as_fd(), "");
            lxd_dir(&top);
            let pool = pool(driver, &top);
            let inodes = pool.paths().usage().unwrap().inodes;
            for i in 0..inodes.total - inodes.used - failed {
                fs::write(top.join(format!("filler{i}")), "").unwrap();
            }
            let before = listing(&top);
            let careful = Image { layer: "abc", unpack: Box::new(unpack_carefully) };
            let Err(e) = pool.create_volume(&container("c1"), Content::Image(careful)) else { break };
            assert_eq!(e.kind(), Kind::Unavailable, "{driver} {failed}: {e}");
            // A layer that was finished before stays for the next try.
            let now: Vec<_> = listing(&top).into_iter().filter(|l| !l.contains("/layers/")).collect();
            assert_eq!(now, before, "{driver} {failed}: {e}");
            failed += 1;
        }
        assert!((5..40).contains(&failed), "{driver}: {failed}");
    }
}

fn unpack_carefully(dir: BorrowedFd<'_>) -> Result<()> {
    let what = || "Failed unpacking";
    fs::create_dir(at(dir, "rootfs")).ctx(Kind::Internal, what)?;
    fs::create_dir(at(dir, "templates")).ctx(Kind::Internal, what)?;
    fs::write(at(dir, "templates/a"), "a").ctx(Kind::Internal, what)?;
    fs::write(at(dir, "metadata.yaml"), "a").ctx(Kind::Internal, what)
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
fn a_volume_can_be_deleted_on_a_full_disk() {
    for driver in ["dir", "overlay"] {
        let tmpfs = mount("tmpfs", &[("size", "2m"), ("nr_inodes", "100")]);
        let top = at(tmpfs.as_fd(), "");
        lxd_dir(&top);
        let pool = pool(driver, &top);
        pool.create_volume(&container("c1"), image("abc")).unwrap();
        let mut full = fs::File::create(top.join("storage-pools/p/containers/c1/full")).unwrap();
        while full.write_all(&[1u8; 4096]).is_ok() {}
        drop(full);
        let mut files = 0;
        while fs::File::create(top.join(format!("storage-pools/p/containers/c1/{files}"))).is_ok() {
            files += 1;
        }
        pool.delete_volume(&container("c1")).unwrap();
        empty_trash(&pool.paths().root(), &AtomicBool::new(false)).unwrap();
        assert!(pool.paths().usage().unwrap().space.used < 1 << 20, "{driver}");
        pool.create_volume(&container("c1"), image("abc")).unwrap();
    }
}

#[test]
fn an_emptier_that_is_dropped_stops_and_the_next_one_goes_on() {
    let dir = Dir::new();
    let pool = pool("dir", &dir.0);
    let trash = dir.0.join("storage-pools/p/trash");
    for i in 0..200 {
        fs::create_dir_all(trash.join(format!("old{i}/a/b/c"))).unwrap();
    }
    let emptier = Emptier::start().unwrap();
    emptier.wake(pool.paths().root()).unwrap();
    drop(emptier);
    empty_trash(&pool.paths().root(), &AtomicBool::new(false)).unwrap();
    assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
}

#[test]
fn a_foreign_file_in_place_of_a_link_is_not_replaced() {
    let dir = Dir::new();
    let pool = pool("dir", &dir.0);
    fs::write(dir.0.join("containers/c1"), "foreign").unwrap();
    let before = listing(&dir.0);
    assert_eq!(pool.create_volume(&container("c1"), image("abc")).unwrap_err().kind(), Kind::Exists);
    assert_eq!(listing(&dir.0), before);
    fs::remove_file(dir.0.join("containers/c1")).unwrap();
    symlink("/nowhere", dir.0.join("containers/c1")).unwrap();
    pool.create_volume(&container("c1"), image("abc")).unwrap();
    assert!(dir.0.join("containers/c1/metadata.yaml").exists());
}
