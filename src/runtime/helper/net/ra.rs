//! What router advertisements say (RFC 4861, 4.2; RFC 8106 for resolvers and search lists).

use std::net::Ipv6Addr;

use super::dhcp6::search_list;
use super::names;
use crate::runtime::spec::net::{DnsMode, NetPlan, V6Mode};

/// ICMPv6 type of a router solicitation.
pub const SOLICITATION: u8 = 133;
/// ICMPv6 type of a router advertisement.
pub const ADVERTISEMENT: u8 = 134;
/// All nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of a link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Seconds between advertisements that nobody asked for.
pub const INTERVAL: u64 = 600;
/// Seconds for which clients take us for a router.
const ROUTER_LIFETIME: u16 = 1800;
/// Seconds for which they keep a prefix that is given up: they don't take less from us (RFC 4862, 5.5.3).
const RETIRED: u32 = 7200;

/// An advertisement, ICMPv6 header and all; the kernel fills in the checksum. `None` without IPv6.
///
/// `retired`: prefixes that the network had before. `leaving`: we are a router no longer.
pub fn advertisement(plan: &NetPlan, retired: &[(Ipv6Addr, u8)], leaving: bool) -> Option<Vec<u8>> {
    let v6 = plan.v6.as_ref()?;
    let (managed, other) = match v6.mode {
        V6Mode::Slaac => (false, false),
        V6Mode::Stateless => (false, true),
        V6Mode::Stateful { .. } => (true, true),
    };
    let lifetime = if leaving || !v6.router { 0 } else { ROUTER_LIFETIME };
    let flags = u8::from(managed) << 7 | u8::from(other) << 6;
    // Hop limit 64; reachable and retransmission times are left to the client.
    let mut packet = vec![ADVERTISEMENT, 0, 0, 0, 64, flags];
    packet.extend(lifetime.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend([1, 1]);
    packet.extend(plan.mac.0);
    if let Some(mtu) = plan.mtu {
        packet.extend([5, 1, 0, 0]);
        packet.extend(mtu.to_be_bytes());
    }
    let network = names::network6(v6.address, v6.prefix);
    // Addresses of one's own need 64 bits (RFC 4862, RFC 2464).
    let own = !managed && v6.prefix == 64;
    prefix(&mut packet, (network, v6.prefix), own, (u32::MAX, u32::MAX));
    for old in retired.iter().filter(|old| **old != (network, v6.prefix)) {
        prefix(&mut packet, *old, true, (RETIRED, 0));
    }
    resolver(&mut packet, plan, v6.address);
    Some(packet)
}

fn prefix(packet: &mut Vec<u8>, (network, bits): (Ipv6Addr, u8), own: bool, (valid, preferred): (u32, u32)) {
    // On the link; for addresses of one's own.
    packet.extend([3, 4, bits, 0x80 | u8::from(own) << 6]);
    packet.extend(valid.to_be_bytes());
    packet.extend(preferred.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(network.octets());
}

fn resolver(packet: &mut Vec<u8>, plan: &NetPlan, address: Ipv6Addr) {
    let Some(dns) = &plan.dns else { return };
    let lifetime = (3 * INTERVAL as u32).to_be_bytes();
    packet.extend([25, 3, 0, 0]);
    packet.extend(lifetime);
    packet.extend(address.octets());
    if dns.mode == DnsMode::None && dns.search.is_empty() {
        return;
    }
    let mut list = Vec::new();
    for name in search_list(plan) {
        for label in name.iter() {
            list.push(label.len() as u8);
            list.extend(label);
        }
        list.push(0);
    }
    list.resize(list.len().next_multiple_of(8), 0);
    // Its length counts in units of 8 bytes and has one byte: more than that can't be told.
    if !list.is_empty() && list.len() < 254 * 8 {
        packet.extend([31, (list.len() / 8 + 1) as u8, 0, 0]);
        packet.extend(lifetime);
        packet.extend(list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::spec::net::{DnsPlan, Mac, V6Plan};

    fn plan(mode: V6Mode) -> NetPlan {
        NetPlan {
            mac: Mac([0, 0x16, 0x3e, 0, 0, 1]),
            v6: Some(V6Plan { address: "fd42::1".parse().unwrap(), prefix: 64, mode, router: true }),
            dns: Some(DnsPlan { domain: "lxd".into(), ..DnsPlan::default() }),
            mtu: Some(1400),
            ..NetPlan::default()
        }
    }

    /// Type and content of each option.
    fn options(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut rest = &packet[16..];
        let mut found = Vec::new();
        while let [kind, length, ..] = rest {
            let (option, behind) = rest.split_at(usize::from(*length) * 8);
            found.push((*kind, option[2..].to_vec()));
            rest = behind;
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn flags_and_prefix_say_how_addresses_are_got() {
        let stateful = V6Mode::Stateful { ranges: vec![], expiry: 60 };
        for (mode, flags, own) in [(V6Mode::Slaac, 0, 0xc0), (V6Mode::Stateless, 0x40, 0xc0), (stateful, 0xc0, 0x80)] {
            let packet = advertisement(&plan(mode), &[], false).unwrap();
            assert_eq!((packet[0], packet[5], &packet[6..8]), (134, flags, &1800u16.to_be_bytes()[..]));
            let options = options(&packet);
            let kinds: Vec<u8> = options.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, [1, 5, 3, 25, 31]);
            assert_eq!(options[2].1[..2], [64, own]);
            assert_eq!(options[4].1[6..], *b"\x03lxd\0\0\0\0");
        }
    }

    #[test]
    fn what_is_given_up_is_said() {
        let old = ("fd41::".parse().unwrap(), 64);
        let packet = advertisement(&plan(V6Mode::Stateless), &[old, ("fd42::".parse().unwrap(), 64)], true).unwrap();
        assert_eq!(packet[6..8], [0, 0]);
        let prefixes: Vec<_> = options(&packet).into_iter().filter(|(kind, _)| *kind == 3).collect();
        assert_eq!(prefixes.len(), 2, "what it still has is not given up");
        assert_eq!(prefixes[1].1[2..10], [0, 0, 0x1c, 0x20, 0, 0, 0, 0]);
    }
}
