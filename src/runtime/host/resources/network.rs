//! Network cards, from `/sys/class/net` and `/sys/bus/pci/devices`.
//!
//! Cards whose interfaces are in other network namespaces, or that have no driver, are known by their PCI class alone.

use super::super::netlink::Ethtool;
use super::Host;
use super::device::{driver, hex_id, pci_address, usb_address};
use super::pci::DEVICES;
use crate::api::types::{
    ResourcesNetwork, ResourcesNetworkCard, ResourcesNetworkCardPort, ResourcesNetworkCardPortInfiniband,
    ResourcesNetworkCardSriov,
};
use crate::order::Order;

const NET: &str = "sys/class/net";
/// PCI classes of network controllers begin so.
const PCI_NETWORK: &str = "0x02";
/// `ARPHRD_ETHER` and `ARPHRD_INFINIBAND`.
const ETHERNET: u64 = 1;
const INFINIBAND: u64 = 32;

/// All cards; a virtual function stands within its card only.
pub(super) fn network(host: &Host) -> ResourcesNetwork {
    let mut cards: Vec<ResourcesNetworkCard> = Vec::new();
    for name in host.tree.list(NET) {
        let device = format!("{NET}/{name}/device");
        // Virtual functions are found from their card.
        if !host.tree.exists(&device) || host.tree.exists(format!("{device}/physfn")) {
            continue;
        }
        let card = card(host, &device);
        let known = |c: &ResourcesNetworkCard| c.pci_address == card.pci_address && c.usb_address == card.usb_address;
        let has_address = !card.pci_address.is_empty() || !card.usb_address.is_empty();
        if !(has_address && cards.iter().any(known)) {
            cards.push(card);
        }
    }
    for address in host.tree.list(DEVICES) {
        let dir = format!("{DEVICES}/{address}");
        let class = host.tree.text(format!("{dir}/class")).unwrap_or_default();
        let known = cards.iter().any(|card| card.pci_address == address);
        if class.starts_with(PCI_NETWORK) && !known && !host.tree.exists(format!("{dir}/physfn")) {
            cards.push(card(host, &dir));
        }
    }
    let functions: usize = cards.iter().filter_map(|card| Some(card.sriov.as_ref()?.vfs.len())).sum();
    ResourcesNetwork { total: (cards.len() + functions) as u64, cards }
}

/// The card of a device. Of one on virtio driver and ids are those of virtio, the address is that on PCI, as in LXD.
fn card(host: &Host, device: &str) -> ResourcesNetworkCard {
    let tree = host.tree;
    let driver = driver(tree, device, &host.release);
    let vendor_id = hex_id(tree, &format!("{device}/vendor"));
    let product_id = hex_id(tree, &format!("{device}/device"));
    ResourcesNetworkCard {
        driver: driver.name,
        driver_version: driver.version,
        ports: ports(host, device),
        sriov: sriov(host, device),
        numa_node: tree.count(format!("{device}/numa_node")),
        vendor: host.pci.vendor(&vendor_id),
        product: host.pci.product(&vendor_id, &product_id),
        vendor_id,
        product_id,
        // Told by drivers through an ioctl alone.
        firmware_version: String::new(),
        usb_address: usb_address(tree, device).unwrap_or_default(),
        pci_address: pci_address(tree, device).unwrap_or_default(),
    }
}

fn sriov(host: &Host, dir: &str) -> Option<ResourcesNetworkCardSriov> {
    let maximum = host.tree.number(format!("{dir}/sriov_totalvfs"))?;
    let links = host.tree.list(dir).into_iter().filter(|name| name.starts_with("virtfn"));
    let mut vfs: Vec<_> = links.map(|link| card(host, &format!("{dir}/{link}"))).collect();
    vfs.order_by(|a, b| a.pci_address.cmp(&b.pci_address));
    Some(ResourcesNetworkCardSriov {
        current_vfs: host.tree.count(format!("{dir}/sriov_numvfs")),
        maximum_vfs: maximum,
        vfs,
    })
}

