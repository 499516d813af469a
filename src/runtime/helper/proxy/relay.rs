//! The loop: takes connections and packets and passes them on, until the guest ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{SocketAddrAny, SocketFlags, sockopt};

use super::open;
use super::packets::Packets;
use super::stream::{Pair, Pipe};
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::proxy::{Place, ProxyPlan};
use crate::runtime::sys::program::{self, QUIET};

/// Connections at a time; more wait until one ends.
pub(super) const CONNECTIONS: usize = 1024;
/// Taken in a row before others have their turn.
const BATCH: usize = 16;
/// How often quiet clients are looked for.
const TICK: Duration = Duration::from_secs(10);
/// The event of the guest's end. Listeners have their places; all others the numbers from [`FIRST`] on, two for each connection.
const GUEST: u64 = u64::MAX;
const FIRST: u64 = 1 << 20;

/// A connection, and what is waited for at its ends; nothing once an end was taken out.
struct Connection {
    pair: Pair,
    watched: [Option<EventFlags>; 2],
}

/// A proxy that serves.
pub(super) struct Relay {
    plan: ProxyPlan,
    listeners: Vec<OwnedFd>,
    _guest: OwnedFd,
    epoll: OwnedFd,
    connections: HashMap<u64, Connection>,
    packets: Packets,
    spare: Option<Pipe>,
    next: u64,
    /// Whether new connections are taken.
    open: bool,
}

impl Relay {
    pub(super) fn new(plan: ProxyPlan, listeners: Vec<OwnedFd>, guest: OwnedFd) -> Result<Relay, Fail> {
        let failed = || "watching sockets";
        let epoll = epoll::create(CreateFlags::CLOEXEC).what(failed)?;
        epoll::add(&epoll, &guest, EventData::new_u64(GUEST), EventFlags::IN).what(failed)?;
        for (at, listener) in listeners.iter().enumerate() {
            epoll::add(&epoll, listener, EventData::new_u64(at as u64), EventFlags::IN).what(failed)?;
        }
        let (connections, packets) = (HashMap::new(), Packets::default());
        Ok(Relay { plan, listeners, _guest: guest, epoll, connections, packets, spare: None, next: FIRST, open: true })
    }

    /// Serves until the guest ends. The exit code.
    pub(super) fn serve(mut self) -> i32 {
        let mut quiet = false;
        let mut events = [const { std::mem::MaybeUninit::<Event>::uninit() }; 64];
        loop {
            let wait = match (quiet, self.packets.is_empty()) {
                (false, _) => Some(QUIET),
                (true, false) => Some(TICK),
                (true, true) => None,
            };
            let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
            let (ready, _) = match epoll::wait(&self.epoll, &mut events[..], wait.as_ref()) {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return 1,
            };
            if ready.is_empty() {
                if !quiet {
                    program::forget_pages();
                }
                quiet = true;
                self.packets.expire();
            } else {
                quiet = false;
            }
            let numbers: Vec<(u64, EventFlags)> = ready.iter().map(|e| ({ e.data }.u64(), { e.flags })).collect();
            for (number, flags) in numbers {
                match number {
                    GUEST => return 0,
                    number if number < FIRST => self.come(number as usize),
                    number => self.pass(number, flags),
                }
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 2;
        self.next - 2
    }

    fn target(&self, at: usize) -> Place {
        self.plan.connect.get(at).unwrap_or(&self.plan.connect[0]).clone()
    }

    /// Somebody has come to a listener.
    fn come(&mut self, at: usize) {
        let target = self.target(at);
        if self.plan.listen[at].is_udp() {
            let (next, epoll) = (&mut self.next, &self.epoll);
            let number = || {
                *next += 2;
                *next - 2
            };
            let watch = |number, socket: &OwnedFd| {
                epoll::add(epoll, socket, EventData::new_u64(number), EventFlags::IN).is_ok()
            };
            self.packets.receive((at, &self.listeners[at]), &target, number, watch);
            return;
        }
        for _ in 0..BATCH {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let Ok((client, from)) = rustix::net::acceptfrom_with(&self.listeners[at], flags) else { return };
            self.connect(at, client, from, &target);
            if self.connections.len() >= CONNECTIONS {
                return self.listen(false);
            }
        }
    }

    fn connect(&mut self, at: usize, client: OwnedFd, from: Option<SocketAddrAny>, target: &Place) {
        // Without a target the client finds his connection closed.
        let Ok(socket) = open::connect(target) else { return };
        let from_unix = matches!(self.plan.listen[at], Place::Unix(_));
        for (socket, place) in [(&client, &self.plan.listen[at]), (&socket, target)] {
            if let Place::Tcp(_) = place {
                // Or one who is gone without a word would be waited for for ever.
                let _ = sockopt::set_socket_keepalive(socket, true);
                let _ = sockopt::set_tcp_nodelay(socket, true);
            }
        }
        let header = if self.plan.header { header(from, &client) } else { Vec::new() };
        let descriptors = from_unix && matches!(target, Place::Unix(_));
        let pair = Pair::new(client, socket, (descriptors || target.is_udp(), target.is_udp()), header);
        let number = self.number();
        let connection = Connection { pair, watched: [None, None] };
        self.connections.insert(number, connection);
        // A connection that is there already is served at once.
        self.follow(number);
    }

    /// Something happened at an end of a connection, or a target has sent a packet.
    fn pass(&mut self, number: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&(number & !1)) else {
            return self.packets.answer(number, &self.listeners);
        };
        if !connection.pair.advance(&mut self.spare) {
            return self.end(number & !1);
        }
        let end = (number & 1) as usize;
        let useless = connection.pair.interest()[end].is_empty();
        if useless && flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            // It would be told again and again, until the other end takes what is on its way.
            let _ = epoll::delete(&self.epoll, &connection.pair.ends[end]);
            connection.watched[end] = None;
        }
        self.follow(number & !1);
    }

