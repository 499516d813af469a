//! Snapshots of instances: reserve the name, copy the volume, confirm; rename, change the date, delete.

use std::collections::BTreeMap;

use super::create::{pool_of, volume_of};
use super::expand::{Expanded, expand, over};
use super::leftovers::check_complete;
use super::{Instances, snapshot_names};
use crate::api::config::device;
use crate::api::types::{
    ConfigMap, Devices, EventRequestor, InstanceSnapshot, InstanceSnapshotsPost, Operation, Timestamp,
};
use crate::order::Gather;
use crate::runtime::events::Lifecycle;
use crate::runtime::storage::{Guest, Volume};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{InstanceRecord, Phase, PoolRecord, ProfileRecord, SnapshotRecord};
use crate::store::{Read, repo};
use crate::{Error, Kind, Result};

/// A snapshot as clients see it: architecture, profiles and the like are the instance's of now. Pure.
pub(super) fn show(
    record: &SnapshotRecord,
    devices: Devices,
    instance: &InstanceRecord,
    expanded: Expanded,
) -> InstanceSnapshot {
    InstanceSnapshot {
        architecture: instance.architecture.clone(),
        config: record.config.clone(),
        created_at: record.created_at,
        devices,
        ephemeral: instance.ephemeral,
        expanded_config: expanded.config,
        expanded_devices: expanded.devices,
        expires_at: record.expires_at,
        last_used_at: Timestamp::ZERO,
        name: record.name.clone(),
        profiles: expanded.profiles,
        stateful: record.stateful,
        // What is the snapshot's alone isn't known.
        size: -1,
    }
}

/// Devices of a snapshot as its instance can have them: when that has been moved since, or copied, its root disk is the
/// instance's of now. Records keep what was there when the snapshot was made. Pure.
fn with_root(snapshot: &Devices, instance: &InstanceRecord, profiles: &BTreeMap<u64, ProfileRecord>) -> Devices {
    let pool = |own: &Devices| {
        let expanded = over(instance.profiles.iter().filter_map(|id| profiles.get(id)), &ConfigMap::new(), own);
        expanded.devices.into_values().find(device::is_root).and_then(|mut disk| disk.remove("pool"))
    };
    let mut devices = snapshot.clone();
    if pool(snapshot) != pool(&instance.devices) {
        devices.retain(|_, d| !device::is_root(d));
        let root = instance.devices.iter().filter(|(_, d)| device::is_root(d));
        devices.extend(root.map(|(name, d)| (name.clone(), d.clone())));
    }
    devices
}

fn profiles_of(r: &impl Read, instance: &InstanceRecord) -> Result<BTreeMap<u64, ProfileRecord>> {
    instance.profiles.iter().map(|id| Ok((*id, repo::profiles::by_id(r, *id)?))).try_gather()
}

/// Snapshots of one instance as clients see them, oldest first; those that aren't complete are left out.
pub(super) fn show_all(
    r: &impl Read,
    instance: &InstanceRecord,
    records: &[SnapshotRecord],
) -> Result<Vec<InstanceSnapshot>> {
    let known = profiles_of(r, instance)?;
    let complete = records.iter().filter(|s| s.phase == Phase::Created);
    let shown = complete.map(|s| {
        let devices = with_root(&s.devices, instance, &known);
        let expanded = over(instance.profiles.iter().filter_map(|id| known.get(id)), &s.config, &devices);
        show(s, devices, instance, expanded)
    });
    Ok(shown.collect())
}

