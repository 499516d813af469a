//! DHCPv6 (RFC 8415): one packet in, at most one out, to where it came from.
//!
//! Without `ipv6.dhcp.stateful` it tells resolver and search list only, and that there are no addresses.

mod pool;
mod sift;

use std::net::{IpAddr, Ipv6Addr};

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType, OptionCode, Status, StatusCode, UnknownOption,
};
use dhcproto::{Decodable, Decoder, Encodable, Name};

use super::guard::guarded;
use super::lease_file::mac_of_duid;
use super::leases::{Client, Entry, Leases};
use super::{limits, names};
use crate::runtime::spec::net::{DnsMode, Mac, NetPlan, V6Mode, V6Plan};

/// The server's port.
pub const SERVER_PORT: u16 = 547;
/// All servers and relays of a link.
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// Associations of one message that are answered.
const ASSOCIATIONS: usize = 4;
/// Bytes of a DUID, at most (RFC 8415, 11.1).
const MAX_DUID: usize = 130;
/// Seconds that an address is left alone which a client found in use.
const DECLINE: u64 = 600;

/// What DHCPv6 remembers beside the leases.
#[derive(Debug)]
pub struct Dhcp6 {
    duid: Vec<u8>,
    declined: Vec<(Ipv6Addr, u64)>,
}

/// What a client sent, as far as it makes sense.
struct Request {
    kind: MessageType,
    xid: [u8; 3],
    duid: Vec<u8>,
    /// Its hardware address, as far as its identifier or its own address says it.
    mac: Option<Mac>,
    name: Option<Vec<u8>>,
    server: Option<Vec<u8>>,
    rapid: bool,
    prefixes: bool,
    associations: Vec<Association>,
}

/// What a client has, or wants, under one number.
struct Association {
    id: u32,
    addresses: Vec<Ipv6Addr>,
}

/// The tables and the plan, as one request needs them.
struct Context<'a> {
    plan: &'a NetPlan,
    v6: &'a V6Plan,
    leases: &'a mut Leases,
    now: u64,
}

fn decode(packet: &[u8], from: Ipv6Addr) -> Option<Request> {
    // Relays (types 12 and 13) have another form, and come from beyond the bridge.
    if !matches!(packet.first(), Some(1..=11)) {
        return None;
    }
    let message = guarded(&sift::sift(packet)?, |packet| Message::decode(&mut Decoder::new(packet)).ok())?;
    let mut request = Request {
        kind: message.msg_type(),
        xid: message.xid(),
        duid: Vec::new(),
        mac: None,
        name: None,
        server: None,
        rapid: false,
        prefixes: false,
        associations: Vec::new(),
    };
    for option in message.opts().iter() {
        match option {
            DhcpOption::ClientId(id) if id.len() <= MAX_DUID => request.duid.clone_from(id),
            DhcpOption::ServerId(id) => request.server = Some(id.clone()),
            DhcpOption::RapidCommit => request.rapid = true,
            DhcpOption::IAPD(_) => request.prefixes = true,
            DhcpOption::IANA(wanted) if request.associations.len() < ASSOCIATIONS => {
                let address = |o: &DhcpOption| if let DhcpOption::IAAddr(a) = o { Some(a.addr) } else { None };
                let addresses = wanted.opts.iter().filter_map(address).take(ASSOCIATIONS).collect();
                request.associations.push(Association { id: wanted.id, addresses });
            }
            // The client's full name (RFC 4704): a byte of flags, then labels.
            DhcpOption::Unknown(other) if u16::from(other.code()) == 39 => {
                let label = other.data().get(2..).zip(other.data().get(1));
                request.name = label.and_then(|(rest, length)| rest.get(..usize::from(*length))).map(<[u8]>::to_vec);
            }
            _ => {}
        }
    }
    let own = Mac::of_interface_id(from.to_bits() as u64).filter(|_| from.is_unicast_link_local());
    request.mac = own.or_else(|| mac_of_duid(&request.duid));
    Some(request)
}

