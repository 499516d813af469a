//! The loop: waits for packets and for what is due, hands both to those who know what to do.

use std::fs::File;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use super::control::Control;
use super::dhcp4::{self, Dhcp4};
use super::dhcp6::Dhcp6;
use super::dns::forward::{Asker, Forwards, Reply};
use super::dns::resolv::Resolvers;
use super::dns::tcp::Connection;
use super::dns::{self, Verdict, Zone};
use super::lease_file::LeaseFile;
use super::leases::Leases;
use super::limits::{self, Bucket};
use super::router::Router;
use super::slaac::Slaac;
use super::sockets::Sockets;
use super::{names, ra};
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::net::{Mac, NetPlan};
use crate::runtime::sys::inet;
use crate::runtime::sys::program::{self, QUIET};

/// A bridge's server.
pub(super) struct Server {
    plan: NetPlan,
    sockets: Sockets,
    file: LeaseFile,
    leases: Leases,
    /// Whether the lease file lacks something.
    unsaved: bool,
    dhcp4: Dhcp4,
    dhcp6: Dhcp6,
    slaac: Slaac,
    router: Router,
    resolvers: Resolvers,
    forwards: Forwards,
    connections: Vec<Connection>,
    /// DHCP packets of all clients together.
    rate: Bucket,
}

/// What a descriptor is for. Lists carry the place in theirs.
#[derive(Clone, Copy)]
enum Source {
    Listener,
    Daemon(usize),
    Dhcp4,
    Dhcp6,
    Icmp,
    Dns(usize),
    Tcp(usize),
    Connection(usize),
    Forward(usize),
}

