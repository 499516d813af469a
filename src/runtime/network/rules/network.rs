//! What a bridge with addresses wants: NAT, packets passing, and its own DHCP, DNS and ICMP.

use std::net::IpAddr;

use super::{
    Action, Chain, ChainKind, FILTER, Hook, Match, Protocol, Rule, SOURCE_NAT, Side, Span, accept, chain, icmp, icmpv6,
    port,
};
use crate::runtime::network::nft::Reject;

/// What is to be known of a managed bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRules<'a> {
    /// The name of the network, which is that of its bridge.
    pub name: &'a str,
    /// Its IPv4, if it has any.
    pub v4: Option<Subnet>,
    /// Its IPv6, if it has any.
    pub v6: Option<Subnet>,
}

/// One of a bridge's subnets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Any address in it.
    pub address: IpAddr,
    /// How long the part of it is that all share.
    pub prefix: u8,
    /// `ipv4.nat` and `ipv4.nat.address`, or those of IPv6.
    pub nat: Option<Nat>,
    /// `ipv4.firewall`: whether there are rules beside NAT.
    pub firewall: bool,
    /// `ipv4.routing`: whether packets pass.
    pub routing: bool,
    /// `ipv4.dhcp`; of IPv6: whether there are router advertisements.
    pub dhcp: bool,
}

/// How senders in a subnet appear outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// With the address of the link their packets leave through.
    Masquerade,
    /// With this address.
    Address(IpAddr),
}

/// The chains of a managed bridge; those that would have no rules are left out.
pub fn network(rules: &NetworkRules<'_>) -> Vec<Chain> {
    let name = rules.name;
    let all = [rules.v4, rules.v6];
    let nat: Vec<Rule> = all.iter().flatten().filter_map(nat).collect();
    let firewalled: Vec<Subnet> = all.into_iter().flatten().filter(|s| s.firewall).collect();
    let pass: Vec<Rule> = firewalled.iter().flat_map(|s| passing(name, s)).collect();
    let (mut input, mut output) = (Vec::new(), Vec::new());
    if !firewalled.is_empty() {
        input.extend([Protocol::Tcp, Protocol::Udp].map(|p| accept(vec![to(name), port(p, Side::Destination, 53)])));
        output.extend([Protocol::Tcp, Protocol::Udp].map(|p| accept(vec![from(name), port(p, Side::Source, 53)])));
    }
    for subnet in firewalled.iter().filter(|s| s.dhcp) {
        let (messages_in, messages_out, server) = match subnet.address {
            IpAddr::V4(_) => (icmp(), icmp(), 67),
            IpAddr::V6(_) => (icmpv6(&[133]), icmpv6(&[128, 134]), 547),
        };
        input.push(accept(vec![to(name), messages_in]));
        input.push(accept(vec![to(name), port(Protocol::Udp, Side::Destination, server)]));
        output.push(accept(vec![from(name), messages_out]));
        output.push(accept(vec![from(name), port(Protocol::Udp, Side::Source, server)]));
    }
    let chains = [
        chain(format!("pstrt.{name}"), ChainKind::Nat, (Hook::Postrouting, SOURCE_NAT), nat),
        chain(format!("fwd.{name}"), ChainKind::Filter, (Hook::Forward, FILTER), pass),
        chain(format!("in.{name}"), ChainKind::Filter, (Hook::Input, FILTER), input),
        chain(format!("out.{name}"), ChainKind::Filter, (Hook::Output, FILTER), output),
    ];
    chains.into_iter().filter(|c| !c.rules.is_empty()).collect()
}

/// To the bridge from those on it.
fn to(name: &str) -> Match {
    Match::In(name.to_owned())
}

/// From the bridge to those on it.
fn from(name: &str) -> Match {
    Match::Out(name.to_owned())
}

fn nat(subnet: &Subnet) -> Option<Rule> {
    let inside = vec![Span::prefix(subnet.address, subnet.prefix)];
    let leaves = vec![Match::Address(Side::Source, inside.clone()), Match::NotAddress(Side::Destination, inside)];
    let action = match subnet.nat? {
        Nat::Masquerade => Action::Masquerade,
        Nat::Address(address) => Action::SourceNat(address),
    };
    Some(Rule::new(leaves, action))
}

fn passing(name: &str, subnet: &Subnet) -> [Rule; 2] {
    let (version, no) = match subnet.address {
        IpAddr::V4(_) => (4, Reject::V4),
        IpAddr::V6(_) => (6, Reject::V6),
    };
    let action = if subnet.routing { Action::Accept } else { Action::Reject(no) };
    [from(name), to(name)].map(|way| Rule::new(vec![Match::Version(version), way], action.clone()))
}
