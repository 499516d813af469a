//! Instances made of archives.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

use serde_json::{Map, Value};

use super::index::{self, Contents};
use crate::api::config::{device, instance, names};
use crate::api::types::{ConfigMap, EventRequestor, InstanceSnapshot, Operation, Timestamp};
use crate::runtime::events::Lifecycle;
use crate::runtime::images::unpack::{ArchivedTree, Limits, RESTORE_TARGETS, RestoreTarget, Runner};
use crate::runtime::instances::create::{root_pool, target_of};
use crate::runtime::instances::{Instances, expand, packing, profile_ids};
use crate::runtime::leases::{Class, Want};
use crate::runtime::storage::{Content, Driver, Place, Volume};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{InstanceKind, InstanceRecord, Phase, PoolRecord, SnapshotRecord};
use crate::store::repo;
use crate::{Ctx, Error, Kind, Result};

/// An archive that has arrived: a file without a name, which nothing is left of when it is closed.
pub struct Arrival(pub File);

/// What to make of it.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The instance's name; the archive's own when empty.
    pub name: String,
    /// The pool; the archive's own when empty.
    pub pool: String,
}

impl Instances {
    /// A file for an archive that is about to come.
    pub async fn arrival(&self) -> Result<Arrival> {
        let directory = self.places.backups();
        let open = move || {
            let file =
                File::options().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(&directory);
            file.map(Arrival).ctx(Kind::Internal, || format!("Failed creating a file in {directory:?}"))
        };
        blocking(open).await
    }

    /// Makes an instance of an archive, in the background.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is no archive of an instance, with LXD's texts.
    pub async fn import(&self, project: &str, from: Arrival, wanted: Wanted, by: EventRequestor) -> Result<Operation> {
        let file = from.0.try_clone().ctx(Kind::Internal, || "Failed reading the backup")?;
        let contents = index::parse(&Runner::own().index(file, Limits::default()).await?)?;
        let name = if wanted.name.is_empty() { contents.name.clone() } else { wanted.name };
        names::instance(&name).map_err(|e| {
            Error::new(e.kind(), format!("Failed importing backup: Failed creating instance record: {e}"))
        })?;
        let pool = self.pool_for(project, &wanted.pool, &contents.pool)?;
        let record = self.record_of(project, &name, &contents, &pool)?;
        let new = self.operation_on("Restoring backup", project, &name, by);
        let this = self.clone();
        Ok(self.operations.start(new, move |_| async move {
            let record = this.make_of(record, &contents, from.0).await?;
            this.announce_restored(&record, &pool, &contents);
            Ok(())
        }))
    }

    fn announce_restored(&self, record: &InstanceRecord, pool: &PoolRecord, contents: &Contents) {
        let (project, name) = (record.project.as_str(), record.name.as_str());
        let tell = |action, source, context| {
            self.events.lifecycle(Lifecycle { project, action, source, context, requestor: None });
        };
        let context = [("storage-pool", pool.name.as_str()), ("type", record.kind.as_str())];
        let context = context.map(|(key, value)| (key.to_owned(), Value::from(value)));
        tell("instance-created", url::of("instances", name, project), Some(Map::from_iter(context)));
        let snapshots = format!("instances/{}/snapshots", url::encode(name));
        for snapshot in &contents.snapshots {
            tell("instance-snapshot-created", url::of(&snapshots, &snapshot.name, project), None);
        }
    }

    /// The pool that is asked for, that of the same name as the archive's, or that of the default profile.
    fn pool_for(&self, project: &str, wanted: &str, own: &str) -> Result<PoolRecord> {
        self.db.view(|v| {
            let missing = |e: Error| Error::internal(format!("Storage pool not found: {e}"));
            if !wanted.is_empty() {
                return repo::pools::by_name(v, wanted).map_err(missing);
            }
            repo::pools::by_name(v, own).or_else(|_| {
                let usual = repo::profiles::by_name(v, project, "default")?;
                root_pool(v, &expand::over([&usual], &Default::default(), &Default::default())).map_err(missing)
            })
        })
    }

    /// The record of the instance as the archive describes it, on this pool.
    pub(super) fn record_of(
        &self,
        project: &str,
        name: &str,
        from: &Contents,
        pool: &PoolRecord,
    ) -> Result<InstanceRecord> {
        let instance = &from.instance;
        if !self.host.architectures.contains(&instance.architecture) {
            return Err(Error::invalid(format!("Architecture isn't supported: {}", instance.architecture)));
        }
        check_snapshots(&from.snapshots)?;
        let config = with_guest_ids(instance.config.clone());
        let mut record = InstanceRecord {
            project: project.into(),
            name: name.into(),
            kind: InstanceKind::Container,
            architecture: instance.architecture.clone(),
            description: instance.description.clone(),
            config,
            devices: instance.devices.clone(),
            profiles: self.db.view(|v| profile_ids(v, project, &instance.profiles))?,
            ephemeral: instance.ephemeral,
            stateful: instance.stateful,
            created_at: instance.created_at,
            last_used_at: if instance.last_used_at.is_set() { instance.last_used_at } else { Timestamp::ZERO },
            phase: Phase::Creating,
            ..InstanceRecord::default()
        };
        self.put_on(&mut record, pool)?;
        Ok(record)
    }

