//! Copies of instances and snapshots within this daemon: the same reserve, make, confirm as for an image, with the snapshots.

use serde_json::Value;

use super::create::{self, pool_of, volume_of};
use super::leftovers::check_complete;
use super::snapshots::snapshot_of;
use super::{Instances, profile_ids, sizes};
use crate::api::config::names;
use crate::api::types::{ConfigMap, EventRequestor, InstancesPost, Operation, Timestamp};
use crate::order::Gather;
use crate::runtime::leases::{Class, Want};
use crate::runtime::operations::{Handle, NewOperation};
use crate::runtime::storage::{Content, Driver, Guest, Place, Volume};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, random, url};
use crate::store::records::{InstanceRecord, Phase, PoolRecord, SnapshotRecord};
use crate::store::repo;
use crate::{Error, Kind, Result};

/// Snapshots whose records are written or removed by one transaction.
pub(super) const BATCH: usize = 30;

/// What is copied.
#[derive(Clone)]
pub(super) struct Origin {
    /// The instance.
    pub(super) record: InstanceRecord,
    /// The one snapshot of it that is meant.
    pub(super) snapshot: Option<SnapshotRecord>,
    /// Whether its snapshots come along.
    pub(super) with_snapshots: bool,
}

impl Instances {
    /// Copies an instance or a snapshot, in the background; or brings an older copy up to date.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for the source; [`Kind::Invalid`] for the name or no source.
    pub(super) fn copy(&self, project: &str, post: InstancesPost, by: EventRequestor) -> Result<Operation> {
        let origin = self.copy_origin(project, &post)?;
        let record = self.draft_copy(project, &post, &origin)?;
        let named = |kind: &str| {
            let source = match &origin.snapshot {
                Some(s) => format!("/1.0/{kind}/{}/{}", origin.record.name, s.name),
                None => url::of(kind, &origin.record.name, &origin.record.project),
            };
            vec![url::of(kind, &record.name, project), source]
        };
        let new = NewOperation::task("Creating instance", project)
            .on("instances", named("instances"))
            .on("containers", named("containers"))
            .by(by.clone());
        let this = self.clone();
        Ok(self.operations.start(new, move |handle| async move {
            if post.source.refresh && this.record(&record.project, &record.name).is_ok() {
                return this.refresh_now(&record, &origin, &by).await;
            }
            this.copy_now(record, origin, &handle, &by).await
        }))
    }

    fn copy_origin(&self, project: &str, post: &InstancesPost) -> Result<Origin> {
        let source = &post.source;
        if source.source.is_empty() {
            return Err(Error::invalid("Must specify a source instance"));
        }
        let project = if source.project.is_empty() { project } else { &source.project };
        let with_snapshots = !source.instance_only && !source.container_only;
        let (name, snapshot) = match source.source.split_once('/') {
            Some((name, snapshot)) => (name, Some(snapshot)),
            None => (source.source.as_str(), None),
        };
        let Some(snapshot) = snapshot else {
            let missing = |e: Error| match e.kind() {
                Kind::NotFound => {
                    Error::not_found(format!("Failed to fetch instance {name:?} in project {project:?}: {e}"))
                }
                _ => e,
            };
            let record = self.record(project, name).map_err(missing)?;
            return Ok(Origin { record, snapshot: None, with_snapshots });
        };
        let (record, snapshot) = self.snapshot_record(project, name, snapshot)?;
        Ok(Origin { record, snapshot: Some(snapshot), with_snapshots: false })
    }

    /// The record of the copy: what the request says over what the source has.
    fn draft_copy(&self, project: &str, post: &InstancesPost, origin: &Origin) -> Result<InstanceRecord> {
        let name = if post.name.is_empty() { create::petname() } else { post.name.clone() };
        names::instance(&name)?;
        let (config, devices) = match &origin.snapshot {
            Some(snapshot) => (&snapshot.config, &snapshot.devices),
            None => (&origin.record.config, &origin.record.devices),
        };
        let mut own = kept(config);
        let mut asked = post.config.clone();
        sizes::apply(&mut asked, &post.instance_type)?;
        own.extend(asked);
        own.extend(fresh());
        let mut own_devices = devices.clone();
        own_devices.extend(post.devices.clone());
        let profiles = self.db.view(|v| {
            let missing = |name: &&String| repo::profiles::by_name(v, project, name).is_err();
            let names = post.profiles.clone().unwrap_or_default();
            if let Some(name) = names.iter().find(missing) {
                return Err(Error::internal(format!("Requested profile {name:?} doesn't exist")));
            }
            profile_ids(v, project, &names)
        })?;
        Ok(InstanceRecord {
            project: project.into(),
            name,
            kind: origin.record.kind,
            architecture: origin.record.architecture.clone(),
            description: post.description.clone(),
            config: own,
            devices: own_devices,
            profiles,
            ephemeral: post.ephemeral,
            created_at: Timestamp::now(),
            phase: Phase::Creating,
            ..InstanceRecord::default()
        })
    }

