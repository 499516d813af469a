//! Content between a guest's files and the pipe to the daemon, without ever holding more of it than one buffer.

use std::os::fd::OwnedFd;

use rustix::fs::{Dir, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use super::tree::{Tree, give};
use super::{Call, Trouble, tell};
use crate::runtime::helper::What;
use crate::runtime::spec::files::{FilesAnswer, FoundKind, Fresh};

/// Bytes moved at once.
const CHUNK: usize = 1 << 20;
/// Bytes held at once, where the kernel can't move them by itself.
const BUFFER: usize = 64 << 10;

/// Says what is at `path` and sends its content.
pub(super) fn read(tree: &Tree, path: &str, (socket, pipe): (&OwnedFd, OwnedFd)) -> Result<(), Trouble> {
    let (handle, found) = tree.look(path)?;
    let size = found.size;
    match found.kind {
        FoundKind::Symlink => tell(socket, FilesAnswer::Found(found)),
        FoundKind::Directory => {
            let directory = tree.reopen(&handle, OFlags::RDONLY | OFlags::DIRECTORY).call("open")?;
            tell(socket, FilesAnswer::Found(found))?;
            send_names(&directory, &pipe)
        }
        FoundKind::File if size == 0 => tell(socket, FilesAnswer::Found(found)),
        FoundKind::File => {
            let file = tree.reopen(&handle, OFlags::RDONLY).call("open")?;
            tell(socket, FilesAnswer::Found(found))?;
            move_bytes(&file, &pipe, size).call("read").map(drop)
        }
    }
}

fn send_names(directory: &OwnedFd, pipe: &OwnedFd) -> Result<(), Trouble> {
    let mut names = Vec::with_capacity(BUFFER);
    for entry in Dir::read_from(directory).call("readdir")? {
        let entry = entry.call("readdir")?;
        let name = entry.file_name().to_bytes_with_nul();
        if name == b".\0" || name == b"..\0" {
            continue;
        }
        if names.len() + name.len() > BUFFER {
            write_all(pipe, &names).what(|| "sending names")?;
            names.clear();
        }
        names.extend_from_slice(name);
    }
    Ok(write_all(pipe, &names).what(|| "sending names")?)
}

/// Opens or makes the file at `path` and writes what comes.
pub(super) fn write(
    tree: &Tree,
    path: &str,
    (append, fresh): (bool, Fresh),
    (socket, pipe): (&OwnedFd, OwnedFd),
) -> Result<(), Trouble> {
    let opened = tree.open_to_write(path, !append)?;
    if opened.fresh {
        // Before there is anything to read in it.
        give(&opened.file, fresh)?;
    } else if append {
        rustix::fs::seek(&opened.file, SeekFrom::End(0)).call("seek")?;
    } else {
        rustix::fs::ftruncate(&opened.file, 0).call("open")?;
    }
    tell(socket, FilesAnswer::Ready)?;
    move_bytes(&pipe, &opened.file, u64::MAX).call("write").map(drop)
}

/// Moves bytes until the end, or until there were `limit`: by splice(2), which copies nothing on one side, else through a buffer.
fn move_bytes(from: &OwnedFd, to: &OwnedFd, limit: u64) -> rustix::io::Result<u64> {
    let mut moved = 0;
    while moved < limit {
        let length = usize::try_from(limit - moved).unwrap_or(CHUNK).min(CHUNK);
        match rustix::pipe::splice(from, None, to, None, length, SpliceFlags::empty()) {
            Ok(0) => return Ok(moved),
            Ok(n) => moved += n as u64,
            Err(Errno::INTR) => {}
            // Not every file system can do it.
            Err(Errno::INVAL) => return copy(from, to, (moved, limit)),
            Err(e) => return Err(e),
        }
    }
    Ok(moved)
}

fn copy(from: &OwnedFd, to: &OwnedFd, (mut moved, limit): (u64, u64)) -> rustix::io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    while moved < limit {
        let length = usize::try_from(limit - moved).unwrap_or(BUFFER).min(BUFFER);
        let read = rustix::io::retry_on_intr(|| rustix::io::read(from, &mut buffer[..length]))?;
        if read == 0 {
            break;
        }
        write_all(to, &buffer[..read])?;
        moved += read as u64;
    }
    Ok(moved)
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(to, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
