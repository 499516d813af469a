//! `LXD_DIR/{containers,virtual-machines}/[PROJECT_]NAME` and `LXD_DIR/snapshots/[PROJECT_]NAME`: the links to instances'
//! volumes, and to the directories of their snapshots, that tools go by.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::paths::PoolPaths;
use super::trash::random_name;
use super::volume::{Volume, VolumeKind};
use crate::error::{Ctx, Error, Kind, Result};
use crate::order::Gather;

/// The directory of links to the snapshots of instances.
fn snapshots_directory(kind: VolumeKind) -> &'static str {
    match kind {
        VolumeKind::Container => "snapshots",
        kind => kind.snapshots_directory(),
    }
}

/// Makes or corrects the link of an instance's volume, or of its snapshots; nothing for custom volumes.
pub fn create(paths: &PoolPaths, volume: &Volume) -> Result<()> {
    if !volume.kind().linked() {
        return Ok(());
    }
    let (link, target) = (path(paths, volume), target(paths, volume));
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

/// Removes the link of an instance's volume, or of its snapshots, if it is one to this pool's.
pub fn remove(paths: &PoolPaths, volume: &Volume) -> Result<()> {
    let link = path(paths, volume);
    if !volume.kind().linked() || fs::read_link(&link).map_or(true, |t| t != target(paths, volume)) {
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
    let with_snapshots: BTreeSet<Volume> = known.iter().filter(|v| v.is_snapshot()).map(|v| v.owner()).gather();
    let linked = || VolumeKind::ALL.into_iter().filter(|k| k.linked());
    for kind in linked() {
        for volume in
            with_links(paths, kind, snapshots_directory(kind))?.into_iter().filter(|v| !with_snapshots.contains(v))
        {
            if let Ok(snapshots) = volume.snapshot(ANY) {
                remove(paths, &snapshots)?;
            }
        }
        for volume in with_links(paths, kind, kind.directory())?.iter().filter(|v| !known.contains(v)) {
            remove(paths, volume)?;
        }
    }
    known.iter().try_for_each(|volume| create(paths, volume))
}

/// A name for what all snapshots of a volume have in common.
const ANY: &str = "any";

/// The volumes of a kind that a directory of links names.
fn with_links(paths: &PoolPaths, kind: VolumeKind, directory: &str) -> Result<Vec<Volume>> {
    let dir = paths.lxd_dir().join(directory);
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.ctx(Kind::Internal, || format!("Failed reading {dir:?}"))?,
    };
    let mut volumes = Vec::new();
    for entry in entries {
        let entry = entry.ctx(Kind::Internal, || format!("Failed reading {dir:?}"))?;
        volumes.extend(entry.file_name().to_str().and_then(|name| Volume::parse(kind, name)));
    }
    Ok(volumes)
}

/// Takes the link of a volume's snapshots away; with the last of them.
pub(super) fn remove_snapshots(paths: &PoolPaths, volume: &Volume) -> Result<()> {
    remove(paths, &volume.owner().snapshot(ANY)?)
}

/// Makes the link of a volume's snapshots.
pub(super) fn create_snapshots(paths: &PoolPaths, volume: &Volume) -> Result<()> {
    create(paths, &volume.owner().snapshot(ANY)?)
}
/// Where the link is.
pub fn path(paths: &PoolPaths, volume: &Volume) -> PathBuf {
    let kind = volume.kind();
    let directory = if volume.is_snapshot() { snapshots_directory(kind) } else { kind.directory() };
    paths.lxd_dir().join(directory).join(volume.directory())
}

/// Where it leads: to the volume, or to the directory with all its snapshots.
fn target(paths: &PoolPaths, volume: &Volume) -> PathBuf {
    match volume.is_snapshot() {
        true => paths.place().join(volume.kind().snapshots_directory()).join(volume.directory()),
        false => paths.volume(volume),
    }
}
