//! SFTP over a guest's tree: requests from a stream are carried out one after the other, until it ends.
//!
//! ```text
//! client ═ daemon (passes bytes on) ═ stream ─ requests ─ `packet` ─ `session` ─ tree
//! ```
//!
//! As with the files API names are looked up so that nothing leads out of the tree, and only regular files are opened, of pseudo
//! file systems none.

mod directory;
pub mod packet;
mod session;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;

use super::tree::Tree;
use super::{Trouble, tell};
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::files::FilesAnswer;
use packet::{Answer, MAX_PACKET, status};
use session::Session;

/// Serves a client until its stream ends.
pub(super) fn serve(tree: &Tree, socket: &OwnedFd, stream: OwnedFd) -> Result<(), Trouble> {
    tell(socket, FilesAnswer::Ready)?;
    let mut stream = File::from(stream);
    let Some(first) = next(&mut stream)? else { return Ok(()) };
    if packet::version(&first).is_err() {
        return Err(Fail::new("reading the first packet of a client").into());
    }
    send(&mut stream, Answer::version())?;
    let mut session = Session::new(tree);
    while let Some(bytes) = next(&mut stream)? {
        let answer = match packet::read(&bytes) {
            Ok((id, Ok(request))) => session.answer(id, request),
            Ok((id, Err(_))) => Answer::status(id, status::BAD_MESSAGE, "bad message"),
            Err(_) => return Err(Fail::new("reading a packet of a client").into()),
        };
        send(&mut stream, answer)?;
    }
    Ok(())
}

/// The next packet; none when the stream ends between two.
fn next(stream: &mut File) -> Result<Option<Vec<u8>>, Fail> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return Ok(None),
        read => read.what(|| "reading from a client")?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 || length > MAX_PACKET {
        return Err(Fail::new(format!("reading a packet of {length} bytes")));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).what(|| "reading from a client")?;
    Ok(Some(packet))
}

fn send(stream: &mut File, answer: Answer) -> Result<(), Fail> {
    stream.write_all(&answer.finish()).what(|| "answering a client")
}
