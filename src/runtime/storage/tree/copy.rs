//! Copies a tree: owners, modes, times, extended attributes, hard links, holes, devices.
//!
//! [`copy`] takes one that nobody changes meanwhile. [`follow`] and [`catch_up`] together take one that is written to: the first
//! copies what it finds, the second, while the writers are stopped, only what changed since the first began, as the time of an
//! inode's last change tells, which nobody but the kernel sets.
//!
//! Data is shared with the source where the file system can (`FICLONE`: btrfs, xfs), else copied in the kernel. Not
//! kept are inode flags (`chattr`), as LXD's rsync doesn't. Deep trees cost memory for their names, not descriptors.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom as FdSeek, Stat};
use rustix::io::Errno;

use super::attributes::{copy_attributes, copy_special, drop_xattrs};
use super::old::Old;
use super::{open, open_dir, remove, scan, show};
use crate::error::{Ctx, Error, Kind, Result};

/// Copies what the directory `from` holds, and its own attributes, into the empty directory `to`. Blocks.
///
/// `links` is an empty directory on the file system of `to`, where files with several names wait for the next one;
/// the caller removes it. Mount points inside are an error. On failure `to` holds a part.
pub fn copy(from: impl AsFd, to: impl AsFd, links: impl AsFd) -> Result<()> {
    renew(from, to, links, None)
}

/// [`copy`], where an earlier copy, `old`, is at hand on the file system of `to`: files that are the same there, and have one name
/// alone in `from`, get another name in `to` and aren't written again. Nothing of `old` is changed, and nobody else may change it. Blocks.
pub fn renew(from: impl AsFd, to: impl AsFd, links: impl AsFd, old: Option<BorrowedFd<'_>>) -> Result<()> {
    Work::new(from, to, links, Pass::Only)?.with(old)?.run()
}

/// Copies what it can of a tree that is changed meanwhile; what it can't, [`catch_up`] does. `old` is as in [`renew`]. Blocks.
///
/// Returns the moment from which on changes may have been missed.
pub fn follow(from: impl AsFd, to: impl AsFd, links: impl AsFd, old: Option<BorrowedFd<'_>>) -> Result<Since> {
    let since = Since::now();
    match Work::new(from, to, links, Pass::Hot)?.with(old)?.run() {
        Err(e) if e.kind() == Kind::Unavailable => Err(e),
        Err(e) => {
            tracing::debug!("A tree changed too much while it was copied: {}", e.chain());
            // Before everything: nothing is known to be right.
            Ok(Since(i64::MIN, 0))
        }
        Ok(()) => Ok(since),
    }
}

/// Brings a copy that [`follow`] made, with the same `links`, up to date with a tree that nobody changes now. Blocks.
pub fn catch_up(from: impl AsFd, to: impl AsFd, links: impl AsFd, since: Since) -> Result<()> {
    Work::new(from, to, links, Pass::Last(Box::new(Last { since, renewed: HashSet::new() })))?.run()
}

/// A moment in the clock of inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(i64, i64);

impl Since {
    /// Now, less more than the clock of inodes may be behind (a tick of the kernel).
    fn now() -> Since {
        const BEHIND: i64 = 50_000_000;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        match now.tv_nsec - BEHIND {
            nanoseconds if nanoseconds < 0 => Since(now.tv_sec - 1, nanoseconds + 1_000_000_000),
            nanoseconds => Since(now.tv_sec, nanoseconds),
        }
    }

    fn of(stat: &Stat) -> Since {
        Since(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0))
    }
}

/// Which passes there are over a tree.
enum Pass {
    /// One, over a tree that nobody changes.
    Only,
    /// The first of two, over one that is changed meanwhile.
    Hot,
    /// The second of them.
    Last(Box<Last>),
}

/// What the second pass knows.
struct Last {
    since: Since,
    /// Inodes with several names that were copied again.
    renewed: HashSet<u64>,
}

/// Copies the regular file `name` of `from` into `to`, where there is none. Blocks.
pub fn copy_file(from: impl AsFd, to: impl AsFd, name: &CStr) -> Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let what = || format!("Failed copying file {:?}", show(name));
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).ctx(Kind::Internal, what)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::invalid(format!("{:?} isn't a regular file", show(name))));
    }
    Ways::default().file(from, to, name, stat.st_size as u64)
}

