//! Conversations with DHCPv6 clients.

use super::*;
use crate::runtime::spec::net::{DnsPlan, Host};

const NOW: u64 = 1_795_303_812;
const BRIDGE: Mac = Mac([0, 0x16, 0x3e, 0x16, 0xae, 0xd9]);
/// `fe80::216:3eff:fe00:1`.
const CLIENT: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x216, 0x3eff, 0xfe00, 1);

fn plan(mode: V6Mode) -> NetPlan {
    let v6 = V6Plan { address: "fd42::1".parse().unwrap(), prefix: 64, mode, router: true };
    let dns = DnsPlan { domain: "lxd".into(), ..DnsPlan::default() };
    NetPlan { v6: Some(v6), dns: Some(dns), ..NetPlan::default() }
}

fn stateful() -> NetPlan {
    let ranges = vec![("fd42::2".parse().unwrap(), "fd42::ffff:ffff:ffff:ffff".parse().unwrap())];
    plan(V6Mode::Stateful { ranges, expiry: 3600 })
}

struct Bench {
    dhcp: Dhcp6,
    leases: Leases,
}

impl Bench {
    fn new() -> Bench {
        Bench { dhcp: Dhcp6::new(None, BRIDGE, NOW), leases: Leases::default() }
    }

    fn ask(&mut self, plan: &NetPlan, kind: MessageType, options: Vec<DhcpOption>) -> Option<Message> {
        let mut message = Message::new_with_id(kind, [1, 2, 3]);
        options.into_iter().for_each(|o| message.opts_mut().insert(o));
        let packet = message.to_vec().unwrap();
        let answer = self.dhcp.handle(plan, &mut self.leases, (CLIENT, &packet), NOW)?;
        let answer = Message::decode(&mut Decoder::new(&answer)).unwrap();
        assert_eq!(answer.xid(), [1, 2, 3]);
        Some(answer)
    }

    fn server(&self) -> DhcpOption {
        DhcpOption::ServerId(self.dhcp.duid().to_vec())
    }
}

fn client(last: u8) -> DhcpOption {
    DhcpOption::ClientId(vec![0, 4, last, last])
}

fn want(id: u32, addresses: &[Ipv6Addr]) -> DhcpOption {
    let given = |addr: &Ipv6Addr| {
        DhcpOption::IAAddr(IAAddr { addr: *addr, preferred_life: 0, valid_life: 0, opts: DhcpOptions::new() })
    };
    DhcpOption::IANA(IANA { id, t1: 0, t2: 0, opts: addresses.iter().map(given).collect() })
}

/// The addresses given under each association, by their lifetimes.
fn given(message: &Message) -> Vec<(u32, Ipv6Addr, u32)> {
    let mut all = Vec::new();
    for option in message.opts().iter() {
        let DhcpOption::IANA(ia) = option else { continue };
        for inner in ia.opts.iter() {
            if let DhcpOption::IAAddr(a) = inner {
                all.push((ia.id, a.addr, a.valid_life));
            }
        }
    }
    all
}

#[test]
fn the_whole_way_to_an_address_and_back() {
    let (mut bench, plan) = (Bench::new(), stateful());
    let advertised = bench.ask(&plan, MessageType::Solicit, vec![client(1), want(7, &[])]).unwrap();
    assert_eq!(advertised.msg_type(), MessageType::Advertise);
    let [(7, address, 3600)] = given(&advertised)[..] else { panic!("{advertised:?}") };
    assert_eq!(bench.leases.iter().count(), 0, "an advertisement is no lease");
    let server = bench.server();
    let reply = bench.ask(&plan, MessageType::Request, vec![client(1), server.clone(), want(7, &[address])]).unwrap();
    assert_eq!((reply.msg_type(), given(&reply)), (MessageType::Reply, vec![(7, address, 3600)]));
    assert_eq!(bench.leases.at(address).unwrap().expires, NOW + 3600);
    let other = bench.ask(&plan, MessageType::Solicit, vec![client(2), want(7, &[address])]).unwrap();
    assert_ne!(given(&other)[0].1, address, "it is taken");
    for (who, left) in [(2, 1), (1, 0)] {
        bench.ask(&plan, MessageType::Release, vec![client(who), server.clone(), want(7, &[address])]).unwrap();
        assert_eq!(bench.leases.iter().count(), left);
    }
}

#[test]
fn a_kept_address_is_found_by_the_hardware_address_and_the_name_with_it() {
    let (mut bench, mut plan) = (Bench::new(), stateful());
    let kept: Ipv6Addr = "fd42::77".parse().unwrap();
    let mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);
    plan.hosts = vec![Host { mac, name: "c1".into(), v4: None, v6: Some(kept) }];
    let reply = bench.ask(&plan, MessageType::Solicit, vec![client(1), want(1, &[]), DhcpOption::RapidCommit]).unwrap();
    assert_eq!((reply.msg_type(), given(&reply)[0].1), (MessageType::Reply, kept));
    let entry = bench.leases.at(kept).unwrap();
    assert_eq!((entry.mac, entry.name.as_deref()), (Some(mac), Some("c1")));
    // It moves: the old one is told to be over, the new one is given.
    plan.hosts[0].v6 = Some("fd42::78".parse().unwrap());
    let options = vec![client(1), bench.server(), want(1, &[kept])];
    let reply = bench.ask(&plan, MessageType::Renew, options).unwrap();
    let mut all = given(&reply);
    all.sort_unstable();
    assert_eq!(all, [(1, kept, 0), (1, "fd42::78".parse().unwrap(), 3600)]);
}

