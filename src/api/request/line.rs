//! A connection on a unix socket, of which a request can take over its content.
//!
//! ```text
//! hyper ═ Line ═ socket        as ever, until a request takes over one direction
//!          request ═ socket    the rest of the content, past hyper, which doesn't learn of it: the connection ends with the answer
//! ```

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use crate::runtime::spec::content::{Chunks, Rest};
use crate::runtime::sys::watch::Watch;

/// Content that is worth a connection of its own, in bytes.
pub const LARGE: u64 = 1 << 20;
/// Bytes that may be on their way to a client.
const ON_ITS_WAY: usize = 2 << 20;

/// A connection. Clones are the same one.
#[derive(Clone)]
pub struct Line(Arc<Shared>);

struct Shared {
    socket: Mutex<Socket>,
    /// Told when hyper has handed on all that it read, and is not let read more.
    reads: Taken,
    /// Told when hyper has written all that it had.
    writes: Taken,
    /// Whether the connection ends with the answer.
    last: AtomicBool,
    /// Where in a request hyper's reads are.
    place: Mutex<Place>,
}

enum Socket {
    Whole(UnixStream),
    /// Without its reads: whoever has them may be another process, and what arrives for it must not wake us.
    Answers(Watch),
    Lost,
}

/// A place in a request, for those whose content comes in chunks; for others it means nothing.
#[derive(Default)]
struct Place {
    /// How much of the end of the head is there.
    head: usize,
    content: Chunks,
}

/// What ends the head of a request.
const HEAD_END: &[u8] = b"\r\n\r\n";

impl Place {
    fn feed(&mut self, bytes: &[u8]) {
        let mut read = 0;
        while read < bytes.len() && self.head < HEAD_END.len() {
            self.head = match bytes[read] {
                byte if byte == HEAD_END[self.head] => self.head + 1,
                b'\r' => 1,
                _ => 0,
            };
            read += 1;
        }
        self.content.feed(&bytes[read..]);
    }
}

/// Set once a request has taken over a direction.
#[derive(Default)]
struct Taken(Mutex<Option<Arc<Notify>>>);

impl Taken {
    fn take(&self) -> Arc<Notify> {
        let taken = Arc::new(Notify::new());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken.clone());
        taken
    }

    /// Whether it is taken; then who took it is told that hyper was here.
    fn tell(&self) -> bool {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.as_ref().inspect(|notify| notify.notify_one()).is_some()
    }
}

impl Line {
    /// Takes a socket over.
    pub fn new(socket: UnixStream) -> Line {
        Line(Arc::new(Shared {
            socket: Mutex::new(Socket::Whole(socket)),
            reads: Taken::default(),
            writes: Taken::default(),
            last: AtomicBool::new(false),
            place: Mutex::default(),
        }))
    }

    /// Says that the connection ends with the answer.
    pub fn end(&self) {
        self.0.last.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn ends(&self) -> bool {
        self.0.last.load(Ordering::Relaxed)
    }

    /// From now on hyper reads nothing any more. What it has read still comes out of the body; the answer tells when that
    /// is all of it.
    pub fn take_reads(&self) -> Arc<Notify> {
        self.end();
        self.0.reads.take()
    }

    /// What hyper has left of content of `length` bytes, or in chunks, having handed on `read` bytes: nothing when this isn't known.
    pub fn rest(&self, length: Option<u64>, read: u64) -> Option<Rest> {
        let chunks = || self.place().content.clone();
        match length {
            Some(length) => length.checked_sub(read).map(Rest::Counted),
            None => Some(chunks()).filter(|chunks| !chunks.lost() && chunks.passed() == read).map(Rest::Chunked),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until hyper has sent what it has, the head of the answer: to be called by the body of that.
    pub async fn flushed(&self) {
        self.0.writes.take().notified().await;
    }

    /// The socket itself, to write much to.
    pub fn writer(&self) -> io::Result<Watch> {
        let socket = match &*self.socket() {
            Socket::Whole(stream) => stream.as_fd().try_clone_to_owned()?,
            Socket::Answers(watch) => watch.fd().try_clone_to_owned()?,
            Socket::Lost => return Err(io::ErrorKind::NotConnected.into()),
        };
        // So that neither side waits for the other all the time. Whoever may not have so much has what he has.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, ON_ITS_WAY);
        Watch::for_writing(socket)
    }

    /// The socket itself, to read from, which nobody here does from now on.
    pub fn reader(&self) -> io::Result<OwnedFd> {
        let mut socket = self.socket();
        *socket = match std::mem::replace(&mut *socket, Socket::Lost) {
            Socket::Whole(stream) => Socket::Answers(Watch::for_writing(stream.into_std()?.into())?),
            other => other,
        };
        match &*socket {
            Socket::Answers(watch) => watch.fd().try_clone_to_owned(),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.0.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an answer begins before which a request goes on.
const GO_ON: &[u8] = b"HTTP/1.1 1";

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.reads.tell() {
            // For good: hyper gives reading up when the request is answered.
            return Poll::Pending;
        }
        let Socket::Whole(stream) = &mut *self.socket() else { return Poll::Pending };
        let before = into.filled().len();
        ready!(Pin::new(stream).poll_read(cx, into))?;
        self.place().feed(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.first().is_none_or(|slice| !slice.starts_with(GO_ON)) {
            *self.place() = Place::default();
        }
        match &mut *self.socket() {
            Socket::Whole(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Answers(watch) => watch.poll_writing(cx, |fd| Ok(rustix::io::writev(fd, slices)?)),
            Socket::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this when it has written all that it had.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.writes.tell();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = |fd| Ok(rustix::net::shutdown(fd, rustix::net::Shutdown::Write)?);
        Poll::Ready(match &*self.socket() {
            Socket::Whole(stream) => end(stream.as_fd()),
            Socket::Answers(watch) => end(watch.fd()),
            Socket::Lost => Ok(()),
        })
    }
}
