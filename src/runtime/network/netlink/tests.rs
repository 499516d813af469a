//! What the kernel is asked for, byte by byte, and what is made of its answers; a thread plays the kernel.

use std::net::IpAddr;
use std::thread;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::*;

const MAC: MacAddr = MacAddr([0, 0x16, 0x3e, 1, 2, 3]);

/// Runs `work`, each question of which gets these answers and a yes; gives the questions.
fn asked(answers: &[Message], work: impl FnOnce(&mut Netlink)) -> Vec<Vec<u8>> {
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (ours, kernels) = pair.unwrap();
    thread::scope(|scope| {
        let kernel = scope.spawn(move || {
            let (mut found, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                let (_, length) = rustix::net::recv(&kernels, &mut buffer[..], RecvFlags::empty()).unwrap();
                if length == 0 {
                    return found;
                }
                found.push(buffer[..length].to_vec());
                // NLMSG_ERROR with the number 0.
                let yes = Message { kind: 2, body: vec![0; 4] };
                let all = answers.iter().chain([&yes]);
                let reply: Vec<u8> = all.flat_map(|answer| whole(answer, &buffer[8..12])).collect();
                rustix::net::send(&kernels, &reply, SendFlags::empty()).unwrap();
            }
        });
        work(&mut Netlink { socket: Socket::over(ours) });
        kernel.join().unwrap()
    })
}

/// A message with its head.
fn whole(answer: &Message, sequence: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + answer.body.len()).unwrap();
    let mut all = [&length.to_ne_bytes()[..], &answer.kind.to_ne_bytes(), &[0; 2], sequence, &[0; 4]].concat();
    all.extend(&answer.body);
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Every kind of link, with all it can have and with nothing.
fn kinds() -> Vec<(&'static str, LinkKind<'static>)> {
    let bridge = Bridge {
        vlan_filtering: Some(true),
        default_vlan: Some(7),
        multicast_snooping: Some(false),
        ageing: Some(300),
        forward_delay: Some(15),
    };
    let netns = Some(rustix::stdio::stdin());
    let veth = Veth { peer: "eth0", netns, mac: Some(MAC), mtu: Some(1400), queue_length: Some(500) };
    let v4 = Tunnel { local: ip("192.0.2.1"), remote: ip("192.0.2.2"), ttl: 64 };
    let v6 = Tunnel { local: ip("fd42::1"), remote: ip("fd42::2"), ttl: 0 };
    let vxlan = Vxlan { id: 0x0012_3456, remote: None, local: None, port: 4789, ttl: 0, device: None };
    let full4 = Vxlan { remote: Some(ip("239.0.0.1")), local: Some(v4.local), ttl: 5, device: Some(3), ..vxlan };
    let full6 = Vxlan { remote: Some(ip("ff05::1")), local: Some(v6.local), ..full4 };
    vec![
        ("bridge", LinkKind::Bridge(bridge)),
        ("bridge bare", LinkKind::Bridge(Bridge::default())),
        ("veth", LinkKind::Veth(veth)),
        ("veth bare", LinkKind::Veth(Veth { peer: "eth0", ..Veth::default() })),
        ("macvlan bridge", LinkKind::Macvlan(MacvlanMode::Bridge)),
        ("macvlan private", LinkKind::Macvlan(MacvlanMode::Private)),
        ("macvlan vepa", LinkKind::Macvlan(MacvlanMode::Vepa)),
        ("macvtap passthrough", LinkKind::Macvtap(MacvlanMode::Passthrough)),
        ("ipvlan l2", LinkKind::Ipvlan(IpvlanMode::L2)),
        ("ipvlan l3", LinkKind::Ipvlan(IpvlanMode::L3)),
        ("ipvlan l3s", LinkKind::Ipvlan(IpvlanMode::L3s)),
        ("vlan", LinkKind::Vlan { id: 10, announced: false }),
        ("vlan announced", LinkKind::Vlan { id: 4094, announced: true }),
        ("vxlan bare", LinkKind::Vxlan(vxlan)),
        ("vxlan v4", LinkKind::Vxlan(full4)),
        ("vxlan v6", LinkKind::Vxlan(full6)),
        ("gretap v4", LinkKind::Gretap(v4)),
        ("gretap v4 without ttl", LinkKind::Gretap(Tunnel { ttl: 0, ..v4 })),
        ("gretap v6", LinkKind::Gretap(v6)),
        ("gre v4", LinkKind::Gre(v4)),
        ("gre v6", LinkKind::Gre(Tunnel { ttl: 64, ..v6 })),
        ("dummy", LinkKind::Dummy),
        ("ifb", LinkKind::Ifb),
    ]
}

