//! Who calls: its memory, its credentials, and lookups as it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{CWD, Mode, OFlags};

use super::Guest;
use crate::runtime::sys::notify::{self, Notice};
use crate::runtime::sys::root::may;
use crate::runtime::sys::{capset, channel, fork, process};

/// Bytes of a path, with its end (PATH_MAX).
const PATH: usize = 4096;
/// Bytes of `/proc/PID/status`, at most: it has all groups of a process.
const STATUS: u64 = 1 << 20;

/// A thread that waits for the answer to its call.
pub(super) struct Caller<'a> {
    pub(super) guest: Guest<'a>,
    pub(super) listener: BorrowedFd<'a>,
    /// The call.
    pub(super) notice: Notice,
    /// Its directory in our `/proc`: stays its own whatever becomes of its id.
    process: OwnedFd,
    /// What it is allowed, with ids as the host has them.
    pub(super) rights: Rights,
}

/// What `/proc/PID/status` says of a process, with ids of the user namespace of whoever reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// Real, effective, saved, and of the file system.
    pub(super) uids: [u32; 4],
    /// The same of its groups.
    pub(super) gids: [u32; 4],
    groups: Vec<u32>,
    /// Capabilities in force, as bits; they hold in its user namespace.
    effective: u64,
    /// The id of its process.
    leader: i32,
    /// Bits that new files don't get.
    pub(super) umask: u32,
}

impl Rights {
    fn read(status: &str) -> Option<Rights> {
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let ids = |name| -> Option<[u32; 4]> { numbers(line(name)?)?.try_into().ok() };
        Some(Rights {
            uids: ids("Uid")?,
            gids: ids("Gid")?,
            groups: numbers(line("Groups")?)?,
            effective: u64::from_str_radix(line("CapEff")?.trim(), 16).ok()?,
            leader: line("Tgid")?.trim().parse().ok()?,
            umask: u32::from_str_radix(line("Umask")?.trim(), 8).ok()?,
        })
    }

    /// Whether it has a capability (its number) in its user namespace.
    pub(super) fn has(&self, capability: u32) -> bool {
        self.effective >> capability & 1 == 1
    }

    /// Becomes a process with these.
    fn assume(&self) -> io::Result<()> {
        capset::become_like(self.uids, self.gids, &self.groups, self.effective)
    }
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split_whitespace().map(|n| n.parse().ok()).collect()
}

