//! Keys of networks, per type (LXD 5.0.2, `reference/network_*`).

use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

const fn row(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).group("network-conf").live().applied()
}

/// What waits for what.
const BGP: &str = "BGP";
const OVN_LATER: &str = "OVN";
const FAN: &str = "the fan";
const MAAS: &str = "MAAS";

const BOOL: Kind = Kind::Bool;
const ACTION: Kind = Kind::OneOf(&["allow", "drop", "reject"]);
const ORDER: Kind = Kind::OneOf(&["before", "after"]);
const NET4S: Kind = Kind::List(&Kind::Net4);
const NET6S: Kind = Kind::List(&Kind::Net6);
const RANGES4: Kind = Kind::List(&Kind::Range4);
const RANGES6: Kind = Kind::List(&Kind::Range6);
const ADDRESS4: Kind = Kind::Or(&["none", "auto"], &Kind::Cidr4);
const ADDRESS6: Kind = Kind::Or(&["none", "auto"], &Kind::Cidr6);

const PEER_ADDRESS: Key = row("bgp.peers.NAME.address", Kind::Ip, "Address of a BGP peer").later(BGP);
const PEER_ASN: Key = row("bgp.peers.NAME.asn", Kind::Integer, "System number of a BGP peer").later(BGP);
const PEER_PASSWORD: Key =
    row("bgp.peers.NAME.password", Kind::Text, "Password of the session with a BGP peer").later(BGP).default("none");
const HWADDR: Key = row("bridge.hwaddr", Kind::Mac, "Address of the bridge");
const BRIDGE_MTU: Key = row("bridge.mtu", Kind::Mtu, "MTU of the bridge");
const DOMAIN: Key = row("dns.domain", Kind::Text, "Domain told to clients and answered for").default("lxd");
const SEARCH: Key = row("dns.search", Kind::Text, "Search list told to clients").default("dns.domain");
const ZONE: Key = row("dns.zone.forward", Kind::Text, "Zone of the forward records");
const ZONE4: Key = row("dns.zone.reverse.ipv4", Kind::Text, "Zone of the IPv4 reverse records");
const ZONE6: Key = row("dns.zone.reverse.ipv6", Kind::Text, "Zone of the IPv6 reverse records");
const IPV4: Key = row("ipv4.address", ADDRESS4, "IPv4 address and prefix; `none` for no IPv4").default("auto");
const IPV6: Key = row("ipv6.address", ADDRESS6, "IPv6 address and prefix; `none` for no IPv6").default("auto");
const DHCP4: Key = row("ipv4.dhcp", BOOL, "Give out IPv4 addresses by DHCP").default("true");
const DHCP6: Key = row("ipv6.dhcp", BOOL, "Give out IPv6 settings by DHCP").default("true");
const STATEFUL: Key = row("ipv6.dhcp.stateful", BOOL, "Give out IPv6 addresses by DHCP").default("false");
const NAT4: Key = row("ipv4.nat", BOOL, "Translate IPv4 addresses on the way out")
    .default("false; true where the address was chosen");
const NAT6: Key = row("ipv6.nat", BOOL, "Translate IPv6 addresses on the way out")
    .default("false; true where the address was chosen");
const NAT_ADDRESS4: Key = row("ipv4.nat.address", Kind::Ip4, "Source address of what goes out");
const NAT_ADDRESS6: Key = row("ipv6.nat.address", Kind::Ip6, "Source address of what goes out");
const OVN4: Key = row("ipv4.ovn.ranges", RANGES4, "Addresses the routers of OVN networks may take").later(OVN_LATER);
const OVN6: Key = row("ipv6.ovn.ranges", RANGES6, "Addresses the routers of OVN networks may take").later(OVN_LATER);
const MAAS4: Key = row("maas.subnet.ipv4", Kind::Text, "IPv4 subnet in MAAS").later(MAAS);
const MAAS6: Key = row("maas.subnet.ipv6", Kind::Text, "IPv6 subnet in MAAS").later(MAAS);
const ACLS: Key = row("security.acls", Kind::Text, "Access lists that hold, with commas between them");
const EGRESS: Key =
    row("security.acls.default.egress.action", ACTION, "What becomes of outgoing traffic no rule names")
        .default("reject");
