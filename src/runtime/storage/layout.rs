//! What every driver's pool has on disk, and the changes of volumes that are the same for all of them.
//!
//! ```text
//! ROOT/                       0711, or as the directory given by `source` is
//!   containers/[PROJECT_]NAME    0100; metadata.yaml, templates/, backup.yaml, rootfs
//!   containers-snapshots/[PROJECT_]NAME/SNAPSHOT    the same
//!   custom/PROJECT_NAME          0711
//!   buckets, custom-snapshots, images, virtual-machines, virtual-machines-snapshots
//!   trash/                    0700: see `trash`
//!   pending/                  0700: see `marks`
//! ```
//! A volume consists of one or more *parts*: directories of the same name in different places, the first of them its
//! directory; so does a snapshot, in one directory a volume each, which come and go with the first and last of them. All
//! changes go through directory descriptors.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::marks::Mark;
use super::paths::PoolPaths;
use super::volume::{Volume, VolumeKind};
use super::{links, marks, quota, trash, tree};
use crate::error::{Ctx, Error, Kind, Result};

/// LXD's directories of a pool, with its modes.
const DIRECTORIES: [(&CStr, u32); 8] = [
    (c"buckets", 0o711),
    (c"containers", 0o711),
    (c"containers-snapshots", 0o711),
    (c"custom", 0o700),
    (c"custom-snapshots", 0o700),
    (c"images", 0o700),
    (c"virtual-machines", 0o700),
    (c"virtual-machines-snapshots", 0o700),
];

/// Ours.
const OWN_DIRECTORIES: [(&CStr, u32); 2] = [(trash::TRASH, 0o700), (marks::PENDING, 0o700)];

/// A pool's directories, and what differs between drivers.
pub(super) struct Layout {
    pub(super) paths: PoolPaths,
    /// Directories below the root where volumes of a kind have their parts; the first is the kind's own.
    pub(super) parts: fn(VolumeKind) -> &'static [&'static CStr],
    /// The same for snapshots: below each is a directory for each volume that has some.
    pub(super) snapshot_parts: fn(VolumeKind) -> &'static [&'static CStr],
    /// More directories of the driver, parents first, with their modes.
    pub(super) private: &'static [(&'static CStr, u32)],
}

