//! sched_setscheduler(2): priorities and real-time classes, which the kernel gives to the host's root alone.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::OFlags;

use super::Verdict;
use super::caller::Caller;
use crate::runtime::sys::notify::schedule;
use crate::runtime::sys::{capset, fork, process};

/// `CAP_SYS_NICE`: what it takes, here in the guest's user namespace, there in the host's.
const SYS_NICE: u32 = 23;

/// Sets what the caller asks for, of a process in its own process namespace.
pub(super) fn set(caller: &Caller<'_>) -> io::Result<Verdict> {
    let [pid, policy, param, ..] = caller.notice.args;
    let (pid, policy) = (pid as i32, policy as i32);
    if !caller.rights.has(SYS_NICE) || pid < 0 || param == 0 {
        return Ok(Verdict::Pass);
    }
    let mut priority = [0; 4];
    caller.read(param, &mut priority)?;
    let priority = i32::from_ne_bytes(priority);
    if pid == 0 {
        capset::set_effective(1 << SYS_NICE)?;
        schedule(caller.pid(), policy, priority)?;
        return Ok(Verdict::Done);
    }
    // Ids mean processes of that namespace only in there.
    let namespace = caller.open("ns/pid", OFlags::RDONLY)?;
    fork::join_processes(namespace.as_fd())?;
    match fork::fork(&fork::Options::default())? {
        fork::Forked::Child => {
            let done = process::die_with_parent()
                .and_then(|()| process::hide_memory())
                .and_then(|()| capset::set_effective(1 << SYS_NICE))
                .and_then(|()| schedule(pid, policy, priority));
            fork::exit(super::exit_code(done.map(|()| Verdict::Done)))
        }
        fork::Forked::Parent { pidfd, .. } => match process::reap(&pidfd, true)? {
            Some(process::Ended::Code(0)) => Ok(Verdict::Done),
            Some(process::Ended::Code(number)) => Err(io::Error::from_raw_os_error(number)),
            _ => Err(io::Error::from_raw_os_error(libc::EINTR)),
        },
    }
}