    /// Watches what a connection waits for.
    fn follow(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let wanted = connection.pair.interest();
        for end in [0, 1] {
            let (socket, data) = (connection.pair.ends[end].as_fd(), EventData::new_u64(number + end as u64));
            let watched = &mut connection.watched[end];
            let done = match *watched {
                Some(now) if now == wanted[end] => Ok(()),
                Some(_) => epoll::modify(&self.epoll, socket, data, wanted[end]),
                None if wanted[end].is_empty() => continue,
                None => epoll::add(&self.epoll, socket, data, wanted[end]),
            };
            *watched = Some(wanted[end]);
            if done.is_err() {
                return self.end(number);
            }
        }
    }

    fn end(&mut self, number: u64) {
        self.connections.remove(&number);
        if !self.open && self.connections.len() < CONNECTIONS {
            self.listen(true);
        }
    }

    /// Takes connections, or lets them wait.
    fn listen(&mut self, open: bool) {
        self.open = open;
        let flags = if open { EventFlags::IN } else { EventFlags::empty() };
        for (at, listener) in self.listeners.iter().enumerate().filter(|(at, _)| !self.plan.listen[*at].is_udp()) {
            let _ = epoll::modify(&self.epoll, listener, EventData::new_u64(at as u64), flags);
        }
    }
}

/// The line that says who connects (the PROXY protocol, version 1).
fn header(from: Option<SocketAddrAny>, client: &OwnedFd) -> Vec<u8> {
    let ends = from.zip(rustix::net::getsockname(client).ok());
    let ends = ends.and_then(|(from, to)| Some((SocketAddr::try_from(from).ok()?, SocketAddr::try_from(to).ok()?)));
    ends.map_or_else(|| b"PROXY UNKNOWN\r\n".to_vec(), |(from, to)| line(from, to).into_bytes())
}

fn line(from: SocketAddr, to: SocketAddr) -> String {
    let (source, target) = (from.ip().to_canonical(), to.ip().to_canonical());
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {source} {target} {} {}\r\n", from.port(), to.port())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_line_names_both_ends() {
        let line = |from: &str, to: &str| super::line(from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(line("1.2.3.4:5", "6.7.8.9:10"), "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n");
        assert_eq!(line("[::ffff:1.2.3.4]:5", "[::ffff:6.7.8.9]:10"), "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n");
        assert_eq!(line("[fd00::1]:5", "[fd00::2]:10"), "PROXY TCP6 fd00::1 fd00::2 5 10\r\n");
    }
}
