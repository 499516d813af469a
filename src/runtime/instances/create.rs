//! Making an instance: reserve its name, make its volume, confirm.
//!
//! What is wrong with the request is answered at once where LXD does so; the rest fails the operation. Three
//! durable commits lead from nothing to a running instance: reserve, confirm, start.

use serde_json::Value;

use super::expand::{self, Expanded};
use super::{Instances, profile_ids, sizes};
use crate::api::config::instance::Target;
use crate::api::config::{Site, device, drop_unset, instance, names};
use crate::api::types::{ConfigMap, EventRequestor, InstancesPost, Operation, Timestamp};
use crate::runtime::devices::{self, nic};
use crate::runtime::images::service::ImageFiles;
use crate::runtime::leases::{Class, Want};
use crate::runtime::network::service::nics;
use crate::runtime::operations::Handle;
use crate::runtime::storage::{Content, Driver, Image, Volume, quota};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, random, storage};
use crate::store::records::{ContentKind, ImageRecord, InstanceKind, InstanceRecord, Phase, PoolRecord, VolumeRecord};
use crate::store::repo::volumes::VolumePath;
use crate::store::{Read, repo};
use crate::task::spawn;
use crate::{Error, Kind, Result};

/// What an instance is made of, decided before the operation starts.
struct Draft {
    record: InstanceRecord,
    image: Option<ImageRecord>,
}

impl Instances {
    /// Makes a new instance, in the background.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for the name, kind or source; [`Kind::NotFound`] for an image that isn't here;
    /// [`Kind::Internal`] (as LXD answers 500) for unknown profiles and architectures.
    pub fn create(&self, project: &str, post: InstancesPost, by: EventRequestor) -> Result<Operation> {
        if post.source.kind == "copy" {
            return self.copy(project, post, by);
        }
        let by_fingerprint = !post.source.fingerprint.is_empty();
        let wanted = post.name.clone();
        let draft = match self.draft(project, post) {
            // LXD looks for a fingerprint in the background only.
            Err(e) if e.kind() == Kind::NotFound && by_fingerprint => {
                let new = self.operation_on("Creating instance", project, &wanted, by);
                return Ok(self.operations.start(new, move |_| async move { Err(e) }));
            }
            other => other?,
        };
        let name = draft.record.name.clone();
        let new = self.operation_on("Creating instance", project, &name, by.clone());
        let this = self.clone();
        Ok(self.operations.start(new, move |handle| async move {
            let record = this.make(draft, &handle).await?;
            let pool = record.1;
            let context =
                [("storage-pool".into(), Value::from(pool)), ("type".into(), Value::from(record.0.kind.as_str()))];
            this.announce_with((&record.0.project, &record.0.name), "instance-created", &by, context);
            Ok(())
        }))
    }

    fn draft(&self, project: &str, post: InstancesPost) -> Result<Draft> {
        let kind = kind_of(&post.kind)?;
        let name = if post.name.is_empty() { petname() } else { post.name.clone() };
        names::instance(&name)?;
        let image = self.image_of(project, &post)?;
        let architecture = self.architecture(&post.architecture, image.as_ref())?;
        let profiles = self.profiles_of(project, post.profiles, image.as_ref())?;
        let (mut config, mut devices) = (post.config, post.devices);
        drop_unset(&mut config, &mut devices);
        sizes::apply(&mut config, &post.instance_type)?;
        config.extend(volatile(image.as_ref()));
        let record = InstanceRecord {
            project: project.into(),
            name,
            kind,
            architecture,
            description: post.description,
            config,
            devices,
            profiles,
            ephemeral: post.ephemeral,
            created_at: Timestamp::now(),
            phase: Phase::Creating,
            ..InstanceRecord::default()
        };
        Ok(Draft { record, image })
    }

    fn image_of(&self, project: &str, post: &InstancesPost) -> Result<Option<ImageRecord>> {
        let source = &post.source;
        match source.kind.as_str() {
            "none" => Ok(None),
            "image" if !source.server.is_empty() => Err(Error::unsupported("Fetching an image from a server")),
            "image" => self.images.resolve(project, source).map(Some),
            "migration" => Err(Error::unsupported("Migrating an instance")),
            other => Err(Error::invalid(format!("Unknown source type {other}"))),
        }
    }

    fn architecture(&self, wanted: &str, image: Option<&ImageRecord>) -> Result<String> {
        let name = match (wanted, image) {
            // Whatever is asked for, as with LXD.
            (_, Some(image)) => image.architecture.clone(),
            ("", None) => self.host.architectures.first().cloned().unwrap_or_default(),
            (wanted, None) => wanted.to_owned(),
        };
        match self.host.architectures.contains(&name) {
            true => Ok(name),
            false => Err(Error::internal(format!("Architecture isn't supported: {name}"))),
        }
    }

