//! The rules our functions make are those LXD 5.0.2 makes: `goldens/*.nft` is what `nft list table` (nftables 1.0.6)
//! printed beside a real LXD with the same configuration, unchanged.

use std::net::IpAddr;

use lxbox::runtime::network::netlink::{LinkKind, Netlink, NewLink};
use lxbox::runtime::network::nft::{Chain, Family, IcmpVersion, Nft, Protocol, Span};
use lxbox::runtime::network::rules::{
    AclAction, AclDefault, AclDirection, AclProtocol, AclRule, Forward, ForwardPort, Nat, NetworkRules, Nic, NicFilter,
    Subnet, acls, filter, forwards, network, network_chains, routed_filter,
};

use crate::space::Space;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `10.0.0.0/8`, `10.0.0.1-10.0.0.9` or one address.
fn span(text: &str) -> Span<IpAddr> {
    match (text.split_once('/'), text.split_once('-')) {
        (Some((address, prefix)), _) => Span::prefix(ip(address), prefix.parse().unwrap()),
        (_, Some((from, to))) => Span { from: ip(from), to: ip(to) },
        _ => Span::one(ip(text)),
    }
}

fn spans(text: &str) -> Vec<Span<IpAddr>> {
    text.split(',').filter(|t| !t.is_empty()).map(span).collect()
}

/// `22,80-90`
fn ports(text: &str) -> Vec<Span<u16>> {
    let one = |text: &str| match text.split_once('-') {
        Some((from, to)) => Span { from: from.parse().unwrap(), to: to.parse().unwrap() },
        None => Span::one(text.parse().unwrap()),
    };
    text.split(',').filter(|t| !t.is_empty()).map(one).collect()
}

/// Puts the chains into an empty namespace, and compares the table with the golden.
fn check(golden: &str, family: Family, chains: &[Chain]) {
    let space = Space::new();
    compare(&space, golden, family, chains);
}

fn compare(space: &Space, golden: &str, family: Family, chains: &[Chain]) {
    let path = format!("{}/tests/network/goldens/{golden}.nft", env!("CARGO_MANIFEST_DIR"));
    let wanted = std::fs::read_to_string(path).unwrap();
    let mut nft = Nft::in_namespace(space.fd()).unwrap();
    assert!(nft.ensure(family, "lxd", chains, &[]).unwrap());
    let found = space.say(&format!("nft list table {} lxd", family.name()));
    assert!(found == wanted, "{golden}:\n{found}\nis not what LXD makes:\n{wanted}");
    assert!(!nft.ensure(family, "lxd", chains, &[]).unwrap(), "{golden}: changed though nothing changed");
}

fn v4() -> Subnet {
    let address = ip("10.1.1.1");
    Subnet { address, prefix: 24, nat: Some(Nat::Masquerade), firewall: true, routing: true, dhcp: true }
}

fn v6() -> Subnet {
    Subnet { address: ip("fd42:1::1"), prefix: 64, ..v4() }
}

fn rules(v4: Subnet, v6: Subnet) -> Vec<Chain> {
    network(&NetworkRules { name: "br1", v4: Some(v4), v6: Some(v6) })
}

fn no_nat(subnet: Subnet) -> Subnet {
    Subnet { nat: None, ..subnet }
}

#[test]
fn networks() {
    check("nat", Family::Inet, &rules(v4(), v6()));
    check("no-nat", Family::Inet, &rules(no_nat(v4()), no_nat(v6())));
    let silent = |subnet| Subnet { dhcp: false, ..no_nat(subnet) };
    check("no-dhcp", Family::Inet, &rules(silent(v4()), silent(v6())));
    let closed = |subnet| Subnet { routing: false, ..no_nat(subnet) };
    check("no-routing", Family::Inet, &rules(closed(v4()), closed(v6())));
    let open = |subnet| Subnet { firewall: false, ..subnet };
    check("no-ipv4-firewall", Family::Inet, &rules(open(no_nat(v4())), no_nat(v6())));
    check("no-firewall-nat", Family::Inet, &rules(open(v4()), open(no_nat(v6()))));
    let as_one = |subnet, address| Subnet { nat: Some(Nat::Address(ip(address))), ..subnet };
    check("nat-address", Family::Inet, &rules(as_one(v4(), "192.0.2.77"), as_one(v6(), "2001:db8:9::77")));
    check("ipv4-only", Family::Inet, &network(&NetworkRules { name: "br1", v4: Some(v4()), v6: None }));
    check("ipv6-only", Family::Inet, &network(&NetworkRules { name: "br1", v4: None, v6: Some(v6()) }));
    assert!(network(&NetworkRules { name: "br1", v4: None, v6: None }).is_empty());
}

