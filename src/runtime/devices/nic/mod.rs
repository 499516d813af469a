//! `nic` devices: what a configuration means (pure), and the links it stands for.
//!
//! ```text
//! bridged, p2p   a cable (veth): one end in the guest, the other on the host, at a bridge or alone
//! routed         a cable whose far end has fixed addresses, which the host answers for on the parent's wire
//! macvlan        a link of its own on a parent's wire
//! ipvlan         the same with the parent's hardware address and fixed addresses
//! physical       the parent itself, which comes back when the guest is down
//! sriov          a virtual function of the parent, which comes back too
//! infiniband     an interface that was chosen before ([`super::infiniband`]), which comes back too
//! ```
//!
//! A parent may be a tagged network on the parent that is named (`vlan`): that is made for the first device on it and
//! goes with the last.

mod filter;
mod infiniband;
mod layer3;
mod lent;
mod link;
mod port;
mod routed;
#[cfg(test)]
mod scratch;
mod sriov;
mod vlan;
mod volatile;
mod wire;

use std::net::IpAddr;
use std::str::FromStr;

use crate::api::config::{is_true, units};
use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::runtime::network::netlink::MacAddr;
use crate::runtime::network::rules::Nic;
use crate::runtime::network::tc::Limits;
use crate::{Error, Result};

pub use filter::Filter;
pub use infiniband::{OnCard, before_infiniband, chosen};
pub use layer3::{Family, Layer3, Side};
pub use lent::before;
pub use link::{Plugged, change, found, plug, raise, unplug};
pub use port::{Port, Untagged};
pub use vlan::{Parents, Vlan};
pub use volatile::{fill, forget};

/// What a network device is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cable to a bridge.
    Bridged,
    /// A cable to the host.
    P2p,
    /// A link on the parent's wire.
    Macvlan,
    /// The parent.
    Physical,
    /// A cable with addresses that the host answers for.
    Routed,
    /// A link on the parent's wire with the parent's hardware address.
    Ipvlan,
    /// A virtual function of the parent.
    Sriov,
    /// An interface of an InfiniBand card.
    Infiniband,
}

/// Whose a device is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The instance's project.
    pub project: &'a str,
    /// The instance.
    pub instance: &'a str,
}

/// A network device as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The project of its instance.
    pub project: String,
    /// Its instance.
    pub instance: String,
    /// Name of the device in the configuration.
    pub device: String,
    /// What it is made of.
    pub kind: Kind,
    /// The interface of the host it uses; empty for `p2p`.
    pub parent: String,
    /// Its name in the guest.
    pub name: String,
    /// The name of the host's end, where the configuration says one.
    pub host_name: Option<String>,
    /// Its hardware address in the guest; the parent's own for `physical` when nothing is said.
    pub hwaddr: Option<MacAddr>,
    /// What more there is of an interface of InfiniBand's.
    pub infiniband: Option<OnCard>,
    /// Bytes of its longest packet; the parent's when nothing is said.
    pub mtu: Option<u32>,
    /// Networks that the host routes to it.
    pub routes: Vec<(IpAddr, u8)>,
    /// How fast it may be.
    pub limits: Limits,
    /// What it may send: cables to a bridge.
    pub filter: Filter,
    /// What the bridge does with it.
    pub port: Port,
    /// The tagged network of the parent that it is in.
    pub vlan: Option<Vlan>,
    /// Its fixed addresses: `routed` and `ipvlan`.
    pub layer3: Option<Layer3>,
    /// Whether a virtual function may send only by its hardware address.
    pub function_checked: bool,
}

impl Plan {
    /// Whose rules of the firewall it has.
    fn nic(&self) -> Nic<'_> {
        Nic { project: &self.project, instance: &self.instance, device: &self.device }
    }

    /// Whether a device with the one plan can stay where it is when it gets the other: all but limits is the same, and
    /// but routes and filters where those are the host's alone.
    pub fn can_become(&self, other: &Plan) -> bool {
        let mut next = Plan { limits: other.limits, ..self.clone() };
        if matches!(self.kind, Kind::Bridged | Kind::P2p) {
            next.routes.clone_from(&other.routes);
            next.filter.clone_from(&other.filter);
        }
        next == *other
    }
}

/// The network devices among these.
pub fn nics(devices: &Devices) -> impl Iterator<Item = (&String, &DeviceMap)> {
    devices.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic"))
}

/// The devices among these that are interfaces of the guest's.
pub fn interfaces(devices: &Devices) -> impl Iterator<Item = (&String, &DeviceMap)> {
    devices.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic" || t == "infiniband"))
}

/// A device's keys, with those of its volatile keys that say something when it does not itself.
#[derive(Clone, Copy)]
struct Keys<'a> {
    device: &'a str,
    map: &'a DeviceMap,
    config: &'a ConfigMap,
}

