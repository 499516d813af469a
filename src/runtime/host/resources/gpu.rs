//! Graphics cards, from `/sys/class/drm`, `/sys/bus/pci/devices` and `/proc/driver/nvidia`.

use std::collections::BTreeMap;

use super::Host;
use super::device::{driver, hex_id, pci_address, usb_address};
use super::pci::DEVICES;
use crate::api::types::{
    ResourcesGpu, ResourcesGpuCard, ResourcesGpuCardDrm, ResourcesGpuCardMdev, ResourcesGpuCardNvidia,
    ResourcesGpuCardSriov,
};
use crate::order::{Gather, Order};

const DRM: &str = "sys/class/drm";
/// PCI classes of display controllers begin so.
const PCI_DISPLAY: &str = "0x03";

/// All cards; a virtual function stands within its card only.
pub(super) fn gpu(host: &Host) -> ResourcesGpu {
    let mut cards: Vec<ResourcesGpuCard> = Vec::new();
    for name in host.tree.list(DRM) {
        // `card0-HDMI-A-1` is a connector.
        let is_card = name.strip_prefix("card").is_some_and(|n| n.parse::<u64>().is_ok());
        let device = format!("{DRM}/{name}/device");
        if is_card && host.tree.exists(&device) && !host.tree.exists(format!("{device}/physfn")) {
            cards.push(card(host, &device));
        }
    }
    for address in host.tree.list(DEVICES) {
        let dir = format!("{DEVICES}/{address}");
        let class = host.tree.text(format!("{dir}/class")).unwrap_or_default();
        let known = cards.iter().any(|card| card.pci_address == address);
        if class.starts_with(PCI_DISPLAY) && !known && !host.tree.exists(format!("{dir}/physfn")) {
            cards.push(card(host, &dir));
        }
    }
    let functions: usize = cards.iter().filter_map(|card| Some(card.sriov.as_ref()?.vfs.len())).sum();
    ResourcesGpu { total: (cards.len() + functions) as u64, cards }
}

/// The card of a device. Of one on virtio driver and ids are those of virtio, the address is that on PCI, as in LXD.
fn card(host: &Host, device: &str) -> ResourcesGpuCard {
    let tree = host.tree;
    let pci = pci_address(tree, device);
    let driver = driver(tree, device, &host.release);
    let ids = |file: &str| hex_id(tree, &format!("{device}/{file}"));
    let (vendor_id, product_id) = (ids("vendor"), ids("device"));
    ResourcesGpuCard {
        driver: driver.name,
        driver_version: driver.version,
        drm: drm(host, device),
        sriov: sriov(host, device),
        nvidia: pci.as_ref().and_then(|address| nvidia(host, address)),
        mdev: mdev(host, device),
        numa_node: tree.count(format!("{device}/numa_node")),
        vendor: host.pci.vendor(&vendor_id),
        product: host.pci.product(&vendor_id, &product_id),
        vendor_id,
        product_id,
        usb_address: usb_address(tree, device).unwrap_or_default(),
        pci_address: pci.unwrap_or_default(),
    }
}

/// Device nodes of a card: entries of its `drm` directory.
fn drm(host: &Host, device: &str) -> Option<ResourcesGpuCardDrm> {
    let dir = format!("{device}/drm");
    let names = host.tree.list(&dir);
    let find = |prefix: &str| {
        let digits = |name: &&String| name.strip_prefix(prefix).is_some_and(|n| n.parse::<u64>().is_ok());
        let name = names.iter().find(digits)?;
        Some((name.clone(), host.tree.text(format!("{dir}/{name}/dev"))?))
    };
    let (card_name, card_device) = find("card")?;
    let (control_name, control_device) = find("controlD").unwrap_or_default();
    let (render_name, render_device) = find("renderD").unwrap_or_default();
    Some(ResourcesGpuCardDrm {
        id: card_name.strip_prefix("card")?.parse().ok()?,
        card_name,
        card_device,
        control_name,
        control_device,
        render_name,
        render_device,
    })
}

