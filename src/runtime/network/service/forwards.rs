//! Forwards of a network.

use std::net::IpAddr;

use super::{Networks, not_loaded, set};
use crate::api::types::{EventRequestor, NetworkForward, NetworkForwardPut, NetworkForwardsPost};
use crate::order::Order;
use crate::runtime::leases::{Class, Want};
use crate::runtime::network::bridge::{Bridge, Family};
use crate::runtime::network::forward;
use crate::runtime::network::subnet::Subnet;
use crate::runtime::sys::fault;
use crate::runtime::url;
use crate::store::records::{ForwardRecord, NetworkRecord};
use crate::store::{Read, repo};
use crate::{Error, Kind, Result};

/// What LXD puts before the text of each verb; what was wrong about the request is 500 there.
fn dressed(verb: &str, e: &Error) -> Error {
    let kind = if e.kind() == Kind::Invalid { Kind::Internal } else { e.kind() };
    Error::new(kind, format!("Failed {verb} forward: {e}"))
}

fn source(network: &str, address: &str) -> String {
    // LXD doesn't encode the colons of IPv6.
    format!("/1.0/networks/{}/forwards/{address}", url::encode(network))
}

impl Networks {
    /// The forwards of a network, by address.
    ///
    /// # Errors
    /// [`Kind::NotFound`], also for the host's own interfaces; [`Kind::Invalid`] for types without forwards.
    pub fn forwards(&self, project: &str, network: &str) -> Result<Vec<NetworkForward>> {
        let record = self.with_forwards(project, network)?;
        let mut all = self.db.view(|v| repo::networks::forwards(v, record.id))?;
        all.order_by_key(|f| f.listen_address.parse::<IpAddr>().ok());
        Ok(all.into_iter().map(show).collect())
    }

