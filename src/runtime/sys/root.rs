//! Lookups below a root that belongs to somebody hostile: nothing in it can lead outside (openat2(2), Linux 5.6).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// As if `root` were `/`; links through `/proc/PID` are refused.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Opens `path` as seen by somebody whose `/` is `root`. `O_CLOEXEC` is added.
pub fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
    // The kernel answers EAGAIN when a rename runs at the same time anywhere; a hostile guest may keep doing that, so not for ever.
    for _ in 0..64 {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode), INSIDE) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Opens `path` below the directory `root`: nothing on the way may be a symbolic link or lead up and out. `O_CLOEXEC` is added.
pub fn beneath(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
    let plain = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    for _ in 0..64 {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode), plain) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Whether we may do this (`libc::R_OK` and so on) to what is open, by our effective ids and capabilities (faccessat2(2), Linux 5.8).
pub fn may(fd: BorrowedFd<'_>, mode: i32) -> io::Result<()> {
    let flags = libc::AT_EACCESS | libc::AT_EMPTY_PATH;
    // SAFETY: the path is a constant C string; the descriptor is borrowed through the call.
    let result = unsafe { libc::syscall(libc::SYS_faccessat2, fd.as_raw_fd(), c"".as_ptr(), mode, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A handle (`O_PATH`) on `path`, which must exist.
pub fn handle(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH, 0)
}

/// A handle on the directory `path`; missing ones are made with mode 0755, also below symbolic links that stay inside.
pub fn directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let existing = open(root, path, OFlags::PATH | OFlags::DIRECTORY, 0);
    match existing {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let mut so_far = PathBuf::from("/");
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        let parent = open(root, &so_far, OFlags::PATH | OFlags::DIRECTORY, 0)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        so_far.push(name);
    }
    open(root, path, OFlags::PATH | OFlags::DIRECTORY, 0)
}

/// A handle on the file `path`; a missing one is made empty, its directories too.
pub fn file(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    match handle(root, path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let (parent, name) = split(root, path)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
    handle(root, path)
}

/// Writes a whole regular file. With `create_only` an existing one (of any kind) stays and `false` comes back.
///
/// A symbolic link in the last place is followed inside the root; anything but a regular file at the end is refused
/// (a fifo would make us wait, a device would do who knows what).
pub fn write(root: BorrowedFd<'_>, path: &Path, content: &[u8], (mode, create_only): (u32, bool)) -> io::Result<bool> {
    if create_only && handle(root, path).is_ok() {
        return Ok(false);
    }
    split(root, path)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = open(root, path, flags, mode)?;
    if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    rustix::fs::ftruncate(&fd, 0)?;
    io::Write::write_all(&mut std::fs::File::from(fd), content)?;
    Ok(true)
}

/// Makes a symbolic link in the directory `dir`; an existing name stays as it is.
pub fn symlink(dir: BorrowedFd<'_>, name: &str, target: &str) -> io::Result<()> {
    match rustix::fs::symlinkat(target, dir, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Whether `path` exists below the root (links followed inside).
pub fn exists(root: BorrowedFd<'_>, path: &Path) -> bool {
    handle(root, path).is_ok()
}

/// Takes away the name of a file, not following a link in the last place; a missing one is no error.
pub fn unlink(root: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let (parent, name) = split(root, path)?;
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Takes away the name of an empty file or directory, as far as that is possible.
pub fn remove_empty(root: BorrowedFd<'_>, path: &Path) {
    let Some(name) = path.file_name() else { return };
    let parent = path.parent().unwrap_or(Path::new("/"));
    let Ok(parent) = open(root, parent, OFlags::PATH | OFlags::DIRECTORY, 0) else { return };
    let Ok(status) = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
    let flags = match rustix::fs::FileType::from_raw_mode(status.st_mode) {
        rustix::fs::FileType::Directory => AtFlags::REMOVEDIR,
        rustix::fs::FileType::RegularFile if status.st_size == 0 => AtFlags::empty(),
        _ => return,
    };
    // One that something else is mounted on stays.
    let _ = rustix::fs::unlinkat(&parent, name, flags);
}

/// The directory of `path` (made when missing) and its last name.
fn split<'a>(root: BorrowedFd<'_>, path: &'a Path) -> io::Result<(OwnedFd, &'a std::ffi::OsStr)> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("/"));
    Ok((directory(root.as_fd(), parent)?, name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink as link;

    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Tree {
            let path = std::env::temp_dir().join(format!("lxbox-root-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("in/etc")).unwrap();
            Tree(path)
        }

        fn root(&self) -> OwnedFd {
            fs::File::open(self.0.join("in")).unwrap().into()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn writes_stay_inside_whatever_the_links_say() {
        let tree = Tree::new("links");
        fs::write(tree.0.join("secret"), "host").unwrap();
        link("../../../../../../secret", tree.0.join("in/etc/up")).unwrap();
        link(tree.0.join("secret"), tree.0.join("in/etc/abs")).unwrap();
        link("/", tree.0.join("in/dir")).unwrap();
        let root = tree.root();
        for path in ["etc/up", "/etc/abs", "dir/../../secret", "/../secret", "new/deep/file"] {
            let _ = write(root.as_fd(), Path::new(path), b"guest", (0o644, false));
        }
        assert_eq!(fs::read_to_string(tree.0.join("secret")).unwrap(), "host");
        assert_eq!(fs::read_to_string(tree.0.join("in/secret")).unwrap(), "guest");
        assert_eq!(fs::read_to_string(tree.0.join("in/new/deep/file")).unwrap(), "guest");
    }

    #[test]
    fn create_only_keeps_what_is_there_and_fifos_are_refused() {
        let tree = Tree::new("kinds");
        let root = tree.root();
        let path = Path::new("/etc/hostname");
        assert!(write(root.as_fd(), path, b"a", (0o644, true)).unwrap());
        assert!(!write(root.as_fd(), path, b"b", (0o644, true)).unwrap());
        assert!(write(root.as_fd(), path, b"c", (0o644, false)).unwrap());
        assert_eq!(fs::read_to_string(tree.0.join("in/etc/hostname")).unwrap(), "c");
        rustix::fs::mknodat(&root, "fifo", rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(write(root.as_fd(), Path::new("fifo"), b"x", (0o644, false)).is_err());
        assert!(write(root.as_fd(), Path::new("etc"), b"x", (0o644, false)).is_err());
        assert!(write(root.as_fd(), Path::new("/"), b"x", (0o644, false)).is_err());
    }

    #[test]
    fn directories_and_files_are_made_inside() {
        let tree = Tree::new("make");
        link("/real", tree.0.join("in/alias")).unwrap();
        let root = tree.root();
        assert!(
            directory(root.as_fd(), Path::new("/alias/x/y")).is_err(),
            "a dangling link is not followed for making"
        );
        fs::create_dir(tree.0.join("in/real")).unwrap();
        directory(root.as_fd(), Path::new("/alias/x/y")).unwrap();
        file(root.as_fd(), Path::new("/alias/f")).unwrap();
        assert!(tree.0.join("in/real/x/y").is_dir() && tree.0.join("in/real/f").is_file());
        assert!(exists(root.as_fd(), Path::new("alias/f")) && !exists(root.as_fd(), Path::new("alias/g")));
        unlink(root.as_fd(), Path::new("alias/f")).unwrap();
        unlink(root.as_fd(), Path::new("alias/f")).unwrap();
        assert!(!tree.0.join("in/real/f").exists());
    }
}
