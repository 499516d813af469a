//! Forwards as rules of the packet filter: on the way in, for the host itself, and for a target that asks itself by its
//! outer address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::forward::port_list;
use super::super::nft::{Action, Chain, ChainKind, Hook, Match, Protocol, Rule, Side, Span};
use super::base;
use crate::store::records::ForwardRecord;

pub(super) fn chains(name: &str, forwards: &[ForwardRecord]) -> Vec<Chain> {
    let mut to = Vec::new();
    // Single ports of all forwards stand before what is left of any.
    for forward in forwards {
        to.extend(ports(forward));
    }
    to.extend(forwards.iter().filter_map(rest));
    if to.is_empty() {
        return Vec::new();
    }
    let inward: Vec<Rule> = to.iter().map(Target::inward).collect();
    let mut back: Vec<Rule> = Vec::new();
    for rule in to.iter().map(Target::back) {
        if !back.contains(&rule) {
            back.push(rule);
        }
    }
    vec![
        base(name, "fwdprert", (ChainKind::Nat, Hook::Prerouting, -100), inward.clone()),
        base(name, "fwdout", (ChainKind::Nat, Hook::Output, -100), inward),
        base(name, "fwdpstrt", (ChainKind::Nat, Hook::Postrouting, 100), back),
    ]
}

/// Where one port, or what is left, goes.
struct Target {
    listen: IpAddr,
    target: IpAddr,
    /// Protocol, port listened on, port of the target.
    port: Option<(Protocol, u16, u16)>,
}

impl Target {
    fn inward(&self) -> Rule {
        let mut matches = vec![Match::Address(Side::Destination, vec![Span::one(self.listen)])];
        if let Some((protocol, listen, _)) = self.port {
            matches.push(Match::Port(protocol, Side::Destination, vec![Span::one(listen)]));
        }
        Rule::new(matches, Action::DestinationNat(self.target, self.port.map(|(_, _, target)| target)))
    }

    fn back(&self) -> Rule {
        let own = |side| Match::Address(side, vec![Span::one(self.target)]);
        let mut matches = vec![own(Side::Source), own(Side::Destination)];
        if let Some((protocol, _, target)) = self.port {
            matches.push(Match::Port(protocol, Side::Destination, vec![Span::one(target)]));
        }
        Rule::new(matches, Action::Masquerade)
    }
}

fn ports(forward: &ForwardRecord) -> Vec<Target> {
    let Ok(listen) = forward.listen_address.parse() else { return Vec::new() };
    let mut found = BTreeMap::new();
    for (n, port) in forward.ports.iter().enumerate() {
        let protocol = if port.protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        let listens = port_list(&port.listen_port).unwrap_or_default();
        let targets = port_list(&port.target_port).unwrap_or_default();
        let Ok(target) = port.target_address.parse() else { continue };
        for (m, from) in listens.into_iter().enumerate() {
            let to = match targets.as_slice() {
                [] => from,
                [one] => *one,
                many => many.get(m).copied().unwrap_or(from),
            };
            found.insert((n, m), Target { listen, target, port: Some((protocol, from, to)) });
        }
    }
    found.into_values().collect()
}

fn rest(forward: &ForwardRecord) -> Option<Target> {
    let target = forward.config.get("target_address")?.parse().ok()?;
    Some(Target { listen: forward.listen_address.parse().ok()?, target, port: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::NetworkForwardPort;

    #[test]
    fn single_ports_stand_before_the_rest() {
        let port = |listen: &str, target: &str| NetworkForwardPort {
            protocol: "tcp".into(),
            listen_port: listen.into(),
            target_port: target.into(),
            target_address: "10.1.2.6".into(),
            ..NetworkForwardPort::default()
        };
        let forward = ForwardRecord {
            listen_address: "192.0.2.1".into(),
            config: [("target_address".to_owned(), "10.1.2.5".to_owned())].into(),
            ports: vec![port("80", ""), port("90-92", "1-3"), port("95,96", "8080")],
            ..ForwardRecord::default()
        };
        let chains = chains("br0", &[forward]);
        let to: Vec<_> = chains[0].rules.iter().map(|r| r.actions[0].clone()).collect();
        let (six, five): (IpAddr, IpAddr) = ("10.1.2.6".parse().unwrap(), "10.1.2.5".parse().unwrap());
        let six = |port| Action::DestinationNat(six, Some(port));
        assert_eq!(to, [six(80), six(1), six(2), six(3), six(8080), six(8080), Action::DestinationNat(five, None)]);
        assert_eq!(chains[0].rules, chains[1].rules);
        assert_eq!(chains[2].rules.len(), 6);
    }
}
