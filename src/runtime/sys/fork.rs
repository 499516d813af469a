//! clone3(2): a copy of a single-threaded helper in new namespaces and in a control group from its first moment.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Which namespaces the copy gets, as `CLONE_NEW*` flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(pub u64);

impl Namespaces {
    /// No new one: a plain fork.
    pub const NONE: Namespaces = Namespaces(0);
    /// A mount namespace only.
    pub const MOUNT: Namespaces = Namespaces(libc::CLONE_NEWNS as u64);

    /// A user namespace only.
    pub const USER: Namespaces = Namespaces(libc::CLONE_NEWUSER as u64);

    /// All that a container has, but two: the user namespace, which the caller is in already, so it owns these; the cgroup
    /// namespace, whose root is where a process is when it gets it ([`unshare_cgroup`]).
    pub fn container() -> Namespaces {
        let all = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
        Namespaces(all as u64)
    }
}

/// Who one is after a fork.
#[derive(Debug)]
pub enum Forked {
    /// The copy.
    Child,
    /// The original, with the copy's id and a handle on it.
    Parent {
        /// Its id here.
        pid: i32,
        /// Its handle.
        pidfd: OwnedFd,
    },
}

/// What of the new process is out of the ordinary.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// New namespaces.
    pub namespaces: Namespaces,
    /// A cgroup v2 directory in which it begins (CLONE_INTO_CGROUP, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Whether it becomes our parent's child instead of ours (CLONE_PARENT).
    pub sibling: bool,
}

/// The flag of clone3 that says that [`CloneArgs::cgroup`] is where the copy begins.
pub(super) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of clone3(2).
#[repr(C)]
#[derive(Default)]
pub(super) struct CloneArgs {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

/// Forks. Refused in a process with more than one thread: locks held by other threads would stay held in the copy for ever.
pub fn fork(options: &Options<'_>) -> io::Result<Forked> {
    if !single_threaded() {
        return Err(io::Error::other("only a single-threaded process may fork"));
    }
    let mut pidfd: i32 = -1;
    let mut flags = options.namespaces.0 | libc::CLONE_PIDFD as u64;
    let mut args = CloneArgs { pidfd: &raw mut pidfd as u64, ..CloneArgs::default() };
    if let Some(cgroup) = options.cgroup {
        flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    if options.sibling {
        flags |= libc::CLONE_PARENT as u64;
    } else {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    args.flags = flags;
    // SAFETY: no CLONE_VM and no stack, so the child runs on its own copy of this very stack as after fork(2); the process has one thread,
    // so no lock is held by anybody else; `args` and `pidfd` live through the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        // SAFETY: clone3 has put a new descriptor of ours there (CLONE_PIDFD).
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// Whether this process has one thread. Asked of the kernel, since `/proc` may be a guest's by now: leaving the thread group is
/// possible, and does nothing, exactly then (unshare(2)).
fn single_threaded() -> bool {
    // SAFETY: with one thread the call does nothing; with more it fails.
    unsafe { libc::unshare(libc::CLONE_THREAD) == 0 }
}

/// Ends a forked copy at once: no destructors, no buffers flushed twice.
pub fn exit(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Leaves the current cgroup namespace for one whose root is the current groups (cgroup_namespaces(7)).
pub fn unshare_cgroup() -> io::Result<()> {
    // SAFETY: a new cgroup namespace changes no memory or descriptor of this single-threaded process.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWCGROUP) }?)
}

/// Joins the namespaces of a process (setns(2) with a pidfd, Linux 5.8): all that a container has but the cgroup namespace, from
/// which nothing outside of it can be left any more.
pub fn join(pidfd: BorrowedFd<'_>, user: bool) -> io::Result<()> {
    setns(pidfd, Namespaces::container().0 as i32 | if user { libc::CLONE_NEWUSER } else { 0 })
}

/// Joins the cgroup namespace of a process.
pub fn join_cgroup(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    setns(pidfd, libc::CLONE_NEWCGROUP)
}

/// Gives this thread a root, a working directory and a umask of its own.
pub fn unshare_directory() -> io::Result<()> {
    // SAFETY: the flag doesn't touch the table of descriptors.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }?)
}

/// Leaves the current mount namespace for a copy of it. When the user namespace is another than the one that owns the current
/// one, all that is mounted in the copy is locked there (mount_namespaces(7)).
pub fn unshare_mounts() -> io::Result<()> {
    // SAFETY: a new mount namespace changes no memory or descriptor of this single-threaded process.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?)
}

/// Joins a user namespace.
pub fn join_user(namespace: BorrowedFd<'_>) -> io::Result<()> {
    setns(namespace, libc::CLONE_NEWUSER)
}

/// Has the processes forked from now on be in this process namespace.
pub fn join_processes(namespace: BorrowedFd<'_>) -> io::Result<()> {
    setns(namespace, libc::CLONE_NEWPID)
}

/// Joins the mount namespace of a process.
pub fn join_mounts(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    setns(pidfd, libc::CLONE_NEWNS)
}

/// Joins the network namespace of a process, with `user` also its user namespace, with `files` also its mounts.
pub fn join_network(pidfd: BorrowedFd<'_>, user: bool, files: bool) -> io::Result<()> {
    let more = |wanted: bool, flag: i32| if wanted { flag } else { 0 };
    setns(pidfd, libc::CLONE_NEWNET | more(user, libc::CLONE_NEWUSER) | more(files, libc::CLONE_NEWNS))
}

/// Joins the user and mount namespaces of a process.
pub fn join_files(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    setns(pidfd, libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
}

fn setns(pidfd: BorrowedFd<'_>, flags: i32) -> io::Result<()> {
    // SAFETY: no memory is passed; the descriptor is borrowed through the call.
    match unsafe { libc::setns(pidfd.as_raw_fd(), flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
