//! Removes a network that nothing uses.

use super::{Networks, not_loaded};
use crate::api::types::EventRequestor;
use crate::runtime::leases::{Class, Want};
use crate::runtime::sys::fault;
use crate::runtime::url;
use crate::store::records::{NetworkRecord, Phase};
use crate::store::repo;
use crate::{Error, Result};

impl Networks {
    /// Removes a network.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] (as LXD answers 400) when something uses it.
    pub async fn delete(&self, project: &str, name: &str, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        let _lease = self.leases.take(vec![Want::exclusive(Class::Network, name)]).await;
        let (record, _) = self
            .db
            .transact(|tx| {
                let mut record = repo::networks::by_name(tx, &place, name).map_err(not_loaded)?;
                if !repo::networks::used_by(tx, name)?.is_empty() {
                    return Err(Error::invalid("The network is currently in use"));
                }
                record.phase = Phase::Deleting;
                repo::networks::update(tx, &record)?;
                Ok(record)
            })
            .await?;
        fault("daemon.network_delete.marked");
        self.finish_delete(&record).await?;
        self.events.announce(project, "network-deleted", url::of("networks", name, project), &by);
        Ok(())
    }

    /// Takes away what an interrupted creation or deletion left; called at start too.
    pub(super) async fn finish_delete(&self, record: &NetworkRecord) -> Result<()> {
        self.take_down(record).await?;
        fault("daemon.network_delete.removed");
        self.db.transact(|tx| repo::networks::remove(tx, record.id)).await?;
        self.down().remove(&record.id);
        Ok(())
    }
}