    fn profiles_of(&self, project: &str, wanted: Option<Vec<String>>, image: Option<&ImageRecord>) -> Result<Vec<u64>> {
        self.db.view(|v| match (wanted.as_deref(), image) {
            (Some(names), _) => {
                let missing = |name: &&String| repo::profiles::by_name(v, project, name).is_err();
                if let Some(name) = names.iter().find(missing) {
                    return Err(Error::internal(format!("Requested profile {name:?} doesn't exist")));
                }
                profile_ids(v, project, names)
            }
            (None, Some(image)) => Ok(image.profiles.clone()),
            (None, None) => profile_ids(v, project, &["default".to_owned()]),
        })
    }

    async fn make(&self, draft: Draft, handle: &Handle) -> Result<(InstanceRecord, String)> {
        let Draft { record, image } = draft;
        let mut wants = self.exclusive(&record.project, &record.name);
        wants.extend(image.iter().map(|i| Want::shared(Class::Image, &i.fingerprint)));
        wants.extend(record.profiles.iter().map(|id| Want::shared(Class::Profile, id.to_string())));
        let _lease = self.leases.take(wants).await;
        let (record, volume, pool) = self.reserve(record).await?;
        let unfinished = self.unfinished(&record, &pool);
        fault("daemon.create.reserved");
        let made = self.make_volume(&record, &pool, image.as_ref()).await;
        fault("daemon.create.volume");
        let confirmed = match made.and_then(|()| handle.cancel().check()) {
            Ok(()) => self.confirm(&record, &volume, image.as_ref()).await,
            Err(e) => Err(e),
        };
        unfinished.disarm();
        match confirmed {
            Ok(record) => {
                fault("daemon.create.confirmed");
                self.settle(&record, &pool).await;
                fault("daemon.create.settled");
                Ok((record, pool.name))
            }
            Err(e) => {
                self.remove_leftovers(&record, &pool).await;
                Err(e)
            }
        }
    }

    /// Removes what is made of an instance unless it is disarmed.
    pub(super) fn unfinished<'a>(&'a self, record: &'a InstanceRecord, pool: &'a PoolRecord) -> Unfinished<'a> {
        Unfinished { instances: self, record, pool, armed: true }
    }

    /// Takes the name and checks everything against the profiles, in one transaction.
    pub(super) async fn reserve(&self, record: InstanceRecord) -> Result<(InstanceRecord, VolumeRecord, PoolRecord)> {
        let target = target_of(record.kind);
        self.check_new_free(&record).await?;
        let _alone = self.choosing_ids_of(&record).await?;
        let (reserved, _) = self
            .db
            .transact(|tx| {
                let site = Site::InstanceCreate;
                instance::validate(&record.config, target).map_err(|e| site.config(e))?;
                device::validate(&record.devices, target).map_err(|e| site.devices(unknown_type(&record, e)))?;
                self.db.view(|v| nics::check(v, (&record.project, &record.name), &record.devices))?;
                let expanded = expand::expand(tx, &record)?;
                let pool = root_pool(tx, &expanded).map_err(no_root)?;
                devices::check(&expanded.devices).map_err(|e| site.expanded_devices(e))?;
                let mut record = record.clone();
                nic::fill(&mut record.config, &expanded.devices);
                self.choose_ids(&mut record, &expanded.config)?;
                let record = repo::instances::insert(tx, record).map_err(taken)?;
                let volume = repo::volumes::insert(tx, new_volume(&record, pool.id))?;
                Ok((record, volume, pool))
            })
            .await?;
        Ok(reserved)
    }

    /// [`Kind::Exists`] when the pool that a new instance will be in has a volume of its name, which no record knows of.
    async fn check_new_free(&self, record: &InstanceRecord) -> Result<()> {
        let pool = self.db.view(|v| {
            let is_new = repo::instances::by_name(v, &record.project, &record.name).is_err();
            Ok(expand::expand(v, record).and_then(|expanded| root_pool(v, &expanded)).ok().filter(|_| is_new))
        })?;
        match pool {
            Some(pool) => self.check_free(&pool, volume_of(record)?).await,
            // What is wrong with it otherwise is said later.
            None => Ok(()),
        }
    }

    /// [`Kind::Exists`] when a pool has a volume of this name that no record knows of. It would not be ours to remove, so nothing
    /// may be recorded that is made in its place.
    pub(super) async fn check_free(&self, pool: &PoolRecord, volume: Volume) -> Result<()> {
        let driver = self.pools.driver(pool)?;
        blocking(move || driver.check_free(&volume)).await
    }

    async fn make_volume(&self, record: &InstanceRecord, pool: &PoolRecord, image: Option<&ImageRecord>) -> Result<()> {
        let driver = self.pools.driver(pool)?;
        let volume = self.counted(record, pool)?;
        let files = image.map(|image| self.images.files(image));
        let (owner, privileged) = self.guest_root(record)?;
        let bytes = self.root_size(record)?;
        blocking(move || {
            quota::limit_new(&driver.paths().root(), &volume, bytes)?;
            make_on(&*driver, &volume, files.as_ref(), privileged)?;
            driver.paths().set_owner(&volume, owner)
        })
        .await
    }

    pub(super) async fn confirm(
        &self,
        record: &InstanceRecord,
        volume: &VolumeRecord,
        image: Option<&ImageRecord>,
    ) -> Result<InstanceRecord> {
        let (mut record, mut volume) = (record.clone(), volume.clone());
        (record.phase, volume.phase) = (Phase::Created, Phase::Created);
        self.db
            .transact(|tx| {
                repo::volumes::update(tx, &volume)?;
                if let Some(image) = image {
                    let mut used = repo::images::by_fingerprint(tx, &image.project, &image.fingerprint)?;
                    used.last_used_at = Timestamp::now();
                    repo::images::update(tx, &used)?;
                }
                repo::instances::update(tx, &record)
            })
            .await?;
        Ok(record)
    }

    /// Tells the pool that the record is written, and limits the root; what it forgets in a crash it finds again at the next start.
    pub(super) async fn settle(&self, record: &InstanceRecord, pool: &PoolRecord) {
        let (driver, volume) = (self.pools.driver(pool), volume_of(record));
        let settled = match (driver, volume) {
            (Ok(driver), Ok(volume)) => blocking(move || driver.settle(&volume)).await,
            (Err(e), _) | (_, Err(e)) => Err(e),
        };
        if let Err(e) = settled {
            tracing::warn!(instance = %record.name, "Failed settling a volume: {}", e.chain());
        }
        if let Err(e) = self.limit_root(record.id).await {
            tracing::warn!(instance = %record.name, "Failed limiting a root disk: {}", e.chain());
        }
    }
}

