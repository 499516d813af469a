//! An open directory, read piece by piece.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir};

use super::packet::{Answer, Told};
use super::session::{Outcome, told};

/// Entries that are told at once.
const AT_ONCE: usize = 100;

/// One.
pub(super) struct Directory {
    entries: Dir,
    handle: OwnedFd,
}

impl Directory {
    /// Over an open directory.
    pub(super) fn new(handle: OwnedFd) -> rustix::io::Result<Directory> {
        Ok(Directory { entries: Dir::read_from(&handle)?, handle })
    }

    /// What it is.
    pub(super) fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// The next entries; none at its end.
    pub(super) fn next(&mut self, id: u32) -> Outcome<Option<Answer>> {
        let mut found: Vec<(CString, Told)> = Vec::new();
        while found.len() < AT_ONCE {
            let Some(entry) = self.entries.next() else { break };
            let name = entry?.file_name().to_owned();
            // One that went away meanwhile isn't there.
            if let Ok(stat) = rustix::fs::statat(&self.handle, &name, AtFlags::SYMLINK_NOFOLLOW) {
                found.push((name, told(&stat)));
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        let mut answer = Answer::names(id, found.len() as u32);
        found.iter().for_each(|(name, told)| answer.entry(name.to_bytes(), told));
        Ok(Some(answer))
    }
}
