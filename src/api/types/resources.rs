//! What the host's hardware has: `GET /1.0/resources`.
//!
//! Field order and which members are left out when empty are those of LXD 5.0.2's answers. Sizes are bytes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::tree::readable;

mod cards;
mod storage;

pub use cards::*;
pub use storage::*;

fn zero(n: &u64) -> bool {
    *n == 0
}

/// Whole numbers without a fraction, as Go prints floats.
fn as_go<S: serde::Serializer>(n: &f64, s: S) -> Result<S::Ok, S::Error> {
    // Exact: what is below 2^53 and has no fraction.
    if n.fract() == 0.0 && n.abs() < 9e15 { s.serialize_i64(*n as i64) } else { s.serialize_f64(*n) }
}

readable! {
    /// Everything the host has.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Resources {
        /// Processors.
        pub cpu: ResourcesCpu,
        /// Memory.
        pub memory: ResourcesMemory,
        /// Graphics cards.
        pub gpu: ResourcesGpu,
        /// Network cards.
        pub network: ResourcesNetwork,
        /// Disks.
        pub storage: ResourcesStorage,
        /// Devices on USB.
        pub usb: ResourcesUsb,
        /// Devices on PCI.
        pub pci: ResourcesPci,
        /// The machine itself.
        pub system: ResourcesSystem,
    }

    /// Processors of the host.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesCpu {
        /// The kernel's name of the architecture.
        pub architecture: String,
        /// One a socket.
        pub sockets: Vec<ResourcesCpuSocket>,
        /// Threads online, over all sockets.
        pub total: u64,
    }

    /// One processor package.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesCpuSocket {
        /// Model name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        /// Vendor id.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub vendor: String,
        /// Number of the socket.
        pub socket: u64,
        /// Caches of its first core.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub cache: Vec<ResourcesCpuCache>,
        /// Its cores.
        pub cores: Vec<ResourcesCpuCore>,
        /// Mean of the cores' frequencies, MHz.
        #[serde(skip_serializing_if = "zero")]
        pub frequency: u64,
        /// Lowest frequency, MHz.
        #[serde(skip_serializing_if = "zero")]
        pub frequency_minimum: u64,
        /// Highest frequency, MHz.
        #[serde(skip_serializing_if = "zero")]
        pub frequency_turbo: u64,
    }

    /// One cache of a processor.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesCpuCache {
        /// 1, 2, 3.
        pub level: u64,
        /// `Data`, `Instruction` or `Unified`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Bytes.
        pub size: u64,
    }

    /// One core.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesCpuCore {
        /// Number in its socket.
        pub core: u64,
        /// The die it is on.
        pub die: u64,
        /// Its threads.
        pub threads: Vec<ResourcesCpuThread>,
        /// MHz now.
        #[serde(skip_serializing_if = "zero")]
        pub frequency: u64,
    }

    /// One thread (a logical processor).
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesCpuThread {
        /// The kernel's number of it.
        pub id: i64,
        /// NUMA node.
        pub numa_node: u64,
        /// Number in its core.
        pub thread: u64,
        /// Whether the kernel uses it.
        pub online: bool,
        /// Whether it is kept from the scheduler (isolcpus).
        pub isolated: bool,
    }

    /// Memory of the host.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesMemory {
        /// One a NUMA node.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub nodes: Vec<ResourcesMemoryNode>,
        /// Bytes set aside for huge pages.
        pub hugepages_total: u64,
        /// Of these, in use.
        pub hugepages_used: u64,
        /// Bytes of one huge page.
        pub hugepages_size: u64,
        /// Bytes in use, caches not counted.
        pub used: u64,
        /// Bytes of memory.
        pub total: u64,
    }

    /// Memory of one NUMA node.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesMemoryNode {
        /// The node.
        pub numa_node: u64,
        /// Bytes of huge pages in use.
        pub hugepages_used: u64,
        /// Bytes set aside for huge pages.
        pub hugepages_total: u64,
        /// Bytes in use, caches not counted.
        pub used: u64,
        /// Bytes of memory.
        pub total: u64,
    }

    /// Devices on USB.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesUsb {
        /// Hubs are left out.
        pub devices: Vec<ResourcesUsbDevice>,
        /// Number of devices.
        pub total: u64,
    }

    /// One device on USB.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesUsbDevice {
        /// Bus.
        pub bus_address: u64,
        /// Address on the bus.
        pub device_address: u64,
        /// Its interfaces.
        pub interfaces: Vec<ResourcesUsbDeviceInterface>,
        /// Vendor name.
        pub vendor: String,
        /// Four hex digits.
        pub vendor_id: String,
        /// Product name.
        pub product: String,
        /// Four hex digits.
        pub product_id: String,
        /// Mbit/s.
        #[serde(serialize_with = "as_go")]
        pub speed: f64,
    }

    /// One interface of a USB device.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesUsbDeviceInterface {
        /// Name of the class.
        pub class: String,
        /// Number of the class.
        pub class_id: u64,
        /// Kernel driver.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        /// Its version.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver_version: String,
        /// Number of the interface.
        pub number: u64,
        /// Name of the subclass.
        pub subclass: String,
        /// Number of the subclass.
        pub subclass_id: u64,
    }

    /// Devices on PCI.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesPci {
        /// In order of address.
        pub devices: Vec<ResourcesPciDevice>,
        /// Number of devices.
        pub total: u64,
    }

    /// One device on PCI.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesPciDevice {
        /// Kernel driver.
        pub driver: String,
        /// Its version, or the kernel's.
        pub driver_version: String,
        /// NUMA node.
        pub numa_node: u64,
        /// `0000:00:00.0`.
        pub pci_address: String,
        /// Vendor name, when a PCI id list is installed.
        pub vendor: String,
        /// Four hex digits.
        pub vendor_id: String,
        /// Product name, when a PCI id list is installed.
        pub product: String,
        /// Four hex digits.
        pub product_id: String,
        /// IOMMU group.
        pub iommu_group: u64,
        /// Vital product data.
        pub vpd: ResourcesPciVpd,
    }

    /// Vital product data of a PCI device.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesPciVpd {
        /// The product's name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub product_name: String,
        /// Two-letter keys and their values.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub entries: BTreeMap<String, String>,
    }

    /// The machine: what its firmware says of it.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesSystem {
        /// Unique id.
        pub uuid: String,
        /// Maker.
        pub vendor: String,
        /// Product name.
        pub product: String,
        /// Product family.
        pub family: String,
        /// Product version.
        pub version: String,
        /// Stock keeping unit.
        pub sku: String,
        /// Serial number.
        pub serial: String,
        /// `physical`, `virtual-machine` or `container`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Null where the host tells nothing.
        pub firmware: Option<ResourcesSystemFirmware>,
        /// Null where the host tells nothing.
        pub chassis: Option<ResourcesSystemChassis>,
        /// Null where the host tells nothing.
        pub motherboard: Option<ResourcesSystemMotherboard>,
    }

    /// Firmware of the machine.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesSystemFirmware {
        /// Maker.
        pub vendor: String,
        /// Date, as the firmware writes it.
        pub date: String,
        /// Version.
        pub version: String,
    }

    /// Chassis of the machine.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesSystemChassis {
        /// Maker.
        pub vendor: String,
        /// Kind: `Desktop`, `Notebook`, …
        #[serde(rename = "type")]
        pub kind: String,
        /// Serial number.
        pub serial: String,
        /// Version.
        pub version: String,
    }

    /// Motherboard of the machine.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesSystemMotherboard {
        /// Maker.
        pub vendor: String,
        /// Product name.
        pub product: String,
        /// Serial number.
        pub serial: String,
        /// Version.
        pub version: String,
    }
}
