//! The composition root: start order, adoption, signals, shutdown, periodic tasks.
//!
//! ```text
//! directories -> lock -> store -> services -> socket -> pools and guests brought together -> serve -> autostart
//! ```
//!
//! `kill -9` is a normal way to end: every step converges at the next start.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::api::config;
use crate::runtime::certificates::Certificates;
use crate::runtime::events::Events;
use crate::runtime::https::{Arrived, Https};
use crate::runtime::images::service::Images;
use crate::runtime::instances::container::{self, cpus::CpuSet};
use crate::runtime::instances::{Host, Instances, Parts};
use crate::runtime::leases::Leases;
use crate::runtime::network::service::Networks;
use crate::runtime::operations::Operations;
use crate::runtime::pools::Pools;
use crate::runtime::profiles::Profiles;
use crate::runtime::projects::Projects;
use crate::runtime::server::{Listeners, Places, Server, Shutdown, ShutdownRequest};
use crate::runtime::sql::Sql;
use crate::runtime::warnings::Warnings;
use crate::runtime::{blocking, host};
use crate::store::Db;
use crate::task::spawn;
use crate::{Ctx, Error, Kind, Result};

mod directories;
mod logging;
mod on_disk;
mod rest;
mod services;
mod socket;

pub use directories::{lxd_dir, socket_path};
pub use on_disk::{OnDisk, on_disk};
pub use rest::Rest;
pub use services::Services;

/// What the command line of `lxd` asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The group of the socket.
    pub group: Option<String>,
    /// A file for the log.
    pub logfile: Option<PathBuf>,
    /// Whether the log goes to syslog.
    pub syslog: bool,
    /// Whether the log says everything.
    pub debug: bool,
    /// Whether the log says what happens normally.
    pub verbose: bool,
    /// Parts of the daemon whose every step is logged ([`logging::PARTS`]).
    pub trace: Vec<String>,
}

/// How often backups are looked at whose time may be over.
const EXPIRY: Duration = Duration::from_secs(60);

/// Something that goes on.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who serves the API with these services: `api::server`, which this module must not know.
#[derive(Clone, Copy)]
pub struct Api {
    /// On the unix socket.
    pub unix: fn(UnixListener, Arc<Services>) -> Task,
    /// On a connection of another machine.
    pub tls: fn(Arrived, Arc<Services>) -> Task,
}

/// Runs the daemon until it is told to end. Blocks.
///
/// # Errors
/// Whatever keeps it from starting, with a text for the operator.
pub fn run(options: &Options, api: Api) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .ctx(Kind::Internal, || "Failed starting the runtime")?;
    runtime.block_on(serve(options, api))
}

async fn serve(options: &Options, api: Api) -> Result<()> {
    let root = lxd_dir();
    directories::make(&root)?;
    let _lock = directories::lock(&root)?;
    let events = Events::default();
    logging::start(options, events.clone())?;
    let db = Db::open(&directories::database(&root))?;
    let (shutdown_tx, mut shutdown) = mpsc::channel(1);
    let services = Arc::new(compose(root, db, events, shutdown_tx)?);
    services.https.make_pair()?;
    // Weak: the services own the socket.
    let for_strangers = Arc::downgrade(&services);
    services.https.serve_with(Box::new(move |arrived| match for_strangers.upgrade() {
        Some(services) => (api.tls)(arrived, services),
        None => Box::pin(std::future::ready(())),
    }));
    let listener = listen(options)?;
    services.instances.reconcile_pools().await?;
    services.networks.converge().await?;
    services.instances.converge().await?;
    services.server.start_listening().await?;
    sweep(&services).await;
    let serving = spawn((api.unix)(listener, services.clone()));
    let background = spawn(after_start(services.clone()));
    let resting = spawn({
        let services = services.clone();
        async move { services.rest.run().await }
    });
    services.server.set_ready();
    tracing::info!("Daemon is ready");
    let reason = wait_for_end(&mut shutdown).await?;
    background.abort();
    resting.abort();
    end(&services, reason).await;
    serving.abort();
    services.instances.end_view().await;
    services.instances.leave_host();
    Ok(())
}

fn compose(root: PathBuf, db: Db, events: Events, shutdown: mpsc::Sender<ShutdownRequest>) -> Result<Services> {
    let places = Places { root: root.clone() };
    let (operations, leases) = (Operations::new(events.clone()), Leases::default());
    let pools = Pools::new(db.clone(), events.clone(), leases.clone(), root.clone())?;
    let https = Https::new(&root);
    let networks = Networks::new(db.clone(), events.clone(), leases.clone(), root);
    let images = Images::new(db.clone(), events.clone(), operations.clone(), pools.clone(), &places);
    let listeners = Listeners { networks: networks.clone(), https: https.clone() };
    let server = Server::new(db.clone(), events.clone(), &places, listeners, shutdown);
    let instances = Instances::new(Parts {
        db: db.clone(),
        events: events.clone(),
        operations: operations.clone(),
        leases: leases.clone(),
        pools: pools.clone(),
        images: images.clone(),
        networks: networks.clone(),
        places,
        host: host_facts()?,
    });
    Ok(Services {
        server,
        projects: Projects::new(db.clone()),
        profiles: Profiles::new(db.clone(), events.clone(), leases, instances.clone()),
        certificates: Certificates::new(db.clone(), events.clone()),
        sql: Sql::new(db.clone(), instances.clone(), operations.clone()),
        warnings: Warnings::new(db),
        https,
        rest: Rest::default(),
        events,
        operations,
        images,
        pools,
        networks,
        instances,
    })
}

