//! Instances: the service behind `/1.0/instances`.
//!
//! One [`actor`] owns the state of one instance; verbs are files of their own and run as operations:
//!
//! ```text
//! handler -> verb (validate, one transaction, leases) -> operation -> actor -> container driver -> shim
//! ```

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::api::types::EventRequestor;
use crate::runtime::events::{Events, Lifecycle};
use crate::runtime::images::service::Images;
use crate::runtime::leases::{Class, Leases, Want};
use crate::runtime::network::service::Networks;
use crate::runtime::operations::{NewOperation, Operations};
use crate::runtime::pools::Pools;
use crate::runtime::server::Places;
use crate::runtime::spec::Idmap;
use crate::runtime::url;
use crate::store::records::InstanceRecord;
use crate::store::{Db, Read, repo};
use crate::{Error, Result};

mod actor;
mod autostart;
pub mod backup;
mod balance;
mod boot;
mod change_state;
mod cloud_init;
mod confine;
mod console;
pub mod container;
mod copied;
mod copy;
mod create;
mod delete;
mod doors;
mod equipment;
mod exec;
pub mod expand;
mod files;
mod ids;
mod infiniband;
mod label;
mod leftovers;
mod list;
mod live;
mod logs;
pub mod machine;
mod metadata;
mod nics;
mod nvidia;
mod packing;
mod plan;
mod profile_change;
mod proxies;
mod publish;
mod quota;
mod relocate;
mod rename;
mod restore;
mod scheduled;
mod show;
mod sizes;
mod snapshot_names;
mod snapshots;
mod start_log;
mod streams;
mod templates;
mod tpms;
mod update;
mod view;

use actor::Actor;
use container::Running;
use container::apparmor::AppArmor;
use container::cpus::CpuSet;

pub use doors::{Door, News, Seen};

/// Which instances a list is about.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// One project, or all.
    pub project: Option<String>,
    /// `container` or `virtual-machine`, or both.
    pub kind: Option<String>,
}

/// How much of an instance is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What the store knows, and whether it runs.
    Plain,
    /// Also its state now.
    Full,
}

/// A change of state that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring it up.
    Start,
    /// Bring it down.
    Stop {
        /// At once, instead of asking its init.
        force: bool,
        /// How long its init may take; for ever when none.
        timeout: Option<Duration>,
    },
    /// Bring it down and up again.
    Restart {
        /// At once, instead of asking its init.
        force: bool,
        /// How long its init may take; for ever when none.
        timeout: Option<Duration>,
    },
    /// Freeze its processes.
    Freeze,
    /// Thaw them.
    Unfreeze,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Instances(Arc<Inner>);

/// What the service works with.
pub struct Inner {
    pub(crate) db: Db,
    pub(crate) events: Events,
    pub(crate) operations: Operations,
    pub(crate) leases: Leases,
    pub(crate) pools: Pools,
    pub(crate) images: Images,
    pub(crate) networks: Networks,
    pub(crate) places: Places,
    pub(crate) host: Host,
    actors: Mutex<HashMap<u64, Actor>>,
    balance: balance::Balance,
    nics: nics::Nics,
    turns: files::Turns,
    doors: doors::Doors,
    view: container::view::View,
    apparmor: Arc<AppArmor>,
    equipment: equipment::Equipment,
    /// Held while a range of ids is looked for that no other instance has.
    choosing_ids: tokio::sync::Mutex<()>,
    /// Instances that are stopped because the host goes down.
    host_stops: Mutex<BTreeSet<u64>>,
}

/// What instances need to know of the host; gathered once at start.
#[derive(Clone, Debug)]
pub struct Host {
    /// The ids that unprivileged containers are mapped to.
    pub idmap: Idmap,
    /// Processors that containers may use.
    pub cpus: CpuSet,
    /// Bytes of memory.
    pub memory: u64,
    /// Control group hierarchies.
    pub cgroups: Vec<crate::runtime::spec::cgroup::Hierarchy>,
    /// The machine's architecture and those it runs besides, the main one first.
    pub architectures: Vec<String>,
}

/// What the composition root gives.
pub struct Parts {
    /// The store.
    pub db: Db,
    /// The event bus.
    pub events: Events,
    /// Background operations.
    pub operations: Operations,
    /// Leases of the daemon.
    pub leases: Leases,
    /// Storage pools.
    pub pools: Pools,
    /// Images.
    pub images: Images,
    /// Networks.
    pub networks: Networks,
    /// Places in `LXD_DIR`.
    pub places: Places,
    /// The host.
    pub host: Host,
}

