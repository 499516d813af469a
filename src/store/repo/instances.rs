//! Instances.

use std::collections::BTreeSet;

use super::super::records::InstanceRecord;
use super::super::{Key, Read, Table, Tx};
use super::uses::{self, Target, User};
use super::{index, projects};
use crate::{Error, Kind, Result};

fn name_key(project: &str, name: &str) -> Key {
    Key::new(Table::InstanceNames, &(project, name))
}

fn not_found() -> Error {
    Error::not_found("Instance not found")
}

/// The instances of a project, or all, by project and name.
pub fn list(r: &impl Read, project: Option<&str>) -> Result<Vec<InstanceRecord>> {
    index::records(r, &super::names_of(Table::InstanceNames, project))
}

/// The instance of this name.
pub fn by_name(r: &impl Read, project: &str, name: &str) -> Result<InstanceRecord> {
    index::record(r, &name_key(project, name))?.ok_or_else(not_found)
}

/// The instance of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<InstanceRecord> {
    r.get(&id)?.ok_or_else(not_found)
}

/// Adds an instance; its id is chosen here. Its profiles have to exist.
pub fn insert(tx: &mut Tx, mut instance: InstanceRecord) -> Result<InstanceRecord> {
    projects::require(tx, &instance.project)?;
    if instance.id == 0 {
        instance.id = tx.next_id()?;
    }
    let taken = || Error::new(Kind::Exists, "This \"instances\" entry already exists");
    index::claim(tx, name_key(&instance.project, &instance.name), instance.id, taken)?;
    let after = targets(&instance);
    uses::change(tx, User::Instance(instance.id), &BTreeSet::new(), &after)?;
    tx.put(&instance)?;
    Ok(instance)
}

/// Reads an instance, lets `edit` change everything but its place, and writes it.
pub fn modify(tx: &mut Tx, id: u64, edit: impl FnOnce(&mut InstanceRecord) -> Result<()>) -> Result<InstanceRecord> {
    let mut instance = by_id(tx, id)?;
    edit(&mut instance)?;
    update(tx, &instance)?;
    Ok(instance)
}

/// Changes everything but the name; the record has to come from this very transaction.
pub fn update(tx: &mut Tx, instance: &InstanceRecord) -> Result<()> {
    let old = by_id(tx, instance.id)?;
    super::same_place(&(&old.project, &old.name), &(&instance.project, &instance.name))?;
    let (before, after) = (targets(&old), targets(instance));
    uses::change(tx, User::Instance(instance.id), &before, &after)?;
    tx.put(instance)
}

/// Renames an instance.
pub fn rename(tx: &mut Tx, id: u64, new_name: &str) -> Result<()> {
    let mut instance = by_id(tx, id)?;
    let taken = || Error::new(Kind::Exists, format!("Name {new_name:?} already in use"));
    index::claim(tx, name_key(&instance.project, new_name), id, taken)?;
    tx.delete_row(name_key(&instance.project, &instance.name))?;
    instance.name = new_name.into();
    tx.put(&instance)
}

/// Removes an instance.
pub fn remove(tx: &mut Tx, id: u64) -> Result<()> {
    let instance = by_id(tx, id)?;
    let before = targets(&instance);
    uses::change(tx, User::Instance(id), &before, &BTreeSet::new())?;
    tx.delete_row(name_key(&instance.project, &instance.name))?;
    tx.delete::<InstanceRecord>(&id)
}

fn targets(instance: &InstanceRecord) -> BTreeSet<Target> {
    let mut targets = uses::named_by(&instance.devices);
    targets.extend(instance.profiles.iter().copied().map(Target::Profile));
    targets
}
