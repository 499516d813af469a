//! A new network: its name is reserved, it is made on the host, and then confirmed.

use super::{Before, Networks, check, facts};
use crate::api::config::{self, Site};
use crate::api::types::{EventRequestor, NetworksPost};
use crate::runtime::leases::{Class, Want};
use crate::runtime::network::bridge;
use crate::runtime::network::subnet::Subnet;
use crate::runtime::sys::fault;
use crate::runtime::{blocking, random, url};
use crate::store::records::{NetworkRecord, Phase};
use crate::store::repo::{self, DEFAULT};
use crate::{Error, Kind, Result};

/// The types of networks that there are, in LXD's order.
const TYPES: &[&str] = &["bridge", "macvlan", "physical", "sriov"];

/// What creation asks the host.
struct Host {
    routes: Vec<Subnet>,
    ipv6_off: bool,
}

impl Networks {
    /// Makes a network.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for its name, also when it is taken; as LXD, [`Kind::Internal`] for its configuration.
    pub async fn create(&self, project: &str, post: NetworksPost, by: EventRequestor) -> Result<()> {
        if post.name.is_empty() {
            return Err(Error::invalid("No name provided"));
        }
        let place = self.place(project)?;
        if place != DEFAULT {
            return Err(Error::unsupported("A network in a project of its own"));
        }
        let name = post.name.clone();
        let _lease = self.leases.take(vec![Want::exclusive(Class::Network, &name)]).await;
        let record = self.reserve(&place, post).await?;
        fault("daemon.network_create.reserved");
        if let Err(e) = self.make(&record).await {
            self.undo_create(&record).await;
            return Err(e);
        }
        self.events.announce(project, "network-created", url::of("networks", &name, project), &by);
        Ok(())
    }

    async fn reserve(&self, place: &str, post: NetworksPost) -> Result<NetworkRecord> {
        let kind = if post.kind.is_empty() { "bridge".to_owned() } else { post.kind };
        if kind == "ovn" {
            return Err(Error::unsupported("Network type \"ovn\""));
        }
        if !TYPES.contains(&kind.as_str()) {
            return Err(Error::invalid("Unknown driver"));
        }
        config::network::check_name(&post.name)?;
        let as_lxd = |e: Error| Site::NetworkCreate.config(e);
        check::alone(&post.name, &kind, &post.config).map_err(as_lxd)?;
        let mut record = NetworkRecord {
            project: place.into(),
            name: post.name,
            kind,
            description: post.description,
            config: post.config,
            hwaddr: hwaddr(),
            phase: Phase::Creating,
            ..NetworkRecord::default()
        };
        self.unknown(&record)?;
        let host = ask(&record).await?;
        record.config.retain(|_, value| !value.is_empty());
        if record.kind == "bridge" {
            bridge::fill(&mut record.config, host.ipv6_off);
        }
        let (record, _) = self
            .db
            .transact(|tx| {
                let mut record = record.clone();
                let taken = check::taken(tx, place, 0, &host.routes)?;
                bridge::choose(&mut record.config, &taken, random::bytes::<6>).map_err(as_lxd)?;
                check::among_others(tx, &record).map_err(as_lxd)?;
                repo::networks::insert(tx, record)
            })
            .await
            .map_err(taken)?;
        Ok(record)
    }

    /// A name that is taken is told before what is wrong about the host.
    fn unknown(&self, record: &NetworkRecord) -> Result<()> {
        match self.db.view(|v| repo::networks::by_name(v, &record.project, &record.name)) {
            Ok(_) => Err(taken(Error::new(Kind::Exists, "The network already exists"))),
            Err(e) if e.kind() == Kind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn make(&self, record: &NetworkRecord) -> Result<()> {
        let all = self.db.view(|v| facts(v, record))?;
        self.bring_up(all, Before::default()).await.map_err(|e| Site::NetworkCreate.config(e))?;
        fault("daemon.network_create.made");
        let mut record = record.clone();
        record.phase = Phase::Created;
        self.db.transact(|tx| repo::networks::update(tx, &record)).await?;
        fault("daemon.network_create.confirmed");
        Ok(())
    }

    async fn undo_create(&self, record: &NetworkRecord) {
        let undone = self.take_down(record).await;
        let removed = self.db.transact(|tx| repo::networks::remove(tx, record.id)).await;
        for e in [undone.err(), removed.err()].into_iter().flatten() {
            tracing::warn!(network = %record.name, "Failed undoing the creation of a network: {}", e.chain());
        }
    }
}

/// LXD answers 400 to a name that is taken.
fn taken(e: Error) -> Error {
    if e.kind() == Kind::Exists { e.with_kind(Kind::Invalid) } else { e }
}

/// Looks at the host: what is in the way, and what is in use.
async fn ask(record: &NetworkRecord) -> Result<Host> {
    let (name, kind) = (record.name.clone(), record.kind.clone());
    let parent = record.config.get("parent").cloned().unwrap_or_default();
    blocking(move || {
        if kind == "bridge" {
            check::free_link(&name)?;
        } else if !check::link_exists(&parent) {
            return Err(Error::internal(format!("Parent interface {parent:?} not found")));
        }
        Ok(Host { routes: check::host_routes(), ipv6_off: check::ipv6_off() })
    })
    .await
}

/// A random Ethernet address with the prefix that LXD uses (of Xen).
fn hwaddr() -> String {
    let [a, b, c] = random::bytes::<3>();
    format!("00:16:3e:{a:02x}:{b:02x}:{c:02x}")
}
