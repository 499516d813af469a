//! `infiniband`: an interface of an InfiniBand card that a guest has for itself, and the nodes of the card's function it belongs to.
//!
//! ```text
//! class/net/NAME/{type,dev_port,device}             an interface: its type (32), port and function, which is named by its slot
//! class/net/PARENT/device/virtfnN -> ../SLOT        the virtual functions of a card, each with its interfaces below net/
//! class/infiniband_verbs/uverbsN/{device,dev}       nodes of a function, below /dev/infiniband
//! class/infiniband_mad/{umadN,issmN}/{device,dev}
//! ```
//!
//! (Linux, `Documentation/ABI/stable/sysfs-class-infiniband` and `Documentation/infiniband/`.) What a guest has is known by its slot:
//! the interface is in the guest, where the host's sysfs doesn't show it.

use std::fs;
use std::path::{Path, PathBuf};

use super::sysfs::{entries, numbers, text};
use super::{Fitting, unix};
use crate::api::types::DeviceMap;
use crate::order::Order;
use crate::{Error, Result};

/// `ARPHRD_INFINIBAND` of linux/if_arp.h.
const TYPE: &str = "32";

/// An interface that was chosen for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its name on the host.
    pub interface: String,
    /// The function it belongs to.
    pub slot: String,
}

/// Looks for the interface that a device is to have: its parent, or one of a virtual function of that which nobody else has.
/// What is `lent` already, chosen before and no more on the host, stays. `free` says whether an interface can be taken; `root` has
/// `/sys` below it.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's texts.
pub fn choose(
    device: &DeviceMap,
    root: &Path,
    lent: Option<Chosen>,
    mut free: impl FnMut(&str) -> bool,
) -> Result<Chosen> {
    let parent = device.get("parent").map_or("", String::as_str);
    let place = root.join("sys/class/net").join(parent);
    let physical = device.get("nictype").is_some_and(|kind| kind == "physical");
    let functions = functions(&place.join("device"));
    let fits = |lent: &Chosen| match physical {
        true => lent.interface == parent,
        false => functions.iter().any(|function| function.ends_with(&lent.slot)),
    };
    if let Some(lent) = lent.filter(fits) {
        return Ok(lent);
    }
    if parent.is_empty() || !place.exists() {
        return Err(Error::invalid(format!("Parent device '{parent}' doesn't exist")));
    }
    if physical {
        let missing = || Error::invalid(format!("Specified infiniband device {parent:?} not found"));
        return interface(&place).ok_or_else(missing);
    }
    let port = text(&place, "dev_port");
    let of_port = |place: &PathBuf| text(place, "dev_port") == port;
    let all = functions.iter().flat_map(|function| entries(&function.join("net")));
    let mut all: Vec<Chosen> = all.filter(of_port).filter_map(|place| interface(&place)).collect();
    all.order_by(|a, b| (&a.slot, &a.interface).cmp(&(&b.slot, &b.interface)));
    let taken = || Error::invalid("All virtual functions on parent device are already in use");
    all.into_iter().find(|chosen| free(&chosen.interface)).ok_or_else(taken)
}

/// What an entry of `class/net` is; none when it isn't of InfiniBand, or of no device.
fn interface(place: &Path) -> Option<Chosen> {
    (text(place, "type")? == TYPE).then_some(())?;
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    Some(Chosen { interface: name(place)?, slot: name(&fs::canonicalize(place.join("device")).ok()?)? })
}

/// The folders of a card's virtual functions.
fn functions(card: &Path) -> Vec<PathBuf> {
    let is_function = |place: &PathBuf| {
        place.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("virtfn"))
    };
    entries(card).filter(is_function).filter_map(|place| fs::canonicalize(place).ok()).collect()
}