/// The interfaces of a device, those of this network namespace.
fn ports(host: &Host, device: &str) -> Vec<ResourcesNetworkCardPort> {
    host.tree.list(format!("{device}/net")).iter().filter_map(|name| port(host, device, name)).collect()
}

fn port(host: &Host, device: &str, name: &str) -> Option<ResourcesNetworkCardPort> {
    let dir = format!("{device}/net/{name}");
    let number = |file: &str| host.tree.count(format!("{dir}/{file}"));
    let protocol = match number("type") {
        ETHERNET => "ethernet",
        INFINIBAND => "infiniband",
        _ => return None,
    };
    let duplex = host.tree.text(format!("{dir}/duplex")).filter(|text| text == "full" || text == "half");
    let link = number("carrier") == 1;
    // A virtual function has no port of its own.
    let is_function = host.tree.exists(format!("{device}/physfn"));
    let told = if is_function { Ethtool::default() } else { (host.ethtool)(name) };
    let address = Some(told.address).filter(|address| !address.is_empty());
    Some(ResourcesNetworkCardPort {
        id: name.to_string(),
        address: address.or_else(|| host.tree.text(format!("{dir}/address"))).unwrap_or_default(),
        port: number("dev_port"),
        protocol: protocol.to_string(),
        supported_modes: told.modes.iter().filter(|mode| mode.contains("base")).cloned().collect(),
        supported_ports: told.modes.iter().filter_map(|mode| supported_port(mode)).map(str::to_string).collect(),
        port_type: told.port.and_then(port_type).unwrap_or_default().to_string(),
        transceiver_type: told.transceiver.and_then(transceiver).unwrap_or_default().to_string(),
        auto_negotiation: told.negotiates,
        link_detected: link,
        // Without a link these are what was, or would be.
        link_speed: if link { number("speed") } else { 0 },
        link_duplex: duplex.filter(|_| link).unwrap_or_default(),
        infiniband: (protocol == "infiniband").then(|| infiniband(host, device)),
    })
}

/// The port a bit of the link modes stands for, in LXD's words.
fn supported_port(mode: &str) -> Option<&'static str> {
    Some(match mode {
        "TP" => "twisted pair",
        "AUI" => "AUI",
        "MII" => "media-independent",
        "FIBRE" => "fibre",
        "BNC" => "BNC",
        "Backplane" => "backplane",
        _ => return None,
    })
}

/// `PORT_*` of linux/ethtool.h, in LXD's words.
fn port_type(number: u8) -> Option<&'static str> {
    Some(match number {
        0x00 => "twisted pair",
        0x01 => "AUI",
        0x02 => "media-independent",
        0x03 => "fibre",
        0x04 => "BNC",
        0x05 => "direct attach",
        0xef => "none",
        0xff => "other",
        _ => return None,
    })
}

/// `XCVR_*` of linux/ethtool.h, in LXD's words.
fn transceiver(number: u8) -> Option<&'static str> {
    match number {
        0 => Some("internal"),
        1 => Some("external"),
        _ => None,
    }
}

