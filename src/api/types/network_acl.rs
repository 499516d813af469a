//! Access lists of networks.

use serde::Serialize;

use super::ConfigMap;
use crate::api::tree::readable;

readable! {
    /// An access list.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkAcl {
        /// Unique in its project.
        pub name: String,
        /// For people.
        pub description: String,
        /// Rules for what instances send.
        pub egress: Vec<NetworkAclRule>,
        /// Rules for what instances receive.
        pub ingress: Vec<NetworkAclRule>,
        /// `user.*`.
        pub config: ConfigMap,
        /// URLs of the networks, devices and lists that use it.
        pub used_by: Vec<String>,
    }

    /// One rule of an access list. Empty members are left out.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(default)]
    pub struct NetworkAclRule {
        /// `allow`, `drop` or `reject`.
        pub action: String,
        /// Addresses, networks, ranges or names, with commas between them.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub source: String,
        /// Likewise.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub destination: String,
        /// `icmp4`, `icmp6`, `tcp`, `udp`; any when empty.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub protocol: String,
        /// Ports and ranges of them, with commas between them.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub source_port: String,
        /// Likewise.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub destination_port: String,
        /// Type of ICMP messages.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub icmp_type: String,
        /// Code of ICMP messages.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub icmp_code: String,
        /// For people.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub description: String,
        /// `enabled`, `disabled` or `logged`.
        pub state: String,
    }

    /// A new access list.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkAclsPost {
        /// Unique in its project.
        pub name: String,
        /// For people.
        pub description: String,
        /// Rules for what instances send.
        pub egress: Vec<NetworkAclRule>,
        /// Rules for what instances receive.
        pub ingress: Vec<NetworkAclRule>,
        /// `user.*`.
        pub config: ConfigMap,
    }

    /// What PUT and PATCH change of an access list.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkAclPut {
        /// For people.
        pub description: String,
        /// Rules for what instances send.
        pub egress: Vec<NetworkAclRule>,
        /// Rules for what instances receive.
        pub ingress: Vec<NetworkAclRule>,
        /// `user.*`.
        pub config: ConfigMap,
    }
}
