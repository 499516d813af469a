//! `gpu`: the nodes of graphics cards, and of parts of NVIDIA's (MIG), as sysfs and NVIDIA's driver tell of them.
//!
//! ```text
//! sys/class/drm/cardN/device, sys/bus/pci/devices/ADDRESS     the cards
//! CARD/drm/{cardN,renderDN}                                   nodes of the kernel's, in /dev/dri
//! proc/driver/nvidia/gpus/ADDRESS/information                 which nvidiaN a card is
//! proc/driver/nvidia/capabilities/gpuN/mig/giG/[ciC/]access   which nvidia-capN lets a process use a part of it
//! ```
//!
//! The last two are of NVIDIA's manual of its Linux driver and its "MIG User Guide" ("Device Nodes and Capabilities").

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::sysfs::{entries, matches, numbers, text};
use super::{Fitting, unix};
use crate::api::types::DeviceMap;
use crate::order::Order;
use crate::runtime::spec::Node;
use crate::{Error, Result};

/// PCI classes of display controllers begin so.
const DISPLAY: &str = "0x03";

/// A card of the host.
struct Card {
    /// Its folder below `/sys/devices`.
    place: PathBuf,
    /// Its PCI address; its name on another bus.
    address: String,
}

/// What a device is on this host now: the nodes of all cards that are meant by their number, PCI address or ids; all
/// cards without one.
///
/// # Errors
/// [`crate::Kind::Invalid`] when there is none, or not the part of one that is meant.
pub fn fit(device: &DeviceMap, root: &Path) -> Result<Option<Fitting>> {
    let address = value(device, "pci");
    if !address.is_empty() && !root.join("sys/bus/pci/devices").join(whole(address)).exists() {
        return Err(Error::invalid(format!("Invalid PCI address (no device found): {address}")));
    }
    let cards: Vec<Card> = cards(root).into_iter().filter(|card| is_meant(device, card)).collect();
    if !value(device, "mig.uuid").is_empty() && !cards.is_empty() {
        // Only NVIDIA's library knows it by that; its tool mounts the nodes (`nvidia.runtime`).
        return Ok(Some(Fitting::default()));
    }
    let mut found = match value(device, "gputype") {
        "mig" => slices(device, &cards, root),
        _ => nodes(device, &cards, root),
    };
    // Cards share NVIDIA's nodes.
    found.order_by(|(a, _), (b, _)| a.cmp(b));
    found.dedup_by(|(a, _), (b, _)| a == b);
    if found.is_empty() {
        let (gi, ci) = (value(device, "mig.gi"), value(device, "mig.ci"));
        return Err(Error::invalid(match gi.is_empty() || cards.is_empty() {
            true => "Failed to detect requested GPU device".to_owned(),
            false => format!("No requested GPU device has the MIG instance {gi}/{ci}"),
        }));
    }
    Ok(Some(found.into_iter().map(|(path, node)| Fitting::of_node(node, path.clone(), path)).collect()))
}

fn value<'a>(device: &'a DeviceMap, key: &str) -> &'a str {
    device.get(key).map_or("", String::as_str)
}

/// A PCI address with its domain, as sysfs writes it.
fn whole(address: &str) -> String {
    let address = address.to_ascii_lowercase();
    if address.matches(':').count() == 1 { format!("0000:{address}") } else { address }
}

/// All cards but virtual functions, which are within their card.
fn cards(root: &Path) -> Vec<Card> {
    let by_class = entries(&root.join("sys/class/drm")).filter(|place| number(place).is_some());
    let by_class = by_class.map(|place| place.join("device"));
    let by_bus = entries(&root.join("sys/bus/pci/devices"))
        .filter(|place| text(place, "class").is_some_and(|class| class.starts_with(DISPLAY)));
    let mut places: Vec<PathBuf> = by_class.chain(by_bus).filter_map(|place| fs::canonicalize(place).ok()).collect();
    places.order();
    places.dedup();
    places.retain(|place| !place.join("physfn").exists());
    let card = |place: PathBuf| Some(Card { address: address(&place)?, place });
    places.into_iter().filter_map(card).collect()
}

