//! The only place with unsafe code and raw system calls; small wrappers over owned and borrowed descriptors.
//!
//! Nothing here knows of instances or plans. What rustix offers safely is used directly where it is needed;
//! here stands what it lacks (mount_setattr, clone3, close_range, seccomp filters, …) or what must be got right
//! once (descriptor passing, lookups below a hostile root, control groups).
#![allow(unsafe_code)]

pub mod capset;
pub mod cgroup;
pub mod channel;
pub mod executable;
pub mod fork;
pub mod memfd;
pub mod mount;
pub mod netlink;
pub mod probe;
pub mod process;
pub mod pty;
pub mod root;
pub mod seccomp;
pub mod signal;
pub mod spawn;
pub mod watch;

/// Dies here by SIGKILL when the environment variable `LXBOX_FAULT` names this point.
///
/// For the crash tests alone: they walk every step of create, start, stop and delete. Costs one look at the environment.
/// The daemon hands the variable on to its helpers, so points of both can be named.
pub fn fault(point: &str) {
    if std::env::var_os("LXBOX_FAULT").is_some_and(|wanted| wanted == *point) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // Process 1 of a namespace can't kill itself.
        fork::exit(137);
    }
}
