//! `LXD_DIR/{containers,virtual-machines}/[PROJECT_]NAME`: the links to instances' volumes that tools go by.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::paths::PoolPaths;
use super::trash::random_name;
use super::volume::{Volume, VolumeKind};
use crate::error::{Ctx, Error, Kind, Result};

/// Makes or corrects the link of an instance's volume; nothing for custom volumes.
pub fn create(paths: &PoolPaths, volume: &Volume) -> Result<()> {
    if !volume.kind().linked() {
        return Ok(());
    }
    let (link, target) = (path(paths, volume), paths.volume(volume));
    let what = || format!("Failed creating link {link:?}");
    match fs::read_link(&link) {
        Ok(found) if found == target => return Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => return symlink(&target, &link).ctx(Kind::Internal, what),
        // `EINVAL`: no link.
        Err(e) if e.kind() == ErrorKind::InvalidInput => {
            return Err(Error::new(Kind::Exists, format!("{link:?} exists and is no symbolic link")));
        }
        Ok(_) | Err(_) => {}
    }
    // Replaced in one step, so that it never is missing.
    let new = link.with_file_name(format!(".{}", random_name()?));
    symlink(&target, &new).ctx(Kind::Internal, what)?;
    fs::rename(&new, &link).ctx(Kind::Internal, what)
}

/// Removes the link of an instance's volume, if it is one to this pool's volume.
pub fn remove(paths: &PoolPaths, volume: &Volume) -> Result<()> {
    let link = path(paths, volume);
    if !volume.kind().linked() || fs::read_link(&link).map_or(true, |t| t != paths.volume(volume)) {
        return Ok(());
    }
    match fs::remove_file(&link) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed removing link {link:?}"))
        }
        _ => Ok(()),
    }
}

/// Makes the missing links of `known` volumes and removes links to volumes of this pool that are not among them.
pub(super) fn reconcile(paths: &PoolPaths, known: &BTreeSet<&Volume>) -> Result<()> {
    for kind in VolumeKind::ALL.into_iter().filter(|k| k.linked()) {
        let dir = paths.lxd_dir().join(kind.directory());
        let entries = match fs::read_dir(&dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            entries => entries.ctx(Kind::Internal, || format!("Failed reading {dir:?}"))?,
        };
        for entry in entries {
            let entry = entry.ctx(Kind::Internal, || format!("Failed reading {dir:?}"))?;
            let volume = entry.file_name().to_str().and_then(|name| Volume::parse(kind, name));
            if let Some(volume) = volume.filter(|v| !known.contains(v)) {
                remove(paths, &volume)?;
            }
        }
    }
    known.iter().try_for_each(|volume| create(paths, volume))
}

/// Where the link is.
pub fn path(paths: &PoolPaths, volume: &Volume) -> PathBuf {
    paths.lxd_dir().join(volume.kind().directory()).join(volume.directory())
}
