//! Devices that are found by what they are and not by a path (`usb`, `unix-hotplug`): looked for in sysfs.
//!
//! The functions take the root that `/sys` and `/dev` are below, so that tests have a made-up one.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Fitting, unix};
use crate::api::config::is_true;
use crate::api::types::DeviceMap;
use crate::order::Order;
use crate::{Error, Result};

/// A node that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// Its path below `/dev`, on the host and in the guest.
    path: PathBuf,
    block: bool,
    numbers: (u32, u32),
    /// What the kernel says of it as it comes.
    properties: Option<String>,
}

/// What a device of one of these types is on this host now; `None` while it isn't there and needn't be.
///
/// # Errors
/// [`crate::Kind::Invalid`] when it is required and missing.
pub fn fit(device: &DeviceMap, root: &Path) -> Result<Option<Fitting>> {
    let required = device.get("required").is_some_and(|v| is_true(v));
    let (mut found, missing) = match device.get("type").map_or("", String::as_str) {
        "usb" => (usb(device, root), "Required USB device not found"),
        _ => (hotplug(device, root), "Required Unix Hotplug device not found"),
    };
    found.order_by(|a, b| a.path.cmp(&b.path));
    match (found.is_empty(), required) {
        (true, true) => Err(Error::invalid(missing)),
        (true, false) => Ok(None),
        (false, _) => {
            let one = |found: Found| {
                let node = unix::own_node(device, found.block, found.numbers);
                Fitting::of_node(node, found.path.clone(), found.path)
            };
            let announced = found.iter_mut().filter_map(|found| found.properties.take()).collect();
            Ok(Some(Fitting { announced, ..found.into_iter().map(one).collect() }))
        }
    }
}

/// Whether a device comes and goes with events of the kernel.
pub fn comes_and_goes(device: &DeviceMap) -> bool {
    device.get("type").is_some_and(|t| t == "usb" || t == "unix-hotplug")
}

/// All of the bus that have the ids.
fn usb(device: &DeviceMap, root: &Path) -> Vec<Found> {
    let one = |place: PathBuf| {
        matches(device, &place, ["idVendor", "idProduct"]).then_some(())?;
        let number = |name: &str| text(&place, name)?.parse::<u32>().ok();
        let path = format!("/dev/bus/usb/{:03}/{:03}", number("busnum")?, number("devnum")?);
        let properties = properties(&place, root);
        Some(Found { path: path.into(), block: false, numbers: numbers(&place)?, properties })
    };
    entries(&root.join("sys/bus/usb/devices")).filter_map(one).collect()
}

/// Nodes of all kinds below a device of the bus that has the ids, but for that of the bus itself.
fn hotplug(device: &DeviceMap, root: &Path) -> Vec<Found> {
    let one = |(place, block): (PathBuf, bool)| {
        let place = fs::canonicalize(place).ok()?;
        // The device of the bus itself is for `usb`.
        (!place.join("idVendor").exists()).then_some(())?;
        let above = place.ancestors().skip(1).find(|above| above.join("idVendor").exists())?;
        matches(device, above, ["idVendor", "idProduct"]).then_some(())?;
        let uevent = text(&place, "uevent")?;
        let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        plain(name).then_some(())?;
        let properties = properties(&place, root);
        Some(Found { path: Path::new("/dev").join(name), block, numbers: numbers(&place)?, properties })
    };
    let chars = entries(&root.join("sys/dev/char")).map(|place| (place, false));
    let blocks = entries(&root.join("sys/dev/block")).map(|place| (place, true));
    chars.chain(blocks).filter_map(one).collect()
}

/// Whether the ids in these files are those that the configuration says, as far as it says some.
pub(super) fn matches(device: &DeviceMap, place: &Path, files: [&str; 2]) -> bool {
    ["vendorid", "productid"].iter().zip(files).all(|(key, file)| {
        let Some(wanted) = device.get(*key).filter(|v| !v.is_empty()) else { return true };
        text(place, file).is_some_and(|found| found.trim_start_matches("0x").eq_ignore_ascii_case(wanted))
    })
}