const EGRESS_LOG: Key = row("security.acls.default.egress.logged", BOOL, "Log it").default("false");
const INGRESS: Key =
    row("security.acls.default.ingress.action", ACTION, "What becomes of incoming traffic no rule names")
        .default("reject");
const INGRESS_LOG: Key = row("security.acls.default.ingress.logged", BOOL, "Log it").default("false");
const GVRP: Key = row("gvrp", BOOL, "Announce the VLAN by GVRP").default("false");
const MTU: Key = row("mtu", Kind::Mtu, "MTU of the interfaces");
const PARENT: Key = row("parent", Kind::Interface, "The interface of the host").required();
const VLAN: Key = row("vlan", Kind::Vlan, "The VLAN to join");

/// What every network can have.
pub const COMMON: &[Key] = &[row("user.*", Kind::Text, "Free for users")];

/// `bridge`.
pub const BRIDGE: &[Key] = &[
    PEER_ADDRESS,
    PEER_ASN,
    PEER_PASSWORD,
    // Documented for 5.0, and refused by its server.
    row("bgp.ipv4.nexthop", Kind::Ip4, "Next hop announced for IPv4").later(BGP).default("the local address"),
    row("bgp.ipv6.nexthop", Kind::Ip6, "Next hop announced for IPv6").later(BGP).default("the local address"),
    row("bridge.driver", Kind::OneOf(&["native", "openvswitch"]), "What makes the bridge").default("native"),
    row("bridge.external_interfaces", Kind::List(&Kind::Interface), "Interfaces of the host to put into the bridge"),
    HWADDR,
    row("bridge.mode", Kind::OneOf(&["standard", "fan"]), "How the bridge works").default("standard"),
    BRIDGE_MTU.default("1500"),
    DOMAIN,
    row("dns.mode", Kind::OneOf(&["dynamic", "managed", "none"]), "Where names of instances come from")
        .default("managed"),
    SEARCH,
    ZONE,
    ZONE4,
    ZONE6,
    row("fan.overlay_subnet", Kind::Net4, "Overlay of the fan").later(FAN).default("240.0.0.0/8"),
    row("fan.type", Kind::OneOf(&["vxlan", "ipip"]), "Tunnel of the fan").later(FAN).default("vxlan"),
    row("fan.underlay_subnet", Kind::Or(&["auto"], &Kind::Net4), "Underlay of the fan").later(FAN).default("auto"),
    IPV4,
    DHCP4,
    row("ipv4.dhcp.expiry", Kind::Text, "How long leases last").default("1h"),
    row("ipv4.dhcp.gateway", Kind::Ip4, "Gateway told to clients").default("the bridge"),
    row("ipv4.dhcp.ranges", RANGES4, "Addresses given out").default("all"),
    row("ipv4.firewall", BOOL, "Make firewall rules").default("true"),
    NAT4,
    NAT_ADDRESS4,
    row("ipv4.nat.order", ORDER, "Whether rules stand before or behind those there are").default("before"),
    OVN4,
    row("ipv4.routes", NET4S, "Further IPv4 networks routed to the bridge"),
    row("ipv4.routing", BOOL, "Route in and out of the bridge").default("true"),
    IPV6,
    DHCP6,
    row("ipv6.dhcp.expiry", Kind::Text, "How long leases last").default("1h"),
    row("ipv6.dhcp.ranges", RANGES6, "Addresses given out").default("all"),
    STATEFUL,
    row("ipv6.firewall", BOOL, "Make firewall rules").default("true"),
    NAT6,
    NAT_ADDRESS6,
    row("ipv6.nat.order", ORDER, "Whether rules stand before or behind those there are").default("before"),
    OVN6,
    row("ipv6.routes", NET6S, "Further IPv6 networks routed to the bridge"),
    row("ipv6.routing", BOOL, "Route in and out of the bridge").default("true"),
    MAAS4,
    MAAS6,
    row("raw.dnsmasq", Kind::Text, "Lines to append to the configuration of dnsmasq"),
    ACLS,
    EGRESS,
    EGRESS_LOG,
    INGRESS,
    INGRESS_LOG,
    row("tunnel.NAME.group", Kind::Ip, "Multicast group of a vxlan tunnel").default("239.0.0.1"),
    row("tunnel.NAME.id", Kind::Integer, "Number of a vxlan tunnel").default("0"),
    row("tunnel.NAME.interface", Kind::Interface, "Interface of the host the tunnel uses"),
    row("tunnel.NAME.local", Kind::Ip, "This end of the tunnel"),
    row("tunnel.NAME.port", Kind::Port, "Port of a vxlan tunnel").default("0"),
    row("tunnel.NAME.protocol", Kind::OneOf(&["gre", "vxlan"]), "Protocol of the tunnel"),
    row("tunnel.NAME.remote", Kind::Ip, "The other end of the tunnel"),
    row("tunnel.NAME.ttl", Kind::Uint8, "How far multicast goes").default("1"),
];

