//! Instances whose records are lost, found again on disk: `lxd recover`.
//!
//! Looking changes nothing. What is brought back is complete with one commit, that of the instance, which comes last: were it ever
//! incomplete, the next start would take the instance for one that was being made, and remove it. Snapshots whose instance
//! didn't follow are removed from the records at the next start.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;

use super::import::archived;
use super::index::{self, OnDisk};
use super::keeper;
use crate::api::config::{self, instance, names};
use crate::api::types::{InstanceSnapshot, RecoverResult, RecoverVolume, StoragePoolsPost};
use crate::runtime::blocking;
use crate::runtime::instances::copy::BATCH;
use crate::runtime::instances::create::{new_volume, target_of, volume_of};
use crate::runtime::instances::{Instances, expand};
use crate::runtime::storage::{Driver, Volume, VolumeKind, links};
use crate::runtime::sys::fault;
use crate::store::records::{InstanceKind, InstanceRecord, Phase, PoolRecord, SnapshotRecord, VolumeRecord};
use crate::store::{Tx, repo};
use crate::{Ctx, Error, Kind, Result};

/// Bytes of a `backup.yaml` that are read.
const LIMIT: u64 = 4 << 20;

/// A pool that is looked at.
struct Pool {
    record: PoolRecord,
    driver: Arc<dyn Driver>,
    known: bool,
}

/// An instance without a record.
struct Lost {
    volume: Volume,
    on_disk: OnDisk,
}

impl Instances {
    /// What is lost on these pools, and what has to be there before it can be brought back.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] for a pool that isn't there; [`Kind::Invalid`] for a description that doesn't fit.
    pub async fn validate_recovery(&self, pools: Vec<StoragePoolsPost>) -> Result<RecoverResult> {
        let mut result = RecoverResult::default();
        for pool in pools {
            let pool = self.pool_of(pool)?;
            let name = pool.record.name.clone();
            let found = self.lost_on(&pool).await?;
            self.summarize(&name, &found, &mut result)?;
        }
        Ok(result)
    }

    /// Brings back what is lost on these pools.
    ///
    /// # Errors
    /// Those of [`Instances::validate_recovery`].
    pub async fn recover(&self, pools: Vec<StoragePoolsPost>) -> Result<RecoverResult> {
        let mut result = RecoverResult::default();
        let mut all = Vec::new();
        for pool in pools {
            let pool = self.pool_of(pool)?;
            let found = self.lost_on(&pool).await?;
            self.summarize(&pool.record.name, &found, &mut result)?;
            all.push((pool, found));
        }
        if result.dependency_errors.is_some() {
            return Ok(result);
        }
        for (pool, found) in all {
            let pool = self.adopt_pool(pool).await?;
            for lost in found {
                let name = lost.volume.name().to_owned();
                self.bring_back(&pool, lost).await.map_err(|e| {
                    let text = format!("Failed recovering instance {name:?}: {e}");
                    Error::new(e.kind(), text)
                })?;
            }
        }
        Ok(RecoverResult::default())
    }

    fn pool_of(&self, post: StoragePoolsPost) -> Result<Pool> {
        match self.db.view(|v| repo::pools::by_name(v, &post.name)) {
            Ok(record) => Ok(Pool { driver: self.pools.driver(&record)?, record, known: true }),
            Err(e) if e.kind() == Kind::NotFound => {
                names::pool(&post.name)?;
                config::pool::validate(&post.driver, &post.config)?;
                let (name, driver) = (post.name, post.driver);
                let record = PoolRecord {
                    name,
                    driver,
                    description: post.description,
                    config: post.config,
                    phase: Phase::Created,
                    ..PoolRecord::default()
                };
                Ok(Pool { driver: self.pools.open(&record)?, record, known: false })
            }
            Err(e) => Err(e),
        }
    }

