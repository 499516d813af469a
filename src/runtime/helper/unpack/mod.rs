//! The process that reads archives: `lxbox unpack`, started by the daemon ([`crate::runtime::images::unpack`]).
//!
//! Images come from strangers and their decoders are C code, so the daemon never decodes one itself. This process
//! gets a plan and open descriptors over its standard input (a unix socket), confines itself, does the one job and
//! answers:
//!
//! ```text
//! daemon ── Plan + descriptors ──> confine ── Inspect: metadata.yaml and kind, stops early
//!    ^                                └────── Unpack: decode thread -> tar reader -> tree writer
//!    └────────────── Reply ───────────────────┘            (the daemon goes: the process goes)
//! ```
//!
//! The parts are plain functions over descriptors, so tests and fuzzers run them in their own process.

mod acl;
pub mod archive;
mod attributes;
pub mod compression;
pub(in crate::runtime::helper) mod confine;
mod content;
mod extract;
mod inspect;
mod limits;
mod member;
mod path;
mod pax;
mod pipe;
pub mod plan;
pub mod reader;
pub mod remove;
mod restore;
mod squashfs;
mod tree;
pub mod wire;
mod writeback;
mod xz;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};

pub use extract::image as unpack_image;
pub use inspect::image as inspect_image;
pub use limits::Limits;
pub use member::{Extent, Member, MemberKind, Time};
pub use restore::{Target, backup as unpack_backup, index as backup_index};
pub use xz::Threads;

use crate::error::{Ctx, Error, Kind, Result};
use plan::{Job, Plan, Reply};

/// The mode's name on the command line.
pub const MODE: &str = "unpack";

/// Runs the process to its end and says its exit status: 0 when an answer went out, also that of a failure.
pub fn main(_args: &[String]) -> i32 {
    let Ok(stdin) = std::io::stdin().as_fd().try_clone_to_owned() else { return 1 };
    let mut socket = UnixStream::from(stdin);
    let reply = match wire::receive(&mut socket) {
        Ok((plan, descriptors)) => run(plan, descriptors, &socket).unwrap_or_else(|error| Reply::failed(&error)),
        Err(error) => {
            // Somebody typed the mode's name.
            eprintln!("{}", error.message());
            return 2;
        }
    };
    match wire::answer(&mut socket, &reply) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn run(plan: Plan, mut descriptors: Vec<OwnedFd>, socket: &UnixStream) -> Result<Reply> {
    let limits = plan.limits;
    match plan.job {
        Job::Unpack { split, devices, sync } => {
            if descriptors.len() != 2 + usize::from(split) {
                return Err(confine::misused());
            }
            let target = descriptors.remove(0);
            confine::to_directory(target.as_fd(), limits.memory)?;
            leave_with_the_daemon(socket)?;
            let unpack = if sync { extract::image_on_disk } else { extract::image };
            Ok(Reply::Unpacked(unpack(target, files(descriptors), devices, limits)?))
        }
        Job::Restore { trees, devices } => {
            if trees.is_empty() || descriptors.len() != 2 * trees.len() + 1 {
                return Err(confine::misused());
            }
            let archive = descriptors.split_off(2 * trees.len());
            let mut places = descriptors.into_iter();
            let mut targets = Vec::new();
            for tree in trees {
                let (Some(own), Some(root)) = (places.next(), places.next()) else { return Err(confine::misused()) };
                targets.push(Target { tree, own, root });
            }
            confine::to_directory(targets[0].own.as_fd(), limits.memory)?;
            leave_with_the_daemon(socket)?;
            let archive = files(archive).pop().ok_or_else(confine::misused)?;
            Ok(Reply::Unpacked(restore::backup(targets, archive, devices, limits)?))
        }
        Job::Index => {
            confine::to_descriptors(limits.memory)?;
            leave_with_the_daemon(socket)?;
            let archive = files(descriptors).pop().ok_or_else(confine::misused)?;
            Ok(Reply::Index(restore::index(archive, limits)?))
        }
        Job::Inspect { split } => {
            if descriptors.len() != 1 + usize::from(split) {
                return Err(confine::misused());
            }
            confine::to_descriptors(limits.memory)?;
            leave_with_the_daemon(socket)?;
            Ok(Reply::Inspected(inspect::image(files(descriptors), limits)?))
        }
    }
}

fn files(descriptors: Vec<OwnedFd>) -> Vec<File> {
    descriptors.into_iter().map(File::from).collect()
}

/// Ends the process when the daemon closes its end: nobody waits for the answer any more.
fn leave_with_the_daemon(socket: &UnixStream) -> Result<()> {
    let watched = socket.try_clone().ctx(Kind::Internal, || "Failed watching the daemon")?;
    let watch = move || {
        // Only a hang-up wakes this: nothing more is read from the daemon.
        let mut fds = [PollFd::new(&watched, PollFlags::empty())];
        while !matches!(poll(&mut fds, None), Ok(n) if n > 0) {}
        std::process::exit(1);
    };
    std::thread::Builder::new()
        .name("watch".into())
        .spawn(watch)
        .map(|_| ())
        .map_err(|e| Error::internal(format!("Failed watching the daemon: {e}")))
}
