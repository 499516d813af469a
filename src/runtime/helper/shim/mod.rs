//! The shim: parent of a container's process 1 for as long as the container runs, whatever becomes of the daemon.
//!
//! ```text
//! Starting ──started──▶ Running ──process 1 ends──▶ emptying groups ──power-off──▶ exit record, end
//!    │ failed: all undone, end                            │ reboot
//!    ▼                                                    ▼
//!   end                                    Rebooting ──next plan, or 5 s without one──▶ Starting
//! ```
//!
//! It keeps what must survive the daemon: the console (always drained into a bounded log), a netlink socket of the guest's
//! network, the lock on its volume. SIGKILL to it kills process 1 (parent death signal); what is left then is brought down by
//! the daemon from the record.

mod console;
mod intercept;
mod record;
mod serve;
mod start;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::{Fail, PLAN_FD, read_plan, resident, say};
use crate::runtime::spec::ContainerSpec;
use crate::runtime::spec::shim::{
    ExitReason, ExitRecord, Failure, FromShim, Phase, Process, REBOOT_WAIT, RunRecord, Step,
};
use crate::runtime::sys::process::Ended;
use crate::runtime::sys::{arm_fault, cgroup, fault, process};

/// The entry of the hidden mode: plan, socket and run directory are open descriptors from [`PLAN_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    resident::outlive();
    let Some([plan, socket, dir]) = process::inherited_row(PLAN_FD) else { return 2 };
    match Shim::prepare(plan, dir, socket) {
        Ok(shim) => shim.live(),
        Err((socket, failure)) => {
            let _ = say(&socket, &FromShim::Failed(failure), &[]);
            1
        }
    }
}

/// One container's shim.
struct Shim {
    spec: ContainerSpec,
    /// The run directory.
    dir: OwnedFd,
    /// The connection of the daemon that hears of reboots; `None` when there is none at the moment.
    daemon: Option<OwnedFd>,
    /// Where daemons connect.
    listener: OwnedFd,
    record: RunRecord,
    /// Helpers of the start that is under way.
    children: Vec<OwnedFd>,
    /// Held for its lock.
    _lock: Option<File>,
}

/// A running guest.
struct Guest {
    pidfd: OwnedFd,
    console: console::Console,
    /// Route-netlink socket of its network namespace.
    netlink: OwnedFd,
    /// Its system calls that are done outside of it, when there are such.
    interception: Option<intercept::Interception>,
}

impl Shim {
    fn prepare(plan: OwnedFd, dir: OwnedFd, socket: OwnedFd) -> Result<Shim, (OwnedFd, Failure)> {
        let ready = read_plan::<ContainerSpec>(plan.as_fd()).and_then(|spec| {
            drop(plan);
            spec.fault.as_deref().map(arm_fault);
            let lock = super::stage::lock(&spec)?;
            let listener = serve::listen(dir.as_fd())?;
            let record = record::new(&spec)?;
            Ok((spec, lock, listener, record))
        });
        match ready {
            Ok((spec, lock, listener, record)) => {
                Ok(Shim { spec, dir, daemon: Some(socket), listener, record, children: Vec::new(), _lock: lock })
            }
            Err(e) => Err((socket, e.at(Step::Prepared))),
        }
    }

    /// Runs the container until it is down for good. The exit code says nothing; the records do.
    fn live(mut self) -> i32 {
        self.tell(&FromShim::Step { step: Step::Prepared });
        let mut guest = match self.start() {
            Ok(guest) => guest,
            Err(failure) => {
                self.undo();
                self.tell(&FromShim::Failed(failure));
                return 1;
            }
        };
        loop {
            let ended = self.serve(&mut guest);
            fault("shim.guest_down");
            self.empty_groups();
            fault("shim.emptied");
            let reason = reason(ended);
            drop(guest);
            guest = match self.after(ended, reason) {
                Some(guest) => guest,
                None => return 0,
            };
        }
    }

