//! What instances may write, by project quotas of the file system (ext4, xfs), as LXD's `dir` driver has it.
//!
//! A volume is a project of its own, whose number follows from its record's. The directory where the guest's files will be is given
//! to the project while it is empty, so that everything made in it is the project's: what can't be opened (links, nodes) can't be
//! given to it later. On an overlay that is what the guest itself wrote; an upper that has become a layer goes on counting for it.
//! Where the file system doesn't count, nothing of this is done.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags};

use super::{Volume, tree};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::sys::quota;

/// LXD's numbers begin here.
const FIRST: u32 = 10_000;
/// Directories below each other in a tree whose files are given to a project one by one.
const DEPTH: usize = 1000;

/// The number of the project of a volume with this record.
pub fn project(volume: u64) -> Option<u32> {
    u32::try_from(volume).ok()?.checked_add(FIRST)
}

/// See [`is_known`].
static COUNTING: AtomicBool = AtomicBool::new(false);

/// What became of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// It holds.
    Now,
    /// It will, when the volume is at rest: its files aren't the project's yet.
    Later,
    /// The file system doesn't count.
    Never,
}

/// Gives an empty directory to a project.
pub(super) fn begin(directory: impl AsFd, project: Option<u32>) -> Result<()> {
    match project {
        Some(project) if quota::is_on(&directory) => {
            quota::set_project(&directory, project, true).ctx(Kind::Internal, failed)
        }
        _ => Ok(()),
    }
}

/// Lets a volume that is about to be made in this pool hold so many bytes at most. Blocks.
pub fn limit_new(pool: &Path, volume: &Volume, bytes: u64) -> Result<()> {
    let (Some(project), true) = (volume.counted(), bytes > 0) else { return Ok(()) };
    let directory = open(pool)?;
    if quota::is_on(&directory) {
        quota::set_limit(&directory, project, bytes).ctx(Kind::Internal, failed)?;
    }
    Ok(())
}

/// Gives an empty directory to the project of another, in whose place it will be.
pub(super) fn begin_like(other: impl AsFd, directory: impl AsFd) -> Result<()> {
    // Not every file system knows of projects.
    match quota::project(other) {
        Ok(project @ 1..) => quota::set_project(directory, project, true).ctx(Kind::Internal, failed),
        _ => Ok(()),
    }
}

/// Lets a volume, in this directory, hold so many bytes at most; 0 is no limit. One that nobody uses (`at_rest`) is given to its project
/// where it isn't yet (it was made without quotas). Blocks, then as long as a walk over it takes.
pub fn limit(place: &Path, project: u32, bytes: u64, at_rest: bool) -> Result<Limited> {
    let directory = open(place)?;
    if !quota::is_on(&directory) {
        return Ok(Limited::Never);
    }
    COUNTING.store(true, Ordering::Relaxed);
    quota::set_limit(&directory, project, bytes).ctx(Kind::Internal, failed)?;
    match quota::project(&directory).ctx(Kind::Internal, failed)? {
        own if own == project => Ok(Limited::Now),
        _ if at_rest => give(directory, project).map(|()| Limited::Now),
        _ => Ok(Limited::Later),
    }
}

/// Whether any file system that we have met counts: without, nobody need ask for [`usage`].
pub fn is_known() -> bool {
    COUNTING.load(Ordering::Relaxed)
}

/// Looks whether the file system of a pool's directory counts.
pub fn meet(pool: &Path) -> Result<()> {
    if quota::is_on(open(pool)?) {
        COUNTING.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Bytes that a volume in this directory holds, where that is counted.
pub fn usage(place: &Path) -> Option<u64> {
    let directory = open(place).ok()?;
    let project = quota::project(&directory).ok().filter(|project| *project != 0)?;
    quota::usage(&directory, project).ok()
}

/// Forgets the limit of the volume in this directory, which goes.
pub(super) fn forget(directory: impl AsFd) -> Result<()> {
    match quota::project(&directory) {
        Ok(project @ FIRST..) if quota::is_on(&directory) => {
            quota::set_limit(&directory, project, 0).ctx(Kind::Internal, failed)
        }
        _ => Ok(()),
    }
}

fn failed() -> &'static str {
    "Failed setting a project quota"
}

fn open(place: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(place, flags, Mode::empty()).ctx(Kind::Internal, || format!("Failed opening {place:?}"))
}

/// Gives a tree to a project, its top last, by which it is known to be complete.
fn give(top: OwnedFd, project: u32) -> Result<()> {
    let again = top.try_clone().ctx(Kind::Internal, failed)?;
    // Directories that are open, with the names of those in them that are left.
    let mut open = vec![(give_entries(&top, project)?, top)];
    while let Some((names, directory)) = open.last_mut() {
        let Some(name) = names.pop() else {
            open.pop();
            continue;
        };
        let next = tree::open_dir(&*directory, &name).ctx(Kind::Internal, failed)?;
        if open.len() == DEPTH {
            return Err(Error::internal(format!("{}: more than {DEPTH} directories below each other", failed())));
        }
        quota::set_project(&next, project, true).ctx(Kind::Internal, failed)?;
        open.push((give_entries(&next, project)?, next));
    }
    quota::set_project(&again, project, true).ctx(Kind::Internal, failed)
}

/// Gives the files of a directory to a project, and says what directories are there.
fn give_entries(directory: &OwnedFd, project: u32) -> Result<Vec<std::ffi::CString>> {
    let mut directories = Vec::new();
    tree::scan(directory.as_fd(), |entry| {
        match entry.kind {
            FileType::Directory => directories.push(entry.name.to_owned()),
            FileType::RegularFile => {
                let file = tree::open(directory, entry.name, OFlags::RDONLY).ctx(Kind::Internal, failed)?;
                quota::set_project(&file, project, false).ctx(Kind::Internal, failed)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(directories)
}