impl Deref for Instances {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Instances {
    /// Over these.
    pub fn new(parts: Parts) -> Instances {
        let Parts { db, events, operations, leases, pools, images, networks, places, host } = parts;
        let balance = balance::Balance::new(host.cpus.clone());
        let nics = nics::Nics::default();
        let turns = files::Turns::default();
        let doors = doors::Doors::default();
        let view = container::view::View::new(places.view());
        let apparmor = Arc::new(AppArmor::new(&places.root));
        let equipment = equipment::Equipment::default();
        let actors = Mutex::default();
        let host_stops = Mutex::default();
        Instances(Arc::new(Inner {
            db,
            events,
            operations,
            leases,
            pools,
            images,
            networks,
            places,
            host,
            actors,
            balance,
            nics,
            turns,
            doors,
            view,
            apparmor,
            equipment,
            choosing_ids: tokio::sync::Mutex::default(),
            host_stops,
        }))
    }

    /// The record of an instance that is complete.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    fn record(&self, project: &str, name: &str) -> Result<InstanceRecord> {
        self.db.view(|v| repo::instances::by_name(v, project, name))
    }

    /// `container` or `virtual-machine`.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub fn kind_of(&self, project: &str, name: &str) -> Result<&'static str> {
        Ok(self.record(project, name)?.kind.as_str())
    }

    /// The actor of an instance; one that has none yet gets one that is stopped.
    fn actor(&self, id: u64) -> Actor {
        self.actors().entry(id).or_insert_with(|| Actor::spawn(self.clone(), id, None)).clone()
    }

    fn actors(&self) -> MutexGuard<'_, HashMap<u64, Actor>> {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record and the running guest of an instance.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] with LXD's text when it isn't running.
    fn running(&self, project: &str, name: &str) -> Result<(InstanceRecord, Running)> {
        let record = self.record(project, name)?;
        let live = self.actor(record.id).live();
        match (live.state, live.running) {
            (machine::State::Frozen, _) => Err(Error::invalid("Instance is frozen")),
            (_, Some(running)) => Ok((record, running)),
            (_, None) => Err(Error::invalid("Instance is not running")),
        }
    }

    /// The variables of an instance and its profiles.
    fn environment_of(&self, project: &str, name: &str) -> Result<Vec<(String, String)>> {
        let expanded = self.db.view(|v| expand::expand(v, &repo::instances::by_name(v, project, name)?))?;
        Ok(plan::environment(&expanded))
    }

    /// An operation about one instance, shown under its new and its old URL.
    fn operation_on(&self, what: &'static str, project: &str, name: &str, by: EventRequestor) -> NewOperation {
        let old = vec![url::of("containers", name, project)];
        NewOperation::task(what, project)
            .on("instances", vec![url::of("instances", name, project)])
            .on("containers", old)
            .by(by)
    }

    fn announce(&self, project: &str, name: &str, action: &str, by: Option<&EventRequestor>) {
        let source = url::of("instances", name, project);
        self.events.lifecycle(Lifecycle { project, action, source, context: None, requestor: by });
    }

    fn announce_with<const N: usize>(
        &self,
        (project, name): (&str, &str),
        action: &str,
        by: &EventRequestor,
        context: [(String, Value); N],
    ) {
        let source = url::of("instances", name, project);
        let context = Some(Map::from_iter(context));
        self.events.lifecycle(Lifecycle { project, action, source, context, requestor: Some(by) });
    }

    /// The lease on an instance alone.
    fn exclusive(&self, project: &str, name: &str) -> Vec<Want> {
        vec![Want::exclusive(Class::Instance, format!("{project}/{name}"))]
    }

    fn shared(&self, project: &str, name: &str) -> Vec<Want> {
        vec![Want::shared(Class::Instance, format!("{project}/{name}"))]
    }

    /// Refuses profiles that don't exist.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] with LXD's text.
    pub fn require_profiles(&self, project: &str, names: &[String]) -> Result<()> {
        self.db.view(|v| profile_ids(v, project, names).map(drop))
    }
}

/// Ids of these profiles, in their order.
fn profile_ids(r: &impl Read, project: &str, names: &[String]) -> Result<Vec<u64>> {
    let twice = |(at, name): (usize, &String)| names[..at].contains(name);
    if names.iter().enumerate().any(twice) {
        return Err(Error::invalid("Duplicate profile found in request"));
    }
    names.iter().map(|name| Ok(repo::profiles::by_name(r, project, name)?.id)).collect()
}