impl Instances {
    /// The snapshots of an instance, oldest first.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn snapshots(&self, project: &str, instance: &str) -> Result<Vec<InstanceSnapshot>> {
        self.db.view(|v| {
            let record = repo::instances::by_name(v, project, instance)?;
            show_all(v, &record, &repo::snapshots::list(v, record.id)?)
        })
    }

    /// One snapshot.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn snapshot(&self, project: &str, instance: &str, name: &str) -> Result<InstanceSnapshot> {
        let (record, snapshot) = self.snapshot_record(project, instance, name)?;
        let shown = self.db.view(|v| show_all(v, &record, std::slice::from_ref(&snapshot)))?;
        shown.into_iter().next().ok_or_else(|| no_snapshot(project, instance, name))
    }

    /// The records of an instance and of a snapshot of it that is complete, with devices that the instance can have.
    pub(super) fn snapshot_record(
        &self,
        project: &str,
        instance: &str,
        name: &str,
    ) -> Result<(InstanceRecord, SnapshotRecord)> {
        self.db.view(|v| {
            let record = repo::instances::by_name(v, project, instance)?;
            match repo::snapshots::by_name(v, record.id, name) {
                Ok(mut snapshot) if snapshot.phase == Phase::Created => {
                    snapshot.devices = with_root(&snapshot.devices, &record, &profiles_of(v, &record)?);
                    Ok((record, snapshot))
                }
                Err(e) if e.kind() != Kind::NotFound => Err(e),
                _ => Err(no_snapshot(project, instance, name)),
            }
        })
    }

    /// Makes a snapshot, in the background. Without a name it gets the next one by `snapshots.pattern`.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] for a name with a slash or a wrong pattern.
    pub fn create_snapshot(
        &self,
        project: &str,
        instance: &str,
        post: InstanceSnapshotsPost,
        by: EventRequestor,
    ) -> Result<Operation> {
        let record = self.record(project, instance)?;
        // For a wrong pattern; the name is chosen when it is taken.
        let name = match post.name.as_str() {
            "" => next_name(&self.db.view(|v| expand(v, &record))?, &[])?,
            name => name.to_owned(),
        };
        snapshot_names::check(&name)?;
        let name = Some(post.name).filter(|name| !name.is_empty());
        let new = self.operation_on("Snapshotting instance", project, instance, by.clone());
        let (this, project, instance) = (self.clone(), project.to_owned(), instance.to_owned());
        Ok(self.operations.start(new, move |_| async move {
            if post.stateful {
                return Err(this.no_state(&record));
            }
            let wanted = Wanted { name, expires_at: post.expires_at };
            this.snapshot_now(&project, &instance, wanted, Some(&by)).await
        }))
    }

    /// Why memory state isn't kept, in LXD's words.
    fn no_state(&self, record: &InstanceRecord) -> Error {
        let why = match self.actor(record.id).live().state.is_up() {
            true => "CRIU isn't installed",
            false => "The instance isn't running",
        };
        Error::invalid(format!("Unable to create a stateful snapshot. {why}"))
    }

    /// Makes a snapshot of an instance, which may run.
    pub(super) async fn snapshot_now(
        &self,
        project: &str,
        instance: &str,
        wanted: Wanted,
        by: Option<&EventRequestor>,
    ) -> Result<()> {
        let _lease = self.leases.take(self.exclusive(project, instance)).await;
        let (record, snapshot, pool) = self.reserve_snapshot(project, instance, wanted).await?;
        let name = snapshot.name.clone();
        fault("daemon.snapshot.reserved");
        let made = self.copy_to_snapshot(&record, &pool, &name).await;
        fault("daemon.snapshot.volume");
        let confirmed = match made {
            Ok(()) => self.confirm_snapshot(snapshot.id).await,
            Err(e) => Err(e),
        };
        if let Err(e) = confirmed {
            self.remove_snapshot(&record, &snapshot, &pool).await;
            return Err(e);
        }
        fault("daemon.snapshot.confirmed");
        self.settle_snapshot(&record, &pool, &name).await;
        self.announce_snapshot(&record, &name, "instance-snapshot-created", by);
        Ok(())
    }

    /// The name that a snapshot gets. What the pool has of that name, and no record knows of, isn't ours to remove: nothing may be
    /// recorded that is made in its place.
    async fn free_name(&self, project: &str, instance: &str, wanted: Option<String>) -> Result<String> {
        // The lease keeps others from taking the name meanwhile.
        let (name, free) = self.db.view(|v| {
            let record = repo::instances::by_name(v, project, instance)?;
            check_complete(&record)?;
            let pool = pool_of(v, &record)?;
            let snapshots = repo::snapshots::list(v, record.id)?;
            let name = match &wanted {
                Some(name) => name.clone(),
                None => next_name(&expand(v, &record)?, &snapshots)?,
            };
            let is_new = snapshots.iter().all(|s| s.name != name);
            let free = snapshot_of(&record, &name).ok().filter(|_| is_new).map(|volume| (pool, volume));
            Ok((name, free))
        })?;
        // A wrong name, or one that is taken, is told of below.
        if let Some((pool, volume)) = free {
            self.check_free(&pool, volume).await?;
        }
        Ok(name)
    }

    async fn reserve_snapshot(
        &self,
        project: &str,
        instance: &str,
        wanted: Wanted,
    ) -> Result<(InstanceRecord, SnapshotRecord, PoolRecord)> {
        let created_at = Timestamp::now();
        let name = self.free_name(project, instance, wanted.name).await?;
        let (reserved, _) = self
            .db
            .transact(|tx| {
                let record = repo::instances::by_name(tx, project, instance)?;
                let expanded = expand(tx, &record)?;
                let pool = pool_of(tx, &record)?;
                let rootless =
                    |e: &Error| Error::invalid(format!("Failed initialising instance: Failed getting root disk: {e}"));
                let failed = |e: Error| {
                    let text = format!("Failed creating instance snapshot record {name:?}: {e}");
                    Error::new(e.kind(), text)
                };
                device::check_root(&expanded.devices).map_err(|e| failed(rootless(&e)))?;
                snapshot_names::check(&name)?;
                snapshot_names::check_characters(&name).map_err(failed)?;
                let kept = expanded.config.get("snapshots.expiry").map_or("", String::as_str);
                let snapshot = SnapshotRecord {
                    instance: record.id,
                    name: name.clone(),
                    config: record.config.clone(),
                    devices: record.devices.clone(),
                    created_at,
                    expires_at: match wanted.expires_at {
                        Some(date) => date,
                        None => snapshot_names::expiry(kept, created_at),
                    },
                    ..SnapshotRecord::default()
                };
                let taken = |e: Error| match e.kind() {
                    Kind::Exists => failed(Error::new(Kind::Exists, format!("Add snapshot info to the database: {e}"))),
                    _ => e,
                };
                let snapshot = repo::snapshots::insert(tx, snapshot).map_err(taken)?;
                Ok((record, snapshot, pool))
            })
            .await?;
        Ok(reserved)
    }

    async fn copy_to_snapshot(&self, record: &InstanceRecord, pool: &PoolRecord, name: &str) -> Result<()> {
        let (driver, volume) = (self.pools.driver(pool)?, volume_of(record)?);
        let snapshot = volume.snapshot(name)?;
        let guest = self.copied_guest(record.id);
        let _alone = self.keep_visitors_off(record.id).await;
        blocking(move || driver.copy_volume(&volume, &snapshot, guest.as_ref().map(|g| g as &dyn Guest))).await
    }

    async fn confirm_snapshot(&self, id: u64) -> Result<()> {
        let confirm = |s: &mut SnapshotRecord| {
            s.phase = Phase::Created;
            Ok(())
        };
        self.db.transact(|tx| repo::snapshots::modify(tx, id, confirm).map(drop)).await?;
        Ok(())
    }

    /// Tells the pool that the record is written; what it forgets in a crash it finds again at the next start.
    pub(super) async fn settle_snapshot(&self, record: &InstanceRecord, pool: &PoolRecord, name: &str) {
        let settled = match (self.pools.driver(pool), snapshot_of(record, name)) {
            (Ok(driver), Ok(volume)) => blocking(move || driver.settle(&volume)).await,
            (Err(e), _) | (_, Err(e)) => Err(e),
        };
        if let Err(e) = settled {
            tracing::warn!(instance = %record.name, "Failed settling a snapshot: {}", e.chain());
        }
    }

    pub(super) async fn remove_snapshot_volume_and_record(
        &self,
        record: &InstanceRecord,
        snapshot: &SnapshotRecord,
        pool: &PoolRecord,
    ) -> Result<()> {
        let (driver, volume) = (self.pools.driver(pool)?, snapshot_of(record, &snapshot.name)?);
        blocking(move || driver.delete_volume(&volume)).await?;
        fault("daemon.snapshot_delete.volume");
        self.db.transact(|tx| repo::snapshots::remove(tx, snapshot.id)).await?;
        self.pools.wake_sweeper(pool);
        self.pools.wake_emptier(pool);
        Ok(())
    }

    /// Changes when a snapshot may go, in the background; `decide` gets the date of now.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn update_snapshot(
        &self,
        (project, instance, name): (&str, &str, &str),
        expires_at: Option<Timestamp>,
        by: EventRequestor,
    ) -> Result<Operation> {
        let (_, snapshot) = self.snapshot_record(project, instance, name)?;
        // LXD names the snapshot as if it were an instance.
        let new = self.operation_on("Updating snapshot", project, name, by);
        let this = self.clone();
        Ok(self.operations.start(new, move |_| async move {
            let Some(date) = expires_at else { return Ok(()) };
            let change = |s: &mut SnapshotRecord| {
                s.expires_at = date;
                Ok(())
            };
            this.db.transact(|tx| repo::snapshots::modify(tx, snapshot.id, change).map(drop)).await?;
            Ok(())
        }))
    }

    /// Renames a snapshot, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] when the name is taken; [`Kind::Invalid`] for a wrong one.
    pub fn rename_snapshot(
        &self,
        (project, instance, name): (&str, &str, &str),
        new_name: &str,
        by: EventRequestor,
    ) -> Result<Operation> {
        let (record, _) = self.snapshot_record(project, instance, name)?;
        snapshot_names::check(new_name)?;
        if self.db.view(|v| repo::snapshots::by_name(v, record.id, new_name)).is_ok() {
            return Err(Error::new(Kind::Conflict, format!("Name '{instance}/{new_name}' already in use")));
        }
        snapshot_names::check_characters(new_name)?;
        let new = self.operation_on("Renaming snapshot", project, instance, by.clone());
        let (this, names) = (self.clone(), [project, instance, name, new_name].map(str::to_owned));
        Ok(self.operations.start(new, move |_| async move {
            let [project, instance, name, new_name] = names;
            this.rename_snapshot_now((&project, &instance, &name), &new_name).await?;
            let old = format!("{instance}/{name}");
            let source = url::snapshot(&project, &instance, &new_name);
            this.events.renamed(&project, "instance-snapshot-renamed", (source, &old), &by);
            Ok(())
        }))
    }

    async fn rename_snapshot_now(&self, (project, instance, name): (&str, &str, &str), new_name: &str) -> Result<()> {
        let _lease = self.leases.take(self.exclusive(project, instance)).await;
        let (record, snapshot) = self.snapshot_record(project, instance, name)?;
        let pool = self.db.view(|v| pool_of(v, &record))?;
        let driver = self.pools.driver(&pool)?;
        let (old, new) = (snapshot_of(&record, name)?, snapshot_of(&record, new_name)?);
        let (moving, from, to) = (driver.clone(), old.clone(), new.clone());
        blocking(move || moving.rename_volume(&from, &to)).await?;
        fault("daemon.snapshot_rename.volume");
        if let Err(e) = self.db.transact(|tx| repo::snapshots::rename(tx, snapshot.id, new_name)).await {
            let from = new.clone();
            if let Err(undo) = blocking(move || driver.rename_volume(&from, &old)).await {
                tracing::warn!("Failed undoing a rename: {}", undo.chain());
            }
            return Err(e);
        }
        fault("daemon.snapshot_rename.recorded");
        blocking(move || driver.settle(&new)).await
    }

    /// Deletes a snapshot, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn delete_snapshot(
        &self,
        (project, instance, name): (&str, &str, &str),
        by: EventRequestor,
    ) -> Result<Operation> {
        self.snapshot_record(project, instance, name)?;
        let whole = format!("{instance}/{name}");
        let url = |kind: &str| vec![format!("/1.0/{kind}/{whole}")];
        let new = crate::runtime::operations::NewOperation::task("Deleting snapshot", project)
            .on("instances", url("instances"))
            .on("containers", url("containers"))
            .by(by.clone());
        let (this, names) = (self.clone(), [project, instance, name].map(str::to_owned));
        Ok(self.operations.start(new, move |_| async move {
            let [project, instance, name] = names;
            let _lease = this.leases.take(this.exclusive(&project, &instance)).await;
            this.delete_snapshot_now((&project, &instance, &name), Some(&by)).await
        }))
    }

    /// Deletes a snapshot; the instance's lease is held.
    pub(super) async fn delete_snapshot_now(
        &self,
        (project, instance, name): (&str, &str, &str),
        by: Option<&EventRequestor>,
    ) -> Result<()> {
        let (record, snapshot) = self.snapshot_record(project, instance, name)?;
        let mark = |s: &mut SnapshotRecord| {
            s.phase = Phase::Deleting;
            Ok(())
        };
        let (pool, _) = self
            .db
            .transact(|tx| {
                repo::snapshots::modify(tx, snapshot.id, mark)?;
                pool_of(tx, &record)
            })
            .await?;
        fault("daemon.snapshot_delete.marked");
        if let Err(e) = self.remove_snapshot_volume_and_record(&record, &snapshot, &pool).await {
            // It may be used or deleted again.
            if let Err(undo) = self.confirm_snapshot(snapshot.id).await {
                tracing::warn!(instance, "Failed undoing a deletion: {}", undo.chain());
            }
            return Err(e);
        }
        fault("daemon.snapshot_delete.forgotten");
        self.announce_snapshot(&record, name, "instance-snapshot-deleted", by);
        Ok(())
    }

    pub(super) fn announce_snapshot(
        &self,
        record: &InstanceRecord,
        name: &str,
        action: &str,
        by: Option<&EventRequestor>,
    ) {
        let source = url::snapshot(&record.project, &record.name, name);
        self.events.lifecycle(Lifecycle { project: &record.project, action, source, context: None, requestor: by });
    }
}

/// A snapshot that is to be made.
pub(super) struct Wanted {
    /// Its name; the next one by `snapshots.pattern` when there is none.
    pub(super) name: Option<String>,
    /// When it may go; by `snapshots.expiry` when not said.
    pub(super) expires_at: Option<Timestamp>,
}

/// The next name by `snapshots.pattern`.
fn next_name(expanded: &Expanded, taken: &[SnapshotRecord]) -> Result<String> {
    let taken: Vec<&str> = taken.iter().map(|s| s.name.as_str()).collect();
    let pattern = expanded.config.get("snapshots.pattern").map_or("", String::as_str);
    snapshot_names::next(pattern, &taken, &Timestamp::now().local())
}

/// The volume of a snapshot, as the storage drivers name it.
pub(super) fn snapshot_of(record: &InstanceRecord, name: &str) -> Result<Volume> {
    volume_of(record)?.snapshot(name)
}

fn no_snapshot(project: &str, instance: &str, name: &str) -> Error {
    let place = format!("of instance {instance:?} in project {project:?}");
    Error::not_found(format!("Failed to fetch snapshot {name:?} {place}: InstanceSnapshot not found"))
}