impl Dhcp6 {
    /// With the server's identifier from the lease file; a new one is made when there is none.
    pub fn new(duid: Option<Vec<u8>>, mac: Mac, now: u64) -> Dhcp6 {
        let fresh = || {
            // Of the link layer and the time, which counts from 2000 (RFC 8415, 11.2).
            let time = now.saturating_sub(946_684_800) as u32;
            [&[0, 1, 0, 1][..], &time.to_be_bytes(), &mac.0].concat()
        };
        Dhcp6 { duid: duid.unwrap_or_else(fresh), declined: Vec::new() }
    }

    /// The server's identifier.
    pub fn duid(&self) -> &[u8] {
        &self.duid
    }

    /// Handles a packet from a client's link-local address. What it changes in `leases` must be saved before the answer leaves.
    pub fn handle(
        &mut self,
        plan: &NetPlan,
        leases: &mut Leases,
        (from, packet): (Ipv6Addr, &[u8]),
        now: u64,
    ) -> Option<Vec<u8>> {
        let v6 = plan.v6.as_ref().filter(|v6| v6.mode != V6Mode::Slaac)?;
        let request = decode(packet, from)?;
        self.declined.retain(|(_, until)| *until > now);
        if !self.is_for_us(&request) {
            return None;
        }
        let mut context = Context { plan, v6, leases, now };
        let mut told = self.tell(&context, &request);
        let kind = self.act(&mut context, &request, &mut told)?;
        let mut message = Message::new_with_id(kind, request.xid);
        let own = &plan.extra.options6;
        told.retain(|option| own.iter().all(|(code, _)| OptionCode::from(option) != OptionCode::from(*code)));
        let own = own.iter().filter(|(_, content)| !content.is_empty());
        told.extend(
            own.map(|(code, content)| DhcpOption::Unknown(UnknownOption::new((*code).into(), content.clone()))),
        );
        told.into_iter().for_each(|option| message.opts_mut().insert(option));
        message.to_vec().ok()
    }

    /// Whether the message names client and server as its kind must (RFC 8415, 16).
    fn is_for_us(&self, request: &Request) -> bool {
        use MessageType::*;
        let server = request.server.as_deref();
        match request.kind {
            Solicit | Confirm | Rebind => !request.duid.is_empty() && server.is_none(),
            Request | Renew | Release | Decline => !request.duid.is_empty() && server == Some(self.duid()),
            InformationRequest => server.is_none_or(|s| s == self.duid()),
            _ => false,
        }
    }

    /// What every answer says.
    fn tell(&self, context: &Context<'_>, request: &Request) -> Vec<DhcpOption> {
        let mut told = vec![DhcpOption::ServerId(self.duid.clone())];
        if !request.duid.is_empty() {
            told.push(DhcpOption::ClientId(request.duid.clone()));
        }
        if let Some(dns) = &context.plan.dns {
            told.push(DhcpOption::DomainNameServers(vec![context.v6.address]));
            let list = search_list(context.plan);
            if dns.mode != DnsMode::None && !list.is_empty() {
                told.push(DhcpOption::DomainSearchList(list));
            }
        }
        if request.prefixes {
            told.push(status(Status::NoPrefixAvail, "no prefixes to delegate"));
        }
        told
    }

    /// Carries it out; says the kind of the answer.
    fn act(&mut self, context: &mut Context<'_>, request: &Request, told: &mut Vec<DhcpOption>) -> Option<MessageType> {
        use MessageType::*;
        match request.kind {
            Solicit => {
                let commit = request.rapid;
                if commit {
                    told.push(DhcpOption::RapidCommit);
                }
                self.assign(context, request, commit, told);
                Some(if commit { Reply } else { Advertise })
            }
            Request | Renew | Rebind => {
                self.assign(context, request, true, told);
                Some(Reply)
            }
            Confirm => {
                let on_link = |a: &Ipv6Addr| names::in_subnet6(context.v6.address, context.v6.prefix, *a);
                let mut all = request.associations.iter().flat_map(|a| &a.addresses).peekable();
                all.peek()?;
                let good = all.all(on_link);
                let (code, text) =
                    if good { (Status::Success, "on this link") } else { (Status::NotOnLink, "not on this link") };
                told.push(status(code, text));
                Some(Reply)
            }
            Release | Decline => {
                self.take_back(context, request, told);
                Some(Reply)
            }
            InformationRequest => Some(Reply),
            _ => None,
        }
    }