fn sriov(host: &Host, dir: &str) -> Option<ResourcesGpuCardSriov> {
    let maximum = host.tree.number(format!("{dir}/sriov_totalvfs"))?;
    let links = host.tree.list(dir).into_iter().filter(|name| name.starts_with("virtfn"));
    let mut vfs: Vec<_> = links.map(|link| card(host, &format!("{dir}/{link}"))).collect();
    vfs.order_by(|a, b| a.pci_address.cmp(&b.pci_address));
    Some(ResourcesGpuCardSriov {
        current_vfs: host.tree.count(format!("{dir}/sriov_numvfs")),
        maximum_vfs: maximum,
        vfs,
    })
}

/// What the driver tells in `/proc`. CUDA's version and the architecture are known to NVIDIA's own tools only.
fn nvidia(host: &Host, address: &str) -> Option<ResourcesGpuCardNvidia> {
    let text = host.tree.text(format!("proc/driver/nvidia/gpus/{address}/information"))?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
        value.unwrap_or_default().trim().to_string()
    };
    let minor = field("Device Minor");
    let version = host.tree.text("sys/module/nvidia/version").unwrap_or_default();
    Some(ResourcesGpuCardNvidia {
        nvrm_version: version,
        brand: field("Model").split(' ').next().unwrap_or_default().to_string(),
        model: field("Model"),
        uuid: field("GPU UUID"),
        card_name: format!("nvidia{minor}"),
        // The major number of the driver's nodes is fixed.
        card_device: format!("195:{minor}"),
        ..ResourcesGpuCardNvidia::default()
    })
}

fn mdev(host: &Host, dir: &str) -> BTreeMap<String, ResourcesGpuCardMdev> {
    let types = format!("{dir}/mdev_supported_types");
    let read = |name: String| {
        let text = |file: &str| host.tree.text(format!("{types}/{name}/{file}")).unwrap_or_default();
        let found = ResourcesGpuCardMdev {
            api: text("device_api"),
            available: text("available_instances").parse().unwrap_or(0),
            name: text("name"),
            description: text("description"),
            devices: host.tree.list(format!("{types}/{name}/devices")),
        };
        (name, found)
    };
    host.tree.list(&types).into_iter().map(read).gather()
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::super::names::Names;
    use super::*;

    #[test]
    fn cards_with_their_nodes() {
        let host = Fixture::new();
        let card = "sys/devices/pci0/0000:00:02.0";
        host.write(&format!("{card}/vendor"), "0x10de\n")
            .write(&format!("{card}/device"), "0x1d01\n")
            .write(&format!("{card}/class"), "0x030000\n")
            .link(&format!("{card}/subsystem"), "sys/bus/pci")
            .write(&format!("{card}/drm/card0/dev"), "226:0\n")
            .write(&format!("{card}/drm/renderD128/dev"), "226:128\n")
            .write(&format!("{card}/mdev_supported_types/i915-1/available_instances"), "2\n")
            .link("sys/class/drm/card0", &format!("{card}/drm/card0"))
            .link(&format!("{card}/drm/card0/device"), card)
            .link("sys/class/drm/card0-HDMI-A-1/device", card)
            .link(&format!("{DEVICES}/0000:00:02.0"), card)
            .write(
                "proc/driver/nvidia/gpus/0000:00:02.0/information",
                "Model: \t\t GeForce GT 1030\nGPU UUID: GPU-1\nDevice Minor: \t 0\n",
            );
        let tree = host.tree();
        let gpu = gpu(&Host {
            tree: &tree,
            release: "6.1".to_string(),
            pci: Names::default(),
            usb: Names::default(),
            ethtool: |_| Default::default(),
        });
        assert_eq!((gpu.total, gpu.cards.len()), (1, 1));
        let card = &gpu.cards[0];
        let drm = card.drm.as_ref().unwrap();
        assert_eq!(
            (drm.card_device.as_str(), drm.render_name.as_str(), drm.control_name.as_str()),
            ("226:0", "renderD128", "")
        );
        let nvidia = card.nvidia.as_ref().unwrap();
        assert_eq!(
            (nvidia.brand.as_str(), nvidia.model.as_str(), nvidia.uuid.as_str()),
            ("GeForce", "GeForce GT 1030", "GPU-1")
        );
        assert_eq!((card.mdev["i915-1"].available, card.vendor_id.as_str()), (2, "10de"));
    }
}
