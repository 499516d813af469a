//! The `dir` driver: a volume is a directory, an image is unpacked into each, and a snapshot is a copy.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::OFlags;

use super::layout::{Layout, make_dir, undo};
use super::paths::PoolPaths;
use super::reconcile::Found;
use super::volume::{Volume, VolumeKind};
use super::{Content, Driver, Fill, Guest, Layered, Place, Renewing, Root, Snapshots, Tree, trash, tree};
use crate::error::{Ctx, Error, Kind, Result};

/// The driver's name.
pub(super) const NAME: &str = "dir";

/// A pool of the `dir` driver.
pub(super) struct Dir {
    layout: Layout,
}

fn parts(kind: VolumeKind) -> &'static [&'static CStr] {
    match kind {
        VolumeKind::Container => &[c"containers"],
        VolumeKind::VirtualMachine => &[c"virtual-machines"],
        VolumeKind::Custom => &[c"custom"],
    }
}

fn snapshot_parts(kind: VolumeKind) -> &'static [&'static CStr] {
    match kind {
        VolumeKind::Container => &[c"containers-snapshots"],
        VolumeKind::VirtualMachine => &[c"virtual-machines-snapshots"],
        VolumeKind::Custom => &[c"custom-snapshots"],
    }
}

impl Dir {
    pub(super) fn new(paths: PoolPaths) -> Dir {
        Dir { layout: Layout { paths, parts, snapshot_parts, private: &[] } }
    }
}

impl Driver for Dir {
    fn name(&self) -> &'static str {
        NAME
    }

    fn paths(&self) -> &PoolPaths {
        &self.layout.paths
    }

    fn create(&self) -> Result<()> {
        self.layout.create(|_| Ok(()))
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
        refuse_vm(volume)?;
        self.layout.create_volume(volume, |fd| match content {
            Content::Empty if volume.kind() == VolumeKind::Custom => Ok(()),
            Content::Empty => make_dir(fd, c"rootfs", 0o755).map(drop),
            Content::Image(image) => {
                (image.unpack)(fd.as_fd())?;
                check_rootfs(fd)
            }
            Content::Tree(fill) => fill_plain(&self.layout, fd, fill),
        })
    }

    fn copy_volume(&self, from: &Volume, to: &Volume, guest: Option<&dyn Guest>) -> Result<()> {
        refuse_vm(from)?;
        if from.kind() == VolumeKind::Custom {
            let _held = self.layout.hold(from)?;
            return self.layout.create_volume(to, |fd| copy_into(&self.layout, from, fd));
        }
        let tree = self.open_tree(from, guest)?;
        self.layout.create_volume(to, |fd| fill_plain(&self.layout, fd, |place| tree.copy_to(place, guest)))
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
        refuse_vm(volume)?;
        self.layout.open_volume(volume)?;
        let path = self.layout.paths.root().join(volume.place());
        let path = if volume.kind() == VolumeKind::Custom { path } else { path.join("rootfs") };
        if volume.is_snapshot() {
            return Ok(Root::Layers { lowers: vec![path] });
        }
        Ok(Root::Dir { path })
    }

    fn lock_path(&self, volume: &Volume) -> PathBuf {
        self.layout.lock_path(volume)
    }

    fn is_locked(&self, volume: &Volume) -> Result<bool> {
        self.layout.is_locked(volume)
    }

    fn reconcile(&self, known: &[Volume]) -> Result<Found> {
        self.layout.reconcile(known)
    }

    fn layered(&self) -> Option<&dyn Layered> {
        None
    }

    fn renewing(&self) -> Option<&dyn Renewing> {
        Some(self)
    }
}

impl Renewing for Dir {
    fn renew_volume(&self, volume: &Volume, fill: Fill<'_>) -> Result<()> {
        refuse_vm(volume)?;
        let _held = self.layout.hold(volume)?;
        let what = || format!("Failed opening volume \"{volume}\"");
        let old = tree::open_dir(self.layout.open_volume(volume)?, c"rootfs").ctx(Kind::Internal, what)?;
        let [part] = <[OwnedFd; 1]>::try_from(self.layout.part_dirs(volume)?)
            .map_err(|_| Error::internal("A pool has wrong parts"))?;
        self.layout.replace_part(volume, &part, |fd| fill_over(&self.layout, fd, Some(old.as_fd()), fill))
    }
}

impl Snapshots for Dir {
    fn restore_volume(&self, volume: &Volume, from: &Volume) -> Result<()> {
        refuse_vm(volume)?;
        let _held = self.layout.hold(volume)?;
        let tree = self.open_tree(from, None)?;
        for part in self.layout.part_dirs(volume)? {
            self.layout
                .replace_part(volume, &part, |fd| fill_plain(&self.layout, fd, |place| tree.copy_to(place, None)))?;
        }
        Ok(())
    }

    fn unsettle(&self, volume: &Volume) -> Result<()> {
        self.layout.unsettle(volume)
    }

    fn open_tree(&self, volume: &Volume, guest: Option<&dyn Guest>) -> Result<Tree<'_>> {
        refuse_vm(volume)?;
        let held = match guest {
            Some(_) => None,
            None if volume.is_snapshot() => Some(self.layout.share(volume)?),
            None => Some(self.layout.hold(volume)?),
        };
        let own = self.layout.open_volume(volume)?;
        let root =
            tree::open_dir(&own, c"rootfs").ctx(Kind::Internal, || format!("Failed opening volume \"{volume}\""))?;
        Ok(Tree { own, root, plain: Vec::new(), living: guest.is_some(), _keep: Box::new(held) })
    }
}

/// Makes the root directory and has both filled.
fn fill_plain(layout: &Layout, fd: &OwnedFd, fill: impl FnOnce(&Place<'_>) -> Result<()>) -> Result<()> {
    fill_over(layout, fd, None, fill)
}

fn fill_over(
    layout: &Layout,
    fd: &OwnedFd,
    old: Option<BorrowedFd<'_>>,
    fill: impl FnOnce(&Place<'_>) -> Result<()>,
) -> Result<()> {
    let root = make_dir(fd, c"rootfs", 0o755)?;
    with_links(layout, |links| fill(&Place { own: fd.as_fd(), root: root.as_fd(), links: links.as_fd(), old }))
}

/// Copies a volume's directory into that of a new one.
pub(super) fn copy_into(layout: &Layout, from: &Volume, to: &OwnedFd) -> Result<()> {
    let source = layout.open_volume(from)?;
    with_links(layout, |links| tree::copy(&source, to, links))
}

/// Calls `copy` with an empty directory in the trash for its hard links, and removes that again.
pub(super) fn with_links(layout: &Layout, copy: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
    let trash = layout.dir(trash::TRASH)?;
    let name = super::layout::c_name(&trash::staged_name("links")?)?;
    let links = make_dir(&trash, &name, 0o700)?;
    undo(copy(&links), || tree::remove(&trash, &name))?;
    tree::remove(&trash, &name)
}

/// Virtual machines' disks come with them.
pub(super) fn refuse_vm(volume: &Volume) -> Result<()> {
    match volume.kind() {
        VolumeKind::VirtualMachine => Err(Error::unsupported("A volume of a virtual machine")),
        VolumeKind::Container | VolumeKind::Custom => Ok(()),
    }
}

/// An image of a container must have brought a root file system.
pub(super) fn check_rootfs(volume: &OwnedFd) -> Result<()> {
    match tree::open(volume, c"rootfs", OFlags::PATH | OFlags::DIRECTORY) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(Kind::Invalid, "The image has no \"rootfs\" directory")),
    }
}
