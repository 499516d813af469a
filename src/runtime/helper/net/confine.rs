//! What is left to the process when the first packet is looked at.

use rustix::process::Resource;

use crate::runtime::helper::{Fail, resident};

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

/// Becomes `user`, without capabilities, behind the filter.
pub(super) fn confine(user: Option<u32>, filter: &str) -> Result<(), Fail> {
    let bounds = [(Resource::Nofile, DESCRIPTORS), (Resource::As, SPACE), (Resource::Fsize, FILE)];
    resident::confine(user, &bounds, filter)
}
