//! The guests' view of `/proc`: the helper process behind it (`lxbox procfs`), started or adopted, watched, started again, ended.
//!
//! A host on which it can't be started (no `/dev/fuse`) has containers without it: they see the host's numbers.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::procfs::{MODE, SYSTEM_CALLS};
use crate::runtime::resident::{self, Home, NOBODY, Resident};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::procfs::{FromProcfs, Launch, RECORD, SOCKET, ToProcfs};
use crate::runtime::sys::{executable, seccomp, spawn};
use crate::task::spawn;

/// How often it is tried to start a helper again that died, and the pause between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// How long a host that can't have one isn't asked again: most will never have one, and starts of containers shouldn't wait for that.
const REFUSED: Duration = Duration::from_secs(60);

/// The helper of this host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct View(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    home: Home,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    served: Option<Served>,
    /// When it could not be started.
    refused: Option<Instant>,
}

#[derive(Debug)]
struct Served {
    helper: Resident,
    /// Kept so that the connection outlives both of the helper's processes.
    device: OwnedFd,
}

impl View {
    /// With its socket and record in `run`, a directory of its own that exists as long as the helper does.
    pub fn new(run: PathBuf) -> View {
        let home = Home { run, socket: SOCKET, record: RECORD, called: "The server of /proc" };
        View(Arc::new(Inner { home, state: Mutex::default() }))
    }

    /// Sees to it that there is one, and says where shims find it. `None`: this host can't have one, which is in the log.
    pub async fn ensure(&self) -> Option<PathBuf> {
        let mut state = self.0.state.lock().await;
        let refused = state.refused.is_some_and(|then| then.elapsed() < REFUSED);
        if state.served.is_none() && !refused {
            match self.obtain(None).await {
                Ok(served) => {
                    state.served = Some(served);
                    spawn(self.clone().watch());
                }
                Err(e) => {
                    if state.refused.replace(Instant::now()).is_none() {
                        tracing::warn!("Containers see the host's memory and processors: {}", e.chain());
                    }
                }
            }
        }
        state.served.as_ref().map(|_| self.0.home.run.clone())
    }

    /// Ends it, also one of an earlier daemon, when `unused` still holds.
    pub async fn end(&self, unused: impl Fn() -> bool) -> Result<()> {
        let mut state = self.0.state.lock().await;
        if !unused() {
            return Ok(());
        }
        let home = &self.0.home;
        if let Some(served) = state.served.take() {
            served.helper.stop::<FromProcfs>(&ToProcfs::Stop).await;
        } else if home.run.exists() {
            if let Some(helper) = Resident::find(home).await? {
                helper.stop::<FromProcfs>(&ToProcfs::Stop).await;
            }
            self.dismiss_orphan().await;
        }
        resident::sweep(home).await
    }

    /// The one that runs, or a new one that goes on with this device, or with that of one that is without its keeper.
    async fn obtain(&self, device: Option<OwnedFd>) -> Result<Served> {
        let home = &self.0.home;
        if device.is_none()
            && let Some(mut helper) = Resident::find(home).await?
        {
            if let Ok((FromProcfs::Ready { version: VERSION, .. }, fds)) = helper.ask(&ToProcfs::Hello, &[]).await
                && let Some(device) = fds.into_iter().next()
            {
                return Ok(Served { helper, device });
            }
            // It may be of a newer program: what guests have of it stays for the next one.
            return Err(Error::new(Kind::Unavailable, "The server of /proc doesn't answer as it should"));
        }
        let device = match device {
            Some(device) => Some(device),
            None => self.orphans_device().await,
        };
        let served = self.start(device).await?;
        Ok(served)
    }

    async fn start(&self, device: Option<OwnedFd>) -> Result<Served> {
        let failed = || "Failed starting the server of /proc";
        let launch = Launch { version: VERSION, user: Some(NOBODY), seccomp: filter()? };
        let plan = serde_json::to_vec(&launch).ctx(Kind::Internal, failed)?;
        let (home, orphan) = (self.0.home.clone(), resident::connect(&self.0.home).await.ok());
        let (socket, spawned) = blocking(move || spawn_helper(&plan, &home, device)).await?;
        let mut helper = Resident::started(spawned, socket, &self.0.home)?;
        match helper.hear().await {
            Ok((FromProcfs::Ready { fresh, .. }, fds)) => {
                if let Some(orphan) = orphan {
                    let _ = orphan.send(&ToProcfs::Stop, &[]).await;
                }
                if fresh {
                    tracing::debug!("A new view of /proc");
                }
                let none = || Error::internal("The server of /proc gave no device");
                Ok(Served { helper, device: fds.into_iter().next().ok_or_else(none)? })
            }
            Ok((FromProcfs::Failed { errno, what }, _)) => {
                helper.reaped().await?;
                Err(resident::failed(failed(), errno, &what))
            }
            other => {
                helper.kill().await;
                other?;
                Err(Error::internal("The server of /proc said what it should not"))
            }
        }
    }

    /// The device of a helper whose keeper is dead.
    async fn orphans_device(&self) -> Option<OwnedFd> {
        let link = resident::connect(&self.0.home).await.ok()?;
        link.send(&ToProcfs::Hello, &[]).await.ok()?;
        match tokio::time::timeout(PAUSE, link.receive::<FromProcfs>()).await {
            Ok(Ok(Some((FromProcfs::Ready { .. }, fds)))) => fds.into_iter().next(),
            _ => None,
        }
    }

    async fn dismiss_orphan(&self) {
        if let Ok(link) = resident::connect(&self.0.home).await
            && link.send(&ToProcfs::Stop, &[]).await.is_ok()
        {
            let _ = tokio::time::timeout(PAUSE, link.receive::<FromProcfs>()).await;
        }
    }

    /// Starts it again, with the device of the one before, whenever it dies. Ends with it.
    async fn watch(self) {
        loop {
            let Some(watched) = self.0.state.lock().await.served.as_ref().map(|served| served.helper.watched()) else {
                return;
            };
            if watched.reaped().await.is_err() {
                return;
            }
            let mut state = self.0.state.lock().await;
            // Ended, or another one already.
            let dead = |served: &mut Served| Arc::ptr_eq(&served.helper.watched(), &watched);
            let Some(served) = state.served.take_if(dead) else { return };
            tracing::warn!("The server of /proc has died and is started again");
            for _ in 0..TRIES {
                let device = served.device.try_clone().ok();
                match self.obtain(device).await {
                    Ok(served) => {
                        state.served = Some(served);
                        break;
                    }
                    Err(e) => tracing::warn!("{}", e.chain()),
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn spawn_helper(plan: &[u8], home: &Home, device: Option<OwnedFd>) -> Result<(OwnedFd, spawn::Spawned)> {
    let (run, failed) = (&home.run, || "Failed starting the server of /proc");
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(run).ctx(Kind::Internal, || format!("Failed creating {run:?}"))?;
    let directory = fs::File::open(run).ctx(Kind::Internal, || format!("Failed opening {run:?}"))?;
    // An earlier device that isn't there is no device, which the helper finds out.
    let more = [Some(directory.as_fd()), device.as_ref().map(AsFd::as_fd)];
    executable::with_plan(plan, &more, |fds| executable::start(&["lxbox", MODE], fds, None)).ctx(Kind::Internal, failed)
}

/// The helper's seccomp filter, compiled once for the life of the process.
fn filter() -> Result<String> {
    static FILTER: OnceLock<String> = OnceLock::new();
    seccomp::compile_allowed_once(&FILTER, SYSTEM_CALLS)
}
