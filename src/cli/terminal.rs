//! The caller's terminal: size, raw mode, and what is typed.

use std::io::Read;
use std::os::fd::AsFd;

use bytes::Bytes;
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use crate::error::{Ctx, Kind, Result};

/// Whether a descriptor is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    isatty(fd)
}

/// Columns and rows of a terminal.
pub fn size(fd: impl AsFd) -> Option<(u16, u16)> {
    tcgetwinsize(fd).ok().map(|size| (size.ws_col, size.ws_row))
}

/// Standard input in raw mode, put back when this is dropped.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Switches standard input to raw mode.
    pub fn enter() -> Result<Raw> {
        let input = std::io::stdin();
        let before = tcgetattr(&input).ctx(Kind::Invalid, || "Failed reading the settings of the terminal")?;
        let mut raw = before.clone();
        raw.make_raw();
        let set = tcsetattr(&input, OptionalActions::Now, &raw);
        set.ctx(Kind::Invalid, || "Failed changing the settings of the terminal")?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before).ok();
    }
}

/// Reads standard input on a thread of its own, since it can be a file, a pipe or a terminal shared with others, none
/// of which may be switched to non-blocking for them. The channel closes at the end of the input.
pub fn typed() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    if sender.blocking_send(Bytes::copy_from_slice(&buffer[..n])).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// Standard input without echo, put back when this is dropped.
pub struct Silent {
    before: Termios,
}

impl Silent {
    /// Switches the echo of standard input off.
    pub fn enter() -> Result<Silent> {
        let input = std::io::stdin();
        let before = tcgetattr(&input).ctx(Kind::Invalid, || "Failed reading the settings of the terminal")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(&input, OptionalActions::Now, &silent);
        set.ctx(Kind::Invalid, || "Failed changing the settings of the terminal")?;
        Ok(Silent { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before).ok();
    }
}
