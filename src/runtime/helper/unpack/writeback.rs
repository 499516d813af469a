//! Has what is written on its way to the disk while more is unpacked, so that little is left to wait for at the end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes after which the disk is given something to do.
const STEP: u64 = 32 << 20;

/// Writes a file system out, again and again, on a thread of its own.
pub(super) struct Writeback {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
    whole: File,
    /// Bytes at which it is woken next.
    next: u64,
}

impl Writeback {
    /// Starts the thread for the file system that the descriptor is on.
    pub(super) fn start(whole: OwnedFd) -> io::Result<Writeback> {
        let whole = File::from(whole);
        let own = whole.try_clone()?;
        let (wake, woken) = sync_channel(1);
        let thread = thread::Builder::new().name("writeback".into()).spawn(move || {
            while woken.recv().is_ok() {
                // A failure is told once for each open file: it must not be lost.
                rustix::fs::syncfs(&own)?;
            }
            Ok(())
        })?;
        Ok(Writeback { wake, thread, whole, next: STEP })
    }

    /// So many bytes have been written until now.
    pub(super) fn written(&mut self, bytes: u64) {
        if bytes >= self.next {
            self.next = bytes + STEP;
            // When it is still at the last ones, it comes to these with the next.
            let _ = self.wake.try_send(());
        }
    }

    /// Waits until everything is on the disk. Fails with the first failure since the start.
    pub(super) fn finish(self) -> io::Result<()> {
        drop(self.wake);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed")))?;
        Ok(rustix::fs::syncfs(&self.whole)?)
    }
}