/// Device nodes of an Infiniband card: the first of each kind.
fn infiniband(host: &Host, device: &str) -> ResourcesNetworkCardPortInfiniband {
    let find = |class: &str, prefix: &str| {
        let dir = format!("{device}/{class}");
        let name = host.tree.list(&dir).into_iter().find(|name| name.starts_with(prefix)).unwrap_or_default();
        let node = if name.is_empty() { None } else { host.tree.text(format!("{dir}/{name}/dev")) };
        (name, node.unwrap_or_default())
    };
    let (issm_name, issm_device) = find("infiniband_mad", "issm");
    let (mad_name, mad_device) = find("infiniband_mad", "umad");
    let (verb_name, verb_device) = find("infiniband_verbs", "uverbs");
    ResourcesNetworkCardPortInfiniband { issm_name, issm_device, mad_name, mad_device, verb_name, verb_device }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::super::names::Names;
    use super::*;

    fn told() -> Ethtool {
        let modes = ["1000baseT/Full", "Autoneg", "TP"].map(str::to_string).to_vec();
        Ethtool { modes, negotiates: true, port: Some(0), transceiver: Some(1), address: String::new() }
    }

    #[test]
    fn cards_with_ports_and_virtual_functions() {
        let host = Fixture::new();
        for address in ["0000:00:03.0", "0000:00:04.0", "0000:00:04.1", "0000:00:05.0"] {
            let real = format!("sys/devices/pci0/{address}");
            host.write(&format!("{real}/vendor"), "0x8086\n")
                .write(&format!("{real}/device"), "0x1041\n")
                .write(&format!("{real}/class"), "0x020000\n")
                .link(&format!("{real}/subsystem"), "sys/bus/pci")
                .link(&format!("{DEVICES}/{address}"), &real);
        }
        let (virtio, card) = ("sys/devices/pci0/0000:00:03.0/virtio2", "sys/devices/pci0/0000:00:04.0");
        host.link(&format!("{virtio}/subsystem"), "sys/bus/virtio")
            .write(&format!("{virtio}/net/eth0/type"), "1\n")
            .write(&format!("{virtio}/net/eth0/address"), "00:16:3e:00:00:01\n")
            .write(&format!("{virtio}/net/eth0/speed"), "-1\n")
            .write(&format!("{virtio}/net/eth0/carrier"), "1\n")
            .link("sys/class/net/eth0/device", virtio)
            .write(&format!("{card}/net/eth1/type"), "1\n")
            .write(&format!("{card}/net/eth1/speed"), "10000\n")
            .write(&format!("{card}/net/eth1/duplex"), "full\n")
            .write(&format!("{card}/net/eth1/carrier"), "1\n")
            .write(&format!("{card}/sriov_totalvfs"), "8\n")
            .write(&format!("{card}/sriov_numvfs"), "1\n")
            .link(&format!("{card}/virtfn0"), "sys/devices/pci0/0000:00:04.1")
            .link("sys/devices/pci0/0000:00:04.1/physfn", card)
            .link("sys/class/net/eth1/device", card)
            .link("sys/class/net/eth2/device", card)
            .write("sys/class/net/lo/type", "772\n");
        let tree = host.tree();
        let network = network(&Host {
            tree: &tree,
            release: "6.1".to_string(),
            pci: Names::default(),
            usb: Names::default(),
            ethtool: |_| told(),
        });
        assert_eq!(network.total, 4);
        let addresses: Vec<&str> = network.cards.iter().map(|card| card.pci_address.as_str()).collect();
        assert_eq!(addresses, ["0000:00:03.0", "0000:00:04.0", "0000:00:05.0"]);
        let eth0 = &network.cards[0].ports[0];
        assert_eq!(
            (eth0.supported_modes.join(","), eth0.supported_ports.join(",")),
            ("1000baseT/Full".into(), "twisted pair".into())
        );
        assert_eq!(
            (eth0.port_type.as_str(), eth0.transceiver_type.as_str(), eth0.auto_negotiation),
            ("twisted pair", "external", true)
        );
        assert_eq!((eth0.id.as_str(), eth0.link_detected, eth0.link_speed), ("eth0", true, 0));
        let eth1 = &network.cards[1].ports[0];
        assert_eq!((eth1.link_speed, eth1.link_duplex.as_str(), eth1.link_detected), (10000, "full", true));
        let sriov = network.cards[1].sriov.as_ref().unwrap();
        assert_eq!((sriov.current_vfs, sriov.maximum_vfs, sriov.vfs[0].pci_address.as_str()), (1, 8, "0000:00:04.1"));
        assert!(network.cards[2].ports.is_empty());
    }
}
