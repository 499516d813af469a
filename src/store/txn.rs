//! The words of the engine interface: revisions, values, comparisons, operations, outcomes.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::oneshot;

use super::key::Key;
use crate::order::Order;
use crate::{Error, Kind, Result};

/// The number of a commit; grows by one with each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Rev(pub u64);

impl Rev {
    /// The revision after this one.
    pub fn next(self) -> Rev {
        Rev(self.0 + 1)
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is kept below a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The revision that created the row.
    pub create: Rev,
    /// The revision that last changed it.
    pub modified: Rev,
    /// The version of the record it holds.
    pub version: u32,
    /// The record.
    pub json: Arc<[u8]>,
}

/// What must hold for a transaction to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cmp {
    /// The row was last changed at this revision.
    ModEq(Key, Rev),
    /// There is no such row.
    Absent(Key),
    /// The row was created at this revision: it is still the same thing, whatever changed in it.
    CreateEq(Key, Rev),
}

impl Cmp {
    /// The key that is compared.
    pub fn key(&self) -> &Key {
        match self {
            Cmp::ModEq(key, _) | Cmp::Absent(key) | Cmp::CreateEq(key, _) => key,
        }
    }

    /// Whether it holds for this row.
    pub fn holds(&self, row: Option<(Rev, Rev)>) -> bool {
        match (self, row) {
            (Cmp::Absent(_), None) => true,
            (Cmp::ModEq(_, rev), Some((_, modified))) => *rev == modified,
            (Cmp::CreateEq(_, rev), Some((create, _))) => *rev == create,
            _ => false,
        }
    }
}

/// One change. A transaction holds at most one for each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Create or replace a row.
    Put {
        /// Its key.
        key: Key,
        /// The version of the record.
        version: u32,
        /// The record.
        json: Arc<[u8]>,
    },
    /// Delete a row, if it is there.
    Delete(Key),
}

impl Op {
    /// The key that is changed.
    pub fn key(&self) -> &Key {
        match self {
            Op::Put { key, .. } | Op::Delete(key) => key,
        }
    }

    fn bytes(&self) -> usize {
        let json = if let Op::Put { json, .. } = self { json.len() } else { 0 };
        json + self.key().bytes.len()
    }
}

/// Names a transaction, so that its outcome can be asked for when the answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TxnId(pub u128);

impl TxnId {
    /// An id that no other transaction has: 64 random bits of this process and a count.
    pub fn fresh() -> TxnId {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let process = *PROCESS.get_or_init(|| RandomState::new().hash_one(std::process::id()));
        TxnId(u128::from(process) << 64 | u128::from(COUNT.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A transaction as an engine takes it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its name.
    pub txn: TxnId,
    /// What must hold.
    pub cmps: Vec<Cmp>,
    /// What is changed then.
    pub ops: Vec<Op>,
}

/// How big a transaction may be. etcd's limits are 128 and 1.5 MiB by default; ours leave room for an engine's own rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Operations, and as many comparisons.
    pub ops: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
}

/// The caps of every engine, so that nothing comes to depend on a more generous one.
pub const CAPS: Caps = Caps { ops: 120, bytes: 1 << 20 };

impl Commit {
    /// Refuses a transaction that is too big, or holds two operations for one key.
    pub fn check(&self, caps: Caps) -> Result<()> {
        let count = self.ops.len().max(self.cmps.len());
        if count > caps.ops {
            let text =
                format!("Failed writing to the database: {count} changes at once, at most {} are possible", caps.ops);
            return Err(Error::new(Kind::Invalid, text));
        }
        let bytes: usize = self.ops.iter().map(Op::bytes).sum();
        if bytes > caps.bytes {
            let text =
                format!("Failed writing to the database: {bytes} bytes at once, at most {} are possible", caps.bytes);
            return Err(Error::new(Kind::Invalid, text));
        }
        let mut keys: Vec<&Key> = self.ops.iter().map(Op::key).collect();
        keys.order();
        match keys.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(Error::internal("Failed writing to the database: two changes of one row")),
            false => Ok(()),
        }
    }

    /// Whether it must be on the disk before it is answered.
    pub fn durable(&self) -> bool {
        self.ops.iter().any(|op| op.key().table.info().durable)
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Applied, at this revision.
    Committed(Rev),
    /// A comparison did not hold; nothing was applied.
    Conflict,
    /// The answer was lost; ask by the transaction's id.
    Unknown,
}

/// An answer of an engine that may still be on its way. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Ticket<T>(Answer<T>);

#[derive(Debug)]
enum Answer<T> {
    Ready(Result<T>),
    Coming(oneshot::Receiver<Result<T>>),
}

impl<T> Ticket<T> {
    /// An answer that is there already.
    pub fn ready(answer: Result<T>) -> Ticket<T> {
        Ticket(Answer::Ready(answer))
    }

    /// An answer to come, and the sender that gives it.
    pub fn coming() -> (oneshot::Sender<Result<T>>, Ticket<T>) {
        let (sender, receiver) = oneshot::channel();
        (sender, Ticket(Answer::Coming(receiver)))
    }

    /// Waits for the answer.
    pub async fn wait(self) -> Result<T> {
        match self.0 {
            Answer::Ready(answer) => answer,
            Answer::Coming(receiver) => receiver.await.unwrap_or_else(|_| Err(stopped())),
        }
    }
}

/// The database is closed, or its writer has died.
pub(super) fn stopped() -> Error {
    Error::new(Kind::Unavailable, "Failed using the database: it is closed")
}