    async fn copy_now(
        &self,
        record: InstanceRecord,
        origin: Origin,
        handle: &Handle,
        by: &EventRequestor,
    ) -> Result<()> {
        let mut wants = self.exclusive(&record.project, &record.name);
        wants.extend(self.exclusive(&origin.record.project, &origin.record.name));
        wants.extend(record.profiles.iter().map(|id| Want::shared(Class::Profile, id.to_string())));
        let _lease = self.leases.take(wants).await;
        let source = self.record(&origin.record.project, &origin.record.name)?;
        check_complete(&source)?;
        let from = self.db.view(|v| pool_of(v, &source))?;
        let snapshots = self.snapshots_to_copy(&origin)?;
        let _alone = self.keep_visitors_off(source.id).await;
        let (record, volume, pool) = self.reserve(record).await?;
        let unfinished = self.unfinished(&record, &pool);
        fault("daemon.copy.reserved");
        let made = self.copy_volumes((&origin, &from), (&record, &pool), &snapshots).await;
        fault("daemon.copy.volumes");
        let confirmed = match made.and_then(|()| handle.cancel().check()) {
            Ok(()) => self.confirm_copy(&record, volume.id, &snapshots).await,
            Err(e) => Err(e),
        };
        unfinished.disarm();
        if let Err(e) = confirmed {
            self.remove_leftovers(&record, &pool).await;
            return Err(e);
        }
        fault("daemon.copy.confirmed");
        self.settle_all(&record, &pool, &snapshots).await;
        let context =
            [("storage-pool".into(), Value::from(pool.name)), ("type".into(), Value::from(record.kind.as_str()))];
        self.announce_with((&record.project, &record.name), "instance-created", by, context);
        for snapshot in &snapshots {
            self.announce_snapshot(&record, &snapshot.name, "instance-snapshot-created", Some(by));
        }
        Ok(())
    }

    /// The snapshots that come along, as their records will be.
    pub(super) fn snapshots_to_copy(&self, origin: &Origin) -> Result<Vec<SnapshotRecord>> {
        if !origin.with_snapshots {
            return Ok(Vec::new());
        }
        let all = self.db.view(|v| repo::snapshots::list(v, origin.record.id))?;
        Ok(all.into_iter().filter(|s| s.phase == Phase::Created).collect())
    }

    /// Nobody reads or changes files of a stopped instance while the answer lives; those of one that runs are its own matter.
    pub(super) async fn keep_visitors_off(&self, id: u64) -> Option<super::files::Kept> {
        match self.actor(id).live().running {
            Some(_) => None,
            None => Some(self.turns.evict(id).await),
        }
    }

    /// Copies the volumes of snapshots and of the instance, or of the one snapshot that is meant. Visitors are kept off.
    pub(super) async fn copy_volumes(
        &self,
        (origin, from): (&Origin, &PoolRecord),
        (record, pool): (&InstanceRecord, &PoolRecord),
        snapshots: &[SnapshotRecord],
    ) -> Result<()> {
        let (source, target) = (volume_of(&origin.record)?, self.counted(record, pool)?);
        let ends = Ends::new(self, from, pool)?;
        let guest = if origin.snapshot.is_some() { None } else { self.copied_guest(origin.record.id) };
        let top = match &origin.snapshot {
            Some(snapshot) => source.snapshot(&snapshot.name)?,
            None => source.clone(),
        };
        let names: Vec<String> = snapshots.iter().map(|s| s.name.clone()).collect();
        let (owner, _) = self.guest_root(record)?;
        blocking(move || {
            for name in names {
                ends.copy(&source.snapshot(&name)?, &target.snapshot(&name)?, None)?;
            }
            ends.copy(&top, &target, guest.as_ref().map(|g| g as &dyn Guest))?;
            ends.to.paths().set_owner(&target, owner)
        })
        .await
    }

