//! DHCPv4 and DHCPv6 of a bridge: no panic, no table beyond its limit, an answer that can be read, a lease file that can be read.
#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::helper::net::dhcp4::Dhcp4;
use lxbox::runtime::helper::net::dhcp6::Dhcp6;
use lxbox::runtime::helper::net::leases::Leases;
use lxbox::runtime::helper::net::{lease_file, limits};
use lxbox::runtime::spec::net::{DnsPlan, Host, Mac, NetPlan, V4Plan, V6Mode, V6Plan};

fn plan() -> NetPlan {
    let address = "10.0.0.1".parse().expect("an address");
    let ranges = vec![("10.0.0.2".parse().expect("an address"), "10.0.0.254".parse().expect("an address"))];
    let v4 = V4Plan { address, prefix: 24, ranges, expiry: 60, gateway: None, routes: vec![], options: vec![] };
    let ranges = vec![("fd42::2".parse().expect("an address"), "fd42::ffff".parse().expect("an address"))];
    let mode = V6Mode::Stateful { ranges, expiry: 60 };
    let v6 = V6Plan { address: "fd42::1".parse().expect("an address"), prefix: 64, mode, router: true };
    NetPlan {
        v4: Some(v4),
        v6: Some(v6),
        dns: Some(DnsPlan { domain: "lxd".into(), ..DnsPlan::default() }),
        hosts: vec![Host { mac: Mac([0, 0x16, 0x3e, 0, 0, 1]), name: "c1".into(), v4: None, v6: None }],
        ..NetPlan::default()
    }
}

fuzz_target!(|data: &[u8]| {
    let plan = plan();
    let mut leases = Leases::default();
    let mut four = Dhcp4::default();
    let mut six = Dhcp6::new(Some(vec![0, 1, 0, 1]), Mac::default(), 0);
    let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x216, 0x3eff, 0xfe00, 1);
    // The input is a row of packets: a byte says the protocol and how long the next one is.
    let mut rest = data;
    let mut now = 1;
    while let [head, behind @ ..] = rest {
        let length = (usize::from(head >> 1) * 8).min(behind.len()).min(limits::PACKET);
        let (packet, behind) = behind.split_at(length);
        if head & 1 == 0 {
            let answer = four.handle(&plan, &mut leases, packet, now);
            assert!(answer.is_none_or(|a| a.message.len() >= 240));
        } else {
            let answer = six.handle(&plan, &mut leases, (from, packet), now);
            assert!(answer.is_none_or(|a| a.len() >= 4));
        }
        assert!(leases.iter().count() <= limits::LEASES);
        rest = behind;
        now += 1;
    }
    let text = lease_file::print(&leases, Some(six.duid()));
    assert_eq!(lease_file::parse(&text).leases.iter().count(), leases.iter().count());
    let _ = lease_file::parse(&String::from_utf8_lossy(data));
});
