//! The server itself: its configuration, the facts it tells about its host, readiness and shutdown.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::api::config;
use crate::api::types::{
    Cluster, ClusterMemberConfigKey, ConfigMap, EventRequestor, ServerEnvironment, ServerStorageDriverInfo,
};
use crate::order::Gather;
use crate::runtime::events::Events;
use crate::runtime::host::environment::Facts;
use crate::runtime::https::Https;
use crate::runtime::network::service::Networks;
use crate::runtime::{host, storage};
use crate::store::records::ServerConfigRecord;
use crate::store::{Db, Read, repo};
use crate::{Error, Result};

/// The LXD version that clients see.
pub const LXD_VERSION: &str = "5.0.2";

/// How the daemon is to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shutdown {
    /// Whether to end even while operations run.
    pub force: bool,
    /// Seconds to wait for running operations.
    pub timeout: Option<i64>,
}

/// A wish to end, and whom to tell once the instances are down.
pub type ShutdownRequest = (Shutdown, oneshot::Sender<()>);

/// Who listens where the server's configuration says.
#[derive(Clone)]
pub struct Listeners {
    /// The server of zones' names.
    pub networks: Networks,
    /// The API for other machines.
    pub https: Https,
}

/// What answers say to browsers about pages of other servers (CORS); LXD's keys are the headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `Access-Control-Allow-Credentials: true`.
    pub credentials: bool,
    /// Names and values of headers for requests that name an origin; none when no origin is allowed.
    pub headers: Vec<(&'static str, String)>,
}

