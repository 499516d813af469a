//! Warnings.

use super::super::records::{self, WarningRecord, WarningStatus};
use super::super::{Key, Read, Table, Tx};
use crate::api::types::Timestamp;
use crate::{Error, Result};

fn not_found() -> Error {
    Error::not_found("Warning not found")
}

/// The warnings of a project, or all, by UUID.
pub fn list(r: &impl Read, project: Option<&str>) -> Result<Vec<WarningRecord>> {
    let mut all = r.scan_all::<WarningRecord>()?;
    all.retain(|warning| project.is_none_or(|project| warning.project == project));
    Ok(all)
}

/// The warning of this UUID.
pub fn by_uuid(r: &impl Read, uuid: &str) -> Result<WarningRecord> {
    r.get(&uuid.to_owned())?.ok_or_else(not_found)
}

/// Raises a warning: counts one more when there is one of its kind about the same thing, else adds it as it is.
///
/// A resolved one is new again; an acknowledged one stays acknowledged.
pub fn raise(tx: &mut Tx, mut warning: WarningRecord, now: Timestamp) -> Result<WarningRecord> {
    let known = same(tx, &warning)?;
    if let Some(known) = known {
        warning.uuid = known.uuid;
        warning.first_seen_at = known.first_seen_at;
        warning.count = known.count.saturating_add(1);
        warning.status = match known.status {
            WarningStatus::Acknowledged => WarningStatus::Acknowledged,
            WarningStatus::New | WarningStatus::Resolved => WarningStatus::New,
        };
    } else {
        warning.first_seen_at = now;
        warning.count = 1;
        warning.status = WarningStatus::New;
        tx.write_row(place(&warning), &warning.uuid)?;
    }
    warning.last_seen_at = now;
    warning.updated_at = now;
    tx.put(&warning)?;
    Ok(warning)
}

/// Resolves the warning of this kind about the same thing, if there is one.
pub fn resolve(tx: &mut Tx, warning: &WarningRecord, now: Timestamp) -> Result<()> {
    match same(tx, warning)? {
        Some(known) if known.status != WarningStatus::Resolved => {
            set_status(tx, &known.uuid, WarningStatus::Resolved, now)
        }
        _ => Ok(()),
    }
}

/// Changes the status of a warning.
pub fn set_status(tx: &mut Tx, uuid: &str, status: WarningStatus, now: Timestamp) -> Result<()> {
    let mut warning = by_uuid(tx, uuid)?;
    warning.status = status;
    warning.updated_at = now;
    tx.put(&warning)
}

/// Removes a warning.
pub fn remove(tx: &mut Tx, uuid: &str) -> Result<()> {
    let warning = by_uuid(tx, uuid)?;
    tx.delete_row(place(&warning))?;
    tx.delete::<WarningRecord>(&uuid.to_owned())
}

/// The row that leads from what a warning is about to the warning.
fn place(warning: &WarningRecord) -> Key {
    let place = (warning.project.as_str(), warning.kind.as_str(), warning.entity.as_str());
    Key::new(Table::WarningPlaces, &place)
}

/// The warning of this kind about the same thing.
fn same(tx: &Tx, warning: &WarningRecord) -> Result<Option<WarningRecord>> {
    match tx.row(&place(warning))? {
        Some(uuid) => tx.get(&records::parse(&uuid)?),
        None => Ok(None),
    }
}
