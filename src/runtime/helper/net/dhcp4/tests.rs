//! Conversations with DHCPv4 clients of all sorts.

use super::*;
use crate::runtime::spec::net::{Boot, DnsPlan, Host};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NOW: u64 = 1_000_000;

fn plan() -> NetPlan {
    let v4 = V4Plan {
        address: SERVER,
        prefix: 24,
        ranges: vec![(Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 5))],
        expiry: 3600,
        gateway: None,
        routes: vec![],
        options: vec![],
    };
    let dns = DnsPlan { domain: "lxd".into(), ..DnsPlan::default() };
    NetPlan { v4: Some(v4), dns: Some(dns), ..NetPlan::default() }
}

fn mac(last: u8) -> Mac {
    Mac([0, 0x16, 0x3e, 0, 0, last])
}

struct Sent(Message);

fn send(kind: MessageType, last: u8) -> Sent {
    let mut message = Message::default();
    message.set_htype(HType::Eth).set_chaddr(&mac(last).0).set_xid(7);
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    Sent(message)
}

impl Sent {
    fn with(mut self, option: DhcpOption) -> Sent {
        self.0.opts_mut().insert(option);
        self
    }

    fn from(mut self, address: Ipv4Addr) -> Sent {
        self.0.set_ciaddr(address);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.to_vec().unwrap()
    }
}

#[derive(Default)]
struct Bench {
    dhcp: Dhcp4,
    leases: Leases,
}

impl Bench {
    fn ask(&mut self, plan: &NetPlan, sent: &Sent) -> Option<(MessageType, Ipv4Addr, Message)> {
        let answer = self.dhcp.handle(plan, &mut self.leases, &sent.bytes(), NOW)?;
        assert!(answer.message.len() >= MIN_MESSAGE);
        let message = Message::decode(&mut Decoder::new(&answer.message)).unwrap();
        assert_eq!((message.xid(), message.opcode()), (7, Opcode::BootReply));
        Some((message.opts().msg_type().unwrap(), message.yiaddr(), message))
    }

    /// The whole conversation.
    fn lease(&mut self, plan: &NetPlan, last: u8) -> Option<Ipv4Addr> {
        let (kind, address, _) = self.ask(plan, &send(MessageType::Discover, last))?;
        assert_eq!(kind, MessageType::Offer);
        let request = send(MessageType::Request, last)
            .with(DhcpOption::ServerIdentifier(SERVER))
            .with(DhcpOption::RequestedIpAddress(address));
        let (kind, got, _) = self.ask(plan, &request)?;
        assert_eq!((kind, got), (MessageType::Ack, address));
        Some(address)
    }
}

#[test]
fn every_client_gets_an_address_of_its_own_until_there_is_none() {
    let (mut bench, plan) = (Bench::default(), plan());
    let mut got: Vec<_> = (1..=4).map(|i| bench.lease(&plan, i).unwrap()).collect();
    assert_eq!(bench.lease(&plan, 2), Some(got[1]), "the same again");
    assert_eq!(bench.lease(&plan, 5), None);
    got.sort_unstable();
    let all: Vec<_> = (2..=5).map(|i| Ipv4Addr::new(10, 0, 0, i)).collect();
    assert_eq!(got, all);
    bench.leases.expire(NOW + 3600);
    assert!(bench.lease(&plan, 5).is_some());
}

#[test]
fn two_offers_at_once_are_two_addresses() {
    let (mut bench, plan) = (Bench::default(), plan());
    let offers: Vec<_> = (1..=4).map(|i| bench.ask(&plan, &send(MessageType::Discover, i)).unwrap().1).collect();
    let mut unique = offers.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 4, "{offers:?}");
}

#[test]
fn guests_that_send_one_identifier_have_addresses_of_their_own() {
    let (mut bench, plan) = (Bench::default(), plan());
    let mut lease = |last, id: &[u8]| {
        let discover = send(MessageType::Discover, last)
            .with(DhcpOption::RapidCommit)
            .with(DhcpOption::ClientIdentifier(id.to_vec()));
        bench.ask(&plan, &discover).unwrap().1
    };
    let (first, clone) = (lease(1, b"same"), lease(2, b"same"));
    assert_ne!(first, clone);
    assert_eq!(lease(1, b"other"), first, "it calls itself otherwise now");
}

