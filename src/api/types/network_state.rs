//! The state of a host interface: `GET /1.0/networks/{name}/state`.

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// What an interface has and does now.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkState {
        /// In the kernel's order.
        pub addresses: Vec<NetworkStateAddress>,
        /// Since the interface exists.
        pub counters: NetworkStateCounters,
        /// Empty where there is none.
        pub hwaddr: String,
        /// Bytes.
        pub mtu: i64,
        /// `up` or `down`.
        pub state: String,
        /// `broadcast`, `loopback`, `point-to-point` or `unknown`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Null for anything but a bond.
        pub bond: Option<NetworkStateBond>,
        /// Null for anything but a bridge.
        pub bridge: Option<NetworkStateBridge>,
        /// Null for anything but a VLAN.
        pub vlan: Option<NetworkStateVlan>,
        /// Null for anything but an OVN network.
        pub ovn: Option<NetworkStateOvn>,
    }

    /// One address.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkStateAddress {
        /// `inet` or `inet6`.
        pub family: String,
        /// The address.
        pub address: String,
        /// Length of the prefix, in decimal.
        pub netmask: String,
        /// `local`, `link` or `global`.
        pub scope: String,
    }

    /// What went through an interface.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkStateCounters {
        /// Bytes in.
        pub bytes_received: i64,
        /// Bytes out.
        pub bytes_sent: i64,
        /// Packets in.
        pub packets_received: i64,
        /// Packets out.
        pub packets_sent: i64,
    }

    /// A bond.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkStateBond {
        /// `802.3ad`, …
        pub mode: String,
        /// `layer2`, …
        pub transmit_policy: String,
        /// Milliseconds.
        pub up_delay: u64,
        /// Milliseconds.
        pub down_delay: u64,
        /// Milliseconds between link checks.
        pub mii_frequency: u64,
        /// `up` or `down`.
        pub mii_state: String,
        /// Its members.
        pub lower_devices: Vec<String>,
    }

    /// A bridge.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkStateBridge {
        /// Bridge id.
        pub id: String,
        /// Whether it speaks the spanning tree protocol.
        pub stp: bool,
        /// Hundredths of a second.
        pub forward_delay: u64,
        /// VLAN of untagged traffic.
        pub vlan_default: u64,
        /// Whether it separates VLANs.
        pub vlan_filtering: bool,
        /// Its ports.
        pub upper_devices: Vec<String>,
    }

    /// A VLAN interface.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkStateVlan {
        /// The interface it is on.
        pub lower_device: String,
        /// The VLAN's number.
        pub vid: u64,
    }

    /// An OVN network.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct NetworkStateOvn {
        /// The host it is active on.
        pub chassis: String,
    }
}
