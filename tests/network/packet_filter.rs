//! The packet filter: what the nft program lists is what was asked for, and what is so already is left alone.

use lxbox::runtime::network::netlink::MacAddr;
use lxbox::runtime::network::nft::{
    Action, Base, Chain, ChainKind, Change, Family, ForeignDrop, Hook, IcmpVersion, Match, Nft, Policy, Protocol,
    Reject, Rule, Side, Span,
};

use crate::space::Space;

fn base(kind: ChainKind, hook: Hook, priority: i32) -> Option<Base> {
    Some(Base { kind, hook, priority, policy: Policy::Accept })
}

fn address(text: &str, prefix: u8) -> Span<std::net::IpAddr> {
    Span::prefix(text.parse().unwrap(), prefix)
}

fn rule(matches: Vec<Match>, action: Action) -> Rule {
    Rule::new(matches, action)
}

/// Every condition and every action, and what nft(8) calls them.
fn all_rules() -> Vec<(Rule, &'static str)> {
    use Action::*;
    use Match::*;
    let port = |from, to| vec![Span { from, to }];
    vec![
        (rule(vec![In("br1".into())], Accept), "iifname \"br1\" accept"),
        (rule(vec![Out("br1".into())], Drop), "oifname \"br1\" drop"),
        (rule(vec![InIndex(1)], Return), "iif \"lo\" return"),
        (rule(vec![Version(4), Out("b".into())], Accept), "ip version 4 oifname \"b\" accept"),
        (
            rule(vec![Version(6), In("b".into())], Reject(self::Reject::V6)),
            "ip6 version 6 iifname \"b\" reject with icmpv6 port-unreachable",
        ),
        (
            rule(
                vec![
                    Address(Side::Source, vec![address("10.1.1.1", 24)]),
                    NotAddress(Side::Destination, vec![address("10.1.1.1", 24)]),
                ],
                Accept,
            ),
            "ip saddr 10.1.1.0/24 ip daddr != 10.1.1.0/24 accept",
        ),
        (rule(vec![Address(Side::Destination, vec![address("fd42::", 61)])], Accept), "ip6 daddr fd42::/61 accept"),
        (rule(vec![NotAddress(Side::Source, vec![address("10.1.1.1", 25)])], Accept), "ip saddr != 10.1.1.0/25 accept"),
        (
            rule(
                vec![Address(
                    Side::Source,
                    vec![Span { from: "10.0.0.5".parse().unwrap(), to: "10.0.0.9".parse().unwrap() }],
                )],
                Drop,
            ),
            "ip saddr 10.0.0.5-10.0.0.9 drop",
        ),
        (
            rule(
                vec![
                    Address(Side::Source, vec![address("10.0.0.0", 8), address("192.0.2.5", 32)]),
                    Port(Protocol::Tcp, Side::Destination, [port(80, 90), port(22, 22)].concat()),
                ],
                Accept,
            ),
            "ip saddr { 10.0.0.0/8, 192.0.2.5 } tcp dport { 22, 80-90 } accept",
        ),
        (rule(vec![Port(Protocol::Udp, Side::Source, port(256, 511))], Accept), "udp sport 256-511 accept"),
        (
            rule(vec![Port(Protocol::Udp, Side::Source, [port(1, 1), port(2, 2)].concat())], Accept),
            "udp sport { 1, 2 } accept",
        ),
        (rule(vec![Carries(Protocol::Tcp)], Reject(self::Reject::Any)), "meta l4proto tcp reject"),
        (rule(vec![Carries(Protocol::Other(132))], Accept), "meta l4proto sctp accept"),
        (
            rule(
                vec![
                    Field(IcmpVersion::V4, Protocol::Icmp),
                    IcmpType(IcmpVersion::V4, vec![8]),
                    IcmpCode(IcmpVersion::V4, 0),
                ],
                Accept,
            ),
            "ip protocol icmp icmp type echo-request icmp code net-unreachable accept",
        ),
        (rule(vec![Field(IcmpVersion::V6, Protocol::Icmpv6)], Accept), "ip6 nexthdr ipv6-icmp accept"),
        (
            rule(vec![IcmpType(IcmpVersion::V6, vec![133, 1])], Accept),
            "icmpv6 type { destination-unreachable, nd-router-solicit } accept",
        ),
        (rule(vec![Connection(2 | 4)], Accept), "ct state established,related accept"),
        (
            Rule { matches: vec![In("b".into())], actions: vec![Counter, Log("b-in ".into()), Jump("other".into())] },
            "iifname \"b\" counter packets 0 bytes 0 log prefix \"b-in \" jump other",
        ),
    ]
}

