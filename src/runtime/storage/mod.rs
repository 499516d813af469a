//! Storage pools and volumes on the host.
//!
//! The records are the caller's: functions here take names, paths and what is to be in a volume. A caller opens a
//! pool's driver once ([`open_driver`]) and keeps it as long as the pool exists, because concurrent launches of one
//! image wait for each other inside of it. Everything blocks and belongs on blocking threads.
//!
//! ```text
//! Driver            pool: create, check, delete    volume: create, copy, rename, delete, root, lock
//! Snapshots         restore, the tree to be copied elsewhere; a snapshot is a [`Volume`] with a second name
//!   dir               one directory a volume, LXD's layout
//!   overlay           one more for what an instance wrote (upper), above immutable layers made from images
//! layout, marks     directories, modes and changes of volumes, the same for all drivers; crash marks
//! living            copies of what a running guest writes to
//! trash             what was deleted, removed by a thread of low priority
//! tree              removing and copying trees nobody trusts
//! quota             what a volume may hold
//! reconcile         disk and records at start
//! ```
//!
//! **Order of a creation**, for a crash at any point: record with phase `Creating` -> [`Driver::create_volume`] ->
//! record `Created` -> [`Driver::settle`]. Of a renaming: [`Driver::rename_volume`] -> record -> [`Driver::settle`] of
//! the new name. Of a deletion: record `Deleting` -> [`Driver::delete_volume`] -> no record.
//! [`Driver::reconcile`] at start gets the volumes in phase `Created`; those `Deleting` are deleted again by the caller.
//!
//! Ids on disk are the guest's own; the mounter maps them. Where the kernel or file system has no idmapped mounts the
//! `dir` driver's trees are shifted on disk by who starts the instance (section 7 of the design); `overlay` needs them.

mod dir;
mod layout;
pub mod links;
mod living;
mod marks;
mod overlay;
mod paths;
pub mod quota;
mod reconcile;
mod trash;
pub mod tree;
mod volume;

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::runtime::sys::process;

pub use living::{Guest, Tree};
pub use paths::{PoolPaths, check_update};
pub use reconcile::Found;
pub use trash::{Emptier, empty as empty_trash};
pub use volume::{Volume, VolumeKind};

/// Layers an overlay mount of ours may have; a cold look-up costs more with each.
pub const MAX_LAYERS: usize = 16;

/// A storage driver as the API lists it (`environment.storage_supported_drivers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverInfo {
    /// Its name in a pool's `driver`.
    pub name: &'static str,
    /// The version of what does the work.
    pub version: &'static str,
    /// Whether its data is on other machines.
    pub remote: bool,
}

/// All drivers there are.
pub const DRIVERS: &[DriverInfo] = &[
    DriverInfo { name: dir::NAME, version: "1", remote: false },
    DriverInfo { name: overlay::NAME, version: "1", remote: false },
];

/// The drivers this host can use for pools below `lxd_dir`. `overlay` is left out where the kernel is too old for it, and
/// where the directory is on an overlay itself; with a `source` elsewhere it can be used there all the same. In a
/// user namespace, that is in an unprivileged container, it can't be used.
pub fn supported(lxd_dir: &Path) -> Vec<DriverInfo> {
    // In others nobody has the attributes by which an overlay keeps its books.
    let can_keep = process::is_in_first_user_namespace();
    let can_layer = can_keep && overlay::kernel_is_new_enough() && !overlay::is_on_overlay(lxd_dir);
    DRIVERS.iter().filter(|d| d.name != overlay::NAME || can_layer).copied().collect()
}

/// The driver of a pool; touches nothing. Kind `Invalid` with LXD's text for a name that is none.
pub fn open_driver(name: &str, paths: &PoolPaths) -> Result<Box<dyn Driver>> {
    match name {
        dir::NAME => Ok(Box::new(dir::Dir::new(paths.clone()))),
        overlay::NAME => Ok(Box::new(overlay::Overlay::new(paths.clone()))),
        "btrfs" | "ceph" | "cephfs" | "cephobject" | "lvm" | "zfs" => {
            Err(Error::unsupported(format!("Storage driver \"{name}\"")))
        }
        _ => Err(Error::invalid("Unknown driver")),
    }
}

/// What mounts an instance's root file system; paths as the daemon sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// A directory.
    Dir {
        /// The root itself.
        path: PathBuf,
    },
    /// An overlay mount.
    Overlay {
        /// Read-only layers, the top first, 1 to [`MAX_LAYERS`].
        lowers: Vec<PathBuf>,
        /// Where writes go.
        upper: PathBuf,
        /// The kernel's, empty, on the same file system.
        work: PathBuf,
    },
    /// A snapshot: for reading only.
    Layers {
        /// Directories laid over each other, the top first; at least one.
        lowers: Vec<PathBuf>,
    },
}

/// An image to make a volume from.
pub struct Image<'a> {
    /// Names what unpacking gives: the fingerprint, with a suffix where an image is unpacked in different ways (with
    /// device nodes for privileged instances). Letters, digits, `.`, `_`, `-`; at most 200; no dot first.
    pub layer: &'a str,
    /// Fills the open, empty directory with `metadata.yaml`, `templates/` and `rootfs/`. May be called or not.
    pub unpack: Box<dyn FnOnce(BorrowedFd<'_>) -> Result<()> + Send + 'a>,
}

/// What a new volume holds.
pub enum Content<'a> {
    /// Nothing.
    Empty,
    /// An image.
    Image(Image<'a>),
    /// What this puts into it: a backup, a copy from another pool. Not for custom volumes.
    Tree(Fill<'a>),
}

/// Fills a volume.
pub type Fill<'a> = Box<dyn FnOnce(&Place<'_>) -> Result<()> + Send + 'a>;

