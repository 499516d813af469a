//! Networks as the API has them: records, and the bridges of the host behind them.
//!
//! A change is committed first and then carried out on the host; what can't be carried out is taken back. Whatever a
//! crash leaves in between, the next start brings the host to what the records say (`start`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::apply::{self, Before};
use super::bridge::{Bridge, tunnel_link};
use super::plan::{self, Facts};
use super::serve;
use super::serving::{self, NetDirs, Running};
use crate::api::types::{ConfigMap, Network};
use crate::order::Gather;
use crate::runtime::events::Events;
use crate::runtime::leases::Leases;
use crate::runtime::spec::net::NetPlan;
use crate::runtime::sys::fault;
use crate::runtime::{blocking, host, url};
use crate::store::records::{NetworkRecord, Phase};
use crate::store::repo::{self, DEFAULT, User};
use crate::store::{Db, Read};
use crate::{Ctx, Error, Kind, Result};

mod acls;
mod addressing;
mod check;
mod create;
mod delete;
mod dns;
mod dns_listen;
mod forwards;
mod leases;
pub mod nics;
mod rename;
mod start;
mod update;
mod zones;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    db: Db,
    events: Events,
    leases: Leases,
    lxd_dir: Arc<PathBuf>,
    /// The helpers of the bridges that are served, by network.
    serving: Arc<Mutex<BTreeMap<u64, Arc<Running>>>>,
    /// Networks that could not be brought up, and why.
    down: Arc<Mutex<BTreeMap<u64, String>>>,
    /// Held while an address is chosen for a device.
    addressing: Arc<tokio::sync::Mutex<()>>,
    /// The server of zones.
    dns: Arc<dns_listen::Dns>,
}

impl Networks {
    /// Over these; folders of networks are below `lxd_dir`.
    pub fn new(db: Db, events: Events, leases: Leases, lxd_dir: PathBuf) -> Networks {
        Networks {
            db,
            events,
            leases,
            lxd_dir: Arc::new(lxd_dir),
            serving: Arc::default(),
            down: Arc::default(),
            addressing: Arc::default(),
            dns: Arc::default(),
        }
    }

    /// The networks of a project by name, and behind them the host's own interfaces, which projects share.
    pub async fn list(&self, project: &str) -> Result<Vec<Network>> {
        let place = self.place(project)?;
        let mut networks = self.db.view(|v| {
            let records = repo::networks::list(v, Some(&place))?;
            records.into_iter().map(|n| self.show(v, n)).collect::<Result<Vec<_>>>()
        })?;
        if place != DEFAULT {
            return Ok(networks);
        }
        let ours: BTreeSet<String> = networks.iter().map(|n| n.name.clone()).gather();
        let links = blocking(|| Ok(host::networks::list(&host::Tree::host()))).await?;
        for link in links.into_iter().filter(|link| !ours.contains(&link.name)) {
            networks.push(self.with_users(link)?);
        }
        Ok(networks)
    }

    /// One network, or an interface of the host.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn get(&self, project: &str, name: &str) -> Result<Network> {
        let place = self.place(project)?;
        let ours = self.db.view(|v| match repo::networks::by_name(v, &place, name) {
            Ok(record) => self.show(v, record).map(Some),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        })?;
        match ours {
            Some(network) => Ok(network),
            None if place != DEFAULT => Err(Error::not_found("Network not found")),
            None => {
                let name = name.to_owned();
                self.with_users(blocking(move || host::networks::get(&host::Tree::host(), &name)).await?)
            }
        }
    }

    /// The project whose networks a project uses: its own only when it says so (`features.networks`).
    fn place(&self, project: &str) -> Result<String> {
        let record = self.db.view(|v| repo::projects::by_name(v, project))?;
        let own = record.config.get("features.networks").is_some_and(|v| crate::api::config::is_true(v));
        Ok(if own { record.name } else { DEFAULT.into() })
    }

    /// The record of a network that we manage.
    ///
    /// # Errors
    /// [`Kind::NotFound`], also for the host's own.
    fn load(&self, project: &str, name: &str) -> Result<NetworkRecord> {
        let place = self.place(project)?;
        self.db.view(|v| repo::networks::by_name(v, &place, name)).map_err(not_loaded)
    }

    /// The type of a network that we manage.
    ///
    /// # Errors
    /// [`Kind::NotFound`], also for the host's own.
    pub fn kind(&self, project: &str, name: &str) -> Result<String> {
        Ok(self.load(project, name)?.kind)
    }

    fn show(&self, r: &impl Read, n: NetworkRecord) -> Result<Network> {
        let used_by = users(r, &n.name)?;
        let down = self.down().contains_key(&n.id);
        let mut network = plain(n);
        if down {
            network.status = "Unavailable".into();
        }
        Ok(Network { used_by, ..network })
    }

    fn with_users(&self, link: Network) -> Result<Network> {
        let used_by = self.db.view(|v| users(v, &link.name))?;
        Ok(Network { used_by, ..link })
    }

    fn down(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a network (`LXD_DIR/networks/NAME`).
    fn folder(&self, name: &str) -> PathBuf {
        self.lxd_dir.join("networks").join(name)
    }

    /// Makes the host be what a network's records say; `before` is what a change takes away.
    async fn bring_up(&self, facts: Facts, before: Before) -> Result<()> {
        let (id, name) = (facts.network.id, facts.network.name.clone());
        let folder = self.folder(&name);
        let served = blocking(move || {
            directory(&folder)?;
            if facts.network.kind != "bridge" {
                return Ok(None);
            }
            let plan = plan::bridge(&facts)?;
            let index = apply::apply(&plan, &before)?;
            Ok(serve::plan(&facts, &plan, index))
        });
        self.serve(id, &name, served.await?).await?;
        fault("network.apply.served");
        self.down().remove(&id);
        Ok(())
    }

    /// Has a bridge served by this plan, or by nobody.
    async fn serve(&self, id: u64, name: &str, plan: Option<NetPlan>) -> Result<()> {
        let running = self.serving().remove(&id);
        let dirs = self.net_dirs(id, name);
        match (running, plan) {
            (Some(running), Some(plan)) => {
                let updated = running.update(&plan).await;
                self.serving().insert(id, running);
                updated
            }
            (None, Some(plan)) => {
                let running = serving::ensure(&plan, &dirs).await?;
                self.serving().insert(id, Arc::new(running));
                Ok(())
            }
            (Some(running), None) => alone(running).await.stop().await,
            (None, None) => serving::forget(&dirs).await,
        }
    }

    fn net_dirs(&self, id: u64, name: &str) -> NetDirs {
        let run = self.lxd_dir.join("run").join(format!("net-{id}"));
        NetDirs { run, leases: self.folder(name).join("dnsmasq.leases") }
    }

    fn serving(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Running>>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything of a network off the host, and its folder.
    async fn take_down(&self, record: &NetworkRecord) -> Result<()> {
        self.off_host(record).await?;
        let folder = self.folder(&record.name);
        blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).ctx(Kind::Internal, || format!("Failed removing {folder:?}"))
            }
            _ => Ok(()),
        })
        .await
    }

    /// Takes everything of a network off the host; its folder stays.
    async fn off_host(&self, record: &NetworkRecord) -> Result<()> {
        if record.kind != "bridge" {
            return Ok(());
        }
        self.serve(record.id, &record.name, None).await?;
        let record = record.clone();
        blocking(move || apply::remove(&record.name, &external(&record))).await
    }
}

