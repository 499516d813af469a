//! Brings disk and records together when the daemon starts, before anything uses the pool.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags};

use super::layout::{Layout, c_name, rename};
use super::marks::{self, Mark};
use super::volume::{Volume, VolumeKind};
use super::{links, tree};
use crate::error::{Ctx, Kind, Result};

/// What was found, and done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Volumes whose creation was cut short; moved into the trash.
    pub discarded: Vec<Volume>,
    /// Volumes that got the name their record has, after a renaming that was cut short.
    pub renamed: Vec<Volume>,
    /// Volumes no record knows of, without a mark of ours; left alone (`lxd recover` is for them).
    pub unknown: Vec<Volume>,
    /// Volumes with a record and without a directory.
    pub missing: Vec<Volume>,
}

impl Layout {
    /// See [`super::Driver::reconcile`].
    pub(super) fn reconcile(&self, known: &[Volume]) -> Result<Found> {
        let mut found = Found::default();
        let pending = self.dir(marks::PENDING)?;
        let is_known: BTreeSet<&Volume> = known.iter().collect();
        for mark in marks::read(&pending)? {
            match mark {
                Mark::Create(volume) => {
                    if !is_known.contains(&volume) {
                        self.discard_parts(&volume)?;
                        found.discarded.push(volume.clone());
                    }
                    marks::settle(&pending, &volume)?;
                }
                Mark::Rename { from, to } => {
                    let (right, wrong) = if is_known.contains(&to) { (&to, &from) } else { (&from, &to) };
                    if is_known.contains(right) && !is_known.contains(wrong) && self.move_missing(wrong, right)? {
                        found.renamed.push(right.clone());
                    }
                    marks::settle(&pending, &to)?;
                }
            }
        }
        found.unknown = self.on_disk()?.into_iter().filter(|v| !is_known.contains(v)).collect();
        for volume in known {
            if !self.complete(volume)? {
                found.missing.push(volume.clone());
            }
        }
        let there: Vec<Volume> = known.iter().filter(|v| !found.missing.contains(v)).cloned().collect();
        links::reconcile(&self.paths, &there)?;
        Ok(found)
    }

    /// Renames the parts that exist under the `wrong` name only; true when there was one.
    fn move_missing(&self, wrong: &Volume, right: &Volume) -> Result<bool> {
        let (old, new) = (c_name(&wrong.directory())?, c_name(&right.directory())?);
        let mut moved = false;
        for part in self.part_dirs(right)? {
            if exists(&part, &old) && !exists(&part, &new) {
                rename(&part, &old, &new).ctx(Kind::Internal, || format!("Failed renaming volume \"{wrong}\""))?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Every volume that has a part on disk.
    fn on_disk(&self) -> Result<BTreeSet<Volume>> {
        let mut volumes = BTreeSet::new();
        for kind in VolumeKind::ALL {
            for part in (self.parts)(kind) {
                let names = tree::names(self.dir(part)?)?;
                volumes.extend(names.iter().filter_map(|n| Volume::parse(kind, n.to_str().ok()?)));
            }
        }
        Ok(volumes)
    }

    /// Whether all parts are there.
    fn complete(&self, volume: &Volume) -> Result<bool> {
        let name = c_name(&volume.directory())?;
        Ok(self.part_dirs(volume)?.iter().all(|part| exists(part, &name)))
    }
}

fn exists(dir: &OwnedFd, name: &std::ffi::CStr) -> bool {
    rustix::fs::accessat(dir, name, Access::EXISTS, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
