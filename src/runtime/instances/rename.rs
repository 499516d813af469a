//! Renaming a stopped instance: its volume, its logs, its record.

use super::create::{pool_of, volume_of};
use super::expand::expand;
use super::leftovers::check_complete;
use super::{Instances, cloud_init};
use crate::api::config::names;
use crate::api::types::{EventRequestor, Operation};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{InstanceRecord, PoolRecord, VolumeKind};
use crate::store::repo::{self, volumes::VolumePath};
use crate::{Error, Kind, Result};

impl Instances {
    /// Renames an instance, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] when the name is taken; [`Kind::Invalid`] for a wrong one.
    pub fn rename(&self, project: &str, name: &str, new_name: &str, by: EventRequestor) -> Result<Operation> {
        self.record(project, name)?;
        let wanted = if new_name.is_empty() { name } else { new_name };
        if wanted.contains('/') {
            return Err(Error::invalid("The character \"/\" is reserved for snapshots"));
        }
        if self.record(project, wanted).is_ok() {
            return Err(Error::new(Kind::Conflict, format!("Name {wanted:?} already in use")));
        }
        names::instance(wanted)?;
        let new = self.operation_on("Renaming instance", project, name, by.clone());
        let (this, project, name, wanted) = (self.clone(), project.to_owned(), name.to_owned(), wanted.to_owned());
        Ok(self.operations.start(new, move |_| async move {
            this.rename_now(&project, &name, &wanted).await?;
            let source = url::of("instances", &wanted, &project);
            this.events.renamed(&project, "instance-renamed", (source, &name), &by);
            Ok(())
        }))
    }

    pub(super) async fn rename_now(&self, project: &str, name: &str, new_name: &str) -> Result<()> {
        let mut wants = self.exclusive(project, name);
        wants.extend(self.exclusive(project, new_name));
        let _lease = self.leases.take(wants).await;
        let record = self.record(project, name)?;
        check_complete(&record)?;
        if self.actor(record.id).live().state.is_up() {
            return Err(Error::new(Kind::Conflict, "Renaming of running container not allowed"));
        }
        // Nothing may start it under its old name meanwhile.
        self.actor(record.id).retire().await?;
        let _alone = self.turns.evict(record.id).await;
        let renamed = self.rename_retired(&record, new_name).await;
        self.actors().remove(&record.id);
        let devices = self.db.view(|v| Ok(expand(v, &record)?.devices))?;
        self.networks.tell(project, [&devices]).await;
        renamed
    }

    /// The volume first, then the records; the pool's reconciliation brings a crash in between together.
    async fn rename_retired(&self, record: &InstanceRecord, new_name: &str) -> Result<()> {
        let pool = self.db.view(|v| pool_of(v, record))?;
        let driver = self.pools.driver(&pool)?;
        let old = volume_of(record)?;
        let new = old.renamed(new_name)?;
        let (moving, from, to) = (driver.clone(), old.clone(), new.clone());
        blocking(move || moving.rename_volume(&from, &to)).await?;
        fault("daemon.rename.volume");
        if let Err(e) = self.rename_records(record, &pool, new_name).await {
            let (back, from) = (driver.clone(), new.clone());
            if let Err(undo) = blocking(move || back.rename_volume(&from, &old)).await {
                tracing::warn!("Failed undoing a rename: {}", undo.chain());
            }
            return Err(e);
        }
        fault("daemon.rename.recorded");
        let (from, to) = (self.places.logs(&record.project, &record.name), self.places.logs(&record.project, new_name));
        blocking(move || {
            if let Err(e) = std::fs::rename(&from, &to) {
                tracing::debug!("No logs to rename: {e}");
            }
            fault("daemon.rename.logs");
            driver.settle(&new)
        })
        .await
    }

    async fn rename_records(&self, record: &InstanceRecord, pool: &PoolRecord, new_name: &str) -> Result<()> {
        self.db
            .transact(|tx| {
                let kind = VolumeKind::from(record.kind);
                let path = VolumePath { pool: pool.id, project: &record.project, kind, name: &record.name };
                let volume = repo::volumes::by_name(tx, path)?;
                repo::volumes::rename(tx, volume.id, new_name)?;
                repo::instances::rename(tx, record.id, new_name)?;
                // Templates meant for renames are applied at the next start.
                let mut renamed = repo::instances::by_id(tx, record.id)?;
                renamed.config.entry("volatile.apply_template".into()).or_insert_with(|| "rename".into());
                cloud_init::renew(&mut renamed.config);
                repo::instances::update(tx, &renamed)
            })
            .await?;
        Ok(())
    }
}
