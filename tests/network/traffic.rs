//! Limits of NICs: where packets go, and that nothing is left. How fast it is in fact measures a test that is run by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lxbox::runtime::network::netlink::{LinkChange, LinkKind, Netlink, NewAddress, NewLink, Veth};
use lxbox::runtime::network::tc::{Limits, limit, sweep};

use crate::space::Space;

/// Two namespaces with a cable between: the host's end is 192.0.2.1 and up, the guest's 192.0.2.2.
fn cable() -> (Space, Space, Netlink, u32) {
    let (host, guest) = (Space::new(), Space::new());
    let mut netlink = Netlink::in_namespace(host.fd()).unwrap();
    let up = LinkChange { up: Some(true), ..LinkChange::default() };
    let peer = Veth { peer: "eth0", netns: Some(guest.fd()), ..Veth::default() };
    netlink.create(&NewLink { with: up, ..NewLink::new("veth1", LinkKind::Veth(peer)) }).unwrap();
    let index = netlink.index("veth1").unwrap();
    netlink.add_address(&NewAddress::new(index, "192.0.2.1".parse().unwrap(), 24)).unwrap();
    let mut inside = Netlink::in_namespace(guest.fd()).unwrap();
    let eth0 = inside.index("eth0").unwrap();
    inside.set(eth0, &up).unwrap();
    inside.add_address(&NewAddress::new(eth0, "192.0.2.2".parse().unwrap(), 24)).unwrap();
    (host, guest, netlink, index)
}

/// Packets a class let through, by `tc -s`.
fn packets(space: &Space, link: &str) -> u64 {
    let text = space.say(&format!("tc -s class show dev {link}"));
    let sent = text.split_whitespace().skip_while(|w| *w != "Sent").nth(3);
    sent.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

/// Sends packets from the guest to the host, each of which must arrive and be answered.
fn exchange(host: &Space, guest: &Space, count: usize) {
    let socket = |space: &Space, address| space.enter(|| UdpSocket::bind((address, 0)).unwrap());
    let (there, here) = (socket(host, "192.0.2.1"), socket(guest, "192.0.2.2"));
    for socket in [&there, &here] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    let mut buffer = [0; 8];
    for _ in 0..count {
        here.send_to(b"question", there.local_addr().unwrap()).unwrap();
        let (_, from) = there.recv_from(&mut buffer).unwrap();
        there.send_to(b"answer", from).unwrap();
        here.recv_from(&mut buffer).unwrap();
    }
}

#[test]
fn packets_of_both_ways_pass_their_queue() {
    let (host, guest, mut netlink, index) = cable();
    let limits = Limits { ingress: Some(10_000_000), egress: Some(20_000_000) };
    limit(&mut netlink, index, &limits).unwrap();
    assert!(host.say("tc class show dev veth1").contains("rate 10Mbit ceil 10Mbit"));
    let ifb = format!("lxifb{index}");
    assert!(host.say(&format!("tc class show dev {ifb}")).contains("rate 20Mbit ceil 20Mbit"));
    exchange(&host, &guest, 3);
    assert!(packets(&host, "veth1") >= 3);
    assert!(packets(&host, &ifb) >= 3);

    // Again, and with other numbers: the same queues with other rates.
    limit(&mut netlink, index, &limits).unwrap();
    limit(&mut netlink, index, &Limits { ingress: Some(50_000_000_000), egress: Some(1_000_000) }).unwrap();
    assert!(host.say("tc class show dev veth1").contains("rate 50Gbit"));
    assert!(host.say(&format!("tc class show dev {ifb}")).contains("rate 1Mbit"));
    exchange(&host, &guest, 1);
}

#[test]
fn no_limits_leave_nothing() {
    let (host, guest, mut netlink, index) = cable();
    let before = host.say("tc qdisc show");
    limit(&mut netlink, index, &Limits::default()).unwrap();
    limit(&mut netlink, index, &Limits { ingress: Some(1_000_000), egress: Some(1_000_000) }).unwrap();
    limit(&mut netlink, index, &Limits { ingress: None, egress: Some(1_000_000) }).unwrap();
    assert!(!host.say("tc qdisc show dev veth1").contains("htb"));
    limit(&mut netlink, index, &Limits::default()).unwrap();
    assert_eq!(host.say("tc qdisc show"), before);
    assert_eq!(netlink.links().unwrap().len(), 2);
    exchange(&host, &guest, 1);
}

#[test]
fn what_is_left_of_a_cable_that_is_gone_is_swept() {
    let (host, _guest, mut netlink, index) = cable();
    limit(&mut netlink, index, &Limits { ingress: None, egress: Some(1_000_000) }).unwrap();
    assert_eq!(sweep(&mut netlink).unwrap(), 0);
    netlink.delete(index).unwrap();
    assert!(host.say("ip link").contains("lxifb"));
    assert_eq!(sweep(&mut netlink).unwrap(), 1);
    assert!(!host.say("ip link").contains("lxifb"));
    assert_eq!(sweep(&mut netlink).unwrap(), 0);
    let lost = limit(&mut netlink, index, &Limits { ingress: Some(1), egress: None }).unwrap_err();
    assert!(lost.message().contains(&format!("network interface {index}")), "{lost}");
}

/// Bits a second that arrive when one namespace sends to an address of another for two seconds.
fn measure(from: &Space, to: &Space, address: &str) -> f64 {
    let listener = to.enter(|| TcpListener::bind((address, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let mut sender = from.enter(|| TcpStream::connect((address, port)).unwrap());
    let (mut receiver, _) = listener.accept().unwrap();
    let sending = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            sender.write_all(&[0; 65_536]).unwrap();
        }
    });
    let (begin, mut count, mut buffer) = (Instant::now(), 0, vec![0; 65_536]);
    while let Ok(length @ 1..) = receiver.read(&mut buffer) {
        count += length;
    }
    let rate = count as f64 * 8.0 / begin.elapsed().as_secs_f64();
    sending.join().unwrap();
    rate
}

#[test]
#[ignore = "takes seconds, and a busy machine is slower than the limit"]
fn rates_are_those_asked_for() {
    let (host, guest, mut netlink, index) = cable();
    for (ingress, egress) in [(10e6, 20e6), (200e6, 100e6)] {
        limit(&mut netlink, index, &Limits { ingress: Some(ingress as u64), egress: Some(egress as u64) }).unwrap();
        for (wanted, measured) in
            [(ingress, measure(&host, &guest, "192.0.2.2")), (egress, measure(&guest, &host, "192.0.2.1"))]
        {
            eprintln!("{:.1} of {:.1} Mbit/s", measured / 1e6, wanted / 1e6);
            assert!((wanted * 0.85..wanted * 1.05).contains(&measured));
        }
    }
}
