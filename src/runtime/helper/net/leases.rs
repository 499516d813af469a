//! The table of leases of both kinds. Pure: the caller says what time it is (seconds since 1970).

use std::net::IpAddr;

use super::limits;
use crate::runtime::spec::net::Mac;

/// What tells one client from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// DHCPv4 without a client identifier.
    Mac(Mac),
    /// DHCPv4's client identifier (RFC 2132, 9.14).
    Id(Vec<u8>),
    /// DHCPv6's identifier of a client, and its number of the association.
    Duid(Vec<u8>, u32),
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who has it. In DHCPv4 that is the interface (`mac`) alone: guests made from one image that holds an identifier send the same
    /// one, and an interface sends several in its life (from the network, then from the installed system).
    pub client: Client,
    /// The client's hardware address. DHCPv6 doesn't carry it; then it is what the client's identifier or address says.
    pub mac: Option<Mac>,
    /// The address.
    pub address: IpAddr,
    /// The client's name.
    pub name: Option<String>,
    /// When it ends; 0 is never.
    pub expires: u64,
}

impl Entry {
    /// Whether another lease belongs to the same interface, as far as one can tell.
    fn is_same_host(&self, other: &Entry) -> bool {
        match (&self.client, &other.client) {
            (Client::Duid(a, _), Client::Duid(b, _)) => a == b,
            _ => self.mac.is_some() && self.mac == other.mac,
        }
    }

    /// Whether a client can't have both: DHCPv4 gives an interface one address, DHCPv6 one per association.
    fn excludes(&self, other: &Entry) -> bool {
        let same_client = match (self.address, other.address) {
            (IpAddr::V4(_), IpAddr::V4(_)) => self.is_same_host(other),
            _ => self.client == other.client,
        };
        self.address == other.address || same_client
    }
}

/// All leases, in the order they were made.
///
/// A few thousand at most ([`limits::LEASES`]), so they are simply looked through. Places stay the same while nothing is
/// removed: the lease file is written over in place, and so mostly keeps its lines.
#[derive(Debug, Default)]
pub struct Leases {
    entries: Vec<Entry>,
    changed: bool,
}

impl Leases {
    /// All of them, also those that have ended and were not yet removed.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Whether there is room for another client, when so many leases are allowed.
    pub fn has_room(&self, most: Option<usize>) -> bool {
        self.entries.len() < most.unwrap_or(limits::LEASES).min(limits::LEASES)
    }

    /// Whose address that is.
    pub fn at(&self, address: impl Into<IpAddr>) -> Option<&Entry> {
        let address = address.into();
        self.entries.iter().find(|e| e.address == address)
    }

    /// What a DHCPv6 client has.
    pub fn of(&self, client: &Client) -> Option<&Entry> {
        self.entries.iter().find(|e| e.client == *client)
    }

    /// What an interface has by DHCPv4.
    pub fn of_interface(&self, mac: Mac) -> Option<&Entry> {
        self.entries.iter().find(|e| e.address.is_ipv4() && e.mac == Some(mac))
    }

    /// Adds a lease in place of those it excludes: of the same address, of the same client.
    pub fn put(&mut self, entry: Entry) {
        if self.entries.contains(&entry) {
            return;
        }
        self.changed = true;
        // A name moves to whoever came last.
        for other in &mut self.entries {
            let same_kind = other.address.is_ipv4() == entry.address.is_ipv4();
            if same_kind && entry.name.is_some() && other.name == entry.name && !other.is_same_host(&entry) {
                other.name = None;
            }
        }
        match self.entries.iter().position(|e| entry.excludes(e)) {
            Some(at) => {
                let mut index = 0;
                self.entries.retain(|e| {
                    index += 1;
                    index - 1 == at || !entry.excludes(e)
                });
                self.entries[at] = entry;
            }
            None => self.entries.push(entry),
        }
    }

    /// Takes away those for which `gone` is true; says how many.
    pub fn remove(&mut self, gone: impl Fn(&Entry) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|e| !gone(e));
        let removed = before - self.entries.len();
        self.changed |= removed > 0;
        removed
    }

    /// Gives each the name that `name` says.
    pub fn rename(&mut self, name: impl Fn(&Entry) -> Option<String>) {
        for entry in &mut self.entries {
            let name = name(entry);
            self.changed |= entry.name != name;
            entry.name = name;
        }
    }

    /// Removes what has ended.
    pub fn expire(&mut self, now: u64) -> usize {
        self.remove(|e| e.expires != 0 && e.expires <= now)
    }

    /// When the next one ends.
    pub fn next_end(&self) -> Option<u64> {
        self.entries.iter().map(|e| e.expires).filter(|e| *e != 0).min()
    }

    /// Whether anything changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(last: u8, address: &str, name: Option<&str>) -> Entry {
        let mac = Mac([2, 0, 0, 0, 0, last]);
        let address: IpAddr = address.parse().unwrap();
        let client = if address.is_ipv4() { Client::Mac(mac) } else { Client::Duid(vec![last; 10], 1) };
        Entry { client, mac: Some(mac), address, name: name.map(str::to_owned), expires: 100 }
    }

    #[test]
    fn a_client_has_one_address_and_an_address_one_client() {
        let mut leases = Leases::default();
        leases.put(entry(1, "10.0.0.1", None));
        leases.put(entry(2, "10.0.0.2", None));
        leases.put(entry(1, "10.0.0.2", None));
        let all: Vec<_> = leases.iter().map(|e| (e.mac.unwrap().0[5], e.address.to_string())).collect();
        assert_eq!(all, [(1, "10.0.0.2".to_owned())]);
        let mut named = entry(1, "10.0.0.3", None);
        named.client = Client::Id(vec![9]);
        leases.put(named);
        assert_eq!(leases.iter().count(), 1, "the same interface under another identifier");
        leases.put(entry(1, "fd42::1", None));
        assert_eq!(leases.iter().count(), 2, "both protocols");
    }

    #[test]
    fn a_name_moves_to_the_last_who_has_it_but_stays_with_both_addresses_of_one() {
        let mut leases = Leases::default();
        leases.put(entry(1, "10.0.0.1", Some("a")));
        leases.put(entry(1, "fd42::1", Some("a")));
        leases.put(entry(2, "10.0.0.2", Some("a")));
        let names: Vec<_> = leases.iter().map(|e| e.name.as_deref()).collect();
        assert_eq!(names, [None, Some("a"), Some("a")]);
    }

    #[test]
    fn leases_end_and_changes_are_seen_once() {
        let mut leases = Leases::default();
        leases.put(entry(1, "10.0.0.1", None));
        leases.put(Entry { expires: 0, ..entry(2, "10.0.0.2", None) });
        assert!(leases.take_changed());
        leases.put(entry(1, "10.0.0.1", None));
        assert!(!leases.take_changed(), "the same again is no change");
        assert_eq!((leases.expire(99), leases.next_end()), (0, Some(100)));
        assert_eq!((leases.expire(100), leases.next_end()), (1, None));
        assert!(leases.take_changed());
    }
}
