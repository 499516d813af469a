//! A network that we manage, and the forwards on it.

use serde::Serialize;

use super::{Phase, Record};
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, NetworkForwardPort};
use crate::store::Table;

readable! {
    /// A managed network.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct NetworkRecord {
        /// Never used twice.
        pub id: u64,
        /// The project it belongs to.
        pub project: String,
        /// Unique in its project; the interface's name on the host.
        pub name: String,
        /// `bridge`, `macvlan`, `physical`, `sriov`.
        pub kind: String,
        /// For people.
        pub description: String,
        /// Configuration, with what was chosen for it (addresses).
        pub config: ConfigMap,
        /// The Ethernet address it was given at first, so that it keeps it; empty where it has none of its own.
        pub hwaddr: String,
        /// How far it has come.
        pub phase: Phase,
    }
}

impl Record for NetworkRecord {
    const TABLE: Table = Table::Networks;
    const VERSION: u32 = 1;
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }
}

readable! {
    /// A forward of a network.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ForwardRecord {
        /// The network it is on.
        pub network: u64,
        /// The address, as it is shown.
        pub listen_address: String,
        /// For people.
        pub description: String,
        /// `target_address` and `user.*`.
        pub config: ConfigMap,
        /// Where single ports go.
        pub ports: Vec<NetworkForwardPort>,
    }
}

impl Record for ForwardRecord {
    const TABLE: Table = Table::NetworkForwards;
    const VERSION: u32 = 1;
    type Key = (String, String);

    fn key(&self) -> (String, String) {
        (self.network.to_string(), self.listen_address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"id":3,"project":"default","name":"lxdbr0","kind":"bridge","description":"",
            "config":{"ipv4.address":"10.1.2.1/24"},"hwaddr":"00:16:3e:01:02:03","phase":"created"}"#;
        assert_eq!(check_fixtures::<NetworkRecord>(&[v1]).phase, Phase::Created);
    }

    #[test]
    fn reads_every_version_of_forwards() {
        let v1 = r#"{"network":3,"listen_address":"192.0.2.1","description":"","config":{"target_address":"10.1.2.5"},
            "ports":[{"description":"","protocol":"tcp","listen_port":"80","target_port":"","target_address":"10.1.2.6"}]}"#;
        assert_eq!(check_fixtures::<ForwardRecord>(&[v1]).ports.len(), 1);
    }
}
