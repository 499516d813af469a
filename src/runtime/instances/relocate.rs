//! Moving a stopped instance to another pool: its volumes are copied there, one commit says where they are, the old ones go.
//!
//! The instance stays the same one. Volumes of the new pool that no record knows of yet, and those of the old pool that none
//! knows of any more, have a mark of the pool, by which a start after a crash removes them.

use super::Instances;
use super::copy::{Origin, with_root};
use super::create::{root_pool, volume_of};
use super::expand::expand;
use crate::api::config::{device, names};
use crate::api::types::{EventRequestor, InstancePost, Operation};
use crate::runtime::operations::NewOperation;
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{InstanceRecord, Phase, PoolRecord, SnapshotRecord, VolumeKind, VolumeRecord};
use crate::store::repo::{self, volumes::VolumePath};
use crate::{Error, Kind, Result};

/// Snapshots whose records are changed in one transaction.
const BATCH: usize = 30;

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
        if self.actor(record.id).live().state.is_up() {
            let text = match post.live {
                true => "Unable to perform container live migration. CRIU isn't installed",
                false => "Instance must be stopped to move between pools statelessly",
            };
            return Err(Error::new(Kind::Conflict, text));
        }
        let missing = |e: Error| {
            let text = format!(
                "Failed creating instance record: Failed initialising instance: Failed loading storage pool: {e}"
            );
            Error::new(e.kind(), text)
        };
        let (from, to) = self.db.view(|v| {
            let to = repo::pools::by_name(v, &post.pool).map_err(missing)?;
            Ok((root_pool(v, &expand(v, &record)?)?, to))
        })?;
        let with_snapshots = !post.instance_only && !post.container_only;
        if from.id == to.id {
            return Ok(());
        }
        let origin = Origin { record: record.clone(), snapshot: None, with_snapshots };
        let snapshots = self.snapshots_to_copy(&origin)?;
        let _alone = self.turns.evict(record.id).await;
        let made = self.copy_volumes((&origin, &from), (&record, &to), &snapshots).await;
        fault("daemon.move.copied");
        let recorded = match made {
            Ok(()) => self.record_move(&record, (&from, &to), &snapshots).await,
            Err(e) => Err(e),
        };
        if let Err(e) = recorded {
            self.take_back_move(&record, (&from, &to)).await;
            return Err(e);
        }
        fault("daemon.move.recorded");
        self.settle_all(&record, &to, &snapshots).await;
        let (driver, volume) = (self.pools.driver(&from)?, volume_of(&record)?);
        blocking(move || driver.delete_volume(&volume)).await?;
        fault("daemon.move.removed");
        self.sweep_copies(&from);
        self.pools.wake_emptier(&from);
        Ok(())
    }

    /// One commit: from now on the volumes of the new pool are meant.
    async fn record_move(
        &self,
        record: &InstanceRecord,
        (from, to): (&PoolRecord, &PoolRecord),
        snapshots: &[SnapshotRecord],
    ) -> Result<()> {
        let (driver, volume) = (self.pools.driver(from)?, volume_of(record)?);
        blocking(move || driver.unsettle(&volume)).await?;
        let all = self.db.view(|v| repo::snapshots::list(v, record.id))?;
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
                for kept in snapshots.iter().take(BATCH) {
                    repo::snapshots::modify(tx, kept.id, |s| {
                        s.devices = with_root(&s.devices, &moved.devices);
                        Ok(())
                    })?;
                }
                let left = all.iter().filter(|s| !snapshots.iter().any(|kept| kept.id == s.id)).take(BATCH);
                left.into_iter().try_for_each(|s| repo::snapshots::remove(tx, s.id))
            })
            .await?;
        for snapshot in all.iter().filter(|s| !snapshots.iter().any(|kept| kept.id == s.id)).skip(BATCH) {
            self.db.transact(|tx| repo::snapshots::remove(tx, snapshot.id)).await?;
        }
        let devices = self.db.view(|v| Ok(repo::instances::by_id(v, record.id)?.devices))?;
        for snapshot in snapshots.iter().skip(BATCH) {
            let root = |s: &mut SnapshotRecord| {
                s.devices = with_root(&s.devices, &devices);
                Ok(())
            };
            self.db.transact(|tx| repo::snapshots::modify(tx, snapshot.id, root).map(drop)).await?;
        }
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
        self.sweep_copies(to);
        self.pools.wake_emptier(to);
    }
}
