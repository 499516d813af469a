//! Which address a client gets.

use std::net::Ipv4Addr;

use super::{Context, Dhcp4, Request};
use crate::runtime::helper::net::names;
use crate::runtime::spec::net::{Mac, V4Plan};

impl Dhcp4 {
    /// The address to offer: the one that the plan keeps for it, the one it has or was offered, the one it asks for, or a free one.
    pub(super) fn choose(&self, context: &Context<'_>, request: &Request) -> Option<Ipv4Addr> {
        let kept = names::host(context.plan, request.mac).and_then(|h| h.v4);
        let held = context.leases.of_interface(request.mac).and_then(|e| match e.address {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        });
        let offered = self.offers.iter().find(|o| o.mac == request.mac).map(|o| o.address);
        let wanted = [kept, held, offered, request.requested()];
        let found = wanted.into_iter().flatten().find(|a| self.may_have(context, request, *a));
        if found.is_some() || (held.is_none() && !context.leases.has_room(context.plan.extra.leases)) {
            return found.filter(|_| held.is_some() || context.leases.has_room(context.plan.extra.leases));
        }
        context.v4.ranges.iter().find_map(|range| self.search(context, request, *range))
    }

    /// Walks a range once, from a place that follows from the hardware address, so that clients mostly get the same address again.
    fn search(&self, context: &Context<'_>, request: &Request, range: (Ipv4Addr, Ipv4Addr)) -> Option<Ipv4Addr> {
        let (first, last) = (u64::from(range.0.to_bits()), u64::from(range.1.to_bits()));
        let size = last.checked_sub(first)? + 1;
        let start = u64::from(hash(request.mac)) % size;
        // In a range that is full up to the last address this is the square of the leases: bounded by their number.
        let tries = size.min(context.leases.iter().count() as u64 + self.offers.len() as u64 + 1024);
        (0..tries)
            .map(|i| Ipv4Addr::from_bits((first + (start + i) % size) as u32))
            .find(|a| self.is_free(context, request, *a))
    }

    /// Whether a client may have this address now.
    pub(super) fn may_have(&self, context: &Context<'_>, request: &Request, address: Ipv4Addr) -> bool {
        let kept = names::host(context.plan, request.mac).and_then(|h| h.v4);
        match kept {
            Some(kept) if kept == address => {
                self.is_unused(context, request, address) && is_usable(context.v4, address)
            }
            // Whoever has an address of its own gets no other one, unless that one is in use.
            Some(kept) if self.is_unused(context, request, kept) && is_usable(context.v4, kept) => false,
            _ => self.is_free(context, request, address),
        }
    }

    fn is_free(&self, context: &Context<'_>, request: &Request, address: Ipv4Addr) -> bool {
        let in_range = context.v4.ranges.iter().any(|(first, last)| (*first..=*last).contains(&address));
        let kept = context.plan.hosts.iter().any(|h| h.v4 == Some(address) && h.mac != request.mac);
        in_range && !kept && is_usable(context.v4, address) && self.is_unused(context, request, address)
    }

    /// Whether nobody else has it, was offered it or found it in use.
    fn is_unused(&self, context: &Context<'_>, request: &Request, address: Ipv4Addr) -> bool {
        let own = |e: &super::Entry| e.mac == Some(request.mac);
        context.leases.at(address).is_none_or(own)
            && self.offers.iter().all(|o| o.address != address || o.mac == request.mac)
            && self.declined.iter().all(|(a, _)| *a != address)
    }
}

/// Whether it is an address of the subnet that a client can have at all.
fn is_usable(v4: &V4Plan, address: Ipv4Addr) -> bool {
    let host = u32::MAX.checked_shr(v4.prefix.into()).unwrap_or(0);
    let part = address.to_bits() & host;
    let edge = v4.prefix < 31 && (part == 0 || part == host);
    names::in_subnet4(v4.address, v4.prefix, address) && !edge && address != v4.address && Some(address) != v4.gateway
}

/// Where dnsmasq begins to look, so that clients of a network that LXD made before keep their addresses.
fn hash(mac: Mac) -> u32 {
    mac.0
        .iter()
        .fold(0u32, |hash, byte| u32::from(*byte).wrapping_add(hash << 6).wrapping_add(hash << 16).wrapping_sub(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured with LXD 5.0.2 on 10.123.1.2-10.123.1.254: this interface got .163.
    #[test]
    fn clients_get_the_addresses_they_had_from_lxd() {
        let mac = "00:16:3e:ec:0a:9e".parse().unwrap();
        assert_eq!(2 + hash(mac) % 253, 163);
    }

    #[test]
    fn the_edges_of_a_subnet_the_bridge_and_the_gateway_are_nobodys() {
        let v4 = V4Plan {
            address: Ipv4Addr::new(10, 0, 0, 1),
            prefix: 24,
            ranges: vec![],
            expiry: 60,
            gateway: Some(Ipv4Addr::new(10, 0, 0, 2)),
            routes: vec![],
            options: vec![],
        };
        let good: Vec<u8> = (0..=255).filter(|last| is_usable(&v4, Ipv4Addr::new(10, 0, 0, *last))).collect();
        assert_eq!(good, (3..=254).collect::<Vec<u8>>());
        assert!(!is_usable(&v4, Ipv4Addr::new(10, 0, 1, 9)));
    }
}