impl Cors {
    fn of(config: config::server::Config<'_>) -> Cors {
        let mut headers = Vec::new();
        if let Some(origin) = config.get("core.https_allowed_origin") {
            headers.push(("access-control-allow-origin", origin.to_owned()));
            for (name, key) in [
                ("access-control-allow-methods", "core.https_allowed_methods"),
                ("access-control-allow-headers", "core.https_allowed_headers"),
            ] {
                headers.extend(config.get(key).map(|value| (name, value.to_owned())));
            }
        }
        Cors { credentials: config.bool("core.https_allowed_credentials"), headers }
    }
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    db: Db,
    events: Events,
    facts: Arc<OnceLock<Facts>>,
    root: PathBuf,
    ready: Arc<AtomicBool>,
    shutdown: mpsc::Sender<ShutdownRequest>,
    listeners: Listeners,
    cors: Arc<RwLock<Arc<Cors>>>,
    /// Held by who changes the configuration: what it says is carried out in the same order.
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl Server {
    /// Over this store; who wants the daemon to end is passed on to `shutdown`.
    pub fn new(
        db: Db,
        events: Events,
        places: &Places,
        listeners: Listeners,
        shutdown: mpsc::Sender<ShutdownRequest>,
    ) -> Server {
        let root = places.root.clone();
        let (facts, ready, cors, changing) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        Server { db, events, facts, root, ready, shutdown, listeners, cors, changing }
    }

    /// The server's configuration; of a password there is what is kept of it.
    pub fn config(&self) -> Result<ConfigMap> {
        self.db.view(read)
    }

    /// Changes the configuration; `decide` gets the present one and may run several times.
    ///
    /// # Errors
    /// Those of `decide`; [`crate::Kind::Invalid`] with LXD's text for unknown keys and wrong values. What the host
    /// refuses is taken back.
    pub async fn set_config(
        &self,
        decide: impl Fn(&ConfigMap) -> Result<ConfigMap> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let _alone = self.changing.lock().await;
        let before = self.config()?;
        self.write(|present| {
            let mut after = decide(present)?;
            config::server::validate(&after)?;
            after.retain(|_, value| !value.is_empty());
            Ok(after)
        })
        .await?;
        if let Err(e) = self.listen().await {
            self.write(|_| Ok(before.clone())).await?;
            if let Err(again) = self.listen().await {
                tracing::warn!("Failed listening where it was before: {}", again.chain());
            }
            return Err(e);
        }
        self.events.announce(repo::DEFAULT, "config-updated", "/1.0".into(), &by);
        Ok(())
    }

    async fn write(&self, decide: impl Fn(&ConfigMap) -> Result<ConfigMap> + Sync) -> Result<()> {
        let written = self.db.transact(|tx| {
            let before = read(tx)?;
            let after = decide(&before)?;
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                tx.delete::<ServerConfigRecord>(key)?;
            }
            for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
                tx.put(&ServerConfigRecord { key: key.clone(), value: value.clone() })?;
            }
            Ok(())
        });
        written.await.map(|_| ())
    }

    /// Listens where the configuration says.
    async fn listen(&self) -> Result<()> {
        let config = self.config()?;
        let config = config::server::Config(&config);
        self.set_cors(config);
        self.listeners.networks.listen_dns(config.get("core.dns_address")).await?;
        self.listeners.https.listen(config.get("core.https_address")).await
    }

    fn set_cors(&self, config: config::server::Config<'_>) {
        *self.cors.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Cors::of(config));
    }

    /// What answers say to browsers.
    pub fn cors(&self) -> Arc<Cors> {
        self.cors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to listen where the configuration says. An address that isn't there yet is waited for.
    pub async fn start_listening(&self) -> Result<()> {
        let config = self.config()?;
        let config = config::server::Config(&config);
        self.set_cors(config);
        self.listeners.networks.listen_dns_at_last(config.get("core.dns_address")).await;
        self.listeners.https.listen_at_last(config.get("core.https_address")).await;
        Ok(())
    }

    /// Facts about the server and its host; `drivers` are the storage drivers that pools use.
    ///
    /// The first call probes the kernel, which takes some milliseconds; it blocks for so long.
    ///
    /// # Errors
    /// When the certificate can't be read.
    pub fn environment(&self, config: &ConfigMap, drivers: &[&'static str]) -> Result<ServerEnvironment> {
        let certificate = self.listeners.https.certificate()?;
        let address = config::server::Config(config).get("core.https_address");
        let mut facts = ServerEnvironment {
            driver: "lxc".into(),
            driver_version: LXD_VERSION.into(),
            server: "lxd".into(),
            server_event_mode: "full-mesh".into(),
            server_pid: i64::from(std::process::id()),
            server_version: LXD_VERSION.into(),
            addresses: self.listeners.https.reachable(address),
            certificate: certificate.pem(),
            certificate_fingerprint: certificate.fingerprint(),
            ..ServerEnvironment::default()
        };
        self.facts.get_or_init(|| self.probe()).apply(&mut facts);
        let supported = storage::supported(&self.root);
        let versions = drivers.iter().filter_map(|d| storage::DRIVERS.iter().find(|s| s.name == *d)).map(|s| s.version);
        facts.storage = drivers.join(" | ");
        facts.storage_version = versions.collect::<Vec<_>>().join(" | ");
        facts.storage_supported_drivers = supported
            .iter()
            .map(|d| ServerStorageDriverInfo { name: d.name.into(), version: d.version.into(), remote: d.remote })
            .collect();
        Ok(facts)
    }

    fn probe(&self) -> Facts {
        let tree = host::Tree::host();
        let features = host::features::kernel_features(&host::features::Probe::new(tree.clone(), &self.root));
        host::environment::facts(&tree, features)
    }

    /// What a joining member would have to give for each pool.
    pub fn cluster(&self) -> Result<Cluster> {
        let pools = self.db.view(repo::pools::list)?;
        let key = |name: String| ClusterMemberConfigKey {
            entity: "storage-pool".into(),
            key: "source".into(),
            value: String::new(),
            description: format!("\"source\" property for storage pool {name:?}"),
            name,
        };
        let member_config = pools.into_iter().map(|p| key(p.name)).collect();
        Ok(Cluster { server_name: String::new(), enabled: false, member_config })
    }

    /// Whether start-up is complete.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says that start-up is complete.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Ends the daemon; returns once the instances are down.
    pub async fn shut_down(&self, how: Shutdown) {
        let (done, stopped) = oneshot::channel();
        if self.shutdown.send((how, done)).await.is_ok() {
            // The daemon ends either way; a lost answer means it has.
            let _ = stopped.await;
        }
    }
}

fn read(r: &impl Read) -> Result<ConfigMap> {
    Ok(r.scan_all::<ServerConfigRecord>()?.into_iter().map(|c| (c.key, c.value)).gather())
}

/// Places in `LXD_DIR`.
#[derive(Clone, Debug)]
pub struct Places {
    /// `LXD_DIR`.
    pub root: PathBuf,
}

impl Places {
    /// The console log, `lxc.log` and recorded output of an instance.
    pub fn logs(&self, project: &str, name: &str) -> PathBuf {
        self.root.join("logs").join(instance_directory(project, name))
    }

    /// What the shim of an instance keeps between daemons; by id, so that a rename doesn't move it.
    pub fn run(&self, id: u64) -> PathBuf {
        self.root.join("run").join(id.to_string())
    }

    /// What the helper behind the guests' view of `/proc` keeps between daemons.
    pub fn view(&self) -> PathBuf {
        self.root.join("run/procfs")
    }

    /// Backups of instances.
    pub fn backups(&self) -> PathBuf {
        self.root.join("backups/instances")
    }

    /// Image files.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }
}

/// `NAME`, or `PROJECT_NAME` outside the default project.
pub fn instance_directory(project: &str, name: &str) -> String {
    match project {
        "" | "default" => name.into(),
        project => format!("{project}_{name}"),
    }
}

/// Waits at most this long for running operations when the daemon is told to end, unless told otherwise.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(5 * 60);

/// The error for what a host in the middle of a shutdown is asked.
pub fn shutting_down() -> Error {
    Error::new(crate::Kind::Unavailable, "LXD is shutting down")
}
