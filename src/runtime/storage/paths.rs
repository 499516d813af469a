//! Where a pool and its volumes are.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::volume::{Volume, VolumeKind};
use crate::api::types::{ConfigMap, PoolUsage, ResourcesStoragePool};
use crate::error::{Ctx, Error, Kind, Result};
use crate::order::Order;

/// The name of the directory with all pools below `LXD_DIR`.
const POOLS: &str = "storage-pools";

/// A pool's places on the host.
///
/// Without the key `source` its data is in `LXD_DIR/storage-pools/NAME`. With it the data is in that directory, and
/// `LXD_DIR/storage-pools/NAME` is a symbolic link to it (LXD bind-mounts it there; a link leads to the same files, and
/// has not to be mounted again at each start nor to be found in every mount namespace).
#[derive(Clone, Debug)]
pub struct PoolPaths {
    lxd_dir: PathBuf,
    name: String,
    source: Option<PathBuf>,
}

impl PoolPaths {
    /// Takes a pool's name and configuration; touches nothing.
    ///
    /// The name must be one directory name; other rules for names (white space) are the caller's.
    pub fn new(lxd_dir: &Path, name: &str, config: &ConfigMap) -> Result<PoolPaths> {
        if name.contains('/') {
            return Err(Error::invalid("Storage pool names may not contain slashes"));
        }
        if name.is_empty() || name.starts_with('.') || name.contains('\0') || name.len() > 255 {
            return Err(Error::invalid(format!("Invalid storage pool name {name:?}")));
        }
        let place = lxd_dir.join(POOLS).join(name);
        let source = config.get("source").filter(|s| !s.is_empty()).map(PathBuf::from);
        let source = source.filter(|s| s.components().ne(place.components()));
        Ok(PoolPaths { lxd_dir: lxd_dir.to_owned(), name: name.to_owned(), source })
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The daemon's directory.
    pub fn lxd_dir(&self) -> &Path {
        &self.lxd_dir
    }

    /// `LXD_DIR/storage-pools/NAME`: where tools look.
    pub fn place(&self) -> PathBuf {
        self.lxd_dir.join(POOLS).join(&self.name)
    }

    /// The directory that holds the data.
    pub fn root(&self) -> PathBuf {
        self.source.clone().unwrap_or_else(|| self.place())
    }

    /// What the key `source` is to say once the pool exists.
    pub fn source(&self) -> String {
        self.root().to_string_lossy().into_owned()
    }

    /// Whether the data is in a directory given by the key `source`.
    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// `LXD_DIR/storage-pools/POOL/KIND/[PROJECT_]NAME`: a volume's directory, as tools find it.
    pub fn volume(&self, volume: &Volume) -> PathBuf {
        self.place().join(volume.place())
    }

    /// The volumes of a kind whose directories there are, with or without a record. Blocks.
    pub fn on_disk(&self, kind: VolumeKind) -> Result<Vec<Volume>> {
        let directory = self.root().join(kind.directory());
        let failed = || format!("Failed listing {directory:?}");
        let mut volumes = Vec::new();
        for entry in fs::read_dir(&directory).ctx(Kind::Unavailable, failed)? {
            let name = entry.ctx(Kind::Internal, failed)?.file_name();
            volumes.extend(name.to_str().and_then(|name| Volume::parse(kind, name)));
        }
        volumes.order();
        Ok(volumes)
    }

    /// Makes the link to a `source` elsewhere, unless it is there. Blocks.
    pub fn link_source(&self) -> Result<()> {
        let place = self.place();
        if !self.has_source() || fs::read_link(&place).is_ok_and(|target| target == self.root()) {
            return Ok(());
        }
        let made = std::os::unix::fs::symlink(self.root(), &place);
        made.ctx(Kind::Internal, || format!("Failed creating storage pool directory {place:?}"))
    }

    /// Gives an instance's directory to the root of its id map, group root, as tools expect it.
    pub fn set_owner(&self, volume: &Volume, uid: u32) -> Result<()> {
        let path = self.volume(volume);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::open(&path, flags, Mode::empty()).ctx(Kind::Internal, || format!("Failed opening {path:?}"))?;
        let failed = || format!("Failed changing the owner of {path:?}");
        let now = rustix::fs::fstat(&fd).ctx(Kind::Internal, failed)?;
        if (now.st_uid, now.st_gid) == (uid, 0) {
            return Ok(());
        }
        rustix::fs::chownat(&fd, c"", Some(Uid::from_raw(uid)), Some(Gid::ROOT), rustix::fs::AtFlags::EMPTY_PATH)
            .ctx(Kind::Internal, failed)
    }

    /// Space and inodes of the file system the pool is on (`statvfs`). Blocks.
    pub fn usage(&self) -> Result<ResourcesStoragePool> {
        let root = self.root();
        let stat = rustix::fs::statvfs(&root)
            .ctx(Kind::Unavailable, || format!("Failed reading the usage of storage pool {:?}", self.name))?;
        let space = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(ResourcesStoragePool {
            space: PoolUsage { used: space(stat.f_blocks.saturating_sub(stat.f_bfree)), total: space(stat.f_blocks) },
            inodes: PoolUsage { used: stat.f_files.saturating_sub(stat.f_ffree), total: stat.f_files },
        })
    }

    /// Checks that the key `source` names an existing, empty directory outside `LXD_DIR`, with LXD's texts.
    pub(super) fn check_source(&self) -> Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        let shown = source.display();
        let clean = source.is_absolute() && !source.components().any(|c| c == Component::ParentDir);
        let real = fs::canonicalize(source).ok().filter(|_| clean);
        let Some(real) = real else {
            return Err(Error::invalid(format!("Source path '{shown}' doesn't exist")));
        };
        let lxd_dir =
            fs::canonicalize(&self.lxd_dir).ctx(Kind::Internal, || format!("Failed resolving {:?}", self.lxd_dir))?;
        if real.starts_with(&lxd_dir) || source.starts_with(&self.lxd_dir) {
            return Err(Error::invalid(format!("Source path '{shown}' is within the LXD directory")));
        }
        if !real.is_dir() {
            return Err(Error::invalid(format!("Source path '{shown}' isn't a directory")));
        }
        let mut entries = fs::read_dir(&real).ctx(Kind::Internal, || format!("Failed reading {source:?}"))?;
        if entries.next().is_some() {
            return Err(Error::invalid(format!("Source path '{shown}' isn't empty")));
        }
        Ok(())
    }

    /// Opens the directory that holds the data.
    pub(super) fn open_root(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.root(), flags, Mode::empty()).ctx(Kind::Unavailable, || {
            format!("Storage pool {:?} is unavailable: Failed opening {:?}", self.name, self.root())
        })
    }
}

/// Refuses a change of what is fixed at creation; nothing on disk depends on the other keys. Pure.
pub fn check_update(old: &ConfigMap, new: &ConfigMap) -> Result<()> {
    if old.get("source") != new.get("source") {
        return Err(Error::invalid("Pool source cannot be changed when not in pending state"));
    }
    Ok(())
}
