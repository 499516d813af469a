//! Which rules a network, a forward, an access list or a NIC wants: plain values in, chains out, nothing touched.
//!
//! Tables and chains are named as LXD 5.0 names them, because people's scripts know them:
//!
//! ```text
//! inet lxd     pstrt|fwd|in|out.NET        NAT; whether packets pass; DHCP, DNS and ICMP of the bridge itself
//!              acl|aclin|aclout|aclfwd.NET access lists
//!              fwdprert|fwdout|fwdpstrt.NET forwards
//!              prert.INSTANCE.DEVICE       senders of a routed NIC
//!              prert|out|pstrt.INSTANCE.DEVICE proxies by NAT
//! bridge lxd   in|fwd.INSTANCE.DEVICE      senders of a bridged NIC
//! ```
//!
//! INSTANCE has its project in front (`p1_c1`) unless that is the default one. Chains say [`Policy::Accept`]: what no
//! rule of ours decides is other tables' to decide.

mod acl;
mod forward;
mod network;
mod nic;

use std::net::IpAddr;

pub use acl::{AclAction, AclDefault, AclDirection, AclProtocol, AclRule, acls};
pub use forward::{Forward, ForwardPort, NatProxy, forwards, nat_proxy};
pub use network::{Nat, NetworkRules, Subnet, network};
pub use nic::{Nic, NicFilter, filter, routed_filter};

use super::nft::{Action, Base, Chain, ChainKind, Hook, IcmpVersion, Match, Policy, Protocol, Rule, Side, Span};

/// The table all chains are in, in the families `inet` and `bridge`.
pub const TABLE: &str = "lxd";

/// Names of all chains a network of this name may have in table `inet lxd`.
pub fn network_chains(network: &str) -> Vec<String> {
    let kinds = ["acl", "aclin", "aclout", "aclfwd", "pstrt", "fwd", "in", "out", "fwdprert", "fwdout", "fwdpstrt"];
    kinds.iter().map(|kind| format!("{kind}.{network}")).collect()
}

/// Priorities of the packet filter, by nft(8)'s names.
const FILTER: i32 = 0;
const RAW: i32 = -300;
const DESTINATION_NAT: i32 = -100;
const SOURCE_NAT: i32 = 100;
const BRIDGE_FILTER: i32 = -200;

fn chain(name: String, kind: ChainKind, at: (Hook, i32), rules: Vec<Rule>) -> Chain {
    let base = Base { kind, hook: at.0, priority: at.1, policy: Policy::Accept };
    Chain { name, base: Some(base), rules }
}

/// The ICMP messages without which IPv4 does not work.
fn icmp() -> Match {
    Match::IcmpType(IcmpVersion::V4, vec![3, 11, 12])
}

/// The ICMP messages without which IPv6 does not work: errors, neighbours, and those of the direction.
fn icmpv6(more: &[u8]) -> Match {
    Match::IcmpType(IcmpVersion::V6, [&[1, 2, 3, 4, 135, 136, 143], more].concat())
}

fn port(protocol: Protocol, side: Side, number: u16) -> Match {
    Match::Port(protocol, side, vec![Span::one(number)])
}

fn address(side: Side, address: IpAddr) -> Match {
    Match::Address(side, vec![Span::one(address)])
}

fn accept(matches: Vec<Match>) -> Rule {
    Rule::new(matches, Action::Accept)
}
