//! Views and transactions: typed access to rows, with what was read remembered for the commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Snapshot;
use super::key::{Key, Prefix};
use super::records::{self, Record};
use super::tables::Table;
use super::txn::{Cmp, Commit, Op, Rev, TxnId, Value};
use crate::{Error, Result};

/// Ids taken from the sequence at once, so that creations don't wait for each other. A restart loses the rest.
const ID_BLOCK: u64 = 64;

/// Reading of rows, in a [`View`] or a [`Tx`].
pub trait Read {
    /// The row of this key.
    fn row(&self, key: &Key) -> Result<Option<Value>>;

    /// The rows below a prefix, in the order of their keys.
    fn rows(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>>;

    /// The record of this key.
    fn get<R: Record>(&self, key: &R::Key) -> Result<Option<R>> {
        self.row(&Key::new(R::TABLE, key))?.map(|value| records::decode(&value)).transpose()
    }

    /// The records below a prefix (see [`Prefix::of`]), in the order of their keys.
    fn scan<R: Record>(&self, prefix: &Prefix) -> Result<Vec<R>> {
        self.rows(prefix)?.iter().map(|(_, value)| records::decode(value)).collect()
    }

    /// Every record of a kind, in the order of their keys.
    fn scan_all<R: Record>(&self) -> Result<Vec<R>> {
        self.scan(&Prefix::table(R::TABLE))
    }
}

/// A consistent view of the local state.
pub struct View {
    pub(super) snapshot: Box<dyn Snapshot>,
}

impl View {
    /// The last revision in this view.
    pub fn rev(&self) -> Rev {
        self.snapshot.rev()
    }
}

impl Read for View {
    fn row(&self, key: &Key) -> Result<Option<Value>> {
        self.snapshot.get(key)
    }

    fn rows(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>> {
        self.snapshot.range(prefix)
    }
}

/// Ids that are reserved in the database and not used yet.
#[derive(Debug, Default)]
pub(super) struct IdPool(Mutex<Range<u64>>);

impl IdPool {
    fn take(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Adds a block; of two blocks the newer is kept.
    pub(super) fn refill(&self, block: Range<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = block;
    }
}

/// A transaction being put together: a view, with the writes on top.
///
/// Every row that is read or written is compared at commit, so what is written follows from what was read.
pub struct Tx {
    snapshot: Box<dyn Snapshot>,
    seen: RefCell<BTreeMap<Key, Cmp>>,
    writes: BTreeMap<Key, Write>,
    ids: Ids,
}

struct Write {
    before: Option<Value>,
    /// Version and JSON; none to delete.
    after: Option<(u32, Arc<[u8]>)>,
}

/// Where a transaction takes ids from.
pub(super) struct Ids {
    pool: Arc<IdPool>,
    /// Ids that an earlier attempt of the same transaction took, newest first.
    again: Vec<u64>,
    /// Ids taken from the pool by this attempt.
    taken: Vec<u64>,
    /// Ids of the block that this very transaction reserves.
    block: Range<u64>,
}

impl Ids {
    pub(super) fn new(pool: &Arc<IdPool>, mut again: Vec<u64>) -> Ids {
        again.reverse();
        Ids { pool: Arc::clone(pool), again, taken: Vec::new(), block: 0..0 }
    }
}

/// A transaction ready for the engine.
pub(super) struct Prepared {
    /// None when it only reads.
    pub(super) commit: Option<Commit>,
    /// The view's revision.
    pub(super) seen: Rev,
    /// What to refill the pool with once it is committed.
    pub(super) block: Range<u64>,
    /// Ids to take again in the next attempt.
    pub(super) taken: Vec<u64>,
}

impl Read for Tx {
    fn row(&self, key: &Key) -> Result<Option<Value>> {
        if let Some(write) = self.writes.get(key) {
            return Ok(write.as_value(self.snapshot.rev()));
        }
        let value = self.snapshot.get(key)?;
        self.compare(key, value.as_ref());
        Ok(value)
    }

    /// Guarded: a row that appears or goes meanwhile makes the transaction run again. The prefix has to lie within one
    /// guarded collection (see [`super::tables::Guard`]); anything wider is an error.
    fn rows(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>> {
        let guard = prefix.table.and_then(|table| table.guard_key(&prefix.bytes)).ok_or_else(|| {
            Error::internal(format!("Failed reading the database: {prefix:?} is not guarded inside transactions"))
        })?;
        self.compare(&guard, self.snapshot.get(&guard)?.as_ref());
        let mut found = BTreeMap::new();
        for (key, value) in self.snapshot.range(prefix)? {
            if !self.writes.contains_key(&key) {
                if !key.table.info().index {
                    self.compare(&key, Some(&value));
                }
                found.insert(key, value);
            }
        }
        for (key, write) in self.writes.iter().filter(|(key, _)| prefix.covers(key)) {
            if let Some(value) = write.as_value(self.snapshot.rev()) {
                found.insert(key.clone(), value);
            }
        }
        Ok(found.into_iter().collect())
    }
}

impl Tx {
    pub(super) fn new(snapshot: Box<dyn Snapshot>, ids: Ids) -> Tx {
        Tx { snapshot, seen: RefCell::default(), writes: BTreeMap::new(), ids }
    }

