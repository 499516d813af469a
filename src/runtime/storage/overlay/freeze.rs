//! Copies a stopped container without copying its files: its upper becomes a layer that both stand on.

use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, RenameFlags};

use super::create::{copy_metadata, like_root};
use super::layers::{Pin, below, stand_on};
use super::{LAYERS, Overlay, UPPERS};
use crate::error::{Ctx, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir, undo};
use crate::runtime::storage::volume::Volume;
use crate::runtime::storage::{MAX_LAYERS, dir, trash, tree};

impl Overlay {
    /// See [`crate::runtime::storage::Driver::copy_volume`]; the source's lock is held.
    pub(super) fn copy_container(&self, from: &Volume, to: &Volume) -> Result<()> {
        let depth = self.chain(from)?.len();
        let own = self.open_own(from)?;
        let upper =
            tree::open_dir(&own, c"rootfs").ctx(Kind::Internal, || format!("Failed opening volume \"{from}\""))?;
        let written = !tree::is_empty(&upper)?;
        if written && depth + 1 > MAX_LAYERS {
            let pin = below(&own)?.map(|id| self.layers.pin(&id));
            return self.make_copy(from, to, pin.as_ref(), Some(&upper));
        }
        let pin = if written { Some(self.freeze(from, &own)?) } else { below(&own)?.map(|id| self.layers.pin(&id)) };
        self.make_copy(from, to, pin.as_ref(), None)
    }

    fn open_own(&self, volume: &Volume) -> Result<OwnedFd> {
        let uppers = self.layout.dir(UPPERS)?;
        tree::open_dir(&uppers, &c_name(&volume.directory())?)
            .ctx(Kind::Internal, || format!("Failed opening volume \"{volume}\""))
    }

    /// Turns the upper of a volume that nobody has mounted into a layer and gives it an empty one over that.
    fn freeze(&self, volume: &Volume, old: &OwnedFd) -> Result<Pin<'_>> {
        let id = format!("copy-{}{}", trash::random_name()?, trash::random_name()?);
        let pin = self.layers.pin(&id);
        let (layers, uppers) = (self.layout.dir(LAYERS)?, self.layout.dir(UPPERS)?);
        let (name, layer) = (c_name(&volume.directory())?, c_name(&id)?);
        let made = make_dir(&layers, &layer, 0o700).and_then(|new| {
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

    /// Makes the new volume over `on`, with what `written` holds copied into its upper.
    fn make_copy(&self, from: &Volume, to: &Volume, on: Option<&Pin<'_>>, written: Option<&OwnedFd>) -> Result<()> {
        let source = self.layout.open_volume(from)?;
        self.layout.create_volume(to, |own| {
            let uppers = self.layout.dir(UPPERS)?;
            let new = make_dir(&uppers, &c_name(&to.directory())?, 0o700)?;
            self.fill_upper(&new, on)?;
            dir::with_links(&self.layout, |links| copy_metadata(&source, own, links))?;
            make_dir(own, c"rootfs", 0o755)?;
            let Some(written) = written else { return Ok(()) };
            let upper =
                tree::open_dir(&new, c"rootfs").ctx(Kind::Internal, || format!("Failed opening volume \"{to}\""))?;
            dir::with_links(&self.layout, |links| tree::copy(written, &upper, links))
        })
    }
}
