//! Images and their aliases.

use super::super::records::{AliasRecord, ImageRecord};
use super::super::{Key, Prefix, Read, Table, Tx};
use super::projects;
use crate::{Error, Kind, Result};

/// Aliases that go in one transaction with their image.
const ALIASES_AT_ONCE: usize = 30;

fn not_found() -> Error {
    Error::not_found("Image not found")
}

fn alias_not_found() -> Error {
    Error::not_found("Image alias not found")
}

/// The row that leads from an image to one of its aliases.
fn target_key(alias: &AliasRecord) -> Key {
    Key::new(Table::AliasTargets, &(alias.project.as_str(), alias.target.as_str(), alias.name.as_str()))
}

/// The images of a project, or all, by project and fingerprint.
pub fn list(r: &impl Read, project: Option<&str>) -> Result<Vec<ImageRecord>> {
    r.scan(&super::names_of(Table::Images, project))
}

/// The image of this whole fingerprint.
pub fn by_fingerprint(r: &impl Read, project: &str, fingerprint: &str) -> Result<ImageRecord> {
    r.get(&(project.into(), fingerprint.into()))?.ok_or_else(not_found)
}

/// The one image whose fingerprint begins like this.
pub fn by_prefix(r: &impl Read, project: &str, prefix: &str) -> Result<ImageRecord> {
    if prefix.is_empty() {
        return Err(not_found());
    }
    let mut place = Prefix::of(Table::Images, &project);
    place.bytes.extend(prefix.bytes());
    let mut found = r.scan::<ImageRecord>(&place)?;
    match (found.pop(), found.is_empty()) {
        (Some(image), true) => Ok(image),
        (Some(_), false) => Err(Error::invalid("More than one image matches")),
        (None, _) => Err(not_found()),
    }
}

/// Adds an image.
pub fn insert(tx: &mut Tx, image: &ImageRecord) -> Result<()> {
    projects::require(tx, &image.project)?;
    if tx.exists::<ImageRecord>(&(image.project.clone(), image.fingerprint.clone()))? {
        return Err(Error::new(Kind::Exists, "Image with same fingerprint already exists"));
    }
    tx.put(image)
}

/// Changes everything but project and fingerprint.
pub fn update(tx: &mut Tx, image: &ImageRecord) -> Result<()> {
    by_fingerprint(tx, &image.project, &image.fingerprint)?;
    tx.put(image)
}

/// Removes an image with its aliases. When it has very many, removes some and says no: run another transaction then.
#[must_use = "an image with very many aliases takes more than one transaction"]
pub fn remove(tx: &mut Tx, project: &str, fingerprint: &str) -> Result<bool> {
    let image = by_fingerprint(tx, project, fingerprint)?;
    let aliases = alias_names(tx, project, fingerprint)?;
    for name in aliases.iter().take(ALIASES_AT_ONCE) {
        remove_alias(tx, project, name)?;
    }
    if aliases.len() > ALIASES_AT_ONCE {
        return Ok(false);
    }
    tx.delete::<ImageRecord>(&(image.project, image.fingerprint))?;
    Ok(true)
}

/// The aliases of an image, by name.
pub fn aliases_of(r: &impl Read, project: &str, fingerprint: &str) -> Result<Vec<AliasRecord>> {
    alias_names(r, project, fingerprint)?.iter().map(|name| alias(r, project, name)).collect()
}

fn alias_names(r: &impl Read, project: &str, fingerprint: &str) -> Result<Vec<String>> {
    let rows = r.rows(&Prefix::of(Table::AliasTargets, &(project, fingerprint)))?;
    rows.iter().map(|(_, value)| super::super::records::parse(value)).collect()
}

/// The aliases of a project, or all, by project and name.
pub fn aliases(r: &impl Read, project: Option<&str>) -> Result<Vec<AliasRecord>> {
    r.scan(&super::names_of(Table::Aliases, project))
}

/// The alias of this name.
pub fn alias(r: &impl Read, project: &str, name: &str) -> Result<AliasRecord> {
    r.get(&(project.into(), name.into()))?.ok_or_else(alias_not_found)
}

/// Adds an alias. Its image has to exist.
pub fn insert_alias(tx: &mut Tx, alias: &AliasRecord) -> Result<()> {
    projects::require(tx, &alias.project)?;
    if tx.exists::<AliasRecord>(&(alias.project.clone(), alias.name.clone()))? {
        return Err(Error::new(Kind::Exists, format!("Alias {:?} already exists", alias.name)));
    }
    place_alias(tx, alias)
}

/// Changes target and description of an alias.
pub fn update_alias(tx: &mut Tx, alias: &AliasRecord) -> Result<()> {
    remove_alias(tx, &alias.project, &alias.name)?;
    place_alias(tx, alias)
}

/// Renames an alias. A name that is taken is reported before an alias that is missing, as LXD does.
pub fn rename_alias(tx: &mut Tx, project: &str, name: &str, new_name: &str) -> Result<()> {
    if tx.exists::<AliasRecord>(&(project.into(), new_name.into()))? {
        return Err(Error::new(Kind::Exists, format!("Alias {new_name:?} already exists")));
    }
    let mut alias = remove_alias(tx, project, name)?;
    alias.name = new_name.into();
    place_alias(tx, &alias)
}

/// Removes an alias and returns what it was.
pub fn remove_alias(tx: &mut Tx, project: &str, name: &str) -> Result<AliasRecord> {
    let old = alias(tx, project, name)?;
    tx.delete_row(target_key(&old))?;
    tx.delete::<AliasRecord>(&(project.into(), name.into()))?;
    Ok(old)
}

fn place_alias(tx: &mut Tx, alias: &AliasRecord) -> Result<()> {
    if !tx.exists::<ImageRecord>(&(alias.project.clone(), alias.target.clone()))? {
        return Err(not_found());
    }
    tx.write_row(target_key(alias), &alias.name)?;
    tx.put(alias)
}
