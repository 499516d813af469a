//! Keys of network devices, per `nictype` (LXD 5.0.2, `reference/devices_nic`).

use crate::api::config::key::On::Vm;
use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

const fn row(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).group("device-conf").later("network devices")
}

/// A row that this server acts on.
const fn used(name: &'static str, kind: Kind, short: &'static str) -> Key {
    row(name, kind, short).applied()
}

const NET4S: Kind = Kind::List(&Kind::Net4);
const NET6S: Kind = Kind::List(&Kind::Net6);

const BOOT: Key = used("boot.priority", Kind::Uint32, "Place in the order of booting, highest first").on(Vm);
const GVRP: Key = used("gvrp", Kind::Bool, "Announce the VLAN by GVRP").default("false");
const HOST_NAME: Key = used("host_name", Kind::Text, "Name of the interface on the host").default("random");
const HWADDR: Key = used("hwaddr", Kind::Mac, "Address of the interface").default("random");
const EGRESS: Key = used("limits.egress", Kind::Bits, "Bits a second the instance may send").live();
const INGRESS: Key = used("limits.ingress", Kind::Bits, "Bits a second the instance may receive").live();
const MAX: Key = used("limits.max", Kind::Bits, "Bits a second in each direction").live();
const MAAS4: Key = row("maas.subnet.ipv4", Kind::Text, "IPv4 subnet in MAAS");
const MAAS6: Key = row("maas.subnet.ipv6", Kind::Text, "IPv6 subnet in MAAS");
const MTU: Key = used("mtu", Kind::Mtu, "MTU of the interface").default("MTU of the parent");
const NAME: Key = used("name", Kind::Interface, "Name of the interface in the guest").default("chosen by the kernel");
const NETWORK: Key = used("network", Kind::Text, "The network to join, in place of nictype and parent");
const PARENT: Key = used("parent", Kind::Text, "The interface or bridge of the host");
const MAC_FILTER: Key =
    used("security.mac_filtering", Kind::Bool, "Drop frames with a foreign source address").default("false");
const VLAN: Key = used("vlan", Kind::Vlan, "The VLAN to join");
const TABLE4: Key = used("ipv4.host_table", Kind::Uint32, "A further routing table for the IPv4 routes");
const TABLE6: Key = used("ipv6.host_table", Kind::Uint32, "A further routing table for the IPv6 routes");

/// `bridged`.
pub const BRIDGED: &[Key] = &[
    BOOT,
    HOST_NAME,
    HWADDR,
    used("ipv4.address", Kind::Or(&["none"], &Kind::Ip4), "IPv4 address the instance gets by DHCP"),
    used("ipv4.routes", NET4S, "IPv4 networks routed to the interface").live(),
    used("ipv4.routes.external", NET4S, "IPv4 networks routed to the interface and announced").live(),
    used("ipv6.address", Kind::Or(&["none"], &Kind::Ip6), "IPv6 address the instance gets by DHCP"),
    used("ipv6.routes", NET6S, "IPv6 networks routed to the interface").live(),
    used("ipv6.routes.external", NET6S, "IPv6 networks routed to the interface and announced").live(),
    EGRESS,
    INGRESS,
    MAX,
    MAAS4,
    MAAS6,
    MTU,
    NAME,
    NETWORK,
    PARENT,
    // LXD 5.0 takes any text for these three and reads what isn't true as false.
    used("security.ipv4_filtering", Kind::Bool, "Drop IPv4 packets with a foreign source address")
        .default("false")
        .live(),
    used("security.ipv6_filtering", Kind::Bool, "Drop IPv6 packets with a foreign source address")
        .default("false")
        .live(),
    MAC_FILTER.live(),
    used("security.port_isolation", Kind::Bool, "No traffic with other isolated interfaces").default("false"),
    used("vlan", Kind::Or(&["none"], &Kind::Vlan), "The VLAN of untagged traffic"),
    used("vlan.tagged", Kind::VlanRanges, "VLANs of tagged traffic"),
];

/// `macvlan`.
pub const MACVLAN: &[Key] = &[BOOT, GVRP, HWADDR, MAAS4, MAAS6, MTU, NAME, NETWORK, PARENT, VLAN];

/// `sriov`.
pub const SRIOV: &[Key] = &[BOOT, HWADDR, MAAS4, MAAS6, MTU, NAME, NETWORK, PARENT, MAC_FILTER, VLAN];

