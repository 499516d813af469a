//! The database as services see it: views, transactions that run again on conflict, watches.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::key::Prefix;
use super::repo;
use super::tx::{IdPool, Ids, Prepared, Tx, View};
use super::txn::{Outcome, Rev};
use super::{MemStore, RedbStore, Store, Watch, schema};
use crate::{Error, Kind, Result};

/// How often a transaction is tried.
const ATTEMPTS: u32 = 100;

/// The database; clones are the same one. It is closed when the last is dropped, which blocks until all is on the disk.
#[derive(Clone)]
pub struct Db {
    store: Arc<dyn Store>,
    ids: Arc<IdPool>,
}

impl Db {
    /// Opens the database in this file, making it (mode 0600) if there is none. Blocks.
    ///
    /// A new database gets the project and the profile `default`. One that a newer lxbox has written is refused with
    /// [`Kind::Unsupported`] and stays as it is, byte for byte.
    pub fn open(path: &Path) -> Result<Db> {
        Db::start(Arc::new(RedbStore::open(path)?))
    }

    /// A database in memory, for tests.
    pub fn memory() -> Result<Db> {
        Db::start(Arc::new(MemStore::default()))
    }

    pub(super) fn start(store: Arc<dyn Store>) -> Result<Db> {
        let db = Db { store, ids: Arc::default() };
        db.transact_blocking(|tx| match schema::stamp(tx)? {
            true => repo::first_rows(tx),
            false => Ok(()),
        })?;
        Ok(db)
    }

    /// Reads from one consistent view of the local state. Never waits for a write.
    ///
    /// Reads that miss the cache go to the disk, so long scans belong into blocking code.
    pub fn view<T>(&self, read: impl FnOnce(&View) -> Result<T>) -> Result<T> {
        read(&View { snapshot: self.store.snapshot()? })
    }

    /// Runs `change` and commits what it wrote, if all it read still holds; else runs it again.
    ///
    /// `change` may run many times, so it must have no effect beside the transaction. Its error ends the transaction,
    /// with nothing written. Returns with the local view at the revision or beyond. Dropping the future takes nothing
    /// back that was sent already. Fails with [`Kind::Busy`] when others were faster every time, and with
    /// [`Kind::Unavailable`] when the disk refused.
    pub fn transact<'a, T: Send + 'a>(
        &'a self,
        mut change: impl FnMut(&mut Tx) -> Result<T> + Send + 'a,
    ) -> impl Future<Output = Result<(T, Rev)>> + Send {
        let slot = Arc::new(Mutex::new(None));
        let theirs = slot.clone();
        let keep = move |tx: &mut Tx| change(tx).map(|made| *lock(&theirs) = Some(made));
        made(self.run_sleeping(Box::new(keep)), slot)
    }

    /// Once for all changes, as [`Db::run`].
    async fn run_sleeping(&self, mut change: Change<'_>) -> Result<Rev> {
        self.run(&mut change, &|pause| Box::pin(tokio::time::sleep(pause))).await
    }

    /// [`Db::transact`] for threads that may block; needs no runtime.
    pub fn transact_blocking<T: Send>(&self, mut change: impl FnMut(&mut Tx) -> Result<T> + Send) -> Result<(T, Rev)> {
        let mut value = None;
        let mut keep = |tx: &mut Tx| change(tx).map(|made| value = Some(made));
        let sleep = |pause| -> Pause {
            std::thread::sleep(pause);
            Box::pin(std::future::ready(()))
        };
        let rev = block_on(self.run(&mut keep, &sleep))?;
        Ok((value.ok_or_else(unchanged)?, rev))
    }

    /// Once for all changes, whatever they give.
    async fn run(
        &self,
        change: &mut (dyn FnMut(&mut Tx) -> Result<()> + Send),
        sleep: &(dyn Fn(Duration) -> Pause + Sync),
    ) -> Result<Rev> {
        let mut ids = Vec::new();
        for attempt in 0..ATTEMPTS {
            let started = Instant::now();
            let prepared = self.prepare(ids, change)?;
            let Some(commit) = prepared.commit else { return Ok(prepared.seen) };
            let txn = commit.txn;
            let outcome = match self.store.commit(commit).wait().await? {
                Outcome::Unknown => settled(self.store.resolve(txn).wait().await?)?,
                known => known,
            };
            if let Outcome::Committed(rev) = outcome {
                if !prepared.block.is_empty() {
                    self.ids.refill(prepared.block);
                }
                return Ok(rev);
            }
            ids = prepared.taken;
            sleep(pause(attempt, started.elapsed())).await;
        }
        Err(Error::new(Kind::Busy, "Failed writing to the database: too many changes of the same thing at once"))
    }

    fn prepare(&self, ids: Vec<u64>, change: &mut dyn FnMut(&mut Tx) -> Result<()>) -> Result<Prepared> {
        let mut tx = Tx::new(self.store.snapshot()?, Ids::new(&self.ids, ids));
        change(&mut tx)?;
        Ok(tx.prepare())
    }

    /// Changes below a prefix from revision `from` on, in commit order.
    ///
    /// To follow without a gap: read a view, then watch from the revision after [`View::rev`].
    pub fn watch(&self, prefix: Prefix, from: Rev) -> Watch {
        self.store.watch(prefix, from)
    }
}

/// What a change has made, once it is committed.
async fn made<T>(committed: impl Future<Output = Result<Rev>>, slot: Arc<Mutex<Option<T>>>) -> Result<(T, Rev)> {
    let rev = committed.await?;
    let value = lock(&slot).take();
    Ok((value.ok_or_else(unchanged)?, rev))
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

type Change<'a> = Box<dyn FnMut(&mut Tx) -> Result<()> + Send + 'a>;

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// For a transaction that was committed without having run: there is none.
fn unchanged() -> Error {
    Error::internal("A transaction has made nothing")
}

/// What a lost answer has turned out to be.
fn settled(applied: Option<Rev>) -> Result<Outcome> {
    match applied {
        Some(rev) => Ok(Outcome::Committed(rev)),
        None => Err(Error::new(Kind::Unavailable, "Failed writing to the database: the disk did not take it")),
    }
}

/// How long to step back after a conflict: a random part of a time that doubles with each attempt, as on a shared wire.
/// Measured in attempts' own duration, so that it fits fast and slow disks.
fn pause(attempt: u32, took: Duration) -> Duration {
    let most = took.min(Duration::from_millis(5)) * (2 << attempt.min(4));
    let random = RandomState::new().hash_one(attempt) >> 32;
    most.mul_f64(random as f64 / f64::from(u32::MAX))
}

/// Runs a future on this thread, which sleeps meanwhile. Works in and outside of a runtime.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
