//! What must last: projects, profiles, instances, images, pools, volumes, warnings and server configuration.
//!
//! Three layers, each knowing only the one below:
//!
//! ```text
//! repo::*   small typed functions: by_name, insert, rename, used_by …      <- handlers and services
//! Db        view (consistent read), transact (retried on conflict), watch
//! Store     get, range, compare-and-commit, watch, caps                    <- redb (disk), mem (tests)
//! ```
//!
//! The shape of [`Store`] is that of a distributed engine on purpose: one can take redb's place without a change
//! above. So transactions are small ([`Caps`]), reads are checked by comparisons when the transaction commits, and
//! "nothing of that sort exists" is checked through guard keys ([`tables::Guard`]).
//!
//! Reads are served from the last committed state and never wait for a write to reach the disk. A commit is answered
//! after the local view has reached its revision.

mod db;
mod feed;
mod key;
mod mem;
pub mod records;
mod redb;
pub mod repo;
mod schema;
pub mod tables;
#[cfg(test)]
mod tests;
mod tx;
mod txn;

pub use db::Db;
pub use feed::{Batch, Event, Watch};
pub use key::{AsKey, Key, KeyBytes, Prefix};
pub use mem::MemStore;
pub use records::Record;
pub use redb::RedbStore;
pub use tables::Table;
pub use tx::{Read, Tx, View};
pub use txn::{CAPS, Caps, Cmp, Commit, Op, Outcome, Rev, Ticket, TxnId, Value};

use crate::Result;

/// A consistent view of all rows at one revision; later commits do not show in it.
pub trait Snapshot {
    /// The last revision in this view.
    fn rev(&self) -> Rev;

    /// The row of this key. May read from disk, never waits for a write.
    fn get(&self, key: &Key) -> Result<Option<Value>>;

    /// The rows below a prefix, in the order of their keys.
    fn range(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>>;
}

/// An engine that keeps rows: ordered keys, values with revisions, compare-and-commit.
pub trait Store: Send + Sync {
    /// The state as of the last commit that was answered, or a later one.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>>;

    /// One row of the newest view.
    fn get(&self, key: &Key) -> Result<Option<Value>> {
        self.snapshot()?.get(key)
    }

    /// The rows below a prefix in the newest view.
    fn range(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>> {
        self.snapshot()?.range(prefix)
    }

    /// Applies all operations at one new revision if every comparison holds.
    ///
    /// An error means: certainly not applied (a transaction beyond [`Store::caps`], a disk that is full).
    /// [`Outcome::Unknown`] is settled by [`Store::resolve`].
    fn commit(&self, commit: Commit) -> Ticket<Outcome>;

    /// Whether the transaction of this id was applied, and at which revision.
    ///
    /// After `None` it never will be. Only recent transactions are known (at least 256).
    fn resolve(&self, txn: TxnId) -> Ticket<Option<Rev>>;

    /// Changes below a prefix from revision `from` on, one batch a revision, in order.
    fn watch(&self, prefix: Prefix, from: Rev) -> Watch;

    /// How big a transaction may be.
    fn caps(&self) -> Caps {
        CAPS
    }
}
