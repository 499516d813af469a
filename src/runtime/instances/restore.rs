//! Going back to a snapshot: the record first, with a note that the volume follows; a start after a crash completes that.

use serde_json::Value;

use super::create::{pool_of, stays_in_pool, volume_of};
use super::expand::expand;
use super::snapshots::snapshot_of;
use super::{Action, Instances, ids};
use crate::api::types::{EventRequestor, Operation};
use crate::runtime::blocking;
use crate::runtime::sys::fault;
use crate::store::records::{InstanceRecord, PoolRecord, SnapshotRecord};
use crate::store::repo;
use crate::{Error, Kind, Result};

/// What stays an instance's own when it goes back: who it is, and what its processes and files are now.
const KEPT: [&str; 5] = [
    "volatile.uuid",
    "volatile.last_state.power",
    "volatile.idmap.base",
    "volatile.idmap.current",
    "volatile.idmap.next",
];

impl Instances {
    /// Brings an instance back to a snapshot (`NAME` or `INSTANCE/NAME`), in the background. One that runs is stopped, and
    /// started again.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such instance.
    pub fn restore(
        &self,
        project: &str,
        instance: &str,
        (snapshot, stateful): (&str, bool),
        by: EventRequestor,
    ) -> Result<Operation> {
        self.record(project, instance)?;
        let name = snapshot.strip_prefix(&format!("{instance}/")).unwrap_or(snapshot).to_owned();
        let new = self.operation_on("Restoring snapshot", project, instance, by.clone());
        let (this, project, instance) = (self.clone(), project.to_owned(), instance.to_owned());
        Ok(self.operations.start(new, move |_| async move {
            let whole = format!("{instance}/{name}");
            this.snapshot_record(&project, &instance, &name).map_err(|e| match e.kind() {
                Kind::NotFound => Error::not_found(format!("Snapshot {whole} does not exist")),
                _ => e,
            })?;
            if stateful {
                return Err(Error::invalid("Stateful snapshot restore requested by snapshot is stateless"));
            }
            this.restore_now(&project, &instance, &name).await?;
            let context = [("snapshot".to_owned(), Value::from(whole))];
            this.announce_with((&project, &instance), "instance-restored", &by, context);
            Ok(())
        }))
    }

    async fn restore_now(&self, project: &str, instance: &str, name: &str) -> Result<()> {
        let record = self.record(project, instance)?;
        let actor = self.actor(record.id);
        let was_up = actor.live().state.is_up();
        // An ephemeral instance survives this stop.
        let _staying = actor.keep_ephemeral();
        if was_up {
            self.stop(&record, true, None).await?;
        }
        self.restore_stopped(project, instance, name).await?;
        if was_up {
            self.change_now(&self.record(project, instance)?, Action::Start, None).await?;
        }
        Ok(())
    }

    async fn restore_stopped(&self, project: &str, instance: &str, name: &str) -> Result<()> {
        let _lease = self.leases.take(self.exclusive(project, instance)).await;
        let (record, snapshot) = self.snapshot_record(project, instance, name)?;
        if self.actor(record.id).live().state.is_up() {
            return Err(Error::new(Kind::Busy, "Instance is running"));
        }
        let _alone = self.turns.evict(record.id).await;
        let (was, becomes) = self.note_restoring(&record, &snapshot).await?;
        fault("daemon.restore.noted");
        if let Err(e) = self.restore_volume(&becomes, &snapshot).await {
            if let Err(undo) = self.end_restoring(Some(&was), snapshot.id).await {
                tracing::warn!(instance, "Failed undoing a restore: {}", undo.chain());
            }
            return Err(e);
        }
        fault("daemon.restore.volume");
        self.end_restoring(None, snapshot.id).await?;
        fault("daemon.restore.recorded");
        let devices = self.db.view(|v| Ok([expand(v, &was)?.devices, expand(v, &becomes)?.devices]))?;
        self.networks.tell(project, &devices).await;
        Ok(())
    }

    /// Writes the record as the snapshot has it; gives it as it was and as it is.
    async fn note_restoring(
        &self,
        record: &InstanceRecord,
        snapshot: &SnapshotRecord,
    ) -> Result<(InstanceRecord, InstanceRecord)> {
        let _alone = self.choosing_ids().await;
        let (noted, _) = self
            .db
            .transact(|tx| {
                let was = repo::instances::by_id(tx, record.id)?;
                let mut becomes = was.clone();
                becomes.config = snapshot.config.clone();
                for key in KEPT {
                    match was.config.get(key) {
                        Some(value) => drop(becomes.config.insert(key.into(), value.clone())),
                        None => drop(becomes.config.remove(key)),
                    }
                }
                becomes.devices = snapshot.devices.clone();
                let expanded = expand(tx, &becomes)?;
                // It may come of an archive, or another instance may have its addresses by now.
                self.check_by_itself(&becomes, &expanded)?;
                stays_in_pool(tx, &was, &expanded)?;
                if ids::differ(&expand(tx, &was)?.config, &expanded.config) {
                    self.choose_ids(&mut becomes, &expanded.config)?;
                }
                repo::instances::update(tx, &becomes)?;
                repo::snapshots::modify(tx, snapshot.id, |s| {
                    s.restoring = true;
                    Ok(())
                })?;
                Ok((was, becomes))
            })
            .await?;
        Ok(noted)
    }

    async fn end_restoring(&self, back: Option<&InstanceRecord>, snapshot: u64) -> Result<()> {
        self.db
            .transact(|tx| {
                if let Some(was) = back {
                    repo::instances::update(tx, was)?;
                }
                repo::snapshots::modify(tx, snapshot, |s| {
                    s.restoring = false;
                    Ok(())
                })
                .map(drop)
            })
            .await?;
        Ok(())
    }

    async fn restore_volume(&self, record: &InstanceRecord, snapshot: &SnapshotRecord) -> Result<()> {
        let pool = self.db.view(|v| pool_of(v, record))?;
        let driver = self.pools.driver(&pool)?;
        let (volume, from) = (volume_of(record)?, snapshot_of(record, &snapshot.name)?);
        blocking(move || driver.restore_volume(&volume, &from)).await?;
        self.pools.wake_sweeper(&pool);
        self.pools.wake_emptier(&pool);
        Ok(())
    }

    /// Completes or removes what a crash has left of an instance's snapshots; at start.
    pub(super) async fn converge_snapshots(&self, record: &InstanceRecord) -> Result<()> {
        use crate::store::records::Phase;
        for snapshot in self.db.view(|v| repo::snapshots::list(v, record.id))? {
            if snapshot.phase != Phase::Created {
                let pool: PoolRecord = self.db.view(|v| pool_of(v, record))?;
                self.remove_snapshot(record, &snapshot, &pool).await;
            } else if snapshot.restoring {
                tracing::info!(instance = %record.name, snapshot = %snapshot.name, "Completing an interrupted restore");
                self.restore_volume(record, &snapshot).await?;
                self.end_restoring(None, snapshot.id).await?;
            }
        }
        Ok(())
    }
}
