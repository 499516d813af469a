//! Projects.

use super::super::records::ProjectRecord;
use super::super::{Key, Prefix, Read, Table, Tx};
use super::{DEFAULT, index, profiles};
use crate::{Error, Kind, Result};

fn name_key(name: &str) -> Key {
    Key::new(Table::ProjectNames, &name)
}

fn not_found() -> Error {
    Error::not_found("Project not found")
}

/// Every project, by name.
pub fn list(r: &impl Read) -> Result<Vec<ProjectRecord>> {
    index::records(r, &Prefix::table(Table::ProjectNames))
}

/// The project of this name.
pub fn by_name(r: &impl Read, name: &str) -> Result<ProjectRecord> {
    index::record(r, &name_key(name))?.ok_or_else(not_found)
}

/// The project of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<ProjectRecord> {
    r.get(&id)?.ok_or_else(not_found)
}

/// Sees to it that the project is there until the commit.
pub(super) fn require(tx: &Tx, name: &str) -> Result<()> {
    index::find(tx, &name_key(name))?.map(|_| ()).ok_or_else(not_found)
}

/// Adds a project; its id is chosen here.
pub fn insert(tx: &mut Tx, mut project: ProjectRecord) -> Result<ProjectRecord> {
    project.id = tx.next_id()?;
    let taken = || Error::new(Kind::Exists, "This \"projects\" entry already exists");
    index::claim(tx, name_key(&project.name), project.id, taken)?;
    tx.put(&project)?;
    Ok(project)
}

/// Reads a project, lets `edit` change everything but its place, and writes it.
pub fn modify(tx: &mut Tx, id: u64, edit: impl FnOnce(&mut ProjectRecord) -> Result<()>) -> Result<ProjectRecord> {
    let mut project = by_id(tx, id)?;
    edit(&mut project)?;
    update(tx, &project)?;
    Ok(project)
}

/// Changes description and configuration; the record has to come from this very transaction.
pub fn update(tx: &mut Tx, project: &ProjectRecord) -> Result<()> {
    let old = by_id(tx, project.id)?;
    super::same_place(&old.name, &project.name)?;
    tx.put(project)
}

/// Renames an empty project, and takes its default profile along.
pub fn rename(tx: &mut Tx, name: &str, new_name: &str) -> Result<()> {
    if name == DEFAULT {
        return Err(Error::new(Kind::Forbidden, "The 'default' project cannot be renamed"));
    }
    let mut project = by_name(tx, name)?;
    if !is_empty(tx, name)? {
        return Err(Error::new(Kind::Conflict, "Only empty projects can be renamed"));
    }
    let taken = || Error::new(Kind::Exists, format!("A project named {new_name:?} already exists"));
    index::claim(tx, name_key(new_name), project.id, taken)?;
    tx.delete_row(name_key(name))?;
    project.name = new_name.into();
    tx.put(&project)?;
    profiles::move_default(tx, name, new_name)
}

/// Removes an empty project and its default profile.
pub fn remove(tx: &mut Tx, name: &str) -> Result<()> {
    if name == DEFAULT {
        return Err(Error::new(Kind::Forbidden, "The 'default' project cannot be deleted"));
    }
    let project = by_name(tx, name)?;
    if !is_empty(tx, name)? {
        return Err(Error::new(Kind::Conflict, "Only empty projects can be removed"));
    }
    profiles::remove_default(tx, name)?;
    tx.delete_row(name_key(name))?;
    tx.delete::<ProjectRecord>(&project.id)
}

/// Whether nothing is in the project but its default profile.
pub fn is_empty(r: &impl Read, name: &str) -> Result<bool> {
    let named = [Table::InstanceNames, Table::VolumeNames, Table::NetworkNames, Table::NetworkAclNames];
    for table in named.into_iter().chain([Table::Images, Table::Aliases]) {
        if !r.rows(&Prefix::of(table, &name))?.is_empty() {
            return Ok(false);
        }
    }
    let default = Key::new(Table::ProfileNames, &(name, DEFAULT));
    Ok(r.rows(&Prefix::of(Table::ProfileNames, &name))?.iter().all(|(key, _)| *key == default))
}
