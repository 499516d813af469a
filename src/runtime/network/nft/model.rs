//! Tables, chains and rules as plain values (nft(8)).

use std::net::IpAddr;

use crate::runtime::network::netlink::MacAddr;

/// What packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// What goes through bridges.
    Bridge,
    /// IPv4 alone.
    Ip,
    /// IPv6 alone.
    Ip6,
}

impl Family {
    /// `NFPROTO_*`.
    pub(super) fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Ip => 2,
            Family::Bridge => 7,
            Family::Ip6 => 10,
        }
    }

    /// Its name in nft(8).
    pub fn name(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::Ip => "ip",
            Family::Bridge => "bridge",
            Family::Ip6 => "ip6",
        }
    }
}

/// A chain with all its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name, unique in its table.
    pub name: String,
    /// Where packets come into it by themselves; chains without are jumped to.
    pub base: Option<Base>,
    /// In the order they are tried.
    pub rules: Vec<Rule>,
}

/// Where packets come into a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// What the chain may do.
    pub kind: ChainKind,
    /// At which point of their way.
    pub hook: Hook,
    /// The lowest is first.
    pub priority: i32,
    /// What becomes of packets no rule decided about.
    pub policy: Policy,
}

/// What a chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Decide.
    Filter,
    /// Change addresses; only the first packet of a connection comes here.
    Nat,
}

/// A point of packets' way (`NF_INET_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before it is known where they go.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// Just before they leave.
    Postrouting,
}

/// What becomes of packets no rule decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They go on.
    Accept,
    /// They are thrown away.
    Drop,
}

/// A rule: when all matches hold, all actions are done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// All must hold.
    pub matches: Vec<Match>,
    /// One after another; the last usually decides.
    pub actions: Vec<Action>,
}

impl Rule {
    /// A rule with one action.
    pub fn new(matches: impl Into<Vec<Match>>, action: Action) -> Rule {
        Rule { matches: matches.into(), actions: vec![action] }
    }
}

/// Which end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where it is from.
    Source,
    /// Where it goes.
    Destination,
}

/// From one value to another, both included. The ends of addresses are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<T> {
    /// The lowest.
    pub from: T,
    /// The highest.
    pub to: T,
}

impl<T: Copy> Span<T> {
    /// One value.
    pub fn one(value: T) -> Span<T> {
        Span { from: value, to: value }
    }
}

impl Span<IpAddr> {
    /// All addresses that begin with the first `prefix` bits of `address`.
    pub fn prefix(address: IpAddr, prefix: u8) -> Span<IpAddr> {
        match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                let bits = u32::from(v4);
                Span { from: IpAddr::V4((bits & !host).into()), to: IpAddr::V4((bits | host).into()) }
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                let bits = u128::from(v6);
                Span { from: IpAddr::V6((bits & !host).into()), to: IpAddr::V6((bits | host).into()) }
            }
        }
    }
}

/// What is carried by IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP of IPv4.
    Icmp,
    /// ICMP of IPv6.
    Icmpv6,
    /// Others by their number.
    Other(u8),
}

impl Protocol {
    pub(super) fn number(self) -> u8 {
        match self {
            Protocol::Icmp => 1,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Icmpv6 => 58,
            Protocol::Other(number) => number,
        }
    }
}

/// ICMP of which IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A condition. Several values are alternatives; what a condition needs to be meaningful (that a packet with ports is
/// one of TCP) is asked by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Came in by the link of this name.
    In(String),
    /// Came in by the link of this number.
    InIndex(u32),
    /// Leaves by the link of this name.
    Out(String),
    /// Is of IP version 4 or 6, by the first bits of its own head.
    Version(u8),
    /// Its address is one of these.
    Address(Side, Vec<Span<IpAddr>>),
    /// Its address is none of these.
    NotAddress(Side, Vec<Span<IpAddr>>),
    /// It carries this, whatever the IP version.
    Carries(Protocol),
    /// It is of the IP version and carries this, by the field in its head.
    Field(IcmpVersion, Protocol),
    /// It carries TCP or UDP with one of these ports.
    Port(Protocol, Side, Vec<Span<u16>>),
    /// It is ICMP of one of these types.
    IcmpType(IcmpVersion, Vec<u8>),
    /// It is ICMP with this code.
    IcmpCode(IcmpVersion, u8),
    /// It is of a connection in one of these states (`NF_CT_STATE_BIT`: 2 established, 4 related, 8 new).
    Connection(u32),
    /// Its hardware sender is another.
    NotEtherSource(MacAddr),
    /// Its Ethernet frame carries this (`ETH_P_*`).
    EtherType(u16),
    /// Its Ethernet frame carries none of these.
    NotEtherType(Vec<u16>),
    /// It is ARP and says it is from another hardware address.
    NotArpEther(MacAddr),
    /// It is ARP and says it is from one of these IPv4 addresses.
    ArpAddress(Span<IpAddr>),
    /// These bytes of the head of the network layer and behind it are so (true) or not so (false).
    Network(u32, Vec<u8>, bool),
    /// What a neighbour advertisement (IPv6) says it has is one of these addresses. Ask for the ICMP type first.
    AdvertisedAddress(Span<IpAddr>),
    /// This host has no route to its sender by the link it came in by.
    NoWayBack,
}

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Accept,
    /// It is thrown away.
    Drop,
    /// It goes on behind the rule that jumped here.
    Return,
    /// It goes through another chain of the table and comes back.
    Jump(String),
    /// It is thrown away and its sender is told.
    Reject(Reject),
    /// The kernel's log says so, with this in front.
    Log(String),
    /// It is counted.
    Counter,
    /// It is from this host's own address.
    Masquerade,
    /// It is from this address.
    SourceNat(IpAddr),
    /// It goes to this address, and this port when one is said.
    DestinationNat(IpAddr, Option<u16>),
}

/// How a sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// That nobody listens at the port, in the packet's own IP version.
    Any,
    /// The same in IPv4.
    V4,
    /// The same in IPv6.
    V6,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_spans() {
        let span = |text: &str, prefix| Span::prefix(text.parse().unwrap(), prefix);
        let text = |s: Span<IpAddr>| format!("{} {}", s.from, s.to);
        assert_eq!(text(span("10.1.1.7", 24)), "10.1.1.0 10.1.1.255");
        assert_eq!(text(span("10.1.1.7", 32)), "10.1.1.7 10.1.1.7");
        assert_eq!(text(span("10.1.1.7", 0)), "0.0.0.0 255.255.255.255");
        assert_eq!(text(span("fd42::1", 64)), "fd42:: fd42::ffff:ffff:ffff:ffff");
        assert_eq!(text(span("fd42::1", 128)), "fd42::1 fd42::1");
    }
}
