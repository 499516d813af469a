//! A running container.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::start::{failed, unexpected};
use super::{RunDirs, adopt, network};
use crate::api::types::InstanceStateNetwork;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::spec::attach::Task;
use crate::runtime::spec::intercept::{MOUNTS, Mounts};
use crate::runtime::spec::shim::{EXIT, ExitReason, ExitRecord, FromShim, Policy, Process, RunRecord, ToShim};
use crate::runtime::spec::throttle::Throttle;
use crate::runtime::spec::{ContainerSpec, Limits, Mount};
use crate::runtime::sys::cgroup::{self, Usage};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{memfd, process, signal};

/// A running container; clones are handles on the same one.
///
/// Somebody must be in [`Running::wait_exit`] for as long as it runs: that is where its end and its reboots arrive.
#[derive(Clone, Debug)]
pub struct Running(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dirs: RunDirs,
    link: Link,
    shim: Watched,
    now: Mutex<Now>,
}

/// What changes when the guest reboots.
#[derive(Debug)]
pub(super) struct Now {
    pub(super) record: Arc<RunRecord>,
    /// Process 1; `None` between a reboot and the next start.
    pub(super) init: Option<Arc<OwnedFd>>,
    /// A route-netlink socket of its network namespace, and the number of the next request.
    netlink: Option<(OwnedFd, u32)>,
}

/// How [`Running::wait_exit`] ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The guest asked for a reboot and is down. Answer within five seconds by [`Running::reboot`] or
    /// [`Running::decline_reboot`], else the shim runs its last plan again; then go on waiting.
    Reboot,
    /// It is down for good, its control groups are empty and gone.
    Stopped(ExitRecord),
}

impl Running {
    /// One whose shim said `started` (with these descriptors) or `rebooting` (with none).
    pub(super) fn new(record: RunRecord, fds: Vec<OwnedFd>, link: Link, shim: Watched, dirs: RunDirs) -> Running {
        let now = Mutex::new(Now::of(record, fds));
        Running(Arc::new(Inner { dirs, link, shim, now }))
    }