/// The open directories that are to be filled.
pub struct Place<'a> {
    /// For `metadata.yaml` and `templates/`.
    pub own: BorrowedFd<'a>,
    /// For the root file system.
    pub root: BorrowedFd<'a>,
    /// Empty, and gone later: where files with several names wait for the next of them.
    pub links: BorrowedFd<'a>,
    /// The root file system that this one takes the place of: what is the same may be taken over by another name.
    pub old: Option<BorrowedFd<'a>>,
}

/// A directory of a volume's own that is mounted in its guest, since it must not be on an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainDirectory {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where it belongs in the guest.
    pub target: PathBuf,
}

/// A pool.
///
/// Operations on different volumes may run at the same time; those on one volume are the caller's to order. A volume
/// that is mounted (its lock is held) is refused with kind `Busy` by copy, rename and delete. A full disk is kind
/// `Unavailable`, and what fails leaves nothing behind.
///
/// Where a [`Volume`] is asked for, a snapshot will do, as far as that makes sense; those of a volume go with it when it is
/// renamed or deleted.
pub trait Driver: Snapshots + Send + Sync {
    /// The driver's name.
    fn name(&self) -> &'static str;

    /// The pool's places, usage, and owners of volumes.
    fn paths(&self) -> &PoolPaths;

    /// Makes the pool. Kind `Invalid` for a bad `source`, `Unsupported` where the host can't.
    fn create(&self) -> Result<()>;

    /// Takes the pool away with everything in it, as the caller knows that nobody uses it. Can be repeated.
    fn delete(&self) -> Result<()>;

    /// Whether the pool is there; kind `Unavailable` says what is missing (a `source` not mounted).
    fn check(&self) -> Result<()>;

    /// Kind `Exists` when there is something of this name, or snapshots below it. What fails to be made in its place later
    /// would be removed with it; so this comes before the record.
    fn check_free(&self, volume: &Volume) -> Result<()>;

    /// Makes a volume and, for an instance, its link in `LXD_DIR`. Kind `Exists` when there is one.
    fn create_volume(&self, volume: &Volume, content: Content<'_>) -> Result<()>;

    /// Makes a volume or snapshot like another of the pool, without that one's snapshots. It is mounted by `guest`, or by nobody.
    fn copy_volume(&self, from: &Volume, to: &Volume, guest: Option<&dyn Guest>) -> Result<()>;

    /// Gives a volume another name.
    fn rename_volume(&self, from: &Volume, to: &Volume) -> Result<()>;

    /// Moves a volume into the trash; one that doesn't exist is fine. Wake the [`Emptier`] afterwards.
    fn delete_volume(&self, volume: &Volume) -> Result<()>;

    /// Says that the record of a created or renamed volume is written (see the order above).
    fn settle(&self, volume: &Volume) -> Result<()>;

    /// What to mount for the volume.
    fn root(&self, volume: &Volume) -> Result<Root>;

    /// The directory whose `flock` the mounter holds exclusively as long as it has the volume mounted.
    fn lock_path(&self, volume: &Volume) -> PathBuf;

    /// Whether somebody holds the lock of [`Driver::lock_path`] now.
    fn is_locked(&self, volume: &Volume) -> Result<bool>;

    /// Brings disk and records together, at start, before anything else; `known` are the volumes with a record.
    fn reconcile(&self, known: &[Volume]) -> Result<Found>;

    /// The pool's layers, for drivers that have some.
    fn layered(&self) -> Option<&dyn Layered>;

    /// The way to write only what differs, for drivers that have one.
    fn renewing(&self) -> Option<&dyn Renewing>;
}

/// Drivers whose volumes are plain trees.
pub trait Renewing {
    /// Replaces what a volume that nobody mounts holds, in one step; [`Place::old`] is there to be taken over.
    fn renew_volume(&self, volume: &Volume, fill: Fill<'_>) -> Result<()>;
}

/// What volumes and snapshots have to do with each other.
pub trait Snapshots {
    /// Makes a volume that nobody mounts like another, mostly one of its snapshots, of the same pool. Can be repeated: after a
    /// crash the volume may be half the old one and half the new.
    fn restore_volume(&self, volume: &Volume, from: &Volume) -> Result<()>;

    /// Says that there will be no record of a volume any more: it goes at the next start, unless it is settled or there is one.
    fn unsettle(&self, volume: &Volume) -> Result<()>;

    /// What is in a volume, as its guest sees it, to be copied to another pool; it is mounted by `guest`, or by nobody.
    fn open_tree(&self, volume: &Volume, guest: Option<&dyn Guest>) -> Result<Tree<'_>>;
}

/// Drivers that unpack an image once, and share the result.
pub trait Layered {
    /// Makes the layer of an image, unless it is there.
    fn prepare(&self, image: Image<'_>) -> Result<()>;

    /// Whether the layer is there.
    fn has(&self, layer: &str) -> Result<bool>;

    /// The layers a volume stands on, the top first.
    fn layers(&self, volume: &Volume) -> Result<Vec<String>>;

    /// The directories of a volume or snapshot that must not be on an overlay. With `make` a volume has all of them
    /// from now on; without, those that it was given once. Blocks, as long as it takes to copy those of a snapshot.
    fn plain(&self, volume: &Volume, make: bool) -> Result<Vec<PlainDirectory>>;

    /// Moves every layer into the trash that is neither in `keep` nor below a volume, and returns their names.
    fn sweep(&self, keep: &BTreeSet<String>) -> Result<Vec<String>>;
}
