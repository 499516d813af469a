//! Opens the trees that go into an archive, while this process still may.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::pack::{PackPlace, Part};
use crate::runtime::spec::shift::ShiftPlan;
use crate::runtime::spec::{Idmap, VERSION};
use crate::runtime::sys::fork;
use crate::runtime::sys::mount::{self, Attributes};

/// An open tree.
pub(super) struct Tree {
    /// Its top, for reading.
    pub(super) root: OwnedFd,
    /// From the ids on disk to the guest's; none when these are on disk.
    pub(super) ids: Option<ShiftPlan>,
}

/// Opens the tree of each part; `None` for those without.
pub(super) fn open(parts: &[Part], (init, own): (&OwnedFd, &OwnedFd)) -> Result<Vec<Option<Tree>>, Fail> {
    let mut guest = None;
    let mut trees = Vec::new();
    for part in parts {
        trees.push(match part {
            Part::File { .. } => None,
            Part::Tree { place: PackPlace::Directory { path, ids }, .. } => Some(directory(path, ids)?),
            Part::Tree { place: PackPlace::Layers { paths }, .. } => Some(layers(paths, own)?),
            Part::Tree { place: PackPlace::Guest { ids }, .. } => {
                guest = Some((trees.len(), ids));
                None
            }
        });
    }
    // Last: there is no way back.
    if let Some((index, ids)) = guest {
        trees[index] = Some(running(init, ids)?);
    }
    Ok(trees)
}

fn directory(path: &Path, ids: &Idmap) -> Result<Tree, Fail> {
    let attributes =
        Attributes { readonly: true, nodev: true, nosuid: true, noexec: true, private: true, ..Default::default() };
    let mounted = mount::clone(path, false).what(|| format!("opening {path:?}"))?;
    mount::set_attributes(mounted.as_fd(), &attributes).what(|| format!("opening {path:?}"))?;
    Ok(Tree { root: top(&mounted)?, ids: unshift(ids) })
}

/// Layers under each other, without an upper: nothing can be written, nor is there a trace of the mount when it is gone.
fn layers(paths: &[PathBuf], own: &OwnedFd) -> Result<Tree, Fail> {
    let [one] = paths else { return merged(paths, own) };
    // What a single layer has no use for is not in it.
    directory(one, &Idmap::default())
}

fn merged(paths: &[PathBuf], own: &OwnedFd) -> Result<Tree, Fail> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &PathBuf| rustix::fs::open(path, flags, Mode::empty()).what(|| format!("opening {path:?}"));
    let layers = paths.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    rustix::process::fchdir(own).what(|| "entering \"/proc\"")?;
    let mounted = mount::readonly_overlay(&layers).what(|| "mounting the overlay")?;
    rustix::process::chdir("/").what(|| "entering \"/\"")?;
    Ok(Tree { root: top(&mounted)?, ids: None })
}

/// From a map's host ids to the guest's.
fn unshift(ids: &Idmap) -> Option<ShiftPlan> {
    let plan = || ShiftPlan { version: VERSION, path: PathBuf::new(), from: ids.clone(), to: Idmap::default() };
    (!ids.0.is_empty()).then(plan)
}

/// The root of a running guest, without what is mounted in it where the kernel lets us look under that. We stay who we are: trees of the
/// host's are read beside it.
fn running(init: &OwnedFd, ids: &Idmap) -> Result<Tree, Fail> {
    fork::join_mounts(init.as_fd()).what(|| "entering the container's mounts")?;
    let root = match mount::clone(Path::new("/"), false) {
        Ok(mounted) => top(&mounted)?,
        // Mounts that came with its namespace can't be looked under.
        Err(_) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open("/", flags, Mode::empty()).what(|| "opening the root")?
        }
    };
    Ok(Tree { root, ids: unshift(ids) })
}

fn top(mounted: &OwnedFd) -> Result<OwnedFd, Fail> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(mounted, ".", flags, Mode::empty()).what(|| "opening the root")
}
