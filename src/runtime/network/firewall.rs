//! The packet filter of a bridge, with the names and rules LXD 5.0 gives it. Pure.
//!
//! ```text
//! table inet lxd
//!   pstrt.NET                       addresses translated on the way out
//!   fwd.NET in.NET out.NET          what a bridge needs is let through: routed packets, DNS, DHCP, ICMP
//!   acl.NET aclin aclout aclfwd     access lists
//!   fwdprert fwdout fwdpstrt .NET   forwards
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::bridge::{Bridge, Family};
use super::nft::{
    Action, Base, Chain, ChainKind, Hook, IcmpVersion, Match, Policy, Protocol, Reject, Rule, Side, Span,
};
use crate::store::records::ForwardRecord;

mod acls;
mod forwards;

pub use acls::AclRules;

/// The table that all chains are in (of the family `inet`).
pub const TABLE: &str = "lxd";

/// How the chains of a network begin; the network's name follows behind a dot.
const KINDS: &[&str] =
    &["acl", "aclin", "aclout", "aclfwd", "pstrt", "fwd", "in", "out", "fwdprert", "fwdout", "fwdpstrt"];

/// Every chain that a network of this name can have.
pub fn chain_names(network: &str) -> Vec<String> {
    KINDS.iter().map(|kind| format!("{kind}.{network}")).collect()
}

/// The chains of a bridge.
pub fn chains(name: &str, bridge: Bridge<'_>, acls: &[AclRules<'_>], forwards: &[ForwardRecord]) -> Vec<Chain> {
    let mut chains = Vec::new();
    if !bridge.acls().is_empty() {
        chains.extend(acls::chains(name, bridge, acls));
    }
    let nat = Family::BOTH.into_iter().filter_map(|family| translate(bridge, family));
    let nat: Vec<Rule> = nat.collect();
    if !nat.is_empty() {
        chains.push(base(name, "pstrt", (ChainKind::Nat, Hook::Postrouting, 100), nat));
    }
    let with: Vec<Family> = Family::BOTH.into_iter().filter(|f| firewalled(bridge, *f)).collect();
    if !with.is_empty() {
        chains.push(base(name, "fwd", (ChainKind::Filter, Hook::Forward, 0), routed(name, bridge, &with)));
        chains.push(base(name, "in", (ChainKind::Filter, Hook::Input, 0), local(name, bridge, &with, Way::In)));
        chains.push(base(name, "out", (ChainKind::Filter, Hook::Output, 0), local(name, bridge, &with, Way::Out)));
    }
    chains.extend(forwards::chains(name, forwards));
    chains
}

fn base(name: &str, kind: &str, (chain, hook, priority): (ChainKind, Hook, i32), rules: Vec<Rule>) -> Chain {
    let base = Base { kind: chain, hook, priority, policy: Policy::Accept };
    Chain { name: format!("{kind}.{name}"), base: Some(base), rules }
}

fn firewalled(bridge: Bridge<'_>, family: Family) -> bool {
    bridge.subnet(family).is_some() && bridge.on(&family.key("firewall"), true)
}

/// Packets that leave the bridge's subnet get an address of the host.
fn translate(bridge: Bridge<'_>, family: Family) -> Option<Rule> {
    let subnet = bridge.subnet(family).filter(|_| bridge.nat(family))?;
    let span = Span::prefix(subnet.address, subnet.prefix);
    let matches = [Match::Address(Side::Source, vec![span]), Match::NotAddress(Side::Destination, vec![span])];
    let fixed: Option<IpAddr> = bridge.text(&family.key("nat.address")).and_then(|a| a.parse().ok());
    Some(Rule::new(matches, fixed.map_or(Action::Masquerade, Action::SourceNat)))
}

