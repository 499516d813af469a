//! DNS: answers for the bridge's own names, and the decision to forward everything else.

pub mod forward;
pub mod resolv;
pub mod tcp;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NULL, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::guard::guarded;
use super::leases::Leases;
use super::names;
use crate::runtime::spec::net::{DnsMode, Domain, Mac, NetPlan};

/// The port.
pub const PORT: u16 = 53;
/// Bytes of a message's header.
pub const HEADER: usize = 12;
/// Addresses in one answer, at most: fits in the 512 bytes that every client takes.
const MAX_ANSWERS: usize = 12;
/// Names that stand for another name, one after the other, at most.
const MAX_ALIASES: usize = 8;

/// What is to be done with a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send this back.
    Answer(Vec<u8>),
    /// Ask these resolvers; the usual ones when there are none.
    Forward(Vec<SocketAddr>),
    /// Nothing: it is no question.
    Ignore,
}

/// What the names are made of.
pub struct Zone<'a> {
    /// The plan.
    pub plan: &'a NetPlan,
    /// The leases.
    pub leases: &'a Leases,
    /// Which of the addresses that interfaces give themselves answer.
    pub seen: &'a dyn Fn(Mac) -> Option<Ipv6Addr>,
}

/// Decides what to do with a packet.
pub fn decide(zone: &Zone<'_>, packet: &[u8]) -> Verdict {
    let Some(header) = packet.get(..HEADER) else { return Verdict::Ignore };
    if header[2] & 0x80 != 0 {
        return Verdict::Ignore;
    }
    let opcode = header[2] >> 3 & 0xf;
    if opcode != 0 {
        return Verdict::Answer(refusal(packet, ResponseCode::NotImp));
    }
    let Some(query) = question(packet) else { return Verdict::Answer(refusal(packet, ResponseCode::FormErr)) };
    if query.query_class() != DNSClass::IN {
        return Verdict::Answer(refusal(packet, ResponseCode::Refused));
    }
    let ttl = zone.plan.dns.as_ref().map_or(0, |dns| dns.ttl);
    match follow(zone, &query).map_or_else(|| beyond(zone.plan, &query), Beyond::Known) {
        Beyond::Known(found) => Verdict::Answer(answer(header, query, found, ttl)),
        Beyond::Ask(servers) => Verdict::Forward(servers),
    }
}

/// The question of a packet that has exactly one.
pub fn question(packet: &[u8]) -> Option<Query> {
    if packet.get(4..6)? != [0, 1] {
        return None;
    }
    guarded(packet, read_question).map(|(query, _)| query)
}

/// The question, and where it ends.
fn read_question(packet: &[u8]) -> Option<(Query, usize)> {
    let mut decoder = BinDecoder::new(packet);
    decoder.read_slice(HEADER).ok()?;
    let query = Query::read(&mut decoder).ok()?;
    Some((query, decoder.index()))
}

/// Where the question of a packet ends; `None` when it hasn't one.
pub fn question_end(packet: &[u8]) -> Option<usize> {
    guarded(packet, read_question).map(|(_, end)| end)
}

/// An answer without content: header and, where it can be read, the question.
pub fn refusal(packet: &[u8], code: ResponseCode) -> Vec<u8> {
    let id = packet.get(..2).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
    let flags = packet.get(2).copied().unwrap_or(0);
    let mut message = Message::error_msg(id, OpCode::from_u8(flags >> 3 & 0xf), code);
    message.metadata.recursion_desired = flags & 1 != 0;
    message.metadata.recursion_available = true;
    if let Some(query) = question(packet) {
        message.add_query(query);
    }
    message.to_vec().unwrap_or_default()
}

/// What we know of a name.
struct Found {
    code: ResponseCode,
    /// Names that stand for the next one, and at last for the one that has the records.
    aliases: Vec<Name>,
    records: Vec<RData>,
}

impl Found {
    fn new(code: ResponseCode, records: Vec<RData>) -> Found {
        Found { code, aliases: Vec::new(), records }
    }
}

// Seconds that clients may remember our names are none unless somebody wants it so: a lease can end at any time.
fn answer(header: &[u8], query: Query, found: Found, ttl: u32) -> Vec<u8> {
    let mut message = Message::response(u16::from_be_bytes([header[0], header[1]]), OpCode::Query);
    message.metadata.recursion_desired = header[2] & 1 != 0;
    message.metadata.recursion_available = true;
    message.metadata.authoritative = true;
    message.metadata.response_code = found.code;
    let mut name = query.name().clone();
    message.add_query(query);
    for target in found.aliases {
        message.add_answer(Record::from_rdata(name, ttl, RData::CNAME(CNAME(target.clone()))));
        name = target;
    }
    let records = found.records.into_iter().take(MAX_ANSWERS);
    message.add_answers(records.map(|data| Record::from_rdata(name.clone(), ttl, data)));
    message.to_vec().unwrap_or_default()
}

/// What we know of the question, also where its name stands for another one; `None` when it isn't ours.
fn follow(zone: &Zone<'_>, query: &Query) -> Option<Found> {
    let dns = zone.plan.dns.as_ref()?;
    let (mut name, kind) = (query.name().to_lowercase(), query.query_type());
    let mut aliases = Vec::new();
    while aliases.len() < MAX_ALIASES {
        let text = plain(&name);
        let Some((_, target)) = dns.aliases.iter().find(|(alias, _)| *alias == text) else { break };
        name = Name::from_ascii(format!("{target}.")).ok()?;
        aliases.push(name.clone());
        if kind == RecordType::CNAME {
            return Some(Found { code: ResponseCode::NoError, aliases, records: Vec::new() });
        }
    }
    let found = lookup(zone, &name, kind);
    if aliases.is_empty() {
        return found;
    }
    let records = found.map_or_else(Vec::new, |found| found.records);
    Some(Found { code: ResponseCode::NoError, aliases, records })
}

