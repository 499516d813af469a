//! UDP: each client has a socket of its own to the target, until nothing has passed for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};

use super::open;
use crate::runtime::spec::proxy::Place;

/// How long a client is remembered that neither sends nor gets anything.
pub(super) const IDLE: Duration = Duration::from_secs(120);
/// Clients at a time; a new one takes the place of the one that has been quiet for longest.
pub(super) const CLIENTS: usize = 512;
/// Packets taken in a row before others have their turn.
const BATCH: usize = 64;
const PACKET: usize = 64 * 1024;

/// A client: the listener by which he came in, and his address there.
pub(super) type Client = (usize, SocketAddr);

#[derive(Debug)]
struct Way {
    client: Client,
    target: OwnedFd,
    used: Instant,
}

/// All clients, by numbers that are used once.
#[derive(Debug, Default)]
pub(super) struct Packets {
    ways: HashMap<u64, Way>,
    numbers: HashMap<Client, u64>,
}

impl Packets {
    pub(super) fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Takes packets from a listener and sends them on. `number` gives new numbers; `watch` is told of new sockets, which are
    /// forgotten when they are closed.
    pub(super) fn receive(
        &mut self,
        (at, listener): (usize, &OwnedFd),
        target: &Place,
        mut number: impl FnMut() -> u64,
        watch: impl Fn(u64, &OwnedFd) -> bool,
    ) {
        let mut buffer = [0u8; PACKET];
        for _ in 0..BATCH {
            let Ok((_, length, from)) = rustix::net::recvfrom(listener, &mut buffer[..], RecvFlags::DONTWAIT) else {
                return;
            };
            let Some(from) = from.and_then(|from| SocketAddr::try_from(from).ok()) else { continue };
            let client = (at, from);
            let way = match self.numbers.get(&client) {
                Some(known) => *known,
                None => {
                    let Ok(socket) = open::connect(target) else { continue };
                    let new = number();
                    if !watch(new, &socket) {
                        continue;
                    }
                    self.make_room();
                    self.ways.insert(new, Way { client, target: socket, used: Instant::now() });
                    self.numbers.insert(client, new);
                    new
                }
            };
            if let Some(way) = self.ways.get_mut(&way) {
                way.used = Instant::now();
                let _ = rustix::net::send(&way.target, &buffer[..length], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            }
        }
    }

    /// Passes answers of a target on to its client.
    pub(super) fn answer(&mut self, number: u64, listeners: &[OwnedFd]) {
        let Some(way) = self.ways.get_mut(&number) else { return };
        let mut buffer = [0u8; PACKET];
        for _ in 0..BATCH {
            // An error of an earlier packet is taken by the call: the target's port may open later.
            let Ok((length, _)) = rustix::net::recv(way.target.as_fd(), &mut buffer[..], RecvFlags::DONTWAIT) else {
                return;
            };
            way.used = Instant::now();
            let (at, client) = way.client;
            if let Some(listener) = listeners.get(at) {
                let _ = rustix::net::sendto(listener, &buffer[..length], SendFlags::DONTWAIT, &client);
            }
        }
    }

    /// Forgets who has been quiet for too long.
    pub(super) fn expire(&mut self) {
        let quiet: Vec<u64> = self.ways.iter().filter(|(_, w)| w.used.elapsed() >= IDLE).map(|(n, _)| *n).collect();
        quiet.into_iter().for_each(|number| self.forget(number));
    }

    fn make_room(&mut self) {
        if self.ways.len() >= CLIENTS
            && let Some(oldest) = self.ways.iter().min_by_key(|(_, way)| way.used).map(|(number, _)| *number)
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(way) = self.ways.remove(&number) {
            self.numbers.remove(&way.client);
        }
    }
}
