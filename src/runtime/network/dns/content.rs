//! What a zone has: names of guests and networks, or of their addresses, and the records that people made.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, NS, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record};

use super::value;
use crate::store::records::{ZoneEntriesRecord, ZoneRecord};

/// Seconds that what is said of a zone itself, and of a name without a word about it, may be remembered.
const TTL_ZONE: u32 = 3600;
/// See [`TTL_ZONE`].
const TTL: u32 = 300;

/// A host on a network that has names in the zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Its name on its network: `c1`, or `lxdbr0.gw` for the network itself.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// The zone of the network's names (`dns.zone.forward`).
    pub forward: Option<String>,
}

/// The name of a zone, complete.
pub fn apex(zone: &ZoneRecord) -> Option<Name> {
    complete(&zone.name)
}

/// A name as people write it, which is never relative here.
fn complete(text: &str) -> Option<Name> {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).ok()
}

/// The records of a zone without its SOA record, each once. What can't be a name is left out.
pub fn records(zone: &ZoneRecord, hosts: &[Host], entries: &[ZoneEntriesRecord]) -> Vec<Record> {
    let Some(apex) = apex(zone) else { return Vec::new() };
    let server = |name| Some(Record::from_rdata(apex.clone(), TTL, RData::NS(NS(complete(name)?))));
    let servers: Vec<Record> = nameservers(zone).into_iter().filter_map(server).collect();
    let hosts = hosts.iter().filter_map(|h| if is_reverse(&apex) { pointer(&apex, h) } else { address(&apex, h) });
    let made = entries.iter().flat_map(|e| entry(&apex, e));
    let mut all: Vec<Record> = Vec::new();
    for record in servers.into_iter().chain(hosts).chain(made) {
        if !all.contains(&record) {
            all.push(record);
        }
    }
    all
}

/// The SOA record, with LXD's times: secondaries look every two minutes.
pub fn soa(zone: &ZoneRecord, serial: u32) -> Option<Record> {
    let apex = apex(zone)?;
    // LXD has the first server's name in the mailbox's place; secondaries look at neither.
    let mailbox = match nameservers(zone).first() {
        Some(server) => complete(server)?,
        None => Name::from_ascii("hostmaster").ok()?.append_domain(&apex).ok()?,
    };
    let soa = SOA::new(apex.clone(), mailbox, serial, 120, 60, 86400, 30);
    Some(Record::from_rdata(apex, TTL_ZONE, RData::SOA(soa)))
}

