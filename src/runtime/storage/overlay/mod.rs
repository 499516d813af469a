//! The `overlay` driver: an image becomes an immutable layer once, an instance is an upper directory over it.
//!
//! ```text
//! ROOT/
//!   containers/NAME/      0100: metadata.yaml, templates/, rootfs/ (empty), backup.yaml: where tools look
//!   custom/PROJECT_NAME/  plain: an overlay can't stand on an overlay
//!   overlay/              0700: guests' files owned by the host's uid 0; only who mounts enters
//!     layers/ID/            rootfs/, and for an image metadata.yaml, templates/
//!     layers/.ID.RANDOM/    being made; swept at start
//!     uppers/NAME/          rootfs/ (the upper), work/
//!       plain/NAME          mounted over /var/lib/NAME of the guest ([`plain`]); a layer may have them, too
//!       on.ID               the layer it stands on, an empty file; a layer made from an upper has one too
//!     snapshots/NAME/SNAPSHOT/  the same file, and rootfs/, empty, where there is no layer
//! ```
//! A snapshot writes nothing, so it is the name of a layer; a copy of a volume is an empty upper on one. The layer is
//! what the volume wrote: of a stopped one its upper itself, of one that runs a copy of that ([`freeze`]).
//!
//! A layer's name is that of the image, or random (`copy-…`) for one that was a stopped instance's upper: then the
//! directory in `uppers` and the new one in `layers` are exchanged in one step, so that a crash leaves the old or the
//! new state. The layer below is said by a file's *name*, since names are in the file system's journal and contents
//! are not.

mod create;
mod freeze;
mod layers;
pub(super) mod plain;
mod probe;
mod snapshots;

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::path::PathBuf;

use super::layout::Layout;
use super::paths::PoolPaths;
use super::reconcile::Found;
use super::volume::{Volume, VolumeKind};
use super::{Content, Driver, Guest, Image, Layered, PlainDirectory, Renewing, Root, dir, trash, tree};
use crate::error::{Error, Result};

pub(super) use probe::{is_on_overlay, kernel_is_new_enough};

/// The driver's name.
pub(super) const NAME: &str = "overlay";

/// The directory of layers in a pool's root.
const LAYERS: &CStr = c"overlay/layers";

/// The directory of uppers in a pool's root.
const UPPERS: &CStr = c"overlay/uppers";

/// The directory of snapshots in a pool's root.
const SNAPSHOTS: &CStr = c"overlay/snapshots";

/// A pool of the `overlay` driver.
pub(super) struct Overlay {
    layout: Layout,
    layers: layers::Layers,
}

fn parts(kind: VolumeKind) -> &'static [&'static CStr] {
    match kind {
        VolumeKind::Container => &[c"containers", UPPERS],
        VolumeKind::VirtualMachine => &[c"virtual-machines"],
        VolumeKind::Custom => &[c"custom"],
    }
}

fn snapshot_parts(kind: VolumeKind) -> &'static [&'static CStr] {
    match kind {
        VolumeKind::Container => &[c"containers-snapshots", SNAPSHOTS],
        VolumeKind::VirtualMachine => &[c"virtual-machines-snapshots"],
        VolumeKind::Custom => &[c"custom-snapshots"],
    }
}

impl Overlay {
    pub(super) fn new(paths: PoolPaths) -> Overlay {
        let private: &[(&CStr, u32)] = &[(c"overlay", 0o700), (LAYERS, 0o700), (UPPERS, 0o700), (SNAPSHOTS, 0o700)];
        Overlay { layout: Layout { paths, parts, snapshot_parts, private }, layers: layers::Layers::default() }
    }
}