fn host_facts() -> Result<Host> {
    Ok(Host {
        idmap: container::idmap::host_range()?,
        cpus: online_cpus(),
        memory: total_memory(),
        cgroups: crate::runtime::sys::cgroup::discover().ctx(Kind::Internal, || "Failed reading the control groups")?,
        architectures: host::environment::architectures(std::env::consts::ARCH),
    })
}

/// The processors that are online (`/sys/devices/system/cpu/online`); the first one when that can't be read.
fn online_cpus() -> CpuSet {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    CpuSet::parse(&list).filter(|set| !set.is_empty()).unwrap_or_else(|| [0].into_iter().collect())
}

/// Bytes of memory (sysinfo(2)).
fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

fn listen(options: &Options) -> Result<UnixListener> {
    if let Some(listener) = socket::inherited()? {
        return Ok(listener);
    }
    let gid = match &options.group {
        None => None,
        Some(name) => {
            let gid = host::accounts::group_id(&host::Tree::host(), name);
            Some(gid.ok_or_else(|| Error::invalid(format!("Group {name:?} doesn't exist")))?)
        }
    };
    socket::bind(&socket_path(), gid)
}

/// Removes what a crash has left of images, before anybody can upload one.
async fn sweep(services: &Services) {
    let (images, pools, instances) = (services.images.clone(), services.pools.clone(), services.instances.clone());
    if let Err(e) = blocking(move || images.sweep().and(pools.sweep_layers()).and(instances.sweep_backups())).await {
        tracing::warn!("Failed removing leftovers of images and backups: {}", e.chain());
    }
}

/// What may take longer than a start should.
async fn after_start(services: Arc<Services>) {
    let starting = async {
        if let Err(e) = services.instances.autostart(&services.warnings).await {
            tracing::warn!("Failed starting instances: {}", e.chain());
        }
    };
    services.instances.watch_apparmor(&services.warnings).await;
    let (instances, expiring) = (services.instances.clone(), services.instances.clone());
    tokio::join!(
        starting,
        services.pools.sweep_when_woken(),
        services.networks.watch(services.warnings.clone()),
        services.instances.watch_snapshots(),
        instances.keep_descriptions(),
        expire_backups(&expiring),
    );
}

/// Removes backups when their time is over.
async fn expire_backups(instances: &Instances) {
    loop {
        if let Err(e) = instances.expire_backups().await {
            tracing::warn!("Failed removing expired backups: {}", e.chain());
        }
        tokio::time::sleep(EXPIRY).await;
    }
}

/// Why the daemon ends.
enum End {
    /// A signal that leaves the guests running.
    Leave,
    /// The host goes down.
    HostDown,
    /// `lxd shutdown`, and whom to answer.
    Asked(Shutdown, oneshot::Sender<()>),
}

async fn wait_for_end(shutdown: &mut mpsc::Receiver<ShutdownRequest>) -> Result<End> {
    let on = |kind: SignalKind| signal(kind).ctx(Kind::Internal, || "Failed watching a signal");
    let (mut term, mut int, mut quit) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::quit())?);
    let mut power = on(SignalKind::from_raw(libc::SIGPWR))?;
    tokio::select! {
        _ = term.recv() => Ok(End::Leave),
        _ = int.recv() => Ok(End::Leave),
        _ = quit.recv() => Ok(End::Leave),
        _ = power.recv() => Ok(End::HostDown),
        Some((how, done)) = shutdown.recv() => Ok(End::Asked(how, done)),
    }
}

async fn end(services: &Services, reason: End) {
    match reason {
        End::Leave => tracing::info!("Ending; guests keep running"),
        End::HostDown => stop_all(services).await,
        End::Asked(how, done) => {
            if !how.force {
                drain(services, how.timeout).await;
            }
            stop_all(services).await;
            // The client may be gone.
            let _ = done.send(());
            // Lets the answer out.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn stop_all(services: &Services) {
    if let Err(e) = services.instances.stop_all().await {
        tracing::warn!("Failed stopping instances: {}", e.chain());
    }
}

/// Waits for running operations, at most the given time or `core.shutdown_timeout`.
async fn drain(services: &Services, timeout: Option<i64>) {
    let configured = services.server.config().ok();
    let minutes = configured.as_ref().and_then(|c| config::server::Config(c).integer("core.shutdown_timeout"));
    let seconds = timeout.or(minutes.map(|m| m * 60)).unwrap_or(300);
    let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let idle = async {
        while services.operations.running() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(limit, idle).await.is_err() {
        tracing::warn!("Ending although operations still run");
    }
}
