//! The one thread that writes: takes all that is queued, applies it in one redb transaction, syncs once, answers all.
//!
//! A durable commit is one sync: redb's one-phase commit, whose slots and pages carry checksums. After it a crash costs
//! the next start a walk over the file (4 ms for a thousand instances). So a second after a commit the thread settles the
//! file: one commit with redb's quick repair, which takes two syncs and spares that walk, and brings to the disk what
//! need not be durable.
//!
//! After a write that failed (a full disk, a broken one) redb refuses to go on: the database is opened again at once,
//! so that readers see its last good state, and again before each later batch until that works.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redb::{Durability, WriteTransaction};
use tokio::sync::oneshot;

use super::super::feed::Batch;
use super::super::txn::{Commit, Outcome, Rev, TxnId, stopped};
use super::disk::Disk;
use super::rows::{self, TRANSACTIONS, failed, table_error};
use super::{Shared, snapshot_of};
use crate::{Ctx, Error, Kind, Result};

/// How long commits may stay unsettled.
const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// Transactions written at once; bounds how long the first waits for the others' work.
const MAX_BATCH: usize = 128;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Commit { commit: Commit, answer: oneshot::Sender<Result<Outcome>> },
    Resolve { txn: TxnId, answer: oneshot::Sender<Result<Option<Rev>>> },
}

type Waiting = (Commit, oneshot::Sender<Result<Outcome>>);

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The last revision that was committed.
    rev: Rev,
    /// The disk with the writes of opening held back, until this thread starts.
    held: Option<Disk>,
    /// When the file has to be settled; none when it is.
    settle_at: Option<Instant>,
    /// Whether the database has to be opened again first.
    broken: bool,
}

/// How a batch failed.
enum Failure {
    /// Certainly not applied.
    Before(Error),
    /// While the disk was being written.
    During(Error),
}

impl Writer {
    /// The writer of a database that was just opened, with the writes of opening it held back or not.
    pub(super) fn new(shared: Arc<Shared>, rev: Rev, held: Option<Disk>) -> Writer {
        Writer { shared, rev, held, settle_at: None, broken: false }
    }

