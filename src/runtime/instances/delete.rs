//! Deleting an instance: marked, moved to the pool's trash, forgotten.

use super::Instances;
use super::copy::BATCH;
use super::create::{pool_of, volume_of};
use super::expand::expand;
use super::machine::State;
use crate::api::config::instance::Config;
use crate::api::types::{EventRequestor, Operation};
use crate::runtime::operations::NewOperation;
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{InstanceRecord, Phase, PoolRecord, VolumeKind};
use crate::store::repo::{self, volumes::VolumePath};
use crate::{Ctx, Error, Kind, Result};

impl Instances {
    /// Deletes a stopped instance, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] with LXD's texts when it runs or is protected.
    pub fn delete(&self, project: &str, name: &str, by: EventRequestor) -> Result<Operation> {
        let record = self.record(project, name)?;
        if self.actor(record.id).live().state.is_up() {
            return Err(Error::invalid("Instance is running"));
        }
        let (this, project, name) = (self.clone(), project.to_owned(), name.to_owned());
        let new = self.operation_on("Deleting instance", &project, &name, by.clone());
        Ok(self.operations.start(new, move |_| async move { this.delete_now(&project, &name, Some(&by)).await }))
    }

    /// Deletes a stopped instance.
    pub(super) async fn delete_now(&self, project: &str, name: &str, by: Option<&EventRequestor>) -> Result<()> {
        let _lease = self.leases.take(self.exclusive(project, name)).await;
        let record = self.record(project, name)?;
        let expanded = self.db.view(|v| expand(v, &record))?;
        if Config(&expanded.config).bool("security.protection.delete") {
            return Err(Error::invalid("Instance is protected"));
        }
        let snapshots = self.db.view(|v| repo::snapshots::list(v, record.id))?;
        self.actor(record.id).retire().await?;
        let _alone = self.turns.evict(record.id).await;
        let deleted = self.delete_retired(&record).await;
        match deleted {
            Ok(()) => {
                self.actors().remove(&record.id);
                self.networks.tell(project, [&expanded.devices]).await;
                for snapshot in snapshots.iter().rev() {
                    self.announce_snapshot(&record, &snapshot.name, "instance-snapshot-deleted", by);
                }
                self.announce(project, name, "instance-deleted", by);
                Ok(())
            }
            Err(e) => {
                // It may be started or deleted again.
                self.actors().remove(&record.id);
                Err(e)
            }
        }
    }

    /// Lets go of a stopped instance whose record is about to be taken away by hand. What is on disk stays.
    ///
    /// # Errors
    /// [`Kind::Busy`] when it runs.
    pub async fn let_go(&self, id: u64) -> Result<()> {
        self.actor(id).retire().await?;
        let _alone = self.turns.evict(id).await;
        self.actors().remove(&id);
        Ok(())
    }

    async fn delete_retired(&self, record: &InstanceRecord) -> Result<()> {
        let mut deleting = record.clone();
        deleting.phase = Phase::Deleting;
        let (pool, _) = self
            .db
            .transact(|tx| {
                repo::instances::update(tx, &deleting)?;
                pool_of(tx, &deleting)
            })
            .await?;
        fault("daemon.delete.marked");
        self.remove_volume_and_records(record, &pool).await
    }

    /// The host's part goes first: a record without a volume would be lost space the other way round.
    pub(super) async fn remove_volume_and_records(&self, record: &InstanceRecord, pool: &PoolRecord) -> Result<()> {
        let (driver, volume) = (self.pools.driver(pool)?, volume_of(record)?);
        let (logs, run) = (self.places.logs(&record.project, &record.name), self.places.run(record.id));
        let (shelf, apparmor, id) = (self.shelf(record.id), self.apparmor.clone(), record.id);
        blocking(move || {
            driver.delete_volume(&volume)?;
            fault("daemon.delete.volume");
            shelf.clear()?;
            apparmor.forget(id);
            remove_directory(&run)?;
            remove_directory(&logs)
        })
        .await?;
        fault("daemon.delete.removed");
        self.pools.wake_emptier(pool);
        self.remove_snapshot_records(record.id).await?;
        self.db
            .transact(|tx| {
                let kind = VolumeKind::from(record.kind);
                let path = VolumePath { pool: pool.id, project: &record.project, kind, name: &record.name };
                match repo::volumes::by_name(tx, path) {
                    Ok(volume) => repo::volumes::remove(tx, volume.id)?,
                    Err(e) if e.kind() == Kind::NotFound => {}
                    Err(e) => return Err(e),
                }
                repo::instances::remove(tx, record.id)
            })
            .await?;
        fault("daemon.delete.forgotten");
        self.sweep_layer_of(record, pool).await
    }

    /// A few at a time: a transaction has its limits.
    async fn remove_snapshot_records(&self, id: u64) -> Result<()> {
        let snapshots = self.db.view(|v| repo::snapshots::list(v, id))?;
        for batch in snapshots.chunks(BATCH) {
            self.db.transact(|tx| batch.iter().try_for_each(|s| repo::snapshots::remove(tx, s.id))).await?;
        }
        Ok(())
    }

    /// The last instance of an image that is gone takes the image's layer along.
    async fn sweep_layer_of(&self, record: &InstanceRecord, pool: &PoolRecord) -> Result<()> {
        self.pools.wake_sweeper(pool);
        let Some(image) = record.config.get("volatile.base_image") else { return Ok(()) };
        if self.db.view(|v| repo::images::list(v, None))?.iter().any(|i| i.fingerprint == *image) {
            return Ok(());
        }
        let (pools, pool) = (self.pools.clone(), pool.clone());
        blocking(move || pools.sweep_pool(&pool)).await
    }

    /// Deletes an instance that has stopped and was not meant to stay, in the background; others stay.
    pub(super) fn delete_ephemeral(&self, id: u64) {
        let Ok(record) = self.db.view(|v| repo::instances::by_id(v, id)) else { return };
        if !record.ephemeral {
            return;
        }
        let url = url::of("instances", &record.name, &record.project);
        let new = NewOperation::task("Deleting instance", &record.project).on("instances", vec![url]);
        let this = self.clone();
        self.operations.start(new, move |_| async move {
            match this.actor(id).live().state {
                State::Stopped => this.delete_now(&record.project, &record.name, None).await,
                // Somebody was quicker to start it again, or to delete it.
                _ => Ok(()),
            }
        });
    }
}

/// Removes a directory of ours, which holds plain files only; one that isn't there is fine.
pub(super) fn remove_directory(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.ctx(Kind::Internal, || format!("Failed removing {path:?}")),
    }
}
