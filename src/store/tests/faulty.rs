//! A disk in memory that fails on demand, and loses writes that were not synced when the power goes.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use redb::StorageBackend;

use super::Random;

/// What has to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes and growth fail: the disk is full.
    Full,
    /// The next sync fails, though it has synced: its answer is lost.
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
    /// Writes and syncs so far.
    steps: u64,
    /// The step at which the power goes, and the seed of what is left then.
    cut: Option<(u64, u64)>,
    /// What was left.
    left: Option<Vec<u8>>,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>, Arc<Gate>);

/// Closed, it keeps syncs waiting.
#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl FaultyDisk {
    /// A disk with these contents, all of them durable.
    pub(crate) fn with(image: Vec<u8>) -> FaultyDisk {
        let state = State { live: image.clone(), durable: image, ..State::default() };
        FaultyDisk(Arc::new(Mutex::new(state)), Arc::default())
    }

    /// From now on this goes wrong, or nothing.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    /// What still has to go wrong.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.0.lock().unwrap().fault
    }

    /// What is on the disk for certain.
    pub(crate) fn durable(&self) -> Vec<u8> {
        self.0.lock().unwrap().durable.clone()
    }

    /// How often it was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    /// Writes and syncs so far.
    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    /// Lets the power go before this step; the disk goes on as if nothing was.
    pub(crate) fn cut_power_at(&self, step: u64, seed: u64) {
        self.0.lock().unwrap().cut = Some((step, seed));
    }

    /// What was left when the power went, if it did.
    pub(crate) fn left(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().left.clone()
    }

    /// Keeps syncs waiting, or lets them go on.
    pub(crate) fn hold_syncs(&self, hold: bool) {
        *self.1.closed.lock().unwrap() = hold;
        self.1.opened.notify_all();
    }
}

impl State {
    /// Counts a write or sync, and cuts the power before it when it is time.
    fn step(&mut self) {
        if let Some((at, seed)) = self.cut
            && at == self.steps
        {
            self.left = Some(self.after_power_cut(&mut Random::new(seed)));
        }
        self.steps += 1;
    }

    /// What a power cut now may leave: all that was synced, and of each later write any of its sectors.
    fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let mut image = self.durable.clone();
        for (offset, bytes) in &self.unsynced {
            for (index, sector) in bytes.chunks(512).enumerate() {
                let at = offset + index * 512;
                if random.below(2) == 0 {
                    image.resize(image.len().max(at + sector.len()), 0);
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
        let closed = self.1.closed.lock().unwrap();
        drop(self.1.opened.wait_while(closed, |closed| *closed).unwrap());
        let mut state = self.0.lock().unwrap();
        state.step();
        state.syncs += 1;
        state.durable = state.live.clone();
        state.unsynced.clear();
        match state.fault {
            Some(Fault::SyncAnswer) => {
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
        state.step();
        let end = offset + data.len();
        if state.live.len() < end {
            state.live.resize(end, 0);
        }
        state.live[offset..end].copy_from_slice(data);
        state.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}