/// A volume's lock, held until dropped: nobody mounts, moves or copies the volume meanwhile.
pub(super) struct Hold(#[allow(dead_code, reason = "the lock lives as long as the descriptor")] OwnedFd);

impl Layout {
    /// Makes the pool's directories and has the driver look at them; on failure nothing is left.
    pub(super) fn create(&self, probe: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
        self.paths.check_source()?;
        let place = self.paths.place();
        let exists = || format!("Storage pool directory {place:?} already exists");
        let made = if self.paths.has_source() {
            std::os::unix::fs::symlink(self.paths.root(), &place)
        } else {
            std::fs::create_dir(&place)
        };
        match made {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(Error::new(Kind::Exists, exists())),
            made => made.ctx(Kind::Internal, || format!("Failed creating storage pool directory {place:?}"))?,
        }
        undo(self.make_directories().and_then(|root| probe(&root)), || self.delete())
    }

    fn make_directories(&self) -> Result<OwnedFd> {
        let root = self.paths.open_root()?;
        if !self.paths.has_source() {
            set_mode(&root, 0o711)?;
        }
        for (name, mode) in DIRECTORIES.iter().chain(&OWN_DIRECTORIES).chain(self.private) {
            make_dir(&root, name, *mode)?;
        }
        Ok(root)
    }

    /// Takes the pool's directories away; a `source` directory itself stays. Can be repeated after a crash.
    ///
    /// The caller has checked that nothing uses the pool.
    pub(super) fn delete(&self) -> Result<()> {
        // A source that we have no link to was never found empty by us: whatever is in it is not ours.
        if !self.paths.has_source() || std::fs::read_link(self.paths.place()).is_ok_and(|t| t == self.paths.root()) {
            self.remove_directories()?;
        }
        let parent = self.paths.lxd_dir().join("storage-pools");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::open(&parent, flags, Mode::empty())
            .ctx(Kind::Internal, || format!("Failed opening {parent:?}"))?;
        tree::remove(&parent, &c_name(self.paths.name())?)
    }

    fn remove_directories(&self) -> Result<()> {
        let root = match self.paths.open_root() {
            Err(e) if e.errno() == Some(Errno::NOENT.raw_os_error()) => return Ok(()),
            root => root?,
        };
        for (name, _) in DIRECTORIES.iter().chain(&OWN_DIRECTORIES).chain(self.private) {
            tree::remove(&root, name)?;
        }
        Ok(())
    }

    /// Whether the pool's directories are all there.
    pub(super) fn check(&self) -> Result<()> {
        let root = self.paths.open_root()?;
        // One made before there were snapshots lacks a directory of ours; one whose file system isn't mounted lacks all.
        for (name, mode) in self.private.iter().filter(|_| tree::open_dir(&root, trash::TRASH).is_ok()) {
            if rustix::fs::accessat(&root, *name, rustix::fs::Access::EXISTS, AtFlags::empty()) == Err(Errno::NOENT) {
                make_dir(&root, name, *mode)?;
            }
        }
        for (name, _) in DIRECTORIES.iter().chain(&OWN_DIRECTORIES).chain(self.private) {
            tree::open(&root, name, OFlags::PATH | OFlags::DIRECTORY).ctx(Kind::Unavailable, || {
                let (pool, root) = (self.paths.name(), self.paths.root());
                format!("Storage pool {pool:?} is unavailable: Failed opening {name:?} in {root:?}")
            })?;
        }
        Ok(())
    }

    /// Opens a directory of the pool.
    pub(super) fn dir(&self, name: &CStr) -> Result<OwnedFd> {
        let root = self.paths.open_root()?;
        tree::open_dir(&root, name).ctx(Kind::Unavailable, || {
            format!(
                "Storage pool {:?} is unavailable: Failed opening {name:?} in {:?}",
                self.paths.name(),
                self.paths.root()
            )
        })
    }

    /// Where the parts of a volume or snapshot are.
    pub(super) fn parts_of(&self, volume: &Volume) -> &'static [&'static CStr] {
        let parts = if volume.is_snapshot() { self.snapshot_parts } else { self.parts };
        parts(volume.kind())
    }

    /// The directories that hold this volume's parts; kind `NotFound` when a snapshot's volume has none.
    pub(super) fn part_dirs(&self, volume: &Volume) -> Result<Vec<OwnedFd>> {
        self.parts_of(volume).iter().map(|part| self.part_dir(volume, part)).collect()
    }

    fn part_dir(&self, volume: &Volume, part: &CStr) -> Result<OwnedFd> {
        let dir = self.dir(part)?;
        if !volume.is_snapshot() {
            return Ok(dir);
        }
        tree::open_dir(&dir, &c_name(&volume.directory())?).or_else(|e| missing(e, volume))
    }

    /// Makes the directories for a volume's snapshots, unless they are there.
    fn make_part_dirs(&self, volume: &Volume) -> Result<()> {
        if !volume.is_snapshot() {
            return Ok(());
        }
        let name = c_name(&volume.directory())?;
        for part in self.parts_of(volume) {
            let dir = self.dir(part)?;
            if !tree::has(&dir, &name) {
                make_dir(&dir, &name, 0o700)?;
            }
        }
        links::create_snapshots(&self.paths, volume)
    }

    /// Takes the directories for a volume's snapshots away when there are none any more.
    pub(super) fn leave_part_dirs(&self, volume: &Volume) -> Result<()> {
        if !volume.is_snapshot() {
            return Ok(());
        }
        let name = c_name(&volume.directory())?;
        for part in self.parts_of(volume) {
            match rustix::fs::unlinkat(self.dir(part)?, &name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(()),
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(e).ctx(Kind::Internal, || format!("Failed removing the directory of {volume}")),
            }
        }
        links::remove_snapshots(&self.paths, volume)
    }

    /// Opens the volume's directory: its first part.
    pub(super) fn open_volume(&self, volume: &Volume) -> Result<OwnedFd> {
        self.open_part(volume, self.parts_of(volume).first().copied())
    }

    /// Opens its last part, which nobody but root reaches.
    pub(super) fn open_last(&self, volume: &Volume) -> Result<OwnedFd> {
        self.open_part(volume, self.parts_of(volume).last().copied())
    }

    fn open_part(&self, volume: &Volume, part: Option<&CStr>) -> Result<OwnedFd> {
        let dir = self.part_dir(volume, part.unwrap_or(c"containers"))?;
        tree::open_dir(&dir, &c_name(&volume.leaf())?).or_else(|e| missing(e, volume))
    }

    /// Kind `Exists` when there is something of this name, or snapshots below it; nothing but empty directories doesn't count.
    pub(super) fn check_free(&self, volume: &Volume) -> Result<()> {
        let name = c_name(&volume.leaf())?;
        for part in self.moving_parts(volume)? {
            let is_free = match tree::open_dir(&part, &name) {
                Ok(there) => tree::is_empty(&there)?,
                Err(e) => e == Errno::NOENT,
            };
            if !is_free {
                return Err(taken(volume));
            }
        }
        Ok(())
    }

    /// Creates a volume: marks it, makes its directory, fills it, sets its mode, links it. On failure nothing is left.
    pub(super) fn create_volume(&self, volume: &Volume, fill: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
        let name = c_name(&volume.leaf())?;
        self.make_part_dirs(volume)?;
        let parts = self.part_dirs(volume)?;
        if parts.iter().any(|part| tree::has(part, &name)) {
            return Err(taken(volume));
        }
        undo(marks::creating(&self.dir(marks::PENDING)?, volume), || self.leave_part_dirs(volume))?;
        match rustix::fs::mkdirat(
            parts.first().ok_or_else(|| Error::internal("A pool has no parts"))?,
            &name,
            Mode::RWXU,
        ) {
            Err(Errno::EXIST) => Err(taken(volume)),
            made => {
                let made = made.ctx(Kind::Internal, || format!("Failed creating volume \"{volume}\""));
                undo(made.and_then(|()| self.fill(volume, fill)), || self.erase(volume))
            }
        }
    }

    fn fill(&self, volume: &Volume, fill: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
        let fd = self.open_volume(volume)?;
        if self.parts_of(volume).len() == 1 {
            quota::begin(&fd, volume.counted())?;
        }
        fill(&fd)?;
        // An archive's own entry for its top may have changed both.
        rustix::fs::fchown(&fd, Some(rustix::fs::Uid::ROOT), Some(rustix::fs::Gid::ROOT))
            .ctx(Kind::Internal, || format!("Failed changing the owner of volume \"{volume}\""))?;
        set_mode(&fd, volume.kind().mode())?;
        links::create(&self.paths, volume)
    }

    /// Takes a volume that failed to be created away at once, so that its space is free again.
    fn erase(&self, volume: &Volume) -> Result<()> {
        let trash = self.dir(trash::TRASH)?;
        for name in self.discard_parts(volume)? {
            tree::remove(&trash, &c_name(&name)?)?;
        }
        self.unlink(volume)?;
        self.unmark(volume)
    }

    /// Takes the links of a volume that is gone away, or those of its snapshots with the last.
    fn unlink(&self, volume: &Volume) -> Result<()> {
        if volume.is_snapshot() {
            return self.leave_part_dirs(volume);
        }
        links::remove_snapshots(&self.paths, volume)?;
        links::remove(&self.paths, volume)
    }

    /// Moves a volume into the trash, and its snapshots with it; one that doesn't exist is fine. Kind `Busy` while it is mounted.
    pub(super) fn delete_volume(&self, volume: &Volume) -> Result<()> {
        let _held = match self.hold(volume) {
            Err(e) if e.kind() == Kind::NotFound => None,
            held => Some(held?),
        };
        if let Ok(last) = self.open_last(volume) {
            quota::forget(last)?;
        }
        self.discard_parts(volume)?;
        self.unlink(volume)?;
        self.unmark(volume)
    }

    /// Moves all parts, and the snapshots of a volume, into the trash and returns their names there.
    pub(super) fn discard_parts(&self, volume: &Volume) -> Result<Vec<String>> {
        let name = c_name(&volume.leaf())?;
        let trash = self.dir(trash::TRASH)?;
        let mut names = Vec::new();
        for part in self.moving_parts(volume)? {
            names.extend(trash::discard(&part, &name, &trash)?);
        }
        Ok(names)
    }

    /// The directories that hold whatever goes with a volume: its parts, and the directories of its snapshots.
    pub(super) fn moving_parts(&self, volume: &Volume) -> Result<Vec<OwnedFd>> {
        let mut dirs = Vec::new();
        for part in self.parts_of(volume) {
            match self.part_dir(volume, part) {
                Err(e) if e.kind() == Kind::NotFound => {}
                dir => dirs.push(dir?),
            }
        }
        if !volume.is_snapshot() {
            let name = c_name(&volume.directory())?;
            for part in (self.snapshot_parts)(volume.kind()) {
                let dir = self.dir(part)?;
                if tree::has(&dir, &name) {
                    dirs.push(dir);
                }
            }
        }
        Ok(dirs)
    }

    /// Renames a volume. The mark stays until [`Layout::settle`], so that a crash before the record's change is mended.
    pub(super) fn rename_volume(&self, from: &Volume, to: &Volume) -> Result<()> {
        let _held = self.hold(from)?;
        let pending = self.dir(marks::PENDING)?;
        marks::renaming(&pending, from, to)?;
        undo(self.move_parts(from, to), || marks::settle(&pending, to))?;
        if !to.is_snapshot() {
            self.move_links(from, to)?;
        }
        marks::settle(&pending, from)
    }

    fn move_links(&self, from: &Volume, to: &Volume) -> Result<()> {
        if self.moving_parts(to)?.len() > self.parts_of(to).len() {
            links::create_snapshots(&self.paths, to)?;
        }
        links::remove_snapshots(&self.paths, from)?;
        links::create(&self.paths, to)?;
        links::remove(&self.paths, from)
    }

    /// Renames all parts, or none.
    fn move_parts(&self, from: &Volume, to: &Volume) -> Result<()> {
        let (old, new) = (c_name(&from.leaf())?, c_name(&to.leaf())?);
        let parts = self.moving_parts(from)?;
        for (done, part) in parts.iter().enumerate() {
            let moved = match rename(part, &old, &new) {
                Err(Errno::EXIST) => Err(taken(to)),
                moved => moved.ctx(Kind::Internal, || format!("Failed renaming volume \"{from}\"")),
            };
            undo(moved, || {
                parts[..done]
                    .iter()
                    .try_for_each(|part| rename(part, &new, &old))
                    .ctx(Kind::Internal, || "Failed renaming back")
            })?;
        }
        Ok(())
    }

    /// Says that the records know of the last change (creation or renaming) of this volume, and that its links are right.
    pub(super) fn settle(&self, volume: &Volume) -> Result<()> {
        if self.open_volume(volume).is_ok() {
            links::create(&self.paths, volume)?;
            if self.moving_parts(volume)?.len() > self.parts_of(volume).len() {
                links::create_snapshots(&self.paths, volume)?;
            }
        }
        self.unmark(volume)
    }

    /// See [`super::Snapshots::unsettle`].
    pub(super) fn unsettle(&self, volume: &Volume) -> Result<()> {
        marks::creating(&self.dir(marks::PENDING)?, volume)
    }

    /// Removes the marks of a volume, and those of its snapshots when it is gone.
    fn unmark(&self, volume: &Volume) -> Result<()> {
        let pending = self.dir(marks::PENDING)?;
        if !volume.is_snapshot() && self.open_volume(volume).is_err() {
            for mark in marks::read(&pending)? {
                let (Mark::Create(of) | Mark::Rename { to: of, .. }) = mark;
                if of.is_snapshot() && of.owner() == *volume {
                    marks::settle(&pending, &of)?;
                }
            }
        }
        marks::settle(&pending, volume)
    }

    /// Puts what `fill` makes in the place of one part of a volume, in one step; the old one goes into the trash. The caller
    /// holds the volume. The new directory has the owner and mode of the old one.
    pub(super) fn replace_part(
        &self,
        volume: &Volume,
        part: &OwnedFd,
        fill: impl FnOnce(&OwnedFd) -> Result<()>,
    ) -> Result<()> {
        let what = || format!("Failed replacing volume \"{volume}\"");
        let (name, trash) = (c_name(&volume.leaf())?, self.dir(trash::TRASH)?);
        let staged = c_name(&trash::staged_name("replace")?)?;
        let old = tree::open_dir(part, &name).or_else(|e| missing(e, volume))?;
        let stat = rustix::fs::fstat(&old).ctx(Kind::Internal, what)?;
        let made = make_dir(&trash, &staged, 0o700).and_then(|new| {
            quota::begin_like(&old, &new)?;
            fill(&new)?;
            let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
            rustix::fs::fchown(&new, Some(uid), Some(gid)).ctx(Kind::Internal, what)?;
            set_mode(&new, stat.st_mode & 0o7777)?;
            rustix::fs::renameat_with(&trash, &staged, part, &name, RenameFlags::EXCHANGE).ctx(Kind::Internal, what)
        });
        undo(made, || tree::remove(&trash, &staged))?;
        trash::discard(&trash, &staged, &trash).map(drop)
    }

    /// The directory whose lock stands for the volume: the last part, which nobody but root reaches.
    pub(super) fn lock_path(&self, volume: &Volume) -> PathBuf {
        let part = self.parts_of(volume).last().and_then(|p| p.to_str().ok()).unwrap_or_default();
        let path = self.paths.root().join(part).join(volume.directory());
        if volume.is_snapshot() { path.join(volume.leaf()) } else { path }
    }

    /// Takes the volume's lock; kind `Busy` when it is taken (a running instance), `NotFound` when there is no volume.
    pub(super) fn hold(&self, volume: &Volume) -> Result<Hold> {
        self.lock(volume, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes a snapshot's lock together with others that only read it.
    pub(super) fn share(&self, volume: &Volume) -> Result<Hold> {
        self.lock(volume, FlockOperation::NonBlockingLockShared)
    }

    fn lock(&self, volume: &Volume, how: FlockOperation) -> Result<Hold> {
        let fd = self.open_last(volume)?;
        match rustix::fs::flock(&fd, how) {
            Err(Errno::WOULDBLOCK) => Err(Error::new(Kind::Busy, format!("Volume \"{volume}\" is in use"))),
            locked => {
                locked.ctx(Kind::Internal, || format!("Failed locking volume \"{volume}\""))?;
                Ok(Hold(fd))
            }
        }
    }

    /// Whether the volume's lock is taken.
    pub(super) fn is_locked(&self, volume: &Volume) -> Result<bool> {
        match self.hold(volume) {
            Ok(_) => Ok(false),
            Err(e) if e.kind() == Kind::Busy => Ok(true),
            Err(e) => Err(e),
        }
    }
}

fn taken(volume: &Volume) -> Error {
    Error::new(Kind::Exists, format!("Volume \"{volume}\" exists already"))
}

/// The error for a part that can't be opened.
pub(super) fn missing(e: Errno, volume: &Volume) -> Result<OwnedFd> {
    match e {
        Errno::NOENT => Err(Error::not_found(format!("Volume \"{volume}\" not found"))),
        e => Err(e).ctx(Kind::Internal, || format!("Failed opening volume \"{volume}\"")),
    }
}

/// Renames within a directory, over nothing.
pub(super) fn rename(dir: impl AsFd, old: &CStr, new: &CStr) -> std::result::Result<(), Errno> {
    rustix::fs::renameat_with(dir.as_fd(), old, dir.as_fd(), new, RenameFlags::NOREPLACE)
}

/// Makes a directory with exactly this mode, owned by root, whatever the umask.
pub(super) fn make_dir(parent: impl AsFd, name: &CStr, mode: u32) -> Result<OwnedFd> {
    let what = || format!("Failed creating directory {name:?}");
    rustix::fs::mkdirat(parent.as_fd(), name, Mode::RWXU).ctx(Kind::Internal, what)?;
    let fd = tree::open_dir(parent, name).ctx(Kind::Internal, what)?;
    set_mode(&fd, mode)?;
    Ok(fd)
}

pub(super) fn set_mode(fd: impl AsFd, mode: u32) -> Result<()> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)).ctx(Kind::Internal, || "Failed changing a directory's mode")
}

/// A name for the kernel.
pub(super) fn c_name(name: &str) -> Result<CString> {
    CString::new(name).ctx(Kind::Invalid, || format!("Invalid name {name:?}"))
}

/// On failure undoes what was done; a failure of that is added to the text, the first error stays.
pub(super) fn undo<T>(result: Result<T>, back: impl FnOnce() -> Result<()>) -> Result<T> {
    result.map_err(|first| match back() {
        Ok(()) => first,
        Err(second) => Error::new(first.kind(), format!("{first} (and undoing it failed: {second})")),
    })
}