fn listed(space: &Space) -> Vec<String> {
    space.say("nft list ruleset").lines().map(|l| l.trim().to_owned()).collect()
}

#[test]
fn every_condition_and_action_is_listed_by_nft_as_it_was_meant() {
    let space = Space::new();
    let rules = all_rules();
    let other = Chain { name: "other".into(), base: None, rules: Vec::new() };
    let chain = Chain {
        name: "all.br1".into(),
        base: base(ChainKind::Filter, Hook::Forward, 0),
        rules: rules.iter().map(|(rule, _)| rule.clone()).collect(),
    };
    Nft::in_namespace(space.fd()).unwrap().ensure(Family::Inet, "lxd", &[other, chain], &[]).unwrap();
    let found = listed(&space);
    let start = found.iter().position(|l| l == "chain all.br1 {").unwrap();
    assert_eq!(found[start + 1], "type filter hook forward priority filter; policy accept;");
    let wanted: Vec<&str> = rules.iter().map(|(_, text)| *text).collect();
    assert_eq!(found[start + 2..start + 2 + wanted.len()], wanted);
}

#[test]
fn nat_and_way_back() {
    let space = Space::new();
    let one = |text: &str| vec![address(text, if text.contains(':') { 128 } else { 32 })];
    let nat = vec![
        rule(
            vec![Match::Address(Side::Destination, one("192.0.2.1"))],
            Action::DestinationNat("10.1.1.9".parse().unwrap(), Some(8443)),
        ),
        rule(
            vec![Match::Address(Side::Destination, one("2001:db8::1"))],
            Action::DestinationNat("fd42::9".parse().unwrap(), Some(80)),
        ),
        rule(
            vec![Match::Address(Side::Destination, one("192.0.2.2"))],
            Action::DestinationNat("10.1.1.9".parse().unwrap(), None),
        ),
    ];
    let after = vec![
        rule(vec![Match::Address(Side::Source, one("10.1.1.9"))], Action::Masquerade),
        rule(vec![Match::Address(Side::Source, one("10.1.1.8"))], Action::SourceNat("192.0.2.77".parse().unwrap())),
        rule(vec![Match::Address(Side::Source, one("fd42::8"))], Action::SourceNat("2001:db8::77".parse().unwrap())),
    ];
    let chains = [
        Chain { name: "prert".into(), base: base(ChainKind::Nat, Hook::Prerouting, -100), rules: nat },
        Chain { name: "pstrt".into(), base: base(ChainKind::Nat, Hook::Postrouting, 100), rules: after },
        Chain {
            name: "raw".into(),
            base: base(ChainKind::Filter, Hook::Prerouting, -300),
            rules: vec![rule(vec![Match::InIndex(1), Match::NoWayBack], Action::Drop)],
        },
    ];
    Nft::in_namespace(space.fd()).unwrap().ensure(Family::Inet, "lxd", &chains, &[]).unwrap();
    let wanted = "table inet lxd {\n\tchain prert {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\
        \t\tip daddr 192.0.2.1 dnat ip to 10.1.1.9:8443\n\
        \t\tip6 daddr 2001:db8::1 dnat ip6 to [fd42::9]:80\n\
        \t\tip daddr 192.0.2.2 dnat ip to 10.1.1.9\n\t}\n\n\
        \tchain pstrt {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\
        \t\tip saddr 10.1.1.9 masquerade\n\
        \t\tip saddr 10.1.1.8 snat ip to 192.0.2.77\n\
        \t\tip6 saddr fd42::8 snat ip6 to 2001:db8::77\n\t}\n\n\
        \tchain raw {\n\t\ttype filter hook prerouting priority raw; policy accept;\n\
        \t\tiif \"lo\" fib saddr . iif oif missing drop\n\t}\n}\n";
    // nft calls the destination protocol-less where a port is said with none named; the kernel wants one for ports.
    assert_eq!(space.say("nft list ruleset"), wanted);
}

