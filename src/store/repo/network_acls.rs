//! Access lists of networks.

use super::super::records::AclRecord;
use super::super::{Key, Read, Table, Tx};
use super::{index, projects};
use crate::{Error, Kind, Result};

fn name_key(project: &str, name: &str) -> Key {
    Key::new(Table::NetworkAclNames, &(project, name))
}

/// The access lists of a project, or all, by project and name.
pub fn list(r: &impl Read, project: Option<&str>) -> Result<Vec<AclRecord>> {
    index::records(r, &super::names_of(Table::NetworkAclNames, project))
}

/// The access list of this name.
pub fn by_name(r: &impl Read, project: &str, name: &str) -> Result<AclRecord> {
    index::record(r, &name_key(project, name))?.ok_or_else(|| Error::not_found("Network ACL not found"))
}

/// The access list of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<AclRecord> {
    r.get(&id)?.ok_or_else(|| Error::not_found("Network ACL not found"))
}

/// Adds an access list; its id is chosen here.
pub fn insert(tx: &mut Tx, mut acl: AclRecord) -> Result<AclRecord> {
    projects::require(tx, &acl.project)?;
    acl.id = tx.next_id()?;
    let taken = || Error::new(Kind::Exists, "The network ACL already exists");
    index::claim(tx, name_key(&acl.project, &acl.name), acl.id, taken)?;
    tx.put(&acl)?;
    Ok(acl)
}

/// Changes everything but the name; the record has to come from this very transaction.
pub fn update(tx: &mut Tx, acl: &AclRecord) -> Result<()> {
    let old = by_name(tx, &acl.project, &acl.name)?;
    super::same_place(&old.id, &acl.id)?;
    tx.put(acl)
}

/// Renames an access list.
pub fn rename(tx: &mut Tx, mut acl: AclRecord, new_name: &str) -> Result<()> {
    let taken = || Error::new(Kind::Exists, "An ACL by that name exists already");
    index::claim(tx, name_key(&acl.project, new_name), acl.id, taken)?;
    tx.delete_row(name_key(&acl.project, &acl.name))?;
    acl.name = new_name.into();
    tx.put(&acl)
}

/// Removes an access list.
pub fn remove(tx: &mut Tx, acl: &AclRecord) -> Result<()> {
    tx.delete_row(name_key(&acl.project, &acl.name))?;
    tx.delete::<AclRecord>(&acl.id)
}
