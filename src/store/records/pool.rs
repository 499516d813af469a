//! A storage pool.

use serde::Serialize;

use super::{Phase, Record};
use crate::api::tree::readable;
use crate::api::types::ConfigMap;
use crate::store::Table;

readable! {
    /// A storage pool. Its name never changes.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct PoolRecord {
        /// Never used twice.
        pub id: u64,
        /// Unique on the server.
        pub name: String,
        /// `dir`, `overlay`, …
        pub driver: String,
        /// For people.
        pub description: String,
        /// Driver configuration.
        pub config: ConfigMap,
        /// How far it has come.
        pub phase: Phase,
    }
}

impl Record for PoolRecord {
    const TABLE: Table = Table::Pools;
    const VERSION: u32 = 1;
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"id":3,"name":"default","driver":"dir","description":"",
            "config":{"source":"/var/lib/lxd/storage-pools/default"},"phase":"deleting"}"#;
        assert_eq!(check_fixtures::<PoolRecord>(&[v1]).phase, Phase::Deleting);
    }
}
