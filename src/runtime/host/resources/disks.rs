//! Disks, from `/sys/class/block` and the links udev keeps below `/dev/disk`.

use super::super::Tree;
use super::device::{pci_address, usb_address};
use crate::api::types::{ResourcesStorage, ResourcesStorageDisk, ResourcesStorageDiskPartition};

const BLOCK: &str = "sys/class/block";
/// `/sys` counts in these, whatever the device's block size is.
const SECTOR: u64 = 512;

/// All disks that are hardware: loop devices, device mapper and the like have no `device` and are left out.
pub(super) fn storage(tree: &Tree) -> ResourcesStorage {
    let names = tree.list(BLOCK);
    let disks: Vec<_> = names.iter().filter_map(|name| disk(tree, name, &names)).collect();
    let total = disks.iter().map(|disk| 1 + disk.partitions.len() as u64).sum();
    ResourcesStorage { disks, total }
}

fn disk(tree: &Tree, name: &str, all: &[String]) -> Option<ResourcesStorageDisk> {
    let dir = format!("{BLOCK}/{name}");
    let device = format!("{dir}/device");
    let kind = tree.target_name(format!("{device}/subsystem")).unwrap_or_default();
    if !tree.exists(&device) || kind == "rbd" {
        return None;
    }
    let text = |file: &str| tree.text(format!("{dir}/{file}")).unwrap_or_default();
    let id = text("dev");
    Some(ResourcesStorageDisk {
        id: name.to_string(),
        model: text("device/model"),
        kind,
        read_only: text("ro") == "1",
        size: tree.count(format!("{dir}/size")).saturating_mul(SECTOR),
        removable: text("removable") == "1",
        wwn: text("wwid"),
        numa_node: tree.number(format!("{device}/numa_node")).unwrap_or_else(|| numa_of_card(tree, &device)),
        device_path: link_to(tree, "by-path", name),
        block_size: block_size(tree, name),
        firmware_version: text("device/firmware_rev"),
        rpm: u64::from(text("queue/rotational") == "1"),
        serial: serial(tree, &dir, &id),
        device_id: link_to(tree, "by-id", name),
        partitions: partitions(tree, name, all),
        pci_address: pci_address(tree, &device).unwrap_or_default(),
        usb_address: usb_address(tree, &device).unwrap_or_default(),
        device: id,
    })
}

/// NVMe disks hang below their controller, which is the one that knows.
fn numa_of_card(tree: &Tree, device: &str) -> u64 {
    tree.count(format!("{device}/device/numa_node"))
}

/// Told only of disks that may be opened, as LXD does, who asks the device itself.
fn block_size(tree: &Tree, name: &str) -> u64 {
    match std::fs::File::open(tree.path(format!("dev/{name}"))) {
        Ok(_) => tree.count(format!("{BLOCK}/{name}/queue/physical_block_size")),
        Err(_) => 0,
    }
}

/// The serial number the driver tells, else the one udev found out.
fn serial(tree: &Tree, dir: &str, id: &str) -> String {
    let told = tree.text(format!("{dir}/device/serial")).filter(|text| !text.is_empty());
    let found = || {
        let text = tree.text(format!("run/udev/data/b{id}"))?;
        text.lines().find_map(|line| line.strip_prefix("E:ID_SERIAL_SHORT=").map(str::to_string))
    };
    told.or_else(found).unwrap_or_default()
}

/// The last of the links in `/dev/disk/KIND` that lead to the disk.
fn link_to(tree: &Tree, kind: &str, name: &str) -> String {
    let dir = format!("dev/disk/{kind}");
    let leads = |link: &String| {
        let target = std::fs::read_link(tree.path(format!("{dir}/{link}"))).ok();
        target.is_some_and(|target| target.file_name().is_some_and(|file| file == name))
    };
    tree.list(&dir).into_iter().rfind(leads).unwrap_or_default()
}

fn partitions(tree: &Tree, disk: &str, all: &[String]) -> Vec<ResourcesStorageDiskPartition> {
    let below = |name: &&String| name.as_str() != disk && tree.exists(format!("{BLOCK}/{disk}/{name}"));
    let read = |name: &String| {
        let dir = format!("{BLOCK}/{name}");
        Some(ResourcesStorageDiskPartition {
            id: name.clone(),
            device: tree.text(format!("{dir}/dev"))?,
            read_only: tree.count(format!("{dir}/ro")) == 1,
            size: tree.count(format!("{dir}/size")).saturating_mul(SECTOR),
            partition: tree.number(format!("{dir}/partition"))?,
        })
    };
    all.iter().filter(below).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn disks_with_their_partitions() {
        let host = Fixture::new();
        let disk = "sys/devices/pci0/0000:00:02.0/virtio1/block/vda";
        for dir in [disk.to_string(), format!("{disk}/vda1"), "sys/devices/virtual/block/loop0".to_string()] {
            host.write(&format!("{dir}/dev"), "254:0\n")
                .write(&format!("{dir}/size"), "2048\n")
                .write(&format!("{dir}/ro"), "0\n");
        }
        host.write(&format!("{disk}/vda1/partition"), "1\n")
            .write(&format!("{disk}/queue/rotational"), "0\n")
            .write(&format!("{disk}/queue/physical_block_size"), "4096\n")
            .write("dev/vda", "")
            .write("run/udev/data/b254:0", "S:disk/by-id/x\nE:ID_SERIAL_SHORT=abc\n")
            .link("dev/disk/by-id/virtio-abc", "dev/vda")
            .link(&format!("{disk}/device"), "sys/devices/pci0/0000:00:02.0/virtio1")
            .link("sys/devices/pci0/0000:00:02.0/virtio1/subsystem", "sys/bus/virtio")
            .link("sys/devices/pci0/0000:00:02.0/subsystem", "sys/bus/pci")
            .link("sys/class/block/vda", disk)
            .link("sys/class/block/vda1", &format!("{disk}/vda1"))
            .link("sys/class/block/loop0", "sys/devices/virtual/block/loop0");
        let storage = storage(&host.tree());
        assert_eq!((storage.total, storage.disks.len()), (2, 1));
        let disk = &storage.disks[0];
        assert_eq!((disk.id.as_str(), disk.kind.as_str(), disk.size, disk.rpm), ("vda", "virtio", 1 << 20, 0));
        assert_eq!((disk.pci_address.as_str(), disk.block_size), ("0000:00:02.0", 4096));
        assert_eq!(
            (disk.serial.as_str(), disk.device_id.as_str(), disk.device_path.as_str()),
            ("abc", "virtio-abc", "")
        );
        assert_eq!((disk.partitions[0].id.as_str(), disk.partitions[0].partition), ("vda1", 1));
    }
}
