//! What NICs want: that their instance sends only as itself.

use std::net::IpAddr;

use super::{
    Action, BRIDGE_FILTER, Chain, ChainKind, Hook, IcmpVersion, Match, Protocol, RAW, Rule, Side, Span, address, chain,
    port,
};
use crate::runtime::network::netlink::MacAddr;

const ETHER_IP: u16 = 0x0800;
const ETHER_ARP: u16 = 0x0806;
const ETHER_IP6: u16 = 0x86dd;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Where a neighbour advertisement has the hardware address, when that is its first option (RFC 4861 section 4.4):
/// behind 40 bytes of IPv6, 24 of its own, and 2 of the option.
const ADVERTISED_HARDWARE: u32 = 66;

/// Whose NIC it is, or proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nic<'a> {
    /// The instance's project.
    pub project: &'a str,
    /// The instance.
    pub instance: &'a str,
    /// The device.
    pub device: &'a str,
}

impl Nic<'_> {
    /// The name of the NIC's chain of a kind: `in.c1.eth0`, `in.p1_c1.eth0`.
    pub fn chain(&self, kind: &str) -> String {
        let Nic { project, instance, device } = self;
        match *project {
            "default" => format!("{kind}.{instance}.{device}"),
            project => format!("{kind}.{project}_{instance}.{device}"),
        }
    }

    /// The names of all chains the NIC may have in table `bridge lxd`.
    pub fn bridge_chains(&self) -> Vec<String> {
        ["in", "fwd"].iter().map(|kind| self.chain(kind)).collect()
    }

    /// The names of all chains the NIC may have in table `inet lxd`.
    pub fn inet_chains(&self) -> Vec<String> {
        vec![self.chain("prert")]
    }

    /// The names of all chains a proxy may have there.
    pub fn proxy_chains(&self) -> [String; 3] {
        ["prert", "out", "pstrt"].map(|kind| self.chain(kind))
    }
}

/// What a bridged NIC may send. A filter of addresses always is one of hardware addresses too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicFilter<'a> {
    /// The host's end of the cable.
    pub host_name: &'a str,
    /// The only hardware address.
    pub mac: MacAddr,
    /// `security.ipv4_filtering`: the only addresses and routed subnets; empty for no IPv4 at all.
    pub v4: Option<Vec<Span<IpAddr>>>,
    /// `security.ipv6_filtering`: the same.
    pub v6: Option<Vec<Span<IpAddr>>>,
}

/// The chains of a bridged NIC with a filter, for table `bridge lxd`.
pub fn filter(nic: Nic<'_>, wanted: &NicFilter<'_>) -> Vec<Chain> {
    let chain = |kind, hook| {
        let rules = rules(wanted, hook == Hook::Input);
        chain(nic.chain(kind), ChainKind::Filter, (hook, BRIDGE_FILTER), rules)
    };
    vec![chain("in", Hook::Input), chain("fwd", Hook::Forward)]
}

/// The chain of a routed NIC, for table `inet lxd`: packets whose sender this host would not reach through the link
/// they came in by, which is given by its number, are thrown away.
pub fn routed_filter(nic: Nic<'_>, index: u32) -> Vec<Chain> {
    let rules = vec![Rule::new(vec![Match::InIndex(index), Match::NoWayBack], Action::Drop)];
    vec![chain(nic.chain("prert"), ChainKind::Filter, (Hook::Prerouting, RAW), rules)]
}

/// Conditions beside the link, and what then.
type Decision = (Vec<Match>, Action);

fn rules(wanted: &NicFilter<'_>, to_host: bool) -> Vec<Rule> {
    let advertisement = Match::IcmpType(IcmpVersion::V6, vec![NEIGHBOUR_ADVERTISEMENT]);
    let mut all: Vec<Decision> = vec![
        (vec![Match::NotEtherSource(wanted.mac)], Action::Drop),
        (vec![Match::NotArpEther(wanted.mac)], Action::Drop),
        (vec![advertisement, Match::Network(ADVERTISED_HARDWARE, wanted.mac.0.to_vec(), false)], Action::Drop),
    ];
    if let Some(addresses) = &wanted.v4 {
        all.extend(v4(addresses, to_host));
    }
    if let Some(addresses) = &wanted.v6 {
        all.extend(v6(addresses, to_host));
    }
    let some = [&wanted.v4, &wanted.v6].into_iter().flatten().any(|addresses| !addresses.is_empty());
    if some {
        all.push((vec![Match::NotEtherType(vec![ETHER_IP, ETHER_ARP, ETHER_IP6])], Action::Drop));
    }
    let link = Match::In(wanted.host_name.to_owned());
    let rule = |(conditions, action)| Rule::new([vec![link.clone()], conditions].concat(), action);
    all.into_iter().map(rule).collect()
}

fn v4(addresses: &[Span<IpAddr>], to_host: bool) -> Vec<Decision> {
    let mut all = Vec::new();
    if to_host && !addresses.is_empty() {
        let (nobody, everybody) = (IpAddr::from([0; 4]), IpAddr::from([255; 4]));
        let ask = vec![
            address(Side::Source, nobody),
            address(Side::Destination, everybody),
            port(Protocol::Udp, Side::Destination, 67),
        ];
        all.push((ask, Action::Accept));
    }
    for span in addresses {
        all.push((vec![Match::ArpAddress(*span)], Action::Accept));
        all.push((vec![Match::Address(Side::Source, vec![*span])], Action::Accept));
    }
    all.extend([ETHER_ARP, ETHER_IP].map(|kind| (vec![Match::EtherType(kind)], Action::Drop)));
    all
}

fn v6(addresses: &[Span<IpAddr>], to_host: bool) -> Vec<Decision> {
    let mut all = Vec::new();
    if !addresses.is_empty() {
        if to_host {
            all.extend(asking_for_addresses().map(|conditions| (conditions, Action::Accept)));
        }
        all.push((vec![Match::IcmpType(IcmpVersion::V6, vec![ROUTER_ADVERTISEMENT])], Action::Drop));
    }
    for span in addresses {
        let advertised =
            vec![Match::IcmpType(IcmpVersion::V6, vec![NEIGHBOUR_ADVERTISEMENT]), Match::AdvertisedAddress(*span)];
        let sent = vec![Match::Address(Side::Source, vec![*span])];
        let both = if to_host { [advertised, sent] } else { [sent, advertised] };
        all.extend(both.map(|conditions| (conditions, Action::Accept)));
    }
    all.push((vec![Match::EtherType(ETHER_IP6)], Action::Drop));
    all
}

/// Questions for DHCPv6 servers and for routers, from an address that is of the link alone.
fn asking_for_addresses() -> [Vec<Match>; 2] {
    let local = Match::Address(Side::Source, vec![Span::prefix(IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10)]);
    let servers = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 1, 2]);
    let routers = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 2]);
    [
        vec![local.clone(), address(Side::Destination, servers), port(Protocol::Udp, Side::Destination, 547)],
        vec![local, address(Side::Destination, routers), Match::IcmpType(IcmpVersion::V6, vec![ROUTER_SOLICITATION])],
    ]
}
