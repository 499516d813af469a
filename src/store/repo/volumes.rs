//! Storage volumes.

use std::collections::BTreeSet;

use super::super::records::{VolumeKind, VolumeRecord};
use super::super::{Key, Read, Table, Tx};
use super::uses::{self, Target, User};
use super::{index, pools, projects};
use crate::{Error, Kind, Result};

/// Where a volume is found: pool, project, kind and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumePath<'a> {
    /// Id of the pool.
    pub pool: u64,
    /// The project.
    pub project: &'a str,
    /// Whom it serves.
    pub kind: VolumeKind,
    /// Its name.
    pub name: &'a str,
}

impl VolumeRecord {
    /// Where it is found.
    pub fn path(&self) -> VolumePath<'_> {
        VolumePath { pool: self.pool, project: &self.project, kind: self.kind, name: &self.name }
    }
}

fn name_key(path: VolumePath<'_>) -> Key {
    Key::new(Table::VolumeNames, &(path.project, path.pool, path.kind.as_str(), path.name))
}

fn not_found() -> Error {
    Error::not_found("Storage pool volume not found")
}

fn taken() -> Error {
    Error::new(Kind::Exists, "Volume by that name already exists")
}

/// The volumes of a project, or all, by project, pool, kind and name.
pub fn list(r: &impl Read, project: Option<&str>) -> Result<Vec<VolumeRecord>> {
    index::records(r, &super::names_of(Table::VolumeNames, project))
}

/// The volumes in a pool, of all projects.
pub fn in_pool(r: &impl Read, pool: u64) -> Result<Vec<VolumeRecord>> {
    let volumes = pools::used_by(r, &pools::by_id(r, pool)?.name)?.into_iter().filter_map(|user| match user {
        User::Volume(id) => Some(by_id(r, id)),
        _ => None,
    });
    volumes.collect()
}

/// The volume of this name.
pub fn by_name(r: &impl Read, path: VolumePath<'_>) -> Result<VolumeRecord> {
    index::record(r, &name_key(path))?.ok_or_else(not_found)
}

/// The volume of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<VolumeRecord> {
    r.get(&id)?.ok_or_else(not_found)
}

/// Adds a volume; its id is chosen here. Its pool has to exist.
pub fn insert(tx: &mut Tx, mut volume: VolumeRecord) -> Result<VolumeRecord> {
    projects::require(tx, &volume.project)?;
    volume.id = tx.next_id()?;
    index::claim(tx, name_key(volume.path()), volume.id, taken)?;
    let pool = target(tx, &volume)?;
    uses::change(tx, User::Volume(volume.id), &BTreeSet::new(), &pool)?;
    tx.put(&volume)?;
    Ok(volume)
}

/// Reads a volume, lets `edit` change everything but its place, and writes it.
pub fn modify(tx: &mut Tx, id: u64, edit: impl FnOnce(&mut VolumeRecord) -> Result<()>) -> Result<VolumeRecord> {
    let mut volume = by_id(tx, id)?;
    edit(&mut volume)?;
    update(tx, &volume)?;
    Ok(volume)
}

/// Changes everything but the place; the record has to come from this very transaction.
pub fn update(tx: &mut Tx, volume: &VolumeRecord) -> Result<()> {
    let old = by_id(tx, volume.id)?;
    super::same_place(&old.path(), &volume.path())?;
    tx.put(volume)
}

/// Renames a volume within its pool.
pub fn rename(tx: &mut Tx, id: u64, new_name: &str) -> Result<()> {
    let mut volume = by_id(tx, id)?;
    let old = name_key(volume.path());
    volume.name = new_name.into();
    index::claim(tx, name_key(volume.path()), id, taken)?;
    tx.delete_row(old)?;
    tx.put(&volume)
}

/// Removes a volume.
pub fn remove(tx: &mut Tx, id: u64) -> Result<()> {
    let volume = by_id(tx, id)?;
    let pool = target(tx, &volume)?;
    uses::change(tx, User::Volume(id), &pool, &BTreeSet::new())?;
    tx.delete_row(name_key(volume.path()))?;
    tx.delete::<VolumeRecord>(&id)
}

fn target(tx: &Tx, volume: &VolumeRecord) -> Result<BTreeSet<Target>> {
    Ok(BTreeSet::from([Target::Pool(pools::by_id(tx, volume.pool)?.name)]))
}