    /// One forward.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn forward(&self, project: &str, network: &str, address: &str) -> Result<NetworkForward> {
        let record = self.with_forwards(project, network)?;
        self.db.view(|v| repo::networks::forward(v, record.id, &written(address))).map(show)
    }

    fn with_forwards(&self, project: &str, network: &str) -> Result<NetworkRecord> {
        let record = self.load(project, network)?;
        match record.kind.as_str() {
            "bridge" => Ok(record),
            kind => Err(Error::invalid(format!("Network driver {kind:?} does not support forwards"))),
        }
    }

    /// A new forward; its address as it is shown.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when there is one of this address; as LXD, [`Kind::Internal`] for what is wrong with it.
    pub async fn create_forward(
        &self,
        project: &str,
        network: &str,
        post: NetworkForwardsPost,
        by: EventRequestor,
    ) -> Result<String> {
        let place = self.place(project)?;
        let _lease = self.leases.take(vec![Want::exclusive(Class::Network, network)]).await;
        let wrong = |e: Error| dressed("creating", &e);
        let id = self.with_forwards(project, network)?.id;
        let listen = forward::listen_address(&post.listen_address).map_err(wrong)?;
        let made = self.db.transact(|tx| {
            let record = repo::networks::by_name(tx, &place, network).map_err(not_loaded)?;
            let fresh = ForwardRecord {
                network: record.id,
                listen_address: listen.to_string(),
                description: post.description.clone(),
                config: set(&post.config),
                ports: post.ports.clone(),
            };
            if repo::networks::forward(tx, record.id, &fresh.listen_address).is_ok() {
                return Err(Error::new(Kind::Conflict, "A forward for that listen address already exists"));
            }
            forward::check(Bridge(&record.config), listen, &fresh.config, &fresh.ports)?;
            elsewhere(tx, &record, listen)?;
            repo::networks::insert_forward(tx, &fresh)
        });
        made.await.map_err(wrong)?;
        fault("daemon.network_forward_create.committed");
        if let Err(e) = self.refresh(id).await {
            let gone = self.db.transact(|tx| repo::networks::remove_forward(tx, id, &listen.to_string())).await;
            self.after_undo(network, id, gone.err()).await;
            return Err(wrong(e));
        }
        let address = listen.to_string();
        self.events.announce(project, "network-forward-created", source(network, &address), &by);
        Ok(address)
    }

    /// Changes a forward; `decide` gets the present one and may run several times.
    pub async fn update_forward(
        &self,
        project: &str,
        (network, address): (&str, &str),
        decide: impl Fn(&NetworkForward) -> Result<NetworkForwardPut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let place = self.place(project)?;
        let _lease = self.leases.take(vec![Want::exclusive(Class::Network, network)]).await;
        let wrong = |e: Error| dressed("updating", &e);
        self.with_forwards(project, network)?;
        let updated = self.db.transact(|tx| {
            let record = repo::networks::by_name(tx, &place, network).map_err(not_loaded)?;
            let before = repo::networks::forward(tx, record.id, &written(address)).map_err(wrong)?;
            let put = decide(&show(before.clone()))?;
            let listen = forward::listen_address(&before.listen_address).map_err(wrong)?;
            forward::check(Bridge(&record.config), listen, &put.config, &put.ports).map_err(wrong)?;
            let after = ForwardRecord {
                description: put.description,
                config: set(&put.config),
                ports: put.ports,
                ..before.clone()
            };
            repo::networks::update_forward(tx, &after)?;
            Ok(before)
        });
        let (before, _) = updated.await?;
        fault("daemon.network_forward_update.committed");
        if let Err(e) = self.refresh(before.network).await {
            let back = self.db.transact(|tx| repo::networks::update_forward(tx, &before)).await;
            self.after_undo(network, before.network, back.err()).await;
            return Err(wrong(e));
        }
        self.events.announce(project, "network-forward-updated", source(network, &before.listen_address), &by);
        Ok(())
    }

    /// Removes a forward.
    pub async fn delete_forward(&self, project: &str, network: &str, address: &str, by: EventRequestor) -> Result<()> {
        let _lease = self.leases.take(vec![Want::exclusive(Class::Network, network)]).await;
        let wrong = |e: Error| dressed("deleting", &e);
        let id = self.with_forwards(project, network)?.id;
        let address = written(address);
        self.db.transact(|tx| repo::networks::remove_forward(tx, id, &address)).await.map_err(wrong)?;
        fault("daemon.network_forward_delete.committed");
        self.refresh(id).await.map_err(wrong)?;
        self.events.announce(project, "network-forward-deleted", source(network, &address), &by);
        Ok(())
    }

    /// Brings the host back to the records after a change of them was taken back.
    async fn after_undo(&self, network: &str, id: u64, undo: Option<Error>) {
        for e in [undo, self.refresh(id).await.err()].into_iter().flatten() {
            tracing::warn!(network, "Failed taking back a change of a forward: {}", e.chain());
        }
    }
}

/// An address that another network has, or forwards, can't be forwarded.
fn elsewhere(r: &impl Read, network: &NetworkRecord, listen: IpAddr) -> Result<()> {
    let family = if listen.is_ipv4() { Family::V4 } else { Family::V6 };
    for other in repo::networks::list(r, Some(&network.project))?.iter().filter(|o| o.id != network.id) {
        let inside = Bridge(&other.config).subnet(family).is_some_and(|s| s.contains(listen));
        let forwards = repo::networks::forwards(r, other.id)?;
        if inside || forwards.iter().any(|f| f.listen_address == listen.to_string()) {
            let text =
                format!("Forward listen address \"{}\" overlaps with another network or NIC", Subnet::single(listen));
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}

/// An address as it is shown; what is none stays, and is not found.
fn written(address: &str) -> String {
    address.parse::<IpAddr>().map_or_else(|_| address.to_owned(), |a| a.to_string())
}

fn show(f: ForwardRecord) -> NetworkForward {
    NetworkForward {
        description: f.description,
        config: f.config,
        ports: f.ports,
        listen_address: f.listen_address,
        location: "none".into(),
    }
}
