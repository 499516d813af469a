//! The hidden modes of our own executable: short, single-threaded, blocking, without tokio, each started afresh.
//!
//! ```text
//! daemon ─ shim ─┬ (namer)   forked: makes the user namespace, ends at once
//!                ├ (stage)   forked: assembles the root in a mount namespace of the host's, ends once it has forked
//!                └ init      forked by stage, child of shim: process 1 until it executes the guest's own
//!                  └ (worker)  forked by the shim: answers the system calls that the guest hands on
//! daemon ─ attach ─ command  executed in a running container
//! daemon ─ files             one look at, or change of, a path in a guest's tree
//! daemon ─ pack              an archive of a guest's tree
//! daemon ─ proxy             connections over a guest's border, for as long as it runs
//! daemon ─ tpm ─ swtpm       the program that plays a guest's TPM, for as long as it runs
//! ```
//!
//! They know plans ([`crate::runtime::spec`]) and system calls ([`crate::runtime::sys`]), nothing else.

pub mod attach;
pub mod files;
pub mod init;
mod intercept;
mod label;
mod namespace;
pub mod net;
pub mod pack;
pub mod procfs;
pub mod proxy;
mod resident;
pub mod shift;
pub mod shim;
mod stage;
pub mod tpm;
pub mod unpack;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;

use crate::api::tree;
use crate::api::tree::FromTree;
use crate::runtime::spec::shim::{Failure, MAX_MESSAGE, Step};
use crate::runtime::sys::{channel, memfd};

/// The descriptor that holds a helper's plan (a sealed memfd).
pub const PLAN_FD: i32 = 3;
/// The first of the descriptors after a helper's socket to the daemon and its third thing: the shim's run directory, the
/// pidfd an attach enters.
pub const STREAM_FD: i32 = PLAN_FD + 3;

/// What went wrong, before it is known which step that was.
#[derive(Debug)]
pub(crate) struct Fail {
    /// The system's error number; 0 when there is none.
    pub(crate) errno: i32,
    /// What was being done.
    pub(crate) what: String,
}

impl Fail {
    /// A failure without a system error.
    pub(crate) fn new(what: impl Into<String>) -> Fail {
        Fail { errno: 0, what: what.into() }
    }

    /// The failure of a step.
    pub(crate) fn at(self, step: Step) -> Failure {
        Failure { step, errno: self.errno, what: self.what }
    }
}

/// Adds what was being done.
pub(crate) trait What<T> {
    /// `what` names things in quotes: "mounting \"/proc\"".
    fn what<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Fail>;
}

impl<T, E: Into<io::Error>> What<T> for Result<T, E> {
    fn what<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Fail> {
        self.map_err(|e| {
            let error: io::Error = e.into();
            let what = what().into();
            match error.raw_os_error() {
                Some(errno) => Fail { errno, what },
                None => Fail { errno: 0, what: format!("{what}: {error}") },
            }
        })
    }
}

/// Reads a plan of a version that we know.
pub(crate) fn read_plan<T: FromTree>(fd: BorrowedFd<'_>) -> Result<T, Fail> {
    let content = memfd::read(fd).what(|| "reading the plan")?;
    tree::from_slice(&content).map_err(|e| Fail::new(format!("reading the plan: {e}")))
}

/// Sends a message as one packet.
pub(crate) fn say(socket: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    channel::send(socket, &serde_json::to_vec(message)?, fds)
}

/// Waits for a message; `None` when the other side is gone. A packet that isn't one of `T` is an error.
pub(crate) fn hear<T: FromTree>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    match channel::receive(socket, MAX_MESSAGE)? {
        Some((packet, fds)) => Ok(Some((tree::from_slice(&packet)?, fds))),
        None => Ok(None),
    }
}
