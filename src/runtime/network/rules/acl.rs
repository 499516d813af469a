//! What access lists of a network want.

use std::net::IpAddr;

use super::{
    Action, Chain, ChainKind, FILTER, Hook, IcmpVersion, Match, Protocol, Rule, Side, Span, accept, chain, icmp,
    icmpv6, port,
};
use crate::order::Order;
use crate::runtime::network::nft::Reject;

/// NF_CT_STATE_BIT of established and related connections.
const KNOWN: u32 = 2 | 4;

/// Which way a rule of an access list looks, as those on the bridge see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclDirection {
    /// To them.
    Ingress,
    /// From them.
    Egress,
}

/// What becomes of packets. In this order rules are tried, whatever their order in the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AclAction {
    /// They are thrown away.
    Drop,
    /// They are thrown away and their sender is told.
    Reject,
    /// They go on.
    Allow,
}

/// What a rule of an access list asks of what IP carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclProtocol {
    /// TCP or UDP, with source and destination ports; no ports are all ports.
    Ports(Protocol, Vec<Span<u16>>, Vec<Span<u16>>),
    /// ICMP of a version, with type and code.
    Icmp(IcmpVersion, Option<u8>, Option<u8>),
}

/// A rule of an access list that is not disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclRule {
    /// Which way it looks.
    pub direction: AclDirection,
    /// Its place in the list for this direction, counted from 0; the log names it.
    pub index: usize,
    /// What becomes of packets.
    pub action: AclAction,
    /// Whether the log says so.
    pub logged: bool,
    /// Senders; none are all.
    pub source: Vec<Span<IpAddr>>,
    /// Receivers; none are all.
    pub destination: Vec<Span<IpAddr>>,
    /// What is carried; nothing is everything.
    pub protocol: Option<AclProtocol>,
}

/// What becomes of packets that no rule decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclDefault {
    /// What becomes of them.
    pub action: AclAction,
    /// Whether the log says so.
    pub logged: bool,
}

/// The chains of a network with access lists.
///
/// `rules` are those of all its lists, list by list, ingress before egress. The bridge's own DHCP, DNS and ICMP work
/// whatever they say.
pub fn acls(network: &str, rules: &[AclRule], ingress: AclDefault, egress: AclDefault) -> Vec<Chain> {
    let mut sorted: Vec<&AclRule> = rules.iter().collect();
    sorted.order_by_key(|rule| rule.action);
    let mut decisions = vec![accept(vec![Match::Connection(KNOWN)])];
    decisions.extend(sorted.into_iter().flat_map(|rule| lines(network, rule)));
    for (direction, default) in [(AclDirection::Egress, egress), (AclDirection::Ingress, ingress)] {
        let log = default.logged.then(|| format!("{network}-{} ", name(direction)));
        let actions = actions(log, default.action, Reject::Any);
        decisions.push(Rule { matches: vec![way(network, direction)], actions });
    }
    let to_list = |direction| Rule::new(vec![way(network, direction)], Action::Jump(format!("acl.{network}")));
    let mut input = own_input(network);
    input.push(to_list(AclDirection::Egress));
    let mut output = own_output(network);
    output.push(to_list(AclDirection::Ingress));
    let through = vec![to_list(AclDirection::Egress), to_list(AclDirection::Ingress)];
    vec![
        Chain { name: format!("acl.{network}"), base: None, rules: decisions },
        chain(format!("aclin.{network}"), ChainKind::Filter, (Hook::Input, FILTER), input),
        chain(format!("aclout.{network}"), ChainKind::Filter, (Hook::Output, FILTER), output),
        chain(format!("aclfwd.{network}"), ChainKind::Filter, (Hook::Forward, FILTER), through),
    ]
}

/// What the bridge itself must be asked for.
fn own_input(network: &str) -> Vec<Rule> {
    let asked = [
        port(Protocol::Tcp, Side::Destination, 53),
        port(Protocol::Udp, Side::Destination, 53),
        port(Protocol::Udp, Side::Destination, 67),
        port(Protocol::Udp, Side::Destination, 547),
        icmp(),
        icmpv6(&[133]),
    ];
    asked.map(|what| accept(vec![way(network, AclDirection::Egress), what])).into()
}