#[test]
fn a_kept_address_is_its_owners_alone_also_outside_the_ranges() {
    let (mut bench, mut plan) = (Bench::default(), plan());
    let kept = Ipv4Addr::new(10, 0, 0, 77);
    plan.hosts = vec![
        Host { mac: mac(1), name: "c1".into(), v4: Some(kept), v6: None },
        Host { mac: mac(9), name: "c9".into(), v4: Some(Ipv4Addr::new(10, 0, 0, 3)), v6: None },
    ];
    assert_eq!(bench.lease(&plan, 1), Some(kept));
    assert_eq!(bench.leases.at(kept).unwrap().name.as_deref(), Some("c1"));
    let others: Vec<_> = (2..=4).map(|i| bench.lease(&plan, i).unwrap()).collect();
    assert!(!others.contains(&Ipv4Addr::new(10, 0, 0, 3)));
    assert_eq!(bench.lease(&plan, 5), None, "the last one of the range is kept");
    // Its address was changed while it has a lease: it is sent back to ask again.
    plan.hosts[0].v4 = Some(Ipv4Addr::new(10, 0, 0, 78));
    let renew = send(MessageType::Request, 1).from(kept);
    assert_eq!(bench.ask(&plan, &renew).unwrap().0, MessageType::Nak);
    assert_eq!(bench.lease(&plan, 1), Some(Ipv4Addr::new(10, 0, 0, 78)));
}

#[test]
fn a_forgotten_lease_is_renewed_when_its_address_is_free() {
    let (mut bench, plan) = (Bench::default(), plan());
    let renew = |last: u8| send(MessageType::Request, last).from(Ipv4Addr::new(10, 0, 0, 4));
    assert_eq!(bench.ask(&plan, &renew(1)).unwrap().0, MessageType::Ack);
    assert_eq!(bench.ask(&plan, &renew(2)).unwrap().0, MessageType::Nak);
    let elsewhere = send(MessageType::Request, 3).with(DhcpOption::RequestedIpAddress(Ipv4Addr::new(192, 168, 0, 9)));
    assert_eq!(bench.ask(&plan, &elsewhere).unwrap().0, MessageType::Nak);
}

#[test]
fn leases_are_given_back_only_by_their_owner() {
    let (mut bench, plan) = (Bench::default(), plan());
    let address = bench.lease(&plan, 1).unwrap();
    assert!(bench.ask(&plan, &send(MessageType::Release, 2).from(address)).is_none());
    assert!(bench.leases.at(address).is_some());
    assert!(bench.ask(&plan, &send(MessageType::Release, 1).from(address)).is_none());
    assert!(bench.leases.at(address).is_none());
}

#[test]
fn a_declined_address_rests() {
    let (mut bench, plan) = (Bench::default(), plan());
    let address = bench.lease(&plan, 1).unwrap();
    let decline = |last| send(MessageType::Decline, last).with(DhcpOption::RequestedIpAddress(address));
    bench.ask(&plan, &decline(2));
    assert!(bench.leases.at(address).is_some(), "somebody else's word counts for nothing");
    bench.ask(&plan, &decline(1));
    let others: Vec<_> = (2..=4).map(|i| bench.lease(&plan, i).unwrap()).collect();
    assert!(!others.contains(&address));
}

#[test]
fn clients_are_told_what_they_ask_for() {
    let (mut bench, mut plan) = (Bench::default(), plan());
    let list = vec![OptionCode::Router, OptionCode::DomainNameServer];
    let discover = send(MessageType::Discover, 1).with(DhcpOption::ParameterRequestList(list));
    let (_, _, told) = bench.ask(&plan, &discover).unwrap();
    let has = |code| told.opts().contains(code);
    assert!(has(OptionCode::Router) && has(OptionCode::SubnetMask) && !has(OptionCode::DomainName));
    let v4 = plan.v4.as_mut().unwrap();
    v4.gateway = Some(Ipv4Addr::new(10, 0, 0, 254));
    v4.options = vec![(6, vec![9, 9, 9, 9])];
    plan.mtu = Some(1400);
    plan.dns.as_mut().unwrap().search = vec!["a.b".into(), "c.d".into()];
    let (_, _, told) = bench.ask(&plan, &send(MessageType::Discover, 1)).unwrap();
    let get = |code| told.opts().get(code).cloned();
    assert_eq!(get(OptionCode::Router), Some(DhcpOption::Router(vec![Ipv4Addr::new(10, 0, 0, 254)])));
    assert_eq!(get(OptionCode::DomainNameServer), Some(DhcpOption::DomainNameServer(vec![Ipv4Addr::new(9, 9, 9, 9)])));
    assert_eq!(get(OptionCode::InterfaceMtu), Some(DhcpOption::InterfaceMtu(1400)));
    assert_eq!(get(OptionCode::DomainName), Some(DhcpOption::DomainName("lxd".into())));
    assert!(matches!(get(OptionCode::DomainSearch), Some(DhcpOption::DomainSearch(list)) if list.len() == 2));
    assert_eq!(get(OptionCode::AddressLeaseTime), Some(DhcpOption::AddressLeaseTime(3600)));
}

