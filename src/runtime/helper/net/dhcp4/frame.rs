//! IPv4 and UDP headers around an answer: a client without an address can't be reached through the kernel's own, which would ask
//! for its hardware address first.

use std::net::Ipv4Addr;

use super::{CLIENT_PORT, SERVER_PORT};

/// An IPv4 packet with this UDP content, from the server's port to the client's.
pub fn frame(from: Ipv4Addr, to: Ipv4Addr, content: &[u8]) -> Vec<u8> {
    let udp_length = (content.len() + 8) as u16;
    let mut packet = Vec::with_capacity(content.len() + 28);
    packet.extend([0x45, 0xc0]);
    packet.extend((udp_length + 20).to_be_bytes());
    // No identification, don't fragment, 64 hops, UDP; the checksum comes below.
    packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(0, &packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(SERVER_PORT.to_be_bytes());
    packet.extend(CLIENT_PORT.to_be_bytes());
    packet.extend(udp_length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(content);
    // Over a pseudo header of the addresses (which stand in front of it anyway), the protocol and the length (RFC 768).
    let sum = match checksum(17 + u32::from(udp_length), &packet[12..]) {
        0 => 0xffff,
        sum => sum,
    };
    packet[26..28].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The internet checksum (RFC 1071) on top of what was added up before.
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    let mut sum = bytes.chunks(2).map(word).fold(start, u32::wrapping_add);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_add_up_to_nothing() {
        for content in [&b"odd"[..], b"even", b""] {
            let packet = frame(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::BROADCAST, content);
            assert_eq!(checksum(0, &packet[..20]), 0);
            assert_eq!(checksum(17 + content.len() as u32 + 8, &packet[12..]), 0);
            assert_eq!(u16::from_be_bytes([packet[2], packet[3]]) as usize, packet.len());
        }
    }
}
