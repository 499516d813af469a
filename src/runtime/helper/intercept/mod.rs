//! The worker of a shim that answers the system calls its guest hands on (seccomp_unotify(2)).
//!
//! ```text
//! shim (holds listeners and journal) ─ worker ─ actor, one a call ─ (looker) in the guest's user namespace, as the caller
//! ```
//!
//! The worker does nothing that could take long or that reads what the guest has written: it takes a call, into the journal, and forks an
//! actor, whose exit code is the answer. Actors that don't come to an end (the guest may have a FUSE server in their way) are killed
//! with their caller, or when their time is over. What isn't ours, or isn't allowed, goes on as the kernel sees it.

mod attribute;
mod caller;
mod filter;
mod mount;
mod node;
mod program;
mod schedule;
mod system;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};

use super::{Fail, What, stage};
use crate::runtime::spec::ContainerSpec;
use crate::runtime::spec::cgroup::Group;
use crate::runtime::spec::intercept::{Call, MOUNTS, Mounts, call};
use crate::runtime::sys::notify::{self, Answer, Journal, Notice, SLOTS};
use crate::runtime::sys::program as program_pages;
use crate::runtime::sys::{channel, fault, fork, process, signal};
use caller::Caller;

/// How long an actor may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often callers of actors that still run are looked at, and how long it is quiet before memory is given back.
const LOOK: Duration = Duration::from_secs(1);

/// What a worker is given by its shim.
#[derive(Clone, Copy)]
pub(crate) struct Guest<'a> {
    /// Its plan.
    pub(crate) spec: &'a ContainerSpec,
    /// Its control groups.
    pub(crate) groups: &'a [Group],
    /// Shared with the shim.
    pub(crate) journal: &'a Journal,
    /// The guest's user namespace.
    pub(crate) user: BorrowedFd<'a>,
    /// The run directory.
    pub(crate) dir: BorrowedFd<'a>,
    /// The listeners so far.
    pub(crate) listeners: &'a [OwnedFd],
    /// Where more come from; its end is ours.
    pub(crate) shim: BorrowedFd<'a>,
    /// Whether the working directory is a stage, for nodes: the worker finds out.
    pub(crate) room: bool,
}

/// What becomes of a call, as an actor finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Done: the caller gets 0.
    Done,
    /// It isn't ours, or not allowed: the kernel says what it says to all.
    Pass,
    /// The actor has answered it.
    Answered,
}

/// Exit codes of actors beside error numbers.
const PASS: i32 = 254;
const ANSWERED: i32 = 253;

/// The end of an actor. Errors of the system become the caller's.
fn exit_code(verdict: io::Result<Verdict>) -> i32 {
    match verdict {
        Ok(Verdict::Done) => 0,
        Ok(Verdict::Pass) => PASS,
        Ok(Verdict::Answered) => ANSWERED,
        Err(e) => e.raw_os_error().filter(|number| (1..200).contains(number)).unwrap_or(libc::EIO),
    }
}

/// What an actor's end means; `None`: nothing is to be answered.
fn answer(ended: Option<process::Ended>) -> Option<Answer> {
    match ended {
        Some(process::Ended::Code(0)) => Some(Answer::Value(0)),
        Some(process::Ended::Code(PASS)) => Some(Answer::Continue),
        Some(process::Ended::Code(ANSWERED)) => None,
        Some(process::Ended::Code(number)) => Some(Answer::Errno(number)),
        _ => Some(Answer::Errno(libc::EINTR)),
    }
}

/// Runs as the worker, in a forked process. Never comes back: it ends with the shim.
pub(crate) fn serve(mut guest: Guest<'_>) -> ! {
    let prepared = prepare(&guest);
    guest.room = guest.spec.intercept.has(Call::Mknod) && lay_floor().is_ok();
    let listeners = guest.listeners.iter().filter_map(|fd| fd.try_clone().ok()).collect();
    let mut worker = Worker { guest, listeners, actors: Vec::new() };
    while prepared.is_ok() && worker.turn() {}
    fork::exit(0)
}