/// `macvlan`.
pub const MACVLAN: &[Key] = &[GVRP, MTU, PARENT, VLAN, MAAS4, MAAS6];

/// `sriov`.
pub const SRIOV: &[Key] = &[MTU, PARENT, VLAN, MAAS4, MAAS6];

/// `physical`.
pub const PHYSICAL: &[Key] = &[
    GVRP,
    MTU,
    PARENT,
    VLAN,
    PEER_ADDRESS,
    PEER_ASN,
    PEER_PASSWORD,
    row("dns.nameservers", Kind::List(&Kind::Ip), "Name servers of the network").later(OVN_LATER),
    row("ipv4.gateway", Kind::Cidr4, "IPv4 gateway and prefix").later(OVN_LATER),
    OVN4,
    row("ipv4.routes", NET4S, "IPv4 networks OVN networks may announce").later(OVN_LATER),
    row("ipv4.routes.anycast", BOOL, "Let several networks announce the same").later(OVN_LATER).default("false"),
    row("ipv6.gateway", Kind::Cidr6, "IPv6 gateway and prefix").later(OVN_LATER),
    OVN6,
    row("ipv6.routes", NET6S, "IPv6 networks OVN networks may announce").later(OVN_LATER),
    row("ipv6.routes.anycast", BOOL, "Let several networks announce the same").later(OVN_LATER).default("false"),
    MAAS4,
    MAAS6,
    row("ovn.ingress_mode", Kind::OneOf(&["l2proxy", "routed"]), "How outer addresses of OVN interfaces are announced")
        .later(OVN_LATER)
        .default("l2proxy"),
];

/// `ovn`.
pub const OVN: &[Key] = &[
    row("network", Kind::Text, "The uplink").later(OVN_LATER),
    HWADDR,
    BRIDGE_MTU.default("1442"),
    DOMAIN,
    SEARCH,
    ZONE,
    ZONE4,
    ZONE6,
    IPV4,
    DHCP4,
    NAT4,
    NAT_ADDRESS4,
    IPV6,
    DHCP6,
    STATEFUL,
    NAT6,
    NAT_ADDRESS6,
    ACLS,
    EGRESS,
    EGRESS_LOG,
    INGRESS,
    INGRESS_LOG,
    row("volatile.network.ipv4.address", Kind::Ip4, "IPv4 address the network took of its uplink").later(OVN_LATER),
    row("volatile.network.ipv6.address", Kind::Ip6, "IPv6 address the network took of its uplink").later(OVN_LATER),
];

/// The types and their keys.
pub const TYPES: &[(&str, &[Key])] =
    &[("bridge", BRIDGE), ("macvlan", MACVLAN), ("ovn", OVN), ("physical", PHYSICAL), ("sriov", SRIOV)];

/// Access lists, and records of zones.
pub const ACL: &[Key] = COMMON;

/// Forwards.
pub const FORWARD: &[Key] = &[row("target_address", Kind::Text, "Where what no port names goes")];

/// Zones.
pub const ZONES: &[Key] = &[
    row("dns.nameservers", Kind::Text, "Names of the zone's servers, with commas between them"),
    row("network.nat", BOOL, "Tell addresses behind NAT too").default("true"),
    row("peers.NAME.address", Kind::Ip, "Address of a server that may copy the zone"),
    row("peers.NAME.key", Kind::Text, "Key it signs with"),
];
