//! What wrote the database, and whether this program may open it.
//!
//! One row holds the schema's number (tables, keys, values) and the version of every kind of record. It is written
//! before any record of a newer version is, so looking at this row is enough to know that there is none we can't read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::key::Key;
use super::records::{self, VERSIONS};
use super::tables::Table;
use super::{Read, Snapshot, Tx};
use crate::api::tree::readable;
use crate::order::Gather;
use crate::{Error, Kind, Result};

/// The layout of tables, keys and values.
pub const SCHEMA: u32 = 1;

readable! {
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    struct Schema {
        schema: u32,
        records: BTreeMap<String, u32>,
    }
}

impl Schema {
    fn ours() -> Schema {
        let records = VERSIONS.iter().map(|(table, version)| (table.info().name.to_owned(), *version)).gather();
        Schema { schema: SCHEMA, records }
    }
}

fn row() -> Key {
    Key::new(Table::Schema, &())
}

/// Refuses a database that something newer has written ([`Kind::Unsupported`]). Writes nothing.
pub(super) fn check(snapshot: &dyn Snapshot) -> Result<()> {
    let Some(row) = snapshot.get(&row())? else { return Ok(()) };
    let stored: Schema = records::parse(&row)?;
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

/// Says in the database that this program writes it; true when the database is new. To be done before anything else.
pub(super) fn stamp(tx: &mut Tx) -> Result<bool> {
    let stored = tx.row(&row())?;
    tx.write_row(row(), &Schema::ours())?;
    Ok(stored.is_none())
}
