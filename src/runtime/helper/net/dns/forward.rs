//! Questions passed on to upstream resolvers over UDP, one socket each: its port and number are what an answer must guess.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::{HEADER, question_end, refusal};
use crate::runtime::helper::net::limits;

/// How long one resolver is given.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often each resolver is asked.
const ROUNDS: usize = 2;

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Which of our sockets the question came by.
    pub socket: usize,
    /// Who asked.
    pub address: SocketAddr,
}

/// A question that waits for its answer.
#[derive(Debug)]
pub struct Pending {
    /// Where the answer is awaited.
    pub socket: OwnedFd,
    asker: Asker,
    /// The asker's number of the question.
    id: [u8; 2],
    /// The question, with our own number.
    packet: Vec<u8>,
    /// Whom to ask, first choice first.
    resolvers: Vec<SocketAddr>,
    tries: usize,
    deadline: Instant,
}

/// All questions that wait.
#[derive(Debug, Default)]
pub struct Forwards {
    pending: Vec<Pending>,
}

/// An answer for a client.
pub type Reply = (Asker, Vec<u8>);

impl Forwards {
    /// Those that wait, for polling; their places are the ones [`Forwards::receive`] takes.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// When the next one has waited long enough.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.iter().map(|p| p.deadline).min()
    }

    /// Passes a question on. An answer comes back at once when there is nobody to ask or too much to do.
    pub fn ask(&mut self, asker: Asker, packet: &[u8], resolvers: &[SocketAddr], now: Instant) -> Option<Reply> {
        let id = [packet[0], packet[1]];
        // The same again: the client has lost patience before us. The one on its way will do.
        if self.pending.iter().any(|p| p.asker == asker && p.id == id) {
            return None;
        }
        if resolvers.is_empty() {
            return Some((asker, refusal(packet, ResponseCode::ServFail)));
        }
        let of_one = self.pending.iter().filter(|p| p.asker.address.ip() == asker.address.ip()).count();
        if self.pending.len() >= limits::FORWARDS || of_one >= limits::FORWARDS_OF_ONE {
            return Some((asker, refusal(packet, ResponseCode::Refused)));
        }
        match start(asker, packet, resolvers, now) {
            Some(pending) => {
                self.pending.push(pending);
                None
            }
            None => Some((asker, refusal(packet, ResponseCode::ServFail))),
        }
    }

    /// Reads what has come for the question at this place; the answer, if it was one.
    pub fn receive(&mut self, at: usize, now: Instant) -> Option<Reply> {
        let pending = self.pending.get_mut(at)?;
        let mut buffer = [0; limits::PACKET];
        let got = rustix::net::recv(&pending.socket, &mut buffer[..], RecvFlags::DONTWAIT);
        match got {
            Ok((_, length)) => {
                let answer = buffer.get(..length.min(limits::PACKET))?;
                if !is_answer(&pending.packet, answer) {
                    return None;
                }
                // A resolver that can't or won't: another one may.
                let code = answer[3] & 0xf;
                if (code == 2 || code == 5) && retry(pending, now) {
                    return None;
                }
                let pending = self.pending.swap_remove(at);
                let mut answer = answer.to_vec();
                answer[..2].copy_from_slice(&pending.id);
                Some((pending.asker, answer))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            // Nobody listens there (port unreachable).
            Err(_) => self.give_up_or_retry(at, now),
        }
    }

    /// Asks the next resolver for those that waited too long, and gives up those that waited for all.
    pub fn tick(&mut self, now: Instant) -> Vec<Reply> {
        let mut replies = Vec::new();
        for at in (0..self.pending.len()).rev() {
            if self.pending[at].deadline <= now {
                replies.extend(self.give_up_or_retry(at, now));
            }
        }
        replies
    }

    fn give_up_or_retry(&mut self, at: usize, now: Instant) -> Option<Reply> {
        if retry(&mut self.pending[at], now) {
            return None;
        }
        let mut pending = self.pending.swap_remove(at);
        pending.packet[..2].copy_from_slice(&pending.id);
        Some((pending.asker, refusal(&pending.packet, ResponseCode::ServFail)))
    }
}

