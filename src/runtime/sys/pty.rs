//! Pseudo-terminals made inside a guest's own devpts, so that `tty` and `/dev/pts` agree there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// f_type of devpts (statfs(2)).
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// Both ends of a new pseudo-terminal; both close on exec.
#[derive(Debug)]
pub struct Pty {
    /// Our end.
    pub master: OwnedFd,
    /// The guest's end.
    pub slave: OwnedFd,
}

/// A new terminal of the devpts mounted at `dir` (a directory handle).
pub fn open_in(dir: BorrowedFd<'_>) -> io::Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let master = rustix::fs::openat(dir, "ptmx", flags, rustix::fs::Mode::empty())?;
    finish(master)
}

/// A new terminal of the guest whose root and mount namespace this process is in.
///
/// The guest's tree is not to be trusted: what is found at `/dev/pts/ptmx` must be a real terminal multiplexer of devpts.
pub fn open_guest(root: BorrowedFd<'_>) -> io::Result<Pty> {
    let dir = super::root::open(root, Path::new("/dev/pts"), OFlags::PATH | OFlags::DIRECTORY, 0)?;
    if rustix::fs::fstatfs(&dir)?.f_type as u64 != DEVPTS_MAGIC {
        return Err(io::Error::from_raw_os_error(libc::ENOTTY));
    }
    open_in(dir.as_fd())
}

fn finish(master: OwnedFd) -> io::Result<Pty> {
    rustix::pty::unlockpt(&master)?;
    let slave =
        rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    let flags = rustix::fs::fcntl_getfl(&master)?;
    rustix::fs::fcntl_setfl(&master, flags - OFlags::NONBLOCK)?;
    Ok(Pty { master, slave })
}

/// Sets the size a terminal reports.
pub fn resize(terminal: impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Makes this descriptor standard input, output and error.
pub fn become_stdio(terminal: impl AsFd) -> io::Result<()> {
    rustix::stdio::dup2_stdin(&terminal)?;
    rustix::stdio::dup2_stdout(&terminal)?;
    Ok(rustix::stdio::dup2_stderr(&terminal)?)
}