    /// Gives the record a root disk on this pool.
    fn put_on(&self, record: &mut InstanceRecord, pool: &PoolRecord) -> Result<()> {
        let expanded = self.db.view(|v| expand::expand(v, record))?;
        let root = device::check_root(&expanded.devices).ok();
        let fits = root.and_then(|name| expanded.devices.get(name)).is_some_and(|d| d.get("pool") == Some(&pool.name));
        if fits {
            return Ok(());
        }
        let name = root.unwrap_or("root").to_owned();
        let disk = record.devices.entry(name).or_insert_with(|| device::root(&pool.name));
        disk.insert("pool".into(), pool.name.clone());
        Ok(())
    }

    async fn make_of(&self, record: InstanceRecord, contents: &Contents, file: File) -> Result<InstanceRecord> {
        let mut wants = self.exclusive(&record.project, &record.name);
        wants.extend(record.profiles.iter().map(|id| Want::shared(Class::Profile, id.to_string())));
        let _lease = self.leases.take(wants).await;
        if self.record(&record.project, &record.name).is_ok() {
            let text = "Create instance from backup: Cannot restore volume, already exists on target";
            return Err(Error::new(Kind::Exists, text));
        }
        let (record, volume, pool) = self.reserve(record).await?;
        let unfinished = self.unfinished(&record, &pool);
        fault("daemon.restore.reserved");
        let snapshots: Vec<_> =
            contents.snapshots.iter().map(|s| archived(s, with_guest_ids(s.config.clone()))).collect();
        let made = self.fill(&record, &pool, contents, file).await;
        fault("daemon.restore.volume");
        let confirmed = match made {
            Ok(()) => self.confirm_copy(&record, volume.id, &snapshots).await,
            Err(e) => Err(e),
        };
        unfinished.disarm();
        match confirmed {
            Ok(()) => {
                fault("daemon.restore.confirmed");
                self.settle_all(&record, &pool, &snapshots).await;
                Ok(record)
            }
            Err(e) => {
                self.remove_leftovers(&record, &pool).await;
                Err(e)
            }
        }
    }

    /// Makes the volume and its snapshots.
    async fn fill(&self, record: &InstanceRecord, pool: &PoolRecord, contents: &Contents, file: File) -> Result<()> {
        let driver = self.pools.driver(pool)?;
        let volume = self.counted(record, pool)?;
        let ids = packing::ids_on_disk(&contents.instance.config)?;
        let mut volumes = vec![(volume.clone(), ArchivedTree { prefix: "backup/container".into(), ids })];
        for snapshot in &contents.snapshots {
            let (prefix, ids) =
                (format!("backup/snapshots/{}", snapshot.name), packing::ids_on_disk(&snapshot.config)?);
            volumes.push((volume.snapshot(&snapshot.name)?, ArchivedTree { prefix, ids }));
        }
        let (owner, privileged) = self.guest_root(record)?;
        let filling = driver.clone();
        blocking(move || {
            // Each pass over the archive fills as many as it can.
            for some in volumes.chunks(RESTORE_TARGETS) {
                let mut unpack = |targets: &[RestoreTarget]| {
                    let runner = Runner::own();
                    let restored = runner.restore(targets, &file, privileged, Limits::default());
                    tokio::runtime::Handle::current().block_on(restored).map(drop)
                };
                create_all(&*filling, some, Vec::new(), &mut unpack)?;
            }
            filling.paths().set_owner(&volume, owner)
        })
        .await
    }
}

/// The record of an archived snapshot, but for its instance.
pub(super) fn archived(s: &InstanceSnapshot, config: ConfigMap) -> SnapshotRecord {
    SnapshotRecord {
        name: s.name.clone(),
        config,
        devices: s.devices.clone(),
        created_at: s.created_at,
        expires_at: s.expires_at,
        phase: Phase::Created,
        ..SnapshotRecord::default()
    }
}

/// Refuses an instance one of whose snapshots couldn't be gone back to.
fn check_snapshots(snapshots: &[InstanceSnapshot]) -> Result<()> {
    let target = target_of(InstanceKind::Container);
    snapshots.iter().try_for_each(|s| {
        let checked = instance::validate(&s.config, target).and_then(|()| device::validate(&s.devices, target));
        checked.map_err(|e| Error::new(e.kind(), format!("Invalid snapshot {:?}: {e}", s.name)))
    })
}

/// The files of what is unpacked have the guest's own ids.
fn with_guest_ids(mut config: ConfigMap) -> ConfigMap {
    config.insert(packing::IDS_ON_DISK.into(), "[]".into());
    config
}

/// Creates all of these volumes, each within the creation of the one before, and has them filled when all are there.
fn create_all(
    driver: &dyn Driver,
    volumes: &[(Volume, ArchivedTree)],
    mut targets: Vec<RestoreTarget>,
    unpack: &mut (dyn FnMut(&[RestoreTarget]) -> Result<()> + Send),
) -> Result<()> {
    let Some(((volume, tree), rest)) = volumes.split_first() else { return unpack(&targets) };
    let fill = move |place: &Place<'_>| {
        let failed = || "Failed using the directories of a new volume";
        let own = place.own.try_clone_to_owned().ctx(Kind::Internal, failed)?;
        let root = place.root.try_clone_to_owned().ctx(Kind::Internal, failed)?;
        targets.push(RestoreTarget { tree: tree.clone(), own, root });
        create_all(driver, rest, targets, unpack)
    };
    driver.create_volume(volume, Content::Tree(Box::new(fill)))
}