/// A second descriptor of an open directory, with a position of its own.
fn reopen(fd: impl AsFd) -> Result<OwnedFd> {
    open_dir(fd, c".").ctx(Kind::Internal, || "Failed opening a directory to copy")
}

/// A directory above the current one: its inode in both trees, to know it again, and the subdirectories left in it.
struct Above {
    from: u64,
    to: u64,
    settled: bool,
    touched: bool,
    todo: Vec<CString>,
}

/// A copy under way.
struct Work {
    from: OwnedFd,
    to: OwnedFd,
    links: OwnedFd,
    old: Option<Old>,
    stack: Vec<Above>,
    ways: Ways,
    pass: Pass,
    /// In the second pass: the current directory and those above it have the entries that the first pass met.
    settled: bool,
    /// In the second pass: something was done in the current directory.
    touched: bool,
}

impl Work {
    fn new(from: impl AsFd, to: impl AsFd, links: impl AsFd, pass: Pass) -> Result<Work> {
        let (from, to, links) = (reopen(from)?, reopen(to)?, reopen(links)?);
        let mut work = Work {
            from,
            to,
            links,
            old: None,
            stack: Vec::new(),
            ways: Ways::default(),
            pass,
            settled: true,
            touched: false,
        };
        work.settle()?;
        Ok(work)
    }

    fn with(mut self, old: Option<BorrowedFd<'_>>) -> Result<Work> {
        self.old = old.map(Old::new).transpose()?;
        Ok(self)
    }

    /// Looks whether the current directory has changed since the first pass.
    fn settle(&mut self) -> Result<()> {
        self.settled = match &self.pass {
            Pass::Last(last) if self.settled => {
                let stat = rustix::fs::fstat(&self.from).ctx(Kind::Internal, || "Failed looking at a directory")?;
                Since::of(&stat) < last.since
            }
            _ => false,
        };
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let mut todo = self.entries()?;
        loop {
            if let Some(name) = todo.pop() {
                let (settled, touched) = (self.settled, self.touched);
                let (from, to) = (inode(&self.from)?, inode(&self.to)?);
                if !self.down(&name)? {
                    continue;
                }
                self.stack.push(Above { from, to, settled, touched: touched || self.touched, todo });
                todo = self.entries()?;
                continue;
            }
            self.finish_directory().ctx(Kind::Internal, || "Failed copying a directory's attributes")?;
            let Some(above) = self.stack.pop() else { return Ok(()) };
            self.up(&above)?;
            todo = above.todo;
        }
    }

