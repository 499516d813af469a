//! What network forwards and proxies of guests want: packets for a listen address go to an address on the bridge.

use std::net::{IpAddr, SocketAddr};

use super::{
    Action, Chain, ChainKind, DESTINATION_NAT, Hook, Nic, Protocol, Rule, SOURCE_NAT, Side, address, chain, port,
};

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

/// A guest's proxy without a process in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatProxy {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where packets come for, each with where they go.
    pub pairs: Vec<(SocketAddr, SocketAddr)>,
}

/// The chains of a proxy, for table `inet lxd`.
pub fn nat_proxy(device: Nic<'_>, proxy: &NatProxy) -> Vec<Chain> {
    let NatProxy { protocol, pairs } = proxy;
    let there = pairs.iter().map(|(listen, target)| there(*protocol, *listen, *target)).collect();
    let back = pairs.iter().map(|(_, target)| itself(target.ip(), Some((*protocol, target.port())))).collect();
    translations(device.proxy_chains(), there, back)
}

/// The chains of a network's forwards; none when there are none.
///
/// Ports of all forwards are tried before the default targets.
pub fn forwards(network: &str, all: &[Forward]) -> Vec<Chain> {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for forward in all {
        for ports in &forward.ports {
            for (listen, target) in &ports.pairs {
                let (listen, target) = ((forward.listen, *listen), (ports.target, *target));
                there.push(self::there(ports.protocol, listen.into(), target.into()));
                back.push(itself(target.0, Some((ports.protocol, target.1))));
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
    translations(["fwdprert", "fwdout", "fwdpstrt"].map(|kind| format!("{kind}.{network}")), there, back)
}

/// The chains for packets on their way here, from here and back. Who forwards to itself sees packets from this host, as
/// otherwise its answers would not come back through it.
fn translations([coming, leaving, returning]: [String; 3], there: Vec<Rule>, back: Vec<Rule>) -> Vec<Chain> {
    let mut once: Vec<Rule> = Vec::new();
    for rule in back {
        if !once.contains(&rule) {
            once.push(rule);
        }
    }
    vec![
        chain(coming, ChainKind::Nat, (Hook::Prerouting, DESTINATION_NAT), there.clone()),
        chain(leaving, ChainKind::Nat, (Hook::Output, DESTINATION_NAT), there),
        chain(returning, ChainKind::Nat, (Hook::Postrouting, SOURCE_NAT), once),
    ]
}

fn there(protocol: Protocol, listen: SocketAddr, target: SocketAddr) -> Rule {
    let to = vec![address(Side::Destination, listen.ip()), port(protocol, Side::Destination, listen.port())];
    Rule::new(to, Action::DestinationNat(target.ip(), Some(target.port())))
}

fn itself(target: IpAddr, ports: Option<(Protocol, u16)>) -> Rule {
    let mut matches = vec![address(Side::Source, target), address(Side::Destination, target)];
    matches.extend(ports.map(|(protocol, number)| port(protocol, Side::Destination, number)));
    Rule::new(matches, Action::Masquerade)
}
