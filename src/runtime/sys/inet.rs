//! Socket options and addresses that rustix lacks: sockets tied to an interface, link-layer addresses, ICMPv6 filters
//! (socket(7), packet(7), RFC 3542).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// ICMPv6 socket option that holds a set of types to keep from the socket (linux/icmpv6.h).
const ICMPV6_FILTER: libc::c_int = 1;

/// Ties a socket to an interface by its name: it gets and sends packets there only, and doesn't collide with sockets on the same
/// port of other interfaces. Needs CAP_NET_RAW only to change a tie (Linux 5.7).
pub fn bind_to_device(socket: impl AsFd, interface: &str) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.as_bytes())
}

/// Lets only these ICMPv6 types reach a raw ICMPv6 socket.
pub fn only_icmpv6(socket: impl AsFd, types: &[u8]) -> io::Result<()> {
    let mut filter = [0xffu8; 32];
    for kind in types {
        let word = usize::from(kind >> 5) * 4;
        let bits = u32::from_ne_bytes([filter[word], filter[word + 1], filter[word + 2], filter[word + 3]]);
        filter[word..word + 4].copy_from_slice(&(bits & !(1 << (kind & 31))).to_ne_bytes());
    }
    set(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter)
}

fn set(socket: impl AsFd, level: libc::c_int, name: libc::c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the kernel reads `length` bytes of `value`, which lives through the call; the descriptor is borrowed through it.
    let result = unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket that sends packets with link-layer addresses of the caller's choice and receives none. Needs CAP_NET_RAW.
pub fn packet_sender() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Protocol 0: nothing is received (packet(7)).
    Ok(rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?)
}

/// Sends an IPv4 packet, header and all, to a hardware address on an interface, by a socket of [`packet_sender`].
pub fn send_packet(socket: impl AsFd, interface: u32, to: [u8; 6], packet: &[u8]) -> io::Result<()> {
    let index = i32::try_from(interface).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: an all-zero sockaddr_ll is valid; the kernel reads the packet and the address, which both live through the call, by
    // the lengths given.
    let sent = unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        address.sll_ifindex = index;
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&to);
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_tied_to_an_interface_that_exists() {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        bind_to_device(&socket, "lo").unwrap();
        let other = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        assert_eq!(bind_to_device(&other, "none-such").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
