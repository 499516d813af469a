//! Packets with descriptors: sequenced-packet unix sockets between the daemon and its helpers (unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// Descriptors that one packet carries, at most.
pub const MAX_FDS: usize = 32;

/// A connected pair; both ends close on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// A connected pair of byte streams; both ends close on exec.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// A listening socket `name` in the directory `dir`, readable and writable by root alone, non-blocking.
///
/// The path goes through `/proc/self/fd`, because unix socket paths end at 107 bytes and ours may be longer.
pub fn listen(dir: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let _ = rustix::fs::unlinkat(dir, name, rustix::fs::AtFlags::empty());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = rustix::net::bind(&socket, &address(dir, name)?);
    rustix::process::umask(old);
    bound?;
    rustix::net::listen(&socket, 8)?;
    Ok(socket)
}

/// Connects to the socket `name` in the directory `dir`.
pub fn connect(dir: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &address(dir, name)?)?;
    Ok(socket)
}

fn address(dir: BorrowedFd<'_>, name: &str) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(Path::new(&format!("/proc/self/fd/{}/{name}", dir.as_raw_fd())))?)
}

/// Sends one packet. A peer that is gone is `EPIPE`, never a signal.
pub fn send(socket: impl AsFd, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(socket, packet, fds, SendFlags::NOSIGNAL)
}

/// As [`send`], but a full peer is `WouldBlock` instead of a wait.
pub fn try_send(socket: impl AsFd, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(socket, packet, fds, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn send_with(socket: impl AsFd, packet: &[u8], fds: &[BorrowedFd<'_>], flags: SendFlags) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one packet"));
    }
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(&socket, &[IoSlice::new(packet)], &mut control, flags))?;
    Ok(())
}

/// One packet and its descriptors; `None` when the peer has closed.
///
/// Waits unless the socket is non-blocking. A packet longer than `limit` bytes or with more than [`MAX_FDS`] descriptors
/// is an error; the descriptors that did arrive are closed.
pub fn receive(socket: impl AsFd, limit: usize) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    receive_with(socket, limit, RecvFlags::CMSG_CLOEXEC)
}

/// As [`receive`], but `WouldBlock` instead of a wait.
pub fn try_receive(socket: impl AsFd, limit: usize) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    receive_with(socket, limit, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
}

fn receive_with(socket: impl AsFd, limit: usize, flags: RecvFlags) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut packet = vec![0; limit];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut packet)], &mut control, flags)
    })?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the packet is too long"));
    }
    if got.bytes == 0 && fds.is_empty() {
        return Ok(None);
    }
    packet.truncate(got.bytes);
    Ok(Some((packet, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_bounds_and_carry_descriptors() {
        let (a, b) = pair().unwrap();
        let memfd = super::super::memfd::sealed("x", b"hello").unwrap();
        send(&a, b"one", &[memfd.as_fd()]).unwrap();
        send(&a, b"two", &[]).unwrap();
        let (packet, fds) = receive(&b, 100).unwrap().unwrap();
        assert_eq!((packet.as_slice(), fds.len()), (b"one".as_slice(), 1));
        assert_eq!(super::super::memfd::read(fds[0].as_fd()).unwrap(), b"hello");
        assert_eq!(receive(&b, 100).unwrap().unwrap().0, b"two");
        assert_eq!(try_receive(&b, 100).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive(&b, 100).unwrap().is_none());
    }

    #[test]
    fn a_packet_beyond_the_limit_is_refused() {
        let (a, b) = pair().unwrap();
        send(&a, &[7; 50], &[]).unwrap();
        assert!(receive(&b, 49).is_err());
        drop(b);
        assert_eq!(send(&a, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_socket_with_a_very_long_path_works() {
        let dir = std::env::temp_dir().join(format!("lxbox-channel-{}", std::process::id())).join("d".repeat(200));
        std::fs::create_dir_all(&dir).unwrap();
        let handle = std::fs::File::open(&dir).unwrap();
        let listener = listen(handle.as_fd(), "s").unwrap();
        let _client = connect(handle.as_fd(), "s").unwrap();
        rustix::net::accept(&listener).unwrap();
        std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }
}
