//! The guest's console: always drained, kept in a bounded log, relayed to whoever is connected.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::net::{RecvFlags, SendFlags};

use crate::runtime::helper::{Fail, What};
use crate::runtime::sys::channel;

/// The log keeps at least the last [`KEEP`] bytes and never more than this (LXD's ring buffer has 128 KiB).
const MAX_LOG: u64 = 128 * 1024;
/// What is kept when the log has reached its size.
const KEEP: u64 = 64 * 1024;
/// Bytes moved at once.
const CHUNK: usize = 4096;

/// The console of a running guest.
pub(super) struct Console {
    master: OwnedFd,
    /// Kept open, so that a guest which closes its console doesn't hang the line up.
    _slave: OwnedFd,
    log: Option<File>,
    client: Option<OwnedFd>,
    /// Typed by the client, not yet taken by the guest.
    input: Vec<u8>,
}

impl Console {
    /// Takes a console over; its log begins empty at each start of the guest.
    pub(super) fn new(master: OwnedFd, slave: OwnedFd, log: &Path) -> Result<Console, Fail> {
        let flags = rustix::fs::fcntl_getfl(&master).what(|| "preparing the console")?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK).what(|| "preparing the console")?;
        let log = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(log)
            .what(|| format!("opening {log:?}"))?;
        let _ = log.set_len(0);
        Ok(Console { master, _slave: slave, log: Some(log), client: None, input: Vec::new() })
    }

    /// Our end of the terminal.
    pub(super) fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// A stream that is the console from now on; `None` when somebody has it and isn't to be cut off.
    pub(super) fn connect(&mut self, force: bool) -> io::Result<Option<OwnedFd>> {
        if !force && self.client.as_ref().is_some_and(|client| !hung_up(client)) {
            return Ok(None);
        }
        let (ours, theirs) = channel::stream_pair()?;
        self.input.clear();
        self.client = Some(ours);
        Ok(Some(theirs))
    }

    /// Adds what to wait for.
    pub(super) fn watch<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let output = if self.input.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        fds.push(PollFd::new(&self.master, output));
        if let Some(client) = self.client.as_ref().filter(|_| self.input.is_empty()) {
            fds.push(PollFd::new(client, PollFlags::IN));
        }
    }

    /// Moves what there is, both ways, without waiting.
    pub(super) fn pump(&mut self) {
        self.pump_output();
        if self.input.is_empty() {
            self.read_client();
        }
        if !self.input.is_empty() {
            match rustix::io::write(&self.master, &self.input) {
                Ok(n) => {
                    self.input.drain(..n);
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(_) => self.input.clear(),
            }
        }
    }

    /// Takes what a guest that has ended left behind.
    pub(super) fn drain(&mut self) {
        while self.pump_output() {}
    }

    fn pump_output(&mut self) -> bool {
        let mut buffer = [0u8; CHUNK];
        let Ok(n) = rustix::io::read(&self.master, &mut buffer) else { return false };
        if n == 0 {
            return false;
        }
        if let Some(client) = &self.client {
            // A client that doesn't read loses output; the guest never waits for it, and the log has it all.
            match rustix::net::send(client, &buffer[..n], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(_) => self.client = None,
            }
        }
        if let Some(log) = &mut self.log
            && keep(log, &buffer[..n]).is_err()
        {
            // A full disk: the guest's console goes on without a log.
            let _ = log.set_len(0);
        }
        true
    }

    fn read_client(&mut self) {
        let Some(client) = &self.client else { return };
        let mut buffer = [0u8; CHUNK];
        match rustix::net::recv(client, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.client = None,
            Ok((n, _)) => self.input.extend_from_slice(&buffer[..n]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.client = None,
        }
    }
}

fn hung_up(client: &OwnedFd) -> bool {
    let mut byte = [0u8; 1];
    let peeked = rustix::net::recv(client, &mut byte[..], RecvFlags::DONTWAIT | RecvFlags::PEEK);
    matches!(peeked, Ok((0, _)))
}

/// Appends to the log; at its full size the newer half moves to the front.
fn keep(log: &mut File, output: &[u8]) -> io::Result<()> {
    log.write_all(output)?;
    let len = log.metadata()?.len();
    if len <= MAX_LOG {
        return Ok(());
    }
    // Through another opening: writes through an appending one go to the end whatever their offset is (pwrite(2), BUGS).
    let file = {
        use std::os::fd::AsRawFd;
        File::options().read(true).write(true).open(format!("/proc/self/fd/{}", log.as_raw_fd()))?
    };
    let mut buffer = [0u8; CHUNK];
    let (mut from, mut to) = (len - KEEP, 0);
    while from < len {
        let n = file.read_at(&mut buffer, from)?;
        if n == 0 {
            break;
        }
        file.write_all_at(&buffer[..n], to)?;
        (from, to) = (from + n as u64, to + n as u64);
    }
    file.set_len(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_end_and_stays_bounded() {
        let path = std::env::temp_dir().join(format!("lxbox-console-{}", std::process::id()));
        let mut log = File::options().read(true).append(true).create(true).open(&path).unwrap();
        for i in 0..100_000 {
            keep(&mut log, format!("{i:07}\n").as_bytes()).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.len() as u64 <= MAX_LOG && text.len() as u64 >= KEEP, "{}", text.len());
        let numbers: Vec<u32> = text.lines().map(|l| l.parse().unwrap()).collect();
        assert_eq!(*numbers.last().unwrap(), 99_999);
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1));
    }
}