/// The name of a card on its bus; of one on virtio that of the device it is on.
fn address(place: &Path) -> Option<String> {
    let name = place.file_name()?.to_str()?;
    match name.starts_with("virtio") {
        true => address(place.parent()?),
        false => Some(name.to_owned()),
    }
}

/// The number in the name of a card's entry; connectors (`card0-HDMI-A-1`) have none.
fn number(place: &Path) -> Option<&str> {
    let number = place.file_name()?.to_str()?.strip_prefix("card")?;
    Some(number).filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_meant(device: &DeviceMap, card: &Card) -> bool {
    let (id, address) = (value(device, "id"), value(device, "pci"));
    (id.is_empty() || entries(&card.place.join("drm")).any(|place| number(&place) == Some(id)))
        && (address.is_empty() || card.address == whole(address))
        && matches(device, &card.place, ["vendor", "device"])
}

/// The nodes of whole cards.
fn nodes(device: &DeviceMap, cards: &[Card], root: &Path) -> Vec<(PathBuf, Node)> {
    let own = |path: PathBuf, numbers: (u32, u32)| (path, unix::own_node(device, false, numbers));
    let drm = |place: PathBuf| Some(own(Path::new("/dev/dri").join(place.file_name()?), numbers(&place)?));
    let mut found: Vec<_> = cards.iter().flat_map(|card| entries(&card.place.join("drm"))).filter_map(drm).collect();
    let of_driver: Vec<_> = cards.iter().filter_map(|card| on_host(&nvidia(card, root)?, root)).collect();
    let shared = if of_driver.is_empty() { Vec::new() } else { shared(root) };
    found.extend(of_driver.into_iter().chain(shared).map(|(path, node)| own(path, (node.major, node.minor))));
    found
}

/// The nodes of a part of a card, with the modes they have on the host: there are no keys for others.
fn slices(device: &DeviceMap, cards: &[Card], root: &Path) -> Vec<(PathBuf, Node)> {
    let of_card = |card: &Card| {
        let whole = nvidia(card, root)?;
        let instance = format!("mig/gi{}", value(device, "mig.gi"));
        let compute = format!("{instance}/ci{}", value(device, "mig.ci"));
        let minor = whole.to_str()?.strip_prefix("/dev/nvidia")?;
        let capability = |part: &str| {
            let place = root.join("proc/driver/nvidia/capabilities").join(format!("gpu{minor}")).join(part);
            let number = field(&text(&place, "access")?, "DeviceFileMinor")?;
            on_host(Path::new(&format!("/dev/nvidia-caps/nvidia-cap{number}")), root)
        };
        Some([on_host(&whole, root)?, capability(&instance)?, capability(&compute)?])
    };
    let mut found: Vec<_> = cards.iter().filter_map(of_card).flatten().collect();
    if !found.is_empty() {
        found.extend(shared(root));
    }
    found
}

/// The node of a card that NVIDIA's driver has.
fn nvidia(card: &Card, root: &Path) -> Option<PathBuf> {
    let told = text(&root.join("proc/driver/nvidia/gpus").join(&card.address), "information")?;
    Some(format!("/dev/nvidia{}", field(&told, "Device Minor")?).into())
}

/// The number in a line `NAME: NUMBER`.
fn field(text: &str, name: &str) -> Option<u32> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value?.trim().parse().ok()
}

/// The nodes of NVIDIA's driver that are no card's: those whose names don't go on with a number.
fn shared(root: &Path) -> Vec<(PathBuf, Node)> {
    let of_driver = |place: PathBuf| {
        let name = place.file_name()?.to_str()?;
        let after = name.strip_prefix("nvidia")?;
        (!after.starts_with(|c: char| c.is_ascii_digit())).then_some(())?;
        on_host(&Path::new("/dev").join(name), root)
    };
    entries(&root.join("dev")).filter_map(of_driver).collect()
}

