//! Marks of changes that the records may not know of yet.
//!
//! A volume's creation or renaming on disk and the change of its record can't be one step. So each leaves a mark in
//! `pending/` first, which goes when the caller says that the record is written (`settle`). After a crash:
//! a created volume no record knows of is one that was being made, and goes; a volume whose record has the other name
//! of a renaming gets that name. A volume without record and mark was not ours to remove (an older database put back),
//! and stays.
//!
//! A mark is a symbolic link, because its creation is one step of the file system's journal: `create.TOKEN` -> `-`,
//! `rename.NEWTOKEN` -> `OLDTOKEN`.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::tree;
use super::volume::Volume;
use crate::error::{Ctx, Kind, Result};

/// The directory of marks in a pool's root.
pub(super) const PENDING: &CStr = c"pending";

/// What a mark says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The volume is being created.
    Create(Volume),
    /// The volume is being renamed.
    Rename {
        /// Its name before.
        from: Volume,
        /// Its name after.
        to: Volume,
    },
}

/// Notes that `volume` is being created.
pub(super) fn creating(pending: impl AsFd, volume: &Volume) -> Result<()> {
    write(pending, &format!("create.{}", volume.token()), "-")
}

/// Notes that `from` is being renamed to `to`.
pub(super) fn renaming(pending: impl AsFd, from: &Volume, to: &Volume) -> Result<()> {
    write(pending, &format!("rename.{}", to.token()), &from.token())
}

/// Removes the marks of a volume.
pub(super) fn settle(pending: impl AsFd, volume: &Volume) -> Result<()> {
    let pending = pending.as_fd();
    for what in ["create", "rename"] {
        let name = format!("{what}.{}", volume.token());
        match rustix::fs::unlinkat(pending, name.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e).ctx(Kind::Internal, || format!("Failed removing mark {name:?}")),
        }
    }
    Ok(())
}

fn write(pending: impl AsFd, name: &str, target: &str) -> Result<()> {
    let pending = pending.as_fd();
    let mut made = rustix::fs::symlinkat(target, pending, name);
    if made == Err(Errno::EXIST) {
        let _ = rustix::fs::unlinkat(pending, name, AtFlags::empty());
        made = rustix::fs::symlinkat(target, pending, name);
    }
    made.ctx(Kind::Internal, || format!("Failed creating mark {name:?}"))
}

/// All marks; what can't be read as one is left alone.
pub(super) fn read(pending: impl AsFd) -> Result<Vec<Mark>> {
    let pending = pending.as_fd();
    let mut marks = Vec::new();
    for name in tree::names(pending)? {
        let Ok(text) = name.to_str() else { continue };
        let Ok(target) = rustix::fs::readlinkat(pending, name.as_c_str(), Vec::new()) else { continue };
        let Ok(target) = target.to_str() else { continue };
        marks.extend(parse(text, target));
    }
    Ok(marks)
}

fn parse(name: &str, target: &str) -> Option<Mark> {
    let (what, token) = name.split_once('.')?;
    let volume = Volume::from_token(token)?;
    match what {
        "create" => Some(Mark::Create(volume)),
        "rename" => Some(Mark::Rename { from: Volume::from_token(target)?, to: volume }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::volume::VolumeKind;
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written() {
        let a = Volume::new(VolumeKind::Container, "default", "a").unwrap();
        let b = Volume::new(VolumeKind::Container, "default", "b").unwrap();
        assert_eq!(parse("create.containers:a", "-"), Some(Mark::Create(a.clone())));
        assert_eq!(parse("rename.containers:b", "containers:a"), Some(Mark::Rename { from: a, to: b }));
        for (name, target) in
            [("", ""), ("create", "-"), ("create.x:a", "-"), ("rename.containers:b", "/etc"), ("mv.containers:a", "-")]
        {
            assert_eq!(parse(name, target), None, "{name} {target}");
        }
    }
}