/// Removes a half-made instance also when its task panics.
pub(super) struct Unfinished<'a> {
    instances: &'a Instances,
    record: &'a InstanceRecord,
    pool: &'a PoolRecord,
    armed: bool,
}

impl Unfinished<'_> {
    pub(super) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.armed {
            let (instances, record, pool) = (self.instances.clone(), self.record.clone(), self.pool.clone());
            spawn(async move { instances.remove_leftovers(&record, &pool).await });
        }
    }
}

fn make_on(driver: &dyn Driver, volume: &Volume, files: Option<&ImageFiles>, privileged: bool) -> Result<()> {
    let Some(files) = files else { return driver.create_volume(volume, Content::Empty) };
    // Device nodes are unpacked for privileged instances only, so theirs is another layer.
    let layer = format!("{}{}", files.fingerprint(), if privileged { ".privileged" } else { "" });
    let unpack = Box::new(|target: std::os::fd::BorrowedFd<'_>| {
        files.unpack(target, privileged)?;
        fault("daemon.create.unpacked");
        Ok(())
    });
    driver.create_volume(volume, Content::Image(Image { layer: &layer, unpack }))
}

/// LXD names a type of device that it doesn't know, at creation.
fn unknown_type(record: &InstanceRecord, e: Error) -> Error {
    let unknown = record.devices.values().find(|d| device::kind_of(d).is_err()).and_then(|d| d.get("type"));
    match unknown {
        Some(kind) => Error::new(e.kind(), format!("Invalid device type {kind:?}: {e}")),
        None => e,
    }
}

fn taken(e: Error) -> Error {
    match e.kind() {
        Kind::Exists => {
            let text = format!("Failed creating instance record: Add instance info to the database: {e}");
            Error::new(Kind::Exists, text)
        }
        _ => e,
    }
}

/// LXD's words for an instance without a root disk, or without the pool of one.
pub(super) fn no_root(e: Error) -> Error {
    let why = e.message().rsplit(": ").next().unwrap_or_default();
    let why = match e.kind() {
        Kind::Invalid => format!("Failed getting root disk: {why}"),
        Kind::NotFound => format!("Failed loading storage pool: {why}"),
        _ => return e,
    };
    Error::new(e.kind(), format!("Failed creating instance record: Failed initialising instance: {why}"))
}

