//! Networks: those we manage, and the interfaces of the host.

use serde::Serialize;

use super::ConfigMap;
use crate::api::tree::readable;

readable! {
    /// A network.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Network {
        /// Configuration of a managed network; empty for the host's own.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
        /// The interface's name.
        pub name: String,
        /// `bridge`, `physical`, `loopback`, `bond`, `vlan`, …
        #[serde(rename = "type")]
        pub kind: String,
        /// URLs of the instances and profiles that use it.
        pub used_by: Vec<String>,
        /// Whether this server made it.
        pub managed: bool,
        /// State of a managed network; empty for the host's own.
        pub status: String,
        /// Members it exists on; null for the host's own.
        pub locations: Option<Vec<String>>,
    }

    /// A new network.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworksPost {
        /// Configuration.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
        /// The interface's name.
        pub name: String,
        /// `bridge`, `macvlan`, …; a bridge when empty.
        #[serde(rename = "type")]
        pub kind: String,
    }

    /// What PUT and PATCH change of a network.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkPut {
        /// Configuration.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
    }

    /// An address of a network that somebody has.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkLease {
        /// The name it was asked for with, or the instance's.
        pub hostname: String,
        /// Ethernet address; empty for the network's own.
        pub hwaddr: String,
        /// IP address.
        pub address: String,
        /// `dynamic`, `static` or `gateway`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The member that knows of it.
        pub location: String,
    }
}