#[test]
fn frames_of_bridges() {
    let space = Space::new();
    let mac = "00:16:3e:11:22:33".parse::<MacAddr>().unwrap();
    let rules = vec![
        rule(vec![Match::In("v".into()), Match::NotEtherSource(mac)], Action::Drop),
        rule(vec![Match::In("v".into()), Match::NotArpEther(mac)], Action::Drop),
        rule(
            vec![Match::IcmpType(IcmpVersion::V6, vec![136]), Match::Network(66, mac.0.to_vec(), false)],
            Action::Drop,
        ),
        rule(vec![Match::ArpAddress(address("10.77.0.0", 24))], Action::Accept),
        rule(vec![Match::Address(Side::Source, vec![address("10.77.0.3", 32)])], Action::Accept),
        rule(vec![Match::EtherType(0x0806)], Action::Drop),
        rule(vec![Match::NotEtherType(vec![0x0800, 0x0806, 0x86dd])], Action::Drop),
    ];
    let chain = Chain { name: "in.c1.eth0".into(), base: base(ChainKind::Filter, Hook::Input, -200), rules };
    Nft::in_namespace(space.fd()).unwrap().ensure(Family::Bridge, "lxd", &[chain], &[]).unwrap();
    let wanted = "table bridge lxd {\n\tchain in.c1.eth0 {\n\t\ttype filter hook input priority filter; policy accept;\n\
        \t\tiifname \"v\" ether saddr != 00:16:3e:11:22:33 drop\n\
        \t\tiifname \"v\" arp saddr ether != 00:16:3e:11:22:33 drop\n\
        \t\ticmpv6 type nd-neighbor-advert @nh,528,48 != 0x163e112233 drop\n\
        \t\tarp saddr ip 10.77.0.0/24 accept\n\
        \t\tip saddr 10.77.0.3 accept\n\
        \t\tether type arp drop\n\
        \t\tether type != { ip, arp, ip6 } drop\n\t}\n}\n";
    assert_eq!(space.say("nft list ruleset"), wanted);
}

fn two_chains(to: &str) -> [Chain; 2] {
    let inner = Chain {
        name: "acl.br1".into(),
        base: None,
        rules: vec![rule(
            vec![Match::Port(Protocol::Tcp, Side::Destination, vec![Span::one(22), Span::one(80)])],
            Action::Drop,
        )],
    };
    let outer = Chain {
        name: "aclin.br1".into(),
        base: base(ChainKind::Filter, Hook::Input, 0),
        rules: vec![rule(vec![Match::In("br1".into())], Action::Jump(to.into())), rule(vec![], Action::Counter)],
    };
    [inner, outer]
}

#[test]
fn what_is_so_already_is_left_alone_and_what_somebody_changed_is_mended() {
    let space = Space::new();
    let mut nft = Nft::in_namespace(space.fd()).unwrap();
    let chains = two_chains("acl.br1");
    assert!(nft.ensure(Family::Inet, "lxd", &chains, &[]).unwrap());
    let handles = space.say("nft -a list ruleset");
    assert!(!nft.ensure(Family::Inet, "lxd", &chains, &["gone".into()]).unwrap());
    assert_eq!(space.say("nft -a list ruleset"), handles);
    let text = space.say("nft list ruleset");
    for harm in [
        "nft flush chain inet lxd acl.br1",
        "nft add rule inet lxd acl.br1 drop",
        "nft insert rule inet lxd aclin.br1 accept",
        "nft delete chain inet lxd aclin.br1",
        "nft delete table inet lxd",
        "nft chain inet lxd aclin.br1 { policy drop ; }",
    ] {
        space.say(harm);
        assert_ne!(space.say("nft list ruleset"), text, "{harm}");
        assert!(nft.ensure(Family::Inet, "lxd", &chains, &[]).unwrap(), "{harm}");
        assert!(!nft.ensure(Family::Inet, "lxd", &chains, &[]).unwrap(), "{harm}");
        let sorted = |text: &str| -> Vec<String> {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&space.say("nft list ruleset")), sorted(&text), "{harm}");
    }
    let gone: Vec<String> = chains.iter().map(|c| c.name.clone()).collect();
    assert!(nft.ensure(Family::Inet, "lxd", &[], &gone).unwrap());
    assert!(!nft.ensure(Family::Inet, "lxd", &[], &gone).unwrap());
    assert_eq!(space.say("nft list ruleset"), "table inet lxd {\n}\n");
    nft.apply(&[Change::RemoveTable(Family::Inet, "lxd".into()), Change::RemoveTable(Family::Bridge, "never".into())])
        .unwrap();
    assert_eq!(space.say("nft list ruleset"), "");
}