#[test]
fn network_forwards() {
    let port =
        |protocol, target, pairs: &[(u16, u16)]| ForwardPort { protocol, target: ip(target), pairs: pairs.to_vec() };
    let all = [
        Forward {
            listen: ip("2001:db8:9::50"),
            default_target: Some(ip("fd42:1::50")),
            ports: vec![port(Protocol::Tcp, "fd42:1::51", &[(80, 80), (81, 81), (82, 82)])],
        },
        Forward {
            listen: ip("192.0.2.50"),
            default_target: Some(ip("10.1.1.50")),
            ports: vec![
                port(Protocol::Tcp, "10.1.1.51", &[(80, 80)]),
                port(Protocol::Tcp, "10.1.1.51", &[(443, 8443), (8000, 8443), (8001, 8443), (8002, 8443)]),
                port(Protocol::Udp, "10.1.1.52", &[(53, 1053), (100, 2100), (101, 2101), (102, 2102)]),
            ],
        },
        Forward {
            listen: ip("192.0.2.51"),
            default_target: None,
            ports: vec![port(Protocol::Tcp, "10.1.1.60", &[(22, 2222)])],
        },
    ];
    let chains = [rules(v4(), v6()), forwards("br1", &all)].concat();
    check("forwards", Family::Inet, &chains);
    assert!(forwards("br1", &[]).is_empty());
    let named = network_chains("br1");
    assert!(chains.iter().all(|c| named.contains(&c.name)));
}

fn rule(direction: AclDirection, index: usize, action: AclAction) -> AclRule {
    AclRule { direction, index, action, logged: false, source: vec![], destination: vec![], protocol: None }
}

use AclAction::{Allow, Drop, Reject};
use AclDirection::{Egress, Ingress};

fn tcp(source: &str, destination: &str) -> Option<AclProtocol> {
    Some(AclProtocol::Ports(Protocol::Tcp, ports(source), ports(destination)))
}

fn udp(source: &str, destination: &str) -> Option<AclProtocol> {
    Some(AclProtocol::Ports(Protocol::Udp, ports(source), ports(destination)))
}

fn icmp(version: IcmpVersion, kind: Option<u8>, code: Option<u8>) -> Option<AclProtocol> {
    Some(AclProtocol::Icmp(version, kind, code))
}

fn first_list() -> Vec<AclRule> {
    use IcmpVersion::{V4, V6};
    vec![
        AclRule { source: spans("10.0.0.0/8,192.0.2.5"), protocol: tcp("", "22,80-90"), ..rule(Ingress, 0, Allow) },
        AclRule { protocol: udp("53", ""), ..rule(Ingress, 1, Reject) },
        AclRule { source: spans("10.1.1.5-10.1.1.9"), ..rule(Ingress, 2, Drop) },
        AclRule {
            source: spans("fd42:1::5,fd42:1::7-fd42:1::9"),
            destination: spans("fd42:1::1"),
            protocol: tcp("", "99"),
            logged: true,
            ..rule(Ingress, 3, Allow)
        },
        AclRule { protocol: icmp(V4, Some(8), Some(0)), ..rule(Egress, 0, Drop) },
        AclRule { protocol: icmp(V6, Some(128), None), ..rule(Egress, 1, Allow) },
        AclRule { protocol: icmp(V4, None, None), ..rule(Egress, 2, Allow) },
        AclRule { destination: spans("2001:db8::/32"), logged: true, ..rule(Egress, 3, Reject) },
    ]
}