    /// Writes the records of the snapshots, and with the last of them that the instance is complete.
    pub(super) async fn confirm_copy(
        &self,
        record: &InstanceRecord,
        volume: u64,
        snapshots: &[SnapshotRecord],
    ) -> Result<()> {
        let split = snapshots.len().saturating_sub(BATCH);
        let (first, last) = snapshots.split_at(split);
        for batch in first.chunks(BATCH) {
            self.db.transact(|tx| insert_snapshots(tx, record.id, batch)).await?;
        }
        let mut created = record.clone();
        created.phase = Phase::Created;
        self.db
            .transact(|tx| {
                insert_snapshots(tx, record.id, last)?;
                repo::volumes::modify(tx, volume, |v| {
                    v.phase = Phase::Created;
                    Ok(())
                })?;
                repo::instances::update(tx, &created)
            })
            .await?;
        Ok(())
    }

    /// Tells the pool that the records of an instance and its snapshots are written.
    pub(super) async fn settle_all(&self, record: &InstanceRecord, pool: &PoolRecord, snapshots: &[SnapshotRecord]) {
        for snapshot in snapshots {
            self.settle_snapshot(record, pool, &snapshot.name).await;
        }
        self.settle(record, pool).await;
    }

    /// Brings a stopped copy up to date: its snapshots become those of the source, then its root becomes the source's.
    async fn refresh_now(&self, draft: &InstanceRecord, origin: &Origin, by: &EventRequestor) -> Result<()> {
        let mut wants = self.exclusive(&draft.project, &draft.name);
        wants.extend(self.exclusive(&origin.record.project, &origin.record.name));
        let _lease = self.leases.take(wants).await;
        let target = self.record(&draft.project, &draft.name)?;
        if target.id == origin.record.id {
            return Err(Error::invalid("An instance can't be refreshed from itself"));
        }
        if self.actor(target.id).live().state.is_up() {
            let text = "Failed getting exclusive access to instance: Instance is running";
            return Err(Error::new(Kind::Busy, text));
        }
        let _alone = self.turns.evict(target.id).await;
        let pools = |record: &InstanceRecord| self.db.view(|v| pool_of(v, record));
        let (from, to) = (pools(&origin.record)?, pools(&target)?);
        if origin.with_snapshots {
            self.refresh_snapshots((origin, &from), (&target, &to), by).await?;
        }
        self.refresh_root((origin, &from), (&target, &to)).await?;
        self.pools.wake_sweeper(&to);
        self.pools.wake_emptier(&to);
        Ok(())
    }

    /// Takes away snapshots that the source hasn't, and copies those that the target hasn't.
    async fn refresh_snapshots(
        &self,
        (origin, from): (&Origin, &PoolRecord),
        (target, to): (&InstanceRecord, &PoolRecord),
        by: &EventRequestor,
    ) -> Result<()> {
        let wanted = self.snapshots_to_copy(origin)?;
        let present = self.db.view(|v| repo::snapshots::list(v, target.id))?;
        let same = |a: &SnapshotRecord, b: &SnapshotRecord| a.name == b.name && a.created_at == b.created_at;
        for extra in present.iter().filter(|p| !wanted.iter().any(|w| same(w, p))) {
            self.delete_snapshot_now((&target.project, &target.name, &extra.name), Some(by)).await?;
        }
        for missing in wanted.iter().filter(|w| !present.iter().any(|p| same(w, p))) {
            let ends = Ends::new(self, from, to)?;
            let (source, new) = (snapshot_of(&origin.record, &missing.name)?, snapshot_of(target, &missing.name)?);
            blocking(move || ends.copy(&source, &new, None)).await?;
            let inserted = self.db.transact(|tx| insert_snapshots(tx, target.id, std::slice::from_ref(missing))).await;
            if let Err(e) = inserted {
                let (driver, volume) = (self.pools.driver(to)?, snapshot_of(target, &missing.name)?);
                if let Err(undo) = blocking(move || driver.delete_volume(&volume)).await {
                    tracing::warn!(instance = %target.name, "Failed undoing a copy of a snapshot: {}", undo.chain());
                }
                return Err(e);
            }
            self.settle_snapshot(target, to, &missing.name).await;
            self.announce_snapshot(target, &missing.name, "instance-snapshot-created", Some(by));
        }
        Ok(())
    }

