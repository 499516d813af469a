//! Snapshots, in both drivers: they stay as they were, go with their volume, and survive crashes.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use lxbox::error::Kind;
use lxbox::runtime::storage::{Guest, MAX_LAYERS, Place, Root, empty_trash};
use rustix::fs::{CWD, FileType, XattrFlags};

use super::*;

/// The directory that a guest's writes end up in.
fn upper(pool: &dyn Driver, volume: &Volume) -> PathBuf {
    match pool.root(volume).unwrap() {
        Root::Dir { path } => path,
        Root::Overlay { upper, .. } => upper,
        Root::Layers { lowers } => panic!("{lowers:?} are for reading"),
    }
}

/// What is in a volume for its guest.
fn files(pool: &dyn Driver, volume: &Volume) -> Vec<String> {
    let other = container("shown");
    let tree = pool.open_tree(volume, None).unwrap();
    let fill = |place: &Place<'_>| tree.copy_to(place, None);
    pool.create_volume(&other, Content::Tree(Box::new(fill))).unwrap();
    drop(tree);
    let top = upper(pool, &other);
    let mut lines = Vec::new();
    for line in listing(&top) {
        let path = line.split(' ').nth(2).unwrap();
        let content = fs::read_to_string(top.join(path)).unwrap_or_default();
        lines.push(format!("{path}={}", content.trim()));
    }
    pool.settle(&other).unwrap();
    pool.delete_volume(&other).unwrap();
    lines
}

fn has(pool: &dyn Driver, volume: &Volume, line: &str) -> bool {
    files(pool, volume).iter().any(|l| l == line)
}

struct Still(AtomicBool);

