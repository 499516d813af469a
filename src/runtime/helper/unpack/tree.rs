//! Writes a tree below a directory descriptor.
//!
//! Every lookup goes through `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)` on that descriptor, so no symbolic
//! link of the tree leads out of it, and the last component is never followed. One writer at a time: the tree must
//! not change under it, which holds since nobody else can enter the directory yet.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

use super::path::TreePath;

/// A tree being written.
pub struct Tree {
    root: OwnedFd,
    /// The directory that was used last: archives go directory by directory.
    last: Option<(TreePath, OwnedFd)>,
}

/// What to do with a directory that stands where a member goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replace {
    /// Keep it: the member is a directory too.
    KeepDirectory,
    /// Take it away if it is empty.
    Anything,
}

const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl Tree {
    /// A tree whose root is the open directory.
    pub fn new(root: OwnedFd) -> Tree {
        Tree { root, last: None }
    }

    /// The root's descriptor.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Creates a regular file to write to, in the place of whatever was there. Its mode is 0600 until
    /// [`attributes::open_file`](super::attributes::open_file).
    pub fn create_file(&mut self, path: &TreePath) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.place(path, Replace::Anything, |dir, name| fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR))
    }

    /// Makes sure that there is a directory, and gives it open. Parents that the archive doesn't have become
    /// root's, mode 0755.
    pub fn create_directory(&mut self, path: &TreePath) -> Result<OwnedFd> {
        if path.is_root() {
            return self.open(path, OFlags::RDONLY | OFlags::DIRECTORY);
        }
        self.place(path, Replace::KeepDirectory, |dir, name| {
            match fs::mkdirat(dir, name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) if file_type(dir, name)? == FileType::Directory => {}
                Err(e) => return Err(e),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            fs::openat(dir, name, flags, Mode::empty())
        })
    }

    /// Makes a symbolic link; see [`attributes::node`](super::attributes::node) for the rest.
    pub fn create_symlink(&mut self, path: &TreePath, target: &OsStr) -> Result<()> {
        self.place(path, Replace::Anything, |dir, name| fs::symlinkat(target, dir, name))
    }

    /// Makes a named pipe or a device, mode 0600 for now.
    pub fn create_node(&mut self, path: &TreePath, kind: FileType, device: u64) -> Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        self.place(path, Replace::Anything, |dir, name| fs::mknodat(dir, name, kind, mode, device))
    }

    /// Gives a file a second name. Neither name is followed when it is a symbolic link.
    pub fn link(&mut self, path: &TreePath, target: &TreePath) -> Result<()> {
        let (target_dir, target_name) = target.split().ok_or(Errno::ISDIR)?;
        let target_dir = self.open(&target_dir, OFlags::PATH | OFlags::DIRECTORY)?;
        let wanted = fs::statat(&target_dir, target_name, AtFlags::SYMLINK_NOFOLLOW)?;
        let (directory, name) = path.split().ok_or(Errno::ISDIR)?;
        match fs::statat(self.directory(&directory)?, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Also when both paths are one: taking the name away first would lose the file.
            Ok(there) if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino) => return Ok(()),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
        self.place(path, Replace::Anything, |dir, name| {
            fs::linkat(&target_dir, target_name, dir, name, AtFlags::empty())
        })
    }

    /// The open directory that `path` is in, and its name there.
    pub(super) fn parent<'a>(&'a mut self, path: &'a TreePath) -> Result<(BorrowedFd<'a>, &'a OsStr)> {
        let (directory, name) = path.split().ok_or(Errno::ISDIR)?;
        Ok((self.directory(&directory)?, name))
    }

    /// Opens what is there already, without following the last component.
    pub fn open(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        resolve(&self.root, path, flags)
    }

    /// Runs `make` on the directory and name of `path`, and once more after what stood there is gone.
    fn place<T>(
        &mut self,
        path: &TreePath,
        replace: Replace,
        mut make: impl FnMut(BorrowedFd<'_>, &OsStr) -> Result<T>,
    ) -> Result<T> {
        let (directory, name) = path.split().ok_or(Errno::ISDIR)?;
        let made = make(self.directory(&directory)?, name);
        if !matches!(made, Err(Errno::EXIST)) {
            return made;
        }
        let dir = self.directory(&directory)?;
        match file_type(dir, name)? {
            FileType::Directory if replace == Replace::KeepDirectory => return made,
            FileType::Directory => fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?,
            _ => fs::unlinkat(dir, name, AtFlags::empty())?,
        }
        // The directory that was used last may have been reached through what is gone now.
        self.last = None;
        make(self.directory(&directory)?, name)
    }

    /// The open directory of that path; makes what is missing of it.
    fn directory(&mut self, path: &TreePath) -> Result<BorrowedFd<'_>> {
        if path.is_root() {
            return Ok(self.root.as_fd());
        }
        if !self.last.as_ref().is_some_and(|(known, _)| known == path) {
            let opened = match resolve(&self.root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC) {
                Err(Errno::NOENT) => self.make_parents(path)?,
                other => other?,
            };
            self.last = Some((path.clone(), opened));
        }
        self.last.as_ref().map(|(_, fd)| fd.as_fd()).ok_or(Errno::NOENT)
    }

    fn make_parents(&self, path: &TreePath) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = TreePath::default();
        let mut current = resolve(&self.root, &at, flags)?;
        for name in path.components() {
            at.push(name);
            // From the root each time, so that a link on the way is followed inside the tree.
            current = match resolve(&self.root, &at, flags) {
                Err(Errno::NOENT) => {
                    fs::mkdirat(&current, name, Mode::from_raw_mode(0o755))?;
                    fs::chmodat(&current, name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
                    resolve(&self.root, &at, flags)?
                }
                other => other?,
            };
        }
        Ok(current)
    }
}

fn resolve(root: &OwnedFd, path: &TreePath, flags: OFlags) -> Result<OwnedFd> {
    loop {
        match fs::openat2(root, path.as_path(), flags, Mode::empty(), RESOLVE) {
            // The kernel could not rule out a race with a rename somewhere on the host.
            Err(Errno::AGAIN) => continue,
            other => return other,
        }
    }
}

fn file_type(dir: impl AsFd, name: &OsStr) -> Result<FileType> {
    let stat = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}
