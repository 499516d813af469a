//! The socket between the daemon and the unpacking process: one plan with descriptors there, one answer back, each
//! JSON up to the end of its direction.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::confine;
use super::plan::{Plan, Reply};
use crate::api::tree;
use crate::error::{Ctx, Error, Kind, Result};

/// Descriptors that one plan carries at most.
pub const DESCRIPTORS: usize = 101;
/// Bytes of a plan; far more than one needs, and less than a socket takes at once.
const PLAN: usize = 128 << 10;
/// Bytes of an answer: a whole `metadata.yaml`, every byte of which JSON may have to escape.
pub const REPLY: u64 = 8 << 20;

/// Sends the plan and its descriptors (the daemon's side), and closes that direction. Doesn't block.
pub fn send(socket: &UnixStream, plan: &Plan, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let failed = || "Failed sending the plan to the unpacking process";
    let text = serde_json::to_vec(plan).ctx(Kind::Internal, failed)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if text.len() > PLAN || !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Error::internal(failed()));
    }
    let sent =
        sendmsg(socket, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL).ctx(Kind::Internal, failed)?;
    if sent != text.len() {
        return Err(Error::internal(failed()));
    }
    socket.shutdown(std::net::Shutdown::Write).ctx(Kind::Internal, failed)
}

/// Receives the plan and its descriptors (the process's side). Blocks.
pub(super) fn receive(socket: &mut UnixStream) -> Result<(Plan, Vec<OwnedFd>)> {
    let mut buffer = vec![0; PLAN];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(&mut *socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .map_err(|_| confine::misused())?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            descriptors.extend(fds);
        }
    }
    buffer.truncate(received.bytes);
    socket.take(PLAN as u64).read_to_end(&mut buffer).map_err(|_| confine::misused())?;
    let plan = tree::from_slice(&buffer).map_err(|_| confine::misused())?;
    Ok((plan, descriptors))
}

/// Sends the answer (the process's side). Blocks.
pub(super) fn answer(socket: &mut UnixStream, reply: &Reply) -> Result<()> {
    let failed = || "Failed sending the answer of the unpacking process";
    let text = serde_json::to_vec(reply).ctx(Kind::Internal, failed)?;
    socket.write_all(&text).ctx(Kind::Internal, failed)
}

/// Reads an answer (the daemon's side) that has come completely.
pub fn parse_reply(text: &[u8]) -> Result<Reply> {
    tree::from_slice(text).map_err(|_| Error::internal("The unpacking process died before it was done"))
}
