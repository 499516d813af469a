//! Resource limits of processes (getrlimit(2), prlimit(2)).

use std::io;

use rustix::process::{Pid, Resource};

use crate::runtime::spec::Rlimit;

/// The resource of this name.
///
/// # Errors
/// `InvalidInput` for a name that the kernel has nothing for.
pub fn resource(name: &str) -> io::Result<Resource> {
    Ok(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    })
}

/// Sets a limit of a process; of ourselves without one. Raising the hard limit needs CAP_SYS_RESOURCE of the host.
pub fn set(pid: Option<Pid>, limit: &Rlimit) -> io::Result<()> {
    let wanted = rustix::process::Rlimit { current: limit.soft, maximum: limit.hard };
    rustix::process::prlimit(pid, resource(&limit.resource)?, wanted)?;
    Ok(())
}

/// Makes a limit of our own at least as wide, so that [`set`] can be called later without any right.
pub fn make_room(limit: &Rlimit) -> io::Result<()> {
    let resource = resource(&limit.resource)?;
    let now = rustix::process::getrlimit(resource);
    let wider = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.max(b));
    let (current, maximum) = (wider(now.current, limit.soft), wider(now.maximum, limit.hard));
    rustix::process::setrlimit(resource, rustix::process::Rlimit { current, maximum })?;
    Ok(())
}
