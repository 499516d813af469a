//! What goes into archives of an instance: its tree, wherever that is, and what lies beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{Running, squashfs};
use super::create::{pool_of, volume_of};
use super::files::Kept;
use super::leftovers::check_complete;
use super::machine::State;
use super::{Instances, ids};
use crate::api::types::{self, ConfigMap};
use crate::runtime::images::place::{Place, Text};
use crate::runtime::spec::Idmap;
use crate::runtime::spec::pack::{Algorithm, Compression, NoCompression, PackPlace, Part};
use crate::runtime::storage::{Driver, Guest, PlainDirectory, Root, Volume};
use crate::runtime::{blocking, random};
use crate::store::records::{InstanceRecord, PoolRecord};
use crate::store::{Read, repo};
use crate::{Ctx, Error, Kind, Result};

/// The key that says which ids files have on disk.
pub(super) const IDS_ON_DISK: &str = "volatile.last_state.idmap";

/// An instance that is about to be packed.
pub(super) struct Source {
    /// The volume's directory on the host, with what lies beside the root.
    pub(super) place: PathBuf,
    /// Where its tree is.
    pub(super) root: PackPlace,
    /// Directories that belong to its root and lie elsewhere.
    pub(super) plain: Vec<PlainDirectory>,
    /// The guest, when the tree is that of a running one.
    pub(super) guest: Option<Running>,
    /// Keeps everybody else from a stopped one.
    pub(super) kept: Option<Kept>,
}

/// What a running guest had at one moment: a snapshot that no record knows of. One that a crash leaves behind is taken away
/// when the pool is next brought together with the records.
pub(super) struct Moment {
    driver: Arc<dyn Driver>,
    volume: Volume,
    pool: PoolRecord,
}

impl Instances {
    /// [`Instances::source_of`] for a backup: the files of a running guest are as of one moment, where a pool has them by layers.
    /// On others they are read while the guest changes them, as LXD does.
    pub(super) async fn still_source_of(&self, record: &InstanceRecord) -> Result<(Source, Option<Moment>)> {
        let source = self.source_of(record).await?;
        if source.guest.is_none() {
            return Ok((source, None));
        }
        let pool = self.db.view(|v| pool_of(v, record))?;
        let driver = self.pools.driver(&pool)?;
        let volume = volume_of(record)?;
        // Not a name that a user's snapshot can have.
        let moment = volume.snapshot(&format!("backup {}", random::uuid()))?;
        let guest = self.copied_guest(record.id);
        let _alone = self.keep_visitors_off(record.id).await;
        let (copier, copy) = (driver.clone(), moment.clone());
        blocking(move || copier.copy_volume(&volume, &copy, guest.as_ref().map(|g| g as &dyn Guest))).await?;
        let moment = Moment { driver, volume: moment, pool };
        let (driver, volume) = (moment.driver.clone(), moment.volume.clone());
        match blocking(move || rooted(&*driver, &volume)).await {
            Ok((root, plain)) => {
                Ok((Source { root: place_of(root, Idmap::default()), plain, guest: None, ..source }, Some(moment)))
            }
            Err(e) => {
                self.end_moment(moment).await;
                Err(e)
            }
        }
    }

    /// Takes it away again.
    pub(super) async fn end_moment(&self, Moment { driver, volume, pool }: Moment) {
        if let Err(e) = blocking(move || driver.delete_volume(&volume)).await {
            tracing::warn!(pool = %pool.name, "Failed removing what a backup was made of: {}", e.chain());
        }
        self.pools.wake_sweeper(&pool);
        self.pools.wake_emptier(&pool);
    }

    /// Where the tree of an instance is. A stopped one stays so as long as [`Source::kept`] lives.
    ///
    /// # Errors
    /// [`Kind::Busy`] while it is made, deleted, or on its way up or down.
    pub(super) async fn source_of(&self, record: &InstanceRecord) -> Result<Source> {
        check_complete(record)?;
        let live = self.actor(record.id).live();
        if live.running.is_some() {
            return self.source(record, live.running, None).await;
        }
        let kept = self.turns.evict(record.id).await;
        let live = self.actor(record.id).live();
        match (live.running, live.state) {
            (Some(running), _) => self.source(record, Some(running), None).await,
            (None, State::Stopped) => self.source(record, None, Some(kept)).await,
            (None, _) => Err(Error::new(Kind::Busy, "Instance is being started or stopped")),
        }
    }

    async fn source(&self, record: &InstanceRecord, guest: Option<Running>, kept: Option<Kept>) -> Result<Source> {
        let record = self.db.view(|v| repo::instances::by_id(v, record.id))?;
        let pool = self.db.view(|v| pool_of(v, &record))?;
        let driver = self.pools.driver(&pool)?;
        let volume = volume_of(&record)?;
        let place = driver.paths().volume(&volume);
        let (root, plain) = blocking(move || {
            driver.check()?;
            rooted(&*driver, &volume)
        })
        .await?;
        let (root, guest) = match (root, guest) {
            // What a guest has mounted for writing is read through its own mount only.
            (Root::Overlay { .. }, Some(running)) => (PackPlace::Guest { ids: ids::current(&record)? }, Some(running)),
            (root, _) => (place_of(root, ids_on_disk(&record.config)?), None),
        };
        Ok(Source { place, root, plain, guest, kept })
    }

