//! The daemon's start and end as instances see it: adoption of what runs, removal of what was left half done,
//! and stopping all when the host goes down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;

use super::actor::Actor;
use super::create::{pool_of, volume_of};
use super::delete::remove_directory;
use super::expand::{Expanded, expand};
use super::{Instances, container, copied, doors, ids};
use crate::api::config::instance::Config;
use crate::order::Gather;
use crate::runtime::blocking;
use crate::runtime::network::netlink::Netlink;
use crate::runtime::network::tc;
use crate::runtime::storage::quota;
use crate::store::records::{InstanceRecord, Phase, PoolRecord};
use crate::store::repo;
use crate::{Kind, Result};

/// Instances adopted, started or stopped at the same time.
pub(super) const AT_ONCE: usize = 8;
/// How long a guest may take to stop when the host goes down, unless its configuration says otherwise.
const STOP_TIME: u64 = 30;

/// A guest that went down while there was no daemon.
struct Ended {
    record: InstanceRecord,
    /// Whether nothing of it is needed any more.
    forgotten: bool,
}

impl Instances {
    /// Adopts running guests, notices those that ended meanwhile, removes what was left half done.
    ///
    /// Called once, before the API is served. One instance that can't be adopted doesn't keep the others from it.
    pub async fn converge(&self) -> Result<()> {
        let records = self.db.view(|v| repo::instances::list(v, None))?;
        self.sweep_snapshots(None).await?;
        self.sweep_logs(&records);
        self.sweep_doors(records.iter().map(|r| r.id).collect()).await;
        // Limits of network devices that went with their guests.
        if let Err(e) = blocking(|| tc::sweep(&mut Netlink::open()?)).await {
            tracing::warn!("Failed looking for limits of network devices: {}", e.chain());
        }
        let ended = Mutex::new(Vec::new());
        let all = records.into_iter().map(|record| async {
            let name = record.name.clone();
            let outcome = match record.phase {
                Phase::Created => self.converge_one(record, &ended).await,
                Phase::Creating | Phase::Deleting => self.remove_half_done(record).await,
            };
            if let Err(e) = outcome {
                tracing::warn!(instance = %name, "Failed bringing an instance back: {}", e.chain());
            }
        });
        futures_util::stream::iter(all).for_each_concurrent(AT_ONCE, |one| one).await;
        self.follow_host();
        // Only now is known what of the host's links the others use.
        for Ended { record, forgotten } in ended.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.clear_nics(&record).await;
            // Last: a daemon that dies before this leaves the next one to see that there was a guest.
            if forgotten && let Err(e) = container::forget(&self.run_directory(record.id)).await {
                tracing::warn!(instance = %record.name, "Failed forgetting a guest: {}", e.chain());
            }
        }
        self.sweep_labels().await;
        self.adopt_view().await;
        Ok(())
    }

    /// Removes logs of no instance: those of the old name, after a renaming that was cut short.
    fn sweep_logs(&self, records: &[InstanceRecord]) {
        let known: BTreeSet<PathBuf> = records.iter().map(|r| self.places.logs(&r.project, &r.name)).gather();
        let found = std::fs::read_dir(self.places.root.join("logs")).into_iter().flatten().flatten();
        let directories = found.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).map(|entry| entry.path());
        for path in directories.filter(|path| !known.contains(path)) {
            if let Err(e) = remove_directory(&path) {
                tracing::warn!("Failed removing leftover logs: {}", e.chain());
            }
        }
    }

    async fn converge_one(&self, record: InstanceRecord, ended: &Mutex<Vec<Ended>>) -> Result<()> {
        let (name, of) = (record.name.clone(), record.clone());
        self.adopt(record, ended).await?;
        if let Err(e) = self.converge_snapshots(&of).await {
            tracing::warn!(instance = %name, "Failed bringing snapshots back: {}", e.chain());
        }
        Ok(())
    }

    /// Takes over a guest; one that has ended is noted, and added to `ended` when it may have left something.
    async fn adopt(&self, record: InstanceRecord, ended: &Mutex<Vec<Ended>>) -> Result<()> {
        let dirs = self.run_directory(record.id);
        let was_up = dirs.run.exists();
        let adopted = container::adopt(&dirs).await?;
        // After a reboot of the host it is to be started again, so what is known of it stays.
        let forgotten = match &adopted {
            container::Adopted::Exited(ended) => ended.reason != container::ExitReason::HostReboot,
            _ => true,
        };
        if was_up && matches!(adopted, container::Adopted::Exited(_) | container::Adopted::Gone) {
            let down = Ended { record: record.clone(), forgotten };
            ended.lock().unwrap_or_else(PoisonError::into_inner).push(down);
            self.end_helpers(record.id).await;
            self.close_door(record.id).await;
        }
        match adopted {
            // One that reboots says so to the actor at once.
            container::Adopted::Running(running) | container::Adopted::Rebooting(running) => {
                let pid = running.pid();
                // Whatever fails here: a guest that runs is never dropped. Before the actor, which sees whether it is frozen.
                if let Err(e) = copied::let_go(&dirs, &running).await {
                    tracing::warn!(instance = %record.name, "Failed letting a guest go on: {}", e.chain());
                }
                let guest = running.clone();
                let actor = Actor::spawn(self.clone(), record.id, Some(running));
                self.actors().insert(record.id, actor);
                let expanded = self.db.view(|v| expand(v, &record))?;
                if pid != 0 {
                    // Proxies last: some lead to what is behind a network device.
                    let found = [
                        self.adopt_equipment(record.id, &guest, &expanded).await,
                        self.adopt_nics(record.id, pid).await,
                        self.adopt_proxies(record.id, &guest).await,
                    ];
                    for e in found.into_iter().filter_map(Result::err) {
                        tracing::warn!(instance = %record.name, "Failed bringing devices back: {}", e.chain());
                    }
                }
                let config = expanded.config;
                // Its processors are counted again; what it has stays.
                self.limits(record.id, &config)?;
                if doors::wanted(&config)
                    && let Err(e) = self.open_door(record.id, ids::current(&record)?.root().0).await
                {
                    tracing::warn!(instance = %record.name, "Failed opening a guest's socket: {}", e.chain());
                }
            }
            container::Adopted::Exited(ended) => {
                tracing::info!(instance = %record.name, reason = ?ended.reason, "Instance went down meanwhile");
                if forgotten {
                    self.record_power(record.id, false).await?;
                    if record.ephemeral {
                        self.delete_ephemeral(record.id);
                    }
                }
            }
            container::Adopted::Gone => {}
        }
        Ok(())
    }

    async fn remove_half_done(&self, record: InstanceRecord) -> Result<()> {
        let adopted = container::adopt(&self.run_directory(record.id)).await?;
        if let container::Adopted::Running(running) | container::Adopted::Rebooting(running) = adopted {
            running.kill().await?;
            while running.wait_exit().await? == container::Ended::Reboot {
                running.decline_reboot().await?;
            }
        }
        let pool = self.db.view(|v| pool_of(v, &record))?;
        self.remove_leftovers(&record, &pool).await;
        Ok(())
    }

    /// Brings each pool's disk and records together and sweeps layers that nobody needs.
    pub async fn reconcile_pools(&self) -> Result<()> {
        let (pools, records) = self.db.view(|v| Ok((repo::pools::list(v)?, repo::instances::list(v, None)?)))?;
        for pool in pools {
            let name = pool.name.clone();
            let outcome = match pool.phase {
                Phase::Created => self.reconcile_pool(pool, &records).await,
                Phase::Creating | Phase::Deleting => self.pools.finish_delete(&pool).await,
            };
            if let Err(e) = outcome {
                tracing::warn!(pool = %name, "Failed bringing a pool back: {}", e.chain());
            }
        }
        Ok(())
    }

    async fn reconcile_pool(&self, pool: PoolRecord, records: &[InstanceRecord]) -> Result<()> {
        let (mut known, mut complete) = (Vec::new(), BTreeSet::new());
        for record in records {
            if self.db.view(|v| pool_of(v, record)).is_ok_and(|p| p.id == pool.id) {
                let volume = volume_of(record)?;
                for snapshot in self.db.view(|v| repo::snapshots::list(v, record.id))? {
                    known.push(volume.snapshot(&snapshot.name)?);
                }
                if record.phase == Phase::Created {
                    complete.insert(volume.clone());
                }
                known.push(volume);
            }
        }
        let driver = self.pools.driver(&pool)?;
        let found = blocking(move || {
            driver.check()?;
            quota::meet(&driver.paths().root())?;
            driver.reconcile(&known)
        })
        .await?;
        for volume in found.missing.iter().filter(|v| complete.contains(v)) {
            tracing::error!(pool = %pool.name, %volume, "A volume is missing");
        }
        for volume in found.discarded.iter().chain(&found.renamed) {
            tracing::info!(pool = %pool.name, %volume, "Finished an interrupted change of a volume");
        }
        for volume in found.unknown {
            tracing::warn!(pool = %pool.name, %volume, "Leaving a volume alone that no record knows of");
        }
        self.pools.wake_emptier(&pool);
        Ok(())
    }

    /// The last act of the daemon: takes away what is on the host for helpers alone, when none is left.
    pub fn leave_host(&self) {
        crate::runtime::sys::cgroup::remove_helpers(&self.host.cgroups);
    }

    /// Stops all instances, highest `boot.stop.priority` first; what doesn't stop in time is killed.
    ///
    /// Their records keep saying that they ran, so that the next start of the host brings them up again.
    pub async fn stop_all(&self) -> Result<()> {
        let mut groups: BTreeMap<i64, Vec<(InstanceRecord, u64)>> = BTreeMap::new();
        for (record, expanded) in self.all_expanded()? {
            if self.actor(record.id).live().state.is_up() {
                let config = Config(&expanded.config);
                let seconds = config.integer("boot.host_shutdown_timeout").and_then(|s| u64::try_from(s).ok());
                let priority = config.integer("boot.stop.priority").unwrap_or(0);
                groups.entry(priority).or_default().push((record, seconds.unwrap_or(STOP_TIME)));
            }
        }
        for (_, group) in groups.into_iter().rev() {
            let all = group.into_iter().map(|(record, seconds)| self.stop_for_host(record, seconds));
            futures_util::stream::iter(all).for_each_concurrent(AT_ONCE, |one| one).await;
        }
        Ok(())
    }

    async fn stop_for_host(&self, record: InstanceRecord, seconds: u64) {
        // Its stop is recorded as that of a guest that runs again when the host does.
        self.host_stops.lock().unwrap_or_else(PoisonError::into_inner).insert(record.id);
        let clean = self.stop(&record, false, Some(Duration::from_secs(seconds))).await;
        let stopped = match clean {
            Ok(()) => Ok(()),
            Err(_) => self.stop(&record, true, None).await,
        };
        if let Err(e) = stopped {
            tracing::warn!(instance = %record.name, "Failed stopping an instance: {}", e.chain());
        }
        if record.ephemeral {
            // Its actor has that begun; the daemon must not end before it is done.
            match self.delete_now(&record.project, &record.name, None).await {
                Err(e) if e.kind() != Kind::NotFound => {
                    tracing::warn!(instance = %record.name, "Failed deleting an instance: {}", e.chain());
                }
                _ => {}
            }
        }
    }

    pub(super) fn all_expanded(&self) -> Result<Vec<(InstanceRecord, Expanded)>> {
        self.db.view(|v| {
            let records = repo::instances::list(v, None)?.into_iter().filter(|r| r.phase == Phase::Created);
            records.map(|record| Ok((record.clone(), expand(v, &record)?))).collect()
        })
    }
}
