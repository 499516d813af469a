//! The engine on disk: one redb file, opened in place, written by one thread.
//!
//! ```text
//! commit() ─► queue ─► writer thread: begin, check and apply each, one fsync for all ─► feed ─► answers
//! snapshot() ─► redb read transaction (the last finished commit; waits for no fsync)
//! ```
//!
//! Beside the tables of the catalogue the file has `transactions`: the newest revision, and for each of the last 256
//! transactions its id and revision, which settles what became of a commit whose answer was lost.

mod disk;
mod rows;
mod writer;

use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use redb::{Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, StorageBackend, TableError};

use self::disk::Disk;
use self::rows::{TRANSACTIONS, definition, table_error};
use self::writer::{Job, Writer};
use super::feed::{Feed, Watch};
use super::key::{Key, Prefix};
use super::tables::TABLES;
#[cfg(test)]
use super::tests::faulty::FaultyDisk;
use super::txn::{Commit, Outcome, Rev, Ticket, TxnId, Value, stopped};
use super::{Snapshot, Store, schema};
use crate::{Ctx, Error, Kind, Result};

/// Memory for pages. Everything a daemon with a thousand instances keeps fits in it.
const CACHE_BYTES: usize = 8 << 20;

/// Rows in a redb file.
#[derive(Debug)]
pub struct RedbStore {
    shared: Arc<Shared>,
    jobs: Mutex<Option<Sender<Job>>>,
    writer: Option<JoinHandle<()>>,
}

/// What readers and the writer thread share.
#[derive(Debug)]
struct Shared {
    /// None while a database that failed is not open again.
    database: RwLock<Option<Database>>,
    feed: Arc<Feed>,
    medium: Medium,
}

/// Where the database lies, to open it again after a failed write.
#[derive(Debug)]
enum Medium {
    File(PathBuf),
    #[cfg(test)]
    Test(FaultyDisk),
}

impl Medium {
    /// Opens the database if `accept` likes what is in it. Writes nothing: that is to be done by releasing the disk.
    fn open(&self, accept: impl Fn(&Database) -> Result<()>) -> Result<(Database, Option<Disk>)> {
        match self {
            Medium::File(path) => {
                let name = || format!("Failed opening the database {path:?}");
                let file = OpenOptions::new().read(true).write(true).open(path).ctx(Kind::Internal, name)?;
                let disk = Disk::held_back(file).ctx(Kind::Internal, name)?;
                let database = build(disk.clone()).map_err(|e| Error::new(e.kind(), format!("{}: {e}", name())))?;
                accept(&database).map_err(|e| Error::new(e.kind(), format!("{}: {e}", name())))?;
                Ok((database, Some(disk)))
            }
            #[cfg(test)]
            Medium::Test(disk) => {
                let database = build(disk.clone())?;
                accept(&database)?;
                Ok((database, None))
            }
        }
    }
}

/// Opens a database on this backend, or makes one there.
fn build(backend: impl StorageBackend) -> Result<Database> {
    let open = || Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend);
    // redb may panic over a file that something else has damaged; that must not take the daemon's start with it.
    match std::panic::catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(e)) => Err(Error::internal(e.to_string())),
        Err(_) => Err(Error::internal("the file is damaged")),
    }
}

impl RedbStore {
    /// Opens the database in this file, making it if there is none. Blocks.
    ///
    /// A database written by a newer lxbox is refused with [`Kind::Unsupported`] and left as it is, byte for byte.
    pub fn open(path: &Path) -> Result<RedbStore> {
        if !path.try_exists().ctx(Kind::Internal, || format!("Failed looking for the database {path:?}"))? {
            create(path).ctx(Kind::Internal, || format!("Failed creating the database {path:?}"))?;
        }
        RedbStore::start(Medium::File(path.to_owned()))
    }

    #[cfg(test)]
    pub(super) fn on(disk: FaultyDisk) -> Result<RedbStore> {
        RedbStore::start(Medium::Test(disk))
    }

