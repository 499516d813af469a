//! Going back to a snapshot, and reading a container's tree as its guest sees it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::{LAYERS, Overlay};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir};
use crate::runtime::storage::living::copy_metadata;
use crate::runtime::storage::volume::{Volume, VolumeKind};
use crate::runtime::storage::{Guest, Snapshots, Tree, dir, tree};
use crate::runtime::sys::fault;

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
        let mut roots = Vec::new();
        let layers = self.layout.dir(LAYERS)?;
        let mut next = match &layer {
            Some(pin) => Some(pin.id().to_owned()),
            None => {
                let last = self.layout.open_last(volume)?;
                match tree::open_dir(&last, c"rootfs") {
                    Ok(root) => roots.push(root),
                    Err(Errno::NOENT) => {}
                    Err(e) => return Err(e).ctx(Kind::Internal, || format!("Failed opening volume \"{volume}\"")),
                }
                super::layers::below(&last)?
            }
        };
        while let Some(id) = next {
            let what = || format!("Failed opening layer {id:?}");
            let layer = tree::open_dir(&layers, &c_name(&id)?).ctx(Kind::Internal, what)?;
            roots.push(tree::open_dir(&layer, c"rootfs").ctx(Kind::Internal, what)?);
            next = super::layers::below(&layer)?;
        }
        let (root, roots) = merged(roots).ctx(Kind::Internal, || format!("Failed mounting volume \"{volume}\""))?;
        Ok(Tree { own, root, living: false, _keep: Box::new((held, layer, roots)) })
    }
}

/// Lays directories over each other, the first on top, for reading, in a mount that is nowhere; one alone is itself.
fn merged(mut roots: Vec<OwnedFd>) -> std::result::Result<(OwnedFd, Vec<OwnedFd>), Errno> {
    if roots.len() == 1
        && let Some(root) = roots.pop()
    {
        return Ok((root, roots));
    }
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let paths: Vec<String> = roots.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd())).collect();
    // One by one (Linux 6.7); a value has 255 bytes at most.
    let one_by_one = |path: &String| rustix::mount::fsconfig_set_string(fs.as_fd(), "lowerdir+", path.as_str());
    match paths.iter().try_for_each(one_by_one) {
        Err(Errno::INVAL) => rustix::mount::fsconfig_set_string(fs.as_fd(), "lowerdir", paths.join(":"))?,
        set => set?,
    }
    for (key, value) in [("redirect_dir", "follow"), ("metacopy", "off"), ("index", "off")] {
        rustix::mount::fsconfig_set_string(fs.as_fd(), key, value)?;
    }
    rustix::mount::fsconfig_create(fs.as_fd())?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mounted = rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    // A mount's own descriptor can't be read from.
    let root = tree::open_dir(&mounted, c".")?;
    roots.push(mounted);
    Ok((root, roots))
}
