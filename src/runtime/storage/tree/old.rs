//! An earlier copy of a tree, walked beside a new one that is made: what is the same needn't be written again.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::same_xattrs;
use super::copy::is_alike;
use super::{open, open_dir, show};
use crate::error::{Ctx, Kind, Result};

/// Bytes of two files that are compared at once.
const BLOCK: usize = 128 << 10;

/// Where the walk is in the earlier copy.
pub(super) struct Old {
    /// The lowest directory on the way that it has.
    dir: OwnedFd,
    /// Directories further down that it hasn't.
    missing: usize,
    /// Inodes of several names that have one in the new copy.
    taken: HashSet<u64>,
}

impl Old {
    pub(super) fn new(top: BorrowedFd<'_>) -> Result<Old> {
        let dir = open_dir(top, c".").ctx(Kind::Internal, || "Failed opening an earlier copy")?;
        Ok(Old { dir, missing: 0, taken: HashSet::new() })
    }

    pub(super) fn down(&mut self, name: &CStr) {
        match open_dir(&self.dir, name) {
            Ok(dir) if self.missing == 0 => self.dir = dir,
            _ => self.missing += 1,
        }
    }

    pub(super) fn up(&mut self) -> Result<()> {
        match self.missing {
            0 => self.dir = super::copy::parent(&self.dir)?,
            _ => self.missing -= 1,
        }
        Ok(())
    }

    /// Gives the file `name` another name in `to`, if it is as that of `from` is; false when it isn't.
    pub(super) fn link(&mut self, from: impl AsFd, to: impl AsFd, name: &CStr, stat: &Stat) -> Result<bool> {
        let what = || format!("Failed comparing file {:?} with an earlier copy", show(name));
        if self.missing > 0 {
            return Ok(false);
        }
        let mine = match rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            mine => mine.ctx(Kind::Internal, what)?,
        };
        if self.taken.contains(&mine.st_ino) || !is_alike(stat, &mine) {
            return Ok(false);
        }
        let file = |dir: BorrowedFd<'_>| open(dir, name, OFlags::RDONLY | OFlags::NONBLOCK).ctx(Kind::Internal, what);
        // Of what are different files in the model, each has to be one of its own. Other names may also be those in the trash.
        if mine.st_nlink > 1 {
            self.taken.insert(mine.st_ino);
        }
        let (model, mine) = (file(from.as_fd())?, file(self.dir.as_fd())?);
        if !same_xattrs(model.as_fd(), mine.as_fd()).ctx(Kind::Internal, what)?
            || !same_bytes(File::from(model), File::from(mine)).ctx(Kind::Internal, what)?
        {
            return Ok(false);
        }
        match rustix::fs::linkat(&self.dir, name, to, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            // Then it is copied.
            Err(Errno::MLINK | Errno::PERM | Errno::XDEV) => Ok(false),
            Err(e) => Err(e).ctx(Kind::Internal, what),
        }
    }
}

fn same_bytes(mut a: File, mut b: File) -> std::io::Result<bool> {
    let (mut left, mut right) = (vec![0; BLOCK], vec![0; BLOCK]);
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok(b.read(&mut right[..1])? == 0);
        }
        match b.read_exact(&mut right[..n]) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
}
