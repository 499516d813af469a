//! Lookups and changes below the root of a hostile tree.
//!
//! Names are looked up by [`root`], which nothing leads out of. What has been looked at is opened by its handle, never by its name
//! again: between the two a guest may put a device or a fifo there.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::{Call, Trouble};
use crate::runtime::spec::files::{Found, FoundKind, Fresh};
use crate::runtime::sys::root;

/// Dangling links that are followed to make a file, and rounds lost against a guest that changes what is looked at.
const ROUNDS: usize = 40;

/// File systems whose files are switches and not content.
const PSEUDO: &[i64] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6367_7270, // cgroup2
    0x0027_e0eb, // cgroup
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
];

/// A guest's tree.
pub(super) struct Tree {
    /// Its root directory.
    pub(super) root: OwnedFd,
    /// Our own open descriptors, in a `/proc` of the host's.
    pub(super) own: OwnedFd,
}

/// An open file.
pub(super) struct Opened {
    /// For writing.
    pub(super) file: OwnedFd,
    /// Whether it was made.
    pub(super) fresh: bool,
}

impl Tree {
    /// What is at `path`, and a handle on it. A link in the last place is not followed.
    pub(super) fn look(&self, path: &str) -> Result<(OwnedFd, Found), Trouble> {
        const CALL: &str = "lstat";
        let handle = root::open(self.root.as_fd(), Path::new(path), OFlags::PATH | OFlags::NOFOLLOW, 0).call(CALL)?;
        let stat = rustix::fs::fstat(&handle).call(CALL)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let (kind, size, target) = match kind {
            FileType::Directory => (FoundKind::Directory, 0, Vec::new()),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&handle, "", Vec::new()).call("readlink")?.into_bytes();
                (FoundKind::Symlink, target.len() as u64, target)
            }
            FileType::RegularFile if !is_pseudo(&handle) => {
                (FoundKind::File, u64::try_from(stat.st_size).unwrap_or(0), Vec::new())
            }
            _ => (FoundKind::File, 0, Vec::new()),
        };
        let modified = (stat.st_mtime, stat.st_mtime_nsec as u32);
        let (uid, gid, mode) = (stat.st_uid, stat.st_gid, stat.st_mode & 0o777);
        Ok((handle, Found { kind, uid, gid, mode, size, modified, target }))
    }

    /// Opens what a handle is on.
    pub(super) fn reopen(&self, handle: &OwnedFd, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let name = handle.as_raw_fd().to_string();
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.own, name, flags, Mode::empty())
    }

    /// Opens a regular file for writing; a missing one is made when `make` says so, also where a dangling link points.
    pub(super) fn open_to_write(&self, path: &str, make: bool) -> Result<Opened, Trouble> {
        const CALL: &str = "open";
        let mut path = PathBuf::from(path);
        for _ in 0..ROUNDS {
            match root::handle(self.root.as_fd(), &path) {
                Ok(handle) => {
                    let file = self.writable(&handle).call(CALL)?;
                    return Ok(Opened { file, fresh: false });
                }
                Err(e) if make && e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e).call(CALL),
            }
            let (parent, name) = self.parent(&path).call(CALL)?;
            if name.directory {
                return Err(Errno::ISDIR).call(CALL);
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&parent, name.text, flags, Mode::from_raw_mode(0o644)) {
                Ok(file) => return Ok(Opened { file, fresh: true }),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e).call(CALL),
            }
            // A dangling link, or something that was made this very moment.
            if let Ok(target) = rustix::fs::readlinkat(&parent, name.text, Vec::new()) {
                path = name.before.join(OsStr::from_bytes(target.as_bytes()));
            }
        }
        Err(Errno::LOOP).call(CALL)
    }

    fn writable(&self, handle: &OwnedFd) -> rustix::io::Result<OwnedFd> {
        match FileType::from_raw_mode(rustix::fs::fstat(handle)?.st_mode) {
            FileType::RegularFile if is_pseudo(handle) => Err(Errno::ACCESS),
            FileType::RegularFile => self.reopen(handle, OFlags::WRONLY),
            FileType::Directory => Err(Errno::ISDIR),
            // A fifo would make us wait, a device would do who knows what.
            _ => Err(Errno::INVAL),
        }
    }

    /// Makes a directory, unless something is there.
    pub(super) fn make_directory(&self, path: &str, fresh: Fresh) -> Result<(), Trouble> {
        if root::exists(self.root.as_fd(), Path::new(path)) {
            return Ok(());
        }
        let (parent, name) = self.parent(Path::new(path)).call("mkdir")?;
        rustix::fs::mkdirat(&parent, name.text, Mode::from_raw_mode(0o700)).call("mkdir")?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&parent, name.text, flags, Mode::empty()).call("open")?;
        give(&made, Fresh { mode: fresh.mode.or(Some(0o750)), ..fresh })
    }

    /// Makes a symbolic link, unless the very same is there.
    pub(super) fn make_link(&self, path: &str, target: &str) -> Result<(), Trouble> {
        let (parent, name) = self.parent(Path::new(path)).call("symlink")?;
        if name.directory {
            return Err(Errno::NOENT).call("symlink");
        }
        match rustix::fs::readlinkat(&parent, name.text, Vec::new()) {
            Ok(now) if now.as_bytes() == target.as_bytes() => Ok(()),
            _ => rustix::fs::symlinkat(target, &parent, name.text).call("symlink"),
        }
    }

    /// Removes a file, a link or an empty directory.
    pub(super) fn delete(&self, path: &str) -> Result<(), Trouble> {
        const CALL: &str = "remove";
        let (parent, name) = self.parent(Path::new(path)).call(CALL)?;
        let as_file = match name.directory {
            true => Err(Errno::NOTDIR),
            false => rustix::fs::unlinkat(&parent, name.text, AtFlags::empty()),
        };
        let Err(why) = as_file else { return Ok(()) };
        match rustix::fs::unlinkat(&parent, name.text, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(()),
            // Then it is the first try that says what is wrong.
            Err(Errno::NOTDIR) => Err(why).call(CALL),
            Err(e) => Err(e).call(CALL),
        }
    }

    /// A handle on the directory of `path`, and its last name.
    fn parent<'a>(&self, path: &'a Path) -> rustix::io::Result<(OwnedFd, Name<'a>)> {
        let name = Name::last(path.to_str().ok_or(Errno::INVAL)?).ok_or(Errno::BUSY)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = root::open(self.root.as_fd(), name.before, flags, 0);
        Ok((parent.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?, name))
    }
}

