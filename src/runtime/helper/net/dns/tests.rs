//! Questions and what becomes of them.

use super::*;
use crate::runtime::helper::net::leases::{Client, Entry};
use crate::runtime::spec::net::{DnsPlan, Host, V4Plan, V6Mode, V6Plan};

const MAC: Mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);

fn six() -> Ipv6Addr {
    "fd42::216:3eff:fe00:1".parse().unwrap()
}

fn plan() -> NetPlan {
    let v4 = V4Plan {
        address: "10.0.0.1".parse().unwrap(),
        prefix: 24,
        ranges: vec![],
        expiry: 60,
        gateway: None,
        routes: vec![],
        options: vec![],
    };
    let v6 = V6Plan { address: "fd42::1".parse().unwrap(), prefix: 64, mode: V6Mode::Stateless, router: true };
    let dns = DnsPlan {
        domain: "lxd".into(),
        records: vec![("Extra.example".into(), "192.0.2.1".parse().unwrap())],
        ..DnsPlan::default()
    };
    NetPlan {
        addresses: vec![v4.address.into(), v6.address.into()],
        v4: Some(v4),
        v6: Some(v6),
        dns: Some(dns),
        hosts: vec![Host { mac: MAC, name: "c1".into(), v4: None, v6: None }],
        ..NetPlan::default()
    }
}

fn leases() -> Leases {
    let mut leases = Leases::default();
    let address = "10.0.0.9".parse().unwrap();
    leases.put(Entry { client: Client::Mac(MAC), mac: Some(MAC), address, name: Some("c1".into()), expires: 0 });
    leases
}

