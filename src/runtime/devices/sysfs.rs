//! Devices that are found by what they are and not by a path (`usb`, `unix-hotplug`, `gpu`): looked for in sysfs.
//!
//! The functions take the root that `/sys` and `/dev` are below, so that tests have a made-up one.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Fitting, unix};
use crate::api::config::is_true;
use crate::api::types::DeviceMap;
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
        "usb" => (usb(device, root), required.then_some("Required USB device not found")),
        "unix-hotplug" => (hotplug(device, root), required.then_some("Required Unix Hotplug device not found")),
        _ => (gpu(device, root), Some("Failed to detect requested GPU device")),
    };
    found.sort_by(|a, b| a.path.cmp(&b.path));
    match (found.is_empty(), missing) {
        (true, Some(text)) => Err(Error::invalid(text)),
        (true, None) => Ok(None),
        (false, _) => {
            let one = |found: Found| {
                let node = unix::own_node(device, found.block, found.numbers);
                Fitting::of_node(node, found.path.clone(), found.path)
            };
            let announced = found.iter_mut().filter_map(|found| found.properties.take()).collect();
            let mut all = Fitting { announced, ..Fitting::default() };
            for fitting in found.into_iter().map(one) {
                all.mounts.extend(fitting.mounts);
                all.rules.extend(fitting.rules);
            }
            Ok(Some(all))
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

/// The nodes of all cards that are meant: by their number, PCI address or ids; all without one.
fn gpu(device: &DeviceMap, root: &Path) -> Vec<Found> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let card = |place: &PathBuf| {
        let number = place.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("card"));
        let Some(number) = number.filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) else {
            return false;
        };
        let hardware = fs::canonicalize(place.join("device")).unwrap_or_default();
        let address = hardware.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let wanted = value("pci").to_ascii_lowercase();
        (value("id").is_empty() || value("id") == number)
            && (wanted.is_empty() || address == wanted || address.strip_prefix("0000:") == Some(&wanted))
            && matches(device, &hardware, ["vendor", "device"])
    };
    let nodes = |place: PathBuf| entries(&place.join("device/drm")).collect::<Vec<_>>();
    let one = |place: PathBuf| {
        let name = place.file_name()?.to_str()?;
        Some(Found {
            path: Path::new("/dev/dri").join(name),
            block: false,
            numbers: numbers(&place)?,
            properties: None,
        })
    };
    let cards = entries(&root.join("sys/class/drm")).filter(card);
    let mut found: Vec<Found> = cards.flat_map(nodes).filter_map(one).collect();
    found.dedup();
    found
}

/// Whether the ids in these files are those that the configuration says, as far as it says some.
fn matches(device: &DeviceMap, place: &Path, files: [&str; 2]) -> bool {
    ["vendorid", "productid"].iter().zip(files).all(|(key, file)| {
        let wanted = device.get(*key).filter(|v| !v.is_empty()).map(|v| v.to_ascii_lowercase());
        let Some(found) = text(place, file) else { return false };
        wanted.is_none_or(|wanted| found.trim_start_matches("0x") == wanted)
    })
}

fn numbers(place: &Path) -> Option<(u32, u32)> {
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

fn text(place: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(place.join(file)).ok()?.trim().to_owned())
}

fn entries(place: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A made-up `/sys` with a serial converter on the bus and a graphics card.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Tree {
            let root = std::env::temp_dir().join(format!("lxbox-sysfs-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            let tree = Tree(root);
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
            let card = "sys/devices/pci0000:00/0000:00:02.0";
            tree.put(card, &[("vendor", "0x8086"), ("device", "0x5916")]);
            for (name, dev) in [("card0", "226:0"), ("renderD128", "226:128")] {
                tree.put(&format!("{card}/drm/{name}"), &[("dev", dev)]);
                tree.link(&format!("{card}/drm/{name}/device"), card);
                tree.link(&format!("sys/class/drm/{name}"), &format!("{card}/drm/{name}"));
            }
            tree
        }

        fn put(&self, place: &str, files: &[(&str, &str)]) {
            fs::create_dir_all(self.0.join(place)).unwrap();
            files
                .iter()
                .for_each(|(name, text)| fs::write(self.0.join(place).join(name), format!("{text}\n")).unwrap());
        }

        fn link(&self, name: &str, target: &str) {
            fs::create_dir_all(self.0.join(name).parent().unwrap()).unwrap();
            symlink(self.0.join(target), self.0.join(name)).unwrap();
        }

        fn fit(&self, pairs: &[(&str, &str)]) -> Result<Option<Fitting>> {
            fit(&pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(), &self.0)
        }

        fn rules(&self, pairs: &[(&str, &str)]) -> Vec<String> {
            self.fit(pairs).unwrap().map(|fitting| fitting.rules).unwrap_or_default()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn devices_of_the_bus_are_known_by_their_ids() {
        let tree = Tree::new("usb");
        let fitted = tree.fit(&[("type", "usb"), ("vendorid", "0403"), ("mode", "0600")]).unwrap().unwrap();
        assert_eq!(fitted.mounts[0].target, PathBuf::from("/dev/bus/usb/001/007"));
        assert_eq!(fitted.rules, ["c 189:6 rwm"]);
        assert_eq!(tree.rules(&[("type", "usb")]).len(), 1, "all without ids");
        assert!(tree.rules(&[("type", "usb"), ("productid", "6002")]).is_empty());
        let required = [("type", "usb"), ("productid", "6002"), ("required", "true")];
        assert_eq!(tree.fit(&required).unwrap_err().message(), "Required USB device not found");
    }

    #[test]
    fn nodes_below_them_are_found_but_not_their_own_nor_names_that_lead_out() {
        let tree = Tree::new("hotplug");
        let fitted =
            tree.fit(&[("type", "unix-hotplug"), ("vendorid", "0403"), ("productid", "6001")]).unwrap().unwrap();
        assert_eq!(fitted.rules, ["c 188:0 rwm"]);
        assert_eq!(fitted.mounts[0].target, PathBuf::from("/dev/ttyUSB0"));
        let said = "DEVPATH=/devices/pci0000:00/usb1/1-2/1-2:1.0/tty/ttyUSB0\nMAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0";
        assert_eq!(fitted.announced, [said]);
        assert!(tree.rules(&[("type", "unix-hotplug"), ("vendorid", "1234")]).is_empty());
    }

    #[test]
    fn cards_are_known_by_number_address_or_ids() {
        let tree = Tree::new("gpu");
        let all = ["c 226:0 rwm", "c 226:128 rwm"];
        assert_eq!(tree.rules(&[("type", "gpu")]), all);
        assert_eq!(tree.rules(&[("type", "gpu"), ("id", "0"), ("vendorid", "8086")]), all);
        assert_eq!(tree.rules(&[("type", "gpu"), ("pci", "00:02.0")]), all);
        for (key, value) in [("id", "1"), ("pci", "0000:00:03.0"), ("productid", "1")] {
            assert!(tree.fit(&[("type", "gpu"), (key, value)]).is_err(), "{key}");
        }
    }
}
