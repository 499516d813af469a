//! The helper process of a bridge (`lxbox net`) as the daemon sees it: started or adopted, told its plan, watched, restarted.
//!
//! ```text
//! ensure ─▶ adopt: record, same boot, alive ─▶ hello ─▶ set_plan ─▶ Running
//!    └────▶ start: spawn ─▶ ready ───────────────────────────────────▲ │
//!                                                      died: started again ┘
//! ```
//! The helper goes on when a [`Running`] is dropped: names and leases outlive the daemon. Only [`Running::stop`] ends it.

mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::runtime::spec::net::{FromNet, Mac, NetPlan, ToNet};
use crate::task::spawn;
use process::Server;

use crate::runtime::spec::net::Host;
pub use crate::runtime::spec::net::Lease;

/// A helper that lived shorter than this is started again only after a pause, which doubles.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// The first of those pauses, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// Where a network's helper has its things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetDirs {
    /// Its own directory (socket and record), made when missing (mode 0700), removed by [`Running::stop`]: `LXD_DIR/run/net-ID`.
    pub run: PathBuf,
    /// The lease file, made when missing together with its directory: `LXD_DIR/networks/NAME/dnsmasq.leases`.
    pub leases: PathBuf,
}

/// A bridge that is served.
#[derive(Debug)]
pub struct Running {
    state: Arc<Mutex<State>>,
    supervisor: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    plan: NetPlan,
    dirs: NetDirs,
    /// `None` while it could not be started.
    helper: Option<Server>,
}

/// Sees to it that the bridge is served by this plan: adopts the helper of an earlier daemon or starts one. Takes some milliseconds.
///
/// Errors: what the helper could not open (a port of DHCP that something else has on this bridge, a bridge that is not there).
pub async fn ensure(plan: &NetPlan, dirs: &NetDirs) -> Result<Running> {
    let helper = match process::adopt(plan, dirs).await? {
        Some(helper) => helper,
        None => process::start(plan, dirs).await?,
    };
    let state = State { plan: plan.clone(), dirs: dirs.clone(), helper: Some(helper) };
    let state = Arc::new(Mutex::new(state));
    let supervisor = spawn(supervise(state.clone()));
    Ok(Running { state, supervisor })
}

/// Ends what an earlier daemon left running for a network that is no more, and removes its run directory.
pub async fn forget(dirs: &NetDirs) -> Result<()> {
    process::bury(dirs).await
}

impl Running {
    /// Serves by another plan from now on. The helper is replaced where it must be; leases and names survive that.
    pub async fn update(&self, plan: &NetPlan) -> Result<()> {
        let mut state = self.state.lock().await;
        state.plan = plan.clone();
        state.apply().await
    }

    /// Serves these hosts from now on; nothing is asked when they are the same. `hosts` is called when it is this
    /// call's turn, so that what is told last is what was true last.
    pub async fn set_hosts(&self, hosts: impl FnOnce() -> Result<Vec<Host>>) -> Result<()> {
        let mut state = self.state.lock().await;
        let hosts = hosts()?;
        if state.plan.hosts == hosts && state.helper.is_some() {
            return Ok(());
        }
        state.plan.hosts = hosts;
        state.apply().await
    }

    /// All leases.
    pub async fn leases(&self) -> Result<Vec<Lease>> {
        self.state.lock().await.helper()?.leases().await
    }

    /// Forgets the leases of an interface that is no more.
    pub async fn release(&self, mac: Mac) -> Result<()> {
        match self.state.lock().await.helper()?.ask(&ToNet::Release { mac }).await? {
            FromNet::Done => Ok(()),
            other => Err(process::unexpected(&other)),
        }
    }

    /// What the helper can't do at the moment, in words: a port of DNS that something else has.
    pub async fn lacking(&self) -> Result<Vec<String>> {
        self.state.lock().await.helper()?.hello().await
    }

    /// The helper's process id; `None` while it is down.
    pub async fn pid(&self) -> Option<i32> {
        self.state.lock().await.helper.as_ref().map(Server::pid)
    }

    /// Ends it and removes its run directory; the lease file stays.
    pub async fn stop(self) -> Result<()> {
        self.supervisor.abort();
        let mut state = self.state.lock().await;
        if let Some(helper) = state.helper.take() {
            helper.stop().await;
        }
        process::bury(&state.dirs).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl State {
    fn helper(&mut self) -> Result<&mut Server> {
        let network = &self.plan.network;
        let down = || Error::new(Kind::Unavailable, format!("Network {network:?} has no server at the moment"));
        self.helper.as_mut().ok_or_else(down)
    }

    /// Makes a helper serve by the plan.
    async fn apply(&mut self) -> Result<()> {
        if let Some(helper) = &mut self.helper {
            match helper.set_plan(&self.plan).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(e) => tracing::warn!(network = %self.plan.network, "a network's server doesn't answer: {e}"),
            }
        }
        self.replace().await
    }

    /// Ends the helper, if there is one, and starts another.
    async fn replace(&mut self) -> Result<()> {
        if let Some(helper) = self.helper.take() {
            helper.stop().await;
        }
        self.helper = Some(process::start(&self.plan, &self.dirs).await?);
        Ok(())
    }
}

/// Starts the helper again whenever it dies. Ends only by being aborted.
async fn supervise(state: Arc<Mutex<State>>) {
    let mut pause = PAUSES.0;
    loop {
        let watched = state.lock().await.helper.as_ref().map(Server::watched);
        let since = Instant::now();
        if let Some(watched) = &watched
            && watched.reaped().await.is_err()
        {
            return;
        }
        pause = if since.elapsed() >= SHORT_LIFE { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        let mut locked = state.lock().await;
        // Somebody has replaced it meanwhile.
        let same = match (&locked.helper, &watched) {
            (Some(helper), Some(watched)) => Arc::ptr_eq(&helper.watched(), watched),
            (None, None) => true,
            _ => false,
        };
        if same && let Err(e) = revive(&mut locked).await {
            tracing::warn!(network = %locked.plan.network, "a network's server can't be started: {e}");
            locked.helper = None;
        }
        drop(locked);
        if pause > PAUSES.0 * 2 || watched.is_none() {
            tokio::time::sleep(pause).await;
        }
    }
}

async fn revive(state: &mut State) -> Result<()> {
    if state.helper.take().is_some() {
        tracing::warn!(network = %state.plan.network, "a network's server has died and is started again");
    }
    state.helper = Some(process::start(&state.plan, &state.dirs).await?);
    Ok(())
}
