//! DNS of a bridge: no panic, answers that carry the question's number, no answer to an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lxbox::runtime::helper::net::dns::forward::is_answer;
use lxbox::runtime::helper::net::dns::{Verdict, Zone, decide};
use lxbox::runtime::helper::net::leases::Leases;
use lxbox::runtime::spec::net::{DnsPlan, Host, Mac, NetPlan};

fuzz_target!(|data: &[u8]| {
    let host = Host { mac: Mac::default(), name: "c1".into(), v4: "10.0.0.9".parse().ok(), v6: "fd42::9".parse().ok() };
    let plan = NetPlan {
        dns: Some(DnsPlan { domain: "lxd".into(), ..DnsPlan::default() }),
        hosts: vec![host],
        ..NetPlan::default()
    };
    let leases = Leases::default();
    match decide(&Zone { plan: &plan, leases: &leases, seen: &|_| None }, data) {
        Verdict::Answer(answer) => {
            assert_eq!(answer[..2], data[..2]);
            assert!(answer[2] & 0x80 != 0 && answer.len() <= 512 + 255);
        }
        Verdict::Forward(_) => assert!(!is_answer(data, data)),
        Verdict::Ignore => {}
    }
    let (a, b) = data.split_at(data.len() / 2);
    let _ = is_answer(a, b);
});