/// Seconds since 1970, as leases count them.
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Server {
    /// With open sockets and the lease file, before privileges are given up.
    pub(super) fn new(plan: NetPlan, sockets: Sockets, leases: File) -> Result<Server, Fail> {
        let (file, content) = LeaseFile::open(leases).what(|| "reading the leases")?;
        let now = Instant::now();
        let dhcp6 = Dhcp6::new(content.duid, plan.mac, clock());
        let mut server = Server {
            plan,
            sockets,
            file,
            leases: content.leases,
            unsaved: true,
            dhcp4: Dhcp4::default(),
            dhcp6,
            slaac: Slaac::default(),
            router: Router::new(now),
            resolvers: Resolvers::default(),
            forwards: Forwards::default(),
            connections: Vec::new(),
            rate: Bucket::new(2000, 1000, now),
        };
        server.leases.expire(clock());
        names::rename(&server.plan, &mut server.leases);
        server.slaac.follow(&server.plan, &server.leases, now);
        server.save();
        Ok(server)
    }

    pub(super) fn plan(&self) -> &NetPlan {
        &self.plan
    }

    pub(super) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// What it can't do at the moment.
    pub(super) fn lacking(&self) -> Vec<String> {
        let unsaved = self.unsaved.then(|| "Leases can't be written to the disk".to_owned());
        self.sockets.lacking.iter().cloned().chain(unsaved).collect()
    }

    /// Serves by another plan from now on. Leases that don't fit it any more end when their clients ask for more.
    pub(super) fn set_plan(&mut self, plan: NetPlan) {
        if plan == self.plan {
            return;
        }
        let now = Instant::now();
        self.router.change(&self.plan, &plan, now);
        self.plan = plan;
        self.resolvers.forget();
        names::rename(&self.plan, &mut self.leases);
        self.slaac.follow(&self.plan, &self.leases, now);
        self.save();
    }

    /// Forgets the leases of an interface that is no more.
    pub(super) fn release(&mut self, mac: Mac) {
        self.leases.remove(|e| e.mac == Some(mac));
        self.slaac.follow(&self.plan, &self.leases, Instant::now());
        self.save();
    }

    /// Says that it is a router no longer.
    pub(super) fn leave(&mut self) {
        self.router.advertise(&self.sockets, &self.plan, None, true);
    }

    /// Serves until a daemon says `stop`. The exit code.
    pub(super) fn serve(mut self, mut control: Control) -> i32 {
        loop {
            let ready = self.rest(&control);
            let (mut gone, mut called) = (Vec::new(), false);
            for source in ready {
                match source {
                    Source::Listener => called = true,
                    Source::Daemon(at) => match control.hear(at, &mut self) {
                        None => return 0,
                        Some(true) => {}
                        Some(false) => gone.push(at),
                    },
                    other => self.handle(other),
                }
            }
            gone.into_iter().rev().for_each(|at| control.forget(at));
            // Last, because it may move the others.
            if called {
                control.accept();
            }
            self.tick();
        }
    }

    /// Waits until something is ready or due. When that takes a while, the pages of the program are given back meanwhile:
    /// most are of the start, and a bridge without traffic should cost next to nothing.
    fn rest(&self, control: &Control) -> Vec<Source> {
        let mut patience = self.patience();
        if patience.is_none_or(|p| p > QUIET) {
            let ready = self.wait(control, Some(QUIET));
            if !ready.is_empty() {
                return ready;
            }
            patience = patience.map(|p| p - QUIET);
            program::forget_pages();
        }
        self.wait(control, patience)
    }

    /// Waits so long at most; says what is ready. Places in a list come from the last to the first, so that taking
    /// one out doesn't move those still to come.
    fn wait(&self, control: &Control, patience: Option<Duration>) -> Vec<Source> {
        let mut sources: Vec<(Source, BorrowedFd<'_>, PollFlags)> = Vec::new();
        for (at, forward) in self.forwards.pending().iter().enumerate().rev() {
            sources.push((Source::Forward(at), forward.socket.as_fd(), PollFlags::IN));
        }
        for (at, connection) in self.connections.iter().enumerate().rev() {
            let (fd, flags) = connection.interest();
            sources.push((Source::Connection(at), fd, flags));
        }
        let mut listen = |source, fd| sources.push((source, fd, PollFlags::IN));
        for (at, socket) in self.sockets.dns.iter().enumerate() {
            listen(Source::Dns(at), socket.as_fd());
        }
        for (at, socket) in self.sockets.listeners.iter().enumerate() {
            listen(Source::Tcp(at), socket.as_fd());
        }
        let single = [
            (Source::Dhcp4, &self.sockets.dhcp4),
            (Source::Dhcp6, &self.sockets.dhcp6),
            (Source::Icmp, &self.sockets.icmp),
        ];
        for (source, socket) in single {
            if let Some(socket) = socket {
                listen(source, socket.as_fd());
            }
        }
        for (at, daemon) in control.daemons().iter().enumerate() {
            listen(Source::Daemon(at), daemon.as_fd());
        }
        listen(Source::Listener, control.listener());
        let mut fds: Vec<PollFd<'_>> =
            sources.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let patience = patience.map(|p| Timespec { tv_sec: p.as_secs() as i64, tv_nsec: p.subsec_nanos().into() });
        let _ = rustix::event::poll(&mut fds, patience.as_ref());
        let ready = sources.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        ready.map(|((source, ..), _)| *source).collect()
    }

    /// How long nothing is due; `None` is for ever.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let lease = self.leases.next_end().map(|end| now + Duration::from_secs(end.saturating_sub(clock()).max(1)));
        let connections = self.connections.iter().map(Connection::deadline).min();
        let retry = self.unsaved.then(|| now + Duration::from_secs(5));
        let dues = [
            lease,
            connections,
            retry,
            self.forwards.deadline(),
            self.slaac.deadline(),
            self.router.deadline(&self.plan),
        ];
        let next = dues.into_iter().flatten().min()?;
        // Rounded up: a wait that ends a little early would go round and round.
        Some(next.saturating_duration_since(now) + Duration::from_millis(1))
    }

    /// Does what is due.
    fn tick(&mut self) {
        let now = Instant::now();
        if self.leases.expire(clock()) > 0 {
            self.slaac.follow(&self.plan, &self.leases, now);
        }
        if self.leases.take_changed() || self.unsaved {
            self.unsaved = true;
            self.save();
        }
        self.connections.retain(|c| c.deadline() > now);
        let replies = self.forwards.tick(now);
        replies.into_iter().for_each(|reply| self.reply(&reply));
        if let Some(socket) = &self.sockets.icmp {
            for (address, packet) in self.slaac.due(now) {
                let _ = rustix::net::sendto(socket, &packet, SendFlags::DONTWAIT, &SocketAddr::new(address.into(), 0));
            }
        }
        self.router.tick(&self.sockets, &self.plan, now);
    }

    fn save(&mut self) {
        let changed = self.leases.take_changed();
        if changed || self.unsaved {
            // DHCPv6's identifier stands in the file as soon as there is DHCPv6, as dnsmasq does it.
            let duid = self.plan.v6.is_some().then(|| self.dhcp6.duid());
            self.unsaved = self.file.save(&self.leases, duid).is_err();
        }
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Dhcp4 => self.hear_dhcp4(),
            Source::Dhcp6 => self.hear_dhcp6(),
            Source::Icmp => self.hear_icmp(),
            Source::Dns(at) => self.hear_dns(at),
            Source::Tcp(at) => self.accept(at),
            Source::Connection(at) => self.advance(at),
            Source::Forward(at) => {
                let now = Instant::now();
                if let Some(reply) = self.forwards.receive(at, now) {
                    self.reply(&reply);
                }
            }
            Source::Listener | Source::Daemon(_) => {}
        }
    }

    fn hear_dhcp4(&mut self) {
        let mut answers = Vec::new();
        for _ in 0..limits::BATCH {
            let Some((packet, _)) = self.sockets.dhcp4.as_ref().and_then(receive) else { break };
            if !self.rate.take(Instant::now()) {
                continue;
            }
            answers.extend(self.dhcp4.handle(&self.plan, &mut self.leases, &packet, clock()));
        }
        // On the disk before it is promised.
        self.save();
        let now = Instant::now();
        self.slaac.follow(&self.plan, &self.leases, now);
        let (Some(v4), Some(socket)) = (&self.plan.v4, &self.sockets.packets) else { return };
        for answer in answers {
            self.slaac.wake(answer.mac, now);
            let packet = dhcp4::frame(v4.address, answer.address, &answer.message);
            let _ = inet::send_packet(socket, self.plan.ifindex, answer.mac.0, &packet);
        }
    }

    fn hear_dhcp6(&mut self) {
        let mut answers = Vec::new();
        for _ in 0..limits::BATCH {
            let Some((packet, from)) = self.sockets.dhcp6.as_ref().and_then(receive) else { break };
            let Some(SocketAddr::V6(from)) = from else { continue };
            if !from.ip().is_unicast_link_local() || !self.rate.take(Instant::now()) {
                continue;
            }
            let answer = self.dhcp6.handle(&self.plan, &mut self.leases, (*from.ip(), &packet), clock());
            answers.extend(answer.map(|message| (from, message)));
        }
        self.save();
        let Some(socket) = &self.sockets.dhcp6 else { return };
        for (to, message) in answers {
            let _ = rustix::net::sendto(socket, &message, SendFlags::DONTWAIT, &to);
        }
    }

    fn hear_icmp(&mut self) {
        for _ in 0..limits::BATCH {
            let Some((packet, from)) = self.sockets.icmp.as_ref().and_then(receive) else { return };
            let Some(SocketAddr::V6(from)) = from else { continue };
            match packet.first() {
                Some(&ra::SOLICITATION) if packet.len() >= 8 && packet[1] == 0 => {
                    self.solicited(*from.ip());
                }
                _ => self.slaac.receive(*from.ip(), &packet),
            }
        }
    }

    fn solicited(&mut self, from: Ipv6Addr) {
        let now = Instant::now();
        if self.rate.take(now) {
            self.router.solicited(&self.sockets, &self.plan, from, now);
        }
        // Whoever asks for a router is about to give itself an address.
        if let Some(mac) = Mac::of_interface_id(from.to_bits() as u64) {
            self.slaac.wake(mac, now);
        }
    }

    fn hear_dns(&mut self, at: usize) {
        for _ in 0..limits::BATCH {
            let Some((packet, from)) = receive(&self.sockets.dns[at]) else { return };
            let Some(address) = from else { continue };
            let asker = Asker { socket: at, address };
            match self.decide(&packet) {
                Verdict::Answer(answer) => self.reply(&(asker, answer)),
                Verdict::Ignore => {}
                Verdict::Forward(own) => {
                    let now = Instant::now();
                    let usual = self.resolvers.list(&self.plan, now);
                    let resolvers = if own.is_empty() { usual } else { &own };
                    if let Some(reply) = self.forwards.ask(asker, &packet, resolvers, now) {
                        self.reply(&reply);
                    }
                }
            }
        }
    }

    fn decide(&self, packet: &[u8]) -> Verdict {
        let seen = |mac| self.slaac.seen(mac);
        dns::decide(&Zone { plan: &self.plan, leases: &self.leases, seen: &seen }, packet)
    }

    fn reply(&self, (asker, message): &Reply) {
        let _ = rustix::net::sendto(&self.sockets.dns[asker.socket], message, SendFlags::DONTWAIT, &asker.address);
    }

    fn accept(&mut self, at: usize) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(client) = rustix::net::accept_with(&self.sockets.listeners[at], flags) else { return };
        // With all places taken the newest is closed at once: clients come again.
        if self.connections.len() < limits::CONNECTIONS {
            self.connections.push(Connection::new(client, Instant::now()));
        }
    }

    fn advance(&mut self, at: usize) {
        let now = Instant::now();
        let resolvers = self.resolvers.list(&self.plan, now);
        let seen = |mac| self.slaac.seen(mac);
        let zone = Zone { plan: &self.plan, leases: &self.leases, seen: &seen };
        if self.connections[at].advance(&zone, resolvers, now).is_none() {
            self.connections.swap_remove(at);
        }
    }
}

/// The next packet that waits, and where it came from.
fn receive(socket: &OwnedFd) -> Option<(Vec<u8>, Option<SocketAddr>)> {
    let mut buffer = [0; limits::PACKET];
    loop {
        match rustix::net::recvfrom(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((_, length, from)) => {
                let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                return Some((buffer.get(..length)?.to_vec(), from));
            }
            // An error of an earlier packet (a client that is gone), told now.
            Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::HOSTUNREACH | rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// An address of a node on the bridge, for sending.
pub(super) fn on_link(address: Ipv6Addr, ifindex: u32) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(address, 0, 0, ifindex))
}
