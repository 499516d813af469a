//! Snapshots of instances.

use std::collections::BTreeMap;

use super::super::records::SnapshotRecord;
use super::super::{Key, Prefix, Read, Table, Tx};
use super::{index, instances};
use crate::order::Order;
use crate::{Error, Kind, Result};

fn name_key(instance: u64, name: &str) -> Key {
    Key::new(Table::InstanceSnapshotNames, &(instance.to_string(), name))
}

fn not_found() -> Error {
    Error::not_found("InstanceSnapshot not found")
}

fn taken() -> Error {
    Error::new(Kind::Exists, "This \"instances_snapshots\" entry already exists")
}

/// The snapshots of an instance, oldest first.
pub fn list(r: &impl Read, instance: u64) -> Result<Vec<SnapshotRecord>> {
    let prefix = Prefix::of(Table::InstanceSnapshotNames, &instance.to_string());
    let mut snapshots: Vec<SnapshotRecord> = index::records(r, &prefix)?;
    snapshots.order_by_key(|s| (s.created_at, s.id));
    Ok(snapshots)
}

/// The snapshots of all instances, by the instance's id; oldest first. For views alone.
pub fn all(r: &impl Read) -> Result<BTreeMap<u64, Vec<SnapshotRecord>>> {
    let mut all: BTreeMap<u64, Vec<SnapshotRecord>> = BTreeMap::new();
    for snapshot in index::records::<SnapshotRecord>(r, &Prefix::table(Table::InstanceSnapshotNames))? {
        all.entry(snapshot.instance).or_default().push(snapshot);
    }
    all.values_mut().for_each(|snapshots| snapshots.order_by_key(|s| (s.created_at, s.id)));
    Ok(all)
}

/// The snapshot of this name of an instance.
pub fn by_name(r: &impl Read, instance: u64, name: &str) -> Result<SnapshotRecord> {
    index::record(r, &name_key(instance, name))?.ok_or_else(not_found)
}

/// The snapshot of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<SnapshotRecord> {
    r.get(&id)?.ok_or_else(not_found)
}

/// Adds a snapshot; its id is chosen here. Its instance has to exist.
pub fn insert(tx: &mut Tx, snapshot: SnapshotRecord) -> Result<SnapshotRecord> {
    instances::by_id(tx, snapshot.instance)?;
    insert_ahead(tx, snapshot)
}

/// Adds a snapshot of an instance that is added after it: nothing finds it before.
pub fn insert_ahead(tx: &mut Tx, mut snapshot: SnapshotRecord) -> Result<SnapshotRecord> {
    snapshot.id = tx.next_id()?;
    index::claim(tx, name_key(snapshot.instance, &snapshot.name), snapshot.id, taken)?;
    tx.put(&snapshot)?;
    Ok(snapshot)
}

/// Reads a snapshot, lets `edit` change everything but its place, and writes it.
pub fn modify(tx: &mut Tx, id: u64, edit: impl FnOnce(&mut SnapshotRecord) -> Result<()>) -> Result<SnapshotRecord> {
    let old = by_id(tx, id)?;
    let mut snapshot = old.clone();
    edit(&mut snapshot)?;
    super::same_place(&(old.instance, &old.name), &(snapshot.instance, &snapshot.name))?;
    tx.put(&snapshot)?;
    Ok(snapshot)
}

/// Renames a snapshot.
pub fn rename(tx: &mut Tx, id: u64, new_name: &str) -> Result<()> {
    let mut snapshot = by_id(tx, id)?;
    index::claim(tx, name_key(snapshot.instance, new_name), id, taken)?;
    tx.delete_row(name_key(snapshot.instance, &snapshot.name))?;
    snapshot.name = new_name.into();
    tx.put(&snapshot)
}

/// Removes a snapshot.
pub fn remove(tx: &mut Tx, id: u64) -> Result<()> {
    let snapshot = by_id(tx, id)?;
    tx.delete_row(name_key(snapshot.instance, &snapshot.name))?;
    tx.delete::<SnapshotRecord>(&id)
}
