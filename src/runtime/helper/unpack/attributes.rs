//! Owners, modes, extended attributes and times.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::{Errno, Result};

use super::member::{Member, MemberKind, Time};

/// Whether a guest may bring an attribute of that name along; `marks` says whether the path is one where marks of overlays are content
/// ([`crate::runtime::spec::marks`]).
///
/// `trusted.*` and `user.overlay.*` steer an overlay mount and would let an image hide or redirect directories.
pub fn is_allowed(name: &[u8], marks: bool) -> bool {
    let refused = name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.") && !marks;
    !name.contains(&0) && !refused
}

/// Gives an open regular file or directory its owner and mode, and its attributes; returns how many of these the
/// file system or the kernel would not take.
pub fn open_file(file: BorrowedFd<'_>, member: &Member, marks: bool) -> Result<u64> {
    owner_and_mode(file, member)?;
    xattrs(file, member, marks)
}

/// Owner and mode, in this order: chown takes setuid and setgid away.
pub fn owner_and_mode(file: BorrowedFd<'_>, member: &Member) -> Result<()> {
    fs::fchown(file, Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)))?;
    fs::fchmod(file, Mode::from_raw_mode(member.mode))
}

/// The attributes of an open file, after its owner: chown drops `security.capability`.
pub fn xattrs(file: BorrowedFd<'_>, member: &Member, marks: bool) -> Result<u64> {
    each(member, marks, |name, value| fs::fsetxattr(file, name, value, XattrFlags::empty()))
}

/// Everything of a symbolic link, pipe or device, which can't be opened to set it.
pub fn node(dir: BorrowedFd<'_>, name: &OsStr, member: &Member, marks: bool) -> Result<u64> {
    let (uid, gid) = (Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)));
    fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(member.kind, MemberKind::Symlink(_)) {
        // Follows links, but this was made a moment ago and is none.
        fs::chmodat(dir, name, Mode::from_raw_mode(member.mode), AtFlags::empty())?;
    }
    let mut dropped = 0;
    if member.xattrs.iter().any(|(name, _)| is_allowed(name, marks)) {
        // There is no setxattrat before Linux 6.13; the working directory is ours alone in this process.
        let before = fs::open(".", fs::OFlags::PATH | fs::OFlags::CLOEXEC, Mode::empty())?;
        rustix::process::fchdir(dir)?;
        let result = each(member, marks, |key, value| fs::lsetxattr(name, key, value, XattrFlags::empty()));
        rustix::process::fchdir(before)?;
        dropped = result?;
    }
    fs::utimensat(dir, name, &timestamps(member.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(dropped)
}

/// The modification time of an open file; the access time becomes the same.
pub fn time(file: impl AsFd, time: Time) -> Result<()> {
    fs::futimens(file, &timestamps(time))
}

fn timestamps(time: Time) -> Timestamps {
    let at = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: at, last_modification: at }
}

fn each(member: &Member, marks: bool, mut set: impl FnMut(&OsStr, &[u8]) -> Result<()>) -> Result<u64> {
    let mut dropped = 0;
    for (name, value) in &member.xattrs {
        if !is_allowed(name, marks) {
            dropped += 1;
            continue;
        }
        let value = if name == b"security.capability" { unrooted(value) } else { value.clone() };
        match set(OsStr::from_bytes(name), &value) {
            Ok(()) => {}
            // Not for this kind of file, not on this file system, or nonsense: the image has to live without it.
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::RANGE | Errno::TOOBIG) => dropped += 1,
            Err(e) => return Err(e),
        }
    }
    Ok(dropped)
}

/// File capabilities of version 3 name the host's uid of a user namespace's root, which means nothing elsewhere:
/// version 2 is the same without it (`include/uapi/linux/capability.h`).
fn unrooted(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() == 24 && value[3] == 3 {
        value[3] = 2;
        value.truncate(20);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_steer_overlays_are_refused() {
        for name in ["trusted.overlay.opaque", "trusted.x", "user.overlay.redirect", "user.overlay.whiteout"] {
            assert!(!is_allowed(name.as_bytes(), false), "{name}");
            assert_eq!(is_allowed(name.as_bytes(), true), name.starts_with("user."), "{name}");
        }
        for name in ["user.overlays", "security.capability", "system.posix_acl_access", "user.x"] {
            assert!(is_allowed(name.as_bytes(), false), "{name}");
        }
    }

    #[test]
    fn a_capability_loses_its_namespace() {
        let mut v3 = vec![1, 0, 0, 3];
        v3.extend([9; 16]);
        v3.extend(100_000u32.to_le_bytes());
        assert_eq!(unrooted(&v3), [&[1, 0, 0, 2][..], &[9; 16]].concat());
        let v2 = [&[1, 0, 0, 2][..], &[9; 16]].concat();
        assert_eq!(unrooted(&v2), v2);
    }
}