impl<'a> Caller<'a> {
    /// `None` when it is no process of the guest's own user namespace (those that it has made are their owners' affair), or is gone.
    pub(super) fn find(guest: Guest<'a>, listener: BorrowedFd<'a>, notice: Notice) -> io::Result<Option<Caller<'a>>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open(format!("/proc/{}", notice.pid), flags, Mode::empty())?;
        // Until here its id could have become another's.
        if !notify::is_waiting(listener, notice.id) {
            return Ok(None);
        }
        let user = rustix::fs::fstat(open(&process, "ns/user", OFlags::RDONLY)?)?;
        let own = rustix::fs::fstat(guest.user)?;
        if (user.st_dev, user.st_ino) != (own.st_dev, own.st_ino) {
            return Ok(None);
        }
        let rights = rights(&process)?;
        Ok(Some(Caller { guest, listener, notice, process, rights }))
    }

    /// A handle on its process.
    pub(super) fn leader(&self) -> io::Result<OwnedFd> {
        let leader = process::open(self.rights.leader)?;
        // As long as it waits its process has this id.
        match notify::is_waiting(self.listener, self.notice.id) {
            true => Ok(leader),
            false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Becomes a process with its rights; we are in its user namespace.
    pub(super) fn become_like(&self) -> io::Result<()> {
        rights(&self.process)?.assume()
    }

    /// The thread's id here.
    pub(super) fn pid(&self) -> i32 {
        self.notice.pid as i32
    }

    /// A file of its directory in `/proc`.
    pub(super) fn open(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        open(&self.process, name, flags)
    }

    /// What is in its memory, which may not be there.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let memory = File::from(self.open("mem", OFlags::RDONLY)?);
        memory.read_exact_at(buffer, at).map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))
    }

    /// Writes to its memory.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let memory = File::from(self.open("mem", OFlags::RDWR)?);
        memory.write_all_at(bytes, at).map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))
    }

    /// A text in its memory, without its end. `most` bytes with it; `ENAMETOOLONG` when it is longer.
    pub(super) fn text(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let memory = File::from(self.open("mem", OFlags::RDONLY)?);
        let fault = || io::Error::from_raw_os_error(libc::EFAULT);
        let mut text = Vec::new();
        while text.len() < most {
            let from = at.checked_add(text.len() as u64).ok_or_else(fault)?;
            // What follows a page may not be there.
            let mut piece = [0; 256];
            let len = (256 - from as usize % 256).min(most - text.len());
            let got = memory.read_at(&mut piece[..len], from).ok().filter(|got| *got > 0).ok_or_else(fault)?;
            match piece[..got].iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend_from_slice(&piece[..end]);
                    return Ok(text);
                }
                None => text.extend_from_slice(&piece[..got]),
            }
        }
        Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
    }

    /// A path in its memory.
    pub(super) fn path(&self, at: u64) -> io::Result<Vec<u8>> {
        self.text(at, PATH)
    }

    /// The directory that its relative paths begin at: this descriptor of it, or its working directory.
    pub(super) fn directory(&self, number: i32) -> io::Result<OwnedFd> {
        if number == libc::AT_FDCWD {
            return self.open("cwd", OFlags::PATH | OFlags::DIRECTORY);
        }
        self.descriptor(number).and_then(|fd| {
            match rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode).is_dir() {
                true => Ok(fd),
                false => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
            }
        })
    }

    /// A handle on what it has as this descriptor.
    pub(super) fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        let bad = |_| io::Error::from_raw_os_error(libc::EBADF);
        self.open(&format!("fd/{number}"), OFlags::PATH).map_err(bad)
    }

    /// Looks something up as the caller would: with its root, from `base`, with its credentials in its user namespace. It is
    /// done by a process of its own, since nobody comes back from there. (The guest can't reach that: it is in none of its process
    /// namespaces, and isn't dumpable.)
    pub(super) fn look(&self, base: &OwnedFd, look: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
        let root = self.open("root", OFlags::PATH | OFlags::DIRECTORY)?;
        let (ours, theirs) = channel::pair()?;
        match fork::fork(&fork::Options::default())? {
            fork::Forked::Child => {
                let found =
                    process::die_with_parent().and_then(|()| self.become_caller(&root, base)).and_then(|()| look());
                let sent = found.and_then(|fd| channel::send(&theirs, b"f", &[fd.as_fd()]));
                fork::exit(sent.err().map_or(0, |e| e.raw_os_error().unwrap_or(libc::EIO)))
            }
            fork::Forked::Parent { pidfd, .. } => {
                drop(theirs);
                let found = channel::receive(&ours, 16);
                match (process::reap(&pidfd, true)?, found) {
                    (Some(process::Ended::Code(0)), Ok(Some((_, mut fds)))) => {
                        fds.pop().ok_or_else(|| io::ErrorKind::InvalidData.into())
                    }
                    (Some(process::Ended::Code(number)), _) if number != 0 => Err(io::Error::from_raw_os_error(number)),
                    _ => Err(io::Error::from_raw_os_error(libc::EINTR)),
                }
            }
        }
    }

    fn become_caller(&self, root: &OwnedFd, base: &OwnedFd) -> io::Result<()> {
        rustix::process::fchdir(root)?;
        rustix::process::chroot(".")?;
        rustix::process::fchdir(base)?;
        fork::join_user(self.guest.user)?;
        process::hide_memory()?;
        // They are read anew: with the ids of the namespace that we are in now.
        self.become_like()?;
        process::hide_memory()?;
        // Changes of ids have cleared it.
        process::die_with_parent()
    }

    /// The directory of a new name, in which the caller may make it, and the name.
    pub(super) fn parent<'p>(&self, base: &OwnedFd, path: &'p [u8]) -> io::Result<(OwnedFd, &'p [u8])> {
        let (directory, name) = split(path)?;
        let parent = self.look(base, || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let parent = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
            may(parent.as_fd(), libc::W_OK | libc::X_OK)?;
            Ok(parent)
        })?;
        Ok((parent, name))
    }
}

fn open(process: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(process, name, flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn rights(process: &OwnedFd) -> io::Result<Rights> {
    let mut status = Vec::new();
    File::from(open(process, "status", OFlags::RDONLY)?).take(STATUS).read_to_end(&mut status)?;
    let invalid = || io::Error::from_raw_os_error(libc::EIO);
    Rights::read(&String::from_utf8_lossy(&status)).ok_or_else(invalid)
}

/// A path's directory and last name.
fn split(path: &[u8]) -> io::Result<(&[u8], &[u8])> {
    match path.iter().rposition(|byte| *byte == b'/') {
        // Only directories can be named with a slash at the end.
        _ if path.is_empty() || path.ends_with(b"/") => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        None => Ok((b".", path)),
        Some(0) => Ok((b"/", &path[1..])),
        Some(at) => Ok((&path[..at], &path[at + 1..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_status() {
        let status = "Name:\tUid: 5\nTgid:\t7\nUmask:\t0022\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t0000000008000000\n";
        let rights = Rights::read(status).unwrap();
        assert_eq!((rights.uids, rights.gids, rights.umask), ([1, 2, 3, 4], [5, 6, 7, 8], 0o22));
        assert_eq!(rights.groups, [9, 10]);
        assert!(rights.has(27) && !rights.has(21));
        assert_eq!(Rights::read("Uid:\t1\n"), None);
    }

    #[test]
    fn paths_are_split_at_their_last_name() {
        let parts = |path: &'static str| split(path.as_bytes()).ok();
        assert_eq!(parts("/a/b"), Some((&b"/a"[..], &b"b"[..])));
        assert_eq!(parts("b"), Some((&b"."[..], &b"b"[..])));
        assert_eq!(parts("/b"), Some((&b"/"[..], &b"b"[..])));
        assert_eq!((parts(""), parts("a/")), (None, None));
    }
}
