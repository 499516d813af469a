//! Changes a network: one commit, then the host; taken back when the host refuses it.

use super::{Before, Networks, check, facts, not_loaded};
use crate::api::config::Site;
use crate::api::types::{EventRequestor, Network, NetworkPut};
use crate::runtime::leases::{Class, Want};
use crate::runtime::network::bridge;
use crate::runtime::network::subnet::Subnet;
use crate::runtime::sys::fault;
use crate::runtime::{blocking, random, url};
use crate::store::records::NetworkRecord;
use crate::store::repo;
use crate::{Error, Result};

impl Networks {
    /// Changes a network; `decide` gets the present one and may run several times.
    ///
    /// # Errors
    /// Those of `decide`; [`crate::Kind::Invalid`] for wrong values; what the host refuses. Nothing is changed then.
    pub async fn update(
        &self,
        project: &str,
        name: &str,
        decide: impl Fn(&Network) -> Result<NetworkPut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let place = self.place(project)?;
        let _lease = self.leases.take(vec![Want::exclusive(Class::Network, name)]).await;
        let routes = blocking(|| Ok(check::host_routes())).await?;
        let ((before, after), _) = self
            .db
            .transact(|tx| {
                let before = repo::networks::by_name(tx, &place, name).map_err(not_loaded)?;
                let put = decide(&super::plain(before.clone()))?;
                let after = changed(&before, put)?;
                let after = chosen(tx, after, &routes)?;
                check::among_others(tx, &after)?;
                repo::networks::update(tx, &after)?;
                Ok((before, after))
            })
            .await?;
        fault("daemon.network_update.committed");
        if before.config != after.config {
            self.carry_out(&before, &after).await?;
        }
        fault("daemon.network_update.applied");
        self.events.announce(project, "network-updated", url::of("networks", name, project), &by);
        Ok(())
    }

    /// Brings the host to the new configuration, or both back to the old one.
    async fn carry_out(&self, before: &NetworkRecord, after: &NetworkRecord) -> Result<()> {
        let new = self.db.view(|v| facts(v, after))?;
        let Err(e) = self.bring_up(new, super::before(before, after)).await else { return Ok(()) };
        let back = self.db.transact(|tx| repo::networks::update(tx, before)).await;
        let old = self.db.view(|v| facts(v, before));
        let restored = match old {
            Ok(old) => self.bring_up(old, super::before(after, before)).await,
            Err(e) => Err(e),
        };
        for undo in [back.err(), restored.err()].into_iter().flatten() {
            tracing::warn!(network = %before.name, "Failed taking back a change of a network: {}", undo.chain());
        }
        Err(e)
    }

    /// Makes the host be what the records of a network say, after something it depends on has changed (an access list,
    /// a forward, an instance's device). Nothing happens when there is no such network.
    pub async fn refresh(&self, id: u64) -> Result<()> {
        let found = self.db.view(|v| {
            let record = repo::networks::by_id(v, id)?;
            facts(v, &record)
        });
        match found {
            Ok(facts) => self.bring_up(facts, Before::default()).await,
            Err(e) if e.kind() == crate::Kind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn changed(before: &NetworkRecord, put: NetworkPut) -> Result<NetworkRecord> {
    let as_lxd = |e: Error| Site::NetworkUpdate.config(e);
    check::alone(&before.name, &before.kind, &put.config).map_err(as_lxd)?;
    let mut after = before.clone();
    (after.config, after.description) = (put.config, put.description);
    after.config.retain(|_, value| !value.is_empty());
    Ok(after)
}

fn chosen(r: &impl crate::store::Read, mut after: NetworkRecord, routes: &[Subnet]) -> Result<NetworkRecord> {
    if after.kind == "bridge" {
        let taken = check::taken(r, &after.project, after.id, routes)?;
        bridge::choose(&mut after.config, &taken, random::bytes::<6>)?;
    }
    Ok(after)
}
