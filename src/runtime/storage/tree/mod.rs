//! Trees that nobody trusts: opening, removing and copying below directory descriptors.
//!
//! What a guest wrote holds any name, depth, link and flag, and may be changed by somebody who still has a descriptor
//! in it. So nothing here ever resolves a path of more than one component inside such a tree: each step is one name
//! below an open directory, opened with `openat2` and `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` (Linux 5.6).
//! Everything blocks.

mod attributes;
mod copy;
mod old;
mod remove;

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Ctx, Kind, Result};

pub use attributes::{copy_attributes, drop_xattrs};
pub use copy::{Since, catch_up, copy, copy_file, follow, renew};
pub use remove::{Removal, remove, remove_until};

/// How often an `openat2` that met a rename elsewhere (`EAGAIN`) is repeated.
const RETRIES: usize = 32;

/// Bytes of directory entries read at once.
const SCAN_BUFFER: usize = 16 * 1024;

/// Opens the directory `name` of `parent`, which must be no link and no mount point.
///
/// `ENOTDIR` or `ELOOP`: not a directory; `EXDEV`: something is mounted there.
pub fn open_dir(parent: impl AsFd, name: &CStr) -> std::result::Result<OwnedFd, Errno> {
    open(parent, name, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Opens `name` of `parent` with `flags`, following nothing and leaving neither the directory nor its file system.
///
/// Never use it with `RDONLY` on what may be a device or fifo of a guest: take `PATH` and look at the type first.
pub fn open(parent: impl AsFd, name: &CStr, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let mut result = Err(Errno::AGAIN);
    for _ in 0..RETRIES {
        result = rustix::fs::openat2(parent.as_fd(), name, flags, Mode::empty(), resolve);
        if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    result
}

/// One directory entry as [`scan`] hands it out.
pub(super) struct Entry<'a> {
    /// The name, one component, not `.` or `..`.
    pub(super) name: &'a CStr,
    /// The type at the time of reading; it may change before the name is used.
    pub(super) kind: FileType,
}

/// Calls `each` for every entry of `dir`, from its beginning, without `.` and `..`.
///
/// Entries may be removed meanwhile; then some file systems skip others, so who wants an empty directory scans again.
pub(super) fn scan(dir: BorrowedFd<'_>, mut each: impl FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
    let what = || "Failed reading a directory";
    rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0)).ctx(Kind::Internal, what)?;
    let mut buffer = Vec::with_capacity(SCAN_BUFFER);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // The directory was removed while it was read.
            Err(Errno::NOENT) => return Ok(()),
            entry => entry.ctx(Kind::Internal, what)?,
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            kind = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(e).ctx(Kind::Internal, what),
            };
        }
        each(Entry { name, kind })?;
    }
    Ok(())
}

/// The names in `dir`, unsorted; only for directories that root alone fills.
pub fn names(dir: impl AsFd) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    scan(dir.as_fd(), |entry| {
        names.push(entry.name.to_owned());
        Ok(())
    })?;
    Ok(names)
}

/// Whether `dir` has an entry of this name.
pub fn has(dir: impl AsFd, name: &CStr) -> bool {
    rustix::fs::accessat(dir, name, rustix::fs::Access::EXISTS, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Whether `dir` has no entries.
pub fn is_empty(dir: impl AsFd) -> Result<bool> {
    let mut empty = true;
    scan(dir.as_fd(), |_| {
        empty = false;
        Ok(())
    })?;
    Ok(empty)
}

/// Whether a tree that may be changed meanwhile has at most so many entries and bytes. Looks at no more than that.
pub(super) fn is_small(top: impl AsFd, (entries, bytes): (usize, u64)) -> Result<bool> {
    let (mut count, mut size) = (0, 0u64);
    let mut todo = vec![open_dir(top, c".").ctx(Kind::Internal, || "Failed opening a directory to copy")?];
    while let Some(dir) = todo.pop() {
        scan(dir.as_fd(), |entry| {
            count += 1;
            if count > entries || size > bytes {
                return Ok(());
            }
            if entry.kind == FileType::Directory {
                todo.extend(open_dir(&dir, entry.name).ok());
            } else if let Ok(stat) = rustix::fs::statat(&dir, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                size = size.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512));
            }
            Ok(())
        })?;
        if count > entries || size > bytes {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A name for messages.
pub(super) fn show(name: &CStr) -> std::borrow::Cow<'_, str> {
    name.to_string_lossy()
}
