//! DHCPv4 (RFC 2131): one packet in, at most one out. Authoritative: a client that asks for what it can't have is told so, and one
//! that asks for a free address gets it, also when its lease was forgotten.

mod frame;
mod options;
mod pool;

pub use frame::frame;

use std::net::{IpAddr, Ipv4Addr};

use dhcproto::v4::{DhcpOption, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};

use super::guard::guarded;
use super::leases::{Client, Entry, Leases};
use super::{limits, names};
use crate::runtime::spec::net::{Mac, NetPlan, V4Plan};

/// The server's port.
pub const SERVER_PORT: u16 = 67;
/// The clients' port.
pub const CLIENT_PORT: u16 = 68;
/// Seconds that an offer is kept for the client.
const OFFER: u64 = 30;
/// Seconds that an address is left alone which a client found in use.
const DECLINE: u64 = 600;
/// Seconds of the shortest lease that a client can ask for.
const SHORTEST: u32 = 120;
/// Bytes of the shortest message: what BOOTP clients expect (RFC 1542, 2.1).
const MIN_MESSAGE: usize = 300;
/// Bytes in front of the options, and the last of them (RFC 2131, 3).
const HEAD: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// The options that are read: name, address, time, kind, server, wishes, identifier, rapid commit, full name.
const READ: [u8; 9] = [12, 50, 51, 53, 54, 55, 61, 80, 81];

/// A message for a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its hardware address, or that of all.
    pub mac: Mac,
    /// Its address, or that of all.
    pub address: Ipv4Addr,
    /// The message.
    pub message: Vec<u8>,
}

/// What DHCPv4 remembers beside the leases: lost with the process, and not missed then.
#[derive(Debug, Default)]
pub struct Dhcp4 {
    offers: Vec<Promise>,
    declined: Vec<(Ipv4Addr, u64)>,
}

/// An address that was offered.
#[derive(Debug)]
struct Promise {
    mac: Mac,
    address: Ipv4Addr,
    until: u64,
}

/// What a client sent, as far as it makes sense.
struct Request {
    message: Message,
    kind: MessageType,
    mac: Mac,
    client: Client,
}

/// The tables and the plan, as one request needs them.
struct Context<'a> {
    plan: &'a NetPlan,
    v4: &'a V4Plan,
    leases: &'a mut Leases,
    now: u64,
}

/// Reads a packet; `None` when it isn't a request that we answer. Relayed ones (RFC 3046) come from beyond the bridge: not ours.
fn decode(packet: &[u8]) -> Option<Request> {
    let message = guarded(&sift(packet)?, |packet| Message::decode(&mut Decoder::new(packet)).ok())?;
    if message.opcode() != Opcode::BootRequest || message.htype() != HType::Eth || message.hlen() != 6 {
        return None;
    }
    let mac = Mac(message.chaddr().try_into().ok()?);
    let ours = message.giaddr().is_unspecified() && mac.0[0] & 1 == 0 && mac != Mac::default();
    let kind = message.opts().msg_type().filter(|_| ours)?;
    let client = match message.opts().get(OptionCode::ClientIdentifier) {
        Some(DhcpOption::ClientIdentifier(id)) if !id.is_empty() => Client::Id(id.clone()),
        _ => Client::Mac(mac),
    };
    Some(Request { message, kind, mac, client })
}

/// The packet with the options alone that are read here: of many others the decoder would make much work, and of some a panic.
fn sift(packet: &[u8]) -> Option<Vec<u8>> {
    let (head, mut options) = packet.split_at_checked(HEAD)?;
    if head[HEAD - MAGIC.len()..] != MAGIC {
        return None;
    }
    let mut sifted = head.to_vec();
    while let [code, rest @ ..] = options {
        // 0 only fills, 255 is the end.
        options = rest;
        match (code, rest) {
            (0, _) => {}
            (255, _) | (_, []) => break,
            (code, [length, ..]) => {
                let Some((content, behind)) = rest[1..].split_at_checked((*length).into()) else { break };
                // A full name has three bytes in front; the decoder counts on that.
                if READ.contains(code) && (*code != 81 || *length >= 3) {
                    sifted.extend([*code, *length]);
                    sifted.extend(content);
                }
                options = behind;
            }
        }
    }
    sifted.push(255);
    Some(sifted)
}

impl Request {
    fn requested(&self) -> Option<Ipv4Addr> {
        match self.message.opts().get(OptionCode::RequestedIpAddress) {
            Some(DhcpOption::RequestedIpAddress(address)) => Some(*address),
            _ => None,
        }
    }

    fn server(&self) -> Option<Ipv4Addr> {
        match self.message.opts().get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(address)) => Some(*address),
            _ => None,
        }
    }

    /// What the client calls itself.
    fn name(&self) -> Option<Vec<u8>> {
        match (self.message.opts().get(OptionCode::Hostname), self.message.opts().get(OptionCode::ClientFQDN)) {
            (Some(DhcpOption::Hostname(name)), _) => Some(name.as_bytes().to_vec()),
            (_, Some(DhcpOption::ClientFQDN(fqdn))) => fqdn.domain().iter().next().map(<[u8]>::to_vec),
            _ => None,
        }
    }

    fn has(&self, code: OptionCode) -> bool {
        self.message.opts().contains(code)
    }

    /// How long the lease is to last: what the client asks for, within bounds.
    fn seconds(&self, v4: &V4Plan) -> u32 {
        match self.message.opts().get(OptionCode::AddressLeaseTime) {
            Some(DhcpOption::AddressLeaseTime(asked)) => v4.expiry.min((*asked).max(SHORTEST)),
            _ => v4.expiry,
        }
    }
}

