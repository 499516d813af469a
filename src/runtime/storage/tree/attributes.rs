//! Owners, modes, times and extended attributes, copied from one inode to another.

use crate::order::Gather;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

/// Upper limit of an attribute list and of one value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`; xattr(7)).
const XATTR_MAX: usize = 64 * 1024;

/// The `/proc` path of an open descriptor: the way to act on an inode that is open with `O_PATH` only.
pub(super) fn magic_link(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Gives the directory or regular file `to` the owner, extended attributes, mode and times of `from`.
///
/// The order matters: a change of owner drops file capabilities and set-id bits.
pub fn copy_attributes(from: impl AsFd, to: impl AsFd) -> Result<(), Errno> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let stat = rustix::fs::fstat(from)?;
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    copy_xattrs(from, to)?;
    rustix::fs::fchmod(to, mode(&stat))?;
    rustix::fs::futimens(to, &times(&stat))
}

/// The permission bits with set-id and sticky.
pub(super) fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode)
}

/// Access and modification time.
pub(super) fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

/// Copies every extended attribute between open files or directories.
fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let list = match whole(|buffer| rustix::fs::flistxattr(from, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        list => list?,
    };
    for name in split(&list) {
        let value = whole(|buffer| rustix::fs::fgetxattr(from, name, buffer))?;
        rustix::fs::fsetxattr(to, name, &value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Whether two open files have the same extended attributes.
pub(super) fn same_xattrs(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Result<bool, Errno> {
    let all = |fd: BorrowedFd<'_>| -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
        let list = match whole(|buffer| rustix::fs::flistxattr(fd, buffer)) {
            Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
            list => list?,
        };
        split(&list)
            .map(|name| Ok((name.to_vec(), whole(|buffer| rustix::fs::fgetxattr(fd, name, buffer))?)))
            .try_gather()
    };
    Ok(all(a)? == all(b)?)
}

/// Takes the extended attributes whose names begin with `prefix` off an open file or directory.
pub fn drop_xattrs(fd: impl AsFd, prefix: &str) -> Result<(), Errno> {
    let fd = fd.as_fd();
    let list = whole(|buffer| rustix::fs::flistxattr(fd, buffer))?;
    split(&list)
        .filter(|name| name.starts_with(prefix.as_bytes()))
        .try_for_each(|name| rustix::fs::fremovexattr(fd, name))
}

/// Gives the link, device, fifo or socket `name` of `to` what `stat` and the attributes of its model in `from` say.
pub(super) fn copy_special(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let follow = AtFlags::SYMLINK_NOFOLLOW;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, name, Some(uid), Some(gid), follow)?;
    copy_special_xattrs(&below(from, name), &below(to, name))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        rustix::fs::chmodat(to, name, mode(stat), AtFlags::empty())?;
    }
    rustix::fs::utimensat(to, name, &times(stat), follow)
}

/// The path of `name` in an open directory, for calls that take no descriptor (`lsetxattr`).
fn below(dir: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    let mut path = magic_link(dir).into_bytes();
    path.push(b'/');
    path.extend_from_slice(name.to_bytes());
    path
}

/// Copies every extended attribute of what can't be opened.
fn copy_special_xattrs(from: &[u8], to: &[u8]) -> Result<(), Errno> {
    let list = match whole(|buffer| rustix::fs::llistxattr(from, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        list => list?,
    };
    for name in split(&list) {
        let value = whole(|buffer| rustix::fs::lgetxattr(from, name, buffer))?;
        rustix::fs::lsetxattr(to, name, &value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Reads with a small buffer first and with the largest one when that is too small.
fn whole(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0u8; 512];
    match read(&mut small) {
        Ok(n) => return Ok(small[..n].to_vec()),
        Err(Errno::RANGE) => {}
        Err(e) => return Err(e),
    }
    let mut large = vec![0u8; XATTR_MAX];
    let n = read(&mut large)?;
    large.truncate(n);
    Ok(large)
}

/// The names in an attribute list.
fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == 0).filter(|name| !name.is_empty())
}
