//! One start: control groups, user namespace, stage, process 1; reported step by step.

use std::os::fd::{AsFd, OwnedFd};

use super::intercept::Interception;
use super::{Guest, Shim, console, identify, record};
use crate::runtime::helper::namespace::user_namespace;
use crate::runtime::helper::stage::{self, Progress, Stage};
use crate::runtime::helper::{Fail, What, hear};
use crate::runtime::spec::Shift;
use crate::runtime::spec::cgroup::group_name;
use crate::runtime::spec::idmap::Ids;
use crate::runtime::spec::shim::{Failure, FromShim, Phase, Step, ToShim};
use crate::runtime::sys::{cgroup, channel, fault, fork, process, rlimit};

impl Shim {
    /// Starts the guest. On failure the caller undoes what was done.
    pub(super) fn start(&mut self) -> Result<Guest, Failure> {
        fault("shim.prepared");
        self.make_groups().map_err(|e| e.at(Step::Limits))?;
        self.tell(&FromShim::Step { step: Step::Limits });
        // Out of the daemon's service: in v2 we were born outside.
        let _ = cgroup::enter_helpers(&self.spec.cgroups);
        let socket = self.fork_stage().map_err(|e| e.at(Step::Mapped))?;
        let mut guest = self.follow(&socket)?;
        for child in self.children.drain(..) {
            let _ = process::reap(&child, true);
        }
        self.await_go().map_err(|e| e.at(Step::Mapped))?;
        let listener = self.secure(&socket)?;
        guest.interception = self.intercept(listener).map_err(|e| e.at(Step::Security))?;
        self.execute(&socket)?;
        self.record.phase = Phase::Running;
        self.record.started_ms = record::now_ms();
        self.record.policy = record::policy(&self.spec);
        record::write(self.dir.as_fd(), &self.record).what(|| "writing the record").map_err(|e| e.at(Step::Exec))?;
        fault("shim.started");
        self.tell_with(&FromShim::Started, &[guest.netlink.as_fd()]);
        Ok(guest)
    }

    /// Makes the guest's groups.
    fn make_groups(&mut self) -> Result<(), Fail> {
        let payload = group_name(&self.spec.project, &self.spec.name);
        let (record, dir) = (&mut self.record, self.dir.as_fd());
        record.phase = Phase::Starting;
        let groups = cgroup::make(&self.spec.cgroups, &payload, |groups| {
            record.groups = groups.to_vec();
            record.claimed = true;
            record::write(dir, record)
        })
        .what(|| format!("making the control groups {payload:?}"))?;
        fault("shim.groups");
        self.record.groups = groups;
        self.record.claimed = false;
        record::write(self.dir.as_fd(), &self.record).what(|| "writing the record")?;
        cgroup::prepare(&self.record.groups, self.spec.idmap.to_host(Ids::Gid, 0))
            .what(|| "preparing control groups")?;
        cgroup::set_limits(&self.record.groups, &self.spec.limits, false).what(|| "setting limits")?;
        cgroup::write_files(&self.record.groups, &self.spec.group_files).what(|| "setting values of \"raw.lxc\"")?;
        cgroup::set_devices(&self.record.groups, &self.spec.device_rules).what(|| "setting device rules")?;
        fault("shim.limits");
        Ok(())
    }

    /// Makes the user namespace and forks the stage; gives our end of its socket.
    fn fork_stage(&mut self) -> Result<OwnedFd, Fail> {
        let user = if self.spec.privileged() { None } else { Some(user_namespace(&self.spec.idmap)?) };
        let shift = user.as_ref().filter(|_| self.spec.shift == Shift::Mount);
        let (ours, theirs) = channel::pair().what(|| "making a socket pair")?;
        // A working directory is translated into the new mount namespace, a descriptor isn't.
        rustix::process::fchdir(&self.dir).what(|| "entering the run directory")?;
        let options = fork::Options { namespaces: fork::Namespaces::MOUNT, ..Default::default() };
        match fork::fork(&options).what(|| "forking the stage")? {
            fork::Forked::Child => {
                drop(ours);
                // The daemon notices the end of the shim by this socket: nobody else may hold it.
                self.daemon = None;
                stage::run(Stage {
                    spec: &self.spec,
                    groups: &self.record.groups,
                    user: user.as_ref().map(AsFd::as_fd),
                    shift: shift.map(AsFd::as_fd),
                    shim: theirs.as_fd(),
                })
            }
            fork::Forked::Parent { pidfd, .. } => {
                let _ = rustix::process::chdir("/");
                self.children.push(pidfd);
                fault("shim.forked");
                Ok(ours)
            }
        }
    }