#[test]
fn a_refused_change_changes_nothing_and_is_named() {
    let space = Space::new();
    let mut nft = Nft::in_namespace(space.fd()).unwrap();
    nft.ensure(Family::Inet, "lxd", &two_chains("acl.br1"), &[]).unwrap();
    let before = space.say("nft -a list ruleset");
    let error = nft.ensure(Family::Inet, "lxd", &two_chains("no-such-chain"), &[]).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("Failed adding rule 1 of firewall chain \"aclin.br1\" of table inet \"lxd\": No such file"),
        "{error}"
    );
    assert_eq!(space.say("nft -a list ruleset"), before);
    // The socket is as good as before.
    assert!(!nft.ensure(Family::Inet, "lxd", &two_chains("acl.br1"), &[]).unwrap());
}

#[test]
fn tables_of_others_are_not_touched() {
    let space = Space::new();
    space.say("nft add table inet other");
    space.say("nft add chain inet other acl.br1");
    space.say("nft add rule inet other acl.br1 drop");
    let mut nft = Nft::in_namespace(space.fd()).unwrap();
    let other = space.say("nft list table inet other");
    nft.ensure(Family::Inet, "lxd", &two_chains("acl.br1"), &[]).unwrap();
    nft.ensure(Family::Inet, "lxd", &[], &["acl.br1".into(), "aclin.br1".into()]).unwrap();
    nft.apply(&[Change::RemoveTable(Family::Inet, "lxd".into())]).unwrap();
    assert_eq!(space.say("nft list ruleset"), other);
}

#[test]
fn thousands_of_rules_and_addresses_are_one_change() {
    let space = Space::new();
    let mut nft = Nft::in_namespace(space.fd()).unwrap();
    let many: Vec<_> =
        (0..5000u32).map(|n| Span::one(std::net::IpAddr::from((0x0a00_0000 + n * 2).to_be_bytes()))).collect();
    let ports = (1..3000u16)
        .map(|p| rule(vec![Match::Port(Protocol::Tcp, Side::Destination, vec![Span::one(p)])], Action::Accept));
    let mut rules: Vec<Rule> = ports.collect();
    rules.push(rule(vec![Match::Address(Side::Source, many)], Action::Drop));
    let chain = Chain { name: "big".into(), base: base(ChainKind::Filter, Hook::Input, 0), rules };
    assert!(nft.ensure(Family::Inet, "lxd", std::slice::from_ref(&chain), &[]).unwrap());
    assert!(!nft.ensure(Family::Inet, "lxd", std::slice::from_ref(&chain), &[]).unwrap());
    assert_eq!(space.say("nft list ruleset").matches("tcp dport").count(), 2999);
}

#[test]
fn who_cuts_bridges_off_is_named() {
    let space = Space::new();
    let mut nft = Nft::in_namespace(space.fd()).unwrap();
    assert!(nft.foreign_drops("lxd").unwrap().is_empty());
    for table in ["lxd", "other"] {
        space.say(&format!("nft add table ip {table}"));
        space.say(&format!(
            "nft add chain ip {table} FORWARD {{ type filter hook forward priority 0 ; policy drop ; }}"
        ));
        space.say(&format!("nft add chain ip {table} INPUT {{ type filter hook input priority 0 ; policy drop ; }}"));
        space.say(&format!("nft add chain ip {table} OPEN {{ type filter hook forward priority 0 ; }}"));
    }
    let found = nft.foreign_drops("lxd").unwrap();
    assert_eq!(found, [ForeignDrop { family: Family::Ip, table: "other".into(), chain: "FORWARD".into() }]);
}

#[test]
#[ignore = "measures"]
fn how_long_changes_take() {
    use std::time::Instant;
    let space = Space::new();
    let mut nft = Nft::in_namespace(space.fd()).unwrap();
    for round in 0..5 {
        let chains = two_chains("acl.br1");
        let begin = Instant::now();
        nft.ensure(Family::Inet, "lxd", &chains, &[]).unwrap();
        let made = begin.elapsed();
        let begin = Instant::now();
        nft.ensure(Family::Inet, "lxd", &chains, &[]).unwrap();
        let same = begin.elapsed();
        let begin = Instant::now();
        nft.ensure(Family::Inet, "lxd", &[], &["acl.br1".into(), "aclin.br1".into()]).unwrap();
        eprintln!("{round}: made in {made:?}, unchanged in {same:?}, removed in {:?}", begin.elapsed());
    }
}
