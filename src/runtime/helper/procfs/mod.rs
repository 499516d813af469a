//! `lxbox procfs`: a container's own share in some files of `/proc` and `/sys`, by a file system in user space (FUSE).
//!
//! ```text
//! keeper ── device, file system without a place, socket, record ── starts the server again when it dies
//!   └ server ── a device of its own on the same connection, other user, no capability, seccomp ── answers the kernel
//! ```
//!
//! Two processes, since guests must go on reading whatever dies. What the server had taken from its own device fails when that closes with
//! it, so no reader hangs; what it had not taken waits for the next one. When the keeper dies the server goes on and answers daemons in its
//! place, so that one of them can start another keeper with the device. The connection ends with the last of keeper, server and daemon.
//!
//! What is in a file is found out when it is read: who reads it (by its process id), which groups those are, what they say.

mod content;
mod control;
mod cpus;
mod disks;
#[cfg(test)]
mod fixture;
pub mod fuse;
mod groups;
mod load;
mod memory;
mod processes;
mod read;
mod serve;
mod server;
mod system;

pub use server::SYSTEM_CALLS;
pub(crate) use system::System;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::thread::CapabilitySet;

use super::{Fail, PLAN_FD, STREAM_FD, What, read_plan, resident, say};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::procfs::{FromProcfs, Launch, RECORD, SOCKET};
use crate::runtime::sys::program::{self, QUIET};
use crate::runtime::sys::{channel, fork, fuse as device, process};
use control::Control;

/// The word that starts this mode.
pub const MODE: &str = "procfs";

/// A server that lived shorter than this is started again only after a pause.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// The entry of the hidden mode: plan, socket and run directory are open descriptors from [`PLAN_FD`] on, perhaps the
/// device of an earlier one behind them.
pub fn main(_args: &[String]) -> i32 {
    resident::outlive();
    let Some([plan, socket, dir]) = process::inherited_row(PLAN_FD) else { return 2 };
    match prepare(plan, dir, process::inherited(STREAM_FD)) {
        Ok(mut keeper) => {
            keeper.control.greet(socket);
            keeper.revive();
            keeper.live()
        }
        Err(fail) => {
            let _ = say(&socket, &FromProcfs::Failed { errno: fail.errno, what: fail.what }, &[]);
            1
        }
    }
}

/// Keeps what must not go with a server.
struct Keeper {
    launch: Launch,
    control: Control,
    /// `None` while none could be started.
    server: Option<OwnedFd>,
    born: Instant,
    /// The file system goes with its last mount.
    _mount: OwnedFd,
}

fn prepare(plan: OwnedFd, dir: OwnedFd, earlier: Option<OwnedFd>) -> Result<Keeper, Fail> {
    let launch: Launch = read_plan(plan.as_fd())?;
    drop(plan);
    if launch.version > VERSION {
        return Err(Fail::new("reading a plan of a newer program"));
    }
    let again = earlier.and_then(|device| Some((device::mount(device.as_fd()).ok()?, device)));
    let fresh = again.is_none();
    let (mount, device) = match again {
        Some(both) => both,
        None => {
            let device = device::open().what(|| "opening \"/dev/fuse\"")?;
            (device::mount(device.as_fd()).what(|| "mounting a FUSE file system")?, device)
        }
    };
    let listener = channel::listen(dir.as_fd(), SOCKET).what(|| "opening the helper's socket")?;
    resident::record(dir.as_fd(), RECORD)?;
    drop(dir);
    // For servers to become somebody else, and to end them then.
    resident::keep_capabilities(CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL)?;
    process::hide_memory().what(|| "hiding from other processes")?;
    let control = Control::new(listener, device, fresh);
    Ok(Keeper { launch, control, server: None, born: Instant::now(), _mount: mount })
}

/// Forks a server.
fn start(launch: &Launch, control: &mut Control) -> Result<OwnedFd, Fail> {
    let keeper = rustix::process::getpid();
    match fork::fork(&fork::Options::default()).what(|| "forking the server")? {
        fork::Forked::Child => {
            control.forget_peers();
            fork::exit(server::run(launch, control, keeper))
        }
        fork::Forked::Parent { pidfd, .. } => Ok(pidfd),
    }
}

impl Keeper {
    /// Keeps servers going until a daemon says `stop`. The exit code.
    fn live(mut self) -> i32 {
        let mut quiet = false;
        loop {
            let patience = match (&self.server, quiet) {
                (None, _) => Some(PAUSE),
                (_, true) => None,
                (_, false) => Some(QUIET),
            };
            let ready = self.control.wait(self.server.as_ref().map(AsFd::as_fd), patience);
            if ready.nothing() && self.server.is_some() {
                program::forget_pages();
            }
            quiet = ready.nothing();
            if ready.other || self.server.is_none() {
                self.revive();
            }
            if self.control.hear(&ready, false) {
                if let Some(server) = &self.server {
                    let _ = process::kill(server);
                    let _ = process::reap(server, true);
                }
                return 0;
            }
        }
    }

    /// Starts a server in the place of the one that has died.
    fn revive(&mut self) {
        if let Some(server) = &self.server {
            if !matches!(process::reap(server, false), Ok(Some(_))) {
                return;
            }
            if self.born.elapsed() < SHORT_LIFE {
                std::thread::sleep(PAUSE);
            }
        }
        self.born = Instant::now();
        self.server = start(&self.launch, &mut self.control).ok();
    }
}
