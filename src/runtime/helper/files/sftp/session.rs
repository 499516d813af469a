//! What a client has open, and what is done for it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::super::Trouble;
use super::super::tree::Tree;
use super::directory::Directory;
use super::packet::{
    APPEND, Answer, Attributes, CREATE, EXCLUSIVE, MAX_DATA, READ, Request, TRUNCATE, Told, WRITE, status,
};
use crate::runtime::spec::files::Fresh;
use crate::runtime::sys::root;

/// Files and directories that a client may have open.
const HANDLES: usize = 256;

/// How a request went.
pub(super) type Outcome<T> = Result<T, Errno>;

/// Something open.
enum Open {
    File { file: OwnedFd, append: bool },
    Directory(Directory),
}

impl Open {
    fn fd(&self) -> &OwnedFd {
        match self {
            Open::File { file, .. } => file,
            Open::Directory(directory) => directory.handle(),
        }
    }
}

/// A client.
pub(super) struct Session<'a> {
    tree: &'a Tree,
    open: HashMap<u32, Open>,
    next: u32,
    buffer: Vec<u8>,
}

impl<'a> Session<'a> {
    pub(super) fn new(tree: &'a Tree) -> Session<'a> {
        Session { tree, open: HashMap::new(), next: 0, buffer: Vec::new() }
    }

    /// Carries a request out.
    pub(super) fn answer(&mut self, id: u32, request: Request<'_>) -> Answer {
        let done = self.carry_out(id, request);
        done.unwrap_or_else(|e| {
            let number = match e {
                Errno::NOENT => status::NO_SUCH_FILE,
                Errno::ACCESS | Errno::PERM => status::PERMISSION_DENIED,
                Errno::OPNOTSUPP => status::UNSUPPORTED,
                _ => status::FAILURE,
            };
            Answer::status(id, number, &std::io::Error::from(e).to_string())
        })
    }

    fn carry_out(&mut self, id: u32, request: Request<'_>) -> Outcome<Answer> {
        match request {
            Request::Open(path, flags, attributes) => {
                let file = self.open_file(path, flags, attributes)?;
                return self.keep(id, Open::File { file, append: flags & APPEND != 0 });
            }
            Request::Opendir(path) => {
                let handle = self.find(path)?;
                let handle = self.tree.reopen(&handle, OFlags::RDONLY | OFlags::DIRECTORY)?;
                return self.keep(id, Open::Directory(Directory::new(handle)?));
            }
            Request::Close(handle) => drop(self.open.remove(&handle).ok_or(Errno::BADF)?),
            Request::Read(handle, from, length) => return self.read(id, handle, (from, length)),
            Request::Write(handle, to, data) => self.write(handle, to, data)?,
            Request::Readdir(handle) => return self.readdir(id, handle),
            Request::Lstat(path) => return Ok(Answer::attributes(id, &told(&self.lstat(path)?))),
            Request::Stat(path) => return Ok(Answer::attributes(id, &told(&rustix::fs::fstat(self.find(path)?)?))),
            Request::Fstat(handle) => {
                return Ok(Answer::attributes(id, &told(&rustix::fs::fstat(self.handle(handle)?.fd())?)));
            }
            Request::Setstat(path, attributes) => self.set(&self.find(path)?, attributes)?,
            Request::Fsetstat(handle, attributes) => self.set(self.handle(handle)?.fd(), attributes)?,
            Request::Fsync(handle) => rustix::fs::fsync(self.handle(handle)?.fd())?,
            Request::Realpath(path) => return Ok(Answer::name(id, real(path).as_os_str().as_bytes())),
            Request::Readlink(path) => return self.readlink(id, path),
            Request::Statvfs(path) => return self.statvfs(id, path),
            Request::Unknown => return Err(Errno::OPNOTSUPP),
            other => self.change(other)?,
        }
        Ok(Answer::status(id, status::OK, "Success"))
    }

    /// Changes of names.
    fn change(&self, request: Request<'_>) -> Outcome<()> {
        match request {
            Request::Remove(path) => {
                let (parent, name) = self.parent(path)?;
                rustix::fs::unlinkat(&parent, name, AtFlags::empty())
            }
            Request::Rmdir(path) => {
                let (parent, name) = self.parent(path)?;
                rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)
            }
            Request::Mkdir(path, attributes) => {
                let (parent, name) = self.parent(path)?;
                let mode = attributes.mode.unwrap_or(0o755) & 0o777;
                rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode))
            }
            Request::Rename(from, to, over) => {
                let ((old_parent, old), (new_parent, new)) = (self.parent(from)?, self.parent(to)?);
                let flags = if over { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
                rustix::fs::renameat_with(&old_parent, old, &new_parent, new, flags)
            }
            Request::Symlink(target, path) => {
                let (parent, name) = self.parent(path)?;
                rustix::fs::symlinkat(target, &parent, name)
            }
            Request::Hardlink(from, to) => {
                let ((old_parent, old), (new_parent, new)) = (self.parent(from)?, self.parent(to)?);
                rustix::fs::linkat(&old_parent, old, &new_parent, new, AtFlags::empty())
            }
            _ => Err(Errno::OPNOTSUPP),
        }
    }

    fn keep(&mut self, id: u32, open: Open) -> Outcome<Answer> {
        if self.open.len() >= HANDLES {
            return Err(Errno::MFILE);
        }
        // Counted up to where nobody gets: `u32::MAX` is nobody's.
        let handle = self.next;
        self.next = (self.next + 1) % u32::MAX;
        if self.open.contains_key(&handle) {
            return Err(Errno::AGAIN);
        }
        self.open.insert(handle, open);
        Ok(Answer::handle(id, handle))
    }

    fn handle(&self, handle: u32) -> Outcome<&Open> {
        self.open.get(&handle).ok_or(Errno::BADF)
    }

    fn open_file(&self, path: &Path, flags: u32, attributes: Attributes) -> Outcome<OwnedFd> {
        if flags & (WRITE | APPEND | CREATE | TRUNCATE) == 0 {
            return self.tree.open_to_read(&self.find(path)?);
        }
        let opened = self.tree.open_to_write(path, flags & CREATE != 0).map_err(errno)?;
        if opened.fresh {
            let mode = attributes.mode.map(|mode| mode & 0o777);
            super::super::tree::give(&opened.file, Fresh { mode, ..Fresh::default() }).map_err(errno)?;
        } else if flags & EXCLUSIVE != 0 {
            return Err(Errno::EXIST);
        } else if flags & TRUNCATE != 0 {
            rustix::fs::ftruncate(&opened.file, 0)?;
        }
        match flags & READ {
            0 => Ok(opened.file),
            _ => self.tree.reopen(&opened.file, OFlags::RDWR),
        }
    }

    fn read(&mut self, id: u32, handle: u32, (from, length): (u64, u32)) -> Outcome<Answer> {
        let Some(Open::File { file, .. }) = self.open.get(&handle) else { return Err(Errno::BADF) };
        self.buffer.resize(length.min(MAX_DATA) as usize, 0);
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut self.buffer[..], from))?;
        match read {
            0 => Ok(Answer::status(id, status::EOF, "EOF")),
            read => Ok(Answer::data(id, &self.buffer[..read])),
        }
    }

    fn write(&self, handle: u32, mut to: u64, mut data: &[u8]) -> Outcome<()> {
        let Open::File { file, append } = self.handle(handle)? else { return Err(Errno::BADF) };
        if *append {
            to = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
        }
        while !data.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, data, to))?;
            data = &data[written..];
            to += written as u64;
        }
        Ok(())
    }

    fn readdir(&mut self, id: u32, handle: u32) -> Outcome<Answer> {
        let Some(Open::Directory(directory)) = self.open.get_mut(&handle) else { return Err(Errno::BADF) };
        Ok(directory.next(id)?.unwrap_or_else(|| Answer::status(id, status::EOF, "EOF")))
    }

    /// A handle on what is there, or what a link there points to.
    fn find(&self, path: &Path) -> Outcome<OwnedFd> {
        root::handle(self.tree.root.as_fd(), path).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }

    fn lstat(&self, path: &Path) -> Outcome<Stat> {
        let handle = root::open(self.tree.root.as_fd(), path, OFlags::PATH | OFlags::NOFOLLOW, 0);
        rustix::fs::fstat(handle.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?)
    }

    fn parent<'p>(&self, path: &'p Path) -> Outcome<(OwnedFd, &'p OsStr)> {
        let (parent, name) = self.tree.parent(path)?;
        Ok((parent, name.text))
    }

    fn readlink(&self, id: u32, path: &Path) -> Outcome<Answer> {
        let (parent, name) = self.parent(path)?;
        Ok(Answer::name(id, rustix::fs::readlinkat(&parent, name, Vec::new())?.as_bytes()))
    }

    /// Sets attributes, the owner first: a change of it takes set-id bits away.
    fn set(&self, fd: &OwnedFd, attributes: Attributes) -> Outcome<()> {
        let Attributes { size, ids, mode, times } = attributes;
        if let Some(size) = size {
            rustix::fs::ftruncate(self.tree.writable(fd)?, size)?;
        }
        // By its name among our own descriptors: one that was opened for its path alone can't be changed otherwise.
        let (own, name) = self.tree.changeable(fd)?;
        if let Some((uid, gid)) = ids {
            rustix::fs::chownat(own, &name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::empty())?;
        }
        if let Some(mode) = mode {
            rustix::fs::chmodat(own, &name, Mode::from_raw_mode(mode), AtFlags::empty())?;
        }
        if let Some((accessed, modified)) = times {
            let time = |seconds: u32| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
            let times = Timestamps { last_access: time(accessed), last_modification: time(modified) };
            rustix::fs::utimensat(own, &name, &times, AtFlags::empty())?;
        }
        Ok(())
    }

    fn statvfs(&self, id: u32, path: &Path) -> Outcome<Answer> {
        let s = rustix::fs::fstatvfs(self.find(path)?)?;
        let (blocks, files) = ([s.f_blocks, s.f_bfree, s.f_bavail], [s.f_files, s.f_ffree, s.f_favail]);
        let head = [s.f_bsize, s.f_frsize];
        let tail = [s.f_fsid, s.f_flag.bits(), s.f_namemax];
        Ok(Answer::numbers(id, &[&head[..], &blocks, &files, &tail].concat()))
    }
}