/// The kind of instance by its API name; a container when none is given.
fn kind_of(text: &str) -> Result<InstanceKind> {
    match text {
        "" | "container" => Ok(InstanceKind::Container),
        "virtual-machine" => Err(Error::unsupported("Instance type \"virtual-machine\"")),
        _ => Err(Error::invalid("Invalid instance type")),
    }
}

/// What the configuration of this kind of instance is checked against.
pub(super) fn target_of(kind: InstanceKind) -> Target {
    match kind {
        InstanceKind::Container => Target::Container,
        InstanceKind::VirtualMachine => Target::Vm,
    }
}

/// The pool that the root disk names, in which the volume of an instance is to be made.
pub(super) fn root_pool(r: &impl Read, expanded: &Expanded) -> Result<PoolRecord> {
    device::check_root(&expanded.devices)?;
    repo::pools::by_name(r, expanded.root().and_then(|disk| disk.get("pool")).map_or("", String::as_str))
}

/// The pool that has the volume of an instance, whether the instance still has a root disk or not.
pub(super) fn pool_of(r: &impl Read, record: &InstanceRecord) -> Result<PoolRecord> {
    for pool in repo::pools::list(r)? {
        let (project, kind) = (record.project.as_str(), record.kind.into());
        match repo::volumes::by_name(r, VolumePath { pool: pool.id, project, kind, name: &record.name }) {
            Ok(_) => return Ok(pool),
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Err(Error::not_found(format!("No storage pool has the volume of instance {:?}", record.name)))
}

/// Refuses a root disk in another pool than the volume of an instance.
pub(super) fn stays_in_pool(r: &impl Read, record: &InstanceRecord, becomes: &Expanded) -> Result<()> {
    match becomes.root().and_then(|disk| disk.get("pool")) {
        Some(named) if *named != pool_of(r, record)?.name => {
            Err(Error::internal(format!("Cannot update root disk device pool name to {named:?}")))
        }
        _ => Ok(()),
    }
}

/// The volume of an instance, as the storage drivers name it.
pub(super) fn volume_of(record: &InstanceRecord) -> Result<Volume> {
    let kind = match record.kind {
        InstanceKind::Container => storage::VolumeKind::Container,
        InstanceKind::VirtualMachine => storage::VolumeKind::VirtualMachine,
    };
    Volume::new(kind, &record.project, &record.name)
}

/// The record of an instance's volume before it is made.
pub(super) fn new_volume(record: &InstanceRecord, pool: u64) -> VolumeRecord {
    VolumeRecord {
        pool,
        project: record.project.clone(),
        kind: record.kind.into(),
        name: record.name.clone(),
        content: ContentKind::Filesystem,
        created_at: record.created_at,
        phase: Phase::Creating,
        ..VolumeRecord::default()
    }
}

/// The volatile and `image.*` keys of a new instance.
fn volatile(image: Option<&ImageRecord>) -> ConfigMap {
    let mut config = ConfigMap::from([
        ("volatile.apply_template".to_owned(), "create".to_owned()),
        ("volatile.cloud-init.instance-id".into(), random::uuid()),
        ("volatile.last_state.idmap".into(), "[]".into()),
        ("volatile.uuid".into(), random::uuid()),
    ]);
    if let Some(image) = image {
        config.insert("volatile.base_image".into(), image.fingerprint.clone());
        config.extend(image.properties.iter().map(|(k, v)| (format!("image.{k}"), v.clone())));
    }
    config
}

/// A name for an instance that came without one.
pub(super) fn petname() -> String {
    const FIRST: [&str; 32] = [
        "able", "amber", "brave", "bright", "calm", "clear", "crisp", "deep", "eager", "fair", "fast", "fine", "firm",
        "fresh", "glad", "good", "grand", "keen", "kind", "light", "merry", "mild", "neat", "noble", "proud", "quick",
        "quiet", "rapid", "sharp", "solid", "swift", "warm",
    ];
    const SECOND: [&str; 32] = [
        "badger", "bear", "beaver", "bison", "crane", "crow", "deer", "dove", "eagle", "falcon", "finch", "fox",
        "frog", "goose", "hare", "hawk", "heron", "horse", "ibex", "jay", "koala", "lark", "lynx", "mole", "moose",
        "otter", "owl", "panda", "raven", "seal", "swan", "wolf",
    ];
    let [a, b, c, d] = random::bytes::<4>();
    let number = u16::from_le_bytes([c, d]);
    format!("{}-{}-{number:04x}", FIRST[usize::from(a % 32)], SECOND[usize::from(b % 32)])
}