/// `physical`.
pub const PHYSICAL: &[Key] = &[BOOT, GVRP, HWADDR, MAAS4, MAAS6, MTU, NAME, NETWORK, PARENT, VLAN];

/// `p2p`.
pub const P2P: &[Key] = &[
    BOOT,
    HOST_NAME,
    HWADDR,
    used("ipv4.routes", NET4S, "IPv4 networks routed to the interface").live(),
    used("ipv6.routes", NET6S, "IPv6 networks routed to the interface").live(),
    EGRESS,
    INGRESS,
    MAX,
    MTU.default("chosen by the kernel"),
    NAME,
];

/// `ipvlan`.
pub const IPVLAN: &[Key] = &[
    GVRP,
    HWADDR,
    used("ipv4.address", Kind::List(&Kind::IpOrCidr4), "IPv4 addresses of the instance"),
    used("ipv4.gateway", Kind::Text, "`auto` or `none`; the gateway's address in mode l2").default("auto"),
    TABLE4,
    used("ipv6.address", Kind::List(&Kind::IpOrCidr6), "IPv6 addresses of the instance"),
    used("ipv6.gateway", Kind::Text, "`auto` or `none`; the gateway's address in mode l2").default("auto"),
    TABLE6,
    used("mode", Kind::OneOf(&["l3s", "l2"]), "The mode of ipvlan").default("l3s"),
    MTU,
    NAME,
    PARENT,
    VLAN,
];

/// `routed`.
pub const ROUTED: &[Key] = &[
    GVRP,
    HOST_NAME,
    HWADDR,
    used("ipv4.address", Kind::List(&Kind::Ip4), "IPv4 addresses of the instance"),
    used("ipv4.gateway", Kind::Gateway, "Whether there is a default route").default("auto"),
    used("ipv4.host_address", Kind::Ip4, "Address of the host's end").default("169.254.0.1"),
    TABLE4,
    used("ipv4.neighbor_probe", Kind::Bool, "Ask the parent's network whether the address is free").default("true"),
    used("ipv4.routes", NET4S, "IPv4 networks routed to the interface"),
    used("ipv6.address", Kind::List(&Kind::Ip6), "IPv6 addresses of the instance"),
    used("ipv6.gateway", Kind::Gateway, "Whether there is a default route").default("auto"),
    used("ipv6.host_address", Kind::Ip6, "Address of the host's end").default("fe80::1"),
    TABLE6,
    used("ipv6.neighbor_probe", Kind::Bool, "Ask the parent's network whether the address is free").default("true"),
    used("ipv6.routes", NET6S, "IPv6 networks routed to the interface"),
    EGRESS,
    INGRESS,
    MAX,
    MTU,
    NAME,
    PARENT,
    VLAN,
];

const ACTION: Kind = Kind::OneOf(&["allow", "drop", "reject"]);

/// `ovn`.
pub const OVN: &[Key] = &[
    row("acceleration", Kind::OneOf(&["none", "sriov"]), "Let the network card do the switching").default("none"),
    BOOT,
    HOST_NAME,
    HWADDR,
    row("ipv4.address", Kind::Ip4, "IPv4 address the instance gets by DHCP"),
    row("ipv4.routes", NET4S, "IPv4 networks routed to the interface"),
    row("ipv4.routes.external", NET4S, "IPv4 networks routed to the interface and announced"),
    row("ipv6.address", Kind::Ip6, "IPv6 address the instance gets by DHCP"),
    row("ipv6.routes", NET6S, "IPv6 networks routed to the interface"),
    row("ipv6.routes.external", NET6S, "IPv6 networks routed to the interface and announced"),
    NAME,
    NETWORK.required(),
    row("security.acls", Kind::Text, "Access lists that hold, with commas between them").live(),
    row("security.acls.default.egress.action", ACTION, "What becomes of outgoing traffic no rule names")
        .default("reject")
        .live(),
    row("security.acls.default.egress.logged", Kind::Bool, "Log it").default("false").live(),
    row("security.acls.default.ingress.action", ACTION, "What becomes of incoming traffic no rule names")
        .default("reject")
        .live(),
    row("security.acls.default.ingress.logged", Kind::Bool, "Log it").default("false").live(),
];

/// The types and their keys.
pub const NICTYPES: &[(&str, &[Key])] = &[
    ("bridged", BRIDGED),
    ("ipvlan", IPVLAN),
    ("macvlan", MACVLAN),
    ("ovn", OVN),
    ("p2p", P2P),
    ("physical", PHYSICAL),
    ("routed", ROUTED),
    ("sriov", SRIOV),
];
