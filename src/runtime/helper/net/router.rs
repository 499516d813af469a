//! When router advertisements are sent, and to whom (RFC 4861, 6.2.4 to 6.2.6).

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use super::serve::on_link;
use super::sockets::{Sockets, send_from};
use super::{names, ra};
use crate::runtime::spec::net::NetPlan;

/// Pauses between the first advertisements.
const EARLY: [u64; 3] = [4, 8, 16];
/// How soon one is tried again that could not leave: a bridge's own address becomes usable a second after its first port came.
const RETRY: Duration = Duration::from_millis(200);
/// Tries of that kind.
const RETRIES: u32 = 25;
/// Prefixes that are said to be given up, at most, and how long they are.
const MAX_RETIRED: usize = 4;
const RETIRED: Duration = Duration::from_secs(7200);

/// What is to be sent when.
#[derive(Debug)]
pub(super) struct Router {
    /// The next one that nobody asked for.
    next: Instant,
    sent: usize,
    /// One that could not leave yet.
    owed: Option<(Instant, u32)>,
    /// Prefixes that the network had before.
    retired: Vec<(Ipv6Addr, u8, Instant)>,
}

impl Router {
    /// The first advertisement is due at once.
    pub(super) fn new(now: Instant) -> Router {
        Router { next: now, sent: 0, owed: None, retired: Vec::new() }
    }

    /// When something is due.
    pub(super) fn deadline(&self, plan: &NetPlan) -> Option<Instant> {
        plan.v6.as_ref()?;
        Some(self.owed.map_or(self.next, |(at, _)| at.min(self.next)))
    }

    /// Another plan: what changed is advertised at once, and a prefix that is gone is said to be.
    pub(super) fn change(&mut self, old: &NetPlan, new: &NetPlan, now: Instant) {
        let network = |plan: &NetPlan| plan.v6.as_ref().map(|v6| (names::network6(v6.address, v6.prefix), v6.prefix));
        if let Some((prefix, bits)) = network(old).filter(|p| Some(*p) != network(new)) {
            self.retired.push((prefix, bits, now + RETIRED));
            let excess = self.retired.len().saturating_sub(MAX_RETIRED);
            self.retired.drain(..excess);
        }
        if (&old.v6, old.mtu, &old.dns) != (&new.v6, new.mtu, &new.dns) {
            (self.next, self.sent) = (now, 0);
        }
    }

    /// A node asked: it alone is answered, unless it has no address yet.
    pub(super) fn solicited(&mut self, sockets: &Sockets, plan: &NetPlan, from: Ipv6Addr, now: Instant) {
        let to = Some(from).filter(Ipv6Addr::is_unicast_link_local);
        if !self.advertise(sockets, plan, to, false) && self.owed.is_none() {
            self.owed = Some((now + RETRY, 0));
        }
    }

    /// Sends what is due.
    pub(super) fn tick(&mut self, sockets: &Sockets, plan: &NetPlan, now: Instant) {
        if plan.v6.is_none() || self.deadline(plan).is_none_or(|at| at > now) {
            return;
        }
        self.retired.retain(|(.., until)| *until > now);
        let sent = self.advertise(sockets, plan, None, false);
        let tries = self.owed.map_or(0, |(_, tries)| tries + 1);
        self.owed = if sent || tries >= RETRIES { None } else { Some((now + RETRY, tries)) };
        if self.next <= now {
            let pause = EARLY.get(self.sent).copied().unwrap_or(ra::INTERVAL);
            self.next = now + Duration::from_secs(pause);
            self.sent += 1;
        }
    }

    /// Sends an advertisement to a node, or to all; false when it could not leave.
    pub(super) fn advertise(&self, sockets: &Sockets, plan: &NetPlan, to: Option<Ipv6Addr>, leaving: bool) -> bool {
        let retired: Vec<(Ipv6Addr, u8)> = self.retired.iter().map(|(prefix, bits, _)| (*prefix, *bits)).collect();
        let Some(packet) = ra::advertisement(plan, &retired, leaving) else { return true };
        let (Some(socket), Some(own)) = (&sockets.router, sockets.link_local()) else { return false };
        let to = on_link(to.unwrap_or(ra::ALL_NODES), plan.ifindex);
        send_from(socket, own, plan.ifindex).is_ok()
            && rustix::net::sendto(socket, &packet, SendFlags::DONTWAIT, &to).is_ok()
    }
}
