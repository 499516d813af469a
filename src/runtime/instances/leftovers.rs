//! What an interrupted creation or deletion left is taken away; what can't be at once (the disk is full) is tried again.

use std::time::Duration;

use tokio::time::sleep;

use super::Instances;
use crate::runtime::leases::Lease;
use crate::store::records::{InstanceRecord, Phase, PoolRecord, SnapshotRecord};
use crate::store::repo;
use crate::task::spawn;
use crate::{Error, Kind, Result};

/// Pauses between the tries, the second twice as long as the first and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

impl Instances {
    /// Takes an instance away: the volume, then the records. Also called at start.
    pub(super) async fn remove_leftovers(&self, record: &InstanceRecord, pool: &PoolRecord) {
        if let Err(e) = self.remove_volume_and_records(record, pool).await {
            tracing::warn!(instance = %record.name, "Failed removing an incomplete instance: {}", e.chain());
            let (this, id, pool) = (self.clone(), record.id, pool.clone());
            spawn(async move { this.remove_instance_later(id, &pool).await });
        }
    }

    /// Takes a snapshot away.
    pub(super) async fn remove_snapshot(&self, record: &InstanceRecord, snapshot: &SnapshotRecord, pool: &PoolRecord) {
        if let Err(e) = self.remove_snapshot_volume_and_record(record, snapshot, pool).await {
            tracing::warn!(instance = %record.name, "Failed removing an incomplete snapshot: {}", e.chain());
            let (this, id, snapshot, pool) = (self.clone(), record.id, snapshot.id, pool.clone());
            spawn(async move { this.remove_snapshot_later((id, snapshot), &pool).await });
        }
    }

    /// It has stayed in its pool: what is incomplete is not moved, nor renamed.
    async fn remove_instance_later(&self, id: u64, pool: &PoolRecord) {
        for pause in pauses() {
            sleep(pause).await;
            let Some((_lease, record)) = self.leased(id).await else { return };
            if record.phase == Phase::Created {
                return;
            }
            match self.remove_volume_and_records(&record, pool).await {
                Ok(()) => return,
                Err(e) => tracing::warn!(instance = %record.name, "Failed removing it again: {}", e.chain()),
            }
        }
    }

    async fn remove_snapshot_later(&self, (id, snapshot): (u64, u64), pool: &PoolRecord) {
        for pause in pauses() {
            sleep(pause).await;
            let Some((_lease, record)) = self.leased(id).await else { return };
            let Ok(snapshot) = self.db.view(|v| repo::snapshots::by_id(v, snapshot)) else { return };
            if snapshot.phase == Phase::Created {
                return;
            }
            match self.remove_snapshot_volume_and_record(&record, &snapshot, pool).await {
                Ok(()) => return,
                Err(e) => tracing::warn!(instance = %record.name, "Failed removing a snapshot again: {}", e.chain()),
            }
        }
    }

    /// An instance as it is under its lease, whatever it is called by now; `None` when it is gone.
    async fn leased(&self, id: u64) -> Option<(Lease, InstanceRecord)> {
        let read = || self.db.view(|v| repo::instances::by_id(v, id)).ok();
        let mut before = read()?;
        loop {
            let lease = self.leases.take(self.exclusive(&before.project, &before.name)).await;
            let now = read()?;
            if (&now.project, &now.name) == (&before.project, &before.name) {
                return Some((lease, now));
            }
            before = now;
        }
    }
}

/// Whether an instance is neither being made nor deleted, and not left over from that.
///
/// # Errors
/// [`Kind::Busy`].
pub(super) fn check_complete(record: &InstanceRecord) -> Result<()> {
    match record.phase {
        Phase::Created => Ok(()),
        _ => Err(Error::new(Kind::Busy, "Instance is being made or deleted")),
    }
}

fn pauses() -> impl Iterator<Item = Duration> + Send {
    std::iter::successors(Some(FIRST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}
