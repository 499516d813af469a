//! Access lists as rules of the packet filter: what is dropped first, then what is rejected, then what is allowed, and
//! the defaults behind them, as LXD orders them.

use std::net::IpAddr;

use super::super::acl;
use super::super::bridge::Bridge;
use super::super::nft::{Action, Chain, ChainKind, Hook, IcmpVersion, Match, Protocol, Reject, Rule, Side, Span};
use super::super::subnet::Subnet;
use super::{Way, base};
use crate::api::types::NetworkAclRule;

/// The rules of one access list.
#[derive(Clone, Copy, Debug)]
pub struct AclRules<'a> {
    /// For what instances receive.
    pub ingress: &'a [NetworkAclRule],
    /// For what they send.
    pub egress: &'a [NetworkAclRule],
}

/// `NF_CT_STATE_BIT` of established and related.
const KNOWN: u32 = 2 | 4;

pub(super) fn chains(name: &str, bridge: Bridge<'_>, acls: &[AclRules<'_>]) -> Vec<Chain> {
    let jump = |link: Match| Rule::new([link], Action::Jump(format!("acl.{name}")));
    let local = |way: Way| {
        let mut rules = Vec::new();
        if way == Way::In {
            rules.extend([way.port(name, Protocol::Tcp, 53), way.port(name, Protocol::Udp, 53)]);
        }
        rules.extend([way.port(name, Protocol::Udp, 67), way.port(name, Protocol::Udp, 547)]);
        rules.extend([way.icmp4(name), way.icmp6(name), jump(way.link(name))]);
        rules
    };
    let forward = vec![jump(Match::In(name.into())), jump(Match::Out(name.into()))];
    vec![
        Chain { name: format!("acl.{name}"), base: None, rules: lists(name, bridge, acls) },
        base(name, "aclin", (ChainKind::Filter, Hook::Input, 0), local(Way::In)),
        base(name, "aclout", (ChainKind::Filter, Hook::Output, 0), local(Way::Out)),
        base(name, "aclfwd", (ChainKind::Filter, Hook::Forward, 0), forward),
    ]
}

fn lists(name: &str, bridge: Bridge<'_>, acls: &[AclRules<'_>]) -> Vec<Rule> {
    let mut rules = vec![Rule::new([Match::Connection(KNOWN)], Action::Accept)];
    for action in ["drop", "reject", "allow"] {
        for acl in acls {
            for (list, link, word) in
                [(acl.ingress, Match::Out(name.into()), "ingress"), (acl.egress, Match::In(name.into()), "egress")]
            {
                let chosen = list.iter().enumerate().filter(|(_, r)| r.action == action && r.state != "disabled");
                for (n, rule) in chosen {
                    let log = (rule.state == "logged").then(|| format!("{name}-{word}-{n} "));
                    rules.extend(one(rule, &link, log));
                }
            }
        }
    }
    for (link, word) in [(Match::In(name.into()), "egress"), (Match::Out(name.into()), "ingress")] {
        let action = bridge.text(&format!("security.acls.default.{word}.action")).unwrap_or("reject");
        let logged = bridge.on(&format!("security.acls.default.{word}.logged"), false);
        let log = logged.then(|| format!("{name}-{word} "));
        rules.push(Rule { matches: vec![link], actions: actions(action, log, Reject::Any) });
    }
    rules
}

fn actions(action: &str, log: Option<String>, reject: Reject) -> Vec<Action> {
    let last = match action {
        "allow" => Action::Accept,
        "drop" => Action::Drop,
        _ => Action::Reject(reject),
    };
    log.map(Action::Log).into_iter().chain([last]).collect()
}

/// The rules of the filter for one rule of a list: two when it names addresses of both families.
fn one(rule: &NetworkAclRule, link: &Match, log: Option<String>) -> Vec<Rule> {
    let any = rule.source.is_empty() && rule.destination.is_empty();
    let families: &[Option<bool>] = match rule.protocol.as_str() {
        "icmp4" => &[Some(true)],
        "icmp6" => &[Some(false)],
        _ if any => &[None],
        _ => &[Some(true), Some(false)],
    };
    let made = families.iter().filter_map(|family| {
        let mut matches = vec![link.clone()];
        for (list, side) in [(&rule.source, Side::Source), (&rule.destination, Side::Destination)] {
            if let (false, Some(v4)) = (list.is_empty(), *family) {
                let spans = spans(list, v4);
                if spans.is_empty() {
                    return None;
                }
                matches.push(Match::Address(side, spans));
            }
        }
        matches.extend(carried(rule));
        // As LXD 5.0 has it: what is known to be IPv4 is told in IPv4, the rest in its own way.
        let reject = match family {
            Some(true) => Reject::V4,
            Some(false) => Reject::V6,
            None => Reject::Any,
        };
        Some(Rule { matches, actions: actions(&rule.action, log.clone(), reject) })
    });
    made.collect()
}

