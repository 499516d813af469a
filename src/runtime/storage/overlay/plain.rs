//! Directories of a container's own that are no overlay, for what has to stand on a plain file system: overlays of the
//! guest's own (`security.nesting`).
//!
//! They lie beside the upper, `plain/docker` and so on, and are mounted at their places in the guest. With the upper they
//! become part of a layer; a volume without any of its own begins with a copy of those of the topmost layer that has
//! some. So a snapshot, a copy and a restore need nothing more than what they do for the upper. A set is complete or not
//! there: it gets its name when it is filled.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use super::layers::below;
use super::snapshots::merged;
use super::{LAYERS, Overlay};
use crate::error::{Ctx, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir, rename};
use crate::runtime::storage::volume::Volume;
use crate::runtime::storage::{Guest, PlainDirectory, dir, living, tree};

/// Their names; each belongs to `/var/lib/NAME` of the guest.
const NAMES: [&CStr; 5] = [c"containers", c"containerd", c"docker", c"kubelet", c"lxd"];

/// Where they lie, beside a root.
const PLAIN: &CStr = c"plain";

/// The same while it is being filled.
const UNFINISHED: &CStr = c"plain.new";

impl Overlay {
    /// See [`crate::runtime::storage::Layered::plain`].
    pub(super) fn plain_directories(&self, volume: &Volume, make: bool) -> Result<Vec<PlainDirectory>> {
        let own = self.layout.open_last(volume)?;
        if volume.is_snapshot() {
            let Some((plain, layer)) = self.topmost(&own)? else { return Ok(Vec::new()) };
            let place = self.layout.paths.root().join(shown(LAYERS)).join(layer);
            return Ok(places(&plain, &place));
        }
        let mut plain = opened(&own)?;
        if plain.is_none()
            && let Some((from, _)) = self.topmost(&own)?
        {
            self.copy_plain(&from, &own, None)?;
            plain = opened(&own)?;
        }
        if make {
            plain = Some(self.complete(&own, plain)?);
        }
        Ok(plain.map(|plain| places(&plain, &self.layout.lock_path(volume))).unwrap_or_default())
    }

    /// The set of the topmost layer that has one, below an upper or a layer, and the layer's name.
    fn topmost(&self, own: &OwnedFd) -> Result<Option<(OwnedFd, String)>> {
        let layers = self.layout.dir(LAYERS)?;
        let mut next = below(own)?;
        while let Some(id) = next {
            let layer = tree::open_dir(&layers, &c_name(&id)?)
                .ctx(Kind::Internal, || format!("Failed opening layer {id:?}"))?;
            if let Some(plain) = opened(&layer)? {
                return Ok(Some((plain, id)));
            }
            next = below(&layer)?;
        }
        Ok(None)
    }

    /// Copies a set beside another root.
    pub(super) fn copy_plain(&self, from: &OwnedFd, to: &OwnedFd, guest: Option<&dyn Guest>) -> Result<()> {
        self.set(to, |new| dir::with_links(&self.layout, |links| living::copy(from, new, links, guest)))
    }

    /// Makes a set in one step.
    fn set(&self, own: &OwnedFd, fill: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
        tree::remove(own, UNFINISHED)?;
        fill(&make_dir(own, UNFINISHED, 0o700)?)?;
        rename(own, UNFINISHED, PLAIN).ctx(Kind::Internal, || "Failed naming a container's plain directories")
    }

    /// Makes those that are missing, with what the guest has had in their places until now.
    fn complete(&self, own: &OwnedFd, plain: Option<OwnedFd>) -> Result<OwnedFd> {
        let what = || "Failed making a container's plain directories";
        if plain.is_none() {
            make_dir(own, PLAIN, 0o700)?;
        }
        let plain = tree::open_dir(own, PLAIN).ctx(Kind::Internal, what)?;
        let missing: Vec<&CStr> = NAMES.into_iter().filter(|name| tree::open_dir(&plain, name).is_err()).collect();
        if missing.is_empty() {
            return Ok(plain);
        }
        let (root, _keep) = merged(self.roots(own)?).ctx(Kind::Internal, what)?;
        for name in missing {
            let Some(old) = held(&root, name)? else { continue };
            tree::remove(&plain, UNFINISHED)?;
            let new = make_dir(&plain, UNFINISHED, 0o711)?;
            if let Some(old) = old {
                dir::with_links(&self.layout, |links| tree::copy(&old, &new, links))?;
                tree::drop_xattrs(&new, "trusted.overlay.").ctx(Kind::Internal, what)?;
            }
            rename(&plain, UNFINISHED, name).ctx(Kind::Internal, what)?;
        }
        Ok(plain)
    }