fn prepare(guest: &Guest<'_>) -> io::Result<()> {
    signal::reset_all();
    process::die_with_parent()?;
    let _ = rustix::thread::set_name(c"intercept");
    let mut keep: Vec<BorrowedFd<'_>> = vec![guest.user, guest.dir, guest.shim];
    keep.extend(guest.listeners.iter().map(AsFd::as_fd));
    // The lock on the volume, the console, sockets to daemons: their ends would be noticed late, or not at all.
    process::close_all_but(&keep)
}

/// Goes to a small file system of the host's, in mounts of our own.
fn lay_floor() -> Result<(), Fail> {
    let what = || "making the stage";
    fork::unshare_mounts().what(what)?;
    rustix::process::chdir("/tmp").what(what)?;
    stage::lay_floor()
}

struct Worker<'a> {
    guest: Guest<'a>,
    listeners: Vec<OwnedFd>,
    actors: Vec<Actor>,
}

/// A call on which is being worked.
struct Actor {
    slot: usize,
    id: u64,
    listener: OwnedFd,
    pidfd: OwnedFd,
    deadline: Instant,
}

impl Worker<'_> {
    /// Waits for something, and sees to it. False: the shim is gone.
    fn turn(&mut self) -> bool {
        let free = (0..SLOTS).find(|slot| self.actors.iter().all(|actor| actor.slot != *slot));
        let wanted = if free.is_some() { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = vec![PollFd::new(&self.guest.shim, PollFlags::IN)];
        fds.extend(self.actors.iter().map(|actor| PollFd::new(&actor.pidfd, PollFlags::IN)));
        fds.extend(self.listeners.iter().map(|fd| PollFd::new(fd, wanted)));
        let look = Timespec { tv_sec: LOOK.as_secs() as i64, tv_nsec: 0 };
        if matches!(rustix::event::poll(&mut fds, Some(&look)), Ok(0)) && self.actors.is_empty() {
            // There is one of us for each such guest.
            program_pages::forget_pages();
            let _ = rustix::event::poll(&mut fds, None);
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        let calls = &ready[1 + self.actors.len()..];
        // One at a time, in turns: a thread that calls without pause doesn't keep others waiting.
        let calling = calls.iter().position(|events| events.contains(PollFlags::IN));
        let ended: Vec<bool> = calls.iter().map(|e| e.intersects(PollFlags::HUP | PollFlags::ERR)).collect();
        if let (Some(at), Some(slot)) = (calling, free) {
            self.take(at, slot);
        }
        self.finish();
        let mut ended = ended.into_iter();
        self.listeners.retain(|_| !ended.next().unwrap_or(false));
        if let Some(at) = calling.filter(|at| *at < self.listeners.len()) {
            let called = self.listeners.remove(at);
            self.listeners.push(called);
        }
        ready[0].is_empty() || self.more()
    }

    /// Takes in a new listener. False: the shim is gone.
    fn more(&mut self) -> bool {
        match channel::try_receive(self.guest.shim, 16) {
            Ok(Some((_, fds))) => self.listeners.extend(fds),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            _ => return false,
        }
        true
    }

    /// Takes a call and has an actor see to it.
    fn take(&mut self, at: usize, slot: usize) {
        let Ok(listener) = self.listeners[at].try_clone() else { return };
        let Ok(Some(notice)) = self.guest.journal.take(listener.as_fd(), slot) else { return };
        fault("intercept.taken");
        let known = call(notice.arch, notice.nr).filter(|(call, _)| self.guest.spec.intercept.has(*call));
        let Some((call, narrow)) = known else { return self.reply(&listener, (slot, notice.id), Answer::Continue) };
        let worker = rustix::process::getpid();
        match fork::fork(&fork::Options::default()) {
            Ok(fork::Forked::Child) => {
                let bound = process::die_with_parent();
                let orphan = rustix::process::getppid() != Some(worker);
                if bound.is_err() || orphan {
                    fork::exit(libc::EINTR)
                }
                fork::exit(exit_code(act(self.guest, listener.as_fd(), (notice, call, narrow))))
            }
            Ok(fork::Forked::Parent { pidfd, .. }) => {
                let deadline = Instant::now() + PATIENCE;
                self.actors.push(Actor { slot, id: notice.id, listener, pidfd, deadline });
            }
            Err(_) => self.reply(&listener, (slot, notice.id), Answer::Errno(libc::EAGAIN)),
        }
    }

    /// Answers for actors that have ended, and ends those that should.
    fn finish(&mut self) {
        for actor in std::mem::take(&mut self.actors) {
            let waiting = || notify::is_waiting(actor.listener.as_fd(), actor.id);
            if !process::has_ended(&actor.pidfd) && (Instant::now() > actor.deadline || !waiting()) {
                let _ = process::kill(&actor.pidfd);
            }
            match process::reap(&actor.pidfd, false) {
                Ok(None) => self.actors.push(actor),
                ended => {
                    fault("intercept.acted");
                    if self.guest.room {
                        let _ = rustix::fs::unlink(node::room_for(actor.id));
                    }
                    let place = (actor.slot, actor.id);
                    match answer(ended.unwrap_or_default()) {
                        Some(answer) => self.reply(&actor.listener, place, answer),
                        None => self.guest.journal.clear(actor.slot),
                    }
                }
            }
        }
    }

    fn reply(&self, listener: &OwnedFd, (slot, id): (usize, u64), answer: Answer) {
        // Whoever doesn't wait any more gets none.
        let _ = notify::answer(listener.as_fd(), id, answer);
        self.guest.journal.clear(slot);
    }
}

/// Does what a call is for, as an actor.
fn act(
    guest: Guest<'_>,
    listener: BorrowedFd<'_>,
    (notice, call, narrow): (Notice, Call, bool),
) -> io::Result<Verdict> {
    let Some(caller) = Caller::find(guest, listener, notice)? else { return Ok(Verdict::Pass) };
    match call {
        Call::Mknod | Call::Mknodat => node::make(&caller, call),
        Call::Setxattr | Call::Lsetxattr | Call::Fsetxattr => attribute::set(&caller, call),
        Call::SchedSetscheduler => schedule::set(&caller),
        Call::Sysinfo => system::tell(&caller, narrow),
        Call::Mount => mount::mount(&caller),
        Call::Bpf => filter::control(&caller),
    }
}

/// Leaves what a guest may mount where workers look for it.
pub(crate) fn write_mounts(dir: BorrowedFd<'_>, mounts: &Mounts) -> Result<(), Fail> {
    let what = || "writing what the container may mount";
    let new = format!("{MOUNTS}.new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let text = serde_json::to_vec(mounts).map_err(io::Error::from).what(what)?;
    let file = rustix::fs::openat(dir, &new, flags, Mode::from_raw_mode(0o600)).what(what)?;
    File::from(file).write_all(&text).what(what)?;
    rustix::fs::renameat(dir, &new, dir, MOUNTS).what(what)
}

/// The name of a descriptor that the kernel looks up in our own `/proc`.
fn magic(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_carry_answers() {
        let through = |verdict| answer(Some(process::Ended::Code(exit_code(verdict))));
        assert_eq!(through(Ok(Verdict::Done)), Some(Answer::Value(0)));
        assert_eq!(through(Ok(Verdict::Pass)), Some(Answer::Continue));
        assert_eq!(through(Ok(Verdict::Answered)), None);
        assert_eq!(through(Err(io::Error::from_raw_os_error(libc::EEXIST))), Some(Answer::Errno(libc::EEXIST)));
        assert_eq!(through(Err(io::Error::other("x"))), Some(Answer::Errno(libc::EIO)));
        assert_eq!(answer(Some(process::Ended::Signal(9))), Some(Answer::Errno(libc::EINTR)));
    }
}
