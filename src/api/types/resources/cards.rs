//! Graphics and network cards.

use std::collections::BTreeMap;

use serde::Serialize;

use super::zero;
use crate::api::tree::readable;

readable! {
    /// Graphics cards.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesGpu {
        /// The cards; virtual functions are within theirs.
        pub cards: Vec<ResourcesGpuCard>,
        /// Number of cards, virtual functions included.
        pub total: u64,
    }

    /// One graphics card.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesGpuCard {
        /// Kernel driver.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        /// Its version, or the kernel's.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver_version: String,
        /// Device nodes.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub drm: Option<ResourcesGpuCardDrm>,
        /// Virtual functions.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub sriov: Option<ResourcesGpuCardSriov>,
        /// What the NVIDIA driver tells.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub nvidia: Option<ResourcesGpuCardNvidia>,
        /// Mediated device types.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub mdev: BTreeMap<String, ResourcesGpuCardMdev>,
        /// NUMA node.
        pub numa_node: u64,
        /// `0000:00:00.0`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub pci_address: String,
        /// Vendor name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub vendor: String,
        /// Four hex digits.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub vendor_id: String,
        /// Product name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub product: String,
        /// Four hex digits.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub product_id: String,
        /// `BUS:DEVICE`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub usb_address: String,
    }

    /// Device nodes of a graphics card.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesGpuCardDrm {
        /// Number of the card.
        pub id: u64,
        /// `card0`.
        pub card_name: String,
        /// `major:minor`.
        pub card_device: String,
        /// `controlD64`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub control_name: String,
        /// `major:minor`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub control_device: String,
        /// `renderD128`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub render_name: String,
        /// `major:minor`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub render_device: String,
    }

    /// Virtual functions of a graphics card.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesGpuCardSriov {
        /// Switched on.
        pub current_vfs: u64,
        /// Possible.
        pub maximum_vfs: u64,
        /// Those switched on.
        pub vfs: Vec<ResourcesGpuCard>,
    }

    /// What the NVIDIA driver tells of a card.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesGpuCardNvidia {
        /// CUDA version.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub cuda_version: String,
        /// Version of the kernel module.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub nvrm_version: String,
        /// Brand.
        pub brand: String,
        /// Model.
        pub model: String,
        /// Unique id.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub uuid: String,
        /// Compute capability.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub architecture: String,
        /// `nvidia0`.
        pub card_name: String,
        /// `major:minor`.
        pub card_device: String,
    }

    /// A type of mediated device.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesGpuCardMdev {
        /// `vfio-pci`, …
        pub api: String,
        /// How many more can be made.
        pub available: u64,
        /// Name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        /// For people.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub description: String,
        /// Ids of those that exist.
        pub devices: Vec<String>,
    }

    /// Network cards.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesNetwork {
        /// The cards; virtual functions are within theirs.
        pub cards: Vec<ResourcesNetworkCard>,
        /// Number of cards, virtual functions included.
        pub total: u64,
    }

    /// One network card.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesNetworkCard {
        /// Kernel driver.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        /// Its version, or the kernel's.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver_version: String,
        /// Its interfaces.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub ports: Vec<ResourcesNetworkCardPort>,
        /// Virtual functions.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub sriov: Option<ResourcesNetworkCardSriov>,
        /// NUMA node.
        pub numa_node: u64,
        /// `0000:00:00.0`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub pci_address: String,
        /// Vendor name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub vendor: String,
        /// Four hex digits.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub vendor_id: String,
        /// Product name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub product: String,
        /// Four hex digits.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub product_id: String,
        /// Firmware.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub firmware_version: String,
        /// `BUS:DEVICE`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub usb_address: String,
    }

    /// One interface of a network card.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesNetworkCardPort {
        /// The interface's name.
        pub id: String,
        /// Hardware address.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub address: String,
        /// Number of the port on its card.
        pub port: u64,
        /// `ethernet` or `infiniband`.
        pub protocol: String,
        /// `1000baseT/Full`, …
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub supported_modes: Vec<String>,
        /// `twisted pair`, …
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub supported_ports: Vec<String>,
        /// The port in use.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub port_type: String,
        /// `internal` or `external`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub transceiver_type: String,
        /// Whether speed is negotiated.
        pub auto_negotiation: bool,
        /// Whether there is a link.
        pub link_detected: bool,
        /// Mbit/s.
        #[serde(skip_serializing_if = "zero")]
        pub link_speed: u64,
        /// `full` or `half`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub link_duplex: String,
        /// Device nodes for Infiniband.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub infiniband: Option<ResourcesNetworkCardPortInfiniband>,
    }

    /// Device nodes of an Infiniband port.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesNetworkCardPortInfiniband {
        /// `issm0`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub issm_name: String,
        /// `major:minor`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub issm_device: String,
        /// `umad0`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub mad_name: String,
        /// `major:minor`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub mad_device: String,
        /// `uverbs0`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub verb_name: String,
        /// `major:minor`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub verb_device: String,
    }

    /// Virtual functions of a network card.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesNetworkCardSriov {
        /// Switched on.
        pub current_vfs: u64,
        /// Possible.
        pub maximum_vfs: u64,
        /// Those switched on.
        pub vfs: Vec<ResourcesNetworkCard>,
    }
}
