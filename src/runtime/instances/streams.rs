//! Moves bytes between a process's descriptors and websockets, without loss or reordering.
//!
//! Data goes in binary messages; an empty text message is the end of a stream (LXD exec protocol). A slow client
//! is not buffered for: the descriptor is simply not read until it has taken what was sent.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use crate::runtime::operations::Socket;
use crate::{Ctx, Kind, Result};

/// The half of a websocket that sends.
pub type Sender = SplitSink<Socket, Message>;
/// The half of a websocket that receives.
pub type Receiver = SplitStream<Socket>;

const CHUNK: usize = 64 << 10;

/// A pipe, pty or socket that is read and written without blocking.
pub struct Stream(AsyncFd<OwnedFd>);

impl Stream {
    /// Takes over a descriptor and makes it non-blocking.
    pub fn new(fd: OwnedFd) -> Result<Stream> {
        let flags = fcntl_getfl(&fd).ctx(Kind::Internal, || "Failed reading descriptor flags")?;
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK).ctx(Kind::Internal, || "Failed setting descriptor flags")?;
        #[expect(deprecated, reason = "the descriptor is owned by the result, so it outlives its registration")]
        let watched = AsyncFd::new(fd).ctx(Kind::Internal, || "Failed watching a descriptor")?;
        Ok(Stream(watched))
    }

    /// Reads what is there; 0 at the end. The end of a pty, EIO, counts as the end.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.0.readable().await?;
            match guard.try_io(|fd| read_now(fd.as_fd(), buffer)) {
                Ok(result) => return result,
                Err(_would_block) => continue,
            }
        }
    }

    /// Reads what is there without waiting; `None` when nothing is.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match read_now(self.0.get_ref().as_fd(), buffer) {
            Ok(n) => Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes all of it, waiting for the other side to take it.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut guard = self.0.writable().await?;
            match guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(n) => bytes = &bytes[n?..],
                Err(_would_block) => continue,
            }
        }
        Ok(())
    }
}

fn read_now(fd: std::os::fd::BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    match rustix::io::read(fd, buffer) {
        Ok(n) => Ok(n),
        Err(rustix::io::Errno::IO) => Ok(0),
        Err(e) => Err(e.into()),
    }
}

/// Sends everything the descriptor gives until its end, then the end mark.
///
/// Once `exited` says that the process is gone, only what is there already is sent: children that still hold the
/// other end can't keep the stream open.
pub async fn send_output(from: &Stream, to: &mut Sender, mut exited: watch::Receiver<bool>) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            biased;
            read = from.read(&mut buffer) => read,
            _ = exited.wait_for(|gone| *gone) => from.try_read(&mut buffer).map(|n| n.unwrap_or(0)),
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(n) => {
                let message = Message::binary(bytes::Bytes::copy_from_slice(&buffer[..n]));
                to.send(message).await.ctx(Kind::Unavailable, || "Failed sending output")?;
            }
        }
    }
    to.send(Message::text("")).await.ctx(Kind::Unavailable, || "Failed sending the end of output")
}

/// Writes everything the client sends until its end mark or until it goes away.
///
/// Returns whether the client is still there, having sent the end mark.
pub async fn receive_input(from: &mut Receiver, to: &Stream) -> bool {
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(bytes) => {
                if to.write_all(&bytes).await.is_err() {
                    return true;
                }
            }
            Message::Text(text) if text.is_empty() => return true,
            // lxd-ui sends keystrokes as text.
            Message::Text(text) => {
                if to.write_all(text.as_bytes()).await.is_err() {
                    return true;
                }
            }
            Message::Close(_) => return false,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    false
}