/// What something is, as it is told.
pub(super) fn told(stat: &Stat) -> Told {
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let time = |seconds: i64| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
    Told {
        size: if is_file || FileType::from_raw_mode(stat.st_mode) == FileType::Symlink { size } else { 0 },
        ids: (stat.st_uid, stat.st_gid),
        mode: stat.st_mode,
        times: (time(stat.st_atime), time(stat.st_mtime)),
    }
}

fn errno(trouble: Trouble) -> Errno {
    match trouble {
        Trouble::Path(_, errno) => errno,
        Trouble::Host(_) => Errno::IO,
    }
}

/// The path from the root, by text alone.
fn real(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::from("/"), |mut so_far, part| {
        match part {
            Component::ParentDir => drop(so_far.pop()),
            Component::Normal(name) => so_far.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        so_far
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_root() {
        let seen = |path: &str| real(Path::new(path)).to_str().unwrap().to_owned();
        assert_eq!(
            (seen("."), seen("a/./b"), seen("/a/../../b/"), seen("..")),
            ("/".into(), "/a/b".into(), "/b".into(), "/".into())
        );
    }

    #[test]
    fn requests_are_carried_out_inside_of_the_tree() {
        let place = std::env::temp_dir().join(format!("lxbox-sftp-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(place.join("in")).unwrap();
        std::fs::write(place.join("secret"), "host").unwrap();
        std::os::unix::fs::symlink("/secret", place.join("in/up")).unwrap();
        let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let tree = Tree { root: open(&place.join("in")), own: open(Path::new("/proc/self/fd")) };
        let mut session = Session::new(&tree);
        let mut ask = |request: Request<'_>| session.answer(1, request).finish()[4..].to_vec();
        let failed = |answer: Vec<u8>| (answer[0] == 101).then(|| answer[8]);
        let create = |path| Request::Open(path, READ | WRITE | CREATE | EXCLUSIVE, Attributes::default());
        assert_eq!(failed(ask(Request::Open(Path::new("/up"), READ, Attributes::default()))), Some(2));
        let handle = ask(create(Path::new("/file")));
        assert_eq!(handle[..], [102, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0]);
        assert_eq!(failed(ask(create(Path::new("/file")))), Some(4));
        assert_eq!(failed(ask(Request::Write(0, 2, b"cd"))), Some(0));
        assert_eq!(failed(ask(Request::Write(0, 0, b"ab"))), Some(0));
        assert_eq!(ask(Request::Read(0, 1, 100))[9..], *b"bcd");
        assert_eq!(failed(ask(Request::Read(0, 4, 100))), Some(1));
        let mode = Attributes { mode: Some(0o4711), size: Some(2), times: Some((5, 6)), ..Attributes::default() };
        assert_eq!(failed(ask(Request::Setstat(Path::new("file"), mode))), Some(0));
        let stat = ask(Request::Stat(Path::new("file")));
        assert_eq!((&stat[9..17], &stat[25..29]), (&[0, 0, 0, 0, 0, 0, 0, 2][..], &[0, 0, 0x89, 0xc9][..]));
        assert_eq!(failed(ask(Request::Mkdir(Path::new("d"), Attributes::default()))), Some(0));
        assert_eq!(failed(ask(Request::Rename(Path::new("file"), Path::new("d"), false))), Some(4));
        assert_eq!(failed(ask(Request::Rename(Path::new("file"), Path::new("d/../../../e"), true))), Some(0));
        assert!(place.join("in/e").exists() && !place.join("e").exists());
        assert_eq!(failed(ask(Request::Readdir(0))), Some(4));
        assert_eq!(ask(Request::Opendir(Path::new("/")))[12], 1);
        assert_eq!(ask(Request::Readdir(1))[5..9], [0, 0, 0, 5]);
        assert_eq!(failed(ask(Request::Readdir(1))), Some(1));
        assert_eq!((failed(ask(Request::Close(1))), failed(ask(Request::Close(1)))), (Some(0), Some(4)));
        assert_eq!(failed(ask(Request::Unknown)), Some(8));
        for _ in 0..HANDLES - 1 {
            assert_eq!(ask(Request::Opendir(Path::new("/")))[0], 102);
        }
        assert_eq!(failed(ask(Request::Opendir(Path::new("/")))), Some(4));
        assert_eq!(std::fs::read_to_string(place.join("secret")).unwrap(), "host");
        std::fs::remove_dir_all(&place).unwrap();
    }
}
