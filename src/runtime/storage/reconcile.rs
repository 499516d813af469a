//! Brings disk and records together when the daemon starts, before anything uses the pool.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use rustix::fs::AtFlags;

use super::layout::{Layout, c_name, rename};
use super::marks::{self, Mark};
use super::volume::{Volume, VolumeKind};
use super::{links, trash, tree};
use crate::error::{Ctx, Kind, Result};
use crate::order::Gather;

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
        trash::release(self.dir(trash::TRASH)?)?;
        let pending = self.dir(marks::PENDING)?;
        let is_known: BTreeSet<&Volume> = known.iter().gather();
        for mark in marks::read(&pending)? {
            match mark {
                Mark::Create(volume) => {
                    if !is_known.contains(&volume) {
                        self.discard_parts(&volume)?;
                        self.leave_part_dirs(&volume)?;
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
        let complete = |v: &&Volume| on_disk.get(v).is_some_and(|parts| *parts == self.parts_of(v).len());
        found.missing = known.iter().filter(|v| !complete(v)).cloned().collect();
        links::reconcile(&self.paths, &known.iter().filter(complete).collect())?;
        Ok(found)
    }

    /// Renames the parts that exist under the `wrong` name only; true when there was one.
    fn move_missing(&self, wrong: &Volume, right: &Volume) -> Result<bool> {
        let (old, new) = (c_name(&wrong.leaf())?, c_name(&right.leaf())?);
        let mut moved = false;
        for part in self.moving_parts(wrong)? {
            if tree::has(&part, &old) && !tree::has(&part, &new) {
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
            for part in (self.snapshot_parts)(kind) {
                self.snapshots_on_disk(kind, part, &mut volumes)?;
            }
        }
        Ok(volumes)
    }
}

impl Layout {
    fn snapshots_on_disk(&self, kind: VolumeKind, part: &CStr, found: &mut BTreeMap<Volume, usize>) -> Result<()> {
        let dir = self.dir(part)?;
        for name in tree::names(&dir)? {
            let Some(volume) = name.to_str().ok().and_then(|name| Volume::parse(kind, name)) else { continue };
            let Ok(own) = tree::open_dir(&dir, &name) else { continue };
            let snapshots = tree::names(&own)?;
            if snapshots.is_empty() {
                // Made for a snapshot that never came to be.
                let _ = rustix::fs::unlinkat(&dir, &name, AtFlags::REMOVEDIR);
            }
            for snapshot in snapshots.iter().filter_map(|n| volume.snapshot(n.to_str().ok()?).ok()) {
                *found.entry(snapshot).or_default() += 1;
            }
        }
        Ok(())
    }
}
