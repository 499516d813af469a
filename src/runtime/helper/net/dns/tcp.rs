//! DNS over TCP (RFC 7766): a length of two bytes before each message. One question at a time on a connection.
//!
//! ```text
//! Reading ─▶ own name: Writing ─▶ Reading …
//!    └─────▶ other:    Asking (to the resolver) ─▶ Hearing ─▶ Writing
//! ```

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use rustix::event::PollFlags;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::forward::is_answer;
use super::{Verdict, Zone, decide, refusal};
use crate::runtime::helper::net::limits;

/// How long a client may keep a connection without saying anything, and a resolver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a connection waits for.
#[derive(Debug)]
enum Phase {
    /// A question.
    Reading,
    /// To send the question to a resolver.
    Asking(OwnedFd),
    /// The resolver's answer.
    Hearing(OwnedFd),
    /// To send the answer.
    Writing,
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    client: OwnedFd,
    phase: Phase,
    /// What is being read or written, with its length in front.
    buffer: Vec<u8>,
    /// Bytes of it that are written.
    done: usize,
    /// The question, while its answer is awaited.
    question: Vec<u8>,
    resolvers: Vec<SocketAddr>,
    deadline: Instant,
}

/// Whether a connection goes on.
type Goes = Option<()>;

impl Connection {
    /// Takes an accepted, non-blocking connection.
    pub fn new(client: OwnedFd, now: Instant) -> Connection {
        Connection {
            client,
            phase: Phase::Reading,
            buffer: Vec::new(),
            done: 0,
            question: Vec::new(),
            resolvers: Vec::new(),
            deadline: now + PATIENCE,
        }
    }

    /// When it is closed if nothing happens.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What it waits for.
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        match &self.phase {
            Phase::Reading => (self.client.as_fd(), PollFlags::IN),
            Phase::Asking(resolver) => (resolver.as_fd(), PollFlags::OUT),
            Phase::Hearing(resolver) => (resolver.as_fd(), PollFlags::IN),
            Phase::Writing => (self.client.as_fd(), PollFlags::OUT),
        }
    }

    /// Goes on after what it waited for has come; `None` closes it. `resolvers` are asked for names that aren't ours.
    pub fn advance(&mut self, zone: &Zone<'_>, resolvers: &[SocketAddr], now: Instant) -> Goes {
        match &self.phase {
            Phase::Reading => {
                fill(&self.client, &mut self.buffer)?;
                let Some(question) = message(&self.buffer) else { return Some(()) };
                let question = question.to_vec();
                self.deadline = now + PATIENCE;
                match decide(zone, &question) {
                    Verdict::Answer(answer) => self.answer(&answer),
                    Verdict::Ignore => return None,
                    Verdict::Forward(own) => {
                        self.question = question;
                        self.resolvers = if own.is_empty() { resolvers.to_vec() } else { own };
                        self.ask();
                    }
                }
            }
            Phase::Asking(resolver) => match drain(resolver, &self.buffer, &mut self.done) {
                None => self.ask(),
                Some(false) => {}
                Some(true) => {
                    self.buffer = Vec::new();
                    let Phase::Asking(resolver) = std::mem::replace(&mut self.phase, Phase::Writing) else {
                        return None;
                    };
                    self.phase = Phase::Hearing(resolver);
                }
            },
            Phase::Hearing(resolver) => match fill(resolver, &mut self.buffer) {
                None => self.ask(),
                Some(()) => {
                    let Some(answer) = message(&self.buffer).map(<[u8]>::to_vec) else { return Some(()) };
                    if is_answer(&self.question, &answer) { self.answer(&answer) } else { self.ask() }
                }
            },
            Phase::Writing => {
                if drain(&self.client, &self.buffer, &mut self.done)? {
                    self.buffer = Vec::new();
                    self.phase = Phase::Reading;
                    self.deadline = now + PATIENCE;
                }
            }
        }
        Some(())
    }

    /// Begins to send an answer.
    fn answer(&mut self, answer: &[u8]) {
        self.buffer = framed(answer);
        self.done = 0;
        self.phase = Phase::Writing;
    }

    /// Begins to ask the next resolver; says so to the client when there is none left.
    fn ask(&mut self) {
        while !self.resolvers.is_empty() {
            if let Ok(resolver) = connect(self.resolvers.remove(0)) {
                self.buffer = framed(&self.question);
                self.done = 0;
                self.phase = Phase::Asking(resolver);
                return;
            }
        }
        let failed = refusal(&self.question, ResponseCode::ServFail);
        self.answer(&failed);
    }
}

/// Reads what has come, up to the end of one message. `None`: the other side is gone.
fn fill(from: &OwnedFd, buffer: &mut Vec<u8>) -> Goes {
    loop {
        // Never more than this message: what follows waits in the socket.
        let wanted = match buffer[..] {
            [] | [_] => 2 - buffer.len(),
            [high, low, ..] => (usize::from(u16::from_be_bytes([high, low])) + 2).saturating_sub(buffer.len()),
        };
        if wanted == 0 {
            return Some(());
        }
        let mut piece = [0; limits::PACKET];
        let wanted = wanted.min(piece.len());
        match rustix::net::recv(from, &mut piece[..wanted], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return None,
            Ok((_, got)) => buffer.extend(&piece[..got.min(wanted)]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Some(()),
            Err(_) => return None,
        }
    }
}

/// Writes what goes in; true once all is written. `None`: the other side is gone.
fn drain(to: &OwnedFd, buffer: &[u8], done: &mut usize) -> Option<bool> {
    while let Some(rest) = buffer.get(*done..).filter(|rest| !rest.is_empty()) {
        match rustix::net::send(to, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => *done += sent,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::NOTCONN) => return Some(false),
            Err(_) => return None,
        }
    }
    Some(true)
}

/// The whole message, when all of it is there.
fn message(buffer: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*buffer.first()?, *buffer.get(1)?]);
    buffer.get(2..2 + usize::from(length))
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(0);
    [&length.to_be_bytes()[..], &message[..usize::from(length)]].concat()
}

fn connect(resolver: SocketAddr) -> io::Result<OwnedFd> {
    let family = if resolver.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &resolver) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(e) => Err(e.into()),
    }
}
