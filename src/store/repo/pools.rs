//! Storage pools.

use super::super::records::PoolRecord;
use super::super::{Key, Prefix, Read, Table, Tx};
use super::index;
use super::uses::{self, Target, User};
use crate::{Error, Kind, Result};

fn name_key(name: &str) -> Key {
    Key::new(Table::PoolNames, &name)
}

fn not_found() -> Error {
    Error::not_found("Storage pool not found")
}

/// Every pool, by name.
pub fn list(r: &impl Read) -> Result<Vec<PoolRecord>> {
    index::records(r, &Prefix::table(Table::PoolNames))
}

/// The pool of this name.
pub fn by_name(r: &impl Read, name: &str) -> Result<PoolRecord> {
    index::record(r, &name_key(name))?.ok_or_else(not_found)
}

/// The pool of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<PoolRecord> {
    r.get(&id)?.ok_or_else(not_found)
}

/// Adds a pool; its id is chosen here.
pub fn insert(tx: &mut Tx, mut pool: PoolRecord) -> Result<PoolRecord> {
    pool.id = tx.next_id()?;
    let taken = || Error::new(Kind::Exists, "The storage pool already exists: The record already exists");
    index::claim(tx, name_key(&pool.name), pool.id, taken)?;
    tx.put(&pool)?;
    Ok(pool)
}

/// Reads a pool, lets `edit` change everything but its place, and writes it.
pub fn modify(tx: &mut Tx, id: u64, edit: impl FnOnce(&mut PoolRecord) -> Result<()>) -> Result<PoolRecord> {
    let mut pool = by_id(tx, id)?;
    edit(&mut pool)?;
    update(tx, &pool)?;
    Ok(pool)
}

/// Changes everything but the name; the record has to come from this very transaction.
pub fn update(tx: &mut Tx, pool: &PoolRecord) -> Result<()> {
    let old = by_id(tx, pool.id)?;
    super::same_place(&old.name, &pool.name)?;
    tx.put(pool)
}

/// Removes a pool that nobody uses.
pub fn remove(tx: &mut Tx, id: u64) -> Result<()> {
    let pool = by_id(tx, id)?;
    if !used_by(tx, &pool.name)?.is_empty() {
        return Err(Error::new(Kind::Conflict, "The storage pool is currently in use"));
    }
    tx.delete_row(name_key(&pool.name))?;
    tx.delete::<PoolRecord>(&id)
}

/// The volumes in the pool, and the instances and profiles with a disk from it.
pub fn used_by(r: &impl Read, name: &str) -> Result<Vec<User>> {
    uses::of(r, &Target::Pool(name.into()))
}
