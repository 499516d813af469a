//! The daemons that are connected, and their requests.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{SocketFlags, sockopt};

use super::leases::{Entry, Leases};
use super::serve::Server;
use super::{limits, names};
use crate::api::tree;
use crate::runtime::helper::{read_plan, say};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::net::{FromNet, LEASES_A_MESSAGE, Lease, MAX_REQUEST, NetPlan, ToNet};
use crate::runtime::sys::channel;

/// The connections. Only root can connect (mode of the socket and its directory), so requests are our own daemon's.
pub(super) struct Control {
    listener: OwnedFd,
    daemons: Vec<OwnedFd>,
}

impl Control {
    pub(super) fn new(listener: OwnedFd) -> Control {
        Control { listener, daemons: Vec::new() }
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    pub(super) fn daemons(&self) -> &[OwnedFd] {
        &self.daemons
    }

    /// Keeps the connection of the daemon that started us, and tells it that we serve.
    pub(super) fn greet(&mut self, daemon: OwnedFd, server: &Server) {
        patient(&daemon);
        if say(&daemon, &ready(server), &[]).is_ok() {
            self.daemons.push(daemon);
        }
    }

    /// Takes a new connection.
    pub(super) fn accept(&mut self) {
        let Ok(daemon) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) else { return };
        patient(&daemon);
        // The oldest is the likeliest to be a daemon that was replaced.
        if self.daemons.len() >= limits::DAEMONS {
            self.daemons.remove(0);
        }
        self.daemons.push(daemon);
    }

    /// Answers one request of the daemon at this place. False: it is gone. `None`: we are to end.
    pub(super) fn hear(&self, at: usize, server: &mut Server) -> Option<bool> {
        let daemon = &self.daemons[at];
        let (packet, fds) = match channel::try_receive(daemon, MAX_REQUEST) {
            Ok(Some(got)) => got,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Some(true),
            _ => return Some(false),
        };
        let answer = match tree::from_slice::<ToNet>(&packet) {
            Ok(ToNet::Hello { .. }) => ready(server),
            Ok(ToNet::SetPlan) => set_plan(server, &fds),
            Ok(ToNet::Leases) => return Some(tell_leases(daemon, server)),
            Ok(ToNet::Release { mac }) => {
                server.release(mac);
                FromNet::Done
            }
            Ok(ToNet::Stop) => {
                server.leave();
                let _ = say(daemon, &FromNet::Done, &[]);
                return None;
            }
            Err(_) => FromNet::Unknown,
        };
        Some(say(daemon, &answer, &[]).is_ok())
    }

    /// Forgets connections, by their places from the last on.
    pub(super) fn forget(&mut self, at: usize) {
        self.daemons.remove(at);
    }
}

/// A daemon that doesn't read is waited for a second at most: a long list of leases is more than a socket holds.
fn patient(daemon: &OwnedFd) {
    let _ = sockopt::set_socket_timeout(daemon, sockopt::Timeout::Send, Some(Duration::from_secs(1)));
}

fn ready(server: &Server) -> FromNet {
    FromNet::Ready { version: VERSION, lacking: server.lacking() }
}

fn set_plan(server: &mut Server, fds: &[OwnedFd]) -> FromNet {
    let Some(plan) = fds.first().and_then(|fd| read_plan::<NetPlan>(fd.as_fd()).ok()) else { return FromNet::Unknown };
    if server.plan().can_become(&plan) {
        server.set_plan(plan);
        FromNet::Done
    } else {
        FromNet::Restart
    }
}

fn tell_leases(daemon: &OwnedFd, server: &Server) -> bool {
    let all = list(server.plan(), server.leases());
    let mut pieces = all.chunks(LEASES_A_MESSAGE).peekable();
    if pieces.peek().is_none() {
        return say(daemon, &FromNet::Leases { leases: Vec::new(), more: false }, &[]).is_ok();
    }
    while let Some(piece) = pieces.next() {
        let message = FromNet::Leases { leases: piece.to_vec(), more: pieces.peek().is_some() };
        if say(daemon, &message, &[]).is_err() {
            return false;
        }
    }
    true
}

/// The leases as the daemon sees them.
fn list(plan: &NetPlan, leases: &Leases) -> Vec<Lease> {
    let lease = |e: &Entry| {
        let host = e.mac.and_then(|mac| names::host(plan, mac));
        let kept = match e.address {
            IpAddr::V4(a) => host.and_then(|h| h.v4) == Some(a),
            IpAddr::V6(a) => host.and_then(|h| h.v6) == Some(a),
        };
        let hostname = e.name.clone().unwrap_or_default();
        Lease { hostname, mac: e.mac, address: e.address, fixed: kept, expires: e.expires }
    };
    leases.iter().map(lease).collect()
}
