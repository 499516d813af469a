//! The file below redb, able to hold all writes back until the contents are known to be ours.
//!
//! Opening a database writes to it: it is marked as open, and after a crash repaired. A database of a newer lxbox must
//! be left alone byte for byte, and redb's own read-only mode refuses what a crash left behind. So redb opens the file
//! with writes kept in memory, the schema is looked at, and only then the writes are done, in their order.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// A locked file; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    held: Mutex<Option<Held>>,
}

/// Writes that are not done yet.
#[derive(Debug)]
struct Held {
    len: u64,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Disk {
    /// The file, written through. Fails when another process has it open.
    pub(super) fn new(file: File) -> io::Result<Disk> {
        match file.try_lock() {
            Ok(()) => Ok(Disk(Arc::new(Inner { file, held: Mutex::new(None) }))),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, "another daemon is using it"))
            }
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    /// The file, with all writes held back until [`Disk::release`].
    pub(super) fn held_back(file: File) -> io::Result<Disk> {
        let disk = Disk::new(file)?;
        let len = disk.0.file.metadata()?.len();
        if len == 0 {
            // redb would make a new database of it, and nobody would notice that the old one is gone.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
        }
        *disk.lock() = Some(Held { len, steps: Vec::new() });
        Ok(disk)
    }

    /// Does what was held back and holds nothing back any more.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut held = self.lock();
        for step in held.take().map(|held| held.steps).unwrap_or_default() {
            match step {
                Step::Write(offset, bytes) => self.0.file.write_all_at(&bytes, offset)?,
                Step::SetLen(len) => self.0.file.set_len(len)?,
                Step::Sync => self.0.file.sync_data()?,
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file as it will be after the steps.
    fn read_held(&self, held: &Held, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        if end > held.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let on_disk = self.0.file.metadata()?.len().saturating_sub(offset).min(out.len() as u64);
        self.0.file.read_exact_at(&mut out[..usize::try_from(on_disk).unwrap_or(usize::MAX)], offset)?;
        for step in &held.steps {
            match step {
                Step::Write(at, bytes) => overlay(out, offset, bytes, *at),
                // What a shrinking cuts off is zero when the file grows again.
                Step::SetLen(len) => {
                    let keep = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
                    out[keep..].fill(0);
                }
                Step::Sync => {}
            }
        }
        Ok(())
    }
}

/// Copies the part of `bytes` (which lie at `at`) that `out` (which lies at `offset`) covers.
fn overlay(out: &mut [u8], offset: u64, bytes: &[u8], at: u64) {
    let start = offset.max(at);
    let end = (offset + out.len() as u64).min(at + bytes.len() as u64);
    if start < end {
        let place = |origin: u64| usize::try_from(start - origin).unwrap_or(usize::MAX);
        let count = usize::try_from(end - start).unwrap_or(0);
        out[place(offset)..][..count].copy_from_slice(&bytes[place(at)..][..count]);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        match self.lock().as_ref() {
            Some(held) => Ok(held.len),
            None => Ok(self.0.file.metadata()?.len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.lock();
        match held.as_ref() {
            Some(held) => self.read_held(held, offset, out),
            None => {
                drop(held);
                self.0.file.read_exact_at(out, offset)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.lock().as_mut() {
            Some(held) => {
                held.len = len;
                held.steps.push(Step::SetLen(len));
                Ok(())
            }
            None => self.0.file.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut held = self.lock();
        match held.as_mut() {
            Some(held) => {
                held.steps.push(Step::Sync);
                Ok(())
            }
            None => {
                // Readers must not wait for the disk.
                drop(held);
                self.0.file.sync_data()
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut held = self.lock();
        match held.as_mut() {
            Some(held) => {
                held.len = held.len.max(offset + data.len() as u64);
                held.steps.push(Step::Write(offset, data.to_vec()));
                Ok(())
            }
            None => {
                drop(held);
                self.0.file.write_all_at(data, offset)
            }
        }
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.unlock()
    }

    /// The lock is taken by [`Disk::new`] and covers everything.
    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    /// Never asked for: the database is not opened read-only.
    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}
