//! Another name for a network that nothing uses.

use super::{Before, Networks, check, facts, not_loaded};
use crate::api::config;
use crate::api::types::EventRequestor;
use crate::runtime::leases::{Class, Want};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::NetworkRecord;
use crate::store::repo;
use crate::{Ctx, Error, Kind, Result};

impl Networks {
    /// Renames a network: it goes from the host, and comes back under its new name.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] when something uses it; [`crate::Kind::Exists`] when the name is taken.
    pub async fn rename(&self, project: &str, name: &str, new_name: &str, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        let wants = [name, new_name].map(|n| Want::exclusive(Class::Network, n));
        let _lease = self.leases.take(wants.into()).await;
        let record = self.load(project, name)?;
        if new_name.is_empty() {
            return Err(Error::invalid("New network name not provided"));
        }
        let check = || -> Result<()> {
            match self.db.view(|v| repo::networks::by_name(v, &place, new_name)) {
                Ok(_) => Err(Error::new(Kind::Exists, format!("Network {new_name:?} already exists"))),
                Err(_) => config::network::check_name(new_name),
            }
        };
        check()?;
        self.db.view(|v| unused(v, name))?;
        if record.kind == "bridge" {
            let link = new_name.to_owned();
            blocking(move || check::free_link(&link)).await?;
        }
        // First off the host: afterwards nobody knows its old name any more.
        if let Err(e) = self.off_host(&record).await {
            self.restore(&record).await;
            return Err(e);
        }
        fault("daemon.network_rename.gone");
        let renamed = self.db.transact(|tx| {
            let record = repo::networks::by_name(tx, &place, name).map_err(not_loaded)?;
            unused(tx, name)?;
            repo::networks::rename(tx, record.id, new_name)
        });
        let renamed = match renamed.await {
            Ok((renamed, _)) => renamed,
            Err(e) => {
                self.restore(&record).await;
                return Err(e);
            }
        };
        fault("daemon.network_rename.committed");
        if let Err(e) = self.come_back(&record, &renamed).await {
            self.move_back(&record, &renamed).await;
            return Err(e);
        }
        fault("daemon.network_rename.applied");
        self.events.renamed(project, "network-renamed", (url::of("networks", new_name, project), name), &by);
        Ok(())
    }

    async fn come_back(&self, from: &NetworkRecord, to: &NetworkRecord) -> Result<()> {
        self.move_folder(from, to).await;
        let all = self.db.view(|v| facts(v, to))?;
        self.bring_up(all, Before::default()).await
    }

    /// Brings a network up again after its renaming has failed.
    async fn restore(&self, record: &NetworkRecord) {
        let restored = match self.db.view(|v| facts(v, record)) {
            Ok(facts) => self.bring_up(facts, Before::default()).await,
            Err(e) => Err(e),
        };
        if let Err(e) = restored {
            tracing::warn!(network = %record.name, "Failed taking back a new name: {}", e.chain());
        }
    }

    /// Leases go along. They are not worth failing for.
    async fn move_folder(&self, from: &NetworkRecord, to: &NetworkRecord) {
        let (old, new) = (self.folder(&from.name), self.folder(&to.name));
        let moved = blocking(move || {
            // A folder of that name without a record is of no use to anybody.
            let _ = std::fs::remove_dir_all(&new);
            std::fs::rename(&old, &new).ctx(Kind::Internal, || format!("Failed renaming {old:?}"))
        });
        if let Err(e) = moved.await {
            tracing::warn!(network = %from.name, "Failed keeping the leases of a network: {}", e.chain());
        }
    }

    async fn move_back(&self, from: &NetworkRecord, to: &NetworkRecord) {
        let gone = self.off_host(to).await;
        self.move_folder(to, from).await;
        let named = self.db.transact(|tx| repo::networks::rename(tx, to.id, &from.name)).await;
        for e in [gone.err(), named.err()].into_iter().flatten() {
            tracing::warn!(network = %from.name, "Failed taking back a new name: {}", e.chain());
        }
        self.restore(from).await;
    }
}

fn unused(r: &impl crate::store::Read, name: &str) -> Result<()> {
    match repo::networks::used_by(r, name)?.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid("Network is currently in use")),
    }
}