impl Guest for Still {
    fn freeze(&self) -> Result<()> {
        assert!(!self.0.swap(true, Ordering::SeqCst));
        Ok(())
    }
    fn thaw(&self) -> Result<()> {
        self.0.store(false, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn a_snapshot_stays_as_it_was_and_a_volume_goes_back_to_it() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let c1 = container("c1");
        pool.create_volume(&c1, image("abc")).unwrap();
        fs::write(upper(&*pool, &c1).join("a"), "1").unwrap();
        let s0 = c1.snapshot("s0").unwrap();
        pool.copy_volume(&c1, &s0, None).unwrap();
        fs::write(upper(&*pool, &c1).join("a"), "2").unwrap();
        fs::write(upper(&*pool, &c1).join("b"), "2").unwrap();
        let s1 = c1.snapshot("s1").unwrap();
        pool.copy_volume(&c1, &s1, None).unwrap();
        assert_eq!(pool.copy_volume(&c1, &s1, None).unwrap_err().kind(), Kind::Exists);
        assert!(has(&*pool, &s0, "a=1") && !has(&*pool, &s0, "b=2") && has(&*pool, &s1, "b=2"), "{driver}");
        let Root::Layers { lowers } = pool.root(&s0).unwrap() else { panic!() };
        assert!(!lowers.is_empty());
        assert!(fs::read_link(dir.0.join("snapshots/c1")).unwrap().join("s0/metadata.yaml").exists());

        pool.restore_volume(&c1, &s0).unwrap();
        assert!(has(&*pool, &c1, "a=1") && !has(&*pool, &c1, "b=2") && has(&*pool, &c1, "etc/passwd=root"), "{driver}");
        pool.restore_volume(&c1, &s1).unwrap();
        assert!(has(&*pool, &c1, "a=2") && has(&*pool, &c1, "b=2"), "{driver}");

        let kept = c1.snapshot("kept").unwrap();
        pool.rename_volume(&s1, &kept).unwrap();
        pool.settle(&kept).unwrap();
        pool.delete_volume(&s0).unwrap();
        let c2 = container("c2");
        pool.rename_volume(&c1, &c2).unwrap();
        let kept = c2.snapshot("kept").unwrap();
        assert!(
            has(&*pool, &kept, "b=2") && dir.0.join("snapshots/c2").exists() && !dir.0.join("snapshots/c1").exists()
        );
        pool.copy_volume(&kept, &c1, None).unwrap();
        pool.delete_volume(&c2).unwrap();
        assert!(pool.root(&kept).is_err() && has(&*pool, &c1, "b=2"), "{driver}");
        pool.delete_volume(&c1).unwrap();
        for volume in [&c1, &c2] {
            pool.settle(volume).unwrap();
        }
        if let Some(layered) = pool.layered() {
            layered.sweep(&BTreeSet::new()).unwrap();
        }
        empty_trash(&pool.paths().root(), &AtomicBool::new(false)).unwrap();
        let left = listing(&dir.0.join("storage-pools/p"));
        assert!(left.iter().all(|l| !l.contains("c1") && !l.contains("kept") && !l.contains("trash/")), "{left:?}");
        assert_eq!(fs::read_dir(dir.0.join("snapshots")).unwrap().count(), 0);
    }
}

#[test]
fn a_writing_guest_is_copied_whole() {
    for (driver, large) in [("dir", false), ("dir", true), ("overlay", false), ("overlay", true)] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let c1 = container("c1");
        pool.create_volume(&c1, image("abc")).unwrap();
        let top = upper(&*pool, &c1);
        for i in 0..if large { 400 } else { 3 } {
            fs::create_dir_all(top.join(format!("d{}", i % 7))).unwrap();
            fs::write(top.join(format!("d{}/f{i}", i % 7)), format!("{i}")).unwrap();
        }
        fs::hard_link(top.join("d1/f1"), top.join("hard")).unwrap();
        symlink("/etc/passwd", top.join("link")).unwrap();
        let held: OwnedFd = fs::File::create(top.join("held")).unwrap().into();
        rustix::fs::fsetxattr(&held, "user.x", b"y", XattrFlags::empty()).unwrap();
        if driver == "overlay" {
            // A whiteout, and a directory that hides what is below.
            rustix::fs::mknodat(CWD, top.join("usr"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
            fs::create_dir(top.join("etc")).unwrap();
            rustix::fs::setxattr(top.join("etc"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        }
        let s0 = c1.snapshot("s0").unwrap();
        // What the guest does in the last moment before it is frozen.
        struct Busy(PathBuf, AtomicBool);
        impl Guest for Busy {
            fn freeze(&self) -> Result<()> {
                self.1.store(true, Ordering::SeqCst);
                fs::write(self.0.join("d2/f2"), "changed").unwrap();
                fs::remove_file(self.0.join("d0/f0")).unwrap();
                fs::rename(self.0.join("d1"), self.0.join("moved")).unwrap();
                fs::write(self.0.join("hard"), "both").unwrap();
                fs::OpenOptions::new().write(true).open(self.0.join("held")).unwrap().write_all_at(b"late", 0).unwrap();
                Ok(())
            }
            fn thaw(&self) -> Result<()> {
                self.1.store(false, Ordering::SeqCst);
                Ok(())
            }
        }
        let guest = Busy(top.clone(), AtomicBool::new(false));
        pool.copy_volume(&c1, &s0, Some(&guest)).unwrap();
        assert!(!guest.1.load(Ordering::SeqCst), "still frozen");
        fs::write(top.join("d2/f2"), "later").unwrap();
        let lines = files(&*pool, &s0);
        for line in ["d2/f2=changed", "hard=both", "moved/f1=both", "held=late"] {
            assert!(lines.iter().any(|l| l == line), "{driver} {large}: {line} in {lines:?}");
        }
        assert!(!lines.iter().any(|l| l.starts_with("d0/f0=") || l.starts_with("d1/")), "{driver}: {lines:?}");
        if driver == "overlay" {
            assert!(!lines.iter().any(|l| l.starts_with("usr") || l == "etc/passwd=root"), "{lines:?}");
        }
    }
}

#[test]
fn many_snapshots_have_no_more_layers_than_allowed() {
    let dir = Dir::new();
    let pool = pool("overlay", &dir.0);
    let c1 = container("c1");
    pool.create_volume(&c1, image("abc")).unwrap();
    let layered = pool.layered().unwrap();
    for i in 0..MAX_LAYERS + 4 {
        fs::write(upper(&*pool, &c1).join("a"), format!("{i}")).unwrap();
        pool.copy_volume(&c1, &c1.snapshot(&format!("s{i}")).unwrap(), None).unwrap();
        assert!(layered.layers(&c1).unwrap().len() <= MAX_LAYERS);
    }
    for i in [0, 5, MAX_LAYERS, MAX_LAYERS + 3] {
        let snapshot = c1.snapshot(&format!("s{i}")).unwrap();
        assert!(has(&*pool, &snapshot, &format!("a={i}")));
        pool.restore_volume(&c1, &snapshot).unwrap();
        assert!(layered.layers(&c1).unwrap().len() <= MAX_LAYERS);
        assert!(has(&*pool, &c1, &format!("a={i}")));
        let copy = container("copy");
        pool.copy_volume(&snapshot, &copy, None).unwrap();
        assert!(layered.layers(&copy).unwrap().len() <= MAX_LAYERS && has(&*pool, &copy, &format!("a={i}")));
        pool.delete_volume(&copy).unwrap();
    }
}

#[test]
fn a_crash_leaves_no_snapshot_without_a_record_and_no_litter() {
    for driver in ["dir", "overlay"] {
        let dir = Dir::new();
        let pool = pool(driver, &dir.0);
        let c1 = container("c1");
        pool.create_volume(&c1, image("abc")).unwrap();
        pool.settle(&c1).unwrap();
        let before = listing(&dir.0);
        let s0 = c1.snapshot("s0").unwrap();
        pool.copy_volume(&c1, &s0, None).unwrap();
        let found = pool.reconcile(std::slice::from_ref(&c1)).unwrap();
        assert_eq!((found.discarded, found.unknown), (vec![s0.clone()], vec![]), "{driver}");
        empty_trash(&pool.paths().root(), &AtomicBool::new(false)).unwrap();
        assert_eq!(listing(&dir.0), before, "{driver}");

        pool.copy_volume(&c1, &s0, None).unwrap();
        pool.settle(&s0).unwrap();
        let s1 = c1.snapshot("s1").unwrap();
        pool.rename_volume(&s0, &s1).unwrap();
        let found = pool.reconcile(&[c1.clone(), s0.clone()]).unwrap();
        assert_eq!((found.renamed, found.missing, found.unknown), (vec![s0.clone()], vec![], vec![]), "{driver}");
        let c2 = container("c2");
        pool.rename_volume(&c1, &c2).unwrap();
        let found = pool.reconcile(&[c1.clone(), s0.clone()]).unwrap();
        assert_eq!((found.renamed, found.missing, found.unknown), (vec![c1.clone()], vec![], vec![]), "{driver}");
        assert!(has(&*pool, &s0, "etc/passwd=root"));
        fs::remove_file(dir.0.join("snapshots/c1")).unwrap();
        pool.reconcile(&[c1, s0]).unwrap();
        assert!(dir.0.join("snapshots/c1/s0").exists(), "{driver}");
    }
}

#[test]
fn a_guest_is_thawed_when_its_copy_fails() {
    for driver in ["dir", "overlay"] {
        let tmpfs = mount("tmpfs", &[("size", "3m")]);
        let top = at(tmpfs.as_fd(), "");
        lxd_dir(&top);
        let pool = pool(driver, &top);
        let c1 = container("c1");
        pool.create_volume(&c1, image("abc")).unwrap();
        pool.settle(&c1).unwrap();
        fs::write(upper(&*pool, &c1).join("large"), vec![1u8; 2 << 20]).unwrap();
        let before = listing(&top);
        let guest = Still(AtomicBool::new(false));
        let e = pool.copy_volume(&c1, &c1.snapshot("s0").unwrap(), Some(&guest)).unwrap_err();
        assert_eq!(e.kind(), Kind::Unavailable, "{e}");
        assert!(!guest.0.load(Ordering::SeqCst));
        assert_eq!(listing(&top), before, "{driver}");
    }
}
