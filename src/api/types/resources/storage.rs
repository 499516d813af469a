//! Disks of the host.

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// Disks.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesStorage {
        /// In order of name.
        pub disks: Vec<ResourcesStorageDisk>,
        /// Number of disks and partitions.
        pub total: u64,
    }

    /// One disk.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesStorageDisk {
        /// Name of the device node.
        pub id: String,
        /// `major:minor`.
        pub device: String,
        /// Model.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub model: String,
        /// The bus: `virtio`, `nvme`, `scsi`, `usb`, …
        #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
        pub kind: String,
        /// Whether it can't be written.
        pub read_only: bool,
        /// Bytes.
        pub size: u64,
        /// Whether the medium can be taken out.
        pub removable: bool,
        /// World wide name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub wwn: String,
        /// NUMA node.
        pub numa_node: u64,
        /// The link below `/dev/disk/by-path`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub device_path: String,
        /// Bytes of one block.
        pub block_size: u64,
        /// Firmware.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub firmware_version: String,
        /// 1 when it spins (or does not say), 0 when not.
        pub rpm: u64,
        /// Serial number.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub serial: String,
        /// The link below `/dev/disk/by-id`.
        pub device_id: String,
        /// Its partitions.
        pub partitions: Vec<ResourcesStorageDiskPartition>,
        /// `0000:00:00.0`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub pci_address: String,
        /// `BUS:DEVICE`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub usb_address: String,
    }

    /// One partition.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesStorageDiskPartition {
        /// Name of the device node.
        pub id: String,
        /// `major:minor`.
        pub device: String,
        /// Whether it can't be written.
        pub read_only: bool,
        /// Bytes.
        pub size: u64,
        /// Its number.
        pub partition: u64,
    }
}