pub(super) fn numbers(place: &Path) -> Option<(u32, u32)> {
    let dev = text(place, "dev")?;
    let (major, minor) = dev.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What the kernel says of a device as it comes: its place, its part of the system, and what stands in its `uevent`.
fn properties(place: &Path, root: &Path) -> Option<String> {
    let place = fs::canonicalize(place).ok()?;
    let devpath = place.strip_prefix(fs::canonicalize(root.join("sys")).ok()?).ok()?.to_str()?;
    let subsystem = fs::read_link(place.join("subsystem")).ok();
    let subsystem = subsystem.as_ref().and_then(|target| target.file_name()?.to_str());
    let subsystem = subsystem.map(|name| format!("SUBSYSTEM={name}\n")).unwrap_or_default();
    Some(format!("DEVPATH=/{devpath}\n{subsystem}{}", text(&place, "uevent").unwrap_or_default()))
}

/// Whether a name of the kernel's leads nowhere else.
fn plain(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

pub(super) fn text(place: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(place.join(file)).ok()?.trim().to_owned())
}

pub(super) fn entries(place: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    /// With a serial converter on the bus.
    fn tree() -> Tree {
        let tree = Tree::new();
        let bus = "sys/devices/pci0000:00/usb1/1-2";
        tree.put(
            bus,
            &[("idVendor", "0403"), ("idProduct", "6001"), ("busnum", "1"), ("devnum", "7"), ("dev", "189:6")],
        );
        let serial = format!("{bus}/1-2:1.0/tty/ttyUSB0");
        tree.put(&serial, &[("dev", "188:0"), ("uevent", "MAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0")]);
        let evil = format!("{bus}/1-2:1.0/tty/evil");
        tree.put(&evil, &[("dev", "188:1"), ("uevent", "DEVNAME=../etc/shadow")]);
        tree.link("sys/bus/usb/devices/1-2", bus);
        tree.link("sys/dev/char/188:0", &serial);
        tree.link("sys/dev/char/188:1", &evil);
        tree.link("sys/dev/char/189:6", bus);
        tree
    }

    fn fitting(tree: &Tree, pairs: &[(&str, &str)]) -> Result<Option<Fitting>> {
        fit(&pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(), tree.path())
    }

    fn rules(tree: &Tree, pairs: &[(&str, &str)]) -> Vec<String> {
        fitting(tree, pairs).unwrap().map(|fitting| fitting.rules).unwrap_or_default()
    }

    #[test]
    fn devices_of_the_bus_are_known_by_their_ids() {
        let tree = tree();
        let fitted = fitting(&tree, &[("type", "usb"), ("vendorid", "0403"), ("mode", "0600")]).unwrap().unwrap();
        assert_eq!(fitted.mounts[0].target, PathBuf::from("/dev/bus/usb/001/007"));
        assert_eq!(fitted.rules, ["c 189:6 rwm"]);
        assert_eq!(rules(&tree, &[("type", "usb")]).len(), 1, "all without ids");
        assert!(rules(&tree, &[("type", "usb"), ("productid", "6002")]).is_empty());
        let required = [("type", "usb"), ("productid", "6002"), ("required", "true")];
        assert_eq!(fitting(&tree, &required).unwrap_err().message(), "Required USB device not found");
    }

    #[test]
    fn nodes_below_them_are_found_but_not_their_own_nor_names_that_lead_out() {
        let tree = tree();
        let fitted =
            fitting(&tree, &[("type", "unix-hotplug"), ("vendorid", "0403"), ("productid", "6001")]).unwrap().unwrap();
        assert_eq!(fitted.rules, ["c 188:0 rwm"]);
        assert_eq!(fitted.mounts[0].target, PathBuf::from("/dev/ttyUSB0"));
        let said = "DEVPATH=/devices/pci0000:00/usb1/1-2/1-2:1.0/tty/ttyUSB0\nMAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0";
        assert_eq!(fitted.announced, [said]);
        assert!(rules(&tree, &[("type", "unix-hotplug"), ("vendorid", "1234")]).is_empty());
    }
}