fn spans(list: &str, v4: bool) -> Vec<Span<IpAddr>> {
    let span = |subject: &str| {
        if let Ok(address) = subject.parse::<IpAddr>() {
            return Some(Span::one(address));
        }
        if let Ok(subnet) = subject.parse::<Subnet>() {
            return Some(Span { from: subnet.first(), to: subnet.last() });
        }
        let (from, to) = subject.split_once('-')?;
        Some(Span { from: from.parse().ok()?, to: to.parse().ok()? })
    };
    list.split(',').filter_map(span).filter(|s| s.from.is_ipv4() == v4).collect()
}

fn carried(rule: &NetworkAclRule) -> Vec<Match> {
    let (version, icmp) = match rule.protocol.as_str() {
        "icmp4" => (IcmpVersion::V4, Protocol::Icmp),
        "icmp6" => (IcmpVersion::V6, Protocol::Icmpv6),
        "tcp" => return with_ports(rule, Protocol::Tcp),
        "udp" => return with_ports(rule, Protocol::Udp),
        _ => return Vec::new(),
    };
    let mut matches = vec![Match::Field(version, icmp)];
    if let Ok(kind) = rule.icmp_type.parse() {
        matches.push(Match::IcmpType(version, vec![kind]));
    }
    if let Ok(code) = rule.icmp_code.parse() {
        matches.push(Match::IcmpCode(version, code));
    }
    matches
}

fn with_ports(rule: &NetworkAclRule, protocol: Protocol) -> Vec<Match> {
    let lists = [(&rule.source_port, Side::Source), (&rule.destination_port, Side::Destination)];
    let ports = |list: &str| {
        let ranges = list.split(',').filter_map(|range| acl::ports(range).ok());
        ranges.map(|(from, to)| Span { from, to }).collect::<Vec<_>>()
    };
    let said = lists.into_iter().filter(|(list, _)| !list.is_empty());
    let matches: Vec<Match> = said.map(|(list, side)| Match::Port(protocol, side, ports(list))).collect();
    if matches.is_empty() { vec![Match::Carries(protocol)] } else { matches }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::ConfigMap;

    fn rules(json: serde_json::Value) -> Vec<NetworkAclRule> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn dropping_stands_before_rejecting_and_that_before_allowing() {
        let ingress = rules(serde_json::json!([
            {"action": "allow", "state": "enabled", "source": "10.0.0.0/24,fd00::/8", "protocol": "tcp", "destination_port": "22,80-90"},
            {"action": "drop", "state": "logged", "protocol": "udp", "source_port": "53"},
            {"action": "allow", "state": "disabled"}
        ]));
        let egress = rules(serde_json::json!([
            {"action": "reject", "state": "enabled", "protocol": "icmp4", "icmp_type": "8"},
            {"action": "drop", "state": "enabled", "destination": "192.0.2.1,fd00::2"}
        ]));
        let config = ConfigMap::from([("security.acls".to_owned(), "a".to_owned())]);
        let made = lists("br0", Bridge(&config), &[AclRules { ingress: &ingress, egress: &egress }]);
        let last: Vec<&Action> = made.iter().filter_map(|r| r.actions.last()).collect();
        let (any, v4) = (Action::Reject(Reject::Any), Action::Reject(Reject::V4));
        let (yes, no) = (Action::Accept, Action::Drop);
        assert_eq!(last, [&yes, &no, &no, &no, &v4, &yes, &yes, &any, &any]);
        assert_eq!(made[1].actions[0], Action::Log("br0-ingress-1 ".into()));
        let tcp = Match::Port(Protocol::Tcp, Side::Destination, vec![Span::one(22), Span { from: 80, to: 90 }]);
        assert_eq!(made[5].matches[2], tcp);
    }
}
