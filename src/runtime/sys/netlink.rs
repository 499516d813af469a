//! Netlink sockets (netlink(7)). One belongs for ever to the network namespace it was made in.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::{GENERIC, NETFILTER};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::LinkNameSpaceType;

/// The part of the kernel a netlink socket speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Links, addresses, routes, traffic control (rtnetlink(7)).
    Route,
    /// Firewall and connection tracking.
    Netfilter,
    /// Families found by name: ethtool and others.
    Generic,
}

/// A socket in the network namespace of the calling thread, whose refusals carry the kernel's reason in words.
pub fn open(part: Part) -> io::Result<OwnedFd> {
    let protocol = match part {
        Part::Route => None,
        Part::Netfilter => Some(NETFILTER),
        Part::Generic => Some(GENERIC),
    };
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    // The reason in words, and an answer without the question in it. Both are since Linux 4.12 and only comfort.
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let _ = switch_on(&socket, option);
    }
    Ok(socket)
}

/// The same in another network namespace.
pub fn open_in(part: Part, netns: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    in_network(netns, || open(part))?
}

/// Runs `work` on a thread of its own that has joined the network namespace `netns`.
///
/// # Errors
/// Why the namespace could not be joined, or that no thread could be made.
pub fn in_network<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let joined = std::thread::Builder::new().spawn_scoped(scope, move || {
            rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
            Ok(work())
        })?;
        joined.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace panicked")))
    })
}

fn switch_on(socket: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is an int that lives across the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const on).cast::<libc::c_void>(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket in the network namespace of the calling process.
pub fn route_socket() -> io::Result<OwnedFd> {
    open(Part::Route)
}

/// Brings the loopback interface of the current network namespace up (netdevice(7)).
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: an all-zero ifreq is valid; the name fits with its terminating zero; the kernel reads and writes only the struct.
    let result = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// RTM_GETLINK.
pub const GET_LINK: u16 = 18;
/// RTM_GETADDR.
pub const GET_ADDR: u16 = 22;
/// Bytes one dump may have: a hostile guest can add interfaces and addresses without end.
pub const MAX_DUMP: usize = 4 << 20;

/// Asks for all objects of a kind ([`GET_LINK`], [`GET_ADDR`]) and gives the answer's messages without their headers.
///
/// The kernel answers within the call, so nothing waits long; requests on one socket must not run at the same time.
pub fn dump(socket: impl AsFd, kind: u16, sequence: u32) -> io::Result<Vec<Vec<u8>>> {
    let mut request = [0u8; 20];
    request[0..4].copy_from_slice(&20u32.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&0x301u16.to_ne_bytes()); // NLM_F_REQUEST | NLM_F_DUMP
    request[8..12].copy_from_slice(&sequence.to_ne_bytes());
    rustix::net::send(&socket, &request, SendFlags::empty())?;
    let mut found = Vec::new();
    let mut total = 0;
    // On the stack: musl would map this much anew each time.
    let mut buffer = [0u8; 32 * 1024];
    loop {
        let (len, _) = rustix::io::retry_on_intr(|| rustix::net::recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT))?;
        total += len;
        if total > MAX_DUMP {
            return Err(io::Error::other("the answer is too long"));
        }
        if messages(&buffer[..len], sequence, &mut found)? {
            return Ok(found);
        }
    }
}

/// Collects the messages of one datagram; true at the end of the dump.
fn messages(mut data: &[u8], sequence: u32, found: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    while data.len() >= 16 {
        let word = |i: usize| u32::from_ne_bytes([data[i], data[i + 1], data[i + 2], data[i + 3]]);
        let (len, kind) = (word(0) as usize, u16::from_ne_bytes([data[4], data[5]]));
        if len < 16 || len > data.len() {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        if word(8) == sequence {
            match kind {
                2 if len >= 20 => return Err(io::Error::from_raw_os_error(-(word(16) as i32))), // NLMSG_ERROR
                3 => return Ok(true),                                                           // NLMSG_DONE
                _ => found.push(data[16..len].to_vec()),
            }
        }
        data = &data[len.next_multiple_of(4).min(data.len())..];
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_links_and_addresses_are_listed() {
        let socket = route_socket().unwrap();
        assert!(!dump(&socket, GET_LINK, 1).unwrap().is_empty());
        dump(&socket, GET_ADDR, 2).unwrap();
    }
}
