//! Takes everything from the process that unpacking doesn't need, before the first byte of an image is looked at.
//!
//! What is left: for unpacking, the target directory as `/` and the capabilities to own, mark and make files in it; for
//! inspecting, the uid of nobody, no capability and no way to open any file. No new process, no network, no
//! privileges by exec. The decoders are C code that reads a stranger's bytes.

use std::os::fd::BorrowedFd;

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use crate::error::{Ctx, Error, Kind, Result};

/// Bytes that compressing may take.
const MEMORY: u64 = 2 << 30;

/// Whoever owns nothing, everywhere.
const NOBODY: u32 = 65534;

/// System calls that any mode needs: memory, threads, reading and writing what is open, leaving.
const BASE: &[&str] = &[
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "exit",
    "exit_group",
    "fcntl",
    "fstat",
    "futex",
    "getpid",
    "getrandom",
    "gettid",
    "kill",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "poll",
    "ppoll",
    "pread64",
    "prctl",
    "read",
    "readv",
    "recvmsg",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "statx",
    "sysinfo",
    "tgkill",
    "tkill",
    "write",
    "writev",
];

/// What writing a tree needs beyond that; paths end at the target, which is `/` by then.
const TREE: &[&str] = &[
    "chdir",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fsetxattr",
    "ftruncate",
    "linkat",
    "lsetxattr",
    "mkdirat",
    "mknodat",
    "open",
    "openat",
    "openat2",
    "pwrite64",
    "symlinkat",
    "syncfs",
    "umask",
    "unlinkat",
    "utimensat",
];

/// What reading a tree needs beyond that.
const READ: &[&str] =
    &["fgetxattr", "flistxattr", "fsync", "getdents64", "open", "openat", "openat2", "readlinkat", "sendmsg"];

/// Confines the process to reading: it sees every file below what it has open, and changes none. With a root it is that one's.
/// The process must have one thread.
pub(in crate::runtime::helper) fn to_reading(root: Option<BorrowedFd<'_>>) -> Result<()> {
    let failed = || "Failed confining the process";
    prepare(MEMORY, 1024)?;
    if let Some(root) = root {
        rustix::process::fchdir(root).ctx(Kind::Internal, failed)?;
        rustix::process::chroot(".").ctx(Kind::Internal, failed)?;
    }
    capabilities(CapabilitySet::DAC_READ_SEARCH)?;
    // A change of ids or capabilities takes it away.
    crate::runtime::sys::process::die_with_parent().ctx(Kind::Internal, failed)?;
    filter(&[BASE, READ])
}

/// Confines the process to the target directory. The process must have one thread.
pub fn to_directory(target: BorrowedFd<'_>, memory: u64) -> Result<()> {
    let failed = || "Failed confining the unpacking process";
    prepare(memory, 256)?;
    rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::fchdir(target).ctx(Kind::Internal, failed)?;
    rustix::process::chroot(".").ctx(Kind::Internal, failed)?;
    let keep = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::SETFCAP
        | CapabilitySet::MKNOD;
    capabilities(keep)?;
    filter(&[BASE, TREE])
}

/// Confines the process to the descriptors that it has. The process must have one thread.
pub fn to_descriptors(memory: u64) -> Result<()> {
    let failed = || "Failed confining the unpacking process";
    prepare(memory, 256)?;
    let (gid, uid) = (Gid::from_raw(NOBODY), Uid::from_raw(NOBODY));
    rustix::thread::set_thread_res_gid(gid, gid, gid).ctx(Kind::Internal, failed)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).ctx(Kind::Internal, failed)?;
    capabilities(CapabilitySet::empty())?;
    filter(&[BASE])
}

fn prepare(memory: u64, files: u64) -> Result<()> {
    let failed = || "Failed confining the unpacking process";
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).ctx(Kind::Internal, failed)?;
    rustix::thread::set_no_new_privs(true).ctx(Kind::Internal, failed)?;
    // Thread stacks and the allocator's arenas are reserved, hardly used.
    let space = memory.saturating_mul(2).saturating_add(4 << 30);
    for (resource, most) in [(Resource::Core, 0), (Resource::Nofile, files), (Resource::As, space)] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).ctx(Kind::Internal, failed)?;
    }
    // Only root may, and who isn't root has nothing to give up.
    if rustix::process::geteuid().is_root() {
        rustix::thread::set_thread_groups(&[]).ctx(Kind::Internal, failed)?;
    }
    Ok(())
}

fn capabilities(keep: CapabilitySet) -> Result<()> {
    let failed = || "Failed dropping capabilities";
    let had = rustix::thread::capabilities(None).ctx(Kind::Internal, failed)?;
    let keep = keep & had.permitted;
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).ctx(Kind::Internal, failed)
}

/// Everything else is answered with ENOSYS, which a C library takes for an old kernel and works around.
fn filter(allowed: &[&[&str]]) -> Result<()> {
    let failed = || "Failed loading the seccomp filter of the unpacking process";
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(libc::ENOSYS)).ctx(Kind::Internal, failed)?;
    for name in allowed.iter().copied().flatten() {
        // `open` and `poll` are not on every architecture.
        if let Ok(call) = ScmpSyscall::from_name(name) {
            filter.add_rule(ScmpAction::Allow, call).ctx(Kind::Internal, failed)?;
        }
    }
    let clone = ScmpSyscall::from_name("clone").ctx(Kind::Internal, failed)?;
    let thread = libc::CLONE_THREAD as u64;
    let threads_only = ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(thread), thread);
    filter.add_rule_conditional(ScmpAction::Allow, clone, &[threads_only]).ctx(Kind::Internal, failed)?;
    filter.load().ctx(Kind::Internal, failed)
}

/// The error when the process was started without what it needs.
pub(super) fn misused() -> Error {
    Error::internal("\"lxbox unpack\" is started by the daemon only")
}