impl Dhcp4 {
    /// Handles a packet. What it changes in `leases` must be saved before the answer leaves.
    pub fn handle(&mut self, plan: &NetPlan, leases: &mut Leases, packet: &[u8], now: u64) -> Option<Answer> {
        let v4 = plan.v4.as_ref()?;
        let request = decode(packet)?;
        self.offers.retain(|o| o.until > now);
        self.declined.retain(|(_, until)| *until > now);
        let mut context = Context { plan, v4, leases, now };
        match request.kind {
            MessageType::Discover => self.discover(&mut context, &request),
            MessageType::Request => self.request(&mut context, &request),
            MessageType::Inform => Some(answer(&context, &request, MessageType::Ack, None)),
            MessageType::Release => {
                release(&mut context, &request);
                None
            }
            MessageType::Decline => {
                self.decline(&mut context, &request);
                None
            }
            _ => None,
        }
    }

    fn discover(&mut self, context: &mut Context<'_>, request: &Request) -> Option<Answer> {
        let address = self.choose(context, request)?;
        if request.has(OptionCode::RapidCommit) {
            commit(context, request, address);
            return Some(answer(context, request, MessageType::Ack, Some(address)));
        }
        self.offers.retain(|o| o.mac != request.mac);
        if self.offers.len() >= limits::OFFERS {
            self.offers.remove(0);
        }
        self.offers.push(Promise { mac: request.mac, address, until: context.now + OFFER });
        Some(answer(context, request, MessageType::Offer, Some(address)))
    }

    fn request(&mut self, context: &mut Context<'_>, request: &Request) -> Option<Answer> {
        let chosen = request.server();
        if chosen.is_some_and(|server| server != context.v4.address) {
            // It took another server's offer.
            self.offers.retain(|o| o.mac != request.mac);
            return None;
        }
        let current = Some(request.message.ciaddr()).filter(|a| !a.is_unspecified());
        let address = request.requested().or(current)?;
        if !self.may_have(context, request, address) {
            return Some(answer(context, request, MessageType::Nak, None));
        }
        self.offers.retain(|o| o.mac != request.mac);
        commit(context, request, address);
        Some(answer(context, request, MessageType::Ack, Some(address)))
    }

    fn decline(&mut self, context: &mut Context<'_>, request: &Request) {
        let Some(address) = request.requested() else { return };
        let held = context.leases.at(address).is_some_and(|e| e.mac == Some(request.mac));
        let offered = self.offers.iter().any(|o| o.mac == request.mac && o.address == address);
        if !held && !offered {
            return;
        }
        context.leases.remove(|e| e.address == IpAddr::V4(address));
        self.offers.retain(|o| o.mac != request.mac);
        if self.declined.len() >= limits::DECLINED {
            self.declined.remove(0);
        }
        self.declined.push((address, context.now + DECLINE));
    }
}

fn release(context: &mut Context<'_>, request: &Request) {
    let address = IpAddr::V4(request.message.ciaddr());
    context.leases.remove(|e| e.address == address && e.mac == Some(request.mac));
}

fn commit(context: &mut Context<'_>, request: &Request, address: Ipv4Addr) {
    let asked = request.name();
    let seconds = request.seconds(context.v4);
    let expires = if seconds == u32::MAX { 0 } else { context.now + u64::from(seconds) };
    let name = names::name_for(context.plan, Some(request.mac), asked.as_deref());
    // A client that renews without saying its name keeps it.
    let before = context.leases.at(address).filter(|e| e.mac == Some(request.mac)).and_then(|e| e.name.clone());
    let name = name.or_else(|| names::name_for(context.plan, Some(request.mac), before.as_deref().map(str::as_bytes)));
    let entry =
        Entry { client: request.client.clone(), mac: Some(request.mac), address: address.into(), name, expires };
    context.leases.put(entry);
}

fn answer(context: &Context<'_>, request: &Request, kind: MessageType, address: Option<Ipv4Addr>) -> Answer {
    let asked = &request.message;
    let mut message = Message::default();
    message.set_opcode(Opcode::BootReply).set_htype(HType::Eth).set_xid(asked.xid()).set_flags(asked.flags());
    message.set_chaddr(&request.mac.0);
    let nak = kind == MessageType::Nak;
    if !nak {
        message.set_ciaddr(asked.ciaddr()).set_yiaddr(address.unwrap_or(Ipv4Addr::UNSPECIFIED));
        message.set_siaddr(context.v4.address);
        if let Some(boot) = &context.plan.extra.boot {
            message.set_siaddr(boot.server.unwrap_or(context.v4.address));
            message.set_fname_str(&boot.file).set_sname_str(&boot.server_name);
        }
    }
    message.set_opts(options::options(context, request, kind, address));
    let mut bytes = message.to_vec().unwrap_or_default();
    bytes.resize(bytes.len().max(MIN_MESSAGE), 0);
    let current = asked.ciaddr();
    let local = names::in_subnet4(context.v4.address, context.v4.prefix, current) && !current.is_unspecified();
    let (mac, to) = match address {
        _ if nak || (asked.flags().broadcast() && !local) => (Mac([0xff; 6]), Ipv4Addr::BROADCAST),
        _ if local => (request.mac, current),
        Some(address) => (request.mac, address),
        None => (Mac([0xff; 6]), Ipv4Addr::BROADCAST),
    };
    Answer { mac, address: to, message: bytes }
}

#[cfg(test)]
mod tests;
