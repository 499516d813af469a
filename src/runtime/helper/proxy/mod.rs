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

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use super::{Fail, PLAN_FD, What, read_plan, resident, say};
use crate::runtime::spec::proxy::ProxyLaunch;
use crate::runtime::spec::resident::Begun;
use crate::runtime::sys::{fork, process};

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
    resident::outlive();
    let Some([plan, socket, dir, init]) = process::inherited_row(PLAN_FD) else { return 2 };
    match prepare(&plan, &dir, init) {
        Ok(relay) => {
            drop((plan, dir));
            let _ = say(&socket, &Begun::Ready, &[]);
            drop(socket);
            relay.serve()
        }
        Err(fail) => {
            let _ = say(&socket, &Begun::Failed { errno: fail.errno, what: fail.what }, &[]);
            1
        }
    }
}

/// Everything that needs privileges, and then their end.
fn prepare(plan: &OwnedFd, dir: &OwnedFd, init: OwnedFd) -> Result<relay::Relay, Fail> {
    let ProxyLaunch { plan, seccomp } = read_plan(plan.as_fd())?;
    resident::limit(&[(Resource::Core, 0), (Resource::Nofile, DESCRIPTORS), (Resource::As, SPACE)])?;
    let listeners = if plan.in_guest { open::in_guest(&plan, &init)? } else { open::listeners(&plan)? };
    resident::record_device(dir.as_fd(), &plan.device, &plan)?;
    if !plan.in_guest {
        let files = plan.connect.iter().any(|place| place.path().is_some());
        fork::join_network(init.as_fd(), plan.unprivileged, files).what(|| "entering the container")?;
    }
    // Root finds its way to sockets of others, as the kernel has it for root; everybody else has no capability at all.
    let by_path = plan.connect.iter().any(|place| place.path().is_some()) && plan.user.0 == 0;
    let kept = if by_path { CapabilitySet::DAC_OVERRIDE } else { CapabilitySet::empty() };
    let user = Some(plan.user);
    let relay = relay::Relay::new(plan, listeners, init)?;
    resident::confine_as(user, kept, &seccomp)?;
    Ok(relay)
}
