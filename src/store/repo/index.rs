//! Names: rows that lead from a name to an id.

use super::super::records::{self, Record};
use super::super::{Key, Prefix, Read, Tx};
use crate::{Error, Result};

/// The id behind a name.
pub(super) fn find(r: &impl Read, name: &Key) -> Result<Option<u64>> {
    r.row(name)?.map(|value| records::parse(&value)).transpose()
}

/// The record behind a name.
pub(super) fn record<R: Record<Key = u64>>(r: &impl Read, name: &Key) -> Result<Option<R>> {
    match find(r, name)? {
        Some(id) => Ok(Some(behind(r, id)?)),
        None => Ok(None),
    }
}

/// The records behind all names below a prefix, in the order of the names.
pub(super) fn records<R: Record<Key = u64>>(r: &impl Read, names: &Prefix) -> Result<Vec<R>> {
    r.rows(names)?.iter().map(|(_, value)| behind(r, records::parse(value)?)).collect()
}

fn behind<R: Record<Key = u64>>(r: &impl Read, id: u64) -> Result<R> {
    let broken = || {
        Error::internal(format!("Failed reading the database: a name leads to {id}, which is not in {:?}", R::TABLE))
    };
    r.get(&id)?.ok_or_else(broken)
}

/// Takes a name; `taken` is the error when somebody has it.
pub(super) fn claim(tx: &mut Tx, name: Key, id: u64, taken: impl FnOnce() -> Error) -> Result<()> {
    match tx.row(&name)? {
        Some(_) => Err(taken()),
        None => tx.write_row(name, &id),
    }
}
