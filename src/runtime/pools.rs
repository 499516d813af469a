//! Storage pools: records, and the drivers of `runtime::storage` behind them.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::api::config::{self, Site, names};
use crate::api::types::{EventRequestor, ResourcesStoragePool, StoragePool, StoragePoolPut, StoragePoolsPost};
use crate::order::Gather;
use crate::runtime::events::Events;
use crate::runtime::leases::{Class, Leases, Want};
use crate::runtime::storage::{self, Driver, Emptier, PoolPaths};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{ImageRecord, InstanceRecord, Phase, PoolRecord, VolumeKind};
use crate::store::repo::User;
use crate::store::{Db, Read, repo};
use crate::{Error, Result};

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Pools {
    db: Db,
    events: Events,
    leases: Leases,
    lxd_dir: Arc<PathBuf>,
    emptier: Arc<Emptier>,
    sweeper: Arc<Sweeper>,
    drivers: Arc<Mutex<HashMap<String, Arc<dyn Driver>>>>,
}

/// What [`Pools::sweep_when_woken`] has to do.
#[derive(Default)]
struct Sweeper {
    pools: Mutex<BTreeSet<String>>,
    woken: Notify,
}

impl Pools {
    /// Over these; pools without a `source` live below `lxd_dir`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the thread that empties the trash can't be started.
    pub fn new(db: Db, events: Events, leases: Leases, lxd_dir: PathBuf) -> Result<Pools> {
        let emptier = Arc::new(Emptier::start()?);
        Ok(Pools {
            db,
            events,
            leases,
            lxd_dir: Arc::new(lxd_dir),
            emptier,
            sweeper: Arc::default(),
            drivers: Arc::default(),
        })
    }

    /// The leases of the daemon.
    pub fn leases(&self) -> Leases {
        self.leases.clone()
    }

    /// Has the trash of a pool emptied in the background.
    pub fn wake_emptier(&self, pool: &PoolRecord) {
        let woken = PoolPaths::new(&self.lxd_dir, &pool.name, &pool.config).and_then(|p| self.emptier.wake(p.root()));
        if let Err(e) = woken {
            tracing::warn!(pool = %pool.name, "Failed emptying the trash: {}", e.chain());
        }
    }

    /// Has layers of a pool removed that were some volume's, in the background: nobody waits for space.
    pub fn wake_sweeper(&self, pool: &PoolRecord) {
        self.sweeper.pools.lock().unwrap_or_else(PoisonError::into_inner).insert(pool.name.clone());
        self.sweeper.woken.notify_one();
    }

    /// Sweeps the pools that [`Pools::wake_sweeper`] names, each once for all calls since the last time; for as long as the
    /// daemon runs.
    pub async fn sweep_when_woken(&self) {
        loop {
            self.sweeper.woken.notified().await;
            let names = std::mem::take(&mut *self.sweeper.pools.lock().unwrap_or_else(PoisonError::into_inner));
            for name in names {
                // One that is gone has none.
                let Ok(pool) = self.db.view(|v| repo::pools::by_name(v, &name)) else { continue };
                let this = self.clone();
                if let Err(e) = blocking(move || this.sweep_pool(&pool)).await {
                    tracing::warn!(pool = %name, "Failed removing layers that nothing needs: {}", e.chain());
                }
            }
        }
    }

    /// Moves layers that no image and no volume needs any more into the trash of their pools. Blocks.
    pub fn sweep_layers(&self) -> Result<()> {
        self.db.view(repo::pools::list)?.iter().try_for_each(|pool| self.sweep_pool(pool))
    }

    /// The same in one pool. Blocks.
    pub fn sweep_pool(&self, pool: &PoolRecord) -> Result<()> {
        let driver = self.driver(pool)?;
        let Some(layered) = driver.layered().filter(|_| pool.phase == Phase::Created) else { return Ok(()) };
        let images = self.db.view(|v| repo::images::list(v, None))?;
        let of = |i: &ImageRecord| [i.fingerprint.clone(), format!("{}.privileged", i.fingerprint)];
        let keep: BTreeSet<String> = images.iter().flat_map(of).gather();
        if !layered.sweep(&keep)?.is_empty() {
            self.wake_emptier(pool);
        }
        Ok(())
    }

    /// All pools that are complete, by name.
    pub fn list(&self) -> Result<Vec<StoragePool>> {
        self.db.view(|v| repo::pools::list(v)?.into_iter().map(|p| show(v, p)).collect())
    }