    /// The instances of a pool that have no record.
    async fn lost_on(&self, pool: &Pool) -> Result<Vec<Lost>> {
        let known: BTreeSet<Volume> = self.db.view(|v| {
            let all = repo::instances::list(v, None)?;
            all.iter().map(volume_of).collect()
        })?;
        let (driver, name) = (pool.driver.clone(), pool.record.name.clone());
        blocking(move || {
            driver.check()?;
            let volumes = driver.paths().on_disk(VolumeKind::Container)?;
            volumes.into_iter().filter(|v| !known.contains(v)).map(|v| look(&*driver, &name, v)).collect()
        })
        .await
    }

    fn summarize(&self, pool: &str, found: &[Lost], result: &mut RecoverResult) -> Result<()> {
        for lost in found {
            let project = lost.volume.project();
            result.unknown_volumes.get_or_insert_default().push(RecoverVolume {
                name: lost.volume.name().into(),
                kind: "container".into(),
                snapshots: lost.on_disk.snapshots.len(),
                project: project.into(),
                pool: pool.into(),
            });
            let missing = self.db.view(|v| {
                if repo::projects::by_name(v, project).is_err() {
                    return Ok(vec![format!("Project {project:?}")]);
                }
                let profiles = lost.on_disk.instance.profiles.iter();
                let missing = profiles.filter(|name| repo::profiles::by_name(v, project, name).is_err());
                Ok(missing.map(|name| format!("Profile {name:?} in project {project:?}")).collect())
            })?;
            for text in missing {
                let errors = result.dependency_errors.get_or_insert_default();
                if !errors.contains(&text) {
                    errors.push(text);
                }
            }
        }
        Ok(())
    }

    async fn adopt_pool(&self, pool: Pool) -> Result<PoolRecord> {
        if pool.known {
            return Ok(pool.record);
        }
        let mut record = pool.record;
        record.config.insert("source".into(), pool.driver.paths().source());
        let driver = pool.driver.clone();
        blocking(move || driver.paths().link_source()).await?;
        let (record, _) = self.db.transact(|tx| repo::pools::insert(tx, record.clone())).await?;
        Ok(record)
    }

    async fn bring_back(&self, pool: &PoolRecord, lost: Lost) -> Result<()> {
        let project = lost.volume.project().to_owned();
        let instance = &lost.on_disk.instance;
        let contents = index::Contents {
            name: instance.name.clone(),
            pool: pool.name.clone(),
            instance: instance.clone(),
            snapshots: lost.on_disk.snapshots.clone(),
        };
        let mut record = self.record_of(&project, lost.volume.name(), &contents, pool)?;
        record.config = instance.config.clone();
        record.phase = Phase::Created;
        instance::validate(&record.config, target_of(InstanceKind::Container))?;
        let _lease = self.leases.take(self.exclusive(&project, lost.volume.name())).await;
        let record = self.insert_whole(record, pool, &lost.on_disk.snapshots).await?;
        let (owner, _) = self.guest_root(&record)?;
        let driver = self.pools.driver(pool)?;
        blocking(move || {
            links::create(driver.paths(), &lost.volume)?;
            driver.paths().set_owner(&lost.volume, owner)
        })
        .await
    }

    /// All records of an instance that is complete on disk.
    async fn insert_whole(
        &self,
        mut record: InstanceRecord,
        pool: &PoolRecord,
        snapshots: &[InstanceSnapshot],
    ) -> Result<InstanceRecord> {
        (record.id, _) = self.db.transact(Tx::next_id).await?;
        // Somebody else may have its ids by now.
        let _alone = self.choosing_ids_of(&record).await?;
        let config = self.db.view(|v| Ok(expand::expand(v, &record)?.config))?;
        self.choose_ids(&mut record, &config)?;
        let mut inserted = Ok(record.clone());
        for some in snapshots.chunks(BATCH) {
            let rows = |tx: &mut Tx| {
                some.iter().try_for_each(|s| {
                    let snapshot = SnapshotRecord { instance: record.id, ..archived(s, s.config.clone()) };
                    repo::snapshots::insert_ahead(tx, snapshot).map(drop)
                })
            };
            if let Err(e) = self.db.transact(rows).await {
                inserted = Err(e);
                break;
            }
            fault("daemon.recover.snapshots");
        }
        if inserted.is_ok() {
            inserted = self.db.transact(|tx| insert(tx, &record, pool)).await.map(|(record, _)| record);
        }
        if inserted.is_err()
            && let Err(undo) = self.sweep_snapshots(Some(record.id)).await
        {
            tracing::warn!(instance = %record.name, "Failed undoing a recovery: {}", undo.chain());
        }
        inserted
    }

