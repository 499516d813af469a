//! The server of zones: gives those that a zone names as its peers the zone, and nobody anything else.
//!
//! It answers zone transfers (AXFR, and IXFR with all of it) over TCP, and what a zone's serial number is. Guests and
//! their clients ask the servers that copy zones from here.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncodable;

use super::{Networks, nics};
use crate::api::config::is_true;
use crate::api::types::NetworkLease;
use crate::order::Gather;
use crate::runtime::network::bridge::{Bridge, Family};
use crate::runtime::network::dns::answer;
use crate::runtime::network::dns::content::{self, Host};
use crate::runtime::network::dns::question::{Heard, Question, Wish, read};
use crate::runtime::network::dns::tsig::{Key, Signer};
use crate::store::records::{NetworkRecord, ZoneRecord};
use crate::store::repo;
use crate::{Error, Result};

/// How long the helpers of the bridges may take to tell who has which address.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serial numbers: each zone's, and what it was for.
#[derive(Debug, Default)]
pub(super) struct Serials(Mutex<BTreeMap<u64, (u64, u32)>>);

impl Serials {
    /// The number of a zone with this content: a new one, the time, when it isn't what it was.
    fn of(&self, zone: u64, content: u64, now: u64) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Numbers go round (RFC 1982), so that the time's lower half is enough.
        let time = u32::try_from(now & u64::from(u32::MAX)).unwrap_or_default();
        let serial = match all.get(&zone) {
            Some((same, serial)) if *same == content => *serial,
            // Two changes in one second.
            Some((_, serial)) if time.wrapping_sub(*serial) as i32 <= 0 => serial.wrapping_add(1),
            _ => time,
        };
        all.insert(zone, (content, serial));
        serial
    }
}

/// How a question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In one packet, from an address that may be forged.
    Udp,
    /// On a connection.
    Tcp,
}

impl Networks {
    /// What to send back to `from` for a packet; nothing for what isn't a question.
    pub(super) async fn answer(&self, packet: &[u8], from: IpAddr, way: Way) -> Vec<Vec<u8>> {
        let refusal = |question: Option<&Question>, code| vec![answer::refusal(packet, question, code)];
        let question = match read(packet) {
            Heard::Question(question) => question,
            Heard::Other => return refusal(None, ResponseCode::NotImp),
            Heard::Malformed => return refusal(None, ResponseCode::FormErr),
            Heard::Nothing => return Vec::new(),
        };
        let Some((zone, key)) = self.allowed(&question, from) else {
            tracing::debug!(%from, zone = %question.query.name(), "Refused to tell of a zone");
            return refusal(Some(&question), ResponseCode::NXDomain);
        };
        let signer = key.zip(question.signed.as_ref()).map(|(key, signed)| Signer::new(signed, key));
        match tokio::time::timeout(PATIENCE, self.content(&zone)).await {
            Ok(Ok((soa, records))) => tell(&question, way, soa, records, signer),
            Ok(Err(e)) => {
                tracing::warn!(zone = %zone.name, "Failed putting a zone together: {}", e.chain());
                refusal(Some(&question), ResponseCode::ServFail)
            }
            Err(_) => refusal(Some(&question), ResponseCode::ServFail),
        }
    }

    /// The zone that is asked for, when one of its peers asks; and the key that was signed with.
    fn allowed(&self, question: &Question, from: IpAddr) -> Option<(ZoneRecord, Option<Key>)> {
        let wanted = question.query.name();
        let zones = self.db.view(repo::network_zones::list).ok()?;
        let zone = zones.into_iter().find(|z| content::apex(z).is_some_and(|apex| apex.eq_ignore_root(wanted)))?;
        let peers = peers(&zone);
        let names: Vec<(&str, Option<Key>)> =
            peers.iter().map(|(name, peer)| (*name, peer.key.and_then(|k| Key::new(&zone.name, name, k)))).collect();
        let signed = question.signed.as_ref();
        let by = names.iter().find(|(_, key)| key.as_ref().zip(signed).is_some_and(|(key, s)| s.by(key, now())));
        let may = peers.iter().any(|(name, peer)| {
            let here = peer.address.is_none_or(|a| a == from);
            here && (peer.key.is_none() || by.is_some_and(|(signer, _)| signer == name))
        });
        let key = by.and_then(|(_, key)| key.clone());
        may.then_some((zone, key))
    }