    /// Follows stage and process 1 until that is ready. They speak on one socket, each when it is done, in no fixed order.
    fn follow(&mut self, socket: &OwnedFd) -> Result<Guest, Failure> {
        let (mut pidfd, mut ready) = (None, None);
        loop {
            let waits_for = if pidfd.is_none() { Step::Rootfs } else { Step::Mounts };
            match next(socket, waits_for)? {
                (Progress::Staged, _) => self.tell(&FromShim::Step { step: Step::Rootfs }),
                (Progress::Forked { pid }, mut fds) => {
                    self.forked(pid).map_err(|e| e.at(Step::Mapped))?;
                    pidfd = fds.pop();
                }
                (Progress::Ready, fds) => ready = Some(fds),
                _ => return Err(Fail::new("hearing from the helpers of the start").at(waits_for)),
            }
            if let (Some(_), Some(_)) = (&pidfd, &ready) {
                break;
            }
        }
        let (Some(pidfd), Some(Ok([master, slave, netlink]))) = (pidfd, ready.map(<[OwnedFd; 3]>::try_from)) else {
            return Err(Fail::new("taking over the console").at(Step::Mounts));
        };
        let console = console::Console::new(master, slave, &self.spec.console_log).map_err(|e| e.at(Step::Mounts))?;
        fault("shim.mounts");
        self.tell(&FromShim::Step { step: Step::Mounts });
        Ok(Guest { pidfd, console, netlink, interception: None })
    }

    /// Process 1 exists.
    fn forked(&mut self, pid: i32) -> Result<(), Fail> {
        self.record.init = Some(identify(pid)?);
        record::write(self.dir.as_fd(), &self.record).what(|| "writing the record")?;
        fault("shim.mapped");
        self.tell(&FromShim::Step { step: Step::Mapped });
        if self.spec.hold && self.daemon.is_some() {
            self.tell(&FromShim::Held { pid });
        }
        Ok(())
    }

    /// Waits for the daemon's `go` when the plan says so and a daemon is there.
    fn await_go(&mut self) -> Result<(), Fail> {
        let Some(daemon) = &self.daemon else {
            // After a reboot of the guest no daemon is needed; a first start nobody waits for is given up.
            return if self.record.reboots > 0 { Ok(()) } else { Err(Fail::new("hearing from the daemon")) };
        };
        if !self.spec.hold {
            return Ok(());
        }
        match hear::<ToShim>(daemon) {
            Ok(Some((ToShim::Go, _))) => Ok(()),
            _ => Err(Fail::new("waiting for the devices of the container")),
        }
    }

    /// Sets the resource limits of process 1, which is ready and needs no more than they leave.
    fn limit_resources(&self) -> Result<(), Fail> {
        let pid = self.record.init.and_then(|init| rustix::process::Pid::from_raw(init.pid));
        self.spec.rlimits.iter().try_for_each(|limit| {
            rlimit::set(pid, limit).what(|| format!("setting the limit \"limits.kernel.{}\"", limit.resource))
        })
    }

    /// Gives the word to process 1; with it comes the listener of calls that it hands on.
    fn secure(&mut self, socket: &OwnedFd) -> Result<Option<OwnedFd>, Failure> {
        self.limit_resources().map_err(|e| e.at(Step::Security))?;
        channel::send(socket, b"execute", &[]).what(|| "telling process 1").map_err(|e| e.at(Step::Security))?;
        let (Progress::Secured, mut fds) = next(socket, Step::Security)? else {
            return Err(Fail::new("hearing from process 1").at(Step::Security));
        };
        fault("shim.security");
        self.tell(&FromShim::Step { step: Step::Security });
        Ok(fds.pop())
    }

    /// Looks after the calls that the guest hands on.
    fn intercept(&self, listener: Option<OwnedFd>) -> Result<Option<Interception>, Fail> {
        let (Some(listener), Some(init)) = (listener, self.record.init) else { return Ok(None) };
        Interception::new((&self.spec, &self.record.groups), self.dir.as_fd(), (init.pid, listener)).map(Some)
    }

    /// Hears that the guest's own was executed.
    fn execute(&mut self, socket: &OwnedFd) -> Result<(), Failure> {
        match hear::<Progress>(socket).what(|| "hearing from process 1").map_err(|e| e.at(Step::Exec))? {
            Some((Progress::Failed(failure), _)) => Err(failure),
            Some(_) => Err(Fail::new("hearing from process 1").at(Step::Exec)),
            // The socket closes by the execution itself.
            None => {
                self.tell(&FromShim::Step { step: Step::Exec });
                Ok(())
            }
        }
    }
}

/// The next thing stage or process 1 says; its failure or silent end is ours.
fn next(socket: &OwnedFd, step: Step) -> Result<(Progress, Vec<OwnedFd>), Failure> {
    match hear::<Progress>(socket).what(|| "hearing from a helper").map_err(|e| e.at(step))? {
        Some((Progress::Failed(failure), _)) => Err(failure),
        Some(other) => Ok(other),
        None => Err(Fail::new("a helper of the start died").at(step)),
    }
}