impl<'a> Keys<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        self.map.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    fn remembered(&self, key: &str) -> Option<&'a str> {
        let volatile = || self.config.get(&format!("volatile.{}.{key}", self.device)).map(String::as_str);
        self.text(key).or_else(volatile)
    }

    fn on(&self, key: &str) -> bool {
        self.text(key).is_some_and(is_true)
    }

    /// What the checks of the configuration should have refused.
    fn wrong(&self, key: &str) -> Error {
        Error::invalid(format!("Invalid {key:?} of device {:?}", self.device))
    }

    fn parsed<T: FromStr>(&self, key: &str) -> Result<Option<T>> {
        self.text(key).map(|text| text.parse().map_err(|_| self.wrong(key))).transpose()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.text(key).unwrap_or_default().split(',').map(str::trim).filter(|t| !t.is_empty())
    }
}

/// What a device stands for; `config` has its volatile keys ([`fill`]). Pure.
///
/// # Errors
/// [`crate::Kind::Invalid`] for what the checks of the configuration should have refused.
pub fn plan(owner: Owner<'_>, device: &str, map: &DeviceMap, config: &ConfigMap) -> Result<Plan> {
    let keys = Keys { device, map, config };
    let kind = match keys.text("nictype") {
        Some("bridged") => Kind::Bridged,
        Some("p2p") => Kind::P2p,
        Some("macvlan") => Kind::Macvlan,
        Some("physical") => Kind::Physical,
        Some("routed") => Kind::Routed,
        Some("ipvlan") => Kind::Ipvlan,
        Some("sriov") => Kind::Sriov,
        _ => return Err(keys.wrong("nictype")),
    };
    let hwaddr = match kind {
        Kind::Physical | Kind::Ipvlan => keys.text("hwaddr"),
        _ => keys.remembered("hwaddr"),
    };
    let routes = routes(&keys)?;
    Ok(Plan {
        project: owner.project.to_owned(),
        instance: owner.instance.to_owned(),
        device: device.to_owned(),
        kind,
        parent: keys.text("parent").unwrap_or_default().to_owned(),
        name: keys.remembered("name").unwrap_or(device).to_owned(),
        host_name: keys.text("host_name").map(str::to_owned),
        infiniband: None,
        hwaddr: hwaddr.map(|text| text.to_ascii_lowercase().parse().map_err(|_| keys.wrong("hwaddr"))).transpose()?,
        mtu: keys.parsed("mtu")?,
        limits: limits(map).map_err(|key| keys.wrong(key))?,
        filter: if kind == Kind::Bridged { Filter::read(&keys, &routes)? } else { Filter::default() },
        port: Port::read(kind, &keys)?,
        vlan: Vlan::read(kind, &keys)?,
        layer3: Layer3::read(kind, &keys)?,
        function_checked: kind == Kind::Sriov && keys.on("security.mac_filtering"),
        routes,
    })
}

/// All network devices of an instance, in the order they are plugged in. Of `infiniband` those for which something was chosen.
pub fn plans(owner: Owner<'_>, devices: &Devices, config: &ConfigMap) -> Result<Vec<Plan>> {
    let one = |(name, map): (&String, &DeviceMap)| match map.get("type").map(String::as_str) {
        Some("infiniband") => infiniband::plan(owner, name, map, config).transpose(),
        _ => Some(plan(owner, name, map, config)),
    };
    interfaces(devices).filter_map(one).collect()
}

/// How fast a device may be: `limits.max` counts in both directions, whatever is said of one of them.
fn limits(map: &DeviceMap) -> std::result::Result<Limits, &'static str> {
    let rate = |key: &'static str| match map.get(key).filter(|v| !v.is_empty()) {
        Some(text) => units::bits(text).map(Some).map_err(|_| key),
        None => Ok(None),
    };
    let both = rate("limits.max")?;
    Ok(Limits { ingress: both.or(rate("limits.ingress")?), egress: both.or(rate("limits.egress")?) })
}

/// The networks a device names in `ipv4.routes`, `ipv6.routes` and, as nobody announces them, the external ones.
fn routes(keys: &Keys<'_>) -> Result<Vec<(IpAddr, u8)>> {
    let mut found = Vec::new();
    for key in ["ipv4.routes", "ipv4.routes.external", "ipv6.routes", "ipv6.routes.external"] {
        for text in keys.list(key) {
            let network = text.split_once('/').and_then(|(a, p)| Some((a.parse().ok()?, p.parse().ok()?)));
            found.push(network.ok_or_else(|| keys.wrong(key))?);
        }
    }
    Ok(found)
}

/// What holds between the network devices of one instance.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming the device, with LXD's texts: two with one name in the guest, two ways out by routed
/// devices, two with one hardware address at one bridge.
pub fn check(expanded: &Devices) -> Result<()> {
    let all: Vec<(&String, &DeviceMap)> = nics(expanded).collect();
    for (n, (device, map)) in all.iter().enumerate() {
        let keys = Keys { device, map, config: &ConfigMap::new() };
        let others = || all.iter().enumerate().filter(move |(m, _)| *m != n).map(|(_, other)| *other);
        one_name(&keys, all[..n].iter().copied())
            .and_then(|()| one_way_out(&keys, others()))
            .map_err(|why| Error::invalid(format!("Device validation failed for {device:?}: {why}")))?;
        let Some(address) = keys.text("hwaddr").map(str::to_ascii_lowercase) else { continue };
        let at = place(&keys);
        let same = |(_, other): &(&String, &DeviceMap)| {
            let other = Keys { map: other, ..keys };
            place(&other) == at && other.text("hwaddr").is_some_and(|v| v.eq_ignore_ascii_case(&address))
        };
        // On other wires it is for the guest to know; LXD takes it.
        let bridged = keys.text("network").is_some() || keys.text("nictype") == Some("bridged");
        if bridged && all[..n].iter().any(same) {
            return Err(Error::invalid(format!(
                "Failed add validation for device {device:?}: MAC address {address:?} already defined on another NIC"
            )));
        }
    }
    Ok(())
}