    /// Removes records of snapshots whose instance (`of`, or any) was to follow and didn't.
    pub(in crate::runtime::instances) async fn sweep_snapshots(&self, of: Option<u64>) -> Result<()> {
        let stray: Vec<u64> = self.db.view(|v| {
            let all = repo::snapshots::all(v)?;
            let stray = all.into_iter().filter(|(id, _)| of.is_none_or(|of| of == *id));
            let stray = stray.filter(|(id, _)| repo::instances::by_id(v, *id).is_err());
            Ok(stray.flat_map(|(_, snapshots)| snapshots).map(|snapshot| snapshot.id).collect())
        })?;
        for some in stray.chunks(BATCH) {
            self.db.transact(|tx| some.iter().try_for_each(|id| repo::snapshots::remove(tx, *id))).await?;
        }
        Ok(())
    }
}

/// The record of an instance and of its volume.
fn insert(tx: &mut Tx, record: &InstanceRecord, pool: &PoolRecord) -> Result<InstanceRecord> {
    let record = repo::instances::insert(tx, record.clone())?;
    repo::volumes::insert(tx, VolumeRecord { phase: Phase::Created, ..new_volume(&record, pool.id) })?;
    Ok(record)
}

/// Reads what is known of an instance on disk. Blocks.
fn look(driver: &dyn Driver, pool: &str, volume: Volume) -> Result<Lost> {
    let (name, project) = (volume.name().to_owned(), volume.project().to_owned());
    let path = driver.paths().root().join(volume.place()).join(keeper::NAME);
    let failed = || format!("Failed checking volumes on pool {pool:?}: Failed reading {path:?}");
    let meta = fs::symlink_metadata(&path).ctx(Kind::Invalid, failed)?;
    if !meta.is_file() || meta.len() > LIMIT {
        return Err(Error::invalid(format!("{}: it is no description of an instance", failed())));
    }
    let text = fs::read_to_string(&path).ctx(Kind::Invalid, failed)?;
    let on_disk = index::parse_description(&text).ctx(Kind::Invalid, failed)?;
    if let Some(other) = on_disk.pool.as_ref().filter(|other| *other != pool) {
        // LXD's text.
        return Err(Error::invalid(format!(
            "Failed checking volumes on pool {pool:?}: Instance {name:?} in project {project:?} has pool name mismatch in its backup \
             file ({other:?} doesn't match's pool's {pool:?})"
        )));
    }
    let snapshots = driver.paths().root().join(volume.kind().snapshots_directory()).join(volume.directory());
    let snapshots = match fs::read_dir(&snapshots) {
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        entries => {
            let entries = entries.ctx(Kind::Internal, || format!("Failed listing {snapshots:?}"))?;
            let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            // With a space: a copy for a backup or the like, which a crash has left.
            names.filter(|name| !name.contains(' ')).collect()
        }
    };
    if let Some(wrong) = mismatch(&snapshots, &on_disk.snapshots) {
        return Err(Error::internal(format!(
            "Failed checking volumes on pool {pool:?}: Instance {name:?} in project {project:?} has snapshot inconsistency: {wrong}: \
             Backup snapshots mismatch"
        )));
    }
    Ok(Lost { volume, on_disk })
}

/// What doesn't fit between the snapshots that are there and those that a description names, in LXD's words.
fn mismatch(there: &[String], described: &[InstanceSnapshot]) -> Option<String> {
    if there.len() != described.len() {
        return Some("Snapshot count in backup config and storage device are different".into());
    }
    let unknown = there.iter().find(|name| !described.iter().any(|s| s.name == **name));
    unknown.map(|name| format!("Snapshot {name:?} exists on storage device but not in backup config"))
}