    fn start(medium: Medium) -> Result<RedbStore> {
        let (database, held) = medium.open(|database| schema::check(&snapshot_of(database)?))?;
        let rev = snapshot_of(&database)?.rev;
        let feed = Arc::new(Feed::new(rev));
        let shared = Arc::new(Shared { database: RwLock::new(Some(database)), feed, medium });
        let (sender, jobs) = channel();
        let writer = Writer::new(Arc::clone(&shared), rev, held);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || writer.run(&jobs));
        let thread = thread.ctx(Kind::Internal, || "Failed starting the database writer")?;
        Ok(RedbStore { shared, jobs: Mutex::new(Some(sender)), writer: Some(thread) })
    }

    fn send(&self, job: Job) {
        // A job that nobody takes drops its answer's sender, which the ticket reports.
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = jobs.as_ref() {
            let _ = sender.send(job);
        }
    }
}

/// Makes an empty database: beside its place and renamed into it, so that there is never half a one.
fn create(path: &Path) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&fresh)?;
    let database = build(Disk::unsynced(file.try_clone()?)?).map_err(io::Error::other)?;
    database.close().map_err(io::Error::other)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl Store for RedbStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.shared.snapshot()?))
    }

    fn commit(&self, commit: Commit) -> Ticket<Outcome> {
        if let Err(e) = commit.check(self.caps()) {
            return Ticket::ready(Err(e));
        }
        let (answer, ticket) = Ticket::coming();
        self.send(Job::Commit { commit, answer });
        ticket
    }

    fn resolve(&self, txn: TxnId) -> Ticket<Option<Rev>> {
        let (answer, ticket) = Ticket::coming();
        self.send(Job::Resolve { txn, answer });
        ticket
    }

    fn watch(&self, prefix: Prefix, from: Rev) -> Watch {
        self.shared.feed.watch(prefix, from)
    }
}

impl Drop for RedbStore {
    /// Writes what is queued, closes the file and waits for that.
    fn drop(&mut self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.writer.take() {
            // A writer that panicked has said so on standard error; the file is as after a crash.
            let _ = thread.join();
        }
        self.shared.feed.close();
    }
}

impl Shared {
    fn snapshot(&self) -> Result<RedbSnapshot> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        snapshot_of(database.as_ref().ok_or_else(stopped)?)
    }
}

fn snapshot_of(database: &Database) -> Result<RedbSnapshot> {
    let txn = database.begin_read().map_err(|e| rows::failed(&e))?;
    let rev = match txn.open_table(TRANSACTIONS) {
        Ok(table) => rows::newest(&table)?,
        Err(TableError::TableDoesNotExist(_)) => Rev(0),
        Err(e) => return Err(table_error(&e)),
    };
    Ok(RedbSnapshot { txn, rev, tables: Default::default() })
}

type ReadTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A redb read transaction; tables are opened when first read.
struct RedbSnapshot {
    txn: ReadTransaction,
    rev: Rev,
    tables: [OnceCell<Option<ReadTable>>; TABLES.len()],
}

impl RedbSnapshot {
    /// The table, or none if nothing was ever written to it.
    fn table(&self, index: usize) -> Result<Option<&ReadTable>> {
        let Some(cell) = self.tables.get(index) else { return Ok(None) };
        if cell.get().is_none() {
            let table = match self.txn.open_table(definition(TABLES[index].table)) {
                Ok(table) => Some(table),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(e) => return Err(table_error(&e)),
            };
            let _ = cell.set(table);
        }
        Ok(cell.get().and_then(Option::as_ref))
    }
}

impl Snapshot for RedbSnapshot {
    fn rev(&self) -> Rev {
        self.rev
    }

    fn get(&self, key: &Key) -> Result<Option<Value>> {
        let Some(table) = self.table(key.table as usize)? else { return Ok(None) };
        let row = table.get(key.bytes.as_slice()).map_err(|e| rows::failed(&e))?;
        row.map(|row| rows::decode(row.value())).transpose()
    }

    fn range(&self, prefix: &Prefix) -> Result<Vec<(Key, Value)>> {
        let mut found = Vec::new();
        for info in TABLES.iter().filter(|info| prefix.table.is_none_or(|t| t == info.table)) {
            let Some(table) = self.table(info.table as usize)? else { continue };
            for row in table.range(prefix.bytes.as_slice()..).map_err(|e| rows::failed(&e))? {
                let (key, value) = row.map_err(|e| rows::failed(&e))?;
                if !key.value().starts_with(&prefix.bytes) {
                    break;
                }
                found.push((Key { table: info.table, bytes: key.value().to_vec() }, rows::decode(value.value())?));
            }
        }
        Ok(found)
    }
}