fn place<'a>(keys: &Keys<'a>) -> Option<&'a str> {
    keys.text("network").or_else(|| keys.text("parent"))
}

fn one_name<'a>(keys: &Keys<'_>, others: impl Iterator<Item = (&'a String, &'a DeviceMap)>) -> Result<(), String> {
    let Some(name) = keys.text("name") else { return Ok(()) };
    for (_, other) in others {
        if other.get("name").is_some_and(|other| other == name) {
            return Err(format!("Invalid value for device option \"name\": Duplicate NIC name detected {name:?}"));
        }
    }
    Ok(())
}

/// Routed devices set the guest's default routes, and there is one of each family.
fn one_way_out<'a>(keys: &Keys<'_>, others: impl Iterator<Item = (&'a String, &'a DeviceMap)>) -> Result<(), String> {
    let leads = |keys: &Keys<'_>, key: &str| {
        keys.text("nictype") == Some("routed") && keys.text(key).is_none_or(|v| v == "auto")
    };
    for (device, other) in others {
        for key in ["ipv4.gateway", "ipv6.gateway"] {
            if leads(keys, key) && leads(&Keys { map: other, ..*keys }, key) {
                return Err(format!("Existing NIC {device:?} already uses {key:?} in auto mode"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'_> = Owner { project: "default", instance: "c1" };

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_device_becomes_a_plan() {
        let nic = map(&[
            ("type", "nic"),
            ("nictype", "bridged"),
            ("parent", "br0"),
            ("mtu", "1400"),
            ("ipv4.routes", "10.7.0.0/24, 10.8.0.1/32"),
        ]);
        let config = map(&[("volatile.eth0.hwaddr", "00:16:3e:01:02:03"), ("volatile.eth0.name", "eth3")]);
        let found = plan(OWNER, "eth0", &nic, &config).unwrap();
        assert_eq!((found.kind, found.name.as_str(), found.mtu), (Kind::Bridged, "eth3", Some(1400)));
        assert_eq!(found.hwaddr, Some(MacAddr([0, 0x16, 0x3e, 1, 2, 3])));
        assert_eq!(found.routes.len(), 2);
        assert!(plan(OWNER, "eth0", &map(&[("type", "nic"), ("nictype", "ovn")]), &config).is_err());
    }

    #[test]
    fn a_physical_interface_keeps_its_address() {
        let nic = map(&[("type", "nic"), ("nictype", "physical"), ("parent", "d1")]);
        let config = map(&[("volatile.eth0.hwaddr", "00:16:3e:01:02:03")]);
        assert_eq!(plan(OWNER, "eth0", &nic, &config).unwrap().hwaddr, None);
    }

    #[test]
    fn an_address_is_at_one_place_once() {
        let nic = |mac: &str, parent: &str| {
            map(&[("type", "nic"), ("nictype", "bridged"), ("hwaddr", mac), ("parent", parent)])
        };
        let two = |a: ConfigMap, b: ConfigMap| -> Devices { [("a".into(), a), ("b".into(), b)].into() };
        assert!(check(&two(nic("00:16:3e:00:00:01", "b"), nic("00:16:3E:00:00:02", "b"))).is_ok());
        assert!(check(&two(nic("00:16:3e:00:00:0a", "b"), nic("00:16:3E:00:00:0A", "b"))).is_err());
        assert!(check(&two(nic("00:16:3e:00:00:0a", "b"), nic("00:16:3E:00:00:0A", "c"))).is_ok());
    }

    #[test]
    fn a_guest_has_each_name_and_each_way_out_once() {
        let two = |more: &[(&str, &str)]| -> Devices {
            let nic = map(&[&[("type", "nic"), ("nictype", "routed"), ("ipv4.gateway", "none")], more].concat());
            let other = map(&[("type", "nic"), ("nictype", "routed"), ("ipv4.gateway", "none"), ("name", "a")]);
            [("eth0".into(), nic), ("eth1".into(), other)].into()
        };
        let said = |more: &[(&str, &str)]| check(&two(more)).err().map(|e| e.message().to_owned()).unwrap_or_default();
        let way =
            "Device validation failed for \"eth0\": Existing NIC \"eth1\" already uses \"ipv6.gateway\" in auto mode";
        assert_eq!(said(&[]), way);
        assert_eq!(said(&[("ipv6.gateway", "none")]), "");
        let named = said(&[("ipv6.gateway", "none"), ("name", "a")]);
        assert!(named.ends_with("Duplicate NIC name detected \"a\""), "{named}");
    }
}