/// What is routed to and from the bridge.
fn routed(name: &str, bridge: Bridge<'_>, families: &[Family]) -> Vec<Rule> {
    let both_ways = families.iter().flat_map(|family| {
        let (version, reject) = match family {
            Family::V4 => (4, Reject::V4),
            Family::V6 => (6, Reject::V6),
        };
        let open = bridge.on(&family.key("routing"), true);
        let action = if open { Action::Accept } else { Action::Reject(reject) };
        [Match::Out(name.into()), Match::In(name.into())]
            .map(|link| Rule::new([Match::Version(version), link], action.clone()))
    });
    both_ways.collect()
}

/// Seen from the host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Way {
    fn link(self, name: &str) -> Match {
        match self {
            Way::In => Match::In(name.into()),
            Way::Out => Match::Out(name.into()),
        }
    }

    /// The host's own port.
    fn port(self, name: &str, protocol: Protocol, port: u16) -> Rule {
        let side = if self == Way::In { Side::Destination } else { Side::Source };
        Rule::new([self.link(name), Match::Port(protocol, side, vec![Span::one(port)])], Action::Accept)
    }

    /// Errors of ICMP.
    fn icmp4(self, name: &str) -> Rule {
        Rule::new([self.link(name), Match::IcmpType(IcmpVersion::V4, vec![3, 11, 12])], Action::Accept)
    }

    /// Errors of ICMPv6, neighbours and routers.
    fn icmp6(self, name: &str) -> Rule {
        let types = match self {
            Way::In => vec![1, 2, 3, 4, 133, 135, 136, 143],
            Way::Out => vec![1, 2, 3, 4, 128, 134, 135, 136, 143],
        };
        Rule::new([self.link(name), Match::IcmpType(IcmpVersion::V6, types)], Action::Accept)
    }
}

/// What the host itself serves on the bridge.
fn local(name: &str, bridge: Bridge<'_>, families: &[Family], way: Way) -> Vec<Rule> {
    let mut rules = vec![way.port(name, Protocol::Tcp, 53), way.port(name, Protocol::Udp, 53)];
    for family in families.iter().filter(|family| bridge.dhcp(**family)) {
        match family {
            Family::V4 => rules.extend([way.icmp4(name), way.port(name, Protocol::Udp, 67)]),
            Family::V6 => rules.extend([way.icmp6(name), way.port(name, Protocol::Udp, 547)]),
        }
    }
    rules
}

/// The chains that are there no more, when these are wanted.
pub fn gone(network: &str, wanted: &[Chain]) -> Vec<String> {
    let wanted: BTreeMap<&str, ()> = wanted.iter().map(|c| (c.name.as_str(), ())).collect();
    chain_names(network).into_iter().filter(|name| !wanted.contains_key(name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::ConfigMap;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn names(config: &ConfigMap) -> Vec<String> {
        chains("br0", Bridge(config), &[], &[]).into_iter().map(|c| c.name).collect()
    }

    #[test]
    fn a_bridge_has_the_chains_it_needs() {
        let mut config = map(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.nat", "true"), ("ipv6.address", "none")]);
        assert_eq!(names(&config), ["pstrt.br0", "fwd.br0", "in.br0", "out.br0"]);
        config.insert("ipv4.firewall".into(), "false".into());
        assert_eq!(names(&config), ["pstrt.br0"]);
        config.insert("ipv4.address".into(), "none".into());
        assert!(names(&config).is_empty());
        assert_eq!(gone("br0", &[]), chain_names("br0"));
    }

    #[test]
    fn what_is_not_routed_is_rejected() {
        let config = map(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.routing", "false"), ("ipv4.nat", "false")]);
        let chains = chains("br0", Bridge(&config), &[], &[]);
        assert_eq!(chains[0].rules[0].actions, [Action::Reject(Reject::V4)]);
        assert_eq!(chains[0].rules.len(), 2);
    }

    #[test]
    fn an_address_to_translate_to_is_taken() {
        let config = map(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.nat", "true"), ("ipv4.nat.address", "192.0.2.9")]);
        let rule = translate(Bridge(&config), Family::V4).unwrap();
        assert_eq!(rule.actions, [Action::SourceNat("192.0.2.9".parse().unwrap())]);
        assert_eq!(translate(Bridge(&config), Family::V6), None);
    }
}