fn packet(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(77, hickory_proto::op::MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn ask(plan: &NetPlan, packet: &[u8]) -> Option<Message> {
    let leases = leases();
    let zone = Zone { plan, leases: &leases, seen: &|mac| (mac == MAC).then(six) };
    match decide(&zone, packet) {
        Verdict::Answer(bytes) => Some(Message::from_vec(&bytes).unwrap()),
        Verdict::Forward(_) | Verdict::Ignore => None,
    }
}

/// The code and what was answered, as text.
fn answers(plan: &NetPlan, name: &str, kind: RecordType) -> Option<(ResponseCode, Vec<String>)> {
    let message = ask(plan, &packet(name, kind))?;
    assert_eq!((message.metadata.id, message.queries.len()), (77, 1));
    let text = message.answers.iter().map(|r| r.data.to_string()).collect();
    Some((message.metadata.response_code, text))
}

#[test]
fn names_of_the_domain_are_answered_in_both_protocols_and_directions() {
    let plan = plan();
    let good = |text: &str| Some((ResponseCode::NoError, vec![text.to_owned()]));
    for name in ["c1.lxd.", "C1.LXD.", "c1."] {
        assert_eq!(answers(&plan, name, RecordType::A), good("10.0.0.9"), "{name}");
        assert_eq!(answers(&plan, name, RecordType::AAAA), good(&six().to_string()), "{name}");
    }
    assert_eq!(answers(&plan, "9.0.0.10.in-addr.arpa.", RecordType::PTR), good("c1.lxd."));
    let arpa = "1.0.0.0.0.0.e.f.f.f.e.3.6.1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.2.4.d.f.ip6.arpa.";
    assert_eq!(answers(&plan, arpa, RecordType::PTR), good("c1.lxd."));
    assert_eq!(answers(&plan, "_gateway.lxd.", RecordType::A), good("10.0.0.1"));
    assert_eq!(answers(&plan, "1.0.0.10.in-addr.arpa.", RecordType::PTR), good("_gateway.lxd."));
    assert_eq!(answers(&plan, "extra.EXAMPLE.", RecordType::A), good("192.0.2.1"));
}

#[test]
fn the_domain_is_ours_alone_and_the_rest_is_forwarded() {
    let plan = plan();
    assert_eq!(answers(&plan, "nobody.lxd.", RecordType::A), Some((ResponseCode::NXDomain, vec![])));
    assert_eq!(answers(&plan, "x.c1.lxd.", RecordType::A), Some((ResponseCode::NXDomain, vec![])));
    assert_eq!(answers(&plan, "c1.lxd.", RecordType::MX), Some((ResponseCode::NoError, vec![])));
    assert_eq!(answers(&plan, "lxd.", RecordType::A), Some((ResponseCode::NoError, vec![])));
    assert_eq!(answers(&plan, "99.0.0.10.in-addr.arpa.", RecordType::PTR), Some((ResponseCode::NXDomain, vec![])));
    for name in ["example.com.", "nobody.", "c1.notlxd.", "c1lxd.", "9.0.0.11.in-addr.arpa.", "0.10.in-addr.arpa."] {
        assert_eq!(answers(&plan, name, RecordType::A), None, "{name}");
    }
}

#[test]
fn without_names_everything_is_forwarded() {
    let mut plan = plan();
    plan.dns.as_mut().unwrap().mode = DnsMode::None;
    for name in ["c1.lxd.", "c1."] {
        assert_eq!(answers(&plan, name, RecordType::A), None);
    }
}

#[test]
fn what_is_no_question_is_refused_or_ignored() {
    let plan = plan();
    let good = packet("c1.lxd.", RecordType::A);
    for cut in 0..good.len() {
        ask(&plan, &good[..cut]);
    }
    assert_eq!(ask(&plan, &good[..12]).unwrap().metadata.response_code, ResponseCode::FormErr);
    let changed = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        ask(&plan, &bad).map(|m| m.metadata.response_code)
    };
    assert_eq!(changed(2, 0x81), None, "an answer");
    assert_eq!(changed(2, 0x28), Some(ResponseCode::NotImp), "an update");
    assert_eq!(changed(5, 2), Some(ResponseCode::FormErr), "two questions");
    assert_eq!(changed(good.len() - 1, 3), Some(ResponseCode::Refused), "another class");
    // A name that points at itself.
    let mut looped = good[..12].to_vec();
    looped.extend([0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(ask(&plan, &looped).unwrap().metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn what_people_add_is_answered() {
    let mut plan = plan();
    let dns = plan.dns.as_mut().unwrap();
    dns.aliases = [("www.example", "web.example"), ("web.example", "extra.example"), ("me", "me")]
        .map(|(a, b)| (a.into(), b.into()))
        .into();
    dns.data = vec![("t.example".into(), 16, b"\x05hello".to_vec())];
    dns.ttl = 30;
    let shown = |name: &str, kind| {
        let message = ask(&plan, &packet(name, kind))?;
        let records = message.answers.iter().map(|r| format!("{} {} {}", r.name, r.record_type(), r.data));
        Some((message.metadata.response_code, records.collect::<Vec<_>>(), message.answers.first().map(|r| r.ttl)))
    };
    let (_, records, ttl) = shown("WWW.example.", RecordType::A).unwrap();
    let chain = ["CNAME web.example.", "CNAME extra.example.", "A 192.0.2.1"];
    assert!(records.len() == 3 && records.iter().zip(chain).all(|(r, c)| r.ends_with(c)), "{records:?}");
    assert_eq!(ttl, Some(30));
    assert_eq!(shown("www.example.", RecordType::CNAME).unwrap().1.len(), 1);
    assert!(shown("me.", RecordType::A).unwrap().1.len() <= 8, "a circle ends");
    assert_eq!(shown("t.example.", RecordType::TXT).unwrap().1.len(), 1);
    assert_eq!(shown("t.example.", RecordType::MX), None);
}

#[test]
fn domains_have_answers_or_servers_of_their_own() {
    let mut plan = plan();
    let dns = plan.dns.as_mut().unwrap();
    let server: SocketAddr = "192.0.2.53:53".parse().unwrap();
    let domain = |name: &str| Domain { name: name.into(), ..Domain::default() };
    dns.domains = vec![
        Domain { addresses: vec!["192.0.2.7".parse().unwrap()], ..domain("ads.example") },
        Domain { servers: vec![server], ..domain("good.ads.example") },
        domain("home.arpa"),
    ];
    dns.whole_names = true;
    dns.private_stays = true;
    let leases = leases();
    let decided = |name: &str, kind| {
        let zone = Zone { plan: &plan, leases: &leases, seen: &|_| None };
        match decide(&zone, &packet(name, kind)) {
            Verdict::Answer(bytes) => {
                let message = Message::from_vec(&bytes).unwrap();
                Ok((message.metadata.response_code, message.answers.len()))
            }
            Verdict::Forward(servers) => Err(servers),
            Verdict::Ignore => panic!("ignored"),
        }
    };
    use ResponseCode::{NXDomain, NoError};
    assert_eq!(decided("x.ads.example.", RecordType::A), Ok((NoError, 1)));
    assert_eq!(decided("ads.example.", RecordType::AAAA), Ok((NoError, 0)));
    assert_eq!(decided("x.good.ads.example.", RecordType::A), Err(vec![server]));
    assert_eq!(decided("bads.example.", RecordType::A), Err(vec![]));
    assert_eq!(decided("x.home.arpa.", RecordType::A), Ok((NXDomain, 0)));
    assert_eq!(decided("short.", RecordType::A), Ok((NXDomain, 0)));
    assert_eq!(decided("c1.", RecordType::A), Ok((NoError, 1)));
    assert_eq!(decided("9.9.168.192.in-addr.arpa.", RecordType::PTR), Ok((NXDomain, 0)));
    assert_eq!(decided("9.9.9.9.in-addr.arpa.", RecordType::PTR), Err(vec![]));
}
