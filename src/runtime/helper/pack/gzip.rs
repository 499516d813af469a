//! gzip on several threads: members of one mebibyte each, one behind the other, which every reader takes for one file (RFC 1952, 2.2).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::compress::Packed;

/// Bytes that one member holds.
const BLOCK: usize = 1 << 20;

/// A block to compress, and where the result goes.
type Job = (Vec<u8>, SyncSender<io::Result<Vec<u8>>>);

/// The writer.
pub(super) struct Gzip<W> {
    output: W,
    block: Vec<u8>,
    jobs: SyncSender<Job>,
    /// Results in the order of their blocks.
    results: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    /// How many blocks are under way at most.
    ahead: usize,
}

impl<W: Write> Gzip<W> {
    /// Starts the threads; they end with the writer.
    pub(super) fn start(output: W, level: u32, threads: usize) -> io::Result<Gzip<W>> {
        let ahead = threads * 2;
        let (jobs, queue) = sync_channel::<Job>(ahead);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = queue.clone();
            std::thread::Builder::new().name("gzip".into()).spawn(move || work(&queue, level))?;
        }
        Ok(Gzip { output, block: Vec::with_capacity(BLOCK), jobs, results: VecDeque::new(), ahead })
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let (done, result) = sync_channel(1);
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.jobs.send((block, done)).map_err(|_| lost())?;
        self.results.push_back(result);
        while self.results.len() > self.ahead {
            self.take()?;
        }
        Ok(())
    }

    /// Writes the next result; false when there is none to come.
    fn take(&mut self) -> io::Result<bool> {
        let Some(result) = self.results.pop_front() else { return Ok(false) };
        self.output.write_all(&result.recv().map_err(|_| lost())??)?;
        Ok(true)
    }
}

fn work(queue: &Mutex<Receiver<Job>>, level: u32) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((block, done)) = job else { return };
        let mut encoder = GzEncoder::new(Vec::with_capacity(block.len() / 2), Compression::new(level));
        let packed = encoder.write_all(&block).and_then(|()| encoder.finish());
        // Nobody waits for it when the writer has failed.
        let _ = done.send(packed);
    }
}

fn lost() -> io::Error {
    io::Error::other("a compressing thread ended")
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write> Packed for Gzip<W> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        // An empty file has one empty member.
        self.hand_over()?;
        while self.take()? {}
        self.output.flush()
    }
}