const PLAIN: AclDefault = AclDefault { action: Reject, logged: false };
const INGRESS: AclDefault = AclDefault { action: Allow, logged: true };
const EGRESS: AclDefault = AclDefault { action: Drop, logged: true };

#[test]
fn access_lists() {
    let chains = |rules: &[AclRule], ingress, egress, network: &[Chain]| {
        [acls("br1", rules, ingress, egress), network.to_vec()].concat()
    };
    let first = first_list();
    check("acl", Family::Inet, &chains(&first, PLAIN, PLAIN, &rules(v4(), v6())));
    check("acl-defaults", Family::Inet, &chains(&first, INGRESS, EGRESS, &rules(v4(), v6())));
    let second = [
        AclRule { source: spans("10.3.3.3"), ..rule(Ingress, 0, Drop) },
        AclRule { source: spans("10.3.3.3,fd00::1"), ..rule(Ingress, 1, Drop) },
        AclRule { destination: spans("10.9.0.0/16,fd00::/8"), protocol: udp("", "5000"), ..rule(Egress, 0, Allow) },
        AclRule {
            source: spans("10.1.1.7"),
            destination: spans("10.9.0.0/16,10.10.0.0/16"),
            protocol: tcp("1-1024", "5000,6000"),
            ..rule(Egress, 1, Allow)
        },
    ];
    check("acl-two", Family::Inet, &chains(&[first, second.to_vec()].concat(), INGRESS, EGRESS, &rules(v4(), v6())));
    let third = [
        rule(Ingress, 0, Allow),
        AclRule { protocol: tcp("", ""), ..rule(Egress, 0, Reject) },
        AclRule { protocol: udp("", "1"), logged: true, ..rule(Egress, 1, Reject) },
        AclRule { protocol: icmp(IcmpVersion::V4, None, None), ..rule(Egress, 2, Reject) },
        AclRule { protocol: icmp(IcmpVersion::V6, None, None), ..rule(Egress, 3, Drop) },
    ];
    check("acl-plain", Family::Inet, &chains(&third, INGRESS, EGRESS, &rules(no_nat(v4()), no_nat(v6()))));
    let only = network(&NetworkRules { name: "br1", v4: None, v6: Some(no_nat(v6())) });
    let logged = AclDefault { action: Allow, logged: true };
    check("acl-reject", Family::Inet, &chains(&third, PLAIN, logged, &only));
}

#[test]
fn nics() {
    let nic = Nic { project: "default", instance: "c1", device: "eth0" };
    let mac = "00:16:3e:11:22:33".parse().unwrap();
    let check_filter = |golden, v4: Option<&str>, v6: Option<&str>| {
        let wanted = NicFilter { host_name: "vc1", mac, v4: v4.map(spans), v6: v6.map(spans) };
        let chains = filter(nic, &wanted);
        assert_eq!(chains.iter().map(|c| c.name.clone()).collect::<Vec<_>>(), nic.bridge_chains());
        check(golden, Family::Bridge, &chains);
    };
    check_filter("nic-mac", None, None);
    check_filter("nic-ipv4", Some("10.1.1.20"), None);
    check_filter("nic-ipv6", None, Some("fd42:1::20"));
    check_filter("nic-all", Some("10.1.1.20"), Some("fd42:1::20"));
    check_filter("nic-routes", Some("10.1.1.20,10.77.0.0/24"), Some("fd42:1::20,fd77::/64"));
    check_filter("nic-none", Some(""), Some(""));
    let nic = Nic { project: "p9", instance: "c2", device: "eth0" };
    let mac = "00:16:3e:11:22:44".parse().unwrap();
    check("nic-project", Family::Bridge, &filter(nic, &NicFilter { host_name: "vc2", mac, v4: None, v6: None }));
}

#[test]
fn routed_nic() {
    let nic = Nic { project: "default", instance: "c1", device: "eth0" };
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    netlink.create(&NewLink::new("vc1", LinkKind::Bridge(Default::default()))).unwrap();
    let chains = routed_filter(nic, netlink.index("vc1").unwrap());
    assert_eq!(chains[0].name, nic.inet_chains()[0]);
    compare(&space, "nic-routed", Family::Inet, &chains);
}
