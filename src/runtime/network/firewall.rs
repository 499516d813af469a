//! What configuration makes of `rules`: the chains of one bridge. Pure.

use std::net::IpAddr;

use super::acl;
use super::bridge::{Bridge, Family};
use super::forward::port_list;
use super::nft::{Chain, IcmpVersion, Protocol, Span};
use super::rules::{
    self, AclAction, AclDefault, AclDirection, AclProtocol, AclRule, Forward, ForwardPort, Nat, NetworkRules,
};
use super::subnet::Subnet;
use crate::api::types::{NetworkAclRule, NetworkForwardPort};
use crate::store::records::{AclRecord, ForwardRecord};

/// The chains of a bridge.
pub fn chains(name: &str, bridge: Bridge<'_>, lists: &[AclRecord], forwards: &[ForwardRecord]) -> Vec<Chain> {
    let mut chains = Vec::new();
    if !bridge.acls().is_empty() {
        let rules: Vec<AclRule> = lists.iter().flat_map(list).collect();
        chains.extend(rules::acls(name, &rules, default(bridge, "ingress"), default(bridge, "egress")));
    }
    let of = |family| subnet(bridge, family);
    chains.extend(rules::network(&NetworkRules { name, v4: of(Family::V4), v6: of(Family::V6) }));
    let forwards: Vec<Forward> = forwards.iter().filter_map(forward).collect();
    chains.extend(rules::forwards(name, &forwards));
    chains
}

/// The chains that are there no more, when these are wanted.
pub fn gone(network: &str, wanted: &[Chain]) -> Vec<String> {
    let mut names = rules::network_chains(network);
    names.retain(|name| wanted.iter().all(|chain| chain.name != *name));
    names
}

fn subnet(bridge: Bridge<'_>, family: Family) -> Option<rules::Subnet> {
    let own = bridge.subnet(family)?;
    let fixed: Option<IpAddr> = bridge.text(&family.key("nat.address")).and_then(|a| a.parse().ok());
    Some(rules::Subnet {
        address: own.address,
        prefix: own.prefix,
        nat: bridge.nat(family).then(|| fixed.map_or(Nat::Masquerade, Nat::Address)),
        firewall: bridge.on(&family.key("firewall"), true),
        routing: bridge.on(&family.key("routing"), true),
        dhcp: bridge.dhcp(family),
    })
}

fn default(bridge: Bridge<'_>, direction: &str) -> AclDefault {
    let key = |what: &str| format!("security.acls.default.{direction}.{what}");
    let text = bridge.text(&key("action")).unwrap_or("reject");
    AclDefault { action: action(text), logged: bridge.on(&key("logged"), false) }
}

fn action(text: &str) -> AclAction {
    match text {
        "allow" => AclAction::Allow,
        "drop" => AclAction::Drop,
        _ => AclAction::Reject,
    }
}

/// The rules of a list that are not disabled, ingress before egress.
fn list(list: &AclRecord) -> Vec<AclRule> {
    let directions = [(&list.ingress, AclDirection::Ingress), (&list.egress, AclDirection::Egress)];
    let all = directions.into_iter().flat_map(|(rules, direction)| {
        rules.iter().enumerate().filter(|(_, r)| r.state != "disabled").map(move |(n, r)| rule(r, direction, n))
    });
    all.collect()
}

fn rule(rule: &NetworkAclRule, direction: AclDirection, index: usize) -> AclRule {
    AclRule {
        direction,
        index,
        action: action(&rule.action),
        logged: rule.state == "logged",
        source: spans(&rule.source),
        destination: spans(&rule.destination),
        protocol: protocol(rule),
    }
}

