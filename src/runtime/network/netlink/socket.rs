//! Questions to the kernel and its answers, whatever they are about (netlink(7)).
//!
//! ```text
//! one question    head + body ->                <- answers …, acknowledgement or refusal
//! a listing       head + body ->                <- answers …, end
//! a batch         head + body, head + body … -> <- one acknowledgement or refusal for each that asked for it
//! ```

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags};

use super::wire;
use crate::runtime::sys::netlink::{Part, open, open_in};

/// A question; every message to the kernel has it.
pub const REQUEST: u16 = 0x1;
/// Answer also when it went well.
pub const ACK: u16 = 0x4;
/// List all there are.
pub const DUMP: u16 = 0x300;
/// Replace what is there.
pub const REPLACE: u16 = 0x100;
/// Fail when it is there.
pub const EXCL: u16 = 0x200;
/// Make it when it is not there.
pub const CREATE: u16 = 0x400;
/// Behind what is there.
pub const APPEND: u16 = 0x800;

/// The listing was cut by a change in between.
const DUMP_INTERRUPTED: u16 = 0x10;
/// The refusal has attributes behind it.
const ACK_HAS_ATTRIBUTES: u16 = 0x200;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of `struct nlmsghdr`.
const HEAD: usize = 16;
/// Bytes of one answer: the kernel fills at most 32 KiB of a listing at once.
const BUFFER: usize = 64 << 10;
/// Bytes a whole listing may have: who owns the network namespace can fill it without end.
const LISTING: usize = 64 << 20;
/// Times a listing is begun again because something changed while it was made.
const TRIES: usize = 10;

/// One answer of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is (`RTM_*`, …).
    pub kind: u16,
    /// What follows the netlink header.
    pub body: Vec<u8>,
}

/// The kernel's no: its error number and, where it has one, its reason in words.
#[derive(Debug)]
pub struct Refusal {
    errno: io::Error,
    reason: String,
}

impl Refusal {
    /// The error number; 0 when it never got to the kernel.
    pub fn errno(&self) -> i32 {
        self.errno.raw_os_error().unwrap_or(0)
    }
}

impl From<io::Error> for Refusal {
    fn from(errno: io::Error) -> Refusal {
        Refusal { errno, reason: String::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => write!(f, "{}", self.errno),
            reason => write!(f, "{}: {}", self.errno, reason.trim_end_matches('.')),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.errno)
    }
}

/// A netlink socket, with the count of its questions.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// One in the network namespace of the calling thread.
    pub fn open(part: Part) -> io::Result<Socket> {
        Ok(Socket { fd: open(part)?, sequence: 0 })
    }

    /// One in another network namespace.
    pub fn open_in(part: Part, netns: BorrowedFd<'_>) -> io::Result<Socket> {
        Ok(Socket { fd: open_in(part, netns)?, sequence: 0 })
    }

    /// One whose other end is whatever plays the kernel.
    #[cfg(test)]
    pub fn over(fd: OwnedFd) -> Socket {
        Socket { fd, sequence: 0 }
    }

    /// Asks one thing; gives the answers in front of the acknowledgement.
    pub fn ask(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Message>, Refusal> {
        let question = self.question(kind, REQUEST | ACK | flags, body);
        self.send(&question)?;
        self.answers(self.sequence)
    }

    /// Lists all there are; begun again when something changed meanwhile.
    pub fn list(&mut self, kind: u16, body: &[u8]) -> Result<Vec<Message>, Refusal> {
        for _ in 0..TRIES {
            let question = self.question(kind, REQUEST | DUMP, body);
            self.send(&question)?;
            match self.answers(self.sequence) {
                Err(refusal) if refusal.errno() == libc::EINTR => {}
                done => return done,
            }
        }
        Err(io::Error::from_raw_os_error(libc::EINTR).into())
    }

    /// A question with its head, counted; for batches, which [`Socket::send_batch`] sends.
    pub fn question(&mut self, kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEAD + body.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity((HEAD + body.len()).next_multiple_of(4));
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// Sends a batch that is carried out as a whole or not at all, and waits for the acknowledgement of the question
    /// counted `last`; a refusal of any question before it is the result, with the count of that question.
    pub fn send_batch(&mut self, batch: &[u8], last: u32) -> Result<(), (u32, Refusal)> {
        let here = |refusal: Refusal| (0, refusal);
        let size = batch.len().max(BUFFER).saturating_mul(2);
        // Only root of the first user namespace may go beyond the system's limit.
        if rustix::net::sockopt::set_socket_send_buffer_size_force(&self.fd, size).is_err() {
            rustix::net::sockopt::set_socket_send_buffer_size(&self.fd, size)
                .map_err(|e| here(io::Error::from(e).into()))?;
        }
        self.send(batch).map_err(here)?;
        let mut first = None;
        loop {
            for message in self.receive().map_err(here)? {
                if message.kind != ERROR || message.sequence > last {
                    continue;
                }
                if let Err(refusal) = message.verdict() {
                    first.get_or_insert((message.sequence, refusal));
                }
                if message.sequence == last || first.is_some() {
                    self.drain();
                    return first.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// How many questions there were: the count of the last.
    pub fn count(&self) -> u32 {
        self.sequence
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Refusal> {
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, SendFlags::empty()));
        sent.map_err(io::Error::from)?;
        Ok(())
    }

    /// Takes what is left of answers nobody waits for.
    fn drain(&self) {
        let mut buffer = [0u8; 4096];
        while rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT).is_ok() {}
    }

    fn answers(&self, sequence: u32) -> Result<Vec<Message>, Refusal> {
        let (mut found, mut total, mut interrupted) = (Vec::new(), 0, false);
        loop {
            for message in self.receive()? {
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                total += message.body.len();
                if total > LISTING {
                    self.drain();
                    return Err(io::Error::other("the kernel's answer is too long").into());
                }
                match message.kind {
                    ERROR | DONE if interrupted => return Err(io::Error::from_raw_os_error(libc::EINTR).into()),
                    ERROR | DONE => return message.verdict().map(|()| found),
                    kind => found.push(Message { kind, body: message.body }),
                }
            }
        }
    }

    fn receive(&self) -> Result<Vec<Raw>, Refusal> {
        let mut buffer = vec![0u8; BUFFER];
        let received = rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::TRUNC));
        let (_, length) = received.map_err(io::Error::from)?;
        let Some(all) = buffer.get(..length).filter(|all| !all.is_empty()) else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        };
        let (mut rest, mut found) = (all, Vec::new());
        while let Some((message, after)) = Raw::split(rest) {
            found.push(message);
            rest = after;
        }
        Ok(found)
    }
}