fn start(asker: Asker, packet: &[u8], resolvers: &[SocketAddr], now: Instant) -> Option<Pending> {
    let mut packet = packet.to_vec();
    let id = [packet[0], packet[1]];
    let mut number = [0; 2];
    rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty()).ok()?;
    packet[..2].copy_from_slice(&number);
    for (tries, resolver) in resolvers.iter().enumerate() {
        if let Ok(socket) = send(*resolver, &packet) {
            return Some(Pending {
                socket,
                asker,
                id,
                packet,
                resolvers: resolvers.to_vec(),
                tries: tries + 1,
                deadline: now + PATIENCE,
            });
        }
    }
    None
}

/// Asks the next resolver in turn; false when all had their turns.
fn retry(pending: &mut Pending, now: Instant) -> bool {
    while pending.tries < pending.resolvers.len() * ROUNDS {
        let resolver = pending.resolvers[pending.tries % pending.resolvers.len()];
        pending.tries += 1;
        if let Ok(socket) = send(resolver, &pending.packet) {
            pending.socket = socket;
            pending.deadline = now + PATIENCE;
            return true;
        }
    }
    false
}

/// A new socket that hears this resolver alone, with the question sent.
fn send(resolver: SocketAddr, packet: &[u8]) -> io::Result<OwnedFd> {
    let family = if resolver.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &resolver)?;
    rustix::net::send(&socket, packet, SendFlags::NOSIGNAL)?;
    Ok(socket)
}

/// Whether this answers what was asked: the number and the question are the same.
pub fn is_answer(asked: &[u8], answer: &[u8]) -> bool {
    if answer.len() < HEADER || answer[..2] != asked[..2] || answer[2] & 0x80 == 0 {
        return false;
    }
    let Some(end) = question_end(asked) else { return false };
    // Some errors come without the question.
    let bare = answer[4..6] == [0, 0] && answer[3] & 0xf != 0;
    bare || answer.get(HEADER..end).is_some_and(|question| question.eq_ignore_ascii_case(&asked[HEADER..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

    #[test]
    fn only_answers_to_the_question_count() {
        let mut answer = ASKED.to_vec();
        assert!(!is_answer(ASKED, &answer), "a question");
        answer[2] |= 0x80;
        assert!(is_answer(ASKED, &answer));
        answer[13] = b'A';
        assert!(is_answer(ASKED, &answer), "case means nothing");
        answer[13] = b'b';
        assert!(!is_answer(ASKED, &answer), "another name");
        assert!(!is_answer(ASKED, &answer[..11]) && !is_answer(ASKED, b""));
        let other = [&[0x12, 0x35], &ASKED[2..]].concat();
        assert!(!is_answer(ASKED, &other));
    }

    #[test]
    fn one_client_cannot_take_all_places_and_repeats_take_none() {
        let sink = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let resolvers = [sink.local_addr().unwrap()];
        let now = Instant::now();
        let mut forwards = Forwards::default();
        let asker = |port| Asker { socket: 0, address: SocketAddr::new([10, 0, 0, 9].into(), port) };
        let refused = (1..=60).filter(|port| forwards.ask(asker(*port), ASKED, &resolvers, now).is_some()).count();
        assert_eq!((forwards.pending().len(), refused), (limits::FORWARDS_OF_ONE, 10));
        assert!(forwards.ask(asker(1), ASKED, &resolvers, now).is_none());
        assert_eq!(forwards.pending().len(), limits::FORWARDS_OF_ONE);
        assert!(forwards.tick(now + PATIENCE).is_empty(), "asked once more");
        let given_up = forwards.tick(now + PATIENCE * 3);
        assert_eq!((given_up.len(), forwards.pending().len()), (limits::FORWARDS_OF_ONE, 0));
        assert_eq!(given_up[0].1[..2], ASKED[..2]);
    }

    #[test]
    fn without_resolvers_the_client_hears_so_at_once() {
        let asker = Asker { socket: 0, address: SocketAddr::new([10, 0, 0, 9].into(), 9) };
        let reply = Forwards::default().ask(asker, ASKED, &[], Instant::now()).unwrap();
        assert_eq!(reply.1[3] & 0xf, 2);
    }
}