#[test]
fn rapid_commit_needs_no_second_round() {
    let (mut bench, plan) = (Bench::default(), plan());
    let (kind, address, told) =
        bench.ask(&plan, &send(MessageType::Discover, 1).with(DhcpOption::RapidCommit)).unwrap();
    assert_eq!(kind, MessageType::Ack);
    assert!(told.opts().contains(OptionCode::RapidCommit) && bench.leases.at(address).is_some());
}

#[test]
fn answers_go_where_the_client_can_hear_them() {
    let plan = plan();
    let (mut dhcp, mut leases) = (Dhcp4::default(), Leases::default());
    let mut to = |sent: &Sent| {
        let answer = dhcp.handle(&plan, &mut leases, &sent.bytes(), NOW).unwrap();
        (answer.mac, answer.address)
    };
    let mut discover = send(MessageType::Discover, 1);
    assert_eq!(to(&discover).0, mac(1));
    discover.0.set_flags(dhcproto::v4::Flags::new(0x8000));
    assert_eq!(to(&discover), (Mac([0xff; 6]), Ipv4Addr::BROADCAST));
    let own = Ipv4Addr::new(10, 0, 0, 4);
    assert_eq!(to(&send(MessageType::Request, 1).from(own)), (mac(1), own));
    assert_eq!(to(&send(MessageType::Inform, 1).from(Ipv4Addr::new(8, 8, 8, 8))).1, Ipv4Addr::BROADCAST);
}

#[test]
fn nonsense_is_not_answered() {
    let plan = plan();
    let (mut dhcp, mut leases) = (Dhcp4::default(), Leases::default());
    let good = send(MessageType::Discover, 1).bytes();
    for cut in 0..good.len() {
        dhcp.handle(&plan, &mut leases, &good[..cut], NOW);
    }
    for (at, value) in [(0, 2), (1, 6), (2, 16), (2, 255), (24, 1), (28, 1)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(dhcp.handle(&plan, &mut leases, &bad, NOW), None, "{at}");
    }
    assert_eq!(leases.iter().count(), 0);
}

/// dhcproto 0.15 panics on a route whose prefix is longer than an address.
#[test]
fn regression_an_option_that_the_decoder_panics_on_is_not_read() {
    let (plan, mut leases) = (plan(), Leases::default());
    let mut packet = send(MessageType::Discover, 1).bytes();
    let end = packet.iter().rposition(|byte| *byte == 255).unwrap();
    packet.splice(end.., [121, 9, 33, 1, 2, 3, 4, 5, 6, 7, 8, 0, 50, 4, 10, 0, 0, 4, 255]);
    let answer = Dhcp4::default().handle(&plan, &mut leases, &packet, NOW).unwrap();
    assert_eq!(answer.address, Ipv4Addr::new(10, 0, 0, 4), "what stands behind it is read");
}

#[test]
fn what_people_add_is_told_and_what_they_take_away_is_not() {
    let (mut bench, mut plan) = (Bench::default(), plan());
    let server = Ipv4Addr::new(10, 0, 0, 9);
    plan.v4.as_mut().unwrap().options = vec![(3, Vec::new()), (42, vec![10, 0, 0, 1]), (119, b"\x01a\0".to_vec())];
    plan.extra.boot = Some(Boot { file: "pxe.0".into(), server_name: "boot".into(), server: Some(server) });
    plan.extra.leases = Some(1);
    plan.hosts = vec![Host { mac: mac(2), ..Host::default() }];
    let (_, _, offer) = bench.ask(&plan, &send(MessageType::Discover, 1)).unwrap();
    assert_eq!(offer.opts().get(OptionCode::Router), None);
    assert_eq!(offer.opts().get(OptionCode::NtpServers), Some(&DhcpOption::NtpServers(vec![SERVER])));
    assert!(offer.opts().get(OptionCode::DomainSearch).is_some());
    assert_eq!((offer.siaddr(), offer.fname(), offer.sname()), (server, Some(&b"pxe.0\0"[..]), Some(&b"boot\0"[..])));
    assert!(bench.lease(&plan, 1).is_some());
    assert_eq!(bench.lease(&plan, 2), None, "one lease is all there is");
}
