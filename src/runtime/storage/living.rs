//! Copies of trees, also of those that a running guest writes to: a pass while it runs, one while it is frozen.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::{Place, tree};
use crate::error::{Ctx, Error, Kind, Result};

/// Entries and bytes of a tree that is copied in one pass, with the guest frozen: faster than to look at everything twice.
const SMALL: (usize, u64) = (256, 1 << 20);

/// A running guest whose volume is copied. Both block.
pub trait Guest: Sync {
    /// Stops its processes where they are.
    fn freeze(&self) -> Result<()>;

    /// Lets them go on.
    fn thaw(&self) -> Result<()>;
}

/// What is in a volume.
pub struct Tree<'a> {
    /// Holds `metadata.yaml` and `templates/`.
    pub(super) own: OwnedFd,
    /// The root file system.
    pub(super) root: OwnedFd,
    /// Directories that belong to `/var/lib/NAME` of the root and lie elsewhere.
    pub(super) plain: Vec<(&'static CStr, OwnedFd)>,
    /// Whether the guest writes to `root`.
    pub(super) living: bool,
    /// What has to stay meanwhile: locks, pins, mounts.
    pub(super) _keep: Box<dyn Keep + Send + Sync + 'a>,
}

/// Whatever is held as long as it lives.
pub(super) trait Keep {}

impl<T> Keep for T {}

impl Tree<'_> {
    /// Copies it. `guest` is the one it was opened with.
    pub fn copy_to(&self, place: &Place<'_>, guest: Option<&dyn Guest>) -> Result<()> {
        copy_metadata(&self.own, place.own, place.links)?;
        renew(&self.root, place, guest.filter(|_| self.living))?;
        super::overlay::plain::put_back(&self.plain, (place.root, place.links), guest)
    }
}

/// Copies what the directory `from` holds into the empty directory `to`; `links` is an empty directory beside it.
pub(super) fn copy(from: impl AsFd, to: impl AsFd, links: impl AsFd, guest: Option<&dyn Guest>) -> Result<()> {
    let (to, links) = (to.as_fd(), links.as_fd());
    renew(from, &Place { own: to, root: to, links, old: None }, guest)
}

/// Copies what the directory `from` holds into the root of a place.
fn renew(from: impl AsFd, place: &Place<'_>, guest: Option<&dyn Guest>) -> Result<()> {
    let (to, links, old) = (&place.root, &place.links, place.old);
    let Some(guest) = guest else { return tree::renew(from, to, links, old) };
    if tree::is_small(&from, SMALL)? {
        let frozen = while_frozen(guest, || tree::renew(&from, to, links, old))?;
        tracing::info!("Copied a running guest's files while it was frozen for {} ms", frozen.as_millis());
        return Ok(());
    }
    // What is mapped into memory and written there has its time changed only when it is written out or was clean before.
    let _ = rustix::fs::syncfs(from.as_fd());
    let since = tree::follow(&from, to, links, old)?;
    let frozen = while_frozen(guest, || tree::catch_up(&from, to, links, since))?;
    tracing::info!("Copied a running guest's files, which was frozen for {} ms of it", frozen.as_millis());
    Ok(())
}

/// Freezes the guest, works, and thaws it whatever comes of it; says how long it was frozen.
fn while_frozen(guest: &dyn Guest, work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let thaw = Thaw(guest);
    let began = Instant::now();
    guest.freeze()?;
    let worked = work();
    std::mem::forget(thaw);
    guest.thaw()?;
    worked.map(|()| began.elapsed())
}

/// Thaws the guest when the work fails or panics.
struct Thaw<'a>(&'a dyn Guest);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.0.thaw() {
            tracing::error!("Failed thawing a guest: {}", e.chain());
        }
    }
}

/// Copies `metadata.yaml`, `templates/` and what the TPMs of an instance know (`tpm.NAME/`), as far as they exist.
pub(super) fn copy_metadata(from: impl AsFd, to: impl AsFd, links: impl AsFd) -> Result<()> {
    const METADATA: &CStr = c"metadata.yaml";
    const TEMPLATES: &CStr = c"templates";
    tree::copy_file(&from, &to, METADATA).or_else(absent)?;
    match tree::open_dir(&from, TEMPLATES) {
        Ok(templates) => tree::copy(&templates, super::layout::make_dir(&to, TEMPLATES, 0o755)?, &links)?,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
        Err(e) => return Err(Error::new(Kind::Internal, format!("Failed opening the templates of an image: {e}"))),
    }
    let names = tree::names(&from)?;
    for name in names.iter().filter(|name| name.to_bytes().starts_with(b"tpm.")) {
        let known = tree::open_dir(&from, name).ctx(Kind::Internal, || "Failed opening the state of a TPM")?;
        tree::copy(&known, super::layout::make_dir(&to, name, 0o700)?, &links)?;
    }
    Ok(())
}

fn absent(e: Error) -> Result<()> {
    if e.errno() == Some(rustix::io::Errno::NOENT.raw_os_error()) { Ok(()) } else { Err(e) }
}