/// Waits until nobody else looks at the leases.
async fn alone(mut running: Arc<Running>) -> Running {
    loop {
        match Arc::try_unwrap(running) {
            Ok(running) => return running,
            Err(shared) => running = shared,
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// The keys that have a value: an empty one takes a key away.
fn set(config: &ConfigMap) -> ConfigMap {
    config.iter().filter(|(_, value)| !value.is_empty()).map(|(k, v)| (k.clone(), v.clone())).gather()
}

/// The folder of a network, as LXD makes it.
fn directory(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(path);
    made.ctx(Kind::Internal, || format!("Failed creating {path:?}"))
}

fn external(record: &NetworkRecord) -> Vec<String> {
    Bridge(&record.config).list("bridge.external_interfaces").into_iter().map(str::to_owned).collect()
}

/// What the change from one record to another takes away.
fn before(old: &NetworkRecord, new: &NetworkRecord) -> Before {
    let keys = |n: &NetworkRecord, tunnel: &str| {
        let prefix = format!("tunnel.{tunnel}.");
        n.config.iter().filter(|(k, _)| k.starts_with(&prefix)).map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    let tunnels = Bridge(&old.config).tunnels().into_iter().filter(|t| keys(old, t) != keys(new, t));
    Before { external: external(old), tunnels: tunnels.map(|t| tunnel_link(&old.name, t)).collect() }
}

/// All that a network's plan depends on.
fn facts(r: &impl Read, network: &NetworkRecord) -> Result<Facts> {
    let names = Bridge(&network.config).acls();
    let acls = names.into_iter().map(|name| repo::network_acls::by_name(r, &network.project, name));
    Ok(Facts {
        network: network.clone(),
        forwards: repo::networks::forwards(r, network.id)?,
        acls: acls.collect::<Result<Vec<_>>>()?,
        nics: nics::on(r, &network.name)?,
    })
}

/// What LXD puts before the text when it looks for a network to change.
fn not_loaded(e: Error) -> Error {
    match e.kind() {
        Kind::NotFound => Error::not_found(format!("Failed loading network: {e}")),
        _ => e,
    }
}

/// URLs of the instances and profiles with a device on a network or link.
fn users(r: &impl Read, name: &str) -> Result<Vec<String>> {
    let mut used_by = BTreeSet::new();
    for user in repo::networks::used_by(r, name)? {
        match user {
            User::Instance(id) => {
                let i = repo::instances::by_id(r, id)?;
                used_by.insert(url::of("instances", &i.name, &i.project));
            }
            User::Profile(id) => {
                let p = repo::profiles::by_id(r, id)?;
                used_by.insert(url::of("profiles", &p.name, &p.project));
                // Instances that have the profile's device, and don't hide it.
                for user in repo::profiles::used_by(r, id)? {
                    let User::Instance(id) = user else { continue };
                    let i = repo::instances::by_id(r, id)?;
                    if nics::has(r, &i, name)? {
                        used_by.insert(url::of("instances", &i.name, &i.project));
                    }
                }
            }
            User::Volume(_) => {}
        }
    }
    Ok(used_by.into_iter().collect())
}

/// A network without its users: reading those in a transaction would make it depend on all of them.
fn plain(n: NetworkRecord) -> Network {
    let status = match n.phase {
        Phase::Created => "Created",
        Phase::Creating => "Pending",
        Phase::Deleting => "Errored",
    };
    Network {
        config: n.config,
        description: n.description,
        name: n.name,
        kind: n.kind,
        used_by: Vec::new(),
        managed: true,
        status: status.into(),
        locations: Some(vec!["none".into()]),
    }
}