/// Addresses of both families, with all and with nothing.
fn addresses() -> [NewAddress; 4] {
    let v4 = NewAddress::new(7, ip("192.0.2.1"), 24);
    let v6 = NewAddress::new(7, ip("fd42::1"), 64);
    let all = |new: NewAddress| NewAddress { unasked: true, no_route: true, ..new };
    [v4, NewAddress { scope: Scope::Link, ..all(v4) }, v6, NewAddress { scope: Scope::Host, ..all(v6) }]
}

/// Routes of both families, with all and with nothing.
fn routes() -> [Route; 7] {
    let v4 = Route::through(7, ip("192.0.2.0"), 24);
    let v6 = Route::by(ip("fe80::1"), ip("::"), 0);
    let all = |route: Route, source| Route { index: Some(7), source: Some(ip(source)), metric: Some(512), ..route };
    [
        v4,
        Route::by(ip("192.0.2.1"), ip("0.0.0.0"), 0),
        Route { gateway: Some(ip("192.0.2.3")), table: 1000, protocol: 4, ..all(v4, "192.0.2.1") },
        Route { kind: RouteKind::Blackhole, scope: Scope::Other(200), index: None, ..v4 },
        Route::through(7, ip("fd42::"), 64),
        v6,
        Route { kind: RouteKind::Local, table: TABLE_LOCAL, protocol: 2, ..all(v6, "fd42::1") },
    ]
}

/// Entries of forwarding tables, with all and with nothing.
fn forwardings() -> [Forwarding; 5] {
    let port = Forwarding { index: 7, mac: MAC, vlan: None, remote: None, permanent: true, of_bridge: true };
    [
        port,
        Forwarding { permanent: false, vlan: Some(10), ..port },
        Forwarding { of_bridge: false, ..port },
        Forwarding { of_bridge: false, permanent: false, remote: Some(ip("192.0.2.9")), ..port },
        Forwarding { of_bridge: false, remote: Some(ip("fd42::9")), ..port },
    ]
}

/// What was asked, a line for each question: what for, its kind, its flags, its body in words of four bytes.
#[derive(Default)]
struct Record(Vec<String>);

impl Record {
    fn of<T>(&mut self, name: &str, work: impl FnOnce(&mut Netlink) -> Result<T>) {
        for question in asked(&[], |netlink| drop(work(netlink).unwrap())) {
            let half = |at: usize| u16::from_ne_bytes([question[at], question[at + 1]]);
            let word = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let words: Vec<String> = question[16..].chunks(4).map(word).collect();
            self.0.push(format!("{name}: {} {:03x} {}", half(4), half(6), words.join(" ")));
        }
    }

    /// Compares with what is written down.
    fn is(self, expected: &str) {
        let expected: Vec<&str> = expected.lines().collect();
        for (asked, expected) in self.0.iter().zip(&expected) {
            assert_eq!(asked, expected);
        }
        assert_eq!(self.0.len(), expected.len());
    }
}

#[test]
fn links_are_asked_for_in_these_bytes() {
    let mut record = Record::default();
    for (name, kind) in kinds() {
        record.of(name, |n| n.create(&NewLink::new("lx0", kind)));
    }
    let all = LinkChange {
        up: Some(true),
        mtu: Some(9000),
        mac: Some(MAC),
        address: None,
        queue_length: Some(1000),
        master: Some(4),
        name: Some("new0"),
        netns: Some(rustix::stdio::stdin()),
    };
    let address: HardwareAddress = "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:aa:bb:cc".parse().unwrap();
    let off = LinkChange { up: Some(false), address: Some(&address), ..LinkChange::default() };
    let dummy = NewLink { parent: Some(2), with: all, ..NewLink::new("lx0", LinkKind::Dummy) };
    record.of("make with all", |n| n.create(&dummy));
    record.of("set all", |n| n.set(7, &all));
    record.of("set off", |n| n.set("lx0", &off));
    record.of("set nothing", |n| n.set("lx0", &LinkChange::default()));
    let bridge = Bridge { multicast_snooping: Some(true), ..Bridge::default() };
    record.of("set kind", |n| n.set_kind("lx0", &LinkKind::Bridge(bridge)));
    record.of("links", |n| n.links());
    record.of("link by name", |n| n.link("lx0"));
    record.of("link by number", |n| n.link(7));
    record.of("delete by name", |n| n.delete("lx0"));
    record.of("delete by number", |n| n.delete(7));
    record.of("delete other name", |n| n.delete_other_name(7, "another-name-of-it"));
    record.is(include_str!("fixtures/links"));
}

