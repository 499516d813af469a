//! Lookups and changes below the root of a hostile tree.
//!
//! Names are looked up by [`root`], which nothing leads out of. What has been looked at is opened by its handle, never by its name
//! again: between the two a guest may put a device or a fifo there.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
    pub(super) fn open_to_write(&self, path: impl AsRef<Path>, make: bool) -> Result<Opened, Trouble> {
        const CALL: &str = "open";
        let mut path = path.as_ref().to_path_buf();
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

    /// Opens what a handle is on for reading: a regular file that is content.
    pub(super) fn open_to_read(&self, handle: &OwnedFd) -> rustix::io::Result<OwnedFd> {
        match FileType::from_raw_mode(rustix::fs::fstat(handle)?.st_mode) {
            FileType::RegularFile if is_pseudo(handle) => Err(Errno::ACCESS),
            FileType::RegularFile => self.reopen(handle, OFlags::RDONLY),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    /// Where what a handle is on can be changed without its name: in this directory, by this name.
    pub(super) fn changeable(&self, handle: &OwnedFd) -> rustix::io::Result<(&OwnedFd, String)> {
        match is_pseudo(handle) {
            true => Err(Errno::ACCESS),
            false => Ok((&self.own, handle.as_raw_fd().to_string())),
        }
    }

    /// Opens what a handle is on for writing: a regular file that is content.
    pub(super) fn writable(&self, handle: &OwnedFd) -> rustix::io::Result<OwnedFd> {
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
        give(&made, Fresh { mode: fresh.mode.or(Some(0o750)), ..fresh }).inspect_err(|_| drop(self.delete(path)))
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
    pub(super) fn parent<'a>(&self, path: &'a Path) -> rustix::io::Result<(OwnedFd, Name<'a>)> {
        let name = Name::last(path).ok_or(Errno::BUSY)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = root::open(self.root.as_fd(), name.before, flags, 0);
        Ok((parent.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?, name))
    }
}

/// The last name of a path.
pub(super) struct Name<'a> {
    /// What is before it.
    before: &'a Path,
    /// It, without slashes.
    pub(super) text: &'a OsStr,
    /// Whether a slash behind it says that it is a directory.
    directory: bool,
}

impl Name<'_> {
    /// `None` for the root itself.
    fn last(path: &Path) -> Option<Name<'_>> {
        let whole = path.as_os_str().as_bytes();
        let end = whole.iter().rposition(|b| *b != b'/')? + 1;
        let at = whole[..end].iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        let before: &[u8] = if at == 0 { b"/" } else { &whole[..at] };
        let (before, text) = (Path::new(OsStr::from_bytes(before)), OsStr::from_bytes(&whole[at..end]));
        Some(Name { before, text, directory: end < whole.len() })
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
        let text = |text: &'static OsStr| text.to_str().unwrap_or("");
        let last = |path: &'static str| {
            Name::last(Path::new(path)).map(|n| (text(n.before.as_os_str()), text(n.text), n.directory))
        };
        assert_eq!(last("/a/b"), Some(("/a/", "b", false)));
        assert_eq!(last("/a//b//"), Some(("/a//", "b", true)));
        assert_eq!(last("b"), Some(("/", "b", false)));
        assert_eq!(last("/.."), Some(("/", "..", false)));
        assert_eq!((last("/"), last("//"), last("")), (None, None, None));
    }
}
