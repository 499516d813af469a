//! The network of a running container as its own kernel tables show it, read through a netlink socket made inside it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use crate::api::types::{InstanceStateNetwork, InstanceStateNetworkAddress, InstanceStateNetworkCounters};
use crate::error::{Ctx, Kind, Result};
use crate::order::Gather;
use crate::runtime::sys::netlink;

/// Interfaces by name. Answered by the kernel at once; the socket must not be used by two at the same time.
pub(super) fn state(socket: BorrowedFd<'_>, sequence: u32) -> Result<BTreeMap<String, InstanceStateNetwork>> {
    let failed = || "Failed reading the container's network";
    let links = netlink::dump(socket, netlink::GET_LINK, sequence).ctx(Kind::Internal, failed)?;
    let addresses = netlink::dump(socket, netlink::GET_ADDR, sequence.wrapping_add(1)).ctx(Kind::Internal, failed)?;
    Ok(combine(&links, &addresses))
}

fn combine(links: &[Vec<u8>], addresses: &[Vec<u8>]) -> BTreeMap<String, InstanceStateNetwork> {
    let mut found: BTreeMap<u32, (String, InstanceStateNetwork)> = links.iter().filter_map(|m| link(m)).gather();
    for message in addresses {
        if let Some((index, address)) = address(message)
            && let Some((_, interface)) = found.get_mut(&index)
        {
            interface.addresses.push(address);
        }
    }
    found.into_values().gather()
}

/// One attribute after another: kind and content.
fn attributes(mut data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes([*data.first()?, *data.get(1)?]));
        let kind = u16::from_ne_bytes([*data.get(2)?, *data.get(3)?]) & 0x3fff;
        let content = data.get(4..len)?;
        data = data.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, content))
    })
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

/// `struct ifinfomsg` with its attributes.
fn link(message: &[u8]) -> Option<(u32, (String, InstanceStateNetwork))> {
    let (index, flags) = (word(message, 4)?, word(message, 8)?);
    let mut name = None;
    let mut state = InstanceStateNetwork {
        state: if flags & libc::IFF_UP as u32 != 0 { "up" } else { "down" }.into(),
        kind: kind(flags).into(),
        ..InstanceStateNetwork::default()
    };
    for (kind, content) in attributes(message.get(16..)?) {
        match kind {
            1 if content.iter().any(|b| *b != 0) => {
                state.hwaddr = content.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
            }
            3 => name = Some(String::from_utf8_lossy(content.split(|b| *b == 0).next()?).into_owned()),
            4 => state.mtu = word(content, 0)?.into(),
            23 => state.counters = counters(content)?,
            _ => {}
        }
    }
    Some((index, (name?, state)))
}

fn kind(flags: u32) -> &'static str {
    let has = |flag: libc::c_int| flags & flag as u32 != 0;
    match () {
        () if has(libc::IFF_LOOPBACK) => "loopback",
        () if has(libc::IFF_BROADCAST) => "broadcast",
        () if has(libc::IFF_POINTOPOINT) => "point-to-point",
        () => "unknown",
    }
}

/// `struct rtnl_link_stats64`.
fn counters(data: &[u8]) -> Option<InstanceStateNetworkCounters> {
    let number = |i: usize| Some(u64::from_ne_bytes(data.get(i * 8..i * 8 + 8)?.try_into().ok()?) as i64);
    Some(InstanceStateNetworkCounters {
        packets_received: number(0)?,
        packets_sent: number(1)?,
        bytes_received: number(2)?,
        bytes_sent: number(3)?,
        errors_received: number(4)?,
        errors_sent: number(5)?,
        packets_dropped_inbound: number(6)?,
        packets_dropped_outbound: number(7)?,
    })
}

/// `struct ifaddrmsg` with its attributes. IFA_LOCAL is the interface's own address where IFA_ADDRESS is the peer's.
fn address(message: &[u8]) -> Option<(u32, InstanceStateNetworkAddress)> {
    let (prefix, index) = (*message.get(1)?, word(message, 4)?);
    let found: BTreeMap<u16, IpAddr> = attributes(message.get(8..)?)
        .filter(|(kind, _)| matches!(kind, 1 | 2))
        .filter_map(|(k, c)| Some((k, ip(c)?)))
        .gather();
    let address = found.get(&2).or_else(|| found.get(&1))?;
    let scope = match address {
        a if a.is_loopback() => "local",
        IpAddr::V4(a) if a.is_link_local() => "link",
        IpAddr::V6(a) if a.segments()[0] & 0xffc0 == 0xfe80 => "link",
        _ => "global",
    };
    let family = if address.is_ipv4() { "inet" } else { "inet6" };
    Some((
        index,
        InstanceStateNetworkAddress {
            family: family.into(),
            address: address.to_string(),
            netmask: prefix.to_string(),
            scope: scope.into(),
        },
    ))
}

fn ip(content: &[u8]) -> Option<IpAddr> {
    match content.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(content).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(content).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn our_own_loopback_is_seen_as_lxd_shows_it() {
        let socket = netlink::route_socket().unwrap();
        let state = state(socket.as_fd(), 1).unwrap();
        let lo = &state["lo"];
        assert_eq!((lo.kind.as_str(), lo.hwaddr.as_str(), lo.mtu), ("loopback", "", 65_536));
    }

    #[test]
    fn damaged_messages_are_passed_over() {
        for len in 0..40 {
            combine(&[vec![0xff; len]], &[vec![0xff; len]]);
            combine(&[vec![0; len]], &[vec![0; len]]);
        }
    }

    #[test]
    fn addresses_have_lxds_scopes() {
        let message = |ip: &[u8]| {
            let mut m = vec![2, 24, 0, 0, 7, 0, 0, 0];
            m.extend(((ip.len() + 4) as u16).to_ne_bytes());
            m.extend(1u16.to_ne_bytes());
            m.extend(ip);
            m
        };
        let scope = |ip: &[u8]| address(&message(ip)).unwrap().1.scope;
        assert_eq!(scope(&[10, 0, 0, 1]), "global");
        assert_eq!(scope(&[127, 0, 0, 1]), "local");
        assert_eq!(scope(&[169, 254, 0, 1]), "link");
        let mut v6 = [0u8; 16];
        (v6[0], v6[1]) = (0xfe, 0x80);
        assert_eq!(scope(&v6), "link");
        assert_eq!(address(&message(&v6)).unwrap().0, 7);
    }
}
