//! Removes a tree, whatever it holds and whoever changes it meanwhile.
//!
//! No recursion and at most [`MAX_OPEN`] descriptors: what lies deeper is first moved up into the tree's own top, where
//! the last scan of the top finds it. Every name is used below the descriptor of the directory it was read from, so a
//! directory swapped for a link is unlinked as a link, and nothing outside is ever reached.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, IFlags, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{open, open_dir, scan, show};
use crate::error::{Ctx, Error, Kind, Result};

/// Directories open at once; deeper ones are moved up.
const MAX_OPEN: usize = 64;

/// Subdirectories remembered by one scan of a directory.
const BATCH: usize = 512;

/// How often a directory may turn out to be filled again before its writer is blamed.
const MAX_ROUNDS: u32 = 1000;

/// How [`remove_until`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nothing of that name is left.
    Done,
    /// `stop` was set: the rest is still there.
    Stopped,
}

/// Removes `name` of `parent` with everything below it; absent is fine. Blocks.
///
/// Links are not followed; a mount point inside is an error of kind `Busy` and stays. Immutable and append-only flags
/// are taken off.
pub fn remove(parent: impl AsFd, name: &CStr) -> Result<()> {
    remove_until(parent, name, &AtomicBool::new(false)).map(|_| ())
}

/// As [`remove`], but gives up soon after `stop` is set.
pub fn remove_until(parent: impl AsFd, name: &CStr, stop: &AtomicBool) -> Result<Removal> {
    let parent = parent.as_fd();
    let Some(fd) = open_or_unlink(parent, name)? else { return Ok(Removal::Done) };
    let mut work = Work { parent, stack: vec![Level::new(fd, name)], moved: 0 };
    while let Some(level) = work.stack.last_mut() {
        if stop.load(Ordering::Relaxed) {
            return Ok(Removal::Stopped);
        }
        match level.todo.pop() {
            Some(name) => work.enter(&name)?,
            None => work.clear()?,
        }
    }
    Ok(Removal::Done)
}

/// A directory being emptied.
struct Level {
    fd: OwnedFd,
    name: CString,
    /// Subdirectories found by the last scan.
    todo: Vec<CString>,
    /// How often it was found filled again when it should have been empty.
    rounds: u32,
}

impl Level {
    fn new(fd: OwnedFd, name: &CStr) -> Level {
        Level { fd, name: name.to_owned(), todo: Vec::new(), rounds: 0 }
    }
}

/// A removal under way: the directories from the tree's top down to the current one.
struct Work<'a> {
    parent: BorrowedFd<'a>,
    stack: Vec<Level>,
    /// Counter for the names given to directories moved up.
    moved: u64,
}

impl Work<'_> {
    /// Makes the subdirectory `name` of the current directory the current one, or moves it up when that is too deep.
    fn enter(&mut self, name: &CStr) -> Result<()> {
        let Some(level) = self.stack.last() else { return Ok(()) };
        let Some(fd) = open_or_unlink(level.fd.as_fd(), name)? else { return Ok(()) };
        if self.stack.len() < MAX_OPEN {
            self.stack.push(Level::new(fd, name));
            return Ok(());
        }
        self.move_up(name)
    }

    /// Renames the subdirectory `name` of the current directory into the tree's top.
    fn move_up(&mut self, name: &CStr) -> Result<()> {
        let (Some(top), Some(level)) = (self.stack.first(), self.stack.last()) else { return Ok(()) };
        let mut unprotected = false;
        loop {
            self.moved += 1;
            let new = format!(".lxbox-removing-{}", self.moved);
            match rustix::fs::renameat_with(&level.fd, name, &top.fd, new.as_str(), RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(Errno::PERM) if !unprotected => {
                    unprotected = true;
                    unprotect(level.fd.as_fd(), name);
                    unprotect_fd(top.fd.as_fd());
                }
                other => return other.ctx(kind_of(other), || format!("Failed moving directory {:?}", show(name))),
            }
        }
    }

    /// Unlinks what the current directory holds, remembers its subdirectories, and leaves it when it is empty.
    fn clear(&mut self) -> Result<()> {
        let Some(level) = self.stack.last_mut() else { return Ok(()) };
        let mut todo = Vec::new();
        let dir = level.fd.as_fd();
        scan(dir, |entry| {
            if entry.kind != FileType::Directory {
                return unlink(dir, entry.name, AtFlags::empty()).map(|_| ());
            }
            if todo.len() < BATCH && !unlink(dir, entry.name, AtFlags::REMOVEDIR)? {
                todo.push(entry.name.to_owned());
            }
            Ok(())
        })?;
        level.todo = todo;
        if level.todo.is_empty() { self.leave() } else { Ok(()) }
    }

    /// Removes the current directory from its parent, or notes that it was filled again.
    fn leave(&mut self) -> Result<()> {
        let Some(mut level) = self.stack.pop() else { return Ok(()) };
        let parent = self.stack.last().map_or(self.parent, |l| l.fd.as_fd());
        if unlink(parent, &level.name, AtFlags::REMOVEDIR)? {
            return Ok(());
        }
        level.rounds += 1;
        if level.rounds > MAX_ROUNDS {
            return Err(Error::new(
                Kind::Busy,
                format!("Failed removing directory {:?}: It is being written to", show(&level.name)),
            ));
        }
        self.stack.push(level);
        Ok(())
    }
}

