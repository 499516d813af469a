//! How rows lie in redb tables.
//!
//! A value is `create revision (8) | modified revision (8) | record version (4) | JSON`, numbers big endian.

use std::sync::Arc;

use redb::{ReadableTable, Table as RedbTable, TableDefinition, TableError, WriteTransaction};

use super::super::feed::Event;
use super::super::key::Key;
use super::super::tables::Table;
use super::super::txn::{Op, Rev, TxnId, Value};
use crate::{Error, Kind, Result};

/// Ids of recent transactions in a ring of slots, and the newest revision.
pub(super) const TRANSACTIONS: TableDefinition<'_, u64, (u64, u128)> = TableDefinition::new("transactions");
/// How many transactions are remembered.
const REMEMBERED: u64 = 256;
/// The slot of the newest revision.
const NEWEST: u64 = u64::MAX;

const HEAD: usize = 20;

/// The redb table of a table of the catalogue.
pub(super) fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.info().name)
}

/// An error of redb's storage. Nothing a caller could mend, so one text for all.
pub(super) fn failed(source: &(impl std::error::Error + ?Sized)) -> Error {
    Error::new(Kind::Unavailable, format!("Failed using the database: {source}"))
}

/// An error of opening a table.
pub(super) fn table_error(source: &TableError) -> Error {
    failed(source)
}

/// Reads a value.
pub(super) fn decode(bytes: &[u8]) -> Result<Value> {
    let number = |from: usize| -> Option<u64> { Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?)) };
    let version = bytes.get(16..HEAD).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    match (number(0), number(8), version) {
        (Some(create), Some(modified), Some(version)) => {
            Ok(Value { create: Rev(create), modified: Rev(modified), version, json: Arc::from(&bytes[HEAD..]) })
        }
        _ => Err(Error::internal("Failed reading the database: a row is cut off")),
    }
}

fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + value.json.len());
    bytes.extend(value.create.0.to_be_bytes());
    bytes.extend(value.modified.0.to_be_bytes());
    bytes.extend(value.version.to_be_bytes());
    bytes.extend(&*value.json);
    bytes
}

/// The newest revision.
pub(super) fn newest(table: &impl ReadableTable<u64, (u64, u128)>) -> Result<Rev> {
    let row = table.get(NEWEST).map_err(|e| failed(&e))?;
    Ok(Rev(row.map_or(0, |row| row.value().0)))
}

/// The revision at which a recent transaction was applied.
pub(super) fn find(table: &impl ReadableTable<u64, (u64, u128)>, txn: TxnId) -> Result<Option<Rev>> {
    for row in table.range(0..REMEMBERED).map_err(|e| failed(&e))? {
        let (rev, id) = row.map_err(|e| failed(&e))?.1.value();
        if id == txn.0 {
            return Ok(Some(Rev(rev)));
        }
    }
    Ok(None)
}

/// Remembers a transaction, in place of the one 256 revisions before.
pub(super) fn remember(txn: &WriteTransaction, id: TxnId, rev: Rev) -> Result<()> {
    let mut table = txn.open_table(TRANSACTIONS).map_err(|e| table_error(&e))?;
    table.insert(rev.0 % REMEMBERED, (rev.0, id.0)).map_err(|e| failed(&e))?;
    table.insert(NEWEST, (rev.0, id.0)).map_err(|e| failed(&e))?;
    Ok(())
}

/// When the row was created and last changed.
pub(super) fn revisions(txn: &WriteTransaction, key: &Key) -> Result<Option<(Rev, Rev)>> {
    let table = txn.open_table(definition(key.table)).map_err(|e| table_error(&e))?;
    let row = table.get(key.bytes.as_slice()).map_err(|e| failed(&e))?;
    let value = row.map(|row| decode(row.value())).transpose()?;
    Ok(value.map(|value| (value.create, value.modified)))
}

/// Applies one operation; none when there was nothing to delete.
pub(super) fn apply(txn: &WriteTransaction, op: &Op, rev: Rev) -> Result<Option<Event>> {
    let key = op.key();
    let mut table = txn.open_table(definition(key.table)).map_err(|e| table_error(&e))?;
    match op {
        Op::Put { version, json, .. } => put(&mut table, key, (rev, *version, json)).map(Some),
        Op::Delete(_) => {
            let old = table.remove(key.bytes.as_slice()).map_err(|e| failed(&e))?;
            Ok(old.map(|_| Event { key: key.clone(), value: None }))
        }
    }
}

fn put(
    table: &mut RedbTable<'_, &'static [u8], &'static [u8]>,
    key: &Key,
    (rev, version, json): (Rev, u32, &Arc<[u8]>),
) -> Result<Event> {
    let old = table.get(key.bytes.as_slice()).map_err(|e| failed(&e))?.map(|row| decode(row.value())).transpose()?;
    let create = old.map_or(rev, |old| old.create);
    let value = Value { create, modified: rev, version, json: Arc::clone(json) };
    table.insert(key.bytes.as_slice(), encode(&value).as_slice()).map_err(|e| failed(&e))?;
    Ok(Event { key: key.clone(), value: Some(value) })
}
