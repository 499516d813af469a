//! Going back to a snapshot, and reading a container's tree as its guest sees it.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{LAYERS, Overlay};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir};
use crate::runtime::storage::living::copy_metadata;
use crate::runtime::storage::volume::{Volume, VolumeKind};
use crate::runtime::storage::{Guest, Snapshots, Tree, dir, tree};
use crate::runtime::sys::{fault, mount};

impl Snapshots for Overlay {
    fn restore_volume(&self, volume: &Volume, from: &Volume) -> Result<()> {
        dir::refuse_vm(volume)?;
        if volume.kind() == VolumeKind::Custom {
            return Err(Error::unsupported("Restoring a custom volume"));
        }
        let _held = self.layout.hold(volume)?;
        let _other = if from.is_snapshot() { self.layout.share(from)? } else { self.layout.hold(from)? };
        let layer = self.layer_of(from, None)?;
        let source = self.layout.open_volume(from)?;
        let [own, upper] = <[OwnedFd; 2]>::try_from(self.layout.part_dirs(volume)?)
            .map_err(|_| Error::internal("A pool has wrong parts"))?;
        self.layout.replace_part(volume, &upper, |new| self.fill_on(new, layer.as_ref()))?;
        fault("storage.restore.upper");
        self.layout.replace_part(volume, &own, |new| {
            dir::with_links(&self.layout, |links| copy_metadata(&source, new, links))?;
            make_dir(new, c"rootfs", 0o755).map(drop)
        })
    }

    fn unsettle(&self, volume: &Volume) -> Result<()> {
        self.layout.unsettle(volume)
    }

    fn open_tree(&self, volume: &Volume, guest: Option<&dyn Guest>) -> Result<Tree<'_>> {
        dir::refuse_vm(volume)?;
        let held = match guest {
            Some(_) => None,
            None if volume.is_snapshot() => Some(self.layout.share(volume)?),
            None => Some(self.layout.hold(volume)?),
        };
        let own = self.layout.open_volume(volume)?;
        // A running guest's upper can't be a layer of another mount: a copy of it can.
        let layer = if guest.is_some() { self.layer_of(volume, guest)? } else { None };
        let top = match &layer {
            Some(pin) => self.open_layer(pin)?,
            None => self.layout.open_last(volume)?,
        };
        let roots = self.roots(&top)?;
        let plain = self.plain_trees(&top)?;
        let (root, roots) = merged(roots).ctx(Kind::Internal, || format!("Failed mounting volume \"{volume}\""))?;
        Ok(Tree { own, root, plain, living: false, _keep: Box::new((held, layer, roots)) })
    }
}

impl Overlay {
    /// The roots of an upper or layer, if it has one, and of those it stands on, the top first.
    pub(super) fn roots(&self, top: &OwnedFd) -> Result<Vec<OwnedFd>> {
        let mut roots = Vec::new();
        match tree::open_dir(top, c"rootfs") {
            Ok(root) => roots.push(root),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e).ctx(Kind::Internal, || "Failed opening a container's upper"),
        }
        let layers = self.layout.dir(LAYERS)?;
        let mut next = super::layers::below(top)?;
        while let Some(id) = next {
            let what = || format!("Failed opening layer {id:?}");
            let layer = tree::open_dir(&layers, &c_name(&id)?).ctx(Kind::Internal, what)?;
            roots.push(tree::open_dir(&layer, c"rootfs").ctx(Kind::Internal, what)?);
            next = super::layers::below(&layer)?;
        }
        Ok(roots)
    }
}

/// The tree of layers, the first on top, for reading, and what must stay open meanwhile; one alone is itself.
pub(super) fn merged(mut layers: Vec<OwnedFd>) -> std::io::Result<(OwnedFd, Vec<OwnedFd>)> {
    if layers.len() == 1
        && let Some(root) = layers.pop()
    {
        return Ok((root, layers));
    }
    let mounted = mount::readonly_overlay_beside(&layers)?;
    // A mount's own descriptor can't be read from.
    let root = tree::open_dir(&mounted, c".")?;
    layers.push(mounted);
    Ok((root, layers))
}