    /// One pool.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn get(&self, name: &str) -> Result<StoragePool> {
        self.db.view(|v| show(v, repo::pools::by_name(v, name)?))
    }

    /// Names of the drivers that pools use, each once.
    pub fn drivers_in_use(&self) -> Result<Vec<&'static str>> {
        let used: BTreeSet<String> =
            self.db.view(|v| Ok(repo::pools::list(v)?.into_iter().map(|p| p.driver).collect()))?;
        Ok(storage::DRIVERS.iter().map(|d| d.name).filter(|d| used.contains(*d)).collect())
    }

    /// The driver of a pool, the same one for all: it lets many launches wait for one unpacking. Doesn't block.
    pub fn driver(&self, pool: &PoolRecord) -> Result<Arc<dyn Driver>> {
        let mut drivers = self.drivers();
        if let Some(driver) = drivers.get(&pool.name) {
            return Ok(driver.clone());
        }
        let paths = PoolPaths::new(&self.lxd_dir, &pool.name, &pool.config)?;
        let driver: Arc<dyn Driver> = Arc::from(storage::open_driver(&pool.driver, &paths)?);
        drivers.insert(pool.name.clone(), driver.clone());
        Ok(driver)
    }

    /// A driver of a pool that has no record (yet). Doesn't block.
    pub fn open(&self, pool: &PoolRecord) -> Result<Arc<dyn Driver>> {
        let paths = PoolPaths::new(&self.lxd_dir, &pool.name, &pool.config)?;
        Ok(Arc::from(storage::open_driver(&pool.driver, &paths)?))
    }

    fn drivers(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn Driver>>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new pool: its name is reserved, it is made, and then confirmed.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for its name or configuration; [`Kind::Exists`] when the name is taken.
    pub async fn create(&self, post: StoragePoolsPost, by: EventRequestor) -> Result<()> {
        names::pool(&post.name)?;
        if post.driver.is_empty() {
            return Err(Error::invalid("No driver provided"));
        }
        // LXD answers 500 to a driver or key it doesn't know.
        let as_lxd = |e: Error| Site::PoolCreate.config(e);
        config::pool::validate(&post.driver, &post.config).map_err(as_lxd)?;
        let _lease = self.leases.take(vec![Want::exclusive(Class::Pool, &post.name)]).await;
        let mut record = PoolRecord {
            name: post.name.clone(),
            driver: post.driver,
            description: post.description,
            config: post.config,
            phase: Phase::Creating,
            ..PoolRecord::default()
        };
        let driver = self.driver(&record).map_err(as_lxd)?;
        record.config.insert("source".into(), driver.paths().source());
        let (record, _) = self.db.transact(|tx| repo::pools::insert(tx, record.clone())).await?;
        fault("daemon.pool_create.reserved");
        let made = blocking(move || driver.create()).await;
        fault("daemon.pool_create.made");
        let confirmed = match made {
            Ok(()) => self.confirm(record.clone()).await,
            Err(e) => Err(e),
        };
        if let Err(e) = confirmed {
            self.undo_create(&record).await;
            return Err(e);
        }
        self.events.announce("default", "storage-pool-created", url::of("storage-pools", &post.name, ""), &by);
        Ok(())
    }

    async fn confirm(&self, mut record: PoolRecord) -> Result<()> {
        record.phase = Phase::Created;
        self.db.transact(|tx| repo::pools::update(tx, &record)).await?;
        fault("daemon.pool_create.confirmed");
        Ok(())
    }

    async fn undo_create(&self, record: &PoolRecord) {
        let undone = match self.driver(record) {
            Ok(driver) => blocking(move || driver.delete()).await,
            Err(e) => Err(e),
        };
        let removed = self.db.transact(|tx| repo::pools::remove(tx, record.id)).await;
        self.drivers().remove(&record.name);
        for e in [undone.err(), removed.err()].into_iter().flatten() {
            tracing::warn!(pool = %record.name, "Failed undoing the creation of a pool: {}", e.chain());
        }
    }

    /// Changes a pool's configuration; `decide` gets the present pool and may run several times.
    pub async fn update(
        &self,
        name: &str,
        decide: impl Fn(&StoragePool) -> Result<StoragePoolPut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let _lease = self.leases.take(vec![Want::exclusive(Class::Pool, name)]).await;
        self.db
            .transact(|tx| {
                let mut record = repo::pools::by_name(tx, name)?;
                let put = decide(&plain(record.clone()))?;
                let as_lxd = |e: Error| Site::PoolUpdate.config(e);
                config::pool::validate(&record.driver, &put.config).map_err(as_lxd)?;
                config::pool::check_change(&record.driver, &record.config, &put.config).map_err(as_lxd)?;
                let (mut config, description) = (put.config, put.description);
                // An empty value unsets its key.
                config.retain(|_, value| !value.is_empty());
                (record.config, record.description) = (config, description);
                repo::pools::update(tx, &record)
            })
            .await?;
        self.events.announce("default", "storage-pool-updated", url::of("storage-pools", name, ""), &by);
        Ok(())
    }

    /// Removes a pool that nothing uses.
    ///
    /// # Errors
    /// [`Kind::Invalid`] (as LXD answers 400) when something uses it.
    pub async fn delete(&self, name: &str, by: EventRequestor) -> Result<()> {
        let _lease = self.leases.take(vec![Want::exclusive(Class::Pool, name)]).await;
        let (record, _) = self
            .db
            .transact(|tx| {
                let mut record = repo::pools::by_name(tx, name)?;
                if !repo::pools::used_by(tx, name)?.is_empty() {
                    return Err(Error::invalid("The storage pool is currently in use"));
                }
                record.phase = Phase::Deleting;
                repo::pools::update(tx, &record)?;
                Ok(record)
            })
            .await?;
        fault("daemon.pool_delete.marked");
        self.finish_delete(&record).await?;
        self.events.announce("default", "storage-pool-deleted", url::of("storage-pools", name, ""), &by);
        Ok(())
    }

    /// Takes away what an interrupted creation or deletion left; called at start too.
    pub async fn finish_delete(&self, record: &PoolRecord) -> Result<()> {
        let driver = self.driver(record)?;
        blocking(move || driver.delete()).await?;
        fault("daemon.pool_delete.removed");
        self.db.transact(|tx| repo::pools::remove(tx, record.id)).await?;
        self.drivers().remove(&record.name);
        Ok(())
    }

    /// Space and inodes of a pool.
    pub async fn resources(&self, name: &str) -> Result<ResourcesStoragePool> {
        let record = self.db.view(|v| repo::pools::by_name(v, name))?;
        let driver = self.driver(&record)?;
        blocking(move || driver.paths().usage()).await
    }
}

