//! Zones of names: what they and their records may say. Pure.

use hickory_proto::rr::Name;

use super::dns;
use crate::api::types::NetworkZoneRecordEntry;
use crate::{Error, Result};

/// The longest name of DNS (RFC 1035 section 2.3.4), in its text form.
const LONGEST: usize = 253;

/// The most entries of one record.
const MAX_ENTRIES: usize = 500;

/// Checks the name of a zone. LXD takes any text, also what can be no name of DNS.
pub fn check_name(name: &str) -> Result<()> {
    match name {
        "" => Err(Error::invalid("Name is required")),
        name if is_domain(name) => Ok(()),
        _ => Err(Error::invalid(format!("Zone name {name:?} is no domain name"))),
    }
}

/// Checks the name of a record: one or more labels, `*`, or `@` for the zone itself.
pub fn check_record_name(name: &str) -> Result<()> {
    let labels = name.strip_prefix("*.").unwrap_or(name);
    match name {
        "" => Err(Error::invalid("Name is required")),
        "@" | "*" => Ok(()),
        _ if is_domain(labels) => Ok(()),
        _ => Err(Error::invalid(format!("Record name {name:?} is no name within a zone"))),
    }
}

/// Labels of at most 63 letters, digits, hyphens, underscores; slashes too, as RFC 2317 has them.
fn is_domain(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/');
    let label = |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(byte);
    name.len() <= LONGEST && name.split('.').all(label)
}

/// Checks what a record answers.
pub fn check_entries(entries: &[NetworkZoneRecordEntry]) -> Result<()> {
    if entries.len() > MAX_ENTRIES {
        return Err(Error::invalid(format!("More than {MAX_ENTRIES} entries")));
    }
    for (n, entry) in entries.iter().enumerate() {
        let (kind, value) = (&entry.kind, &entry.value);
        if entries[..n].iter().any(|e| (&e.kind, &e.value) == (kind, value)) {
            return Err(Error::invalid(format!("Duplicate record for type {kind:?} and value {value:?}")));
        }
        dns::value::parse(kind, value, &Name::root())
            .map_err(|why| Error::invalid(format!("Bad zone record entry: {why}")))?;
        if entry.ttl > u64::from(u32::MAX >> 1) {
            return Err(Error::invalid(format!("Bad zone record entry: TTL {} is too long", entry.ttl)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_checked() {
        let entry = |kind: &str, value: &str| NetworkZoneRecordEntry { kind: kind.into(), value: value.into(), ttl: 0 };
        for (kind, value) in [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:db8::1"),
            ("CNAME", "www.example.net."),
            ("MX", "10 mail.example.net"),
            ("SRV", "0 5 5060 sip.example.net"),
            ("TXT", "hello world"),
        ] {
            check_entries(&[entry(kind, value)]).unwrap();
            assert!(check_entries(&[entry(kind, "")]).is_err(), "{kind}");
        }
        for (kind, value) in [("A", "x"), ("NOPE", "x"), ("", "x"), ("MX", "mail"), ("CNAME", "a b")] {
            assert!(check_entries(&[entry(kind, value)]).is_err(), "{kind} {value}");
        }
        assert!(check_entries(&[entry("A", "1.2.3.4"), entry("A", "1.2.3.4")]).is_err());
    }

    #[test]
    fn names_are_checked() {
        for good in ["lxd.example.net", "2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa", "z3"] {
            check_name(good).unwrap();
        }
        for wrong in ["", "a b", "..", ".", "a..b", &"x".repeat(64)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
        for good in ["@", "*", "*.a", "www", "_sip._tcp"] {
            check_record_name(good).unwrap();
        }
        assert!(check_record_name("").is_err() && check_record_name("a b").is_err());
    }
}
