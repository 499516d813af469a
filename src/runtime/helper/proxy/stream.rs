//! One connection: two sockets, and what is on its way between them in each direction.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    Shutdown, sockopt,
};
use rustix::pipe::{PipeFlags, SpliceFlags, splice};

/// Bytes moved by one call, and calls in a row before others have their turn.
const PIECE: usize = 1 << 20;
const TURN: usize = 16;
/// Bytes of what is copied at a time: a packet of UDP fits.
const COPIED: usize = 64 * 1024;
/// Descriptors that one message between unix sockets carries, at most (SCM_MAX_FD of the kernel).
const RIGHTS: usize = 253;

/// The end that is read, and that which is written.
pub(super) type Pipe = (OwnedFd, OwnedFd);

/// How bytes get from one socket to the other.
#[derive(Debug)]
enum Carrier {
    /// Through a pipe, which is there while something is in it.
    Pipe { pipe: Option<Pipe>, held: usize },
    /// By copying: packets, and messages with descriptors.
    Copy { waiting: VecDeque<u8>, rights: Vec<OwnedFd> },
}

/// One direction.
#[derive(Debug)]
struct Flow {
    carrier: Carrier,
    /// The source has ended; and so has been told the target.
    ended: bool,
    told: bool,
}

/// What became of an attempt.
enum Step {
    /// Something moved.
    Moved,
    /// Nothing to do before the source, or the target, is ready.
    Waits,
    /// It is over.
    Broken,
}

/// A connection: `ends[0]` came in, `ends[1]` goes to the target.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) ends: [OwnedFd; 2],
    flows: [Flow; 2],
    /// Until the target has answered; what it is told first.
    connecting: bool,
    prefix: Vec<u8>,
    /// Whether one of them is a socket of packets: then there is no half of a connection.
    packets: bool,
}

impl Pair {
    /// `copied`: of packets, or with descriptors, so that bytes can't be spliced.
    pub(super) fn new(client: OwnedFd, target: OwnedFd, (copied, packets): (bool, bool), prefix: Vec<u8>) -> Pair {
        let flow = || Flow {
            carrier: match copied {
                true => Carrier::Copy { waiting: VecDeque::new(), rights: Vec::new() },
                false => Carrier::Pipe { pipe: None, held: 0 },
            },
            ended: false,
            told: false,
        };
        Pair { ends: [client, target], flows: [flow(), flow()], connecting: true, prefix, packets }
    }

    /// What to wait for at each end.
    pub(super) fn interest(&self) -> [EventFlags; 2] {
        if self.connecting {
            return [EventFlags::empty(), EventFlags::OUT];
        }
        [0, 1].map(|end| {
            let mut flags = EventFlags::empty();
            flags.set(EventFlags::IN, !self.flows[end].ended && self.flows[end].is_empty());
            flags.set(EventFlags::OUT, !self.flows[1 - end].is_empty());
            flags
        })
    }

    /// Moves what can be moved; `spare` is an empty pipe, or none. False: it is over.
    pub(super) fn advance(&mut self, spare: &mut Option<Pipe>) -> bool {
        if self.connecting && !self.connected() {
            return false;
        }
        for from in [0, 1] {
            if !self.move_from(from, spare) {
                return false;
            }
        }
        let over = |flow: &Flow| flow.told;
        if self.packets { !self.flows.iter().any(over) } else { !self.flows.iter().all(over) }
    }

    fn connected(&mut self) -> bool {
        if !matches!(sockopt::socket_error(&self.ends[1]), Ok(Ok(()))) {
            return false;
        }
        self.connecting = false;
        // A new socket takes these few bytes at once.
        let prefix = std::mem::take(&mut self.prefix);
        prefix.is_empty() || rustix::net::send(&self.ends[1], &prefix, SendFlags::NOSIGNAL) == Ok(prefix.len())
    }

    fn move_from(&mut self, from: usize, spare: &mut Option<Pipe>) -> bool {
        let (source, target) = (&self.ends[from], &self.ends[1 - from]);
        let flow = &mut self.flows[from];
        for _ in 0..TURN {
            match flow.step((source, target), spare) {
                Step::Moved => {}
                Step::Waits => break,
                Step::Broken => return false,
            }
        }
        if flow.ended && flow.is_empty() && !flow.told {
            flow.told = true;
            let _ = rustix::net::shutdown(target, Shutdown::Write);
        }
        true
    }
}

impl Flow {
    fn is_empty(&self) -> bool {
        match &self.carrier {
            Carrier::Pipe { held, .. } => *held == 0,
            Carrier::Copy { waiting, .. } => waiting.is_empty(),
        }
    }

    fn step(&mut self, (source, target): (&OwnedFd, &OwnedFd), spare: &mut Option<Pipe>) -> Step {
        if self.is_empty() {
            if self.ended {
                return Step::Waits;
            }
            match fill(&mut self.carrier, source, spare) {
                Ok(0) => {
                    self.ended = true;
                    return Step::Waits;
                }
                Ok(_) => {}
                Err(e) => return refused(e),
            }
        }
        match empty(&mut self.carrier, target, spare) {
            Ok(()) => Step::Moved,
            Err(e) => refused(e),
        }
    }
}

fn refused(e: Errno) -> Step {
    match e {
        Errno::AGAIN => Step::Waits,
        Errno::INTR => Step::Moved,
        _ => Step::Broken,
    }
}

fn fill(carrier: &mut Carrier, source: &OwnedFd, spare: &mut Option<Pipe>) -> Result<usize, Errno> {
    match carrier {
        Carrier::Pipe { pipe, held } => {
            let (read, write) = match spare.take() {
                Some(pipe) => pipe,
                None => rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?,
            };
            let moved = splice(source, None, &write, None, PIECE, SpliceFlags::NONBLOCK | SpliceFlags::MOVE);
            let place = if let Ok(1..) = moved { pipe } else { spare };
            *place = Some((read, write));
            *held = moved.unwrap_or(0);
            moved
        }
        Carrier::Copy { waiting, rights } => {
            let mut buffer = [0u8; COPIED];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RIGHTS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let got = rustix::net::recvmsg(source, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(some) = message {
                    rights.extend(some);
                }
            }
            waiting.extend(&buffer[..got.bytes]);
            Ok(got.bytes)
        }
    }
}

fn empty(carrier: &mut Carrier, target: &OwnedFd, spare: &mut Option<Pipe>) -> Result<(), Errno> {
    match carrier {
        Carrier::Pipe { pipe, held } => {
            while *held > 0
                && let Some((read, _)) = pipe
            {
                *held -= splice(&*read, None, target, None, *held, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?;
            }
            // A connection that rests has none.
            *spare = pipe.take();
            Ok(())
        }
        Carrier::Copy { waiting, rights } => {
            while !waiting.is_empty() {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RIGHTS))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                let fds: Vec<_> = rights.iter().map(AsFd::as_fd).collect();
                if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
                    return Err(Errno::INVAL);
                }
                let bytes = waiting.make_contiguous();
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                let sent = rustix::net::sendmsg(target, &[IoSlice::new(bytes)], &mut control, flags)?;
                rights.clear();
                waiting.drain(..sent);
            }
            // Of a large message nothing is kept.
            waiting.shrink_to_fit();
            Ok(())
        }
    }
}
