//! Zones of names, and records in them.

use serde::Serialize;

use super::ConfigMap;
use crate::api::tree::readable;

readable! {
    /// A zone.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkZone {
        /// For people.
        pub description: String,
        /// Name servers, peers and `user.*`.
        pub config: ConfigMap,
        /// The domain.
        pub name: String,
        /// URLs of the networks that use it.
        pub used_by: Vec<String>,
    }

    /// A new zone.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkZonesPost {
        /// For people.
        pub description: String,
        /// Name servers, peers and `user.*`.
        pub config: ConfigMap,
        /// The domain.
        pub name: String,
    }

    /// What PUT and PATCH change of a zone.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkZonePut {
        /// For people.
        pub description: String,
        /// Name servers, peers and `user.*`.
        pub config: ConfigMap,
    }

    /// What a zone says of one name, beside what it knows of instances.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkZoneRecord {
        /// For people.
        pub description: String,
        /// What is answered.
        pub entries: Vec<NetworkZoneRecordEntry>,
        /// `user.*`.
        pub config: ConfigMap,
        /// The name within the zone; `@` for the zone itself.
        pub name: String,
    }

    /// One answer.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(default)]
    pub struct NetworkZoneRecordEntry {
        /// `A`, `AAAA`, `TXT`, …
        #[serde(rename = "type")]
        pub kind: String,
        /// Seconds it may be kept; 0 (left out) for the usual.
        #[serde(skip_serializing_if = "is_zero")]
        pub ttl: u64,
        /// As zone files write it.
        pub value: String,
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

readable! {
    /// A new record.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkZoneRecordsPost {
        /// For people.
        pub description: String,
        /// What is answered.
        pub entries: Vec<NetworkZoneRecordEntry>,
        /// `user.*`.
        pub config: ConfigMap,
        /// The name within the zone.
        pub name: String,
    }

    /// What PUT and PATCH change of a record.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkZoneRecordPut {
        /// For people.
        pub description: String,
        /// What is answered.
        pub entries: Vec<NetworkZoneRecordEntry>,
        /// `user.*`.
        pub config: ConfigMap,
    }
}
