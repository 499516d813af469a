//! The file below redb, able to hold all writes back until the contents are known to be ours.
//!
//! Opening a database writes to it: it is marked as open, and after a crash repaired. A database of a newer lxbox must
//! be left alone byte for byte, and redb's own read-only mode refuses what a crash left behind. So redb opens the file
//! with writes kept in memory, the schema is looked at, and only then the writes are done, in their order. That is left
//! to the writer thread, so that a daemon's start waits for no sync.

use std::collections::VecDeque;
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
    mode: Mutex<Mode>,
}

#[derive(Debug)]
enum Mode {
    /// Writes go to the file.
    Through,
    /// Writes go to the file and syncs nowhere: it is being made, and is synced as a whole.
    Unsynced,
    /// Writes wait.
    Held(Held),
    /// Doing what was held back has failed half way. Nothing more may be written, as after a crash.
    Failed,
}

/// Writes that are not done yet.
#[derive(Debug)]
struct Held {
    len: u64,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

fn failed() -> io::Error {
    io::Error::other("an earlier write has failed")
}

impl Disk {
    /// The file, all of whose writes are held back until [`Disk::release`]. Fails when another process has it open.
    pub(super) fn held_back(file: File) -> io::Result<Disk> {
        let len = file.metadata()?.len();
        if len == 0 {
            // redb would make a new database of it, and nobody would notice that the old one is gone.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
        }
        Disk::locked(file, Mode::Held(Held { len, steps: VecDeque::new() }))
    }

    /// A new file, which the caller syncs when it is complete.
    pub(super) fn unsynced(file: File) -> io::Result<Disk> {
        Disk::locked(file, Mode::Unsynced)
    }

    fn locked(file: File, mode: Mode) -> io::Result<Disk> {
        match file.try_lock() {
            Ok(()) => Ok(Disk(Arc::new(Inner { file, mode: Mutex::new(mode) }))),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, "another daemon is using it"))
            }
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    /// Does what was held back and holds nothing back any more. Others may read meanwhile, and don't wait for syncs.
    pub(super) fn release(&self) -> io::Result<()> {
        let done = self.do_steps();
        if done.is_err() {
            *self.lock() = Mode::Failed;
        }
        done
    }

    fn do_steps(&self) -> io::Result<()> {
        loop {
            let mut mode = self.lock();
            let Mode::Held(held) = &mut *mode else { return Ok(()) };
            match held.steps.front() {
                Some(Step::Write(offset, bytes)) => self.0.file.write_all_at(bytes, *offset)?,
                Some(Step::SetLen(len)) => self.0.file.set_len(*len)?,
                Some(Step::Sync) => {
                    held.steps.pop_front();
                    drop(mode);
                    self.0.file.sync_data()?;
                    continue;
                }
                None => {
                    *mode = Mode::Through;
                    return Ok(());
                }
            }
            held.steps.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mode> {
        self.0.mode.lock().unwrap_or_else(PoisonError::into_inner)
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
        match &*self.lock() {
            Mode::Held(held) => Ok(held.len),
            Mode::Through | Mode::Unsynced => Ok(self.0.file.metadata()?.len()),
            Mode::Failed => Err(failed()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mode = self.lock();
        match &*mode {
            Mode::Held(held) => self.read_held(held, offset, out),
            Mode::Through | Mode::Unsynced => {
                drop(mode);
                self.0.file.read_exact_at(out, offset)
            }
            Mode::Failed => Err(failed()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match &mut *self.lock() {
            Mode::Held(held) => {
                held.len = len;
                held.steps.push_back(Step::SetLen(len));
                Ok(())
            }
            Mode::Through | Mode::Unsynced => self.0.file.set_len(len),
            Mode::Failed => Err(failed()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut mode = self.lock();
        match &mut *mode {
            Mode::Held(held) => {
                held.steps.push_back(Step::Sync);
                Ok(())
            }
            Mode::Through => {
                // Readers must not wait for the disk.
                drop(mode);
                self.0.file.sync_data()
            }
            Mode::Unsynced => Ok(()),
            Mode::Failed => Err(failed()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut mode = self.lock();
        match &mut *mode {
            Mode::Held(held) => {
                held.len = held.len.max(offset + data.len() as u64);
                held.steps.push_back(Step::Write(offset, data.to_vec()));
                Ok(())
            }
            Mode::Through | Mode::Unsynced => {
                drop(mode);
                self.0.file.write_all_at(data, offset)
            }
            Mode::Failed => Err(failed()),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.unlock()
    }

    /// The lock is taken with the file and covers everything.
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
