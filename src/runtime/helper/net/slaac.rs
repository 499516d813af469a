//! Which of the addresses that interfaces give themselves (modified EUI-64) are in use: they are asked by an echo request.
//!
//! An instance's name has its IPv6 address only so; nobody tells us (dnsmasq's `ra-names` does the same).

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use super::leases::Leases;
use super::{limits, names};
use crate::order::Order;
use crate::runtime::spec::net::{Mac, NetPlan, V6Mode};

/// ICMPv6 type of an echo request.
const ECHO: u8 = 128;
/// ICMPv6 type of an echo reply.
pub const ECHO_REPLY: u8 = 129;
/// How often an address is asked; the pauses double, from [`FIRST`] on.
const TRIES: u32 = 9;
/// The first pause: a client needs a second to make sure that its address is its own.
const FIRST: Duration = Duration::from_millis(500);
/// Requests sent at once.
const BATCH: usize = 32;

/// All addresses that may be in use.
#[derive(Debug, Default)]
pub struct Slaac {
    entries: Vec<Candidate>,
    /// Marks our requests.
    mark: [u8; 2],
}

#[derive(Debug)]
struct Candidate {
    mac: Mac,
    address: Ipv6Addr,
    answered: bool,
    tries: u32,
    next: Instant,
}

impl Slaac {
    /// The address of an interface, once it has answered.
    pub fn seen(&self, mac: Mac) -> Option<Ipv6Addr> {
        self.entries.iter().find(|c| c.mac == mac && c.answered).map(|c| c.address)
    }

    /// Brings the list in line with plan and leases: the interfaces that have a name.
    pub fn follow(&mut self, plan: &NetPlan, leases: &Leases, now: Instant) {
        let Some(v6) = plan.v6.as_ref().filter(|v6| own_addresses(&v6.mode) && v6.prefix == 64) else {
            self.entries.clear();
            return;
        };
        if self.mark == [0; 2] {
            let _ = rustix::rand::getrandom(&mut self.mark, rustix::rand::GetRandomFlags::empty());
        }
        let network = names::network6(v6.address, 64).to_bits();
        let named = leases.iter().filter(|e| e.name.is_some()).filter_map(|e| e.mac);
        let mut wanted: Vec<Mac> = named.chain(plan.hosts.iter().map(|h| h.mac)).collect();
        wanted.order();
        wanted.dedup();
        wanted.truncate(limits::LEASES);
        let address = |mac: Mac| Ipv6Addr::from_bits(network | u128::from(mac.interface_id()));
        self.entries.retain(|c| wanted.binary_search(&c.mac).is_ok() && c.address == address(c.mac));
        let mut known: Vec<Mac> = self.entries.iter().map(|c| c.mac).collect();
        known.order();
        for mac in wanted.into_iter().filter(|mac| known.binary_search(mac).is_err()) {
            let next = now + FIRST;
            self.entries.push(Candidate { mac, address: address(mac), answered: false, tries: 0, next });
        }
    }

    /// Asks again: the interface has just come up or been renewed.
    pub fn wake(&mut self, mac: Mac, now: Instant) {
        if let Some(c) = self.entries.iter_mut().find(|c| c.mac == mac && !c.answered) {
            (c.tries, c.next) = (0, now + FIRST);
        }
    }

    /// When there is something to send.
    pub fn deadline(&self) -> Option<Instant> {
        self.entries.iter().filter(|c| !c.answered && c.tries < TRIES).map(|c| c.next).min()
    }

    /// The requests that are due: to whom, and what.
    pub fn due(&mut self, now: Instant) -> Vec<(Ipv6Addr, [u8; 8])> {
        let request = [ECHO, 0, 0, 0, self.mark[0], self.mark[1], 0, 0];
        let due = self.entries.iter_mut().filter(|c| !c.answered && c.tries < TRIES && c.next <= now);
        let asked = due.take(BATCH).map(|c| {
            c.next = now + FIRST * 2u32.pow(c.tries);
            c.tries += 1;
            (c.address, request)
        });
        asked.collect()
    }

    /// Takes an ICMPv6 packet for an answer, if it is one.
    pub fn receive(&mut self, from: Ipv6Addr, packet: &[u8]) {
        if !matches!(packet, [ECHO_REPLY, 0, _, _, a, b, ..] if [*a, *b] == self.mark) {
            return;
        }
        if let Some(c) = self.entries.iter_mut().find(|c| c.address == from) {
            c.answered = true;
        }
    }
}

fn own_addresses(mode: &V6Mode) -> bool {
    matches!(mode, V6Mode::Slaac | V6Mode::Stateless)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::spec::net::{Host, V6Plan};

    #[test]
    fn an_address_counts_once_it_has_answered_us() {
        let v6 = V6Plan { address: "fd42::1".parse().unwrap(), prefix: 64, mode: V6Mode::Stateless, router: true };
        let mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);
        let host = Host { mac, name: "c1".into(), v4: None, v6: None };
        let mut plan = NetPlan { v6: Some(v6), hosts: vec![host], ..NetPlan::default() };
        let (mut slaac, leases, now) = (Slaac::default(), Leases::default(), Instant::now());
        slaac.follow(&plan, &leases, now);
        assert!(slaac.due(now).is_empty());
        let due = slaac.due(now + FIRST);
        let (address, request) = due[0];
        assert_eq!((due.len(), address.to_string().as_str()), (1, "fd42::216:3eff:fe00:1"));
        let mut reply = request;
        reply[0] = ECHO_REPLY;
        reply[4] ^= 1;
        slaac.receive(address, &reply);
        assert_eq!(slaac.seen(mac), None, "not to our request");
        reply[4] ^= 1;
        slaac.receive("fd42::9".parse().unwrap(), &reply);
        assert_eq!(slaac.seen(mac), None, "somebody else");
        slaac.receive(address, &reply);
        assert_eq!((slaac.seen(mac), slaac.deadline()), (Some(address), None));
        plan.hosts.clear();
        slaac.follow(&plan, &leases, now);
        assert_eq!(slaac.seen(mac), None);
    }

    #[test]
    fn nobody_is_asked_for_ever() {
        let v6 = V6Plan { address: "fd42::1".parse().unwrap(), prefix: 64, mode: V6Mode::Slaac, router: true };
        let hosts = vec![Host { mac: Mac([2; 6]), ..Host::default() }];
        let plan = NetPlan { v6: Some(v6), hosts, ..NetPlan::default() };
        let (mut slaac, mut now) = (Slaac::default(), Instant::now());
        slaac.follow(&plan, &Leases::default(), now);
        let mut asked = 0;
        while let Some(next) = slaac.deadline() {
            now = next;
            asked += slaac.due(now).len();
        }
        assert_eq!(asked, TRIES as usize);
    }
}
