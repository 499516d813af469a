//! A container's volume: its directory for tools, and its upper.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::layers::{Pin, stand_on};
use super::{LAYERS, Overlay, UPPERS};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir};
use crate::runtime::storage::volume::Volume;
use crate::runtime::storage::{Content, dir, tree};

/// What an image brings beside its root file system.
const METADATA: &std::ffi::CStr = c"metadata.yaml";
const TEMPLATES: &std::ffi::CStr = c"templates";

impl Overlay {
    /// See [`crate::runtime::storage::Driver::create_volume`].
    pub(super) fn create_container(&self, volume: &Volume, content: Content<'_>) -> Result<()> {
        // Before anything of the volume is there: this can take long, and fail.
        let pin = match content {
            Content::Empty => None,
            Content::Image(image) => Some(self.ensure(image)?),
        };
        self.layout.create_volume(volume, |own| {
            self.make_upper(volume, pin.as_ref())?;
            if let Some(pin) = &pin {
                self.take_metadata(pin, own)?;
            }
            make_dir(own, c"rootfs", 0o755).map(|_| ())
        })
    }

    /// Makes an empty upper over a layer.
    fn make_upper(&self, volume: &Volume, on: Option<&Pin<'_>>) -> Result<()> {
        let uppers = self.layout.dir(UPPERS)?;
        let own = make_dir(&uppers, &c_name(&volume.directory())?, 0o700)?;
        self.fill_upper(&own, on)
    }

    /// Makes `rootfs`, `work` and the note of the layer below.
    pub(super) fn fill_upper(&self, own: &OwnedFd, on: Option<&Pin<'_>>) -> Result<()> {
        make_dir(own, c"work", 0o700)?;
        let upper = make_dir(own, c"rootfs", 0o755)?;
        let Some(pin) = on else { return Ok(()) };
        stand_on(own, pin.id())?;
        // The root directory of the mount is the upper's, with its owner, mode and access list.
        let lower = self.open_layer(pin)?;
        let root = tree::open_dir(&lower, c"rootfs")
            .ctx(Kind::Internal, || format!("Failed opening the root of layer {:?}", pin.id()))?;
        like_root(&root, &upper)
    }

    fn open_layer(&self, pin: &Pin<'_>) -> Result<OwnedFd> {
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

/// Copies `metadata.yaml` and `templates/`, as far as they exist.
pub(super) fn copy_metadata(from: &OwnedFd, to: &OwnedFd, links: &OwnedFd) -> Result<()> {
    tree::copy_file(from, to, METADATA).or_else(absent)?;
    match tree::open_dir(from, TEMPLATES) {
        Ok(templates) => tree::copy(&templates, make_dir(to, TEMPLATES, 0o755)?, links),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(e) => Err(e).ctx(Kind::Internal, || "Failed opening the templates of an image"),
    }
}

fn absent(e: Error) -> Result<()> {
    if e.errno() == Some(Errno::NOENT.raw_os_error()) { Ok(()) } else { Err(e) }
}
