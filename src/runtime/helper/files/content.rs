//! Content between a guest's files and the pipe to the daemon, or a client's connection, without ever holding more of it than one
//! buffer.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Dir, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::pipe::SpliceFlags;

use super::tree::{Tree, give};
use super::{Call, Trouble, tell};
use crate::api::tree;
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::content::Rest;
use crate::runtime::spec::files::{FilesAnswer, FoundKind, Fresh};
use crate::runtime::spec::shim::MAX_MESSAGE;
use crate::runtime::sys::channel;

/// Bytes moved at once.
const CHUNK: usize = 1 << 20;
/// Bytes held at once, where the kernel can't move them by itself.
const BUFFER: usize = 64 << 10;
/// Bytes read at once from a connection: what fits in one, or more.
const ARRIVED: usize = 256 << 10;
/// Parts written at once (IOV_MAX).
const PARTS: usize = 1024;
/// How long content that can't be written is read all the same: clients send all of it before they look for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

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
        give(&opened.file, fresh).inspect_err(|_| drop(tree.delete(path)))?;
    } else if append {
        rustix::fs::seek(&opened.file, SeekFrom::End(0)).call("seek")?;
    } else {
        rustix::fs::ftruncate(&opened.file, 0).call("open")?;
    }
    tell(socket, FilesAnswer::Ready)?;
    take(&opened.file, (socket, pipe))
}

/// Why nothing more is written, and since when.
type Refused = Option<(Errno, Instant)>;

fn refused(written: rustix::io::Result<()>) -> Refused {
    written.err().map(|e| (e, Instant::now()))
}

/// Writes what the pipe brings, and then the connection that was sent meanwhile, if there was one. What can't be written is
/// read all the same, for a while.
fn take(file: &OwnedFd, (socket, pipe): (&OwnedFd, OwnedFd)) -> Result<(), Trouble> {
    let mut refused = refused(move_bytes(&pipe, file, u64::MAX).map(drop));
    if refused.is_some() {
        let mut buffer = vec![0; BUFFER];
        while wait(&pipe, refused)? && rustix::io::read(&pipe, &mut buffer[..]).is_ok_and(|read| read > 0) {}
    }
    // Whatever was sent is here before the pipe ends.
    match channel::try_receive(socket, MAX_MESSAGE) {
        Ok(Some((rest, fds))) => {
            let rest = tree::from_slice(&rest).what(|| "reading a message")?;
            let [connection] = fds.try_into().map_err(|_| Fail::new("reading a message: no connection"))?;
            take_rest(rest, &connection, (file, &mut refused))?;
        }
        Ok(None) => {}
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
        Err(e) => Err(e).what(|| "reading a message")?,
    }
    refused.map_or(Ok(()), |(e, _)| Err(e)).call("write")
}

fn take_rest(mut rest: Rest, connection: &OwnedFd, (file, refused): (&OwnedFd, &mut Refused)) -> Result<(), Trouble> {
    let mut buffer = vec![0; ARRIVED];
    while !rest.ended() && wait(connection, *refused)? {
        let read = match rustix::net::recv(connection, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((read, _)) => read,
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(e) => Err(e).what(|| "reading from a client")?,
        };
        let mut content = rest.content(&buffer[..read]);
        if read == 0 || rest.lost() {
            return Err(Fail { errno: libc::EBADMSG, what: "reading from a client".into() }.into());
        }
        if refused.is_none() {
            *refused = self::refused(write_parts(file, &mut content));
        }
    }
    Ok(())
}

/// Waits until there is something to read; false when that takes too long for what is only thrown away.
fn wait(from: &OwnedFd, refused: Refused) -> Result<bool, Trouble> {
    let left = refused.map(|(_, since)| PATIENCE.saturating_sub(since.elapsed()));
    let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
    let ready = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(from, PollFlags::IN)], left.as_ref()));
    Ok(ready.what(|| "waiting for content")? > 0)
}

fn write_parts(to: &OwnedFd, mut parts: &mut [IoSlice<'_>]) -> rustix::io::Result<()> {
    while !parts.is_empty() {
        let several = parts.len().min(PARTS);
        let written = rustix::io::retry_on_intr(|| rustix::io::writev(to, &parts[..several]))?;
        IoSlice::advance_slices(&mut parts, written);
    }
    Ok(())
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