    /// Whether there is such a record; only that, not its contents, has to hold until the commit.
    pub fn exists<R: Record>(&self, key: &R::Key) -> Result<bool> {
        let key = Key::new(R::TABLE, key);
        if let Some(write) = self.writes.get(&key) {
            return Ok(write.after.is_some());
        }
        let value = self.snapshot.get(&key)?;
        let cmp = match &value {
            Some(value) => Cmp::CreateEq(key.clone(), value.create),
            None => Cmp::Absent(key.clone()),
        };
        self.seen.borrow_mut().entry(key).or_insert(cmp);
        Ok(value.is_some())
    }

    /// Creates or replaces a record.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<()> {
        let json = records::encode(record)?;
        self.write(Key::new(R::TABLE, &record.key()), Some((R::VERSION, json)))
    }

    /// Deletes a record, if it is there.
    pub fn delete<R: Record>(&mut self, key: &R::Key) -> Result<()> {
        self.write(Key::new(R::TABLE, key), None)
    }

    /// A number that no record of this database had or will have as its id.
    pub fn next_id(&mut self) -> Result<u64> {
        if let Some(id) = self.ids.block.next() {
            return Ok(id);
        }
        if let Some(id) = self.ids.again.pop().or_else(|| self.ids.pool.take()) {
            self.ids.taken.push(id);
            return Ok(id);
        }
        let key = Key::new(Table::Sequences, &"id");
        let last = match self.row(&key)? {
            Some(value) => records::parse::<u64>(&value)?,
            None => 0,
        };
        self.write_row(key, &(last + ID_BLOCK))?;
        self.ids.block = last + 1..last + 1 + ID_BLOCK;
        self.ids.block.next().ok_or_else(|| Error::internal("Failed taking an id: none is left"))
    }

    /// Writes a row of an index.
    pub(super) fn write_row(&mut self, key: Key, value: &impl serde::Serialize) -> Result<()> {
        let json = records::encode(value)?;
        self.write(key, Some((1, json)))
    }

    /// Deletes a row of an index.
    pub(super) fn delete_row(&mut self, key: Key) -> Result<()> {
        self.write(key, None)
    }

    fn write(&mut self, key: Key, after: Option<(u32, Arc<[u8]>)>) -> Result<()> {
        if let Some(write) = self.writes.get_mut(&key) {
            write.after = after;
            return Ok(());
        }
        let before = self.snapshot.get(&key)?;
        self.compare(&key, before.as_ref());
        self.writes.insert(key, Write { before, after });
        Ok(())
    }

    fn compare(&self, key: &Key, value: Option<&Value>) {
        let cmp = match value {
            Some(value) => Cmp::ModEq(key.clone(), value.modified),
            None => Cmp::Absent(key.clone()),
        };
        self.seen.borrow_mut().insert(key.clone(), cmp);
    }

    /// Turns what was read and written into comparisons and operations.
    pub(super) fn prepare(self) -> Prepared {
        let seen = self.snapshot.rev();
        let mut ops = Vec::new();
        let mut guards = BTreeSet::new();
        for (key, Write { before, after }) in self.writes {
            let old = before.as_ref().map(|old| (old.version, &old.json));
            if old == after.as_ref().map(|(version, json)| (*version, json)) {
                // What changes nothing costs nothing.
                continue;
            }
            if before.is_none() || after.is_none() || key.table.info().index {
                guards.extend(key.table.guard_key(&key.bytes));
            }
            ops.push(match after {
                Some((version, json)) => Op::Put { key, version, json },
                None => Op::Delete(key),
            });
        }
        // Bumped without comparing: creations don't disturb each other, only those who scanned.
        ops.extend(guards.into_iter().map(|key| Op::Put { key, version: 1, json: Arc::from(&b"null"[..]) }));
        let cmps = self.seen.into_inner().into_values().collect();
        let commit = (!ops.is_empty()).then(|| Commit { txn: TxnId::fresh(), cmps, ops });
        Prepared { commit, seen, block: self.ids.block, taken: self.ids.taken }
    }
}

impl Write {
    /// The row as the transaction itself sees it.
    fn as_value(&self, rev: Rev) -> Option<Value> {
        let (version, json) = self.after.clone()?;
        let create = self.before.as_ref().map_or(rev.next(), |old| old.create);
        Some(Value { create, modified: rev.next(), version, json })
    }
}