    /// Where the tree of a snapshot is; it never changes.
    pub(super) async fn snapshot_source(&self, record: &InstanceRecord, name: &str) -> Result<Source> {
        let (snapshot, pool) = self.db.view(|v| {
            let snapshot = repo::snapshots::by_name(v, record.id, name)?;
            Ok((snapshot, pool_of(v, record)?))
        })?;
        let driver = self.pools.driver(&pool)?;
        let volume = volume_of(record)?.snapshot(name)?;
        let place = driver.paths().volume(&volume);
        let (root, plain) = blocking(move || rooted(&*driver, &volume)).await?;
        let root = place_of(root, ids_on_disk(&snapshot.config)?);
        Ok(Source { place, root, plain, guest: None, kept: None })
    }

    /// How something is compressed: as the request wants it, or the project, or the server.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with LXD's text for a compressor that there isn't.
    pub(super) fn compression(&self, wanted: &str, project: &str, key: &str) -> Result<Compression> {
        let words = match wanted {
            "" => self.db.view(|v| configured(v, project, key))?,
            wanted => wanted.to_owned(),
        };
        let compression = Compression::parse(&words).map_err(|e| match e {
            NoCompression::Unknown(name) => Error::invalid(format!("Invalid compression algorithm {name:?}")),
            NoCompression::Option(option) => {
                Error::invalid(format!("Compression option {option:?} in {words:?} is not supported"))
            }
        })?;
        if compression.algorithm == Algorithm::Squashfs {
            squashfs::program()?;
        }
        Ok(compression)
    }
}

fn configured(r: &impl Read, project: &str, key: &str) -> Result<String> {
    if let Some(words) = repo::projects::by_name(r, project)?.config.get(key) {
        return Ok(words.clone());
    }
    Ok(repo::server::get(r, key)?.unwrap_or_else(|| "gzip".to_owned()))
}

/// What to read of a volume. Blocks.
fn rooted(driver: &dyn Driver, volume: &Volume) -> Result<(Root, Vec<PlainDirectory>)> {
    let plain = driver.layered().map(|layered| layered.plain(volume, false)).transpose()?;
    Ok((driver.root(volume)?, plain.unwrap_or_default()))
}

/// The trees of an instance: its root, at this path of the archive, and what is mounted in it.
pub(super) fn trees(path: &str, root: PackPlace, plain: &[PlainDirectory]) -> Vec<Part> {
    let mounted = |directory: &PlainDirectory| Part::Tree {
        path: format!("{path}{}", directory.target.display()),
        place: PackPlace::Directory { path: directory.source.clone(), ids: Idmap::default() },
    };
    std::iter::once(Part::Tree { path: path.to_owned(), place: root }).chain(plain.iter().map(mounted)).collect()
}

/// How the pack helper gets at what a driver says.
fn place_of(root: Root, ids: Idmap) -> PackPlace {
    match root {
        Root::Dir { path } => PackPlace::Directory { path, ids },
        Root::Overlay { mut lowers, upper, .. } => {
            lowers.insert(0, upper);
            PackPlace::Layers { paths: lowers }
        }
        Root::Layers { mut lowers } if lowers.len() == 1 => PackPlace::Directory { path: lowers.remove(0), ids },
        Root::Layers { lowers } => PackPlace::Layers { paths: lowers },
    }
}

/// The map by which the files of an instance are shifted on disk; empty where they have the guest's ids.
pub(super) fn ids_on_disk(config: &ConfigMap) -> Result<Idmap> {
    const KEY: &str = IDS_ON_DISK;
    let text = config.get(KEY).map_or("[]", String::as_str);
    types::from_slice(text.as_bytes()).ctx(Kind::Internal, || format!("Failed reading {KEY:?} of the instance"))
}

/// What lies beside the root of an instance, at this path of the archive: `metadata.yaml` and the templates. They are ours and small, so
/// that a helper which has become the guest's doesn't have to read them. Blocks.
pub(super) fn beside(path: &str, place: &Path) -> Result<Vec<Part>> {
    let place = Place::open(place)?;
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let file =
        |name: &str, Text { bytes, modified }| Part::File { path: format!("{prefix}{name}"), content: bytes, modified };
    let mut parts = Vec::new();
    // An image has metadata of its own.
    if !path.is_empty()
        && let Some(text) = place.metadata_text()?
    {
        parts.push(file("metadata.yaml", text));
    }
    for name in place.list()? {
        parts.push(file(&format!("templates/{name}"), place.template(&name)?));
    }
    Ok(parts)
}
