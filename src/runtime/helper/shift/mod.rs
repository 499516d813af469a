//! Rewrites the ids of a stopped container's files, for file systems and kernels without idmapped mounts.
//!
//! The tree is a guest's and hostile: entries are opened by name below their directory's descriptor, never through a link. A file with
//! several names is shifted once. What is on disk is known from a file beside the tree ([`progress`]), so that a shift that was cut
//! short is finished by the next one.

mod progress;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use self::progress::{Before, Moment, Progress, State};
use super::{Fail, PLAN_FD, What, read_plan, say};
use crate::runtime::spec::idmap::Ids;
use crate::runtime::spec::shift::{ShiftAnswer, ShiftPlan};
use crate::runtime::sys::{process, signal};

/// The word by which the executable becomes this.
pub const MODE: &str = "shift";

const CAPABILITY: &str = "security.capability";
const ACLS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// The entry of the hidden mode: plan and socket are open descriptors from [`PLAN_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    signal::reset_all();
    let _ = process::die_with_parent();
    let Some([plan, socket]) = process::inherited_row(PLAN_FD) else { return 2 };
    let answer = match read_plan::<ShiftPlan>(plan.as_fd()).and_then(|plan| settle(&plan)) {
        Ok(()) => ShiftAnswer::Done,
        Err(e) => ShiftAnswer::Failed { errno: e.errno, what: e.what },
    };
    i32::from(say(&socket, &answer, &[]).is_err())
}

/// Brings the tree to the plan's ids from those it has, after finishing what an earlier run left half done.
fn settle(plan: &ShiftPlan) -> Result<(), Fail> {
    let progress = Progress::beside(&plan.path)?;
    let mut current = plan.from.clone();
    match progress.state()? {
        Some(State::Shifted { to }) => current = to,
        Some(State::Shifting { from, to, since }) => {
            let rest = ShiftPlan { from, to, ..plan.clone() };
            let cut = Some(Cut { since, entry: progress.entry()? });
            Walk { plan: &rest, progress: &progress, cut, seen: HashSet::new() }.tree()?;
            progress.finished(&rest.to)?;
            current = rest.to;
        }
        None => {}
    }
    if current == plan.to {
        return Ok(());
    }
    let now = ShiftPlan { from: current, ..plan.clone() };
    progress.begun(&now.from, &now.to)?;
    Walk { plan: &now, progress: &progress, cut: None, seen: HashSet::new() }.tree()?;
    progress.finished(&now.to)
}

/// One pass over a tree.
struct Walk<'a> {
    plan: &'a ShiftPlan,
    progress: &'a Progress,
    /// Where an earlier pass was cut short.
    cut: Option<Cut>,
    /// Files with several names that were seen.
    seen: HashSet<(u64, u64)>,
}

/// How far that came.
struct Cut {
    /// What was changed after this moment is shifted already,
    since: Moment,
    /// but for this entry, of which a part may be.
    entry: Option<Before>,
}

impl Cut {
    /// What an entry had whose shift was begun; `Err` when it is shifted already.
    fn of(&self, stat: &Stat) -> Result<Option<Before>, Shifted> {
        match &self.entry {
            Some(before) if before.is_of(stat) => Ok(Some(before.clone())),
            _ if self.since.is_before(stat) => Err(Shifted),
            _ => Ok(None),
        }
    }
}

/// Nothing is to be done.
struct Shifted;

