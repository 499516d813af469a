//! Trees go there and back, in one go and in two.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::runtime::spec::Idmap;

/// A volume with a tree in it, gone at the end.
struct Volume(PathBuf);

impl Volume {
    /// `None` without root, who alone can change owners.
    fn new(name: &str) -> Option<Volume> {
        rustix::process::geteuid().is_root().then(|| {
            let volume = Volume(std::env::temp_dir().join(format!("lxbox-shift-{name}-{}", std::process::id())));
            let _ = fs::remove_dir_all(&volume.0);
            fs::create_dir_all(volume.path("a/b")).unwrap();
            volume
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join("rootfs").join(name)
    }

    /// A file with an owner, set-id bits and a capability.
    fn file(&self, name: &str) {
        let path = self.path(name);
        fs::write(&path, "x").unwrap();
        std::os::unix::fs::chown(&path, Some(5), Some(6)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).unwrap();
        set(path.to_str().unwrap(), CAPABILITY, &capability()).unwrap();
    }

    fn shift(&self, from: &Idmap, to: &Idmap) -> Result<(), Fail> {
        settle(&ShiftPlan { version: 1, path: self.0.join("rootfs"), from: from.clone(), to: to.clone() })
    }

    /// Owners, mode and whether there is a capability of the initial user namespace.
    fn look(&self, name: &str) -> (u32, u32, u32, bool) {
        let stat = fs::symlink_metadata(self.path(name)).unwrap();
        let caps = attribute(self.path(name).to_str().unwrap(), CAPABILITY).unwrap();
        (stat.uid(), stat.gid(), stat.mode() & 0o7777, caps == Some(capability()))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn capability() -> Vec<u8> {
    [0x0200_0001u32.to_le_bytes().to_vec(), vec![0; 16]].concat()
}

fn map() -> Idmap {
    Idmap::ranges((100_000, 65_536), (100_000, 65_536))
}

#[test]
fn a_tree_goes_there_and_back_unchanged() {
    let Some(volume) = Volume::new("whole") else { return };
    volume.file("a/set");
    fs::hard_link(volume.path("a/set"), volume.path("a/b/again")).unwrap();
    symlink("/etc/passwd", volume.path("link")).unwrap();
    fs::write(volume.0.join("rootfs").join(OsStr::from_bytes(b"odd\xff name")), "").unwrap();
    let host = fs::metadata("/etc/passwd").unwrap().uid();
    volume.shift(&Idmap::default(), &map()).unwrap();
    assert_eq!(volume.look("a/set"), (100_005, 100_006, 0o6755, false));
    assert_eq!(volume.look("link").0, 100_000);
    assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), host);
    volume.shift(&Idmap::default(), &map()).unwrap();
    assert_eq!(volume.look("a/set").0, 100_005, "what is on disk counts, not what the caller thinks");
    volume.shift(&map(), &Idmap::default()).unwrap();
    assert_eq!(volume.look("a/b/again"), (5, 6, 0o6755, true));
}

#[test]
fn ids_outside_of_the_map_are_an_error() {
    let Some(volume) = Volume::new("outside") else { return };
    assert!(volume.shift(&map(), &Idmap::default()).is_err());
}

/// The guest's ids of this map are also the host's: what is shifted already can't be told by its owner.
#[test]
fn a_shift_that_was_cut_short_is_finished_by_the_next() {
    let Some(volume) = Volume::new("cut") else { return };
    let map = Idmap::ranges((1, 65_536), (1, 65_536));
    for name in ["a/done", "a/half", "a/left"] {
        volume.file(name);
    }
    let plan = ShiftPlan { version: 1, path: volume.0.join("rootfs"), from: Idmap::default(), to: map.clone() };
    let progress = Progress::beside(&plan.path).unwrap();
    progress.begun(&plan.from, &plan.to).unwrap();
    let mut walk = Walk { plan: &plan, progress: &progress, cut: None, seen: HashSet::new() };
    let entry = |name: &str| open(CWD, volume.path(name).as_os_str()).unwrap();
    walk.one(&entry("a/done"), OsStr::new("done")).unwrap();
    // Killed between the change of owner, which takes the capability away, and its return.
    let half = entry("a/half");
    let stat = rustix::fs::fstat(&half).unwrap();
    progress.begin_entry(&before(&format!("/proc/self/fd/{}", half.as_raw_fd()), &stat).unwrap()).unwrap();
    walk.chown(&half, (5, 6), OsStr::new("half")).unwrap();
    assert_eq!(volume.look("a/half").2, 0o755);
    volume.shift(&Idmap::default(), &map).unwrap();
    for name in ["a/done", "a/half", "a/left"] {
        assert_eq!(volume.look(name), (6, 7, 0o6755, false), "{name}");
    }
    volume.shift(&Idmap::default(), &Idmap::default()).unwrap();
    for name in ["a/done", "a/half", "a/left"] {
        assert_eq!(volume.look(name), (5, 6, 0o6755, true), "{name}");
    }
}
