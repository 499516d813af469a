//! `lxbox proxy`: what comes in at one side of a guest's border goes out at the other (device `proxy`).
//!
//! ```text
//! started as root ── listens (host, or by a copy of itself in the guest) ── record
//!                 ── enters the guest, when it connects there ── other user, no capability, seccomp ── serving
//! ```
//!
//! It outlives the daemon and ends with the guest's process 1. One process for each device; streams are spliced, so it holds
//! nothing of what passes (but where descriptors pass between unix sockets).

mod open;
mod packets;
mod relay;
mod stream;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::confine::{self, Confinement};
use super::{Fail, PLAN_FD, What, read_plan, say};
use crate::runtime::spec::capability;
use crate::runtime::spec::proxy::{FromProxy, ProxyLaunch, ProxyPlan, ProxyRecord};
use crate::runtime::spec::shim::Process;
use crate::runtime::sys::{fork, process, signal};

/// The word that starts this mode.
pub const MODE: &str = "proxy";
/// The system calls that are left to it; all others fail. It opens no files.
pub const SYSTEM_CALLS: &[&str] = &[
    "accept4",
    "brk",
    "clock_gettime",
    "close",
    "connect",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "exit",
    "exit_group",
    "fcntl",
    "futex",
    "getrandom",
    "getsockname",
    "getsockopt",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "pipe2",
    "poll",
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
    "shutdown",
    "sigaltstack",
    "socket",
    "splice",
    "write",
];
/// Descriptors: listeners, connections with two sockets and two pipes, and some.
const DESCRIPTORS: u64 = 2 * 1024 + relay::CONNECTIONS as u64 * 6;
/// Bytes of address space.
const SPACE: u64 = 256 << 20;

/// The entry of the hidden mode: plan, socket, the directory for the record and the pidfd of the guest's process 1 are open
/// descriptors from [`PLAN_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    signal::reset_all();
    // It ends with its guest: neither a terminal nor a service stop ends it before.
    for number in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
        let _ = signal::ignore(number);
    }
    let Some([plan, socket, dir, init]) = process::inherited_row(PLAN_FD) else { return 2 };
    match prepare(&plan, &dir, init) {
        Ok(relay) => {
            drop((plan, dir));
            let _ = say(&socket, &FromProxy::Ready, &[]);
            drop(socket);
            relay.serve()
        }
        Err(fail) => {
            let _ = say(&socket, &FromProxy::Failed { errno: fail.errno, what: fail.what }, &[]);
            1
        }
    }
}

/// Everything that needs privileges, and then their end.
fn prepare(plan: &OwnedFd, dir: &OwnedFd, init: OwnedFd) -> Result<relay::Relay, Fail> {
    let ProxyLaunch { plan, seccomp } = read_plan(plan.as_fd())?;
    confine::limit(&[
        (rustix::process::Resource::Core, 0),
        (rustix::process::Resource::Nofile, DESCRIPTORS),
        (rustix::process::Resource::As, SPACE),
    ])?;
    let listeners = if plan.in_guest { open::in_guest(&plan, &init)? } else { open::listeners(&plan)? };
    record(dir, &plan)?;
    if !plan.in_guest {
        let files = plan.connect.iter().any(|place| place.path().is_some());
        fork::join_network(init.as_fd(), plan.unprivileged, files).what(|| "entering the container")?;
    }
    // Root finds its way to sockets of others, as the kernel has it for root; everybody else has no capability at all.
    let by_path = plan.connect.iter().any(|place| place.path().is_some()) && plan.user.0 == 0;
    let keep = if by_path { capability::mask(["dac_override"]).map_err(Fail::new)? } else { 0 };
    let user = Some(plan.user);
    let relay = relay::Relay::new(plan, listeners, init)?;
    confine::confine(&Confinement { user, keep, filter: &seccomp })?;
    Ok(relay)
}

/// Writes who we are, by atomic rename.
fn record(dir: &OwnedFd, plan: &ProxyPlan) -> Result<(), Fail> {
    let failed = || "writing the helper's record";
    let pid = std::process::id() as i32;
    let start = process::start_time(pid).ok_or_else(|| Fail::new("reading our own start time"))?;
    let boot_id = process::boot_id().what(|| "reading the boot id")?;
    let record = ProxyRecord { process: Process { pid, start }, boot_id, plan: plan.clone() };
    let text = serde_json::to_vec(&record).map_err(|e| Fail::new(format!("{}: {e}", failed())))?;
    let (name, new) = (format!("{}.json", plan.device), format!("{}.new", plan.device));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(dir, &new, flags, Mode::from_raw_mode(0o600)).what(failed)?;
    File::from(file).write_all(&text).what(failed)?;
    rustix::fs::renameat(dir, &new, dir, &name).what(failed)
}