fn protocol(rule: &NetworkAclRule) -> Option<AclProtocol> {
    let number = |text: &str| text.parse().ok();
    let icmp = |version| AclProtocol::Icmp(version, number(&rule.icmp_type), number(&rule.icmp_code));
    let with = |protocol| AclProtocol::Ports(protocol, ports(&rule.source_port), ports(&rule.destination_port));
    match rule.protocol.as_str() {
        "tcp" => Some(with(Protocol::Tcp)),
        "udp" => Some(with(Protocol::Udp)),
        "icmp4" => Some(icmp(IcmpVersion::V4)),
        "icmp6" => Some(icmp(IcmpVersion::V6)),
        _ => None,
    }
}

fn ports(list: &str) -> Vec<Span<u16>> {
    let ranges = list.split(',').filter_map(|range| acl::ports(range).ok());
    ranges.map(|(from, to)| Span { from, to }).collect()
}

/// Addresses, networks and ranges of them.
fn spans(list: &str) -> Vec<Span<IpAddr>> {
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
    list.split(',').filter_map(span).collect()
}

fn forward(record: &ForwardRecord) -> Option<Forward> {
    Some(Forward {
        listen: record.listen_address.parse().ok()?,
        default_target: record.config.get("target_address").and_then(|t| t.parse().ok()),
        ports: record.ports.iter().filter_map(forward_port).collect(),
    })
}

fn forward_port(port: &NetworkForwardPort) -> Option<ForwardPort> {
    let listens = port_list(&port.listen_port).ok()?;
    let targets = port_list(&port.target_port).ok()?;
    let target = |n: usize, listen: u16| match targets.as_slice() {
        [] => listen,
        [one] => *one,
        many => many.get(n).copied().unwrap_or(listen),
    };
    Some(ForwardPort {
        protocol: if port.protocol == "udp" { Protocol::Udp } else { Protocol::Tcp },
        target: port.target_address.parse().ok()?,
        pairs: listens.iter().enumerate().map(|(n, listen)| (*listen, target(n, *listen))).collect(),
    })
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
        assert_eq!(gone("br0", &[]), rules::network_chains("br0"));
        config.insert("security.acls".into(), "web".into());
        assert_eq!(names(&config), ["acl.br0", "aclin.br0", "aclout.br0", "aclfwd.br0"]);
    }

    #[test]
    fn rules_of_lists_are_read() {
        let rules = serde_json::json!([
            {"action": "allow", "state": "enabled", "source": "10.0.0.0/24,10.1.0.1-10.1.0.5", "protocol": "tcp",
             "destination_port": "22,80-90"},
            {"action": "allow", "state": "disabled"},
            {"action": "drop", "state": "logged", "protocol": "icmp6", "icmp_type": "128"}
        ]);
        let record = AclRecord { ingress: crate::api::types::from_tree(&rules).unwrap(), ..AclRecord::default() };
        let read = list(&record);
        assert_eq!((read.len(), read[1].index, read[1].logged, read[1].action), (2, 2, true, AclAction::Drop));
        assert_eq!(read[0].source[0].to, "10.0.0.255".parse::<IpAddr>().unwrap());
        let ports = vec![Span::one(22), Span { from: 80, to: 90 }];
        assert_eq!(read[0].protocol, Some(AclProtocol::Ports(Protocol::Tcp, Vec::new(), ports)));
        assert_eq!(read[1].protocol, Some(AclProtocol::Icmp(IcmpVersion::V6, Some(128), None)));
    }

    #[test]
    fn forwards_pair_their_ports() {
        let port = |listen: &str, target: &str| NetworkForwardPort {
            listen_port: listen.into(),
            target_port: target.into(),
            target_address: "10.1.2.6".into(),
            ..NetworkForwardPort::default()
        };
        let pairs = |listen, target| forward_port(&port(listen, target)).unwrap().pairs;
        assert_eq!(pairs("80", ""), [(80, 80)]);
        assert_eq!(pairs("90-92", "1-3"), [(90, 1), (91, 2), (92, 3)]);
        assert_eq!(pairs("95,96", "8080"), [(95, 8080), (96, 8080)]);
    }
}
