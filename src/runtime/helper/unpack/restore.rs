//! Unpacks a backup: the trees of an instance and of its snapshots, in one pass, each into directories of its own.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use super::extract::{Extraction, Part, unreadable};
use super::limits::{Allowance, Limits};
use super::path::TreePath;
use super::plan::{ArchivedTree, Outcome};
use super::{archive, inspect, path};
use crate::error::{Ctx, Error, Kind, Result};

/// The name of an archive's index.
const INDEX: &str = "backup/index.yaml";

/// Where a part of the archive goes.
pub struct Target {
    /// What it is in the archive.
    pub tree: ArchivedTree,
    /// The open, empty directory for `metadata.yaml` and `templates/`.
    pub own: OwnedFd,
    /// The same for the root file system.
    pub root: OwnedFd,
}

/// Reads an archive's index; stops reading there.
pub fn index(file: File, limits: Limits) -> Result<String> {
    let mut reader = archive::look(file, limits)?;
    while let Some(member) = reader.next().map_err(archive::broken)? {
        let Ok(path) = TreePath::parse(&member.path, &limits) else { continue };
        if path.as_path() == INDEX {
            return inspect::text(&mut *reader, &member, &limits);
        }
    }
    // LXD's text.
    Err(Error::invalid("Backup is missing index.yaml"))
}

/// Unpacks what the targets are for, and leaves out the rest. Blocks; starts threads. On failure the caller removes them.
pub fn backup(targets: Vec<Target>, file: File, devices: bool, limits: Limits) -> Result<Outcome> {
    let mut trees = targets.into_iter().map(|target| tree(target, devices, limits)).collect::<Result<Vec<_>>>()?;
    let mut reader = archive::members(file, limits, &Allowance::new(limits.bytes))?;
    while let Some(member) = reader.next().map_err(|e| unreadable(&e, None))? {
        let path = TreePath::parse(&member.path, &limits).map_err(|bad| {
            Error::invalid(format!("The backup's path \"{}\" {}", path::shown(&member.path), bad.reason()))
        })?;
        let found = trees.iter_mut().find_map(|(prefix, tree, seen)| {
            let inner = path.below(prefix)?;
            *seen = true;
            Some((tree, inner))
        });
        let Some((tree, inner)) = found else { continue };
        match inner.below("rootfs") {
            Some(inner) => tree.inside(&mut *reader, (&inner, Part::Backup), member)?,
            None => tree.beside(&mut *reader, &inner, &member)?,
        }
    }
    let mut sum = Outcome::default();
    for (prefix, tree, seen) in trees {
        let synced = tree.root_directory().try_clone_to_owned();
        let outcome = tree.complete()?;
        // An instance that was made empty has no root file system in there.
        if !seen {
            return Err(Error::invalid(format!("The backup has no {prefix:?}")));
        }
        let synced = synced.ctx(Kind::Internal, || "Failed writing the backup to the disk")?;
        rustix::fs::syncfs(synced.as_fd()).ctx(Kind::Internal, || "Failed writing the backup to the disk")?;
        sum.entries += outcome.entries;
        sum.bytes += outcome.bytes;
        sum.devices_skipped += outcome.devices_skipped;
        sum.attributes_dropped += outcome.attributes_dropped;
        sum.ignored += outcome.ignored;
    }
    Ok(sum)
}

fn tree(target: Target, devices: bool, limits: Limits) -> Result<(String, Extraction, bool)> {
    let Target { tree: ArchivedTree { prefix, ids }, own, root } = target;
    let within = format!("{prefix}/rootfs");
    let extraction = Extraction::over((own, root), devices, limits).within(within).shifted(ids);
    Ok((prefix, extraction, false))
}
