//! One helper process: starting, adopting, asking and ending it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Lease, NetDirs};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::net::{MODE, SYSTEM_CALLS};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::net::{FromNet, NetLaunch, NetPlan, NetRecord, RECORD, SOCKET, ToNet};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{channel, executable, memfd, process, seccomp, spawn};

/// Whoever owns nothing, everywhere: below all ranges of ids that guests have.
const NOBODY: u32 = 65534;
/// How long a helper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A living helper.
#[derive(Debug)]
pub(super) struct Server {
    /// Its process id.
    pub(super) pid: i32,
    process: Arc<Watched>,
    /// Taken out while a request is under way: one that was given up leaves an answer behind, so the connection is not used again.
    link: Option<Link>,
    dirs: NetDirs,
}

/// Starts a helper and waits until it serves.
pub(super) async fn start(plan: &NetPlan, dirs: &NetDirs) -> Result<Server> {
    let launch = NetLaunch { plan: plan.clone(), user: Some(NOBODY), seccomp: filter()? };
    let failed = || format!("Failed starting the server of network {:?}", plan.network);
    let text = serde_json::to_vec(&launch).ctx(Kind::Internal, failed)?;
    let (bridge, own) = (plan.bridge.clone(), dirs.clone());
    let (socket, spawned) = blocking(move || spawn_helper(&text, &bridge, &own)).await?;
    let link = Link::new(socket)?;
    let process = Arc::new(Watched::new(spawned.pidfd)?);
    let mut helper = Server { pid: spawned.pid, process, link: Some(link), dirs: dirs.clone() };
    match helper.hear().await {
        Ok(FromNet::Ready { lacking, .. }) => {
            for what in lacking {
                tracing::warn!(network = %plan.network, "not served: {what}");
            }
            Ok(helper)
        }
        Ok(FromNet::Failed { errno, what }) => {
            helper.process.reaped().await?;
            let source = if errno == 0 { String::new() } else { format!(": {}", io::Error::from_raw_os_error(errno)) };
            Err(Error::internal(format!("{}: {what}{source}", failed())))
        }
        other => {
            helper.kill().await;
            Err(match other {
                Ok(message) => unexpected(&message),
                Err(e) => Error::new(e.kind(), format!("{}: {e}", failed())),
            })
        }
    }
}

/// The helper of an earlier daemon, serving by this plan; `None` when there is none that can.
pub(super) async fn adopt(plan: &NetPlan, dirs: &NetDirs) -> Result<Option<Server>> {
    let Some(mut helper) = find(dirs).await? else { return Ok(None) };
    let adopted = match helper.ask(&ToNet::Hello { version: VERSION }, &[]).await {
        // One that lacks something is replaced: perhaps a new one finds the port free, and it costs some milliseconds.
        Ok(FromNet::Ready { version: VERSION, lacking }) if lacking.is_empty() => {
            helper.set_plan(plan).await.unwrap_or(false)
        }
        _ => false,
    };
    if adopted {
        return Ok(Some(helper));
    }
    helper.stop().await?;
    Ok(None)
}

/// Ends whatever serves there and removes the run directory.
pub(super) async fn bury(dirs: &NetDirs) -> Result<()> {
    if let Some(helper) = find(dirs).await? {
        helper.stop().await?;
    }
    let run = dirs.run.clone();
    blocking(move || match fs::remove_dir_all(&run) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed removing {run:?}"))
        }
        _ => Ok(()),
    })
    .await
}

/// The living helper that the record names.
async fn find(dirs: &NetDirs) -> Result<Option<Server>> {
    let run = dirs.run.clone();
    let found = blocking(move || {
        let Some(record) = read_record(&run)? else { return Ok(None) };
        let boot_id = process::boot_id().ctx(Kind::Internal, || "Failed reading the boot id")?;
        let pidfd = process::find(record.process).filter(|_| record.boot_id == boot_id);
        Ok(pidfd.map(|pidfd| (record.process.pid, pidfd)))
    })
    .await?;
    let Some((pid, pidfd)) = found else { return Ok(None) };
    Ok(Some(Server { pid, process: Arc::new(Watched::new(pidfd)?), link: None, dirs: dirs.clone() }))
}

fn read_record(run: &Path) -> Result<Option<NetRecord>> {
    let path = run.join(RECORD);
    match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // One that can't be read is of no use; the helper behind it, if any, loses its ports to no one but us.
        text => Ok(serde_json::from_slice(&text.ctx(Kind::Internal, || format!("Failed reading {path:?}"))?).ok()),
    }
}

impl Server {
    /// Its process, for watching.
    pub(super) fn watched(&self) -> Arc<Watched> {
        self.process.clone()
    }