/// The nodes of the function with this slot. Those of both ports where a function has two: with the one for verbs, which all
/// ports share, a guest has the whole function anyway.
pub fn fit(slot: &str, root: &Path) -> Fitting {
    let verbs = entries(&root.join("sys/class/infiniband_verbs"));
    let management = entries(&root.join("sys/class/infiniband_mad"));
    let node = |place: PathBuf| {
        let name = place.file_name()?.to_str()?;
        let known = ["uverbs", "umad", "issm"].iter().any(|prefix| name.starts_with(prefix));
        (known && fs::canonicalize(place.join("device")).ok()?.ends_with(slot)).then_some(())?;
        Some((Path::new("/dev/infiniband").join(name), numbers(&place)?))
    };
    let mut found: Vec<(PathBuf, (u32, u32))> = verbs.chain(management).filter_map(node).collect();
    found.order();
    let own = |numbers| unix::own_node(&DeviceMap::new(), false, numbers);
    found.into_iter().map(|(path, numbers)| Fitting::of_node(own(numbers), path.clone(), path)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    const BUS: &str = "sys/devices/pci0000:00";

    /// With a card that has two virtual functions, and an Ethernet interface.
    fn tree() -> Tree {
        let tree = Tree::new();
        let parts = [("0000:01:00.0", "ib0", 0), ("0000:01:00.1", "ib1", 1), ("0000:01:00.2", "ib2", 2)];
        for (slot, name, n) in parts {
            let place = format!("{BUS}/{slot}");
            tree.put(&format!("{place}/net/{name}"), &[("type", "32"), ("dev_port", "0")]);
            tree.link(&format!("{place}/net/{name}/device"), &place);
            tree.link(&format!("sys/class/net/{name}"), &format!("{place}/net/{name}"));
            let nodes =
                [("infiniband_verbs", "uverbs", 192), ("infiniband_mad", "umad", 0), ("infiniband_mad", "issm", 64)];
            for (class, prefix, first) in nodes {
                let node = format!("sys/class/{class}/{prefix}{n}");
                tree.put(&node, &[("dev", &format!("231:{}", first + n))]);
                tree.link(&format!("{node}/device"), &place);
            }
        }
        for n in 0..2 {
            tree.link(&format!("{BUS}/0000:01:00.0/virtfn{n}"), &format!("{BUS}/0000:01:00.{}", n + 1));
        }
        tree.put("sys/class/infiniband_mad/abi_version", &[]);
        tree.put("sys/class/net/eth0", &[("type", "1")]);
        tree
    }

    fn chosen(interface: &str, slot: &str) -> Chosen {
        Chosen { interface: interface.into(), slot: slot.into() }
    }

    fn asked(
        tree: &Tree,
        (kind, parent): (&str, &str),
        lent: Option<&Chosen>,
        used: &[&str],
    ) -> Result<Chosen, String> {
        let device = [("nictype".to_owned(), kind.to_owned()), ("parent".to_owned(), parent.to_owned())].into();
        choose(&device, tree.path(), lent.cloned(), |name| !used.contains(&name)).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn a_physical_device_is_its_parent_wherever_that_is() {
        let tree = tree();
        let ib0 = chosen("ib0", "0000:01:00.0");
        assert_eq!(asked(&tree, ("physical", "ib0"), None, &[]), Ok(ib0.clone()));
        assert_eq!(asked(&tree, ("physical", "ib1"), Some(&ib0), &[]), Ok(chosen("ib1", "0000:01:00.1")));
        let said = |kind, parent| asked(&tree, (kind, parent), None, &[]).unwrap_err();
        assert_eq!(said("physical", "eth0"), "Specified infiniband device \"eth0\" not found");
        assert_eq!(said("physical", "ib9"), "Parent device 'ib9' doesn't exist");
        assert_eq!(said("physical", ""), "Parent device '' doesn't exist");
        assert_eq!(said("sriov", "ib9"), "Parent device 'ib9' doesn't exist");
        // A guest has it.
        tree.remove("sys/class/net/ib0");
        assert_eq!(asked(&tree, ("physical", "ib0"), Some(&ib0), &[]), Ok(ib0));
        assert_eq!(said("physical", "ib0"), "Parent device 'ib0' doesn't exist");
    }

    #[test]
    fn a_function_is_the_first_that_nobody_has_and_stays() {
        let tree = tree();
        let (one, two) = (chosen("ib1", "0000:01:00.1"), chosen("ib2", "0000:01:00.2"));
        assert_eq!(asked(&tree, ("sriov", "ib0"), None, &[]), Ok(one));
        assert_eq!(asked(&tree, ("sriov", "ib0"), None, &["ib1"]), Ok(two.clone()));
        let taken = "All virtual functions on parent device are already in use";
        assert_eq!(asked(&tree, ("sriov", "ib0"), None, &["ib1", "ib2"]).unwrap_err(), taken);
        assert_eq!(asked(&tree, ("sriov", "eth0"), None, &[]).unwrap_err(), taken);
        // One that a guest has stays its own.
        assert_eq!(asked(&tree, ("sriov", "ib0"), Some(&two), &[]), Ok(two.clone()));
        assert_eq!(asked(&tree, ("sriov", "ib1"), Some(&two), &[]).unwrap_err(), taken, "of another card");
    }

    #[test]
    fn the_nodes_of_a_function_belong_to_it() {
        let fitted = fit("0000:01:00.1", tree().path());
        let targets: Vec<_> = fitted.mounts.iter().map(|mount| mount.target.display().to_string()).collect();
        assert_eq!(targets, ["/dev/infiniband/issm1", "/dev/infiniband/umad1", "/dev/infiniband/uverbs1"]);
        assert_eq!(fitted.rules, ["c 231:65 rwm", "c 231:1 rwm", "c 231:193 rwm"]);
        assert_eq!(fit("0000:01:00.9", tree().path()), Fitting::default());
    }
}
