//! Descriptors watched by the async runtime, where tokio has no type of its own (packet sockets, pidfds, terminals).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A watched descriptor. It can't be taken out or exchanged, which is what tokio's registration relies on.
#[derive(Debug)]
pub struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Watches a descriptor that can be polled, for reading and writing. An error outside the async runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Watch> {
        Watch::with(fd, Interest::READABLE | Interest::WRITABLE)
    }

    /// As [`Watch::new`] for one that is only read (a pidfd).
    pub fn for_reading(fd: OwnedFd) -> io::Result<Watch> {
        Watch::with(fd, Interest::READABLE)
    }

    /// As [`Watch::new`] for one that is only written: what arrives at it wakes nobody.
    pub fn for_writing(fd: OwnedFd) -> io::Result<Watch> {
        Watch::with(fd, Interest::WRITABLE)
    }

    fn with(fd: OwnedFd, interest: Interest) -> io::Result<Watch> {
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        // SAFETY: an OwnedFd is open and stays the same until dropped, and nothing lends it out mutably or takes it from the AsyncFd before that is dropped.
        let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
        Ok(Watch(watched.map_err(io::Error::from)?))
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }

    /// Calls `work`, which must not wait, whenever the descriptor is readable, until it gives something else than `WouldBlock`.
    pub async fn reading<T>(&self, mut work: impl FnMut(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        self.0.async_io(Interest::READABLE, |fd| work(fd.as_fd())).await
    }

    /// As [`Watch::reading`], whenever it is writable.
    pub async fn writing<T>(&self, mut work: impl FnMut(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        self.0.async_io(Interest::WRITABLE, |fd| work(fd.as_fd())).await
    }

    /// As [`Watch::writing`], for who is polled.
    pub fn poll_writing<T>(
        &self,
        cx: &mut Context<'_>,
        mut work: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(cx))?;
            if let Ok(done) = ready.try_io(|fd| work(fd.get_ref().as_fd())) {
                return Poll::Ready(done);
            }
        }
    }

    /// Moves up to `limit` bytes to `to` without copying them; one of the two is a pipe. Counts them in `moved`; fewer are no
    /// error when there are no more.
    pub async fn move_to(&self, to: &Watch, limit: u64, moved: &mut u64) -> io::Result<()> {
        while *moved < limit {
            tokio::task::consume_budget().await;
            let mut source = self.0.readable().await?;
            let mut target = to.0.writable().await?;
            let length = usize::try_from(limit - *moved).unwrap_or(MOVED).min(MOVED);
            match splice(
                self.0.get_ref(),
                None,
                to.0.get_ref(),
                None,
                length,
                SpliceFlags::NONBLOCK | SpliceFlags::MOVE,
            ) {
                Ok(0) => break,
                Ok(count) => *moved += count as u64,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Which of the two it was isn't said.
                    let mut ends = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&to.0, PollFlags::OUT)];
                    poll(&mut ends, Some(&Timespec::default()))?;
                    let [source_waits, target_waits] = ends.map(|end| end.revents().is_empty());
                    if source_waits {
                        source.clear_ready();
                    }
                    if target_waits {
                        target.clear_ready();
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// Bytes moved by one call.
const MOVED: usize = 1 << 20;
