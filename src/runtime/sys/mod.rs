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
pub mod fuse;
pub mod inet;
pub mod link;
pub mod memfd;
#[cfg(all(target_arch = "x86_64", any(test, target_env = "musl")))]
mod memory;
pub mod mount;
pub mod netlink;
pub mod notice;
pub mod notify;
pub mod probe;
pub mod process;
pub mod program;
pub mod pty;
pub mod quota;
pub mod rlimit;
pub mod root;
pub mod seccomp;
pub mod signal;
pub mod spawn;
pub mod watch;

/// The point a plan of the crash tests names for this process.
static FAULT: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Dies here by SIGKILL when the environment variable `LXBOX_FAULT`, or the plan ([`arm_fault`]), names this point.
///
/// For the crash tests alone: they walk every step of create, start, stop and delete. Costs one look at the environment.
/// The daemon hands the variable on to its helpers, so points of both can be named.
pub fn fault(point: &str) {
    let wanted = FAULT.get().map_or_else(|| std::env::var("LXBOX_FAULT").unwrap_or_default(), Clone::clone);
    if wanted == point {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // Process 1 of a pid namespace doesn't die by its own hand.
        fork::exit(137);
    }
}

/// Names the point at which this process, and those forked from it, die.
pub fn arm_fault(point: &str) {
    let _ = FAULT.set(point.to_owned());
}
