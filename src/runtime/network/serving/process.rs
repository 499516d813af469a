//! One helper process: starting, adopting, asking and ending it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{Lease, NetDirs};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::net::{MODE, SYSTEM_CALLS};
use crate::runtime::resident::{self, Home, NOBODY, Resident};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::net::{FromNet, NetLaunch, NetPlan, RECORD, SOCKET, ToNet};
use crate::runtime::sys::link::Watched;
use crate::runtime::sys::{executable, memfd, seccomp, spawn};

/// A living helper.
#[derive(Debug)]
pub(super) struct Server(Resident);

fn home(dirs: &NetDirs) -> Home {
    Home { run: dirs.run.clone(), socket: SOCKET, record: RECORD, called: "A network's server" }
}

/// Starts a helper and waits until it serves.
pub(super) async fn start(plan: &NetPlan, dirs: &NetDirs) -> Result<Server> {
    let launch = NetLaunch { plan: plan.clone(), user: Some(NOBODY), seccomp: filter()? };
    let failed = || format!("Failed starting the server of network {:?}", plan.network);
    let text = serde_json::to_vec(&launch).ctx(Kind::Internal, failed)?;
    let (bridge, own) = (plan.bridge.clone(), dirs.clone());
    let (socket, spawned) = blocking(move || spawn_helper(&text, &bridge, &own)).await?;
    let mut helper = Resident::started(spawned, socket, &home(dirs))?;
    match helper.hear().await {
        Ok((FromNet::Ready { lacking, .. }, _)) => {
            for what in lacking {
                tracing::warn!(network = %plan.network, "not served: {what}");
            }
            Ok(Server(helper))
        }
        Ok((FromNet::Failed { errno, what }, _)) => {
            helper.reaped().await?;
            Err(resident::failed(&failed(), errno, &what))
        }
        other => {
            helper.kill().await;
            Err(match other {
                Ok((message, _)) => unexpected(&message),
                Err(e) => Error::new(e.kind(), format!("{}: {e}", failed())),
            })
        }
    }
}

/// The helper of an earlier daemon, serving by this plan; `None` when there is none that can.
pub(super) async fn adopt(plan: &NetPlan, dirs: &NetDirs) -> Result<Option<Server>> {
    let Some(mut helper) = Resident::find(&home(dirs)).await?.map(Server) else { return Ok(None) };
    let adopted = match helper.ask(&ToNet::Hello { version: VERSION }).await {
        // One that lacks something is replaced: perhaps a new one finds the port free, and it costs some milliseconds.
        Ok(FromNet::Ready { version: VERSION, lacking }) if lacking.is_empty() => {
            helper.set_plan(plan).await.unwrap_or(false)
        }
        _ => false,
    };
    if adopted {
        return Ok(Some(helper));
    }
    helper.stop().await;
    Ok(None)
}

/// Ends whatever serves there and removes the run directory.
pub(super) async fn bury(dirs: &NetDirs) -> Result<()> {
    let home = home(dirs);
    if let Some(helper) = Resident::find(&home).await? {
        Server(helper).stop().await;
    }
    resident::sweep(&home).await
}

impl Server {
    /// Its process id.
    pub(super) fn pid(&self) -> i32 {
        self.0.pid
    }

    /// Its process, for watching.
    pub(super) fn watched(&self) -> Arc<Watched> {
        self.0.watched()
    }

    /// Asks one thing.
    pub(super) async fn ask(&mut self, request: &ToNet) -> Result<FromNet> {
        Ok(self.0.ask(request, &[]).await?.0)
    }

    /// What it can't do at the moment.
    pub(super) async fn hello(&mut self) -> Result<Vec<String>> {
        match self.ask(&ToNet::Hello { version: VERSION }).await? {
            FromNet::Ready { lacking, .. } => Ok(lacking),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes it serve by this plan; false when another helper is needed for that.
    pub(super) async fn set_plan(&mut self, plan: &NetPlan) -> Result<bool> {
        let failed = || format!("Failed writing the plan of network {:?}", plan.network);
        let text = serde_json::to_vec(plan).ctx(Kind::Internal, failed)?;
        let memfd = memfd::sealed("plan", &text).ctx(Kind::Internal, failed)?;
        match self.0.ask(&ToNet::SetPlan, &[memfd.as_fd()]).await?.0 {
            FromNet::Done => Ok(true),
            // `unknown`: a plan that an older helper can't read.
            FromNet::Restart | FromNet::Unknown => Ok(false),
            other => Err(unexpected(&other)),
        }
    }

    /// All leases.
    pub(super) async fn leases(&mut self) -> Result<Vec<Lease>> {
        let mut all = Vec::new();
        let mut answer = self.ask(&ToNet::Leases).await?;
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
            answer = self.0.hear().await?.0;
        }
    }

    /// Ends it; by force when it doesn't by itself.
    pub(super) async fn stop(self) {
        self.0.stop::<FromNet>(&ToNet::Stop).await;
    }
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
    seccomp::compile_allowed_once(&FILTER, SYSTEM_CALLS)
}
