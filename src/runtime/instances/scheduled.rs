//! Snapshots that nobody asks for: made by `snapshots.schedule`, taken away when their date has passed.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Zoned;

use super::Instances;
use super::expand::expand;
use super::snapshots::Wanted;
use crate::Result;
use crate::api::config::instance::Config;
use crate::api::config::schedule::{self, Minute};
use crate::api::types::Timestamp;
use crate::runtime::operations::NewOperation;
use crate::store::records::{InstanceRecord, Phase};
use crate::store::repo;

/// Snapshots made or deleted at the same time.
const AT_ONCE: usize = 2;

impl Instances {
    /// Looks once a minute, for as long as the daemon runs.
    pub async fn watch_snapshots(&self) {
        loop {
            let second = Timestamp::now().unix().rem_euclid(60);
            // To the beginning of the next minute.
            tokio::time::sleep(Duration::from_secs(60 - second.unsigned_abs())).await;
            self.expire_snapshots();
            self.schedule_snapshots(minute_of(&Timestamp::now().local()));
        }
    }

    /// Begins to delete what may go by now.
    fn expire_snapshots(&self) {
        let expired = match self.expired_at(Timestamp::now()) {
            Ok(expired) if expired.is_empty() => return,
            Ok(expired) => expired,
            Err(e) => return tracing::warn!("Failed looking for expired snapshots: {}", e.chain()),
        };
        let this = self.clone();
        let new = NewOperation::task("Cleaning up expired instance snapshots", "");
        self.operations.start(new, move |_| async move {
            let all = expired.into_iter().map(|(record, name)| {
                let this = this.clone();
                async move {
                    let _lease = this.leases.take(this.exclusive(&record.project, &record.name)).await;
                    let deleted = this.delete_snapshot_now((&record.project, &record.name, &name), None).await;
                    if let Err(e) = deleted {
                        tracing::warn!(instance = %record.name, snapshot = %name, "Failed deleting an expired snapshot: {}", e.chain());
                    }
                }
            });
            futures_util::stream::iter(all).for_each_concurrent(AT_ONCE, |one| one).await;
            Ok(())
        });
    }

    /// The snapshots whose date has passed.
    fn expired_at(&self, now: Timestamp) -> Result<Vec<(InstanceRecord, String)>> {
        self.db.view(|v| {
            let mut expired = Vec::new();
            for (id, snapshots) in repo::snapshots::all(v)? {
                let over = |s: &&crate::store::records::SnapshotRecord| {
                    s.phase == Phase::Created && s.expires_at.is_set() && s.expires_at <= now
                };
                // One that is being recovered comes after its snapshots.
                let Ok(instance) = repo::instances::by_id(v, id) else { continue };
                expired.extend(snapshots.iter().filter(over).map(|s| (instance.clone(), s.name.clone())));
            }
            Ok(expired)
        })
    }

    /// Begins to make what is due in this minute.
    fn schedule_snapshots(&self, at: Minute) {
        let due = match self.due_at(at) {
            Ok(due) if due.is_empty() => return,
            Ok(due) => due,
            Err(e) => return tracing::warn!("Failed looking for scheduled snapshots: {}", e.chain()),
        };
        let this = self.clone();
        let new = NewOperation::task("Creating scheduled instance snapshots", "");
        self.operations.start(new, move |_| async move {
            let all = due.into_iter().map(|record| {
                let this = this.clone();
                async move { this.snapshot_by_itself(&record).await }
            });
            futures_util::stream::iter(all).for_each_concurrent(AT_ONCE, |one| one).await;
            Ok(())
        });
    }

    fn due_at(&self, at: Minute) -> Result<Vec<InstanceRecord>> {
        self.db.view(|v| {
            let mut due = Vec::new();
            for record in repo::instances::list(v, None)?.into_iter().filter(|r| r.phase == Phase::Created) {
                let expanded = expand(v, &record)?;
                let config = Config(&expanded.config);
                let wanted = config.get("snapshots.schedule").is_some_and(|s| schedule::is_due(s, record.id, at));
                let up = || self.status_of(record.id) != crate::api::types::StatusCode::Stopped;
                if wanted && (config.bool("snapshots.schedule.stopped") || up()) {
                    due.push(record);
                }
            }
            Ok(due)
        })
    }

    /// Makes a snapshot with the next name of the pattern; a failure is told to the log.
    async fn snapshot_by_itself(&self, record: &InstanceRecord) {
        let wanted = Wanted { name: None, expires_at: None };
        if let Err(e) = self.snapshot_now(&record.project, &record.name, wanted, None).await {
            tracing::warn!(instance = %record.name, "Failed making a scheduled snapshot: {}", e.chain());
        }
    }

    /// Makes the snapshot that is due before a start (`@startup`).
    pub(super) async fn snapshot_before_start(&self, record: &InstanceRecord) -> Result<()> {
        let expanded = self.db.view(|v| expand(v, &repo::instances::by_id(v, record.id)?))?;
        let schedule = Config(&expanded.config).get("snapshots.schedule").unwrap_or("").to_lowercase();
        if schedule.split(", ").any(|line| line == "@startup") && !self.actor(record.id).live().state.is_up() {
            self.snapshot_by_itself(record).await;
        }
        Ok(())
    }
}

/// What a clock on the wall shows: schedules are of the host's own time.
fn minute_of(at: &Zoned) -> Minute {
    let of = |number: i8| u32::from(number.unsigned_abs());
    Minute {
        minute: of(at.minute()),
        hour: of(at.hour()),
        day: of(at.day()),
        month: of(at.month()),
        weekday: of(at.weekday().to_sunday_zero_offset()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_go_by_the_clock_on_the_wall() {
        let sunday = Timestamp::parse("2026-11-01T22:15:00Z").unwrap();
        let minute = minute_of(&sunday.in_zone(jiff::tz::TimeZone::posix("IST-5:30").unwrap()));
        assert_eq!(minute, Minute { minute: 45, hour: 3, day: 2, month: 11, weekday: 1 });
    }
}