/// The last name of a path.
struct Name<'a> {
    /// What is before it.
    before: &'a Path,
    /// It, without slashes.
    text: &'a str,
    /// Whether a slash behind it says that it is a directory.
    directory: bool,
}

impl Name<'_> {
    /// `None` for the root itself.
    fn last(path: &str) -> Option<Name<'_>> {
        let plain = path.trim_end_matches('/');
        let directory = plain.len() < path.len();
        let at = plain.rfind('/').map_or(0, |at| at + 1);
        let (before, text) = plain.split_at(at);
        let before = Path::new(if before.is_empty() { "/" } else { before });
        (!text.is_empty()).then_some(Name { before, text, directory })
    }
}

/// Gives something new its owner and mode. The owner first: a change of it takes set-id bits away, and the mode may shut us out.
pub(super) fn give(file: &OwnedFd, fresh: Fresh) -> Result<(), Trouble> {
    if fresh.uid.is_some() || fresh.gid.is_some() {
        rustix::fs::fchown(file, fresh.uid.map(Uid::from_raw), fresh.gid.map(Gid::from_raw)).call("chown")?;
    }
    match fresh.mode {
        Some(mode) => rustix::fs::fchmod(file, Mode::from_raw_mode(mode & 0o777)).call("chmod"),
        None => Ok(()),
    }
}

/// Whether it is on a file system whose files are switches of the kernel's.
fn is_pseudo(handle: &OwnedFd) -> bool {
    rustix::fs::fstatfs(handle).map_or(true, |fs| PSEUDO.contains(&fs.f_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_is_found() {
        let last = |path| Name::last(path).map(|n| (n.before.to_str().unwrap_or(""), n.text, n.directory));
        assert_eq!(last("/a/b"), Some(("/a/", "b", false)));
        assert_eq!(last("/a//b//"), Some(("/a//", "b", true)));
        assert_eq!(last("b"), Some(("/", "b", false)));
        assert_eq!(last("/.."), Some(("/", "..", false)));
        assert_eq!((last("/"), last("//"), last("")), (None, None, None));
    }
}
