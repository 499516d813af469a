//! Takes everything from the process that serving doesn't need, before the first packet is looked at.

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use crate::runtime::helper::{Fail, What};
use crate::runtime::sys::seccomp;

/// The system calls that are left; all others fail. Files can be opened for reading only: the list of resolvers.
pub const SYSTEM_CALLS: &[&str] = &[
    "accept4",
    "bind",
    "brk",
    "clock_gettime",
    "close",
    "connect",
    "exit",
    "exit_group",
    "fcntl",
    "fstat",
    "ftruncate",
    "futex",
    "getpid",
    "getrandom",
    "gettid",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "poll",
    "ppoll",
    "pread64",
    "pwrite64",
    "read",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sendmsg",
    "sendto",
    "setsockopt",
    "sigaltstack",
    "socket",
    "statx",
    "write",
    "writev",
];

/// Bytes of address space: far above what it needs, far below what would hurt.
const SPACE: u64 = 512 << 20;
/// Descriptors: questions that wait, connections, and some.
const DESCRIPTORS: u64 = 256;
/// Bytes of the lease file.
const FILE: u64 = 8 << 20;

/// Becomes `user`, without capabilities, behind the filter. The process must have one thread.
pub(super) fn confine(user: Option<u32>, filter: &str) -> Result<(), Fail> {
    let failed = || "giving up privileges";
    for (resource, most) in
        [(Resource::Core, 0), (Resource::Nofile, DESCRIPTORS), (Resource::As, SPACE), (Resource::Fsize, FILE)]
    {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).what(failed)?;
    }
    rustix::thread::set_no_new_privs(true).what(failed)?;
    if let Some(user) = user {
        let (gid, uid) = (Gid::from_raw(user), Uid::from_raw(user));
        rustix::thread::set_thread_groups(&[]).what(failed)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).what(failed)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).what(failed)?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).what(failed)?;
    // After the change of ids, which sets it anew.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).what(failed)?;
    seccomp::load(filter).what(|| "loading the seccomp filter")
}
