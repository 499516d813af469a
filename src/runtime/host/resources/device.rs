//! What devices of all kinds have in common in `/sys`: addresses, drivers, device numbers.

use std::path::{Path, PathBuf};

use super::super::Tree;

/// Drivers and versions of one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Driver {
    pub name: String,
    pub version: String,
}

/// The driver bound to the device in `dir`; drivers that are part of the kernel have its release as their version.
pub(super) fn driver(tree: &Tree, dir: &str, release: &str) -> Driver {
    let Some(name) = tree.target_name(format!("{dir}/driver")) else { return Driver::default() };
    let version = tree.text(format!("sys/module/{name}/version")).unwrap_or_else(|| release.to_string());
    Driver { name, version }
}

/// The PCI address of the device a link leads to; that of the card for a device on virtio.
///
/// Class devices may hang several `device` links below their bus device (nvme0n1 -> nvme0 -> PCI).
pub(super) fn pci_address(tree: &Tree, link: &str) -> Option<String> {
    let mut dir = tree.target(link)?;
    while tree.path(dir.join("device")).is_dir() {
        dir = tree.target(dir.join("device"))?;
    }
    let mut subsystem = tree.target_name(dir.join("subsystem"))?;
    if subsystem == "virtio" {
        dir = dir.parent()?.to_path_buf();
        subsystem = tree.target_name(dir.join("subsystem"))?;
    }
    (subsystem == "pci").then(|| last(&dir)).flatten()
}

/// `BUS:DEVICE` of the USB device that the device of a link belongs to.
pub(super) fn usb_address(tree: &Tree, link: &str) -> Option<String> {
    let target = tree.target(link)?;
    let on_usb = target.components().any(|part| part.as_os_str().to_str().is_some_and(|part| part.starts_with("usb")));
    let mut dir: Option<&Path> = Some(&target).filter(|_| on_usb).map(PathBuf::as_path);
    while let Some(at) = dir {
        if let (Some(bus), Some(device)) = (tree.number(at.join("busnum")), tree.number(at.join("devnum"))) {
            return Some(format!("{bus}:{device}"));
        }
        dir = at.parent();
    }
    None
}

/// `0x1af4` as `1af4`.
pub(super) fn hex_id(tree: &Tree, path: &str) -> String {
    let text = tree.text(path).unwrap_or_default();
    text.strip_prefix("0x").map(str::to_string).unwrap_or(text)
}

/// Numbers like `0-3,7` as a set.
pub(super) fn ranges(text: &str) -> std::collections::BTreeSet<u64> {
    let mut set = std::collections::BTreeSet::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let (first, end) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        if let (Ok(first), Ok(end)) = (first.parse::<u64>(), end.parse::<u64>()) {
            // The kernel's largest NR_CPUS is 8192.
            set.extend(first..=end.min(first.saturating_add(65_535)));
        }
    }
    set
}

fn last(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn addresses_are_those_of_the_card() {
        let host = Fixture::new();
        let card = "sys/devices/pci0000:00/0000:00:03.0";
        host.link(&format!("{card}/subsystem"), "sys/bus/pci")
            .link(&format!("{card}/virtio2/subsystem"), "sys/bus/virtio")
            .link("sys/class/net/eth0/device", &format!("{card}/virtio2"))
            .link(&format!("{card}/nvme/nvme0/device"), card)
            .link(&format!("{card}/nvme/nvme0/subsystem"), "sys/class/nvme")
            .link("sys/class/block/nvme0n1/device", &format!("{card}/nvme/nvme0"))
            .write(&format!("{card}/usb1/1-2/busnum"), "1\n")
            .write(&format!("{card}/usb1/1-2/devnum"), "7\n")
            .link("sys/class/net/usb0/device", &format!("{card}/usb1/1-2/1-2:1.0"))
            .link("sys/class/net/tap0/device", "sys/devices/virtual/x");
        let tree = host.tree();
        assert_eq!(pci_address(&tree, "sys/class/net/eth0/device").as_deref(), Some("0000:00:03.0"));
        assert_eq!(pci_address(&tree, "sys/class/block/nvme0n1/device").as_deref(), Some("0000:00:03.0"));
        assert_eq!(pci_address(&tree, "sys/class/net/tap0/device"), None);
        assert_eq!(usb_address(&tree, "sys/class/net/usb0/device").as_deref(), Some("1:7"));
        assert_eq!(usb_address(&tree, "sys/class/net/eth0/device"), None);
    }

    #[test]
    fn ranges_of_numbers() {
        assert_eq!(ranges("0-2,7").into_iter().collect::<Vec<_>>(), [0, 1, 2, 7]);
        assert!(ranges("").is_empty() && ranges("x,-").is_empty());
        assert!(ranges("0-18446744073709551615").len() <= 65_536);
    }
}