    fn assign(&self, context: &mut Context<'_>, request: &Request, commit: bool, told: &mut Vec<DhcpOption>) {
        // Promises of one message must not be the same address twice.
        let mut promised = Vec::new();
        for association in &request.associations {
            let address = self.choose(context, request, association, &promised);
            let V6Mode::Stateful { expiry, .. } = &context.v6.mode else {
                told.push(nothing(association.id));
                continue;
            };
            let Some(address) = address else {
                told.push(nothing(association.id));
                continue;
            };
            promised.push(address);
            if commit {
                put(context, request, association.id, (address, *expiry));
            }
            told.push(lease(association, address, *expiry));
        }
    }

    fn take_back(&mut self, context: &mut Context<'_>, request: &Request, told: &mut Vec<DhcpOption>) {
        for association in &request.associations {
            let client = Client::Duid(request.duid.clone(), association.id);
            let held =
                |e: &Entry| e.client == client && association.addresses.iter().any(|a| e.address == IpAddr::V6(*a));
            let removed = context.leases.remove(held);
            if removed > 0 && request.kind == MessageType::Decline {
                let until = context.now + DECLINE;
                self.declined.extend(association.addresses.iter().take(removed).map(|a| (*a, until)));
                let excess = self.declined.len().saturating_sub(limits::DECLINED);
                self.declined.drain(..excess);
            }
        }
        told.push(status(Status::Success, "done"));
    }
}

fn put(context: &mut Context<'_>, request: &Request, association: u32, (address, expiry): (Ipv6Addr, u32)) {
    let client = Client::Duid(request.duid.clone(), association);
    let before = context.leases.of(&client).and_then(|e| e.name.clone());
    let asked = request.name.clone().or(before.map(String::into_bytes));
    let name = names::name_for(context.plan, request.mac, asked.as_deref());
    let expires = if expiry == u32::MAX { 0 } else { context.now + u64::from(expiry) };
    context.leases.put(Entry { client, mac: request.mac, address: address.into(), name, expires });
}

fn lease(association: &Association, address: Ipv6Addr, expiry: u32) -> DhcpOption {
    let part = |of: u64| if expiry == u32::MAX { u32::MAX } else { (u64::from(expiry) * of / 10) as u32 };
    let given = |addr, life| {
        DhcpOption::IAAddr(IAAddr { addr, preferred_life: life, valid_life: life, opts: DhcpOptions::new() })
    };
    // What it had and can't keep is told to be over.
    let over = association.addresses.iter().filter(|a| **a != address).map(|a| given(*a, 0));
    let opts: DhcpOptions = [given(address, expiry)].into_iter().chain(over).collect();
    DhcpOption::IANA(IANA { id: association.id, t1: part(5), t2: part(8), opts })
}

fn nothing(association: u32) -> DhcpOption {
    let opts = [status(Status::NoAddrsAvail, "no addresses available")].into_iter().collect();
    DhcpOption::IANA(IANA { id: association, t1: 0, t2: 0, opts })
}

fn status(status: Status, msg: &str) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: msg.to_owned() })
}

/// The domains in which clients are to look for short names.
pub fn search_list(plan: &NetPlan) -> Vec<Name> {
    let Some(dns) = &plan.dns else { return Vec::new() };
    let own = std::slice::from_ref(&dns.domain);
    let list = if dns.search.is_empty() { own } else { &dns.search[..] };
    list.iter().filter(|d| !d.is_empty()).filter_map(|d| Name::from_ascii(d).ok()).collect()
}

#[cfg(test)]
mod tests;
