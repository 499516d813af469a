//! Copies a tree that nobody changes meanwhile: owners, modes, times, extended attributes, hard links, holes, devices.
//!
//! Data is shared with the source where the file system can (`FICLONE`: btrfs, xfs), else copied in the kernel. Not
//! kept are inode flags (`chattr`), as LXD's rsync doesn't. Deep trees cost memory for their names, not descriptors.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom as FdSeek, Stat};
use rustix::io::Errno;

use super::attributes::{copy_attributes, copy_special};
use super::{open, open_dir, scan, show};
use crate::error::{Ctx, Error, Kind, Result};

/// Copies what the directory `from` holds, and its own attributes, into the empty directory `to`. Blocks.
///
/// `links` is an empty directory on the file system of `to`, where files with several names wait for the next one;
/// the caller removes it. Mount points inside are an error. On failure `to` holds a part.
pub fn copy(from: impl AsFd, to: impl AsFd, links: impl AsFd) -> Result<()> {
    let mut work =
        Work { from: reopen(from)?, to: reopen(to)?, links: reopen(links)?, stack: Vec::new(), ways: Ways::default() };
    work.run()
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
    todo: Vec<CString>,
}

/// A copy under way.
struct Work {
    from: OwnedFd,
    to: OwnedFd,
    links: OwnedFd,
    stack: Vec<Above>,
    ways: Ways,
}

impl Work {
    fn run(&mut self) -> Result<()> {
        let mut todo = self.entries()?;
        loop {
            if let Some(name) = todo.pop() {
                let above = Above { from: inode(&self.from)?, to: inode(&self.to)?, todo };
                self.stack.push(above);
                self.down(&name)?;
                todo = self.entries()?;
                continue;
            }
            // Last, because filling it changed its times.
            copy_attributes(&self.from, &self.to).ctx(Kind::Internal, || "Failed copying a directory's attributes")?;
            let Some(above) = self.stack.pop() else { return Ok(()) };
            self.up(&above)?;
            todo = above.todo;
        }
    }

    fn down(&mut self, name: &CStr) -> Result<()> {
        let what = || format!("Failed copying directory {:?}", show(name));
        let from = open_dir(&self.from, name).ctx(Kind::Internal, what)?;
        rustix::fs::mkdirat(&self.to, name, Mode::RWXU).ctx(Kind::Internal, what)?;
        self.to = open_dir(&self.to, name).ctx(Kind::Internal, what)?;
        self.from = from;
        Ok(())
    }

    fn up(&mut self, above: &Above) -> Result<()> {
        self.from = parent(&self.from)?;
        self.to = parent(&self.to)?;
        if inode(&self.from)? != above.from || inode(&self.to)? != above.to {
            return Err(Error::new(Kind::Busy, "Failed copying a tree: It was changed meanwhile"));
        }
        Ok(())
    }

    /// Copies the files of the current directory and returns the names of its subdirectories.
    fn entries(&mut self) -> Result<Vec<CString>> {
        let mut directories = Vec::new();
        let dir = self.from.try_clone().ctx(Kind::Internal, || "Failed duplicating a descriptor")?;
        scan(dir.as_fd(), |entry| {
            if entry.kind == FileType::Directory {
                directories.push(entry.name.to_owned());
                return Ok(());
            }
            self.entry(entry.name)
        })?;
        Ok(directories)
    }

    fn entry(&mut self, name: &CStr) -> Result<()> {
        let what = || format!("Failed copying {:?}", show(name));
        let stat = rustix::fs::statat(&self.from, name, AtFlags::SYMLINK_NOFOLLOW).ctx(Kind::Internal, what)?;
        let staged = format!("{:x}", stat.st_ino);
        if stat.st_nlink > 1 && self.link(&staged, name).ctx(Kind::Internal, what)? {
            return Ok(());
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                self.ways.file(self.from.as_fd(), self.to.as_fd(), name, stat.st_size as u64)?;
            }
            FileType::Symlink => self.symlink(name, &stat).ctx(Kind::Internal, what)?,
            _ => self.special(name, &stat).ctx(Kind::Internal, what)?,
        }
        if stat.st_nlink > 1 {
            rustix::fs::linkat(&self.to, name, &self.links, staged.as_str(), AtFlags::empty())
                .ctx(Kind::Internal, what)?;
        }
        Ok(())
    }

    /// Makes `name` another name of what was copied as `staged`; false when it is the first of its names.
    fn link(&mut self, staged: &str, name: &CStr) -> std::result::Result<bool, Errno> {
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

/// Ways of copying data that have not failed yet.
struct Ways {
    /// The file system may share data.
    clone: bool,
    /// `copy_file_range` may work.
    in_kernel: bool,
}

impl Default for Ways {
    fn default() -> Ways {
        Ways { clone: true, in_kernel: true }
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
                Ok(()) => return Ok(()),
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
fn parent(fd: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(fd, c"..", flags, Mode::empty()).ctx(Kind::Internal, || "Failed opening a parent directory")
}

fn inode(fd: &OwnedFd) -> Result<u64> {
    Ok(rustix::fs::fstat(fd).ctx(Kind::Internal, || "Failed looking at a directory")?.st_ino)
}
