//! mknod(2): device nodes that harm nobody.
//!
//! On file systems that belong to a guest (its `/dev`, any tmpfs of its own) the kernel lets nobody open one: there a node of the
//! host's is mounted over it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::caller::Caller;
use super::{Verdict, magic};
use crate::runtime::spec::intercept::{Call, is_harmless};
use crate::runtime::sys::{capset, fork, mount, process};

/// `CAP_MKNOD`, `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`.
const MKNOD: u32 = 27;
const NODE_MAKER: u64 = 1 << MKNOD | 1 << 1 | 1 << 2;

/// Makes a node as the caller, where it may make files, with the capability of the host's that it needs for that.
pub(super) fn make(caller: &Caller<'_>, call: Call) -> io::Result<Verdict> {
    let args = caller.notice.args;
    let (directory, [path, mode, device]) = match call {
        Call::Mknod => (libc::AT_FDCWD, [args[0], args[1], args[2]]),
        _ => (args[0] as i32, [args[1], args[2], args[3]]),
    };
    // The kernel's `new_decode_dev` of a number with 32 bits.
    let device = device as u32;
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    let mode = mode as u32;
    if mode & libc::S_IFMT != libc::S_IFCHR || !is_harmless(major, minor) || !caller.rights.has(MKNOD) {
        return Ok(Verdict::Pass);
    }
    let path = caller.path(path)?;
    let base = caller.directory(directory)?;
    let (parent, name) = caller.parent(&base, &path)?;
    let all = capset::effective()?;
    capset::become_fs_user(caller.rights.uids[3], caller.rights.gids[3])?;
    // Whether the caller may write there was asked as the caller, whose capabilities mean nothing out here.
    capset::set_effective(NODE_MAKER)?;
    rustix::process::umask(Mode::from_raw_mode(caller.rights.umask));
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(
        &parent,
        OsStr::from_bytes(name),
        FileType::CharacterDevice,
        Mode::from_raw_mode(mode & 0o7777),
        device,
    )?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(&parent, OsStr::from_bytes(name), flags, Mode::empty())?;
    capset::set_effective(all)?;
    capset::become_fs_user(0, 0)?;
    capset::set_effective(all)?;
    // A whiteout isn't for opening. Without a node of the host's the one that was made stays what it is.
    if caller.guest.room && device != 0 && is_closed(&node, device)? {
        let _ = cover(caller, &node);
    }
    Ok(Verdict::Done)
}

/// Whether the kernel lets nobody open this node; not when something else has taken its place.
fn is_closed(node: &OwnedFd, device: u64) -> io::Result<bool> {
    let found = rustix::fs::fstat(node)?;
    if !FileType::from_raw_mode(found.st_mode).is_char_device() || found.st_rdev != device {
        return Ok(false);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(magic(node.as_fd()), flags, Mode::empty()).err() == Some(Errno::ACCESS))
}

/// Mounts a node of the host's over this one, with its owner and mode.
fn cover(caller: &Caller<'_>, node: &OwnedFd) -> io::Result<()> {
    let like = rustix::fs::fstat(node)?;
    let name = room_for(caller.notice.id);
    let (mode, kind) = (Mode::from_raw_mode(like.st_mode & 0o7777), FileType::from_raw_mode(like.st_mode));
    rustix::fs::mknodat(CWD, &name, kind, mode, like.st_rdev)?;
    rustix::fs::chown(&name, Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid)))?;
    // Again, past the mask.
    rustix::fs::chmod(&name, mode)?;
    let namespace = caller.open("ns/mnt", OFlags::RDONLY)?;
    fork::join_user(caller.guest.user)?;
    process::hide_memory()?;
    fork::unshare_mounts()?;
    let own = mount::clone(Path::new(&name), false)?;
    fork::join_mounts(namespace.as_fd())?;
    mount::attach(own.as_fd(), node.as_fd())
}

/// The name of a node in the worker's directory, until the call with this id is answered.
pub(super) fn room_for(id: u64) -> String {
    id.to_string()
}