/// A message with its head.
struct Raw {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: Vec<u8>,
}

impl Raw {
    fn split(all: &[u8]) -> Option<(Raw, &[u8])> {
        let head = all.first_chunk::<HEAD>()?;
        let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(word(0)).ok()?;
        let body = all.get(HEAD..length)?.to_vec();
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let flags = u16::from_ne_bytes([head[6], head[7]]);
        let rest = all.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((Raw { kind, flags, sequence: word(8), body }, rest))
    }

    /// What an acknowledgement or the end of a listing says: the error number 0 is a yes.
    fn verdict(&self) -> Result<(), Refusal> {
        let code = self.body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
        if code == 0 {
            return Ok(());
        }
        // Behind the number stands the head of the question, behind that the attributes.
        let attributes = match self.kind {
            ERROR if self.flags & ACK_HAS_ATTRIBUTES != 0 => self.body.get(4 + HEAD..),
            DONE => self.body.get(4..),
            _ => None,
        };
        let reason = attributes.and_then(|all| wire::find(all, 1)).map(wire::text).unwrap_or_default();
        Err(Refusal { errno: io::Error::from_raw_os_error(code.saturating_neg()), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_answers_are_no_messages() {
        assert!(Raw::split(&[1, 2, 3]).is_none());
        assert!(Raw::split(&[255; 20]).is_none());
        assert!(Raw::split(&[4; 16]).is_none());
    }

    #[test]
    fn a_refusal_has_the_kernels_words() {
        let mut body = (-libc::EINVAL).to_ne_bytes().to_vec();
        body.extend([0u8; HEAD]);
        let mut attributes = wire::Attributes::new();
        attributes.text(1, "no such thing.");
        body.extend(attributes.as_bytes());
        let raw = Raw { kind: ERROR, flags: ACK_HAS_ATTRIBUTES, sequence: 1, body };
        let refusal = raw.verdict().unwrap_err();
        assert_eq!(refusal.to_string(), "Invalid argument (os error 22): no such thing");
        let error = Err::<(), _>(refusal);
        use crate::error::{Ctx, Kind};
        assert_eq!(error.ctx(Kind::Internal, || "Failed").unwrap_err().errno(), Some(libc::EINVAL));
    }

    #[test]
    fn the_kernel_answers() {
        let mut socket = Socket::open(Part::Route).unwrap();
        // RTM_GETLINK with struct ifinfomsg all zero.
        assert!(!socket.list(18, &[0; 16]).unwrap().is_empty());
        let refusal = socket.ask(18, 0, &[0; 16]).unwrap_err();
        assert_eq!(refusal.errno(), libc::EINVAL);
    }
}
