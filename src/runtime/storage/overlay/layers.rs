//! Layers: made once however many ask, found from what stands on them, removed when nothing does.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{LAYERS, Overlay, SNAPSHOTS, UPPERS};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir, rename, set_mode, undo};
use crate::runtime::storage::volume::Volume;
use crate::runtime::storage::{Image, MAX_LAYERS, dir, trash, tree};

/// What the name of the file that says what a directory stands on begins with.
const ON: &str = "on.";

/// What the names of layers begin with that are no images.
const COPY: &str = "copy-";

/// Layers in use by operations under way, so that a sweep leaves them and only one of many makes each.
#[derive(Default)]
pub(super) struct Layers {
    state: Mutex<HashMap<String, Use>>,
    changed: Condvar,
}

#[derive(Default)]
struct Use {
    /// Operations that need the layer.
    pins: usize,
    /// One of them is making it.
    building: bool,
}

impl Layers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Use>> {
        // Every change of the map is one step: it holds after a panic too.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a layer from being swept until the pin is dropped.
    pub(super) fn pin(&self, id: &str) -> Pin<'_> {
        self.lock().entry(id.to_owned()).or_default().pins += 1;
        Pin { layers: self, id: id.to_owned() }
    }

    /// Runs `build` unless the layer exists; others that want it wait until it does, or try in turn when it failed.
    fn once(&self, id: &str, exists: impl Fn() -> Result<bool>, build: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.lock();
        while state.get(id).is_some_and(|u| u.building) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if exists()? {
            return Ok(());
        }
        state.entry(id.to_owned()).or_default().building = true;
        drop(state);
        let _building = Building { layers: self, id };
        build()
    }
}

/// Ends the wait of others, also after a panic of the unpacker.
struct Building<'a> {
    layers: &'a Layers,
    id: &'a str,
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        if let Some(u) = self.layers.lock().get_mut(self.id) {
            u.building = false;
        }
        self.layers.changed.notify_all();
    }
}

/// See [`Layers::pin`].
pub(super) struct Pin<'a> {
    layers: &'a Layers,
    id: String,
}

impl Pin<'_> {
    /// The layer's name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut state = self.layers.lock();
        if let Some(u) = state.get_mut(&self.id) {
            u.pins -= 1;
            if u.pins == 0 {
                state.remove(&self.id);
            }
        }
    }
}

impl Overlay {
    /// Makes the layer of an image unless it is there, and keeps it from being swept.
    pub(super) fn ensure(&self, image: Image<'_>) -> Result<Pin<'_>> {
        check_name(image.layer)?;
        let layers = self.layout.dir(LAYERS)?;
        let pin = self.layers.pin(image.layer);
        self.layers.once(image.layer, || exists(&layers, image.layer), || self.build(&layers, image))?;
        Ok(pin)
    }

    /// Unpacks an image beside the layers, writes it out, and gives it its name in one step.
    fn build(&self, layers: &OwnedFd, image: Image<'_>) -> Result<()> {
        let name = c_name(image.layer)?;
        let temporary = c_name(&format!(".{}.{}", image.layer, trash::random_name()?))?;
        let made = make_dir(layers, &temporary, 0o700).and_then(|fd| {
            (image.unpack)(fd.as_fd())?;
            dir::check_rootfs(&fd)?;
            let root = tree::open_dir(&fd, c"rootfs").ctx(Kind::Internal, || "Failed opening a new layer")?;
            self.adopt_plain(&fd, &root)?;
            rustix::fs::fchown(&fd, Some(rustix::fs::Uid::ROOT), Some(rustix::fs::Gid::ROOT))
                .ctx(Kind::Internal, || format!("Failed changing the owner of layer {:?}", image.layer))?;
            set_mode(&fd, 0o700)?;
            // The name must not survive a power failure that the contents don't.
            rustix::fs::syncfs(&fd).ctx(Kind::Internal, || "Failed writing a layer to disk")?;
            rename(layers, &temporary, &name).ctx(Kind::Internal, || format!("Failed renaming layer {:?}", image.layer))
        });
        undo(made, || tree::remove(layers, &temporary))
    }

    /// Makes a layer of what `fill` puts into its directory and root, over another or over nothing, in one step.
    pub(super) fn build_layer(
        &self,
        on: Option<&str>,
        fill: impl FnOnce(&OwnedFd, &OwnedFd) -> Result<()>,
    ) -> Result<Pin<'_>> {
        let layers = self.layout.dir(LAYERS)?;
        let id = copy_name()?;
        let pin = self.layers.pin(&id);
        let (name, temporary) = (c_name(&id)?, c_name(&format!(".{id}"))?);
        let made = make_dir(&layers, &temporary, 0o700).and_then(|own| {
            if let Some(on) = on {
                stand_on(&own, on)?;
            }
            fill(&own, &make_dir(&own, c"rootfs", 0o755)?)?;
            rename(&layers, &temporary, &name).ctx(Kind::Internal, || format!("Failed renaming layer {id:?}"))
        });
        undo(made, || tree::remove(&layers, &temporary))?;
        Ok(pin)
    }

