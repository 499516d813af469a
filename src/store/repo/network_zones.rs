//! Zones of names and their records.

use super::super::records::{ZoneEntriesRecord, ZoneRecord};
use super::super::{Key, Prefix, Read, Table, Tx};
use super::{index, projects};
use crate::{Error, Kind, Result};

/// Records that go in one transaction with their zone.
const AT_ONCE: usize = 50;

fn name_key(name: &str) -> Key {
    Key::new(Table::NetworkZoneNames, &name)
}

fn not_found() -> Error {
    Error::not_found("Network zone not found")
}

fn record_not_found() -> Error {
    Error::not_found("Network zone record not found")
}

/// Every zone, by name.
pub fn list(r: &impl Read) -> Result<Vec<ZoneRecord>> {
    index::records(r, &Prefix::table(Table::NetworkZoneNames))
}

/// The zone of this name, in this project.
pub fn by_name(r: &impl Read, project: &str, name: &str) -> Result<ZoneRecord> {
    let zone: Option<ZoneRecord> = index::record(r, &name_key(name))?;
    zone.filter(|zone| zone.project == project).ok_or_else(not_found)
}

/// Adds a zone; its id is chosen here.
pub fn insert(tx: &mut Tx, mut zone: ZoneRecord) -> Result<ZoneRecord> {
    projects::require(tx, &zone.project)?;
    zone.id = tx.next_id()?;
    let taken = || Error::new(Kind::Exists, "The network zone already exists");
    index::claim(tx, name_key(&zone.name), zone.id, taken)?;
    tx.put(&zone)?;
    Ok(zone)
}

/// Changes everything but the name.
pub fn update(tx: &mut Tx, zone: &ZoneRecord) -> Result<()> {
    let old = by_name(tx, &zone.project, &zone.name)?;
    super::same_place(&old.id, &zone.id)?;
    tx.put(zone)
}

/// Removes a zone with its records. When it has very many, removes some and says no: run another transaction then.
#[must_use = "a zone with very many records takes more than one transaction"]
pub fn remove(tx: &mut Tx, zone: &ZoneRecord) -> Result<bool> {
    let records = records(tx, zone.id)?;
    for record in records.iter().take(AT_ONCE) {
        remove_record(tx, zone.id, &record.name)?;
    }
    if records.len() > AT_ONCE {
        return Ok(false);
    }
    tx.delete_row(name_key(&zone.name))?;
    tx.delete::<ZoneRecord>(&zone.id)?;
    Ok(true)
}

/// The records of a zone, by name.
pub fn records(r: &impl Read, zone: u64) -> Result<Vec<ZoneEntriesRecord>> {
    r.scan(&Prefix::of(Table::NetworkZoneRecords, &zone.to_string()))
}

/// The record of this name.
pub fn record(r: &impl Read, zone: u64, name: &str) -> Result<ZoneEntriesRecord> {
    r.get(&(zone.to_string(), name.into()))?.ok_or_else(record_not_found)
}

/// Adds a record.
pub fn insert_record(tx: &mut Tx, record: &ZoneEntriesRecord) -> Result<()> {
    if tx.exists::<ZoneEntriesRecord>(&(record.zone.to_string(), record.name.clone()))? {
        return Err(Error::new(Kind::Exists, "The network zone record already exists"));
    }
    tx.put(record)
}

/// Changes everything but the name.
pub fn update_record(tx: &mut Tx, changed: &ZoneEntriesRecord) -> Result<()> {
    record(tx, changed.zone, &changed.name)?;
    tx.put(changed)
}

/// Removes a record.
pub fn remove_record(tx: &mut Tx, zone: u64, name: &str) -> Result<()> {
    record(tx, zone, name)?;
    tx.delete::<ZoneEntriesRecord>(&(zone.to_string(), name.into()))
}
