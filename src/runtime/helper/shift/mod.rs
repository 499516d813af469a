//! Rewrites the ids of a stopped container's files, for file systems and kernels without idmapped mounts.
//!
//! The tree is a guest's and hostile: entries are opened by name below their directory's descriptor, never through a link. A file with
//! several names is shifted once. Interrupted half-way the tree is mixed; LXD's is as well.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Fail, PLAN_FD, SOCKET_FD, What, read_plan, say};
use crate::runtime::spec::idmap::Ids;
use crate::runtime::spec::shift::{ShiftAnswer, ShiftPlan};
use crate::runtime::sys::{process, signal};

/// The word by which the executable becomes this.
pub const MODE: &str = "shift";

const CAPABILITY: &str = "security.capability";
const ACLS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// The entry of the hidden mode: plan and socket are open descriptors ([`PLAN_FD`], [`SOCKET_FD`]).
pub fn main(_args: &[String]) -> i32 {
    signal::reset_all();
    let _ = process::die_with_parent();
    let (Some(plan), Some(socket)) = (process::inherited(PLAN_FD), process::inherited(SOCKET_FD)) else { return 2 };
    let answer = match read_plan::<ShiftPlan>(plan.as_fd()).and_then(|plan| tree(&plan)) {
        Ok(()) => ShiftAnswer::Done,
        Err(e) => ShiftAnswer::Failed { errno: e.errno, what: e.what },
    };
    i32::from(say(&socket, &answer, &[]).is_err())
}

/// Shifts the whole tree, its top included.
fn tree(plan: &ShiftPlan) -> Result<(), Fail> {
    let top = open(CWD, plan.path.as_os_str()).what(|| format!("opening {:?}", plan.path))?;
    let mut seen = HashSet::new();
    shift_one(plan, &top, OsStr::new("."), &mut seen)?;
    let mut stack = vec![list(top)?];
    while let Some((dir, names)) = stack.last_mut() {
        let Some(name) = names.pop() else {
            stack.pop();
            continue;
        };
        let entry = open(&*dir, &name).what(|| format!("opening {name:?}"))?;
        if shift_one(plan, &entry, &name, &mut seen)? {
            stack.push(list(entry)?);
        }
    }
    Ok(())
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

/// Shifts one entry; true when it is a directory.
fn shift_one(plan: &ShiftPlan, entry: &OwnedFd, name: &OsStr, seen: &mut HashSet<(u64, u64)>) -> Result<bool, Fail> {
    let stat = rustix::fs::fstat(entry).what(|| format!("reading {name:?}"))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let directory = kind == FileType::Directory;
    if !directory && stat.st_nlink > 1 && !seen.insert((stat.st_dev, stat.st_ino)) {
        return Ok(false);
    }
    if kind == FileType::Symlink {
        chown(plan, entry, &stat, name)?;
        return Ok(false);
    }
    let path = format!("/proc/self/fd/{}", entry.as_raw_fd());
    // Read before the change of owner, which takes them away.
    let caps = attribute(&path, CAPABILITY).what(|| format!("reading capabilities of {name:?}"))?;
    chown(plan, entry, &stat, name)?;
    if stat.st_mode & 0o6000 != 0 {
        rustix::fs::chmod(&*path, Mode::from_raw_mode(stat.st_mode & 0o7777))
            .what(|| format!("changing the mode of {name:?}"))?;
    }
    if let Some(caps) = caps {
        let caps =
            plan.capabilities(&caps).ok_or_else(|| Fail::new(format!("understanding capabilities of {name:?}")))?;
        set(&path, CAPABILITY, &caps).what(|| format!("writing capabilities of {name:?}"))?;
    }
    for acl in ACLS {
        if let Some(old) = attribute(&path, acl).what(|| format!("reading the ACL of {name:?}"))? {
            let new = plan.acl(&old).ok_or_else(|| Fail::new(format!("understanding the ACL of {name:?}")))?;
            set(&path, acl, &new).what(|| format!("writing the ACL of {name:?}"))?;
        }
    }
    Ok(directory)
}

fn chown(plan: &ShiftPlan, entry: &OwnedFd, stat: &Stat, name: &OsStr) -> Result<(), Fail> {
    let unknown =
        || Fail::new(format!("shifting {name:?}: its owner {}:{} is outside the map", stat.st_uid, stat.st_gid));
    let uid = plan.shift(Ids::Uid, stat.st_uid).ok_or_else(unknown)?;
    let gid = plan.shift(Ids::Gid, stat.st_gid).ok_or_else(unknown)?;
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(entry, "", uid, gid, AtFlags::EMPTY_PATH).what(|| format!("changing the owner of {name:?}"))
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
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::runtime::spec::Idmap;

    #[test]
    fn a_tree_goes_there_and_back_unchanged() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let top = std::env::temp_dir().join(format!("lxbox-shift-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/set"), "x").unwrap();
        std::os::unix::fs::chown(top.join("a/set"), Some(5), Some(6)).unwrap();
        fs::set_permissions(top.join("a/set"), fs::Permissions::from_mode(0o6755)).unwrap();
        fs::hard_link(top.join("a/set"), top.join("a/b/again")).unwrap();
        symlink("/etc/passwd", top.join("link")).unwrap();
        fs::write(top.join(OsStr::from_bytes(b"odd\xff name")), "").unwrap();
        let caps: Vec<u8> = [0x0200_0001u32.to_le_bytes().to_vec(), vec![0; 16]].concat();
        set(top.join("a/b/again").to_str().unwrap(), CAPABILITY, &caps).unwrap();
        let host = fs::metadata("/etc/passwd").unwrap().uid();
        let map = Idmap::ranges((100_000, 65_536), (100_000, 65_536));
        let plan =
            |from: &Idmap, to: &Idmap| ShiftPlan { version: 1, path: top.clone(), from: from.clone(), to: to.clone() };
        tree(&plan(&Idmap::default(), &map)).unwrap();
        let stat = fs::metadata(top.join("a/set")).unwrap();
        assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (100_005, 100_006, 0o6755));
        assert_eq!(fs::symlink_metadata(top.join("link")).unwrap().uid(), 100_000);
        assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), host);
        tree(&plan(&map, &Idmap::default())).unwrap();
        let stat = fs::metadata(top.join("a/b/again")).unwrap();
        assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (5, 6, 0o6755));
        assert_eq!(attribute(top.join("a/set").to_str().unwrap(), CAPABILITY).unwrap().unwrap(), caps);
        assert!(tree(&plan(&map, &Idmap::default())).is_err(), "ids outside the map are an error");
        fs::remove_dir_all(&top).unwrap();
    }
}
