//! A disk in memory that fails on demand, and loses writes that were not synced when the power goes.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::Random;

/// What has to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes and growth fail: the disk is full.
    Full,
    /// Syncs fail after having synced: the answer is lost.
    SyncAnswer,
}

#[derive(Debug, Default)]
struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync: offset and bytes.
    unsynced: Vec<(usize, Vec<u8>)>,
    fault: Option<Fault>,
    syncs: u64,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// A disk with these contents, all of them durable.
    pub(crate) fn with(image: Vec<u8>) -> FaultyDisk {
        FaultyDisk(Arc::new(Mutex::new(State { live: image.clone(), durable: image, ..State::default() })))
    }

    /// From now on this goes wrong, or nothing.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    /// How often it was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    /// What a power cut now may leave: all that was synced, and of each later write nothing, all, or some sectors.
    pub(crate) fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut image = state.durable.clone();
        for (offset, bytes) in &state.unsynced {
            for (index, sector) in bytes.chunks(512).enumerate() {
                let at = offset + index * 512;
                if random.below(2) == 0 {
                    if image.len() < at + sector.len() {
                        image.resize(at + sector.len(), 0);
                    }
                    image[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        image
    }
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.live.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.fault == Some(Fault::Full) && len > state.live.len() as u64 {
            return Err(full());
        }
        state.live.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.syncs += 1;
        state.durable = state.live.clone();
        state.unsynced.clear();
        match state.fault {
            Some(Fault::SyncAnswer) => {
                // Once: the sync after it is that of opening again.
                state.fault = None;
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        // The header is written in place even when the disk is full.
        if state.fault == Some(Fault::Full) && offset != 0 {
            return Err(full());
        }
        let end = offset + data.len();
        if state.live.len() < end {
            state.live.resize(end, 0);
        }
        state.live[offset..end].copy_from_slice(data);
        state.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}