fn show(r: &impl Read, p: PoolRecord) -> Result<StoragePool> {
    let mut used_by = BTreeSet::new();
    for user in repo::pools::used_by(r, &p.name)? {
        let url = match user {
            User::Instance(id) => {
                let i = repo::instances::by_id(r, id)?;
                used_by.extend(snapshots(r, &i)?);
                url::of("instances", &i.name, &i.project)
            }
            User::Profile(id) => {
                let f = repo::profiles::by_id(r, id)?;
                url::of("profiles", &f.name, &f.project)
            }
            User::Volume(id) => {
                let v = repo::volumes::by_id(r, id)?;
                match v.kind {
                    VolumeKind::Container | VolumeKind::VirtualMachine => {
                        used_by.extend(snapshots(r, &repo::instances::by_name(r, &v.project, &v.name)?)?);
                        url::of("instances", &v.name, &v.project)
                    }
                    VolumeKind::Image => url::of("images", &v.name, &v.project),
                    VolumeKind::Custom => {
                        url::of(&format!("storage-pools/{}/volumes/custom", p.name), &v.name, &v.project)
                    }
                }
            }
        };
        used_by.insert(url);
    }
    Ok(StoragePool { used_by: used_by.into_iter().collect(), ..plain(p) })
}

fn snapshots(r: &impl Read, instance: &InstanceRecord) -> Result<Vec<String>> {
    let all = repo::snapshots::list(r, instance.id)?;
    Ok(all.iter().map(|s| url::snapshot(&instance.project, &instance.name, &s.name)).collect())
}

/// A pool without its users: reading those in a transaction would make it depend on all of them.
fn plain(p: PoolRecord) -> StoragePool {
    let status = match p.phase {
        Phase::Created => "Created",
        Phase::Creating => "Pending",
        Phase::Deleting => "Errored",
    };
    StoragePool {
        config: p.config,
        description: p.description,
        name: p.name,
        driver: p.driver,
        used_by: Vec::new(),
        status: status.into(),
        locations: vec!["none".into()],
    }
}