    /// Goes into a subdirectory of both trees; false when it is gone.
    fn down(&mut self, name: &CStr) -> Result<bool> {
        let what = || format!("Failed copying directory {:?}", show(name));
        let from = match open_dir(&self.from, name) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if matches!(self.pass, Pass::Hot) => return Ok(false),
            from => from.ctx(Kind::Internal, what)?,
        };
        let mut fresh = true;
        let made = match rustix::fs::mkdirat(&self.to, name, Mode::RWXU) {
            Err(Errno::EXIST) if matches!(self.pass, Pass::Last(_)) => match open_dir(&self.to, name) {
                Ok(_) => {
                    fresh = false;
                    Ok(())
                }
                Err(_) => {
                    remove(&self.to, name)?;
                    rustix::fs::mkdirat(&self.to, name, Mode::RWXU)
                }
            },
            made => made,
        };
        made.ctx(Kind::Internal, what)?;
        self.to = open_dir(&self.to, name).ctx(Kind::Internal, what)?;
        self.from = from;
        if let Some(old) = &mut self.old {
            old.down(name);
        }
        self.touched = fresh;
        self.settle()?;
        Ok(true)
    }

    /// Gives the current directory the attributes of its model; last, because filling it changed its times.
    fn finish_directory(&self) -> std::result::Result<(), Errno> {
        if self.settled && !self.touched {
            return Ok(());
        }
        if matches!(self.pass, Pass::Last(_)) {
            // Those that the model has lost meanwhile.
            drop_xattrs(&self.to, "")?;
        }
        copy_attributes(&self.from, &self.to)
    }

    fn up(&mut self, above: &Above) -> Result<()> {
        (self.settled, self.touched) = (above.settled, above.touched);
        self.from = parent(&self.from)?;
        self.to = parent(&self.to)?;
        if let Some(old) = &mut self.old {
            old.up()?;
        }
        if inode(&self.from)? != above.from || inode(&self.to)? != above.to {
            return Err(Error::new(Kind::Busy, "Failed copying a tree: It was changed meanwhile"));
        }
        Ok(())
    }

    /// Copies the files of the current directory and returns the names of its subdirectories.
    fn entries(&mut self) -> Result<Vec<CString>> {
        let mut directories = Vec::new();
        if matches!(self.pass, Pass::Last(_)) && !self.settled {
            self.remove_others()?;
        }
        let dir = self.from.try_clone().ctx(Kind::Internal, || "Failed duplicating a descriptor")?;
        scan(dir.as_fd(), |entry| {
            if entry.kind == FileType::Directory {
                directories.push(entry.name.to_owned());
                return Ok(());
            }
            match self.entry(entry.name) {
                Err(e) if matches!(self.pass, Pass::Hot) && e.errno() == Some(Errno::NOENT.raw_os_error()) => Ok(()),
                copied => copied,
            }
        })?;
        Ok(directories)
    }

    /// Removes what the model of the current directory has no more.
    fn remove_others(&self) -> Result<()> {
        let mut there = HashSet::new();
        scan(self.from.as_fd(), |entry| {
            there.insert(entry.name.to_owned());
            Ok(())
        })?;
        for name in super::names(&self.to)?.iter().filter(|name| !there.contains(*name)) {
            remove(&self.to, name)?;
        }
        Ok(())
    }

    /// Whether the copy of an entry is still right; what is in its place is removed when not.
    fn is_done(&mut self, name: &CStr, stat: &Stat) -> Result<bool> {
        let Pass::Last(last) = &mut self.pass else { return Ok(false) };
        let unchanged = Since::of(stat) < last.since;
        if !unchanged && stat.st_nlink > 1 && last.renewed.insert(stat.st_ino) {
            remove(&self.links, &staged_name(stat)?)?;
        }
        match rustix::fs::statat(&self.to, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(false),
            Ok(copy) if unchanged && is_alike(stat, &copy) => Ok(true),
            _ => remove(&self.to, name).map(|()| false),
        }
    }

    fn entry(&mut self, name: &CStr) -> Result<()> {
        let what = || format!("Failed copying {:?}", show(name));
        let stat = rustix::fs::statat(&self.from, name, AtFlags::SYMLINK_NOFOLLOW).ctx(Kind::Internal, what)?;
        if self.is_done(name, &stat)? {
            return Ok(());
        }
        self.touched = true;
        let staged = staged_name(&stat)?;
        if stat.st_nlink > 1 && self.link(&staged, name).ctx(Kind::Internal, what)? {
            return Ok(());
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if self.is_kept(name, &stat)? => {}
            FileType::RegularFile => {
                self.ways.file(self.from.as_fd(), self.to.as_fd(), name, stat.st_size as u64)?;
            }
            FileType::Symlink => self.symlink(name, &stat).ctx(Kind::Internal, what)?,
            _ => self.special(name, &stat).ctx(Kind::Internal, what)?,
        }
        if stat.st_nlink > 1 {
            rustix::fs::linkat(&self.to, name, &self.links, &staged, AtFlags::empty()).ctx(Kind::Internal, what)?;
        }
        Ok(())
    }

    /// Takes a file over from the earlier copy, if it is the same there. Not where data is shared with the source anyway.
    fn is_kept(&mut self, name: &CStr, stat: &Stat) -> Result<bool> {
        match &mut self.old {
            Some(old) if !self.ways.shared && stat.st_nlink == 1 => old.link(&self.from, &self.to, name, stat),
            _ => Ok(false),
        }
    }

    /// Makes `name` another name of what was copied as `staged`; false when it is the first of its names.
    fn link(&mut self, staged: &CStr, name: &CStr) -> std::result::Result<bool, Errno> {
        match rustix::fs::linkat(&self.links, staged, &self.to, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            // The staged name makes one more than the source has: go on with a new inode.
            Err(Errno::MLINK) => {
                rustix::fs::unlinkat(&self.links, staged, AtFlags::empty())?;
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    fn symlink(&self, name: &CStr, stat: &Stat) -> std::result::Result<(), Errno> {
        let target = rustix::fs::readlinkat(&self.from, name, Vec::new())?;
        rustix::fs::symlinkat(target.as_c_str(), &self.to, name)?;
        copy_special(self.from.as_fd(), self.to.as_fd(), name, stat)
    }

    fn special(&self, name: &CStr, stat: &Stat) -> std::result::Result<(), Errno> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        rustix::fs::mknodat(&self.to, name, kind, Mode::RUSR, stat.st_rdev)?;
        copy_special(self.from.as_fd(), self.to.as_fd(), name, stat)
    }
}

/// The name under which a file with several names waits for the next of them.
fn staged_name(stat: &Stat) -> Result<CString> {
    CString::new(format!("{:x}", stat.st_ino)).ctx(Kind::Internal, || "Failed naming a file")
}

/// Whether a copy was completed: its time is set last.
pub(super) fn is_alike(model: &Stat, copy: &Stat) -> bool {
    let of = |s: &Stat| {
        let size = if FileType::from_raw_mode(s.st_mode) == FileType::Directory { 0 } else { s.st_size };
        (s.st_mode, s.st_uid, s.st_gid, s.st_rdev, size, s.st_mtime, s.st_mtime_nsec)
    };
    of(model) == of(copy)
}

/// Ways of copying data that have not failed yet.
struct Ways {
    /// The file system may share data.
    clone: bool,
    /// It has.
    shared: bool,
    /// `copy_file_range` may work.
    in_kernel: bool,
}

impl Default for Ways {
    fn default() -> Ways {
        Ways { clone: true, shared: false, in_kernel: true }
    }
}

impl Ways {
    fn file(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, size: u64) -> Result<()> {
        let what = || format!("Failed copying file {:?}", show(name));
        let from = open(from, name, OFlags::RDONLY | OFlags::NONBLOCK).ctx(Kind::Internal, what)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = rustix::fs::openat(to, name, flags, Mode::RUSR).ctx(Kind::Internal, what)?;
        let (mut from, mut to) = (File::from(from), File::from(to));
        self.data(&mut from, &mut to, size).ctx(Kind::Internal, what)?;
        copy_attributes(&from, &to).ctx(Kind::Internal, what)
    }

    /// Copies the contents, sharing them where possible and keeping holes.
    fn data(&mut self, from: &mut File, to: &mut File, size: u64) -> std::io::Result<()> {
        if size == 0 {
            return Ok(());
        }
        if self.clone {
            match rustix::fs::ioctl_ficlone(&*to, &*from) {
                Ok(()) => {
                    self.shared = true;
                    return Ok(());
                }
                Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS) => self.clone = false,
                Err(e) => return Err(e.into()),
            }
        }
        let mut at = 0;
        while at < size {
            let start = match rustix::fs::seek(&*from, FdSeek::Data(at)) {
                Ok(start) => start,
                // Nothing but a hole until the end.
                Err(Errno::NXIO) => break,
                Err(e) => return Err(e.into()),
            };
            let end = rustix::fs::seek(&*from, FdSeek::Hole(start))?.min(size);
            if end <= start {
                break;
            }
            self.extent(from, to, start, end)?;
            at = end;
        }
        to.set_len(size)
    }

    /// Copies the bytes from `start` to `end`.
    fn extent(&mut self, from: &mut File, to: &mut File, start: u64, end: u64) -> std::io::Result<()> {
        let (mut input, mut output) = (start, start);
        while self.in_kernel && input < end {
            let length = usize::try_from(end - input).unwrap_or(usize::MAX).min(1 << 30);
            match rustix::fs::copy_file_range(&*from, Some(&mut input), &*to, Some(&mut output), length) {
                // Some file systems say 0 where they can't (Linux 5.19 and later: generated files); read then.
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.in_kernel = false,
                Err(e) => return Err(e.into()),
            }
        }
        if input >= end {
            return Ok(());
        }
        from.seek(SeekFrom::Start(input))?;
        to.seek(SeekFrom::Start(input))?;
        let mut left = end - input;
        let mut buffer = vec![0u8; 128 * 1024];
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = from.read(&mut buffer[..want])?;
            if n == 0 {
                break;
            }
            to.write_all(&buffer[..n])?;
            left -= n as u64;
        }
        Ok(())
    }
}

/// The directory above an open one. Only for trees nobody else changes; the caller compares inodes.
pub(super) fn parent(fd: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(fd, c"..", flags, Mode::empty()).ctx(Kind::Internal, || "Failed opening a parent directory")
}

fn inode(fd: &OwnedFd) -> Result<u64> {
    Ok(rustix::fs::fstat(fd).ctx(Kind::Internal, || "Failed looking at a directory")?.st_ino)
}