    /// A zone's SOA record, and all the others.
    async fn content(&self, zone: &ZoneRecord) -> Result<(Record, Vec<Record>)> {
        let (networks, entries) = self
            .db
            .view(|v| Ok((repo::networks::list(v, Some(&zone.project))?, repo::network_zones::records(v, zone.id)?)))?;
        let mut hosts = Vec::new();
        let using =
            |n: &NetworkRecord| n.kind == "bridge" && Bridge(&n.config).zones().iter().any(|z| z.1 == zone.name);
        for network in networks.into_iter().filter(using) {
            hosts.extend(self.hosts(zone, &network).await?);
        }
        let records = content::records(zone, &hosts, &entries);
        let mut hasher = DefaultHasher::new();
        for record in content::soa(zone, 0).iter().chain(&records) {
            record.to_bytes().unwrap_or_default().hash(&mut hasher);
        }
        let serial = self.dns.serials.of(zone.id, hasher.finish(), now());
        let soa = content::soa(zone, serial).ok_or_else(|| Error::internal("Zone's name is no domain name"))?;
        Ok((soa, records))
    }

    /// Who is on a network: itself, and instances of its own project.
    async fn hosts(&self, zone: &ZoneRecord, network: &NetworkRecord) -> Result<Vec<Host>> {
        let leases = self.leases(&network.project, &network.name).await?;
        let nics = self.db.view(|v| nics::on(v, &network.name))?;
        let own = nics.iter().filter(|nic| nic.project == network.project).filter_map(|nic| nic.hwaddr.as_deref());
        let own: BTreeSet<String> = own.map(str::to_ascii_lowercase).gather();
        let bridge = Bridge(&network.config);
        let hidden = zone.config.get("network.nat").is_some_and(|v| !v.is_empty() && !is_true(v));
        let shown = |address: IpAddr| !hidden || !bridge.nat(if address.is_ipv4() { Family::V4 } else { Family::V6 });
        let host = |lease: NetworkLease| {
            let known = lease.hwaddr.is_empty() || own.contains(&lease.hwaddr.to_ascii_lowercase());
            let address: IpAddr = lease.address.parse().ok()?;
            let forward = bridge.text("dns.zone.forward").map(str::to_owned);
            (known && !lease.hostname.is_empty() && shown(address)).then_some(Host {
                name: lease.hostname,
                address,
                forward,
            })
        };
        Ok(leases.into_iter().filter_map(host).collect())
    }
}

/// Packs what is wanted.
fn tell(question: &Question, way: Way, soa: Record, records: Vec<Record>, signer: Option<Signer>) -> Vec<Vec<u8>> {
    let serial = match &soa.data {
        hickory_proto::rr::RData::SOA(soa) => Some(soa.serial),
        _ => None,
    };
    let all = match (question.wish, way) {
        (Wish::All, Way::Udp) => return vec![answer::too_long(question)],
        // A lone SOA record says: nothing new, or ask over TCP (RFC 1995 sections 2 and 4).
        (Wish::State, _) | (Wish::Since(_), Way::Udp) => vec![soa],
        (Wish::Since(known), Way::Tcp) if known.is_some() && known == serial => vec![soa],
        (Wish::All | Wish::Since(_), Way::Tcp) => {
            std::iter::once(soa.clone()).chain(records).chain(std::iter::once(soa)).collect()
        }
    };
    answer::messages(question, &all, signer, now())
}

/// Who may have a zone: with an address, those from there; with a key, those that sign with it.
struct Peer<'a> {
    address: Option<IpAddr>,
    key: Option<&'a str>,
}

fn peers(zone: &ZoneRecord) -> BTreeMap<&str, Peer<'_>> {
    let mut peers: BTreeMap<&str, Peer<'_>> = BTreeMap::new();
    for (key, value) in zone.config.iter().filter(|(_, value)| !value.is_empty()) {
        let Some((name, what)) = key.strip_prefix("peers.").and_then(|rest| rest.rsplit_once('.')) else { continue };
        let peer = peers.entry(name).or_insert(Peer { address: None, key: None });
        match (what, value.parse()) {
            ("address", Ok(address)) => peer.address = Some(address),
            ("key", _) => peer.key = Some(value),
            _ => {}
        }
    }
    peers
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_only_go_up_and_only_with_changes() {
        let serials = Serials::default();
        assert_eq!(serials.of(1, 10, 100), 100);
        assert_eq!(serials.of(1, 10, 200), 100);
        assert_eq!(serials.of(1, 11, 200), 200);
        assert_eq!(serials.of(1, 12, 200), 201);
        assert_eq!(serials.of(1, 13, 150), 202);
        assert_eq!(serials.of(2, 13, 150), 150);
    }

    #[test]
    fn peers_are_read() {
        let keys =
            [("peers.a.address", "10.0.0.1"), ("peers.a.key", "eA=="), ("peers.b.c.key", "eQ=="), ("user.x", "y")];
        let config = keys.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let zone = ZoneRecord { config, ..ZoneRecord::default() };
        let peers = peers(&zone);
        let shown: Vec<_> = peers.iter().map(|(n, p)| (*n, p.address.is_some(), p.key)).collect();
        assert_eq!(shown, [("a", true, Some("eA==")), ("b.c", false, Some("eQ=="))]);
    }
}