#[test]
fn ports_and_functions_are_asked_for_in_these_bytes() {
    let mut record = Record::default();
    let all = PortChange {
        isolated: Some(true),
        learning: Some(false),
        flood: Some(true),
        multicast_flood: Some(false),
        neighbour_suppress: Some(true),
        hairpin: Some(false),
        guard: Some(true),
    };
    record.of("port", |n| n.set_port("lx0", &all));
    record.of("port bare", |n| n.set_port(7, &PortChange::default()));
    let vlan = PortVlan { id: 10, default: true, untagged: true, of_bridge: false };
    record.of("add vlan", |n| n.add_port_vlan(7, vlan));
    record.of("add vlan of bridge", |n| n.add_port_vlan(7, PortVlan { of_bridge: true, untagged: false, ..vlan }));
    let tagged = PortVlan { id: 4094, default: false, untagged: false, of_bridge: false };
    record.of("delete vlan", |n| n.delete_port_vlan(7, tagged));
    record.of("function", |n| n.function("lx0", 3));
    let function = Function { mac: Some(MAC), vlan: Some(12), checked: Some(true) };
    record.of("set function", |n| n.set_function("lx0", 3, function));
    let unchecked = Function { checked: Some(false), ..Function::default() };
    record.of("set function unchecked", |n| n.set_function(7, 0, unchecked));
    record.is(include_str!("fixtures/ports"));
}

#[test]
fn addresses_and_routes_are_asked_for_in_these_bytes() {
    let mut record = Record::default();
    record.of("addresses", |n| n.addresses(None));
    for new in addresses() {
        record.of("add address", |n| n.add_address(&new));
        record.of("replace address", |n| n.replace_address(&new));
    }
    record.of("delete address", |n| n.delete_address(7, ip("192.0.2.1"), 24));
    record.of("routes", |n| n.routes(None));
    for route in routes() {
        record.of("add route", |n| n.add_route(&route));
        record.of("replace route", |n| n.replace_route(&route));
        record.of("delete route", |n| n.delete_route(&route));
    }
    record.is(include_str!("fixtures/routes"));
}

#[test]
fn neighbours_are_asked_for_in_these_bytes() {
    let mut record = Record::default();
    record.of("neighbours", |n| n.neighbours(7));
    record.of("proxies", |n| n.proxies(7));
    for address in [ip("192.0.2.7"), ip("fd42::7")] {
        record.of("add proxy", |n| n.add_proxy(7, address));
        record.of("delete proxy", |n| n.delete_proxy(7, address));
    }
    record.of("forwardings", |n| n.forwardings(7));
    for entry in forwardings() {
        record.of("add forwarding", |n| n.add_forwarding(&entry));
        record.of("delete forwarding", |n| n.delete_forwarding(&entry));
    }
    record.is(include_str!("fixtures/neighbours"));
}

/// What `work` makes of these answers.
fn told<T>(answers: &[Message], work: impl FnOnce(&mut Netlink) -> Result<T>) -> T {
    let mut found = None;
    asked(answers, |netlink| found = Some(work(netlink).unwrap()));
    found.unwrap()
}

/// The one message of `work` as an answer: the kernel tells of what there is as it is told to make it.
fn answer(work: impl FnOnce(&mut Netlink) -> Result<()>) -> Message {
    let question = asked(&[], |netlink| work(netlink).unwrap()).pop().unwrap();
    Message { kind: u16::from_ne_bytes([question[4], question[5]]), body: question[16..].to_vec() }
}

#[test]
fn what_is_made_is_read_back() {
    for route in routes() {
        assert_eq!(told(&[answer(|n| n.add_route(&route))], |n| n.routes(None)), [route]);
    }
    for new in addresses() {
        let NewAddress { index, address, prefix, scope, .. } = new;
        let expected = Address { index, address, prefix, scope, permanent: false, tentative: false };
        assert_eq!(told(&[answer(|n| n.add_address(&new))], |n| n.addresses(None)), [expected]);
    }
    for entry in forwardings() {
        assert_eq!(told(&[answer(|n| n.add_forwarding(&entry))], |n| n.forwardings(7)), [entry]);
    }
    for address in [ip("192.0.2.7"), ip("fd42::7")] {
        let proxy = answer(|n| n.add_proxy(7, address));
        // Both families are asked for.
        assert_eq!(told(std::slice::from_ref(&proxy), |n| n.proxies(7)), [address; 2]);
        assert!(told(std::slice::from_ref(&proxy), |n| n.proxies(8)).is_empty());
        let neighbour = Neighbour { index: 7, address, mac: None, failed: false };
        assert_eq!(told(&[proxy], |n| n.neighbours(7)), [neighbour]);
    }
}

#[test]
fn what_is_cut_off_is_left_out() {
    let messages = [
        answer(|n| n.add_route(&routes()[6])),
        answer(|n| n.add_address(&addresses()[3])),
        answer(|n| n.add_forwarding(&forwardings()[3])),
    ];
    for Message { kind, body } in messages {
        for length in 0..body.len() {
            let cut = [Message { kind, body: body[..length].to_vec() }];
            let found = told(&cut, |n| Ok(n.routes(None)?.len() + n.addresses(None)?.len() + n.forwardings(7)?.len()));
            assert!(found <= 1);
        }
    }
}
