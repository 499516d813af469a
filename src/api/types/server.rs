//! The server itself: `GET /1.0`, cluster state.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// `GET /1.0` for a trusted caller.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct Server {
        /// Server configuration; `true` stands for a password.
        pub config: BTreeMap<String, serde_json::Value>,
        /// Names of the API extensions that work here.
        pub api_extensions: Vec<String>,
        /// `stable`.
        pub api_status: String,
        /// `1.0`.
        pub api_version: String,
        /// `trusted` or `untrusted`.
        pub auth: String,
        /// Whether only public parts are served.
        pub public: bool,
        /// `tls`.
        pub auth_methods: Vec<String>,
        /// Facts about the server and its host.
        pub environment: ServerEnvironment,
    }

    /// `GET /1.0` for everybody else.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct ServerUntrusted {
        /// Names of the API extensions that work here.
        pub api_extensions: Vec<String>,
        /// `stable`.
        pub api_status: String,
        /// `1.0`.
        pub api_version: String,
        /// `trusted` or `untrusted`.
        pub auth: String,
        /// Whether only public parts are served.
        pub public: bool,
        /// `tls`.
        pub auth_methods: Vec<String>,
    }

    /// Facts about the server and its host.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct ServerEnvironment {
        /// Addresses the server listens on.
        pub addresses: Vec<String>,
        /// Architectures it can run guests of.
        pub architectures: Vec<String>,
        /// The server's certificate in PEM.
        pub certificate: String,
        /// SHA-256 of the certificate, in hex.
        pub certificate_fingerprint: String,
        /// Instance drivers, joined by ` | `.
        pub driver: String,
        /// Their versions, joined likewise.
        pub driver_version: String,
        /// `nftables`.
        pub firewall: String,
        /// `Linux`.
        pub kernel: String,
        /// The machine's architecture.
        pub kernel_architecture: String,
        /// Kernel features in use, "true" or "false".
        pub kernel_features: BTreeMap<String, String>,
        /// `uname -r`.
        pub kernel_version: String,
        /// LXC features that clients ask about, "true" or "false".
        pub lxc_features: BTreeMap<String, String>,
        /// From `/etc/os-release`.
        pub os_name: String,
        /// From `/etc/os-release`.
        pub os_version: String,
        /// The project of the request.
        pub project: String,
        /// `lxd`.
        pub server: String,
        /// Whether it is part of a cluster.
        pub server_clustered: bool,
        /// `full-mesh`.
        pub server_event_mode: String,
        /// The host's name, or the member's.
        pub server_name: String,
        /// Process id of the daemon.
        pub server_pid: i64,
        /// The LXD version clients see.
        pub server_version: String,
        /// Storage drivers in use, joined by ` | `.
        pub storage: String,
        /// Their versions, joined likewise.
        pub storage_version: String,
        /// Storage drivers that pools may use.
        pub storage_supported_drivers: Vec<ServerStorageDriverInfo>,
    }

    /// A storage driver that pools may use. The names are capitalised on the wire.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ServerStorageDriverInfo {
        /// The driver's name.
        #[serde(rename = "Name")]
        pub name: String,
        /// Its version.
        #[serde(rename = "Version")]
        pub version: String,
        /// Whether volumes are reachable from other members.
        #[serde(rename = "Remote")]
        pub remote: bool,
    }

    /// What PUT and PATCH change of the server. Values may be strings, numbers or booleans.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct ServerPut {
        /// Server configuration.
        pub config: BTreeMap<String, serde_json::Value>,
    }

    /// `GET /1.0/cluster`.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct Cluster {
        /// The name of this member.
        pub server_name: String,
        /// Whether clustering is on.
        pub enabled: bool,
        /// Keys a joining member has to give.
        pub member_config: Vec<ClusterMemberConfigKey>,
    }

    /// A key a joining member has to give.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct ClusterMemberConfigKey {
        /// `storage-pool` or `network`.
        pub entity: String,
        /// The name of the pool or network.
        pub name: String,
        /// The key.
        pub key: String,
        /// Its value.
        pub value: String,
        /// For people.
        pub description: String,
    }
}
