//! The daemon's end of the socket to a helper process, and helper processes watched by their pidfds.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::Serialize;

use super::watch::Watch;
use super::{channel, process};
use crate::api::tree;
use crate::api::tree::FromTree;
use crate::error::{Ctx, Kind, Result};
use crate::runtime::spec::shim::MAX_MESSAGE;

/// A connection. Reading a message is atomic: a cancelled [`Link::receive`] has taken nothing.
#[derive(Debug)]
pub struct Link(Watch);

impl Link {
    /// Takes a connected socket. Must be called inside the runtime.
    pub fn new(socket: OwnedFd) -> Result<Link> {
        Ok(Link(Watch::new(socket).ctx(Kind::Internal, || "Failed watching a helper's socket")?))
    }

    /// Sends a message; waits while the peer's queue is full.
    pub async fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let packet = serde_json::to_vec(message).ctx(Kind::Internal, || "Failed writing a message")?;
        let sent = self.0.writing(|socket| channel::try_send(socket, &packet, fds)).await;
        sent.ctx(Kind::Unavailable, || "Failed talking to a helper")
    }

    /// The next message with its descriptors; `None` when the peer is gone.
    pub async fn receive<T: FromTree>(&self) -> Result<Option<(T, Vec<OwnedFd>)>> {
        let got = match self.0.reading(|socket| channel::try_receive(socket, MAX_MESSAGE)).await {
            // A peer killed with our message unread resets the connection instead of closing it.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            got => got.ctx(Kind::Internal, || "Failed hearing from a helper")?,
        };
        let Some((packet, fds)) = got else { return Ok(None) };
        let message = tree::from_slice(&packet).ctx(Kind::Internal, || "Failed reading a helper's message")?;
        Ok(Some((message, fds)))
    }
}

/// A process watched by its pidfd.
#[derive(Debug)]
pub struct Watched(Watch);

impl Watched {
    /// Takes a pidfd. Must be called inside the runtime.
    pub fn new(pidfd: OwnedFd) -> Result<Watched> {
        Ok(Watched(Watch::for_reading(pidfd).ctx(Kind::Internal, || "Failed watching a process")?))
    }

    /// The pidfd.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }

    /// Waits until the process has ended.
    pub async fn ended(&self) -> Result<()> {
        let ended = |pidfd: BorrowedFd<'_>| match process::has_ended(pidfd) {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        };
        self.0.reading(ended).await.ctx(Kind::Internal, || "Failed watching a process")
    }

    /// Waits until it has ended and takes its exit status; `None` when it isn't (any more) a child of ours.
    pub async fn reaped(&self) -> Result<Option<process::Ended>> {
        self.ended().await?;
        Ok(process::reap(self.0.fd(), false).unwrap_or(None))
    }
}
