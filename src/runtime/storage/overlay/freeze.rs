//! Copies a container without copying its files: what it wrote becomes a layer that both stand on.
//!
//! Of a container that nobody mounts, the upper itself becomes the layer. One that runs goes on writing to its upper,
//! through files that are open, whatever is mounted over it; so there the layer is a copy of the upper, and of that alone.
//! The same is done where one more layer would be too many.

use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, RenameFlags};

use super::create::like_root;
use super::layers::{Pin, below, copy_name, stand_on};
use super::{LAYERS, Overlay, UPPERS, plain};
use crate::error::{Ctx, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir, undo};
use crate::runtime::storage::living::{self, copy_metadata};
use crate::runtime::storage::volume::Volume;
use crate::runtime::storage::{Guest, MAX_LAYERS, dir, quota, tree};

impl Overlay {
    /// See [`crate::runtime::storage::Driver::copy_volume`].
    pub(super) fn copy_container(&self, from: &Volume, to: &Volume, guest: Option<&dyn Guest>) -> Result<()> {
        let _held = match guest {
            Some(_) => None,
            None if from.is_snapshot() => Some(self.layout.share(from)?),
            None => Some(self.layout.hold(from)?),
        };
        let layer = self.layer_of(from, guest)?;
        self.make_copy(from, to, layer)
    }

    /// The layer that is what a volume or snapshot holds now; none when that is nothing.
    pub(super) fn layer_of(&self, volume: &Volume, guest: Option<&dyn Guest>) -> Result<Option<Pin<'_>>> {
        let own = self.layout.open_last(volume)?;
        let on = below(&own)?.map(|id| self.layers.pin(&id));
        if volume.is_snapshot() {
            return Ok(on);
        }
        let upper =
            tree::open_dir(&own, c"rootfs").ctx(Kind::Internal, || format!("Failed opening volume \"{volume}\""))?;
        let plain = plain::opened(&own)?;
        if plain.is_none() && tree::is_empty(&upper)? {
            return Ok(on);
        }
        if guest.is_none() && self.chain(volume)?.len() < MAX_LAYERS {
            return self.freeze(volume, &own).map(Some);
        }
        let on = on.as_ref().map(Pin::id);
        self.build_layer(on, |top, root| {
            if let Some(plain) = &plain {
                self.copy_plain(plain, top, guest)?;
            }
            dir::with_links(&self.layout, |links| living::copy(&upper, root, links, guest))?;
            tree::drop_xattrs(root, "trusted.overlay.").ctx(Kind::Internal, || "Failed copying the root's attributes")
        })
        .map(Some)
    }

    /// Turns the upper of a volume that nobody has mounted into a layer and gives it an empty one over that.
    fn freeze(&self, volume: &Volume, old: &OwnedFd) -> Result<Pin<'_>> {
        let id = copy_name()?;
        let pin = self.layers.pin(&id);
        let (layers, uppers) = (self.layout.dir(LAYERS)?, self.layout.dir(UPPERS)?);
        let (name, layer) = (c_name(&volume.directory())?, c_name(&id)?);
        let made = make_dir(&layers, &layer, 0o700).and_then(|new| {
            quota::begin_like(old, &new)?;
            make_dir(&new, c"work", 0o700)?;
            let upper = make_dir(&new, c"rootfs", 0o755)?;
            let top = tree::open(old, c"rootfs", OFlags::RDONLY | OFlags::DIRECTORY)
                .ctx(Kind::Internal, || format!("Failed opening volume \"{volume}\""))?;
            like_root(&top, &upper)?;
            stand_on(&new, &id)?;
            // One step: what was the upper is the layer, and the new directory is the upper.
            rustix::fs::renameat_with(&uppers, &name, &layers, &layer, RenameFlags::EXCHANGE)
                .ctx(Kind::Internal, || format!("Failed turning volume \"{volume}\" into a layer"))
        });
        undo(made, || tree::remove(&layers, &layer))?;
        Ok(pin)
    }

    /// Makes a volume or snapshot of what a layer holds, with the metadata of another.
    fn make_copy(&self, from: &Volume, to: &Volume, layer: Option<Pin<'_>>) -> Result<()> {
        let source = self.layout.open_volume(from)?;
        self.layout.create_volume(to, |own| {
            dir::with_links(&self.layout, |links| copy_metadata(&source, own, links))?;
            make_dir(own, c"rootfs", 0o755)?;
            if to.is_snapshot() {
                return self.make_upper(to, layer.as_ref());
            }
            let uppers = self.layout.dir(UPPERS)?;
            let new = make_dir(&uppers, &c_name(&to.directory())?, 0o700)?;
            quota::begin(&new, to.counted())?;
            self.fill_on(&new, layer.as_ref())
        })
    }

    /// Fills the directory of an upper so that it stands on a layer; where that would be one too many, it gets a copy of what
    /// the layer holds and stands on the next.
    pub(super) fn fill_on(&self, own: &OwnedFd, layer: Option<&Pin<'_>>) -> Result<()> {
        let Some(layer) = layer.filter(|layer| self.depth(layer).is_ok_and(|depth| depth > MAX_LAYERS)) else {
            return self.fill_upper(own, layer);
        };
        let top = self.open_layer(layer)?;
        let next = below(&top)?.map(|id| self.layers.pin(&id));
        self.fill_upper(own, next.as_ref())?;
        if let Some(plain) = plain::opened(&top)? {
            self.copy_plain(&plain, own, None)?;
        }
        let upper = tree::open_dir(own, c"rootfs").ctx(Kind::Internal, || "Failed opening a new upper")?;
        let written = self.open_root_of(layer)?;
        dir::with_links(&self.layout, |links| tree::copy(&written, &upper, links))
    }

    /// How many layers a layer and those below are.
    fn depth(&self, layer: &Pin<'_>) -> Result<usize> {
        let layers = self.layout.dir(LAYERS)?;
        let (mut depth, mut next) = (0, Some(layer.id().to_owned()));
        while let Some(id) = next.filter(|_| depth <= MAX_LAYERS) {
            depth += 1;
            let own = tree::open_dir(&layers, &c_name(&id)?)
                .ctx(Kind::Internal, || format!("Failed opening layer {id:?}"))?;
            next = below(&own)?;
        }
        Ok(depth)
    }
}
