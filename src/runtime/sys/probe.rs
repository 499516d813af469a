//! Asks the kernel what it can do, without leaving anything behind. For `runtime::host::features`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Error, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

/// `struct clone_args` as of Linux 5.3 (clone(2)).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// `struct mount_attr` (mount_setattr(2), Linux 5.12).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// A new user namespace in which this process's user is root. Its only process is gone when this returns.
///
/// Blocks for less than a millisecond. Works in a process of many threads: the child makes two system calls.
///
/// # Errors
/// EPERM, ENOSPC, EUSERS, ENOSYS, EINVAL: what clone(2) and user_namespaces(7) say of them.
pub fn user_namespace() -> io::Result<OwnedFd> {
    let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let child = fork_into(libc::CLONE_NEWUSER as u64, wait.as_raw_fd(), go.as_raw_fd())?;
    let opened = map_and_open(child);
    // The child ends when the last writing end is gone.
    drop(go);
    waitpid(Some(child), WaitOptions::empty())?;
    opened
}

fn map_and_open(child: Pid) -> io::Result<OwnedFd> {
    let dir = format!("/proc/{}", child.as_raw_nonzero());
    let write = |file: &str, text: String| {
        File::options().write(true).open(format!("{dir}/{file}"))?.write_all(text.as_bytes())
    };
    // Needed before gid_map for callers that are not root (user_namespaces(7)).
    write("setgroups", "deny".to_string())?;
    write("uid_map", format!("0 {} 1", rustix::process::geteuid().as_raw()))?;
    write("gid_map", format!("0 {} 1", rustix::process::getegid().as_raw()))?;
    Ok(File::open(format!("{dir}/ns/user"))?.into())
}

/// A child in new namespaces that waits for the end of `wait` and is gone then.
fn fork_into(flags: u64, wait: i32, go: i32) -> io::Result<Pid> {
    let args = CloneArgs { flags, exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    // SAFETY: `args` is a valid clone_args of the size given and outlives the call. No CLONE_VM: the child has memory
    // of its own, so whatever locks other threads held at this moment stay as they are in it for ever. It therefore
    // touches none: it makes raw system calls on its stack alone and never returns from this block.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    if result == 0 {
        let mut byte = 0u8;
        // SAFETY: two descriptors that are open in the child as well, one byte on the child's stack; exit_group does
        // not return and runs no destructor.
        unsafe {
            libc::syscall(libc::SYS_close, go);
            libc::syscall(libc::SYS_read, wait, &raw mut byte, 1usize);
            libc::syscall(libc::SYS_exit_group, 0);
        }
        std::process::abort();
    }
    if result < 0 {
        return Err(Error::last_os_error());
    }
    i32::try_from(result).ok().and_then(Pid::from_raw).ok_or_else(|| Error::from_raw_os_error(libc::ESRCH))
}

/// Maps the ids of a detached mount (open_tree(2)) by a user namespace.
///
/// # Errors
/// EINVAL where the file system can't, ENOSYS before Linux 5.12, EPERM without CAP_SYS_ADMIN.
pub fn idmap_mount(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> io::Result<()> {
    let userns_fd = u64::try_from(userns.as_raw_fd()).map_err(|_| Error::from_raw_os_error(libc::EBADF))?;
    let attr = MountAttr { attr_set: MOUNT_ATTR_IDMAP, userns_fd, ..MountAttr::default() };
    // SAFETY: both descriptors are borrowed for the call, the path is a C string, `attr` is a valid mount_attr of the
    // size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Runs `work` on a thread in a new, empty network namespace, which is gone when it returns.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub fn in_empty_network<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let run = || {
        // SAFETY: CLONE_NEWNET alone changes the thread that calls, which is new and ends with this closure; it shares
        // no assumption about the network with other threads.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        Ok(work())
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_| Err(Error::other("the probe panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_gone_afterwards() {
        // Without the right to do it both fail, which is an answer too.
        let first = user_namespace();
        let second = user_namespace();
        assert_eq!(first.is_ok(), second.is_ok());
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        assert_eq!(children.trim(), "");
    }

    #[test]
    fn an_empty_network_has_only_a_loopback() {
        // Without CAP_SYS_ADMIN there is nothing to see. /proc/thread-self/net is the thread's own namespace's.
        if let Ok(text) = in_empty_network(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default())
        {
            assert!(text.contains("lo:") && text.lines().count() == 3, "{text}");
        }
    }
}
