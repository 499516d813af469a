//! Changes in commit order, for whoever watches: a bounded memory of recent batches, read at each watcher's own pace.
//!
//! A watcher holds no queue: it reads the shared memory and learns by an error that it has fallen behind, upon which
//! it reads everything anew. So a slow one costs nothing and blocks nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::key::{Key, Prefix};
use super::txn::{Rev, Value, stopped};
use crate::{Error, Kind, Result};

/// Batches kept.
const KEEP_BATCHES: usize = 1024;
/// Bytes of records kept.
const KEEP_BYTES: usize = 512 << 10;

/// A row that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its key.
    pub key: Key,
    /// What it is now; none when it was deleted.
    pub value: Option<Value>,
}

/// All rows that changed in one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The commit.
    pub rev: Rev,
    /// The rows, ordered as in the transaction.
    pub events: Vec<Event>,
}

/// The memory of one engine.
#[derive(Debug)]
pub(super) struct Feed {
    recent: Mutex<Recent>,
    reached: watch::Sender<Rev>,
}

#[derive(Debug)]
struct Recent {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    /// The last revision that is no longer kept.
    floor: Rev,
    /// How often it started over.
    starts: u64,
    closed: bool,
}

impl Feed {
    /// An empty memory of an engine that stands at `rev`.
    pub(super) fn new(rev: Rev) -> Feed {
        let recent = Recent { batches: VecDeque::new(), bytes: 0, floor: rev, starts: 0, closed: false };
        Feed { recent: Mutex::new(recent), reached: watch::Sender::new(rev) }
    }

    /// Adds the batch of the next revision.
    pub(super) fn publish(&self, batch: Batch) {
        let rev = batch.rev;
        let mut recent = self.lock();
        recent.bytes += batch.weight();
        recent.batches.push_back(Arc::new(batch));
        while recent.batches.len() > KEEP_BATCHES || recent.bytes > KEEP_BYTES && recent.batches.len() > 1 {
            let Some(oldest) = recent.batches.pop_front() else { break };
            recent.bytes -= oldest.weight();
            recent.floor = oldest.rev;
        }
        drop(recent);
        self.reached.send_replace(rev);
    }

    /// Starts over at `rev`, after what happened since the last batch is not known: every watcher has to read anew.
    pub(super) fn restart(&self, rev: Rev) {
        let mut recent = self.lock();
        recent.batches.clear();
        recent.bytes = 0;
        recent.floor = rev;
        recent.starts += 1;
        drop(recent);
        self.reached.send_replace(rev);
    }

    /// Wakes all watchers with an error: nothing comes any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.reached.send_modify(|_| ());
    }

    /// A watcher from revision `from` on.
    pub(super) fn watch(self: &Arc<Feed>, prefix: Prefix, from: Rev) -> Watch {
        let starts = self.lock().starts;
        Watch { feed: Arc::clone(self), starts, reached: self.reached.subscribe(), prefix, next: from.max(Rev(1)) }
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn weight(&self) -> usize {
        self.events.iter().map(|e| e.key.bytes.len() + e.value.as_ref().map_or(0, |v| v.json.len())).sum()
    }
}

/// Somebody who follows the changes below a prefix.
#[derive(Debug)]
pub struct Watch {
    feed: Arc<Feed>,
    starts: u64,
    reached: watch::Receiver<Rev>,
    prefix: Prefix,
    next: Rev,
}

impl Watch {
    /// The next batch that changes something below the prefix. Cancelling it loses nothing.
    ///
    /// Fails with [`Kind::Conflict`] when changes were missed (read everything and watch anew), and with
    /// [`Kind::Unavailable`] when the database is closed.
    pub async fn next(&mut self) -> Result<Batch> {
        loop {
            self.reached.borrow_and_update();
            if let Some(batch) = self.take()? {
                return Ok(batch);
            }
            self.reached.changed().await.map_err(|_| stopped())?;
        }
    }

    /// The next batch if it is there already; errors as [`Watch::next`].
    pub fn take(&mut self) -> Result<Option<Batch>> {
        let recent = self.feed.lock();
        if self.next <= recent.floor || self.starts != recent.starts {
            let text = format!("Failed following the database: what happened in revision {} is not known", self.next);
            return Err(Error::new(Kind::Conflict, text));
        }
        let skip = usize::try_from(self.next.0 - recent.floor.0 - 1).unwrap_or(usize::MAX);
        for batch in recent.batches.iter().skip(skip) {
            self.next = batch.rev.next();
            let events: Vec<Event> = batch.events.iter().filter(|e| self.prefix.covers(&e.key)).cloned().collect();
            if !events.is_empty() {
                return Ok(Some(Batch { rev: batch.rev, events }));
            }
        }
        match recent.closed {
            true => Err(stopped()),
            false => Ok(None),
        }
    }
}
