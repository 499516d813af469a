//! The fingerprint of an image that is still coming: SHA-256 on a thread of its own, which takes longer than all the rest.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use ring::digest::{Context, SHA256};

use crate::error::{Ctx, Error, Kind, Result};

/// Blocks that may wait for the hash; the writer waits then.
const QUEUE: usize = 16;

/// A hash in the making. Dropped, its thread ends with what it has.
pub(super) struct Hashing {
    blocks: SyncSender<Vec<u8>>,
    thread: JoinHandle<String>,
}

impl Hashing {
    pub(super) fn begin() -> Result<Hashing> {
        let (blocks, queue) = sync_channel::<Vec<u8>>(QUEUE);
        let work = move || {
            let mut hash = Context::new(&SHA256);
            queue.iter().for_each(|block| hash.update(&block));
            hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let thread = std::thread::Builder::new().name("image-hash".into()).spawn(work);
        Ok(Hashing { blocks, thread: thread.ctx(Kind::Internal, || "Failed starting a thread")? })
    }

    /// Takes the next bytes. Blocks while the hash is behind.
    pub(super) fn update(&self, block: Vec<u8>) -> Result<()> {
        self.blocks.send(block).map_err(|_| Error::internal("Failed hashing an image"))
    }

    /// All bytes were given: 64 hex digits. Blocks.
    pub(super) fn finish(self) -> Result<String> {
        drop(self.blocks);
        self.thread.join().map_err(|_| Error::internal("Failed hashing an image"))
    }
}