/// Opens the directory `name`; anything else of that name is unlinked, which gives `None`.
fn open_or_unlink(parent: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>> {
    for _ in 0..MAX_ROUNDS {
        match open_dir(parent, name) {
            Ok(fd) => return Ok(Some(fd)),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                if unlink(parent, name, AtFlags::empty())? {
                    return Ok(None);
                }
            }
            Err(e) => {
                let kind = if e == Errno::XDEV { Kind::Busy } else { Kind::Internal };
                return Err(e).ctx(kind, || format!("Failed opening directory {:?}", show(name)));
            }
        }
    }
    Err(Error::new(Kind::Busy, format!("Failed removing {:?}: It is being replaced over and over", show(name))))
}

/// Unlinks `name`; false when it is a directory that holds something (or a directory at all, without `REMOVEDIR`).
fn unlink(parent: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<bool> {
    let mut result = rustix::fs::unlinkat(parent, name, flags);
    if matches!(result, Err(Errno::PERM)) {
        unprotect(parent, name);
        result = rustix::fs::unlinkat(parent, name, flags);
    }
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ISDIR) => Ok(false),
        // It was a directory when it was read and is something else now.
        Err(Errno::NOTDIR) if flags.contains(AtFlags::REMOVEDIR) => unlink(parent, name, AtFlags::empty()),
        Err(e) => Err(e).ctx(kind_of(Err(e)), || format!("Failed removing {:?}", show(name))),
    }
}

/// The kind of a failed removal: somebody's mount is `Busy`.
fn kind_of(result: Result<(), Errno>) -> Kind {
    match result {
        Err(Errno::BUSY | Errno::XDEV) => Kind::Busy,
        _ => Kind::Internal,
    }
}

/// Takes the immutable and append-only flags (`chattr +ia`) off `name` and its directory, as far as possible.
///
/// Whether it worked shows in the removal that follows.
fn unprotect(parent: BorrowedFd<'_>, name: &CStr) {
    unprotect_fd(parent);
    let Ok(fd) = open(parent, name, OFlags::PATH) else { return };
    let Ok(stat) = rustix::fs::fstat(&fd) else { return };
    // Only these two carry flags, and opening a device or a fifo could have effects.
    if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory) {
        return;
    }
    let path = super::attributes::magic_link(fd.as_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(path, flags, rustix::fs::Mode::empty()) {
        unprotect_fd(file.as_fd());
    }
}

/// Takes the flags off what is open here.
fn unprotect_fd(fd: BorrowedFd<'_>) {
    let stuck = IFlags::IMMUTABLE | IFlags::APPEND;
    if let Ok(flags) = rustix::fs::ioctl_getflags(fd)
        && flags.intersects(stuck)
    {
        let _ = rustix::fs::ioctl_setflags(fd, flags.difference(stuck));
    }
}
