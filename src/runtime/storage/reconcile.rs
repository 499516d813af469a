//! Brings disk and records together when the daemon starts, before anything uses the pool.

use std::collections::{BTreeMap, BTreeSet};
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
        let on_disk = self.on_disk()?;
        found.unknown = on_disk.keys().filter(|v| !is_known.contains(v)).cloned().collect();
        let complete = |v: &&Volume| on_disk.get(v).is_some_and(|parts| *parts == (self.parts)(v.kind()).len());
        found.missing = known.iter().filter(|v| !complete(v)).cloned().collect();
        links::reconcile(&self.paths, &known.iter().filter(complete).collect())?;
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

    /// Every volume that has parts on disk, and how many.
    fn on_disk(&self) -> Result<BTreeMap<Volume, usize>> {
        let mut volumes = BTreeMap::new();
        for kind in VolumeKind::ALL {
            for part in (self.parts)(kind) {
                let names = tree::names(self.dir(part)?)?;
                for volume in names.iter().filter_map(|n| Volume::parse(kind, n.to_str().ok()?)) {
                    *volumes.entry(volume).or_default() += 1;
                }
            }
        }
        Ok(volumes)
    }
}

fn exists(dir: &OwnedFd, name: &std::ffi::CStr) -> bool {
    rustix::fs::accessat(dir, name, Access::EXISTS, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