    /// Replaces the root of the target. What is copied is complete before the old one goes; where volumes are plain trees, files
    /// that are the same stay and get another name in it.
    async fn refresh_root(
        &self,
        (origin, from): (&Origin, &PoolRecord),
        (target, to): (&InstanceRecord, &PoolRecord),
    ) -> Result<()> {
        let ends = Ends::new(self, from, to)?;
        let guest = if origin.snapshot.is_some() { None } else { self.copied_guest(origin.record.id) };
        let _alone = self.keep_visitors_off(origin.record.id).await;
        let source = match &origin.snapshot {
            Some(snapshot) => snapshot_of(&origin.record, &snapshot.name)?,
            None => volume_of(&origin.record)?,
        };
        let volume = volume_of(target)?;
        // Not a name that a user's snapshot can have.
        let staged = volume.snapshot(&format!("refresh {}", random::uuid()))?;
        blocking(move || {
            if let Some(renewing) = ends.to.renewing() {
                let guest = guest.as_ref().map(|g| g as &dyn Guest);
                let tree = ends.from.open_tree(&source, guest)?;
                let fill = |place: &Place<'_>| {
                    tree.copy_to(place, guest)?;
                    fault("daemon.refresh.staged");
                    Ok(())
                };
                return renewing.renew_volume(&volume, Box::new(fill));
            }
            if ends.same && guest.is_none() {
                return ends.to.restore_volume(&volume, &source);
            }
            ends.copy(&source, &staged, guest.as_ref().map(|g| g as &dyn Guest))?;
            fault("daemon.refresh.staged");
            let restored = ends.to.restore_volume(&volume, &staged);
            match (restored, ends.to.delete_volume(&staged)) {
                (Err(e), Err(undo)) => {
                    tracing::warn!(?volume, "Failed undoing a refresh: {}", undo.chain());
                    Err(e)
                }
                (restored, deleted) => restored.and(deleted),
            }
        })
        .await
    }
}

/// Where from and where to.
pub(super) struct Ends {
    from: std::sync::Arc<dyn Driver>,
    to: std::sync::Arc<dyn Driver>,
    same: bool,
}

impl Ends {
    pub(super) fn new(instances: &Instances, from: &PoolRecord, to: &PoolRecord) -> Result<Ends> {
        let same = from.id == to.id;
        Ok(Ends { from: instances.pools.driver(from)?, to: instances.pools.driver(to)?, same })
    }

    /// Copies a volume or snapshot. Blocks.
    pub(super) fn copy(&self, from: &Volume, to: &Volume, guest: Option<&dyn Guest>) -> Result<()> {
        if self.same {
            return self.to.copy_volume(from, to, guest);
        }
        let tree = self.from.open_tree(from, guest)?;
        self.to.create_volume(to, Content::Tree(Box::new(|place| tree.copy_to(place, guest))))
    }
}

/// Writes records of snapshots like these for an instance.
pub(super) fn insert_snapshots(tx: &mut crate::store::Tx, instance: u64, like: &[SnapshotRecord]) -> Result<()> {
    for snapshot in like {
        let copy = SnapshotRecord { instance, restoring: false, ..snapshot.clone() };
        repo::snapshots::insert(tx, copy)?;
    }
    Ok(())
}

/// What of a configuration a copy has, too: not who the source is nor how its devices are plugged in.
fn kept(config: &ConfigMap) -> ConfigMap {
    let stays =
        |key: &str| !key.starts_with("volatile.") || matches!(key, "volatile.base_image" | "volatile.last_state.idmap");
    config.iter().filter(|(key, _)| stays(key)).map(|(k, v)| (k.clone(), v.clone())).gather()
}

/// The volatile keys that are a copy's own.
fn fresh() -> ConfigMap {
    ConfigMap::from([
        ("volatile.apply_template".to_owned(), "copy".to_owned()),
        ("volatile.cloud-init.instance-id".into(), random::uuid()),
        ("volatile.uuid".into(), random::uuid()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_its_files_depend_on_and_is_somebody_else() {
        let config: ConfigMap = [
            ("user.a", "1"),
            ("image.os", "x"),
            ("volatile.base_image", "f"),
            ("volatile.last_state.idmap", "[]"),
            ("volatile.uuid", "u"),
            ("volatile.eth0.hwaddr", "00:16:3e:00:00:01"),
            ("volatile.last_state.power", "RUNNING"),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
        let kept: Vec<String> = kept(&config).into_keys().collect();
        assert_eq!(kept, ["image.os", "user.a", "volatile.base_image", "volatile.last_state.idmap"]);
    }
}
