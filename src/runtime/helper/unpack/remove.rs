//! Removes a tree, whatever is in it: no link is followed, no mount crossed, no path too long or too deep.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, IFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::fs::{fstat, ioctl_getflags, ioctl_setflags, openat2, renameat_with, unlinkat};
use rustix::io::{Errno, Result};

use crate::error::{self, Ctx, Kind};

/// Levels that are open at once at most; what lies deeper is moved up to the top first.
const LEVELS: usize = 64;
/// Names that are held at once.
const BATCH: usize = 1024;

/// Removes `name` in the open directory with everything below it. Nothing there is fine. Blocks; what an interrupted
/// run left is removed by the next one.
///
/// Symbolic links are removed, never followed. A mount below the tree is an error ([`Kind::Busy`]) and stays.
pub fn tree(parent: BorrowedFd<'_>, name: &OsStr) -> error::Result<()> {
    match remove(parent, name) {
        Err(Errno::XDEV | Errno::BUSY) => {
            Err(error::Error::new(Kind::Busy, format!("Failed removing {name:?}: something is mounted in it")))
        }
        other => other.ctx(Kind::Internal, || format!("Failed removing {name:?}")),
    }
}

fn remove(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    if unlink(parent, name)? {
        return Ok(());
    }
    let Some(top) = open(parent, name)? else { return Ok(()) };
    let mut moved = 0;
    loop {
        let before = moved;
        empty(&top, top.as_fd(), (1, &mut moved))?;
        // What was moved up lies in the top now.
        if moved == before {
            break;
        }
    }
    remove_directory(parent, name)
}

/// Removes what is in `directory`, which is `level` below the top.
fn empty(directory: &OwnedFd, top: BorrowedFd<'_>, (level, moved): (usize, &mut u64)) -> Result<()> {
    loop {
        let names = names(directory)?;
        if names.is_empty() {
            return Ok(());
        }
        let before = *moved;
        for name in &names {
            let name = OsStr::from_bytes(name.as_bytes());
            if unlink(directory.as_fd(), name)? {
                continue;
            }
            if level >= LEVELS {
                move_up(directory.as_fd(), name, top, moved)?;
                continue;
            }
            if let Some(child) = open(directory.as_fd(), name)? {
                empty(&child, top, (level + 1, moved))?;
            }
            remove_directory(directory.as_fd(), name)?;
        }
        // In the top itself the moved ones would be met at once, still as deep as they are.
        if level == 1 && *moved != before {
            return Ok(());
        }
    }
}

/// The first names in the directory, but `.` and `..`.
fn names(directory: &OwnedFd) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
        if names.len() == BATCH {
            break;
        }
    }
    Ok(names)
}

/// Opens a directory that is no mount; `None` when it is gone.
fn open(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Not st_dev: a bind mount has the same one, and a btrfs subvolume another.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match openat2(parent, name, flags, Mode::empty(), resolve) {
            Ok(directory) => return Ok(Some(directory)),
            Err(Errno::AGAIN) => {}
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Removes anything but a directory; `false` when it is one.
fn unlink(parent: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(Errno::PERM) => {
            make_mutable(parent, name);
            match unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(true),
                Err(Errno::ISDIR) => Ok(false),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

fn remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::PERM) => {
            make_mutable(parent, name);
            unlinkat(parent, name, AtFlags::REMOVEDIR)
        }
        Err(error) => Err(error),
    }
}

/// Takes the immutable and append-only flags away (a privileged guest may set them) from a file and its directory.
fn make_mutable(parent: BorrowedFd<'_>, name: &OsStr) {
    let clear = |file: BorrowedFd<'_>| {
        if let Ok(flags) = ioctl_getflags(file) {
            let _ = ioctl_setflags(file, flags.difference(IFlags::IMMUTABLE | IFlags::APPEND));
        }
    };
    if let Ok(directory) =
        rustix::fs::openat(parent, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    {
        clear(directory.as_fd());
    }
    let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    // Opening a device would wake its driver; only these have flags.
    if kind.is_file() || kind.is_dir() {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::openat(parent, name, flags, Mode::empty()) {
            clear(file.as_fd());
        }
    }
}

/// Moves a directory into the top under a name that is free there.
fn move_up(from: BorrowedFd<'_>, name: &OsStr, top: BorrowedFd<'_>, moved: &mut u64) -> Result<()> {
    let inode = fstat(top)?.st_ino;
    loop {
        *moved += 1;
        let free = format!(".removing-{inode:x}-{moved}");
        match renameat_with(from, name, top, free.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lxbox-remove-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn remove_from(parent: &Path, name: &str) -> error::Result<()> {
        tree(std::fs::File::open(parent).unwrap().as_fd(), OsStr::new(name))
    }

    #[test]
    fn a_tree_goes_and_what_its_links_name_stays() {
        let scratch = scratch("links");
        std::fs::create_dir_all(scratch.join("outside")).unwrap();
        std::fs::write(scratch.join("outside/kept"), "").unwrap();
        std::fs::create_dir_all(scratch.join("tree/a/b")).unwrap();
        std::fs::write(scratch.join("tree/a/b/f"), "").unwrap();
        symlink(scratch.join("outside"), scratch.join("tree/a/link")).unwrap();
        symlink("/", scratch.join("tree/root")).unwrap();
        for i in 0..2500 {
            std::fs::write(scratch.join(format!("tree/a/{i}")), "").unwrap();
        }
        remove_from(&scratch, "tree").unwrap();
        assert!(!scratch.join("tree").exists());
        assert!(scratch.join("outside/kept").exists());
        symlink("outside", scratch.join("name")).unwrap();
        remove_from(&scratch, "name").unwrap();
        remove_from(&scratch, "name").unwrap();
        assert!(scratch.join("outside/kept").exists());
        remove_from(Path::new("/tmp"), scratch.file_name().unwrap().to_str().unwrap()).unwrap();
        assert!(!scratch.exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_goes() {
        let scratch = scratch("deep");
        std::fs::create_dir(scratch.join("tree")).unwrap();
        let mut at: OwnedFd = std::fs::File::open(scratch.join("tree")).unwrap().into();
        let name = "d".repeat(100);
        for _ in 0..300 {
            rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&at, "sibling", Mode::RWXU).unwrap();
            at = open(at.as_fd(), OsStr::new(&name)).unwrap().unwrap();
        }
        remove_from(&scratch, "tree").unwrap();
        assert!(!scratch.join("tree").exists());
        std::fs::remove_dir(&scratch).unwrap();
    }
}
