//! What wrote the database, and whether this program may open it.
//!
//! One row holds the schema's number (tables, keys, values) and the version of every kind of record. It is written
//! before any record of a newer version is, so looking at this row is enough to know that there is none we can't read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use super::key::Key;
use super::records::VERSIONS;
use super::tables::Table;
use super::txn::{Cmp, Op};
use crate::{Ctx, Error, Kind, Result};

/// The layout of tables, keys and values.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Schema {
    schema: u32,
    records: BTreeMap<String, u32>,
}

impl Schema {
    fn ours() -> Schema {
        let records = VERSIONS.iter().map(|(table, version)| (table.info().name.to_owned(), *version)).collect();
        Schema { schema: SCHEMA, records }
    }

    fn stored(snapshot: &dyn Snapshot) -> Result<Option<Schema>> {
        let Some(value) = snapshot.get(&row())? else { return Ok(None) };
        let schema = serde_json::from_slice(&value.json).ctx(Kind::Internal, || "Failed reading the schema")?;
        Ok(Some(schema))
    }
}

fn row() -> Key {
    Key::new(Table::Schema, &())
}

/// Refuses a database that something newer has written ([`Kind::Unsupported`]). Writes nothing.
pub(super) fn check(snapshot: &dyn Snapshot) -> Result<()> {
    let Some(stored) = Schema::stored(snapshot)? else { return Ok(()) };
    let refuse = |what: String| Err(Error::new(Kind::Unsupported, format!("A newer lxbox has written it ({what})")));
    if stored.schema > SCHEMA {
        return refuse(format!("schema {}, this one knows {SCHEMA}", stored.schema));
    }
    let ours = Schema::ours();
    for (name, version) in &stored.records {
        match ours.records.get(name) {
            Some(known) if version <= known => {}
            Some(known) => return refuse(format!("version {version} of {name:?}, this one knows {known}")),
            None => return refuse(format!("{name:?}, which this one does not know")),
        }
    }
    Ok(())
}

/// What has to be written before this program may write its records; nothing in a database that it wrote itself.
pub(super) fn stamp(snapshot: &dyn Snapshot) -> Result<Option<(Cmp, Op)>> {
    let ours = Schema::ours();
    let stored = snapshot.get(&row())?;
    if Schema::stored(snapshot)?.as_ref() == Some(&ours) {
        return Ok(None);
    }
    let cmp = stored.map_or(Cmp::Absent(row()), |value| Cmp::ModEq(row(), value.modified));
    let json = serde_json::to_vec(&ours).ctx(Kind::Internal, || "Failed writing the schema")?;
    Ok(Some((cmp, Op::Put { key: row(), version: 1, json: json.into() })))
}