/// A name in lower case without the last dot.
fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// What is to be done with a question that isn't ours.
enum Beyond {
    Known(Found),
    Ask(Vec<SocketAddr>),
}

/// What the plan says of names that nobody here has.
fn beyond(plan: &NetPlan, query: &Query) -> Beyond {
    let Some(dns) = &plan.dns else { return Beyond::Ask(Vec::new()) };
    let (name, kind) = (query.name().to_lowercase(), query.query_type());
    let unknown = Beyond::Known(Found::new(ResponseCode::NXDomain, Vec::new()));
    let text = plain(&name);
    let within = |domain: &Domain| {
        let rest = text.strip_suffix(domain.name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let rule = dns.domains.iter().filter(|d| within(d)).max_by_key(|d| d.name.len());
    match rule {
        Some(rule) if !rule.servers.is_empty() => return Beyond::Ask(rule.servers.clone()),
        Some(rule) if rule.addresses.is_empty() => return unknown,
        Some(rule) => return Beyond::Known(forward_records(&rule.addresses, kind)),
        None => {}
    }
    let short = dns.whole_names && !text.is_empty() && !text.contains('.');
    let private = dns.private_stays && reverse(&name).is_some_and(is_private);
    if (short && matches!(kind, RecordType::A | RecordType::AAAA)) || private {
        return unknown;
    }
    Beyond::Ask(Vec::new())
}

/// Whether an address means something only at home (RFC 1918, RFC 4193, link-local ones).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_private() || a.is_link_local() || a.is_loopback(),
        IpAddr::V6(a) => a.is_unique_local() || a.is_unicast_link_local() || a.is_loopback(),
    }
}

/// What we know of a name; `None` when it isn't ours.
fn lookup(zone: &Zone<'_>, name: &Name, kind: RecordType) -> Option<Found> {
    let dns = zone.plan.dns.as_ref()?;
    let text = plain(name);
    let data = dns.data.iter().filter(|(n, k, _)| *n == text && *k == u16::from(kind));
    let data = data.map(|(_, k, bytes)| RData::Unknown { code: (*k).into(), rdata: NULL::with(bytes.clone()) });
    let data: Vec<RData> = data.collect();
    if !data.is_empty() {
        return Some(Found::new(ResponseCode::NoError, data));
    }
    if let Some(address) = reverse(name) {
        return reverse_lookup(zone, &dns.domain, address, kind);
    }
    let text = text.as_str();
    let records: Vec<IpAddr> =
        dns.records.iter().filter(|(n, _)| n.trim_end_matches('.').eq_ignore_ascii_case(text)).map(|r| r.1).collect();
    if !records.is_empty() {
        return Some(forward_records(&records, kind));
    }
    if dns.mode == DnsMode::None {
        return None;
    }
    let domain = dns.domain.to_ascii_lowercase();
    let addresses = |label: &str| names::addresses(zone.plan, zone.leases, zone.seen, label);
    if !domain.is_empty() && text == domain {
        return Some(Found::new(ResponseCode::NoError, Vec::new()));
    }
    let below = text.strip_suffix(&domain).and_then(|rest| rest.strip_suffix('.')).filter(|_| !domain.is_empty());
    match below {
        Some(label) => Some(match addresses(label) {
            found if found.is_empty() => Found::new(ResponseCode::NXDomain, Vec::new()),
            found => forward_records(&found, kind),
        }),
        // Short names too, as dnsmasq does it; those nobody has may be names of the outside.
        None if !text.contains('.') => {
            Some(addresses(text)).filter(|f| !f.is_empty()).map(|f| forward_records(&f, kind))
        }
        None => None,
    }
}

fn forward_records(addresses: &[IpAddr], kind: RecordType) -> Found {
    let any = kind == RecordType::ANY;
    let data = |address: &IpAddr| match address {
        IpAddr::V4(a) if any || kind == RecordType::A => Some(RData::A(A(*a))),
        IpAddr::V6(a) if any || kind == RecordType::AAAA => Some(RData::AAAA(AAAA(*a))),
        _ => None,
    };
    Found::new(ResponseCode::NoError, addresses.iter().filter_map(data).collect())
}

fn reverse_lookup(zone: &Zone<'_>, domain: &str, address: IpAddr, kind: RecordType) -> Option<Found> {
    // Addresses of our own networks are nobody else's business.
    if !names::is_local(zone.plan, address) && !zone.plan.addresses.contains(&address) {
        return None;
    }
    let name = names::name_of(zone.plan, zone.leases, zone.seen, address);
    let full = name.and_then(|label| Name::from_ascii(format!("{label}.{domain}.")).ok());
    Some(match full {
        None => Found::new(ResponseCode::NXDomain, Vec::new()),
        Some(_) if kind != RecordType::PTR && kind != RecordType::ANY => Found::new(ResponseCode::NoError, Vec::new()),
        Some(full) => Found::new(ResponseCode::NoError, vec![RData::PTR(PTR(full))]),
    })
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for; `None` for others, and for those of whole networks.
fn reverse(name: &Name) -> Option<IpAddr> {
    if !matches!(name.num_labels(), 6 | 34) {
        return None;
    }
    let net = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

#[cfg(test)]
mod tests;