#[test]
fn stateless_tells_the_resolver_and_that_there_are_no_addresses() {
    let (mut bench, plan) = (Bench::new(), plan(V6Mode::Stateless));
    let told = bench.ask(&plan, MessageType::InformationRequest, vec![client(1)]).unwrap();
    let server: Vec<Ipv6Addr> = vec!["fd42::1".parse().unwrap()];
    assert!(told.opts().iter().any(|o| *o == DhcpOption::DomainNameServers(server.clone())));
    assert!(told.opts().iter().any(|o| matches!(o, DhcpOption::DomainSearchList(l) if l.len() == 1)));
    let told = bench.ask(&plan, MessageType::Solicit, vec![client(1), want(1, &[])]).unwrap();
    assert!(given(&told).is_empty());
    assert_eq!(bench.leases.iter().count(), 0);
}

#[test]
fn a_client_that_moved_hears_that_its_address_is_of_elsewhere() {
    let (mut bench, plan) = (Bench::new(), stateful());
    for (address, code) in [("fd42::9", Status::Success), ("fd43::9", Status::NotOnLink)] {
        let ia = want(1, &[address.parse().unwrap()]);
        let told = bench.ask(&plan, MessageType::Confirm, vec![client(1), ia]).unwrap();
        assert!(told.opts().iter().any(|o| matches!(o, DhcpOption::StatusCode(s) if s.status == code)), "{told:?}");
    }
    assert!(bench.ask(&plan, MessageType::Confirm, vec![client(1)]).is_none());
}

#[test]
fn messages_for_other_servers_without_a_client_or_of_nonsense_are_not_answered() {
    let (mut bench, plan) = (Bench::new(), stateful());
    let other = DhcpOption::ServerId(vec![0, 1, 2]);
    assert!(bench.ask(&plan, MessageType::Request, vec![client(1), other, want(1, &[])]).is_none());
    assert!(bench.ask(&plan, MessageType::Request, vec![client(1), want(1, &[])]).is_none());
    assert!(bench.ask(&plan, MessageType::Solicit, vec![want(1, &[])]).is_none());
    assert!(bench.ask(&plan, MessageType::Advertise, vec![client(1)]).is_none());
    let mut message = Message::new_with_id(MessageType::Solicit, [0; 3]);
    message.opts_mut().insert(client(1));
    message.opts_mut().insert(want(1, &[CLIENT]));
    let good = message.to_vec().unwrap();
    for cut in 0..good.len() {
        bench.dhcp.handle(&plan, &mut bench.leases, (CLIENT, &good[..cut]), NOW);
    }
    for kind in 0..=255 {
        let mut bad = good.clone();
        bad[0] = kind;
        bench.dhcp.handle(&plan, &mut bench.leases, (CLIENT, &bad), NOW);
    }
    let slaac = NetPlan { v6: plan.v6.clone().map(|v6| V6Plan { mode: V6Mode::Slaac, ..v6 }), ..plan };
    assert!(bench.ask(&slaac, MessageType::InformationRequest, vec![]).is_none());
}

#[test]
fn the_servers_identifier_is_made_once() {
    let fresh = Dhcp6::new(None, BRIDGE, NOW);
    assert_eq!(fresh.duid()[..4], [0, 1, 0, 1]);
    assert_eq!(fresh.duid()[8..], BRIDGE.0);
    assert_eq!(Dhcp6::new(Some(vec![1, 2]), BRIDGE, NOW).duid(), [1, 2]);
}

#[test]
fn what_people_add_takes_the_place_of_what_would_be_told() {
    let (mut bench, mut plan) = (Bench::new(), stateful());
    let other: Ipv6Addr = "fd00::53".parse().unwrap();
    plan.extra.options6 = vec![(23, other.octets().to_vec()), (24, Vec::new()), (31, other.octets().to_vec())];
    let told = bench.ask(&plan, MessageType::InformationRequest, vec![client(1)]).unwrap();
    let servers: Vec<_> = told.opts().iter().filter(|o| matches!(o, DhcpOption::DomainNameServers(_))).collect();
    assert_eq!(servers, [&DhcpOption::DomainNameServers(vec![other])]);
    assert!(!told.opts().iter().any(|o| matches!(o, DhcpOption::DomainSearchList(_))));
    assert!(told.opts().iter().any(|o| u16::from(OptionCode::from(o)) == 31));
}
