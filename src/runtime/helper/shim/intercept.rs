//! What a shim does for calls that its guest hands on: holds the listeners, of process 1 and of each command, and has a worker that serves
//! them ([`crate::runtime::helper::intercept`]).
//!
//! A guest whose listener nobody holds gets ENOSYS for ever, and a call that was taken by a worker which died is never answered by
//! the kernel: so the shim, which does nothing that could end it, holds all listeners, answers what a dead worker has left in
//! the journal (EINTR: it may be done or not), and forks another.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::runtime::helper::intercept::{self, Guest};
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::ContainerSpec;
use crate::runtime::spec::cgroup::Group;
use crate::runtime::sys::notify::{self, Answer, Journal, SLOTS};
use crate::runtime::sys::{channel, fork, process};

/// Commands that have announced themselves, and whose listener hasn't come.
const VISITORS: usize = 64;
/// How long to wait before a worker that couldn't be forked is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The calls of one guest.
pub(super) struct Interception {
    spec: ContainerSpec,
    groups: Vec<Group>,
    journal: Journal,
    /// The guest's user namespace.
    user: OwnedFd,
    /// The run directory.
    dir: OwnedFd,
    listeners: Vec<OwnedFd>,
    visitors: Vec<OwnedFd>,
    worker: Option<Worker>,
}

struct Worker {
    pidfd: OwnedFd,
    /// New listeners go there.
    socket: OwnedFd,
}

impl Interception {
    /// Of a guest with this process 1, whose listener it is.
    pub(super) fn new(
        (spec, groups): (&ContainerSpec, &[Group]),
        dir: BorrowedFd<'_>,
        (init, listener): (i32, OwnedFd),
    ) -> Result<Interception, Fail> {
        let path = format!("/proc/{init}/ns/user");
        intercept::write_mounts(dir, &spec.intercepted_mounts)?;
        let mut new = Interception {
            spec: spec.clone(),
            groups: groups.to_vec(),
            journal: Journal::new().what(|| "making the journal of system calls")?,
            user: File::open(&path).what(|| format!("opening {path:?}"))?.into(),
            dir: dir.try_clone_to_owned().what(|| "duplicating a descriptor")?,
            listeners: vec![listener],
            visitors: Vec::new(),
            worker: None,
        };
        new.fork_worker();
        Ok(new)
    }

    /// A command is about to begin; its listener comes through this connection.
    pub(super) fn visited(&mut self, connection: OwnedFd) {
        if self.visitors.len() < VISITORS {
            self.visitors.push(connection);
        }
    }

    /// Adds what to wait for. Listeners are watched for their end alone: calls are the worker's.
    pub(super) fn watch<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.extend(self.visitors.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        if let Some(worker) = &self.worker {
            fds.extend([PollFd::new(&worker.pidfd, PollFlags::IN), PollFd::new(&worker.socket, PollFlags::IN)]);
        }
        fds.extend(self.listeners.iter().map(|fd| PollFd::new(fd, PollFlags::empty())));
    }

    /// How long to wait at most.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.worker.is_none().then_some(AGAIN)
    }

    /// Sees to whatever has happened. Never waits.
    pub(super) fn attend(&mut self) {
        for visitor in std::mem::take(&mut self.visitors) {
            match channel::try_receive(&visitor, 16) {
                Ok(Some((_, mut fds))) => fds.pop().into_iter().for_each(|listener| self.add(listener)),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.visitors.push(visitor),
                _ => {}
            }
        }
        // Of programs that it has run in the guest.
        let from_worker =
            self.worker.as_ref().and_then(|worker| channel::try_receive(&worker.socket, 16).ok().flatten());
        from_worker.into_iter().flat_map(|(_, fds)| fds).for_each(|listener| self.add(listener));
        self.listeners.retain(|listener| !has_ended(listener));
        if self.worker.as_ref().is_some_and(|worker| process::has_ended(&worker.pidfd)) {
            self.bury();
        }
        if self.worker.is_none() && !self.listeners.is_empty() {
            self.fork_worker();
        }
    }

    fn add(&mut self, listener: OwnedFd) {
        let told = self.worker.as_ref().map(|worker| channel::try_send(&worker.socket, b"l", &[listener.as_fd()]));
        self.listeners.push(listener);
        if let Some(Err(_)) = told {
            // It gets all of them as another.
            self.bury();
        }
    }

    /// Ends the worker, if it hasn't, and answers what it has left.
    fn bury(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let _ = process::kill(&worker.pidfd);
        let _ = process::reap(&worker.pidfd, true);
        for slot in 0..SLOTS {
            let Some(left) = self.journal.get(slot) else { continue };
            // Ids begin at random, so that another listener hardly has the same.
            for listener in &self.listeners {
                let _ = notify::answer(listener.as_fd(), left.id, Answer::Errno(libc::EINTR));
            }
            self.journal.clear(slot);
        }
    }

    fn fork_worker(&mut self) {
        let Ok((ours, theirs)) = channel::pair() else { return };
        match fork::fork(&fork::Options::default()) {
            Ok(fork::Forked::Child) => intercept::serve(Guest {
                spec: &self.spec,
                groups: &self.groups,
                journal: &self.journal,
                user: self.user.as_fd(),
                dir: self.dir.as_fd(),
                listeners: &self.listeners,
                shim: theirs.as_fd(),
                room: false,
            }),
            Ok(fork::Forked::Parent { pidfd, .. }) => self.worker = Some(Worker { pidfd, socket: ours }),
            Err(_) => {}
        }
    }
}

impl Drop for Interception {
    fn drop(&mut self) {
        self.bury();
    }
}

/// Whether nobody can make calls any more that this listener hears of.
fn has_ended(listener: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::empty())];
    let _ = rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
