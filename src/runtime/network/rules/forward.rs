//! What network forwards want: packets for a listen address go to an address on the bridge.

use std::net::IpAddr;

use super::{Action, Chain, ChainKind, DESTINATION_NAT, Hook, Protocol, Rule, SOURCE_NAT, Side, address, chain, port};

/// A forward of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The address packets come for.
    pub listen: IpAddr,
    /// Where those go that no port decides about.
    pub default_target: Option<IpAddr>,
    /// Its ports.
    pub ports: Vec<ForwardPort>,
}

/// Some ports of a forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardPort {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where their packets go.
    pub target: IpAddr,
    /// Ports packets come for, each with the one they go to.
    pub pairs: Vec<(u16, u16)>,
}

/// The chains of a network's forwards; none when there are none.
///
/// Ports of all forwards are tried before the default targets. Who forwards to itself sees packets from this host,
/// as otherwise its answers would not come back through it.
pub fn forwards(network: &str, all: &[Forward]) -> Vec<Chain> {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for forward in all {
        for ports in &forward.ports {
            for (listen, target) in &ports.pairs {
                let to =
                    vec![address(Side::Destination, forward.listen), port(ports.protocol, Side::Destination, *listen)];
                there.push(Rule::new(to, Action::DestinationNat(ports.target, Some(*target))));
                back.push(itself(ports.target, Some((ports.protocol, *target))));
            }
        }
    }
    for forward in all {
        if let Some(target) = forward.default_target {
            let to = vec![address(Side::Destination, forward.listen)];
            there.push(Rule::new(to, Action::DestinationNat(target, None)));
            back.push(itself(target, None));
        }
    }
    if there.is_empty() {
        return Vec::new();
    }
    let mut once: Vec<Rule> = Vec::new();
    for rule in back {
        if !once.contains(&rule) {
            once.push(rule);
        }
    }
    vec![
        chain(format!("fwdprert.{network}"), ChainKind::Nat, (Hook::Prerouting, DESTINATION_NAT), there.clone()),
        chain(format!("fwdout.{network}"), ChainKind::Nat, (Hook::Output, DESTINATION_NAT), there),
        chain(format!("fwdpstrt.{network}"), ChainKind::Nat, (Hook::Postrouting, SOURCE_NAT), once),
    ]
}

fn itself(target: IpAddr, ports: Option<(Protocol, u16)>) -> Rule {
    let mut matches = vec![address(Side::Source, target), address(Side::Destination, target)];
    matches.extend(ports.map(|(protocol, number)| port(protocol, Side::Destination, number)));
    Rule::new(matches, Action::Masquerade)
}