    /// Asks one thing. Any error closes the connection; the next request makes another.
    pub(super) async fn ask(&mut self, request: &ToNet, fds: &[BorrowedFd<'_>]) -> Result<FromNet> {
        let link = self.connection().await?;
        let asked = async {
            link.send(request, fds).await?;
            hear(&link).await
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.map_err(|_| silent())??;
        self.link = Some(link);
        Ok(answer)
    }

    /// What it can't do at the moment.
    pub(super) async fn hello(&mut self) -> Result<Vec<String>> {
        match self.ask(&ToNet::Hello { version: VERSION }, &[]).await? {
            FromNet::Ready { lacking, .. } => Ok(lacking),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes it serve by this plan; false when another helper is needed for that.
    pub(super) async fn set_plan(&mut self, plan: &NetPlan) -> Result<bool> {
        let failed = || format!("Failed writing the plan of network {:?}", plan.network);
        let text = serde_json::to_vec(plan).ctx(Kind::Internal, failed)?;
        let memfd = memfd::sealed("plan", &text).ctx(Kind::Internal, failed)?;
        match self.ask(&ToNet::SetPlan, &[memfd.as_fd()]).await? {
            FromNet::Done => Ok(true),
            // `unknown`: a plan that an older helper can't read.
            FromNet::Restart | FromNet::Unknown => Ok(false),
            other => Err(unexpected(&other)),
        }
    }

    /// All leases.
    pub(super) async fn leases(&mut self) -> Result<Vec<Lease>> {
        let mut all = Vec::new();
        let mut answer = self.ask(&ToNet::Leases, &[]).await?;
        loop {
            match answer {
                FromNet::Leases { leases, more } => {
                    all.extend(leases);
                    if !more {
                        return Ok(all);
                    }
                }
                other => return Err(unexpected(&other)),
            }
            answer = self.hear().await?;
        }
    }

    /// Ends it; by force when it doesn't by itself.
    pub(super) async fn stop(mut self) -> Result<()> {
        let asked = self.ask(&ToNet::Stop, &[]).await;
        let ended = tokio::time::timeout(PATIENCE, self.process.reaped());
        if asked.is_err() || ended.await.is_err() {
            self.kill().await;
        }
        Ok(())
    }

    async fn kill(&self) {
        let _ = process::kill(self.process.fd());
        let _ = self.process.reaped().await;
    }

    async fn hear(&mut self) -> Result<FromNet> {
        let Some(link) = self.link.take() else { return Err(silent()) };
        let answer = tokio::time::timeout(PATIENCE, hear(&link)).await.map_err(|_| silent())??;
        self.link = Some(link);
        Ok(answer)
    }

    async fn connection(&mut self) -> Result<Link> {
        if let Some(link) = self.link.take() {
            return Ok(link);
        }
        let run = self.dirs.run.clone();
        let socket = blocking(move || {
            let directory = fs::File::open(&run).ctx(Kind::Unavailable, || format!("Failed opening {run:?}"))?;
            channel::connect(directory.as_fd(), SOCKET)
                .ctx(Kind::Unavailable, || "Failed connecting to a network's server")
        })
        .await?;
        Link::new(socket)
    }
}

async fn hear(link: &Link) -> Result<FromNet> {
    let gone = || Error::new(Kind::Unavailable, "A network's server has died");
    Ok(link.receive::<FromNet>().await?.ok_or_else(gone)?.0)
}

fn silent() -> Error {
    Error::new(Kind::Unavailable, "A network's server doesn't answer")
}

pub(super) fn unexpected(message: &FromNet) -> Error {
    Error::internal(format!("A network's server said what it should not: {message:?}"))
}

fn spawn_helper(plan: &[u8], bridge: &str, dirs: &NetDirs) -> Result<(OwnedFd, spawn::Spawned)> {
    let (run, leases) = (&dirs.run, &dirs.leases);
    let making = |path: &Path| format!("Failed creating {path:?}");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(run).ctx(Kind::Internal, || making(run))?;
    if let Some(parent) = leases.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(parent).ctx(Kind::Internal, || making(parent))?;
    }
    let mut options = fs::File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    let leases = options.open(leases).ctx(Kind::Internal, || format!("Failed opening {leases:?}"))?;
    let failed = || format!("Failed starting the server of {bridge:?}");
    let directory = fs::File::open(run).ctx(Kind::Internal, || format!("Failed opening {run:?}"))?;
    let more = [Some(directory.as_fd()), Some(leases.as_fd())];
    executable::with_plan(plan, &more, |fds| executable::start(&["lxbox", MODE, bridge], fds, None))
        .ctx(Kind::Internal, failed)
}

/// The helpers' seccomp filter, compiled once for the life of the process.
fn filter() -> Result<String> {
    static FILTER: OnceLock<String> = OnceLock::new();
    if let Some(filter) = FILTER.get() {
        return Ok(filter.clone());
    }
    let filter = seccomp::compile_allowed(SYSTEM_CALLS)?;
    Ok(FILTER.get_or_init(|| filter).clone())
}
