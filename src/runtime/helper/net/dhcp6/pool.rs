//! Which IPv6 address an association gets.

use std::net::{IpAddr, Ipv6Addr};

use super::{Association, Client, Context, Dhcp6, Request};
use crate::runtime::helper::net::names;
use crate::runtime::spec::net::V6Mode;

/// Places looked at in a range: more than there can be leases.
const TRIES: u128 = 2 * crate::runtime::helper::net::limits::LEASES as u128;

impl Dhcp6 {
    /// The one that the plan keeps, that it has, that it asks for, or a free one.
    pub(super) fn choose(
        &self,
        context: &Context<'_>,
        request: &Request,
        association: &Association,
        promised: &[Ipv6Addr],
    ) -> Option<Ipv6Addr> {
        let V6Mode::Stateful { ranges, .. } = &context.v6.mode else { return None };
        let client = Client::Duid(request.duid.clone(), association.id);
        let kept = request.mac.and_then(|mac| names::host(context.plan, mac)).and_then(|h| h.v6);
        let unused = |a: Ipv6Addr| {
            context.leases.at(a).is_none_or(|e| e.client == client)
                && self.declined.iter().all(|(d, _)| *d != a)
                && !promised.contains(&a)
        };
        let usable = |a: Ipv6Addr| {
            let network = names::network6(a, context.v6.prefix) == a && context.v6.prefix < 127;
            names::in_subnet6(context.v6.address, context.v6.prefix, a) && a != context.v6.address && !network
        };
        if let Some(kept) = kept.filter(|a| unused(*a) && usable(*a)) {
            return Some(kept);
        }
        let is_kept = |a: Ipv6Addr| context.plan.hosts.iter().any(|h| h.v6 == Some(a));
        let free = |a: &Ipv6Addr| {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(a)) && usable(*a) && unused(*a) && !is_kept(*a)
        };
        let held = context.leases.of(&client).and_then(|e| match e.address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        });
        if held.is_none() && !context.leases.has_room(context.plan.extra.leases) {
            return None;
        }
        let wanted = held.into_iter().chain(association.addresses.iter().copied());
        wanted.into_iter().find(free).or_else(|| {
            let start = hash(&request.duid, association.id);
            ranges.iter().find_map(|range| places(*range, start).find(free))
        })
    }
}

/// The addresses of a range, from a place that follows from the client.
fn places((first, last): (Ipv6Addr, Ipv6Addr), start: u64) -> impl Iterator<Item = Ipv6Addr> {
    let first = first.to_bits();
    let size = last.to_bits().checked_sub(first).map_or(0, |n| n.saturating_add(1));
    (0..size.min(TRIES)).map(move |i| Ipv6Addr::from_bits(first + (u128::from(start) + i) % size))
}

/// FNV-1a: spreads clients over the range; nothing hangs on it.
fn hash(duid: &[u8], association: u32) -> u64 {
    let bytes = duid.iter().copied().chain(association.to_be_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
