//! mknod(2): device nodes that harm nobody.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Mode};

use super::Verdict;
use super::caller::Caller;
use crate::runtime::spec::intercept::{Call, is_harmless};
use crate::runtime::sys::capset;

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
    Ok(Verdict::Done)
}
