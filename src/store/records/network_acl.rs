//! An access list of networks.

use serde::Serialize;

use super::Record;
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, NetworkAclRule};
use crate::store::Table;

readable! {
    /// An access list.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct AclRecord {
        /// Never used twice; chains of the firewall may carry it.
        pub id: u64,
        /// The project it belongs to.
        pub project: String,
        /// Unique in its project.
        pub name: String,
        /// For people.
        pub description: String,
        /// `user.*`.
        pub config: ConfigMap,
        /// Rules for what instances send.
        pub egress: Vec<NetworkAclRule>,
        /// Rules for what instances receive.
        pub ingress: Vec<NetworkAclRule>,
    }
}

impl Record for AclRecord {
    const TABLE: Table = Table::NetworkAcls;
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
        let v1 = r#"{"id":4,"project":"default","name":"web","description":"","config":{},"egress":[],
            "ingress":[{"action":"allow","protocol":"tcp","destination_port":"80","state":"enabled"}]}"#;
        assert_eq!(check_fixtures::<AclRecord>(&[v1]).ingress[0].protocol, "tcp");
    }
}