    /// Serves jobs until nobody can send any more, then closes the database.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        if let Some(Err(e)) = self.held.take().map(|disk| disk.release()) {
            tracing::error!("Failed opening the database for writing: {e}");
            self.broken = true;
        }
        while let Some(first) = self.next(jobs) {
            let mut commits = Vec::new();
            let mut lookups = Vec::new();
            for job in std::iter::once(first).chain(jobs.try_iter().take(MAX_BATCH - 1)) {
                match job {
                    Job::Commit { commit, answer } => commits.push((commit, answer)),
                    Job::Resolve { txn, answer } => lookups.push((txn, answer)),
                }
            }
            if !commits.is_empty() {
                self.commit(commits);
            }
            for (txn, answer) in lookups {
                let _ = answer.send(self.resolve(txn));
            }
        }
        let database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(e)) = database.map(redb::Database::close) {
            tracing::error!("Failed closing the database: {e}");
        }
    }

    /// The next job; meanwhile settles what has waited long enough.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            let Some(settle_at) = self.settle_at else { return jobs.recv().ok() };
            match jobs.recv_timeout(settle_at.saturating_duration_since(Instant::now())) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.settle(),
            }
        }
    }

    fn commit(&mut self, batch: Vec<Waiting>) {
        let outcome = self.heal().map_err(Failure::Before).and_then(|()| self.write(&batch));
        let error = match outcome {
            Ok(outcomes) => {
                for ((_, answer), outcome) in batch.into_iter().zip(outcomes) {
                    // Nobody waits when the task that asked is gone; the commit stands.
                    let _ = answer.send(Ok(outcome));
                }
                return;
            }
            Err(error) => error,
        };
        let (error, before) = match error {
            Failure::Before(e) => (e, true),
            Failure::During(e) => (e, false),
        };
        tracing::error!("{}", error.chain());
        self.broken = true;
        let _ = self.heal();
        for (commit, answer) in batch {
            let again = Error::new(error.kind(), error.message());
            let _ = answer.send(if before { Err(again) } else { self.settled(commit.txn, again) });
        }
    }

    /// What became of a transaction whose write failed: applied after all, not applied for this error, or not to be told
    /// as long as the database can't be opened.
    fn settled(&mut self, txn: TxnId, error: Error) -> Result<Outcome> {
        match self.resolve(txn) {
            Ok(Some(rev)) => Ok(Outcome::Committed(rev)),
            Ok(None) => Err(error),
            Err(_) => Ok(Outcome::Unknown),
        }
    }

    /// Applies a batch and says what became of each transaction.
    fn write(&mut self, batch: &[Waiting]) -> Result<Vec<Outcome>, Failure> {
        let mut txn = self.begin().map_err(Failure::Before)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut changes = Vec::new();
        let mut durable = false;
        let mut rev = self.rev;
        for (commit, _) in batch {
            match apply(&txn, commit, rev.next()).map_err(Failure::Before)? {
                Some(change) => {
                    rev = rev.next();
                    durable |= commit.durable();
                    changes.push(change);
                    outcomes.push(Outcome::Committed(rev));
                }
                None => outcomes.push(Outcome::Conflict),
            }
        }
        if changes.is_empty() {
            txn.abort().map_err(|e| Failure::Before(failed(&e)))?;
            return Ok(outcomes);
        }
        if !durable {
            txn.set_durability(Durability::None).map_err(|e| Failure::Before(failed(&e)))?;
        }
        txn.commit().map_err(|e| Failure::During(failed(&e)))?;
        tracing::trace!(?rev, transactions = batch.len(), durable, "Committed");
        self.rev = rev;
        self.settle_at.get_or_insert_with(|| Instant::now() + SETTLE_AFTER);
        for change in changes {
            self.shared.feed.publish(change);
        }
        Ok(outcomes)
    }

    fn begin(&self) -> Result<WriteTransaction> {
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
        database.as_ref().ok_or_else(stopped)?.begin_write().map_err(|e| failed(&e))
    }

    /// Brings to the disk what stayed in memory, and what opening after a crash needs to be quick.
    fn settle(&mut self) {
        self.settle_at = None;
        let done = self.begin().and_then(|mut txn| {
            txn.set_quick_repair(true);
            txn.commit().map_err(|e| failed(&e))
        });
        if let Err(e) = done {
            tracing::error!("{}", e.chain());
            self.broken = true;
            let _ = self.heal();
        }
    }

    /// Opens the database again after a failed write.
    fn heal(&mut self) -> Result<()> {
        if !self.broken {
            return Ok(());
        }
        let mut database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner);
        // Closing reports the failure again that brought us here.
        let _ = database.take().map(redb::Database::close);
        let (opened, held) = self.shared.medium.open(|_| Ok(()))?;
        if let Some(disk) = held {
            disk.release().ctx(Kind::Unavailable, || "Failed opening the database for writing")?;
        }
        let found = snapshot_of(&opened)?.rev;
        *database = Some(opened);
        drop(database);
        if found != self.rev {
            // A commit of unknown outcome was applied after all, or one that was only in memory is lost.
            self.rev = found;
            self.shared.feed.restart(found);
        }
        self.broken = false;
        self.settle_at = None;
        Ok(())
    }

    fn resolve(&mut self, txn: TxnId) -> Result<Option<Rev>> {
        self.heal()?;
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let read =
            redb::ReadableDatabase::begin_read(database.as_ref().ok_or_else(stopped)?).map_err(|e| failed(&e))?;
        rows::find(&read.open_table(TRANSACTIONS).map_err(|e| table_error(&e))?, txn)
    }
}

/// Applies a transaction if its comparisons hold.
fn apply(txn: &WriteTransaction, commit: &Commit, rev: Rev) -> Result<Option<Batch>> {
    for cmp in &commit.cmps {
        if !cmp.holds(rows::revisions(txn, cmp.key())?) {
            return Ok(None);
        }
    }
    let mut events = Vec::with_capacity(commit.ops.len());
    for op in &commit.ops {
        events.extend(rows::apply(txn, op, rev)?);
    }
    rows::remember(txn, commit.txn, rev)?;
    Ok(Some(Batch { rev, events }))
}
