//! Forwards of a network: addresses whose traffic is sent on to instances.

use serde::Serialize;

use super::ConfigMap;
use crate::api::tree::readable;

readable! {
    /// A forward.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkForward {
        /// For people.
        pub description: String,
        /// `target_address` (where what no port names goes) and `user.*`.
        pub config: ConfigMap,
        /// Where single ports go.
        pub ports: Vec<NetworkForwardPort>,
        /// The address that is listened on.
        pub listen_address: String,
        /// The member it is on; `none` outside clusters.
        pub location: String,
    }

    /// Where some ports of a forward go.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(default)]
    pub struct NetworkForwardPort {
        /// For people.
        pub description: String,
        /// `tcp` or `udp`.
        pub protocol: String,
        /// Ports and ranges of them, with commas between them.
        pub listen_port: String,
        /// As many, or one; empty for the same ones.
        pub target_port: String,
        /// Where they go.
        pub target_address: String,
    }

    /// A new forward.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkForwardsPost {
        /// For people.
        pub description: String,
        /// `target_address` and `user.*`.
        pub config: ConfigMap,
        /// Where single ports go.
        pub ports: Vec<NetworkForwardPort>,
        /// The address that is listened on.
        pub listen_address: String,
    }

    /// What PUT and PATCH change of a forward.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkForwardPut {
        /// For people.
        pub description: String,
        /// `target_address` and `user.*`.
        pub config: ConfigMap,
        /// Where single ports go.
        pub ports: Vec<NetworkForwardPort>,
    }
}
