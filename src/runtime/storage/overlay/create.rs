//! A container's volume: its directory for tools, and its upper.

use std::os::fd::{AsFd, OwnedFd};

use super::layers::{Pin, stand_on};
use super::{LAYERS, Overlay};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir};
use crate::runtime::storage::living::copy_metadata;
use crate::runtime::storage::volume::Volume;
use crate::runtime::storage::{Content, Place, dir, quota, tree};

impl Overlay {
    /// See [`crate::runtime::storage::Driver::create_volume`].
    pub(super) fn create_container(&self, volume: &Volume, content: Content<'_>) -> Result<()> {
        // Before anything of the volume is there: this can take long, and fail.
        let pin = match content {
            Content::Empty => None,
            Content::Image(image) => Some(self.ensure(image)?),
            Content::Tree(fill) => return self.create_filled(volume, fill),
        };
        self.layout.create_volume(volume, |own| {
            self.make_upper(volume, pin.as_ref())?;
            if let Some(pin) = &pin {
                self.take_metadata(pin, own)?;
            }
            make_dir(own, c"rootfs", 0o755).map(|_| ())
        })
    }

    /// Makes a volume whose upper, or a snapshot whose layer, `fill` fills.
    fn create_filled(&self, volume: &Volume, fill: impl FnOnce(&Place<'_>) -> Result<()>) -> Result<()> {
        self.layout.create_volume(volume, |own| {
            make_dir(own, c"rootfs", 0o755)?;
            let filled = |top: &OwnedFd, root: &OwnedFd| {
                dir::with_links(&self.layout, |links| {
                    fill(&Place { own: own.as_fd(), root: root.as_fd(), links: links.as_fd(), old: None })
                })?;
                self.adopt_plain(top, root)
            };
            if volume.is_snapshot() {
                let pin = self.build_layer(None, filled)?;
                return self.make_upper(volume, Some(&pin));
            }
            self.make_upper(volume, None)?;
            let top = self.layout.open_last(volume)?;
            let upper = tree::open_dir(&top, c"rootfs")
                .ctx(Kind::Internal, || format!("Failed opening volume \"{volume}\""))?;
            filled(&top, &upper)
        })
    }

    /// Makes an empty upper over a layer; of a snapshot the note of the layer alone.
    pub(super) fn make_upper(&self, volume: &Volume, on: Option<&Pin<'_>>) -> Result<()> {
        let parts = self.layout.part_dirs(volume)?;
        let last = parts.last().ok_or_else(|| Error::internal("A pool has no parts"))?;
        let own = make_dir(last, &c_name(&volume.leaf())?, 0o700)?;
        quota::begin(&own, volume.counted())?;
        match (volume.is_snapshot(), on) {
            (true, Some(pin)) => stand_on(&own, pin.id()),
            (true, None) => make_dir(&own, c"rootfs", 0o755).map(drop),
            (false, on) => self.fill_upper(&own, on),
        }
    }

    /// Makes `rootfs`, `work` and the note of the layer below.
    pub(super) fn fill_upper(&self, own: &OwnedFd, on: Option<&Pin<'_>>) -> Result<()> {
        make_dir(own, c"work", 0o700)?;
        let upper = make_dir(own, c"rootfs", 0o755)?;
        let Some(pin) = on else { return Ok(()) };
        stand_on(own, pin.id())?;
        // The root directory of the mount is the upper's, with its owner, mode and access list.
        like_root(&self.open_root_of(pin)?, &upper)
    }

    /// Opens the root directory of a layer.
    pub(super) fn open_root_of(&self, pin: &Pin<'_>) -> Result<OwnedFd> {
        tree::open_dir(self.open_layer(pin)?, c"rootfs")
            .ctx(Kind::Internal, || format!("Failed opening the root of layer {:?}", pin.id()))
    }

    pub(super) fn open_layer(&self, pin: &Pin<'_>) -> Result<OwnedFd> {
        let layers = self.layout.dir(LAYERS)?;
        tree::open_dir(&layers, &c_name(pin.id())?)
            .ctx(Kind::Internal, || format!("Failed opening layer {:?}", pin.id()))
    }

    /// Copies `metadata.yaml` and `templates/` of an image's layer into the volume's directory.
    fn take_metadata(&self, pin: &Pin<'_>, own: &OwnedFd) -> Result<()> {
        let layer = self.open_layer(pin)?;
        dir::with_links(&self.layout, |links| copy_metadata(&layer, own, links))
    }
}

/// Gives an upper's root the attributes of another's, without what the kernel notes for the overlay it was in.
pub(super) fn like_root(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    tree::copy_attributes(from, to)
        .and_then(|()| tree::drop_xattrs(to, "trusted.overlay."))
        .ctx(Kind::Internal, || "Failed copying the root directory's attributes")
}
