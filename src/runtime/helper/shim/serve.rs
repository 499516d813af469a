//! What a shim does while its guest runs: waits for its end, keeps the console going, answers daemons.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::{Guest, Shim};
use crate::api::tree;
use crate::runtime::helper::{Fail, What, read_plan, say};
use crate::runtime::spec::shim::{FromShim, MAX_REQUEST, Phase, SOCKET, ToShim};
use crate::runtime::spec::{ContainerSpec, VERSION};
use crate::runtime::sys::channel;
use crate::runtime::sys::process::{Ended, reap};
use crate::runtime::sys::program::{self, QUIET};

/// What a daemon says to a guest's reboot.
pub(super) enum Answer {
    /// Run this.
    Next(Box<ContainerSpec>),
    /// Run nothing.
    Stop,
    /// No answer in time.
    None,
}

/// Opens the socket that daemons connect to. The run directory is root's alone, and so is the socket.
pub(super) fn listen(dir: BorrowedFd<'_>) -> Result<OwnedFd, Fail> {
    channel::listen(dir, SOCKET).what(|| "opening the shim's socket")
}

impl Shim {
    /// Serves until process 1 has ended; it is reaped.
    pub(super) fn serve(&mut self, guest: &mut Guest) -> Ended {
        loop {
            let mut ready = self.wait(Some(guest), Some(QUIET));
            if ready == Ready::default() {
                // There is one of us for each guest, and the start was most of what there is to do.
                program::forget_pages();
                ready = self.wait(Some(guest), guest.interception.as_ref().and_then(|i| i.patience()));
            }
            if let Some(interception) = &mut guest.interception {
                interception.attend();
            }
            if ready.console {
                guest.console.pump();
            }
            self.greet(ready.connection, Some(guest));
            if ready.daemon {
                self.listen_to_daemon(Some(guest));
            }
            if ready.ended
                && let Ok(Some(ended)) = reap(&guest.pidfd, false)
            {
                guest.console.drain();
                return ended;
            }
        }
    }

    /// Waits for a daemon's word about a reboot.
    pub(super) fn await_plan(&mut self, timeout: Duration) -> Answer {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Answer::None;
            }
            let ready = self.wait(None, Some(left));
            self.greet(ready.connection, None);
            if ready.daemon
                && let Some(answer) = self.listen_to_daemon(None)
            {
                return answer;
            }
        }
    }

    fn wait(&self, guest: Option<&Guest>, timeout: Option<Duration>) -> Ready {
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let daemon = self.daemon.as_ref().map(|daemon| {
            fds.push(PollFd::new(daemon, PollFlags::IN));
            fds.len() - 1
        });
        let guest_at = guest.map(|guest| {
            fds.push(PollFd::new(&guest.pidfd, PollFlags::IN));
            guest.console.watch(&mut fds);
            let end = fds.len();
            if let Some(interception) = &guest.interception {
                interception.watch(&mut fds);
            }
            end
        });
        let first = 1 + usize::from(daemon.is_some());
        let timeout = timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        let is = |i: usize| fds.get(i).is_some_and(|fd| !fd.revents().is_empty());
        Ready {
            connection: is(0),
            daemon: daemon.is_some_and(is),
            ended: guest_at.is_some() && is(first),
            console: guest_at.is_some_and(|end| (first + 1..end).any(is)),
            call: guest_at.is_some_and(|end| (end..fds.len()).any(is)),
        }
    }

    /// Takes a new connection and its first message: `hello` makes it the daemon's, a request for the console is answered.
    ///
    /// Only root can connect (mode of the socket and its directory), so waiting for the message is waiting for our own daemon.
    fn greet(&mut self, connection: bool, guest: Option<&mut Guest>) {
        if !connection {
            return;
        }
        let Ok(socket) = rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC) else { return };
        let _ = rustix::net::sockopt::set_socket_timeout(
            &socket,
            rustix::net::sockopt::Timeout::Recv,
            Some(Duration::from_secs(1)),
        );
        let _ = rustix::net::sockopt::set_socket_timeout(
            &socket,
            rustix::net::sockopt::Timeout::Send,
            Some(Duration::from_secs(1)),
        );
        let Ok(Some((packet, _))) = channel::receive(&socket, MAX_REQUEST) else { return };
        match tree::from_slice::<ToShim>(&packet) {
            Ok(ToShim::Hello { .. }) => {
                self.daemon = Some(socket);
                self.introduce(guest);
            }
            Ok(ToShim::Visit) => {
                if let Some(interception) = guest.and_then(|guest| guest.interception.as_mut()) {
                    interception.visited(socket);
                }
            }
            Ok(ToShim::Console { force }) => hand_out_console(&socket, guest, force),
            _ => {
                let _ = say(&socket, &FromShim::Unknown, &[]);
            }
        }
    }

    /// Tells a new daemon what it needs to go on.
    fn introduce(&mut self, guest: Option<&mut Guest>) {
        match guest {
            Some(guest) => self.tell_with(&FromShim::Started, &[guest.netlink.as_fd()]),
            None if self.record.phase == Phase::Rebooting => self.tell(&FromShim::Rebooting),
            None => {}
        }
    }

    /// Reads one message of the daemon. A closed or broken connection is given up.
    fn listen_to_daemon(&mut self, guest: Option<&mut Guest>) -> Option<Answer> {
        let daemon = self.daemon.as_ref()?;
        let (packet, fds) = match channel::try_receive(daemon, MAX_REQUEST) {
            Ok(Some(got)) => got,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return None,
            _ => {
                self.daemon = None;
                return None;
            }
        };
        match tree::from_slice::<ToShim>(&packet) {
            Ok(ToShim::Next) if guest.is_none() => {
                let plan = fds.first().and_then(|fd| read_plan::<ContainerSpec>(fd.as_fd()).ok());
                // A plan of a newer program may ask for what this one would leave out without a word.
                Some(match plan.filter(|spec| spec.version <= VERSION) {
                    Some(spec) => Answer::Next(Box::new(spec)),
                    None => Answer::None,
                })
            }
            Ok(ToShim::Stop) if guest.is_none() => Some(Answer::Stop),
            Ok(ToShim::Hello { .. }) => {
                self.introduce(guest);
                None
            }
            _ => {
                self.tell(&FromShim::Unknown);
                None
            }
        }
    }
}

/// What [`Shim::wait`] found.
#[derive(Default, PartialEq)]
struct Ready {
    connection: bool,
    daemon: bool,
    ended: bool,
    console: bool,
    call: bool,
}

fn hand_out_console(socket: &OwnedFd, guest: Option<&mut Guest>, force: bool) {
    let Some(guest) = guest else {
        let _ = say(socket, &FromShim::Unknown, &[]);
        return;
    };
    match guest.console.connect(force) {
        Ok(Some(stream)) => {
            let _ = say(socket, &FromShim::Console, &[stream.as_fd(), guest.console.master()]);
        }
        Ok(None) => {
            let _ = say(socket, &FromShim::ConsoleBusy, &[]);
        }
        Err(_) => {
            let _ = say(socket, &FromShim::Unknown, &[]);
        }
    }
}
