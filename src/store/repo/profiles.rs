//! Profiles.

use super::super::records::ProfileRecord;
use super::super::{Key, Read, Table, Tx};
use super::uses::{self, Target, User};
use super::{DEFAULT, index, projects};
use crate::{Error, Kind, Result};

fn name_key(project: &str, name: &str) -> Key {
    Key::new(Table::ProfileNames, &(project, name))
}

fn not_found() -> Error {
    Error::not_found("Profile not found")
}

/// The profiles of a project, or all, by project and name.
pub fn list(r: &impl Read, project: Option<&str>) -> Result<Vec<ProfileRecord>> {
    index::records(r, &super::names_of(Table::ProfileNames, project))
}

/// The profile of this name.
pub fn by_name(r: &impl Read, project: &str, name: &str) -> Result<ProfileRecord> {
    index::record(r, &name_key(project, name))?.ok_or_else(not_found)
}

/// The profile of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<ProfileRecord> {
    r.get(&id)?.ok_or_else(not_found)
}

/// Adds a profile; its id is chosen here.
pub fn insert(tx: &mut Tx, mut profile: ProfileRecord) -> Result<ProfileRecord> {
    projects::require(tx, &profile.project)?;
    profile.id = tx.next_id()?;
    let taken = || Error::new(Kind::Exists, "The profile already exists");
    index::claim(tx, name_key(&profile.project, &profile.name), profile.id, taken)?;
    let named = uses::named_by(&profile.devices);
    uses::change(tx, User::Profile(profile.id), &Default::default(), &named)?;
    tx.put(&profile)?;
    Ok(profile)
}

/// Reads a profile, lets `edit` change everything but its place, and writes it.
pub fn modify(tx: &mut Tx, id: u64, edit: impl FnOnce(&mut ProfileRecord) -> Result<()>) -> Result<ProfileRecord> {
    let mut profile = by_id(tx, id)?;
    edit(&mut profile)?;
    update(tx, &profile)?;
    Ok(profile)
}

/// Changes everything but the name; the record has to come from this very transaction.
pub fn update(tx: &mut Tx, profile: &ProfileRecord) -> Result<()> {
    let old = by_id(tx, profile.id)?;
    super::same_place(&(&old.project, &old.name), &(&profile.project, &profile.name))?;
    let before = uses::named_by(&old.devices);
    let after = uses::named_by(&profile.devices);
    uses::change(tx, User::Profile(profile.id), &before, &after)?;
    tx.put(profile)
}

/// Renames a profile.
pub fn rename(tx: &mut Tx, project: &str, name: &str, new_name: &str) -> Result<()> {
    if name == DEFAULT {
        return Err(Error::new(Kind::Forbidden, "The \"default\" profile cannot be renamed"));
    }
    let profile = by_name(tx, project, name)?;
    relocate(tx, profile, project, new_name)
}

/// Removes a profile that no instance uses.
pub fn remove(tx: &mut Tx, project: &str, name: &str) -> Result<()> {
    if name == DEFAULT {
        return Err(Error::new(Kind::Forbidden, "The \"default\" profile cannot be deleted"));
    }
    let profile = by_name(tx, project, name)?;
    delete(tx, &profile)
}

/// The instances that use the profile.
pub fn used_by(r: &impl Read, id: u64) -> Result<Vec<User>> {
    uses::of(r, &Target::Profile(id))
}

/// Takes the default profile of a project that is renamed along.
pub(super) fn move_default(tx: &mut Tx, project: &str, new_project: &str) -> Result<()> {
    match index::record(tx, &name_key(project, DEFAULT))? {
        Some(profile) => relocate(tx, profile, new_project, DEFAULT),
        None => Ok(()),
    }
}

/// Removes the default profile of a project that goes.
pub(super) fn remove_default(tx: &mut Tx, project: &str) -> Result<()> {
    match index::record(tx, &name_key(project, DEFAULT))? {
        Some(profile) => delete(tx, &profile),
        None => Ok(()),
    }
}

fn relocate(tx: &mut Tx, mut profile: ProfileRecord, project: &str, name: &str) -> Result<()> {
    let taken = || Error::new(Kind::Exists, format!("Name {name:?} already in use"));
    index::claim(tx, name_key(project, name), profile.id, taken)?;
    tx.delete_row(name_key(&profile.project, &profile.name))?;
    profile.project = project.into();
    profile.name = name.into();
    tx.put(&profile)
}

fn delete(tx: &mut Tx, profile: &ProfileRecord) -> Result<()> {
    if !used_by(tx, profile.id)?.is_empty() {
        return Err(Error::new(Kind::Conflict, "Profile is currently in use"));
    }
    let named = uses::named_by(&profile.devices);
    uses::change(tx, User::Profile(profile.id), &named, &Default::default())?;
    tx.delete_row(name_key(&profile.project, &profile.name))?;
    tx.delete::<ProfileRecord>(&profile.id)
}