    /// Takes over what the shim has started again.
    fn renew(&self, fds: Vec<OwnedFd>) -> Result<()> {
        let now = Now::of(adopt::record(&self.0.dirs)?, fds);
        *self.now() = now;
        Ok(())
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> Arc<RunRecord> {
        self.now().record.clone()
    }

    /// Process 1 of the guest on the host; 0 between a reboot and the next start.
    pub fn pid(&self) -> i32 {
        let now = self.now();
        now.init.as_ref().and(now.record.init).map_or(0, |init| init.pid)
    }

    /// Process 1, so that it can be told from a later one; `None` between a reboot and the next start.
    pub fn process(&self) -> Option<Process> {
        let now = self.now();
        now.init.as_ref().and(now.record.init)
    }

    /// When process 1 was executed.
    pub fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.record().started_ms)
    }

    /// How often the guest has rebooted since it was started.
    pub fn reboots(&self) -> u32 {
        self.record().reboots
    }

    /// Whether it runs an old plan because no daemon answered when it rebooted.
    pub fn is_stale(&self) -> bool {
        self.record().stale
    }

    /// Waits until the guest is down and everything in its control groups with it. Can be cancelled and called again.
    pub async fn wait_exit(&self) -> Result<Ended> {
        loop {
            match self.0.link.receive::<FromShim>().await? {
                Some((FromShim::Rebooting, _)) => {
                    self.now().init = None;
                    return Ok(Ended::Reboot);
                }
                Some((FromShim::Exited(exit), _)) => {
                    self.0.shim.reaped().await?;
                    adopt::clean_up(&self.0.dirs).await?;
                    return Ok(Ended::Stopped(exit));
                }
                // The shim didn't wait any longer for an answer about a reboot.
                Some((FromShim::Started, fds)) => self.renew(fds)?,
                Some(_) => {}
                None => return self.after_shim().await,
            }
        }
    }

    /// The shim is gone without a word to us: its record may say why, else the guest is brought down here.
    async fn after_shim(&self) -> Result<Ended> {
        self.0.shim.reaped().await?;
        adopt::clean_up(&self.0.dirs).await?;
        let exit = adopt::read::<ExitRecord>(&self.0.dirs, EXIT)?;
        Ok(Ended::Stopped(exit.unwrap_or_else(|| adopt::lost(ExitReason::ShimLost))))
    }

    /// Starts the guest again after [`Ended::Reboot`], with this plan; `plug` puts network devices into process 1's namespace
    /// when the plan says `hold`. An error means it is down; then [`Running::wait_exit`] tells.
    pub async fn reboot(&self, spec: &ContainerSpec, plug: impl AsyncFnOnce(i32) -> Result<()>) -> Result<()> {
        let (mut plug, mut unplugged) = (Some(plug), None);
        let plan =
            serde_json::to_vec(spec).ctx(Kind::Internal, || format!("Failed writing the plan of {:?}", spec.name))?;
        let plan = memfd::sealed("plan", &plan).ctx(Kind::Internal, || "Failed creating a memory file")?;
        self.0.link.send(&ToShim::Next, &[plan.as_fd()]).await?;
        loop {
            match self.0.link.receive::<FromShim>().await? {
                Some((FromShim::Started, fds)) => return self.renew(fds),
                Some((FromShim::Step { .. } | FromShim::Unknown, _)) => {}
                Some((FromShim::Held { pid }, _)) => {
                    if let Some(plug) = plug.take() {
                        unplugged = plug(pid).await.err();
                    }
                    let answer = if unplugged.is_none() { ToShim::Go } else { ToShim::Stop };
                    self.0.link.send(&answer, &[]).await?;
                }
                Some((FromShim::Exited(exit), _)) => {
                    if let Some(why) = unplugged {
                        return Err(why);
                    }
                    let failure = exit.failure.as_ref();
                    return Err(
                        failure.map_or_else(|| unexpected(&FromShim::Exited(exit.clone())), |f| failed(&spec.name, f))
                    );
                }
                Some((other, _)) => return Err(unexpected(&other)),
                None => {
                    return Err(Error::internal(format!("Failed starting container {:?}: its shim died", spec.name)));
                }
            }
        }
    }

    /// Lets the container stay down after [`Ended::Reboot`]; [`Running::wait_exit`] tells when that is done.
    pub async fn decline_reboot(&self) -> Result<()> {
        self.0.link.send(&ToShim::Stop, &[]).await
    }

    /// Asks the guest's init to shut down: SIGRTMIN+3 where it blocks that signal (systemd takes it by signalfd), else SIGPWR,
    /// as LXC chooses.
    pub async fn stop_signal(&self) -> Result<()> {
        let (init, pid) = self.init()?;
        let number = if blocks(pid, signal::RT_HALT) { signal::RT_HALT } else { libc::SIGPWR };
        process::signal(&init, number).ctx(Kind::Internal, || "Failed signalling the container's init")
    }

    /// Kills everything in the container. [`Running::wait_exit`] tells when it is down.
    pub async fn kill(&self) -> Result<()> {
        let (record, init) = (self.record(), self.init().ok());
        blocking(move || {
            // Not the init alone: its end waits for commands whose helpers have yet to reap them.
            cgroup::kill(&record.groups);
            match init {
                Some((init, _)) => process::kill(&init).ctx(Kind::Internal, || "Failed killing the container's init"),
                None => Ok(()),
            }
        })
        .await
    }

    /// Stops all its processes where they are.
    pub async fn freeze(&self) -> Result<()> {
        self.set_frozen(true).await
    }

    /// Lets them go on.
    pub async fn unfreeze(&self) -> Result<()> {
        self.set_frozen(false).await
    }

    async fn set_frozen(&self, frozen: bool) -> Result<()> {
        let record = self.record();
        let word = if frozen { "freezing" } else { "thawing" };
        let frozen = move || {
            cgroup::freeze(&record.groups, frozen).ctx(Kind::Internal, || format!("Failed {word} the container"))
        };
        blocking(frozen).await
    }

    /// Whether it is frozen. Reads a small file.
    pub fn is_frozen(&self) -> bool {
        cgroup::is_frozen(&self.record().groups)
    }

    /// What it uses. Reads a few small files of the kernel.
    pub fn usage(&self) -> Usage {
        cgroup::usage(&self.record().groups)
    }

    /// Its network interfaces, their addresses and counters. Answered by the kernel at once.
    pub fn network_state(&self) -> Result<BTreeMap<String, InstanceStateNetwork>> {
        let mut now = self.now();
        let Some((socket, sequence)) = &mut now.netlink else { return Ok(BTreeMap::new()) };
        *sequence = sequence.wrapping_add(2);
        network::state(socket.as_fd(), *sequence)
    }

    /// Changes what it may mount by calls that are done outside of it, for a guest that has such.
    pub async fn allow_mounts(&self, mounts: Mounts) -> Result<()> {
        let path = self.0.dirs.run.join(MOUNTS);
        let failed = || "Failed changing what the container may mount";
        let text = serde_json::to_vec(&mounts).ctx(Kind::Internal, failed)?;
        blocking(move || match std::fs::read(&path) {
            Ok(before) if before != text => {
                let new = path.with_extension("next");
                std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path)).ctx(Kind::Internal, failed)
            }
            _ => Ok(()),
        })
        .await
    }

    /// Changes its limits; those that are `None` are lifted. A CPU set that is `None` stays as it was.
    pub async fn set_limits(&self, limits: &Limits) -> Result<()> {
        let (record, limits) = (self.record(), limits.clone());
        blocking(move || {
            cgroup::set_limits(&record.groups, &limits, true)
                .ctx(Kind::Internal, || "Failed changing the container's limits")
        })
        .await
    }

    /// The console: a stream of its output that also takes its input, and the terminal (for its size, by
    /// [`crate::runtime::sys::pty::resize`]). `Busy` when somebody has it and `force` is false.
    pub async fn console(&self, force: bool) -> Result<(OwnedFd, OwnedFd)> {
        let run = self.0.dirs.run.clone();
        let socket = blocking(move || adopt::connect_in(&run)).await?;
        let link = Link::new(socket)?;
        link.send(&ToShim::Console { force }, &[]).await?;
        match link.receive::<FromShim>().await? {
            Some((FromShim::Console, fds)) => {
                let fds = <[OwnedFd; 2]>::try_from(fds).map_err(|_| Error::internal("A shim gave no console"))?;
                let [stream, terminal] = fds;
                Ok((stream, terminal))
            }
            Some((FromShim::ConsoleBusy, _)) => Err(Error::new(Kind::Busy, "The console is in use")),
            _ => Err(Error::new(Kind::Conflict, "The container has no console at the moment")),
        }
    }

    /// Mounts something of the host in it.
    pub async fn attach_mount(&self, mount: &Mount) -> Result<()> {
        self.visit(Task::Mount(mount.clone())).await
    }

    /// Takes the topmost mount at a path of the guest away.
    pub async fn detach_mount(&self, target: &std::path::Path) -> Result<()> {
        self.visit(Task::Unmount { target: target.to_owned() }).await
    }

    /// Tells it of devices that came (`add`) or went (`remove`), as its kernel would: of each `NAME=value` lines, DEVPATH among
    /// them.
    pub async fn announce(&self, action: &str, devices: Vec<String>) -> Result<()> {
        self.visit(Task::Announce { action: action.to_owned(), devices }).await
    }

    /// Changes the rules that say which devices it may use.
    pub async fn change_device_rules(&self, was: Vec<String>, becomes: Vec<String>) -> Result<()> {
        let record = self.record();
        blocking(move || {
            cgroup::change_devices(&record.groups, &was, &becomes)
                .ctx(Kind::Internal, || "Failed changing the container's device rules")
        })
        .await
    }

    /// Changes the limits on block devices.
    pub async fn throttle(&self, was: Vec<Throttle>, becomes: Vec<Throttle>) -> Result<()> {
        let record = self.record();
        blocking(move || {
            cgroup::throttle(&record.groups, &was, &becomes)
                .ctx(Kind::Internal, || "Failed limiting the container's disks")
        })
        .await
    }

    /// Process 1's handle and id. `Conflict` when there is none at the moment.
    pub(super) fn init(&self) -> Result<(Arc<OwnedFd>, i32)> {
        let now = self.now();
        match (&now.init, now.record.init) {
            (Some(init), Some(process)) if !process::has_ended(init.as_fd()) => Ok((init.clone(), process.pid)),
            _ => Err(Error::new(Kind::Conflict, "Instance is not running")),
        }
    }

    /// Whether it is without a user namespace.
    pub fn is_privileged(&self) -> bool {
        self.surroundings().1.privileged
    }

    /// The guest's groups and confinement.
    pub(super) fn directory(&self) -> std::path::PathBuf {
        self.0.dirs.run.clone()
    }

    /// Its control groups and its confinement.
    pub(super) fn surroundings(&self) -> (Vec<crate::runtime::spec::cgroup::Group>, Policy) {
        let record = self.record();
        (record.groups.clone(), record.policy.clone())
    }
}

impl Now {
    fn of(record: RunRecord, mut fds: Vec<OwnedFd>) -> Now {
        let init = record.init.and_then(process::find).map(Arc::new);
        Now { record: Arc::new(record), init, netlink: fds.pop().map(|socket| (socket, 0)) }
    }
}

/// Whether a process blocks a signal (`SigBlk` in `/proc/PID/status`).
fn blocks(pid: i32, number: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask =
        status.lines().find_map(|l| l.strip_prefix("SigBlk:")).and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}
