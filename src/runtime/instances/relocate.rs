//! Moving a stopped instance to another pool: its volumes are copied there, one commit says where they are, the old ones go.
//!
//! The instance stays the same one. Volumes of the new pool that no record knows of yet, and those of the old pool that none
//! knows of any more, have a mark of the pool, by which a start after a crash removes them.

use super::Instances;
use super::copy::{BATCH, Origin};
use super::create::{no_root, pool_of, volume_of};
use super::expand::expand;
use super::leftovers::check_complete;
use crate::api::config::{device, names};
use crate::api::types::{EventRequestor, InstancePost, Operation};
use crate::runtime::operations::NewOperation;
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{InstanceRecord, Phase, PoolRecord, SnapshotRecord, VolumeKind, VolumeRecord};
use crate::store::repo::{self, volumes::VolumePath};
use crate::{Error, Kind, Result};

impl Instances {
    /// Moves an instance to another pool, in the background, and renames it where another name is given.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] for a wrong name.
    pub fn relocate(&self, project: &str, name: &str, post: InstancePost, by: EventRequestor) -> Result<Operation> {
        self.record(project, name)?;
        if post.name.contains('/') {
            return Err(Error::invalid("The character \"/\" is reserved for snapshots"));
        }
        if !post.name.is_empty() {
            names::instance(&post.name)?;
        }
        let new = NewOperation::task("Migrating instance", project)
            .on("instances", vec![url::of("instances", name, project)])
            .by(by.clone());
        let (this, project, name) = (self.clone(), project.to_owned(), name.to_owned());
        Ok(self.operations.start(new, move |_| async move {
            let wanted = if post.name.is_empty() { name.clone() } else { post.name.clone() };
            if wanted != name && this.record(&project, &wanted).is_ok() {
                let text = "Failed creating instance record: Add instance info to the database: \
                            This \"instances\" entry already exists";
                return Err(Error::new(Kind::Exists, text));
            }
            this.relocate_now(&project, &name, &post).await?;
            if wanted == name {
                this.announce(&project, &name, "instance-updated", Some(&by));
                return Ok(());
            }
            this.rename_now(&project, &name, &wanted).await?;
            let source = url::of("instances", &wanted, &project);
            this.events.renamed(&project, "instance-renamed", (source, &name), &by);
            Ok(())
        }))
    }

    async fn relocate_now(&self, project: &str, name: &str, post: &InstancePost) -> Result<()> {
        let _lease = self.leases.take(self.exclusive(project, name)).await;
        let record = self.record(project, name)?;
        check_complete(&record)?;
        if self.actor(record.id).live().state.is_up() {
            let text = match post.live {
                true => "Unable to perform container live migration. CRIU isn't installed",
                false => "Instance must be stopped to move between pools statelessly",
            };
            return Err(Error::new(Kind::Conflict, text));
        }
        let (from, to) = self.db.view(|v| {
            let to = repo::pools::by_name(v, &post.pool).map_err(no_root)?;
            device::check_root(&expand(v, &record)?.devices)?;
            Ok((pool_of(v, &record)?, to))
        })?;
        let with_snapshots = !post.instance_only && !post.container_only;
        if from.id == to.id {
            return Ok(());
        }
        self.check_free(&to, volume_of(&record)?).await?;
        let origin = Origin { record: record.clone(), snapshot: None, with_snapshots };
        let snapshots = self.snapshots_to_copy(&origin)?;
        let mut left = self.db.view(|v| repo::snapshots::list(v, record.id))?;
        left.retain(|s| !snapshots.iter().any(|kept| kept.id == s.id));
        let _alone = self.turns.evict(record.id).await;
        let made = self.copy_volumes((&origin, &from), (&record, &to), &snapshots).await;
        fault("daemon.move.copied");
        let recorded = match made {
            Ok(()) => self.record_move(&record, (&from, &to), &left).await,
            Err(e) => Err(e),
        };
        if let Err(e) = recorded {
            self.take_back_move(&record, (&from, &to)).await;
            return Err(e);
        }
        fault("daemon.move.recorded");
        self.settle_all(&record, &to, &snapshots).await;
        self.leave_pool(&record, &from, &left).await
    }

    /// Removes what a move leaves behind. The records mean the volumes of the new pool only: nothing may take those back any more.
    async fn leave_pool(&self, record: &InstanceRecord, from: &PoolRecord, left: &[SnapshotRecord]) -> Result<()> {
        for snapshot in left.iter().skip(BATCH) {
            if let Err(e) = self.db.transact(|tx| repo::snapshots::remove(tx, snapshot.id)).await {
                tracing::warn!(instance = %record.name, "Failed forgetting a snapshot: {}", e.chain());
            }
        }
        let (driver, volume) = (self.pools.driver(from)?, volume_of(record)?);
        blocking(move || driver.delete_volume(&volume)).await?;
        fault("daemon.move.removed");
        self.pools.wake_sweeper(from);
        self.pools.wake_emptier(from);
        Ok(())
    }

    /// One commit: from now on the volumes of the new pool are meant. Of the snapshots that are left behind it forgets a batch.
    async fn record_move(
        &self,
        record: &InstanceRecord,
        (from, to): (&PoolRecord, &PoolRecord),
        left: &[SnapshotRecord],
    ) -> Result<()> {
        let (driver, volume) = (self.pools.driver(from)?, volume_of(record)?);
        blocking(move || driver.unsettle(&volume)).await?;
        self.db
            .transact(|tx| {
                let mut moved = repo::instances::by_id(tx, record.id)?;
                let expanded = expand(tx, &moved)?;
                let root = device::check_root(&expanded.devices)?;
                let mut disk = expanded.devices.get(root).cloned().unwrap_or_default();
                disk.insert("pool".into(), to.name.clone());
                moved.devices.insert(root.to_owned(), disk);
                moved.config.insert("volatile.cloud-init.instance-id".into(), crate::runtime::random::uuid());
                repo::instances::update(tx, &moved)?;
                let kind = VolumeKind::from(record.kind);
                let path = VolumePath { pool: from.id, project: &record.project, kind, name: &record.name };
                let volume = repo::volumes::by_name(tx, path)?;
                repo::volumes::remove(tx, volume.id)?;
                repo::volumes::insert(tx, VolumeRecord { pool: to.id, phase: Phase::Created, ..volume })?;
                left.iter().take(BATCH).try_for_each(|s| repo::snapshots::remove(tx, s.id))
            })
            .await?;
        Ok(())
    }

    async fn take_back_move(&self, record: &InstanceRecord, (from, to): (&PoolRecord, &PoolRecord)) {
        let undone = match (self.pools.driver(from), self.pools.driver(to), volume_of(record)) {
            (Ok(from), Ok(to), Ok(volume)) => {
                blocking(move || {
                    to.delete_volume(&volume)?;
                    from.settle(&volume)
                })
                .await
            }
            (Err(e), _, _) | (_, Err(e), _) | (_, _, Err(e)) => Err(e),
        };
        if let Err(e) = undone {
            tracing::warn!(instance = %record.name, "Failed undoing a move: {}", e.chain());
        }
        self.pools.wake_sweeper(to);
        self.pools.wake_emptier(to);
    }
}
