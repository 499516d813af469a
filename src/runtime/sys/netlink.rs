//! A route-netlink socket (rtnetlink(7)). It belongs for ever to the network namespace it was made in.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// A socket in the network namespace of the calling process.
pub fn route_socket() -> io::Result<OwnedFd> {
    // Protocol 0 is NETLINK_ROUTE.
    Ok(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?)
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
    let mut buffer = vec![0u8; 32 * 1024];
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