impl Walk<'_> {
    /// Shifts the whole tree, its top included.
    fn tree(mut self) -> Result<(), Fail> {
        let path = &self.plan.path;
        let top = open(CWD, path.as_os_str()).what(|| format!("opening {path:?}"))?;
        self.one(&top, OsStr::new("."))?;
        let mut stack = vec![list(top)?];
        while let Some((dir, names)) = stack.last_mut() {
            let Some(name) = names.pop() else {
                stack.pop();
                continue;
            };
            let entry = open(&*dir, &name).what(|| format!("opening {name:?}"))?;
            if self.one(&entry, &name)? {
                stack.push(list(entry)?);
            }
        }
        rustix::fs::syncfs(open_to_sync(path)?).what(|| format!("writing {path:?} to disk"))
    }

    /// Shifts one entry; true when it is a directory.
    fn one(&mut self, entry: &OwnedFd, name: &OsStr) -> Result<bool, Fail> {
        let stat = rustix::fs::fstat(entry).what(|| format!("reading {name:?}"))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let directory = kind == FileType::Directory;
        if !directory && stat.st_nlink > 1 && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return Ok(false);
        }
        let Ok(cut_short) = self.cut.as_ref().map_or(Ok(None), |cut| cut.of(&stat)) else { return Ok(directory) };
        if kind == FileType::Symlink {
            self.chown(entry, (stat.st_uid, stat.st_gid), name)?;
            return Ok(false);
        }
        let path = format!("/proc/self/fd/{}", entry.as_raw_fd());
        let before = match cut_short {
            Some(before) => before,
            None => before(&path, &stat).what(|| format!("reading attributes of {name:?}"))?,
        };
        // A change of owner alone is one write; of more, what was there is kept until all of it is done.
        if before.is_more_than_an_owner() {
            self.progress.begin_entry(&before)?;
        }
        self.rewrite(entry, &path, &before, name)?;
        Ok(directory)
    }

    /// Gives an entry its new owner, and again what a change of owner takes away, shifted.
    fn rewrite(&self, entry: &OwnedFd, path: &str, before: &Before, name: &OsStr) -> Result<(), Fail> {
        self.chown(entry, (before.uid, before.gid), name)?;
        if before.mode & 0o6000 != 0 {
            rustix::fs::chmod(path, Mode::from_raw_mode(before.mode & 0o7777))
                .what(|| format!("changing the mode of {name:?}"))?;
        }
        if let Some(caps) = &before.capabilities {
            let caps = self
                .plan
                .capabilities(caps)
                .ok_or_else(|| Fail::new(format!("understanding capabilities of {name:?}")))?;
            set(path, CAPABILITY, &caps).what(|| format!("writing capabilities of {name:?}"))?;
        }
        for (acl, old) in ACLS.iter().zip(&before.acls) {
            if let Some(old) = old {
                let new = self.plan.acl(old).ok_or_else(|| Fail::new(format!("understanding the ACL of {name:?}")))?;
                set(path, acl, &new).what(|| format!("writing the ACL of {name:?}"))?;
            }
        }
        Ok(())
    }

    fn chown(&self, entry: &OwnedFd, (uid, gid): (u32, u32), name: &OsStr) -> Result<(), Fail> {
        let unknown = || Fail::new(format!("shifting {name:?}: its owner {uid}:{gid} is outside the map"));
        let to = self.plan.shift(Ids::Uid, uid).ok_or_else(unknown)?;
        let group = self.plan.shift(Ids::Gid, gid).ok_or_else(unknown)?;
        let (uid, gid) = (Some(Uid::from_raw(to)), Some(Gid::from_raw(group)));
        rustix::fs::chownat(entry, "", uid, gid, AtFlags::EMPTY_PATH).what(|| format!("changing the owner of {name:?}"))
    }
}

/// What an entry has that a shift changes. Capabilities are read before the change of owner, which takes them away.
fn before(path: &str, stat: &Stat) -> Result<Before, Errno> {
    let acls = [attribute(path, ACLS[0])?, attribute(path, ACLS[1])?];
    let capabilities = attribute(path, CAPABILITY)?;
    let (uid, gid, mode) = (stat.st_uid, stat.st_gid, stat.st_mode);
    Ok(Before { device: stat.st_dev, inode: stat.st_ino, uid, gid, mode, capabilities, acls })
}

fn open_to_sync(path: &Path) -> Result<OwnedFd, Fail> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).what(|| format!("opening {path:?}"))
}

/// A handle on an entry, be it a link.
fn open(dir: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// A directory with the names in it.
fn list(dir: OwnedFd) -> Result<(OwnedFd, Vec<OsString>), Fail> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(&dir, ".", flags, Mode::empty()).what(|| "opening a directory")?;
    let mut names = Vec::new();
    for entry in Dir::new(readable).what(|| "reading a directory")? {
        let name = entry.what(|| "reading a directory")?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok((dir, names))
}

/// An extended attribute; `None` when there is none, also where the file system has no such thing.
fn attribute(path: &str, name: &str) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = vec![0u8; 65_536];
    match rustix::fs::getxattr(Path::new(path), name, &mut value[..]) {
        Ok(len) => {
            value.truncate(len);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e),
    }
}

fn set(path: &str, name: &str, value: &[u8]) -> Result<(), Errno> {
    rustix::fs::setxattr(Path::new(path), name, value, XattrFlags::empty())
}

#[cfg(test)]
mod tests;
