//! Zones of names, and records in them.

use serde::Serialize;

use super::Record;
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, NetworkZoneRecordEntry};
use crate::store::Table;

readable! {
    /// A zone.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ZoneRecord {
        /// Never used twice.
        pub id: u64,
        /// The project it belongs to.
        pub project: String,
        /// The domain: unique on the server.
        pub name: String,
        /// For people.
        pub description: String,
        /// Name servers, peers and `user.*`.
        pub config: ConfigMap,
    }
}

impl Record for ZoneRecord {
    const TABLE: Table = Table::NetworkZones;
    const VERSION: u32 = 1;
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }
}

readable! {
    /// What a zone says of one name.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ZoneEntriesRecord {
        /// The zone.
        pub zone: u64,
        /// Unique in its zone.
        pub name: String,
        /// For people.
        pub description: String,
        /// `user.*`.
        pub config: ConfigMap,
        /// What is answered.
        pub entries: Vec<NetworkZoneRecordEntry>,
    }
}

impl Record for ZoneEntriesRecord {
    const TABLE: Table = Table::NetworkZoneRecords;
    const VERSION: u32 = 1;
    type Key = (String, String);

    fn key(&self) -> (String, String) {
        (self.zone.to_string(), self.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"id":4,"project":"default","name":"lxd.example.net","description":"","config":{"user.a":"b"}}"#;
        assert_eq!(check_fixtures::<ZoneRecord>(&[v1]).name, "lxd.example.net");
    }

    #[test]
    fn reads_every_version_of_entries() {
        let v1 = r#"{"zone":4,"name":"www","description":"","config":{},
            "entries":[{"type":"A","ttl":60,"value":"192.0.2.1"}]}"#;
        assert_eq!(check_fixtures::<ZoneEntriesRecord>(&[v1]).entries[0].ttl, 60);
    }
}