/// What the bridge itself must say unasked; answers belong to connections.
fn own_output(network: &str) -> Vec<Rule> {
    let said =
        [port(Protocol::Udp, Side::Source, 67), port(Protocol::Udp, Side::Source, 547), icmp(), icmpv6(&[128, 134])];
    said.map(|what| accept(vec![way(network, AclDirection::Ingress), what])).into()
}

fn way(network: &str, direction: AclDirection) -> Match {
    match direction {
        AclDirection::Ingress => Match::Out(network.to_owned()),
        AclDirection::Egress => Match::In(network.to_owned()),
    }
}

fn name(direction: AclDirection) -> &'static str {
    match direction {
        AclDirection::Ingress => "ingress",
        AclDirection::Egress => "egress",
    }
}

fn actions(log: Option<String>, action: AclAction, how: Reject) -> Vec<Action> {
    let decision = match action {
        AclAction::Drop => Action::Drop,
        AclAction::Reject => Action::Reject(how),
        AclAction::Allow => Action::Accept,
    };
    log.map(Action::Log).into_iter().chain([decision]).collect()
}

/// One rule, or one for each IP version its addresses are of.
fn lines(network: &str, rule: &AclRule) -> Vec<Rule> {
    let log = rule.logged.then(|| format!("{network}-{}-{} ", name(rule.direction), rule.index));
    if rule.source.is_empty() && rule.destination.is_empty() {
        let how = match rule.protocol {
            Some(AclProtocol::Icmp(IcmpVersion::V4, ..)) => Reject::V4,
            Some(AclProtocol::Icmp(IcmpVersion::V6, ..)) => Reject::V6,
            _ => Reject::Any,
        };
        let matches = [vec![way(network, rule.direction)], carried(rule)].concat();
        return vec![Rule { matches, actions: actions(log, rule.action, how) }];
    }
    let versions = [(true, Reject::V4), (false, Reject::V6)];
    let line = |(v4, how)| {
        let addresses = addresses(rule, v4)?;
        let matches = [vec![way(network, rule.direction)], addresses, carried(rule)].concat();
        Some(Rule { matches, actions: actions(log.clone(), rule.action, how) })
    };
    versions.into_iter().filter_map(line).collect()
}

/// The conditions on the addresses of one IP version; none when the rule can't hold for it.
fn addresses(rule: &AclRule, v4: bool) -> Option<Vec<Match>> {
    let other = match rule.protocol {
        Some(AclProtocol::Icmp(IcmpVersion::V4, ..)) => !v4,
        Some(AclProtocol::Icmp(IcmpVersion::V6, ..)) => v4,
        _ => false,
    };
    if other {
        return None;
    }
    let mut found = Vec::new();
    for (side, spans) in [(Side::Source, &rule.source), (Side::Destination, &rule.destination)] {
        let some: Vec<_> = spans.iter().filter(|s| s.from.is_ipv4() == v4).copied().collect();
        match (spans.is_empty(), some.is_empty()) {
            (true, _) => {}
            (false, true) => return None,
            (false, false) => found.push(Match::Address(side, some)),
        }
    }
    Some(found)
}

fn carried(rule: &AclRule) -> Vec<Match> {
    match &rule.protocol {
        None => Vec::new(),
        Some(AclProtocol::Ports(protocol, source, destination)) => {
            let some = |side, spans: &Vec<_>| (!spans.is_empty()).then(|| Match::Port(*protocol, side, spans.clone()));
            let ports: Vec<Match> =
                [some(Side::Source, source), some(Side::Destination, destination)].into_iter().flatten().collect();
            if ports.is_empty() { vec![Match::Carries(*protocol)] } else { ports }
        }
        Some(AclProtocol::Icmp(version, kind, code)) => {
            let protocol = match version {
                IcmpVersion::V4 => Protocol::Icmp,
                IcmpVersion::V6 => Protocol::Icmpv6,
            };
            let kind = kind.map(|kind| Match::IcmpType(*version, vec![kind]));
            let code = code.map(|code| Match::IcmpCode(*version, code));
            [Some(Match::Field(*version, protocol)), kind, code].into_iter().flatten().collect()
        }
    }
}