fn nameservers(zone: &ZoneRecord) -> Vec<&str> {
    let list = zone.config.get("dns.nameservers").map_or("", String::as_str);
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

fn is_reverse(apex: &Name) -> bool {
    let text = apex.to_ascii().to_ascii_lowercase();
    text.ends_with(".in-addr.arpa.") || text.ends_with(".ip6.arpa.")
}

fn address(apex: &Name, host: &Host) -> Option<Record> {
    let name = Name::from_ascii(&host.name).ok()?.append_domain(apex).ok()?;
    let data = match host.address {
        IpAddr::V4(a) => RData::A(A(a)),
        IpAddr::V6(a) => RData::AAAA(AAAA(a)),
    };
    Some(Record::from_rdata(name, TTL, data))
}

/// The name of an address, when it lies in the zone and its network has names.
fn pointer(apex: &Name, host: &Host) -> Option<Record> {
    let mut name = Name::from(host.address);
    name.set_fqdn(true);
    let forward = complete(host.forward.as_deref()?)?;
    let target = Name::from_ascii(&host.name).ok()?.append_domain(&forward).ok()?;
    apex.zone_of(&name).then(|| Record::from_rdata(name, TTL, RData::PTR(PTR(target))))
}

fn entry(apex: &Name, record: &ZoneEntriesRecord) -> Vec<Record> {
    let name = match record.name.as_str() {
        "@" => Some(apex.clone()),
        name => Name::from_ascii(name.trim_end_matches('.')).and_then(|n| n.append_domain(apex)).ok(),
    };
    let Some(name) = name else { return Vec::new() };
    let ttl = |ttl: u64| u32::try_from(ttl).ok().filter(|t| *t > 0).unwrap_or(TTL);
    let entries = record.entries.iter();
    let data = entries.filter_map(|e| Some((ttl(e.ttl), value::parse(&e.kind, &e.value, apex).ok()?)));
    data.map(|(ttl, data)| Record::from_rdata(name.clone(), ttl, data)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::NetworkZoneRecordEntry;

    fn zone(name: &str, config: &[(&str, &str)]) -> ZoneRecord {
        let config = config.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        ZoneRecord { name: name.into(), config, ..ZoneRecord::default() }
    }

    fn host(name: &str, address: &str) -> Host {
        let forward = Some("z.example.net".to_owned());
        Host { name: name.into(), address: address.parse().unwrap(), forward }
    }

    fn shown(records: &[Record]) -> Vec<String> {
        records.iter().map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data)).collect()
    }

    #[test]
    fn a_forward_zone_has_addresses_servers_and_records() {
        let entry =
            |kind: &str, value: &str, ttl| NetworkZoneRecordEntry { kind: kind.into(), value: value.into(), ttl };
        let www = ZoneEntriesRecord {
            name: "www".into(),
            entries: vec![entry("A", "1.2.3.4", 60), entry("CNAME", "other", 0), entry("NOPE", "", 0)],
            ..ZoneEntriesRecord::default()
        };
        let at = ZoneEntriesRecord { name: "@".into(), entries: vec![entry("MX", "10 mail", 0)], ..www.clone() };
        let zone = zone("z.example.net", &[("dns.nameservers", "ns1.example.net, ns2.example.net.")]);
        let hosts = [host("n.gw", "10.0.0.1"), host("c1", "fd42::2"), host("c1", "fd42::2")];
        let want = [
            "z.example.net. 300 NS ns1.example.net.",
            "z.example.net. 300 NS ns2.example.net.",
            "n.gw.z.example.net. 300 A 10.0.0.1",
            "c1.z.example.net. 300 AAAA fd42::2",
            "www.z.example.net. 60 A 1.2.3.4",
            "www.z.example.net. 300 CNAME other.z.example.net.",
            "z.example.net. 300 MX 10 mail.z.example.net.",
        ];
        assert_eq!(shown(&records(&zone, &hosts, &[www, at])), want);
        let soa = shown(&[soa(&zone, 7).unwrap()]);
        assert_eq!(soa, ["z.example.net. 3600 SOA z.example.net. ns1.example.net. 7 120 60 86400 30"]);
    }

    #[test]
    fn a_reverse_zone_has_the_names_of_its_addresses() {
        let hosts = [host("c1", "10.0.100.9"), host("c2", "10.0.101.9"), host("c3", "fd42::9")];
        let reverse = shown(&records(&zone("100.0.10.in-addr.arpa", &[]), &hosts, &[]));
        assert_eq!(reverse, ["9.100.0.10.in-addr.arpa. 300 PTR c1.z.example.net."]);
        let reverse = shown(&records(&zone("2.4.D.F.ip6.arpa", &[]), &hosts, &[]));
        assert_eq!(reverse.len(), 1);
        assert!(reverse[0].ends_with("2.4.d.f.ip6.arpa. 300 PTR c3.z.example.net."), "{reverse:?}");
        let nameless = Host { forward: None, ..host("c1", "10.0.100.9") };
        assert_eq!(records(&zone("100.0.10.in-addr.arpa", &[]), &[nameless], &[]), []);
        let soa = shown(&[soa(&zone("a.arpa", &[]), 1).unwrap()]);
        assert_eq!(soa, ["a.arpa. 3600 SOA a.arpa. hostmaster.a.arpa. 1 120 60 86400 30"]);
    }
}
