//! Links, addresses, routes, neighbours, ports.

use std::net::IpAddr;

use lxbox::runtime::network::netlink::{
    Bridge, Family, Forwarding, LinkChange, LinkKind, MacAddr, MacvlanMode, Netlink, NewAddress, NewLink, PortChange,
    Route, Scope, Veth, Vxlan, read_switch, switch, switch_in,
};

use crate::space::Space;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

fn bridge(netlink: &mut Netlink, name: &str) -> u32 {
    let with = LinkChange { up: Some(true), mac: Some(mac("00:16:3e:00:00:01")), ..LinkChange::default() };
    netlink.create(&NewLink { with, ..NewLink::new(name, LinkKind::Bridge(Bridge::default())) }).unwrap();
    netlink.index(name).unwrap()
}

#[test]
fn a_bridge_is_made_with_its_settings_and_deleted() {
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let with = LinkChange {
        up: Some(true),
        mtu: Some(1400),
        mac: Some(mac("00:16:3e:01:02:03")),
        queue_length: Some(77),
        ..LinkChange::default()
    };
    let kind = LinkKind::Bridge(Bridge { ageing: Some(20), multicast_snooping: Some(false), ..Bridge::default() });
    netlink.create(&NewLink { with, ..NewLink::new("br1", kind.clone()) }).unwrap();
    let text = space.say("ip -d link show br1");
    for part in ["UP", "mtu 1400", "00:16:3e:01:02:03", "qlen 77", "ageing_time 2000", "mcast_snooping 0"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let link = netlink.link("br1").unwrap().unwrap();
    assert_eq!((link.kind.as_str(), link.mtu, link.up, link.queue_length), ("bridge", 1400, true, 77));
    assert_eq!(link.mac, Some(mac("00:16:3e:01:02:03")));
    assert_eq!(netlink.links().unwrap().iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["lo", "br1"]);

    let taken = netlink.create(&NewLink::new("br1", kind)).unwrap_err();
    assert_eq!(taken.errno(), Some(libc::EEXIST));
    assert!(taken.message().starts_with("Failed creating network interface \"br1\": File exists"), "{taken}");
    netlink.set_kind("br1", &LinkKind::Bridge(Bridge { ageing: Some(30), ..Bridge::default() })).unwrap();
    assert!(space.say("ip -d link show br1").contains("ageing_time 3000"));
    assert!(netlink.delete("br1").unwrap());
    assert!(!netlink.delete("br1").unwrap());
    assert!(!space.say("ip link").contains("br1"));
}

#[test]
fn a_cable_goes_straight_into_another_namespace() {
    let (host, guest) = (Space::new(), Space::new());
    let mut netlink = Netlink::in_namespace(host.fd()).unwrap();
    let index = bridge(&mut netlink, "br1");
    let peer = Veth {
        peer: "eth0",
        mac: Some(mac("00:16:3e:aa:bb:cc")),
        mtu: Some(1300),
        queue_length: Some(9),
        netns: Some(guest.fd()),
    };
    let with = LinkChange { up: Some(true), mtu: Some(1300), master: Some(index), ..LinkChange::default() };
    netlink.create(&NewLink { with, ..NewLink::new("veth1", LinkKind::Veth(peer)) }).unwrap();
    let text = guest.say("ip link show eth0");
    for part in ["mtu 1300", "00:16:3e:aa:bb:cc", "qlen 9"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!host.say("ip link").contains("eth0"));
    let link = netlink.link("veth1").unwrap().unwrap();
    assert_eq!((link.master, link.kind.as_str(), link.running), (Some(index), "veth", false));
    assert!(link.parent_netns.is_some() && link.parent.is_some());

    let mut inside = Netlink::in_namespace(guest.fd()).unwrap();
    inside.set("eth0", &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
    let link = netlink.link("veth1").unwrap().unwrap();
    assert!(link.running);
    inside.set("eth0", &LinkChange { up: Some(false), ..LinkChange::default() }).unwrap();
    inside.set("eth0", &LinkChange { name: Some("eth1"), ..LinkChange::default() }).unwrap();
    assert!(guest.say("ip link").contains("eth1"));
    // And back, with a name that is free here.
    inside.set("eth1", &LinkChange { name: Some("back0"), netns: Some(host.fd()), ..LinkChange::default() }).unwrap();
    assert!(host.say("ip link").contains("back0"));
    netlink.set("veth1", &LinkChange { master: Some(0), ..LinkChange::default() }).unwrap();
    assert_eq!(netlink.link("veth1").unwrap().unwrap().master, None);
}

#[test]
fn addresses_are_put_on_listed_and_taken_off() {
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let index = bridge(&mut netlink, "br1");
    netlink.add_address(&NewAddress::new(index, ip("10.1.1.1"), 24)).unwrap();
    netlink.add_address(&NewAddress { unasked: true, ..NewAddress::new(index, ip("fd42:1::1"), 64) }).unwrap();
    netlink.add_address(&NewAddress { scope: Scope::Link, ..NewAddress::new(index, ip("169.254.0.1"), 32) }).unwrap();
    let text = space.say("ip addr show br1");
    for part in
        ["inet 10.1.1.1/24 scope global br1", "inet6 fd42:1::1/64 scope global nodad", "inet 169.254.0.1/32 scope link"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let all = netlink.addresses(Some(index)).unwrap();
    let v6 = all.iter().find(|a| a.address == ip("fd42:1::1")).unwrap();
    assert!(v6.permanent && !v6.tentative && v6.prefix == 64 && v6.scope == Scope::Universe);
    assert!(all.iter().any(|a| a.address == ip("169.254.0.1") && a.scope == Scope::Link && a.prefix == 32));
    let twice = netlink.add_address(&NewAddress::new(index, ip("10.1.1.1"), 24)).unwrap_err();
    assert_eq!(twice.errno(), Some(libc::EEXIST));
    assert!(twice.message().contains("10.1.1.1/24"), "{twice}");
    netlink.replace_address(&NewAddress::new(index, ip("10.1.1.1"), 24)).unwrap();
    assert!(netlink.delete_address(index, ip("10.1.1.1"), 24).unwrap());
    assert!(!netlink.delete_address(index, ip("10.1.1.1"), 24).unwrap());
    assert!(netlink.delete_address(index, ip("fd42:1::1"), 64).unwrap());
    assert!(!netlink.delete_address(index, ip("fd42:1::1"), 64).unwrap());
    assert!(!space.say("ip addr show br1").contains("10.1.1.1"));
}

#[test]
fn routes_are_added_replaced_listed_and_deleted() {
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let index = bridge(&mut netlink, "br1");
    netlink.add_address(&NewAddress::new(index, ip("10.1.1.1"), 24)).unwrap();
    let fixed = Route { protocol: 4, ..Route::through(index, ip("10.66.0.0"), 24) };
    netlink.add_route(&fixed).unwrap();
    netlink.add_route(&Route::through(index, ip("fd77::"), 64)).unwrap();
    netlink.add_route(&Route::by(ip("10.1.1.254"), ip("0.0.0.0"), 0)).unwrap();
    let table = Route {
        table: 1000,
        metric: Some(5),
        source: Some(ip("10.1.1.1")),
        ..Route::through(index, ip("10.67.0.0"), 16)
    };
    netlink.add_route(&table).unwrap();
    let text = space.say("ip route show table all");
    for part in [
        "10.66.0.0/24 dev br1 proto static scope link",
        "default via 10.1.1.254 dev br1",
        "10.67.0.0/16 dev br1 table 1000 scope link src 10.1.1.1 metric 5",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(space.say("ip -6 route").contains("fd77::/64 dev br1 metric 1024"));
    let all = netlink.routes(Some(index)).unwrap();
    assert!(all.contains(&fixed) && all.contains(&table), "{all:#?}");
    assert!(all.iter().any(|r| r.prefix == 0 && r.gateway == Some(ip("10.1.1.254"))));
    assert_eq!(netlink.add_route(&fixed).unwrap_err().errno(), Some(libc::EEXIST));
    netlink.hold_route(&fixed).unwrap();
    let by_another = Route { protocol: 3, ..fixed };
    assert_eq!(netlink.hold_route(&by_another).unwrap_err().errno(), Some(libc::EEXIST));
    netlink.replace_route(&Route { source: Some(ip("10.1.1.1")), ..fixed }).unwrap();
    assert!(space.say("ip route").contains("10.66.0.0/24 dev br1 proto static scope link src 10.1.1.1"));
    for route in [fixed, table, Route::by(ip("10.1.1.254"), ip("0.0.0.0"), 0)] {
        assert!(netlink.delete_route(&route).unwrap());
        assert!(!netlink.delete_route(&route).unwrap());
    }
    let lost = netlink.add_route(&Route::by(ip("192.0.2.1"), ip("10.9.0.0"), 16)).unwrap_err();
    assert!(lost.message().contains("\"10.9.0.0/16\"") && lost.message().contains("gateway"), "{lost}");
}

#[test]
fn this_host_answers_for_others_and_stops() {
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let index = bridge(&mut netlink, "br1");
    for address in ["192.0.2.60", "2001:db8::60"] {
        netlink.add_proxy(index, ip(address)).unwrap();
        netlink.add_proxy(index, ip(address)).unwrap();
    }
    assert_eq!(netlink.proxies(index).unwrap(), [ip("192.0.2.60"), ip("2001:db8::60")]);
    assert!(space.say("ip neigh show proxy").contains("192.0.2.60 dev br1 proxy"));
    assert!(space.say("ip -6 neigh show proxy").contains("2001:db8::60 dev br1 proxy"));
    assert!(netlink.delete_proxy(index, ip("192.0.2.60")).unwrap());
    assert!(!netlink.delete_proxy(index, ip("192.0.2.60")).unwrap());
    assert_eq!(netlink.proxies(index).unwrap(), [ip("2001:db8::60")]);
}

#[test]
fn ports_and_forwarding_entries_of_a_bridge() {
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let index = bridge(&mut netlink, "br1");
    let with = LinkChange { up: Some(true), master: Some(index), ..LinkChange::default() };
    let peer = Veth { peer: "p1", ..Veth::default() };
    netlink.create(&NewLink { with, ..NewLink::new("v1", LinkKind::Veth(peer)) }).unwrap();
    let change = PortChange {
        isolated: Some(true),
        learning: Some(false),
        flood: Some(false),
        neighbour_suppress: Some(true),
        hairpin: Some(true),
        ..PortChange::default()
    };
    netlink.set_port("v1", &change).unwrap();
    let text = space.say("bridge -d link show dev v1");
    for part in ["isolated on", "learning off", " flood off", "neigh_suppress on", "hairpin on"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let port = netlink.index("v1").unwrap();
    let entry = Forwarding {
        index: port,
        mac: mac("00:16:3e:11:22:33"),
        vlan: None,
        remote: None,
        permanent: true,
        of_bridge: true,
    };
    netlink.add_forwarding(&entry).unwrap();
    assert!(space.say("bridge fdb show dev v1").contains("00:16:3e:11:22:33 master br1 static"));
    assert!(netlink.forwardings(port).unwrap().contains(&entry));
    assert!(netlink.delete_forwarding(&entry).unwrap());
    assert!(!netlink.delete_forwarding(&entry).unwrap());
    let refused = netlink.set_port("p1", &change).unwrap_err();
    assert!(refused.message().contains("\"p1\""), "{refused}");
}

#[test]
fn switches_are_set_where_they_are_meant() {
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    bridge(&mut netlink, "br.1");
    switch_in(space.fd(), Family::V6, "br.1", "accept_ra", "0").unwrap();
    switch_in(space.fd(), Family::V4, "br.1", "forwarding", "1").unwrap();
    space.enter(|| {
        assert_eq!(read_switch(Family::V6, "br.1", "accept_ra").unwrap(), "0");
        assert_eq!(read_switch(Family::V4, "br.1", "forwarding").unwrap(), "1");
        switch(Family::V4, "br.1", "forwarding", "0").unwrap();
        assert_eq!(read_switch(Family::V4, "br.1", "forwarding").unwrap(), "0");
    });
    let missing = switch_in(space.fd(), Family::V4, "br2", "forwarding", "1").unwrap_err();
    assert_eq!(missing.errno(), Some(libc::ENOENT));
}

#[test]
fn a_link_loses_its_other_names_alone() {
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let index = bridge(&mut netlink, "br1");
    space.say("ip link property add dev br1 altname other");
    assert_eq!(netlink.link("other").unwrap().map(|l| l.name).as_deref(), Some("br1"));
    netlink.delete_other_name(index, "other").unwrap();
    assert!(netlink.link("other").unwrap().is_none());
    netlink.delete_other_name(index, "other").unwrap();
    netlink.delete_other_name(index, "br1").unwrap();
    assert_eq!(netlink.link("br1").unwrap().map(|l| l.index), Some(index));
}

/// A kind the kernel of this machine lacks (EOPNOTSUPP) is tried in the virtual machine alone.
fn create(netlink: &mut Netlink, new: &NewLink<'_>) -> bool {
    match netlink.create(new) {
        Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => {
            eprintln!("{error}");
            false
        }
        done => done.map(|()| true).unwrap(),
    }
}

#[test]
fn kinds_on_a_parent_are_made() {
    use lxbox::runtime::network::netlink::IpvlanMode;
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let parent = Some(bridge(&mut netlink, "br1"));
    let kinds = [
        ("m1", LinkKind::Macvlan(MacvlanMode::Bridge), "macvlan mode bridge"),
        ("m2", LinkKind::Macvlan(MacvlanMode::Private), "macvlan mode private"),
        ("t1", LinkKind::Macvtap(MacvlanMode::Vepa), "macvtap mode vepa"),
        ("i1", LinkKind::Ipvlan(IpvlanMode::L3s), "ipvlan  mode l3s"),
        ("v1", LinkKind::Vlan { id: 12, announced: true }, "vlan protocol 802.1Q id 12 <REORDER_HDR,GVRP>"),
    ];
    for (name, kind, wanted) in kinds {
        if create(&mut netlink, &NewLink { parent, ..NewLink::new(name, kind) }) {
            let text = space.say(&format!("ip -d link show {name}"));
            assert!(text.contains(wanted) && text.contains("@br1"), "{wanted}: {text}");
            let link = netlink.link(name).unwrap().unwrap();
            assert_eq!(link.parent, parent);
            assert_eq!(link.vlan, (name == "v1").then_some(12));
        }
    }
    assert!(netlink.link("m1").unwrap().is_some(), "macvlan is on every machine");
}

#[test]
fn tunnels_and_what_is_no_hardware_are_made() {
    use lxbox::runtime::network::netlink::Tunnel;
    let space = Space::new();
    let mut netlink = Netlink::in_namespace(space.fd()).unwrap();
    let device = Some(bridge(&mut netlink, "br1"));
    let vxlan = Vxlan {
        id: 10,
        remote: Some(ip("192.0.2.99")),
        local: Some(ip("192.0.2.10")),
        port: 5555,
        ttl: 9,
        device: None,
    };
    let group = Vxlan { id: 11, remote: Some(ip("239.0.0.1")), local: None, port: 8472, ttl: 1, device };
    let v4 = Tunnel { local: ip("192.0.2.10"), remote: ip("192.0.2.99"), ttl: 5 };
    let v6 = Tunnel { local: ip("2001:db8::1"), remote: ip("2001:db8::2"), ttl: 5 };
    let kinds = [
        ("x1", LinkKind::Vxlan(vxlan), "vxlan id 10 remote 192.0.2.99 local 192.0.2.10 srcport 0 0 dstport 5555 ttl 9"),
        ("x2", LinkKind::Vxlan(group), "vxlan id 11 group 239.0.0.1 dev br1 srcport 0 0 dstport 8472 ttl 1"),
        ("g1", LinkKind::Gretap(v4), "gretap remote 192.0.2.99 local 192.0.2.10 ttl 5"),
        ("g2", LinkKind::Gretap(v6), "ip6gretap remote 2001:db8::2 local 2001:db8::1"),
        ("g3", LinkKind::Gre(v4), "gre remote 192.0.2.99 local 192.0.2.10 ttl 5"),
        ("d1", LinkKind::Dummy, "dummy"),
        ("f1", LinkKind::Ifb, "ifb"),
    ];
    for (name, kind, wanted) in kinds {
        if create(&mut netlink, &NewLink::new(name, kind)) {
            let text = space.say(&format!("ip -d link show {name}"));
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
    assert!(netlink.link("x2").unwrap().is_some() && netlink.link("f1").unwrap().is_some());
    let mixed = Tunnel { local: ip("192.0.2.10"), ..v6 };
    assert!(netlink.create(&NewLink::new("g4", LinkKind::Gre(mixed))).unwrap_err().message().contains("families"));
}
