//! What an interrupted creation or deletion left is taken away; what can't be at once (the disk is full) is tried again.

use std::time::Duration;

use tokio::time::sleep;

use super::Instances;
use crate::store::records::{InstanceRecord, Phase, PoolRecord, SnapshotRecord};
use crate::store::repo;
use crate::task::spawn;

/// Pauses between the tries, the second twice as long as the first and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

impl Instances {
    /// Takes an instance away: the volume, then the records. Also called at start.
    pub(super) async fn remove_leftovers(&self, record: &InstanceRecord, pool: &PoolRecord) {
        if let Err(e) = self.remove_volume_and_records(record, pool).await {
            tracing::warn!(instance = %record.name, "Failed removing an incomplete instance: {}", e.chain());
            let (this, record, pool) = (self.clone(), record.clone(), pool.clone());
            spawn(async move { this.remove_instance_later(&record, &pool).await });
        }
    }

    /// Takes a snapshot away.
    pub(super) async fn remove_snapshot(&self, record: &InstanceRecord, snapshot: &SnapshotRecord, pool: &PoolRecord) {
        if let Err(e) = self.remove_snapshot_volume_and_record(record, snapshot, pool).await {
            tracing::warn!(instance = %record.name, "Failed removing an incomplete snapshot: {}", e.chain());
            let (this, record, snapshot, pool) = (self.clone(), record.clone(), snapshot.clone(), pool.clone());
            spawn(async move { this.remove_snapshot_later(&record, &snapshot, &pool).await });
        }
    }

    async fn remove_instance_later(&self, record: &InstanceRecord, pool: &PoolRecord) {
        for pause in pauses() {
            sleep(pause).await;
            let _lease = self.leases.take(self.exclusive(&record.project, &record.name)).await;
            // Somebody else may have taken it away, and the name may be another's now.
            let phase = self.db.view(|v| Ok(repo::instances::by_id(v, record.id)?.phase));
            if !is_unfinished(phase) || self.remove_volume_and_records(record, pool).await.is_ok() {
                return;
            }
        }
    }

    async fn remove_snapshot_later(&self, record: &InstanceRecord, snapshot: &SnapshotRecord, pool: &PoolRecord) {
        for pause in pauses() {
            sleep(pause).await;
            let _lease = self.leases.take(self.exclusive(&record.project, &record.name)).await;
            let phase = self.db.view(|v| {
                let named = repo::instances::by_id(v, record.id)?.name == record.name;
                Ok(if named { repo::snapshots::by_id(v, snapshot.id)?.phase } else { Phase::Created })
            });
            if !is_unfinished(phase) || self.remove_snapshot_volume_and_record(record, snapshot, pool).await.is_ok() {
                return;
            }
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> + Send {
    std::iter::successors(Some(FIRST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}

fn is_unfinished(phase: crate::Result<Phase>) -> bool {
    phase.is_ok_and(|phase| phase != Phase::Created)
}
