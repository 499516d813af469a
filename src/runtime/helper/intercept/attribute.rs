//! setxattr(2): the attribute by which overlay file systems know that a directory hides those below it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, Mode, OFlags, XattrFlags};

use super::caller::Caller;
use super::{Verdict, magic};
use crate::runtime::spec::intercept::{Call, is_settable};
use crate::runtime::sys::capset;
use crate::runtime::sys::root::may;

/// `CAP_SYS_ADMIN`: what setting it takes, here in the guest's user namespace, there in the host's.
const SYS_ADMIN: u32 = 21;
/// Bytes of a name with its end (XATTR_NAME_MAX), and of a value: overlayfs looks at one letter.
const NAME: usize = 256;
const VALUE: u64 = 64;

/// Sets it on what the caller may write to.
pub(super) fn set(caller: &Caller<'_>, call: Call) -> io::Result<Verdict> {
    let [target, name, value, len, flags, _] = caller.notice.args;
    let name = match caller.text(name, NAME) {
        Ok(name) if is_settable(&name) && len <= VALUE && caller.rights.has(SYS_ADMIN) => name,
        // The kernel says what is wrong, or sets what anybody may.
        _ => return Ok(Verdict::Pass),
    };
    let mut bytes = vec![0; len as usize];
    caller.read(value, &mut bytes)?;
    let flags = XattrFlags::from_bits(flags as u32).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let found = match call {
        Call::Fsetxattr => {
            let fd = caller.descriptor(target as i32)?;
            caller.look(&caller.directory(libc::AT_FDCWD)?, || may(fd.as_fd(), libc::W_OK).map(|()| fd))?
        }
        _ => look_up(caller, &caller.path(target)?, call == Call::Setxattr)?,
    };
    capset::become_fs_user(caller.rights.uids[3], caller.rights.gids[3])?;
    capset::set_effective(1 << SYS_ADMIN)?;
    rustix::fs::setxattr(magic(found.as_fd()), OsStr::from_bytes(&name), &bytes, flags)?;
    Ok(Verdict::Done)
}

fn look_up(caller: &Caller<'_>, path: &[u8], follow: bool) -> io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    caller.look(&caller.directory(libc::AT_FDCWD)?, || {
        let found = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        may(found.as_fd(), libc::W_OK)?;
        Ok(found)
    })
}
