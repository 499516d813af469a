//! The process that answers the kernel, confined before it looks at the first request.

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::process::{Pid, Resource};

use super::control::Control;
use super::serve::Files;
use crate::runtime::helper::{Fail, What, resident};
use crate::runtime::spec::procfs::Launch;
use crate::runtime::sys::program::{self, QUIET};
use crate::runtime::sys::{fuse, process};

/// The system calls that are left; all others fail. Files can be opened for reading only.
pub const SYSTEM_CALLS: &[&str] = &[
    "accept4",
    "brk",
    "clock_gettime",
    "close",
    "exit",
    "exit_group",
    "fstat",
    "futex",
    "getdents64",
    "getpid",
    "gettid",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "poll",
    "ppoll",
    "pread64",
    "read",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sendmsg",
    "sendto",
    "setsockopt",
    "sigaltstack",
    "statx",
    "write",
    "writev",
];

/// Bytes of address space: far above what it needs, far below what would hurt.
const SPACE: u64 = 512 << 20;
const DESCRIPTORS: u64 = 256;

/// What the server waits for.
struct Server<'a> {
    files: Files,
    /// Its own: what was taken from it fails when we die.
    device: OwnedFd,
    /// `None` once that has died.
    keeper: Option<OwnedFd>,
    control: &'a mut Control,
}

/// Runs as the server, forked by the keeper. The exit code.
pub(super) fn run(launch: &Launch, control: &mut Control, keeper: Pid) -> i32 {
    match prepare(launch, control, keeper) {
        Ok(server) => server.serve(),
        Err(_) => 1,
    }
}

fn prepare<'a>(launch: &Launch, control: &'a mut Control, keeper: Pid) -> Result<Server<'a>, Fail> {
    let watched = process::open(keeper.as_raw_nonzero().get()).what(|| "opening the keeper")?;
    if rustix::process::getppid() != Some(keeper) {
        return Err(Fail::new("finding the keeper"));
    }
    let own = fuse::clone(control.device()).what(|| "opening a device of one's own")?;
    rustix::fs::fcntl_setfl(&own, OFlags::NONBLOCK).what(|| "preparing the device")?;
    let files = Files::new();
    let bounds = [(Resource::Nofile, DESCRIPTORS), (Resource::As, SPACE), (Resource::Fsize, 0)];
    resident::confine(launch.user, &bounds, &launch.seccomp)?;
    Ok(Server { files, device: own, keeper: Some(watched), control })
}

impl Server<'_> {
    /// Serves until the file system is no more, or as an orphan until a daemon says `stop`. The exit code.
    fn serve(mut self) -> i32 {
        let mut quiet = false;
        loop {
            let (asked, told) = match self.wait(quiet) {
                Some(ready) => ready,
                None => {
                    if !quiet {
                        program::forget_pages();
                    }
                    quiet = true;
                    self.files.tick();
                    continue;
                }
            };
            quiet = false;
            if asked && !self.files.serve(&self.device) {
                return 0;
            }
            if told && self.keeper.is_some() {
                self.keeper = None;
            } else if told {
                let ready = self.control.wait(None, Some(std::time::Duration::ZERO));
                if self.control.hear(&ready, true) {
                    return 0;
                }
            }
            self.files.tick();
        }
    }

    /// Waits for requests of the kernel, and for the keeper's end or, as an orphan, for daemons. `None`: something is due.
    fn wait(&self, quiet: bool) -> Option<(bool, bool)> {
        let mut fds = vec![PollFd::new(&self.device, PollFlags::IN)];
        match &self.keeper {
            Some(keeper) => fds.push(PollFd::new(keeper, PollFlags::IN)),
            None => fds.extend(self.control.watched().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))),
        }
        let due = self.files.due().map(|due| due.saturating_duration_since(Instant::now()));
        let patience = due.into_iter().chain((!quiet).then_some(QUIET)).min();
        let patience = patience.map(|p| Timespec { tv_sec: p.as_secs() as i64, tv_nsec: p.subsec_nanos().into() });
        match rustix::event::poll(&mut fds, patience.as_ref()) {
            Ok(0) => None,
            _ => {
                let is = |fd: &PollFd<'_>| !fd.revents().is_empty();
                Some((is(&fds[0]), fds[1..].iter().any(is)))
            }
        }
    }
}