    /// The layers a volume or snapshot stands on, the top first.
    pub(super) fn chain(&self, volume: &Volume) -> Result<Vec<String>> {
        let own = self.layout.open_last(volume)?;
        let layers = self.layout.dir(LAYERS)?;
        let mut chain = Vec::new();
        let mut next = below(&own)?;
        while let Some(id) = next {
            // The layer of a snapshot may be one more: nothing is put on top of it.
            if chain.len() > MAX_LAYERS {
                return Err(Error::internal(format!("Volume \"{volume}\" has more than {MAX_LAYERS} layers")));
            }
            let layer = tree::open_dir(&layers, &c_name(&id)?)
                .ctx(Kind::Internal, || format!("Failed opening layer {id:?} of volume \"{volume}\""))?;
            next = below(&layer)?;
            chain.push(id);
        }
        Ok(chain)
    }

    /// See [`crate::runtime::storage::Layered::sweep`].
    pub(super) fn sweep_layers(&self, keep: &BTreeSet<String>) -> Result<Vec<String>> {
        let (layers, uppers) = (self.layout.dir(LAYERS)?, self.layout.dir(UPPERS)?);
        let bin = self.layout.dir(trash::TRASH)?;
        // Held throughout: who pinned a layer before is seen here, who comes later finds it gone and makes it again.
        let state = self.layers.lock();
        let mut marked = keep.clone();
        marked.extend(state.keys().cloned());
        for name in tree::names(&uppers)? {
            marked.extend(below_name(uppers.as_fd(), &name)?);
        }
        let snapshots = self.layout.dir(SNAPSHOTS)?;
        for name in tree::names(&snapshots)? {
            let Ok(own) = tree::open_dir(&snapshots, &name) else { continue };
            for name in tree::names(&own)? {
                marked.extend(below_name(own.as_fd(), &name)?);
            }
        }
        let mut todo: Vec<String> = marked.iter().cloned().collect();
        while let Some(id) = todo.pop() {
            if let Some(id) = below_name(layers.as_fd(), &c_name(&id)?)?
                && marked.insert(id.clone())
            {
                todo.push(id);
            }
        }
        let mut swept = Vec::new();
        for name in tree::names(&layers)? {
            let Ok(id) = name.to_str() else { continue };
            if !id.starts_with('.') && !marked.contains(id) && trash::discard(&layers, &name, &bin)?.is_some() {
                swept.push(id.to_owned());
            }
        }
        Ok(swept)
    }
}

/// A name for a layer that was an upper, or a copy of one.
pub(super) fn copy_name() -> Result<String> {
    Ok(format!("{COPY}{}{}", trash::random_name()?, trash::random_name()?))
}

/// Notes in the open directory of an upper or layer that it stands on `id`.
pub(super) fn stand_on(own: &OwnedFd, id: &str) -> Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(own, format!("{ON}{id}"), flags, Mode::RUSR)
        .ctx(Kind::Internal, || format!("Failed noting layer {id:?}"))?;
    Ok(())
}

/// The layer that an upper or layer stands on.
pub(super) fn below(own: &OwnedFd) -> Result<Option<String>> {
    let names = tree::names(own)?;
    Ok(names
        .iter()
        .filter_map(|n| n.to_str().ok()?.strip_prefix(ON))
        .find(|id| check_name(id).is_ok())
        .map(str::to_owned))
}

/// As [`below`], for `name` of `dir`, which may be gone.
fn below_name(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<String>> {
    match tree::open_dir(dir, name) {
        Ok(own) => below(&own),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e).ctx(Kind::Internal, || format!("Failed opening layer {name:?}")),
    }
}

/// Whether the layer is there.
pub(super) fn exists(layers: &OwnedFd, id: &str) -> Result<bool> {
    let name: CString = c_name(id)?;
    match rustix::fs::accessat(layers, &name, Access::EXISTS, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e).ctx(Kind::Internal, || format!("Failed looking for layer {id:?}")),
    }
}

/// Refuses what can't be a layer's name.
pub(super) fn check_name(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.bytes().all(plain) {
        return Err(Error::invalid(format!("Invalid layer name {id:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_layers() {
        for good in ["cc1031634b418265", "cc10-nodes", "a.b_c"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".x", "..", "a/b", "a b", "a\0", &"x".repeat(201)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
