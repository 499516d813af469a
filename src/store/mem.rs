//! The engine for tests: everything in memory, rules written down as plainly as possible.
//!
//! It is the model that the disk engine is compared with, so it shares no code with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::feed::{Batch, Event, Feed, Watch};
use super::key::{Key, Prefix};
use super::txn::{Commit, Op, Outcome, Rev, Ticket, TxnId, Value};
use super::{Snapshot, Store};
use crate::Result;

type Rows = BTreeMap<Key, Value>;

/// Rows in memory.
#[derive(Debug)]
pub struct MemStore {
    state: Mutex<State>,
    feed: Arc<Feed>,
}

#[derive(Debug, Default)]
struct State {
    rows: Arc<Rows>,
    rev: Rev,
    applied: VecDeque<(TxnId, Rev)>,
    #[cfg(test)]
    lose: Option<Lost>,
}

/// How the answer of the next commit gets lost (for tests of what happens then).
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    /// After it was applied.
    Applied,
    /// Before.
    Dropped,
}

impl Default for MemStore {
    fn default() -> MemStore {
        MemStore { state: Mutex::default(), feed: Arc::new(Feed::new(Rev(0))) }
    }
}

impl MemStore {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of the next commit will be [`Outcome::Unknown`].
    #[cfg(test)]
    pub(super) fn lose_next(&self, lost: Lost) {
        self.lock().lose = Some(lost);
    }

    fn apply(&self, commit: &Commit) -> Result<Outcome> {
        commit.check(self.caps())?;
        let mut state = self.lock();
        #[cfg(test)]
        let lost = state.lose.take();
        #[cfg(test)]
        if let Some(Lost::Dropped) = lost {
            return Ok(Outcome::Unknown);
        }
        let held = |key: &Key| state.rows.get(key).map(|value| (value.create, value.modified));
        if !commit.cmps.iter().all(|cmp| cmp.holds(held(cmp.key()))) {
            return Ok(Outcome::Conflict);
        }
        let rev = state.rev.next();
        state.rev = rev;
        let rows = Arc::make_mut(&mut state.rows);
        let events = commit.ops.iter().filter_map(|op| change(rows, op, rev)).collect();
        state.applied.push_back((commit.txn, rev));
        if state.applied.len() > 256 {
            state.applied.pop_front();
        }
        self.feed.publish(Batch { rev, events });
        #[cfg(test)]
        if lost.is_some() {
            return Ok(Outcome::Unknown);
        }
        Ok(Outcome::Committed(rev))
    }
}

fn change(rows: &mut Rows, op: &Op, rev: Rev) -> Option<Event> {
    match op {
        Op::Put { key, version, json } => {
            let create = rows.get(key).map_or(rev, |old| old.create);
            let value = Value { create, modified: rev, version: *version, json: Arc::clone(json) };
            rows.insert(key.clone(), value.clone());
            Some(Event { key: key.clone(), value: Some(value) })
        }
        Op::Delete(key) => {
            rows.remove(key)?;
            Some(Event { key: key.clone(), value: None })
        }
    }
}

impl Store for MemStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let state = self.lock();
        Ok(Box::new(MemSnapshot { rows: Arc::clone(&state.rows), rev: state.rev }))
    }

    fn commit(&self, commit: Commit) -> Ticket<Outcome> {
        Ticket::ready(self.apply(&commit))
    }

    fn resolve(&self, txn: TxnId) -> Ticket<Option<Rev>> {
        Ticket::ready(Ok(self.lock().applied.iter().find(|row| row.0 == txn).map(|row| row.1)))
    }

    fn watch(&self, prefix: Prefix, from: Rev) -> Watch {
        self.feed.watch(prefix, from)
    }
}

impl Drop for MemStore {
    fn drop(&mut self) {
        self.feed.close();
    }
}

struct MemSnapshot {
    rows: Arc<Rows>,
    rev: Rev,
}

impl Snapshot for MemSnapshot {
    fn rev(&self) -> Rev {
        self.rev
    }

    fn get(&self, key: &Key) -> Result<Option<Value>> {
        Ok(self.rows.get(key).cloned())
    }

    fn range(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>> {
        let rows = self.rows.iter().filter(|(key, _)| prefix.covers(key));
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