    /// What follows once a guest is down: another start, or `None` and the end.
    fn after(&mut self, ended: Ended, reason: ExitReason) -> Option<Guest> {
        if reason != ExitReason::Reboot || !self.may_reboot() {
            self.finish(exit_record(ended, reason, None));
            return None;
        }
        match self.start() {
            Ok(guest) => Some(guest),
            Err(failure) => {
                self.undo();
                self.finish(exit_record(ended, ExitReason::StartFailed, Some(failure)));
                None
            }
        }
    }

    /// Asks the daemon what to do about a guest's reboot. False: nothing more.
    ///
    /// Without an answer in time the last plan runs again, marked stale.
    fn may_reboot(&mut self) -> bool {
        self.record.phase = Phase::Rebooting;
        self.record.init = None;
        self.record.reboots += 1;
        let _ = record::write(self.dir.as_fd(), &self.record);
        fault("shim.rebooting");
        self.tell(&FromShim::Rebooting);
        if self.daemon.is_none() {
            self.record.stale = true;
            return true;
        }
        match self.await_plan(Duration::from_secs(REBOOT_WAIT)) {
            serve::Answer::Next(spec) => {
                self.spec = *spec;
                self.record.stale = false;
                true
            }
            serve::Answer::Stop => false,
            serve::Answer::None => {
                self.record.stale = true;
                true
            }
        }
    }

    /// Tells the daemon, if one is there. One that is gone is forgotten.
    fn tell(&mut self, message: &FromShim) {
        self.tell_with(message, &[]);
    }

    fn tell_with(&mut self, message: &FromShim, fds: &[std::os::fd::BorrowedFd<'_>]) {
        if let Some(daemon) = &self.daemon
            && say(daemon, message, fds).is_err()
        {
            self.daemon = None;
        }
    }

    /// Kills what is left in the guest's groups and removes them, however long that takes.
    fn empty_groups(&mut self) {
        if std::mem::take(&mut self.record.claimed) {
            // Perhaps never ours, and nothing was in there yet: only what is empty goes.
            let _ = cgroup::remove(&std::mem::take(&mut self.record.groups));
        }
        while let Err(e) = cgroup::bring_down(&self.record.groups, Duration::from_secs(10)) {
            if e.kind() != io::ErrorKind::TimedOut {
                // Nothing more can be done from here; the daemon sees the groups in the record.
                break;
            }
        }
        self.record.groups.clear();
    }

    /// Takes back a start that failed.
    fn undo(&mut self) {
        for child in self.children.drain(..) {
            let _ = process::kill(&child);
        }
        self.empty_groups();
        while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
        let _ = record::write(self.dir.as_fd(), &self.record);
    }

    /// Leaves the exit on record and tells the daemon.
    fn finish(&mut self, exit: ExitRecord) {
        let _ = record::write(self.dir.as_fd(), &self.record);
        let _ = record::write_exit(self.dir.as_fd(), &exit);
        fault("shim.exit_recorded");
        self.tell(&FromShim::Exited(exit));
    }
}

/// The kernel ends process 1 by SIGHUP when the guest calls reboot(RESTART), by SIGINT for halt and power-off (reboot(2), "Behavior inside
/// PID namespaces").
fn reason(ended: Ended) -> ExitReason {
    match ended {
        Ended::Signal(libc::SIGHUP) => ExitReason::Reboot,
        Ended::Signal(libc::SIGINT) | Ended::Code(_) => ExitReason::PowerOff,
        Ended::Signal(_) => ExitReason::Killed,
    }
}

fn exit_record(ended: Ended, reason: ExitReason, failure: Option<Failure>) -> ExitRecord {
    let (code, signal) = match ended {
        Ended::Code(code) => (Some(code), None),
        Ended::Signal(number) => (None, Some(number)),
    };
    ExitRecord { reason, code, signal, ended_ms: record::now_ms(), failure }
}

/// Ourselves or a child, told apart from later processes of the same id.
fn identify(pid: i32) -> Result<Process, Fail> {
    let start =
        process::start_time(pid).ok_or_else(|| Fail::new(format!("reading the start time of process {pid}")))?;
    Ok(Process { pid, start })
}
