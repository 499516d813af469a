//! Daemons and shims that are connected, and their requests.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SocketFlags, sockopt};

use crate::api::tree;
use crate::runtime::helper::say;
use crate::runtime::spec::VERSION;
use crate::runtime::spec::procfs::{FromProcfs, MAX_REQUEST, ToProcfs};
use crate::runtime::sys::channel;

/// Connections at the same time: of daemons, and of shims that start a guest.
const MOST: usize = 64;

/// The socket, and the device that is handed out there. Only root can connect (mode of the socket and its directory), so requests are our own
/// program's.
pub(super) struct Control {
    listener: OwnedFd,
    peers: Vec<OwnedFd>,
    device: OwnedFd,
    fresh: bool,
}

/// What is ready.
#[derive(Default)]
pub(super) struct Ready {
    /// What was watched beside.
    pub(super) other: bool,
    listener: bool,
    /// Places, from the last to the first, so that taking one out doesn't move those still to come.
    peers: Vec<usize>,
}

impl Ready {
    /// Whether the time was over.
    pub(super) fn nothing(&self) -> bool {
        !self.other && !self.listener && self.peers.is_empty()
    }
}

impl Control {
    pub(super) fn new(listener: OwnedFd, device: OwnedFd, fresh: bool) -> Control {
        Control { listener, peers: Vec::new(), device, fresh }
    }

    /// The device whose connection it is.
    pub(super) fn device(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    /// Keeps the connection of the daemon that started us, and tells it that we serve.
    pub(super) fn greet(&mut self, daemon: OwnedFd) {
        patient(&daemon);
        if self.tell_ready(&daemon, false) {
            self.peers.push(daemon);
        }
    }

    /// The socket, and then the peers.
    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.peers.iter().map(AsFd::as_fd))
    }

    /// Waits so long at most for a request, or for something else.
    pub(super) fn wait(&self, other: Option<BorrowedFd<'_>>, patience: Option<Duration>) -> Ready {
        let watched = self.watched().chain(other);
        let mut fds: Vec<_> = watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let patience = patience.map(|p| Timespec { tv_sec: p.as_secs() as i64, tv_nsec: p.subsec_nanos().into() });
        if !matches!(rustix::event::poll(&mut fds, patience.as_ref()), Ok(count) if count > 0) {
            return Ready::default();
        }
        let is = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ready {
            other: is(1 + self.peers.len()),
            listener: is(0),
            peers: (0..self.peers.len()).rev().filter(|at| is(1 + at)).collect(),
        }
    }

    /// Answers what is ready. True: we are to end.
    pub(super) fn hear(&mut self, ready: &Ready, orphan: bool) -> bool {
        for at in &ready.peers {
            match self.request(&self.peers[*at], orphan) {
                None => return true,
                Some(true) => {}
                Some(false) => drop(self.peers.remove(*at)),
            }
        }
        if ready.listener
            && let Ok(peer) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC)
        {
            patient(&peer);
            if self.peers.len() >= MOST {
                self.peers.remove(0);
            }
            self.peers.push(peer);
        }
        false
    }

    /// Answers one request. False: the peer is gone. `None`: we are to end.
    fn request(&self, peer: &OwnedFd, orphan: bool) -> Option<bool> {
        let packet = match channel::try_receive(peer, MAX_REQUEST) {
            Ok(Some((packet, _))) => packet,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Some(true),
            _ => return Some(false),
        };
        match tree::from_slice::<ToProcfs>(&packet) {
            Ok(ToProcfs::Hello) => Some(self.tell_ready(peer, orphan)),
            Ok(ToProcfs::Stop) => {
                let _ = say(peer, &FromProcfs::Done, &[]);
                None
            }
            Err(_) => Some(say(peer, &FromProcfs::Unknown, &[]).is_ok()),
        }
    }

    fn tell_ready(&self, peer: &OwnedFd, orphan: bool) -> bool {
        let ready = FromProcfs::Ready { version: VERSION, fresh: self.fresh, orphan };
        say(peer, &ready, &[self.device.as_fd()]).is_ok()
    }

    /// Closes all connections: in the server they are copies, and nobody should wait for its end.
    pub(super) fn forget_peers(&mut self) {
        self.peers.clear();
    }
}

/// A peer that doesn't read is waited for a second at most.
fn patient(peer: &OwnedFd) {
    let _ = sockopt::set_socket_timeout(peer, sockopt::Timeout::Send, Some(Duration::from_secs(1)));
}