impl Driver for Overlay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn paths(&self) -> &PoolPaths {
        &self.layout.paths
    }

    fn create(&self) -> Result<()> {
        self.layout.create(|root| probe::check(root, &self.layout.paths.root()))
    }

    fn delete(&self) -> Result<()> {
        self.layout.delete()
    }

    fn check(&self) -> Result<()> {
        self.layout.check()
    }

    fn check_free(&self, volume: &Volume) -> Result<()> {
        self.layout.check_free(volume)
    }

    fn create_volume(&self, volume: &Volume, content: Content<'_>) -> Result<()> {
        dir::refuse_vm(volume)?;
        match (volume.kind(), content) {
            (VolumeKind::Container, content) => self.create_container(volume, content),
            (_, Content::Empty) => self.layout.create_volume(volume, |_| Ok(())),
            (_, Content::Image(_) | Content::Tree(_)) => Err(Error::unsupported("A custom volume made from an image")),
        }
    }

    fn copy_volume(&self, from: &Volume, to: &Volume, guest: Option<&dyn Guest>) -> Result<()> {
        dir::refuse_vm(from)?;
        if from.kind() == VolumeKind::Custom {
            let _held = self.layout.hold(from)?;
            return self.layout.create_volume(to, |fd| dir::copy_into(&self.layout, from, fd));
        }
        self.copy_container(from, to, guest)
    }

    fn rename_volume(&self, from: &Volume, to: &Volume) -> Result<()> {
        self.layout.rename_volume(from, to)
    }

    fn delete_volume(&self, volume: &Volume) -> Result<()> {
        self.layout.delete_volume(volume)
    }

    fn settle(&self, volume: &Volume) -> Result<()> {
        self.layout.settle(volume)
    }

    fn root(&self, volume: &Volume) -> Result<Root> {
        dir::refuse_vm(volume)?;
        let root = self.layout.paths.root();
        if volume.kind() == VolumeKind::Custom {
            self.layout.open_volume(volume)?;
            return Ok(Root::Dir { path: root.join("custom").join(volume.directory()) });
        }
        let layers = root.join("overlay/layers");
        let mut lowers: Vec<PathBuf> = self.layers(volume)?.iter().map(|id| layers.join(id).join("rootfs")).collect();
        let own = self.layout.lock_path(volume);
        let upper = own.join("rootfs");
        if volume.is_snapshot() {
            if lowers.is_empty() {
                lowers.push(upper);
            }
            return Ok(Root::Layers { lowers });
        }
        // Without an image there is nothing to lay it over.
        if lowers.is_empty() {
            return Ok(Root::Dir { path: upper });
        }
        Ok(Root::Overlay { lowers, upper, work: own.join("work") })
    }

    fn lock_path(&self, volume: &Volume) -> PathBuf {
        self.layout.lock_path(volume)
    }

    fn is_locked(&self, volume: &Volume) -> Result<bool> {
        self.layout.is_locked(volume)
    }

    fn reconcile(&self, known: &[Volume]) -> Result<Found> {
        let layers = self.layout.dir(LAYERS)?;
        let bin = self.layout.dir(trash::TRASH)?;
        for name in tree::names(&layers)?.iter().filter(|n| n.to_bytes().starts_with(b".")) {
            trash::discard(&layers, name, &bin)?;
        }
        self.layout.reconcile(known)
    }

    fn renewing(&self) -> Option<&dyn Renewing> {
        None
    }

    fn layered(&self) -> Option<&dyn Layered> {
        Some(self)
    }
}

impl Layered for Overlay {
    fn prepare(&self, image: Image<'_>) -> Result<()> {
        self.ensure(image).map(|_| ())
    }

    fn has(&self, layer: &str) -> Result<bool> {
        layers::check_name(layer)?;
        layers::exists(&self.layout.dir(LAYERS)?, layer)
    }

    fn layers(&self, volume: &Volume) -> Result<Vec<String>> {
        self.chain(volume)
    }

    fn plain(&self, volume: &Volume, make: bool) -> Result<Vec<PlainDirectory>> {
        self.plain_directories(volume, make)
    }

    fn sweep(&self, keep: &BTreeSet<String>) -> Result<Vec<String>> {
        self.sweep_layers(keep)
    }
}