/// A character device of the host, with root as its owner.
fn on_host(path: &Path, root: &Path) -> Option<(PathBuf, Node)> {
    let status = fs::metadata(root.join(path.strip_prefix("/").ok()?)).ok()?;
    status.file_type().is_char_device().then_some(())?;
    let (major, minor) = (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
    let node = Node { block: false, major, minor, uid: 0, gid: 0, mode: status.mode() & 0o777 };
    Some((path.to_owned(), node))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    const INTEL: &str = "sys/devices/pci0000:00/0000:00:02.0";
    const NVIDIA: &str = "sys/devices/pci0000:00/0000:01:00.0";

    /// With a card of Intel's and one of NVIDIA's, whose driver takes no part in DRM. The nodes of the latter are some that
    /// every host has.
    fn tree() -> Tree {
        let tree = Tree::new();
        tree.put(INTEL, &[("vendor", "0x8086"), ("device", "0x5916"), ("class", "0x030000")]);
        tree.put(NVIDIA, &[("vendor", "0x10de"), ("device", "0x20b0"), ("class", "0x030200")]);
        for (name, dev) in [("card0", "226:0"), ("renderD128", "226:128")] {
            tree.put(&format!("{INTEL}/drm/{name}"), &[("dev", dev)]);
            tree.link(&format!("{INTEL}/drm/{name}/device"), INTEL);
            tree.link(&format!("sys/class/drm/{name}"), &format!("{INTEL}/drm/{name}"));
        }
        tree.link("sys/bus/pci/devices/0000:00:02.0", INTEL);
        tree.link("sys/bus/pci/devices/0000:01:00.0", NVIDIA);
        let driver = "proc/driver/nvidia";
        tree.put(&format!("{driver}/gpus/0000:01:00.0"), &[("information", "GPU UUID: \t GPU-1\nDevice Minor: \t 1")]);
        let part = format!("{driver}/capabilities/gpu1/mig/gi2");
        tree.put(&part, &[("access", "DeviceFileMinor: 21\nDeviceFileMode: 256\nDeviceFileModify: 1")]);
        tree.put(&format!("{part}/ci0"), &[("access", "DeviceFileMinor: 22\nDeviceFileMode: 256")]);
        let nodes = [("nvidia1", "zero"), ("nvidia0", "tty"), ("nvidiactl", "null"), ("nvidia-uvm", "full")];
        let parts = [("nvidia-caps/nvidia-cap21", "random"), ("nvidia-caps/nvidia-cap22", "urandom")];
        for (name, real) in nodes.into_iter().chain(parts) {
            tree.link(&format!("dev/{name}"), &format!("/dev/{real}"));
        }
        tree
    }

    fn fitting(tree: &Tree, pairs: &[(&str, &str)]) -> Result<Fitting> {
        let device = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        fit(&device, tree.path()).map(Option::unwrap_or_default)
    }

    fn targets(tree: &Tree, pairs: &[(&str, &str)]) -> Vec<String> {
        let mounts = fitting(tree, pairs).map(|fitting| fitting.mounts).unwrap_or_default();
        mounts.iter().map(|mount| mount.target.display().to_string()).collect()
    }

    #[test]
    fn cards_are_known_by_number_address_or_ids() {
        let tree = tree();
        let intel = ["/dev/dri/card0", "/dev/dri/renderD128"];
        assert_eq!(targets(&tree, &[("id", "0"), ("vendorid", "8086")]), intel);
        assert_eq!(targets(&tree, &[("pci", "00:02.0")]), intel);
        assert_eq!(fitting(&tree, &[("id", "0")]).unwrap().rules, ["c 226:0 rwm", "c 226:128 rwm"]);
        for (key, value) in [("id", "1"), ("productid", "1")] {
            let said = fitting(&tree, &[(key, value)]).unwrap_err();
            assert_eq!(said.message(), "Failed to detect requested GPU device", "{key}");
        }
        let said = fitting(&tree, &[("pci", "0000:00:03.0")]).unwrap_err();
        assert_eq!(said.message(), "Invalid PCI address (no device found): 0000:00:03.0");
    }

    #[test]
    fn a_card_of_nvidias_comes_with_the_nodes_of_its_driver_but_not_of_other_cards() {
        let tree = tree();
        let pairs = [("pci", "0000:01:00.0"), ("gid", "44"), ("mode", "0666")];
        assert_eq!(targets(&tree, &pairs), ["/dev/nvidia-uvm", "/dev/nvidia1", "/dev/nvidiactl"]);
        let fitted = fitting(&tree, &pairs).unwrap();
        assert_eq!(fitted.rules, ["c 1:7 rwm", "c 1:5 rwm", "c 1:3 rwm"]);
        let node = Node { block: false, major: 1, minor: 5, uid: 0, gid: 44, mode: 0o666 };
        assert_eq!(fitted.mounts[1].node, Some(node));
        assert_eq!(targets(&tree, &[]).len(), 5, "all cards");
        // A driver that isn't loaded has no nodes.
        tree.remove("dev/nvidia1");
        assert!(targets(&tree, &pairs).is_empty());
    }

    #[test]
    fn a_part_of_a_card_is_its_node_the_drivers_and_two_that_stand_for_it() {
        let tree = tree();
        let part = [("gputype", "mig"), ("mig.gi", "2"), ("mig.ci", "0")];
        let nodes = [
            "/dev/nvidia-caps/nvidia-cap21",
            "/dev/nvidia-caps/nvidia-cap22",
            "/dev/nvidia-uvm",
            "/dev/nvidia1",
            "/dev/nvidiactl",
        ];
        assert_eq!(targets(&tree, &part), nodes);
        let mode = fitting(&tree, &part).unwrap().mounts[0].node.as_ref().unwrap().mode;
        assert_eq!(mode, 0o666, "the host's");
        let other = fitting(&tree, &[("gputype", "mig"), ("mig.gi", "2"), ("mig.ci", "1")]).unwrap_err();
        assert_eq!(other.message(), "No requested GPU device has the MIG instance 2/1");
        let uuid = ("mig.uuid", "c904725f-0d7d-4afd-9ad7-e12ee4b853e1");
        assert_eq!(fitting(&tree, &[part[0], uuid]).unwrap(), Fitting::default(), "NVIDIA's tool mounts it");
        assert!(fitting(&tree, &[part[0], uuid, ("vendorid", "8087")]).is_err());
        let intel = fitting(&tree, &[&part[..], &[("vendorid", "8087")]].concat()).unwrap_err();
        assert_eq!(intel.message(), "Failed to detect requested GPU device");
    }

    #[test]
    fn a_card_on_virtio_has_the_address_of_what_it_is_on() {
        let tree = tree();
        let bus = "sys/devices/pci0000:00/0000:00:05.0";
        tree.put(bus, &[("vendor", "0x1af4"), ("device", "0x1050"), ("class", "0x030000")]);
        tree.put(&format!("{bus}/virtio3/drm/card2"), &[("dev", "226:2")]);
        tree.link("sys/class/drm/card2", &format!("{bus}/virtio3/drm/card2"));
        tree.link(&format!("{bus}/virtio3/drm/card2/device"), &format!("{bus}/virtio3"));
        tree.link("sys/bus/pci/devices/0000:00:05.0", bus);
        assert_eq!(targets(&tree, &[("pci", "0000:00:05.0")]), ["/dev/dri/card2"]);
        assert_eq!(targets(&tree, &[("id", "2")]), ["/dev/dri/card2"]);
    }

    #[test]
    fn virtual_functions_are_no_cards() {
        let tree = tree();
        let function = "sys/devices/pci0000:00/0000:00:02.1";
        tree.put(function, &[("vendor", "0x8086"), ("device", "0x5916"), ("class", "0x030000")]);
        tree.put(&format!("{function}/drm/card1"), &[("dev", "226:1")]);
        tree.link(&format!("{function}/physfn"), INTEL);
        tree.link("sys/bus/pci/devices/0000:00:02.1", function);
        assert_eq!(targets(&tree, &[("vendorid", "8086")]).len(), 2);
    }
}