    /// Takes what was put into a new root by an archive or a copy from another pool: there it stands on a plain file system, so it may
    /// have marks of overlays in it.
    pub(super) fn adopt_plain(&self, own: &OwnedFd, root: &OwnedFd) -> Result<()> {
        let what = || "Failed moving a container's plain directories";
        let mut found = Vec::new();
        for name in NAMES {
            let Some(library) = library(root)? else { return Ok(()) };
            if let Ok(old) = tree::open_dir(&library, name)
                && !tree::is_empty(&old)?
            {
                found.push((library, name, old));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        self.set(own, |new| {
            for (library, name, old) in found {
                rustix::fs::renameat(&library, name, new, name).ctx(Kind::Internal, what)?;
                tree::copy_attributes(&old, make_dir(&library, name, 0o700)?).ctx(Kind::Internal, what)?;
            }
            Ok(())
        })
    }

    /// The sets of a volume or snapshot, to be copied to another pool: the topmost there is.
    pub(super) fn plain_trees(&self, own: &OwnedFd) -> Result<Vec<(&'static CStr, OwnedFd)>> {
        let plain = match opened(own)? {
            Some(plain) => Some(plain),
            None => self.topmost(own)?.map(|(plain, _)| plain),
        };
        let Some(plain) = plain else { return Ok(Vec::new()) };
        Ok(NAMES.into_iter().filter_map(|name| Some((name, tree::open_dir(&plain, name).ok()?))).collect())
    }
}

/// The open set beside a root, when there is one.
pub(super) fn opened(own: &OwnedFd) -> Result<Option<OwnedFd>> {
    match tree::open_dir(own, PLAIN) {
        Ok(plain) => Ok(Some(plain)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e).ctx(Kind::Internal, || "Failed opening a container's plain directories"),
    }
}

/// Puts copies of a container's plain directories in their places in a copy of its root, which is a directory.
pub(in crate::runtime::storage) fn put_back(
    trees: &[(&'static CStr, OwnedFd)],
    (root, links): (impl AsFd, impl AsFd),
    guest: Option<&dyn Guest>,
) -> Result<()> {
    for (name, from) in trees {
        // The guest has made something else of the place, where nothing is mounted.
        let Some(library) = library(&root)? else { return Ok(()) };
        match tree::open_dir(&library, name) {
            Ok(_) => tree::remove(&library, name)?,
            Err(Errno::NOENT) => {}
            Err(_) => continue,
        }
        living::copy(from, make_dir(&library, name, 0o711)?, links.as_fd(), guest)?;
    }
    Ok(())
}

/// What the guest has in the place of one: nothing, or a directory with something in it. `None` when it is something else,
/// a link to another place for one.
fn held(root: &OwnedFd, name: &CStr) -> Result<Option<Option<OwnedFd>>> {
    let Some(library) = library(root)? else { return Ok(Some(None)) };
    match tree::open_dir(&library, name) {
        Ok(old) => Ok(Some(Some(old))),
        Err(Errno::NOENT) => Ok(Some(None)),
        Err(_) => Ok(None),
    }
}

/// `/var/lib` of a root; `None` where there is none.
fn library(root: impl AsFd) -> Result<Option<OwnedFd>> {
    match tree::open_dir(root, c"var").and_then(|var| tree::open_dir(var, c"lib")) {
        Ok(library) => Ok(Some(library)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(e) => Err(e).ctx(Kind::Internal, || "Failed opening \"/var/lib\" of a container"),
    }
}

/// Those of a set, which lies beside the root in this directory.
fn places(plain: &OwnedFd, beside: &Path) -> Vec<PlainDirectory> {
    let there = NAMES.iter().filter(|name| tree::open_dir(plain, name).is_ok());
    let place = |name: &&CStr| PlainDirectory {
        source: beside.join(shown(PLAIN)).join(shown(name)),
        target: Path::new("/var/lib").join(shown(name)),
    };
    there.map(place).collect()
}

fn shown(name: &CStr) -> &str {
    name.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::spec::marks;

    #[test]
    fn archives_take_marks_from_the_same_directories() {
        assert_eq!(NAMES.map(|name| format!("var/lib/{}", shown(name))), marks::DIRECTORIES);
    }
}
