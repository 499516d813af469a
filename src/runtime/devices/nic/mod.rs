//! `nic` devices: what a configuration means (pure), and the links it stands for.
//!
//! ```text
//! bridged, p2p   a cable (veth): one end in the guest, the other on the host, at a bridge or alone
//! macvlan        a link of its own on a parent's wire
//! physical       the parent itself, which comes back when the guest is down
//! ```

mod link;
mod volatile;

use std::net::IpAddr;

use crate::api::config::units;
use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::runtime::network::netlink::MacAddr;
use crate::runtime::network::tc::Limits;
use crate::{Error, Result};

pub use link::{Plugged, change, found, plug, unplug};
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
}

/// A network device as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
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
    /// Bytes of its longest packet; the parent's when nothing is said.
    pub mtu: Option<u32>,
    /// Networks that the host routes to it.
    pub routes: Vec<(IpAddr, u8)>,
    /// How fast it may be.
    pub limits: Limits,
}

impl Plan {
    /// Whether a device with the one plan can stay where it is when it gets the other: all but routes and limits is the same.
    pub fn can_become(&self, other: &Plan) -> bool {
        Plan { routes: other.routes.clone(), limits: other.limits, ..self.clone() } == *other
    }
}

/// The network devices among these.
pub fn nics(devices: &Devices) -> impl Iterator<Item = (&String, &DeviceMap)> {
    devices.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic"))
}

/// What a device stands for; `config` has its volatile keys ([`fill`]). Pure.
///
/// # Errors
/// [`crate::Kind::Invalid`] for what the checks of the configuration should have refused.
pub fn plan(device: &str, map: &DeviceMap, config: &ConfigMap) -> Result<Plan> {
    let own = |key: &str| map.get(key).filter(|v| !v.is_empty());
    let remembered = |key: &str| own(key).or_else(|| config.get(&format!("volatile.{device}.{key}"))).cloned();
    let wrong = |key: &str| Error::invalid(format!("Invalid {key:?} of device {device:?}"));
    let kind = match own("nictype").map(String::as_str) {
        Some("bridged") => Kind::Bridged,
        Some("p2p") => Kind::P2p,
        Some("macvlan") => Kind::Macvlan,
        Some("physical") => Kind::Physical,
        _ => return Err(wrong("nictype")),
    };
    let hwaddr = if kind == Kind::Physical { own("hwaddr").cloned() } else { remembered("hwaddr") };
    Ok(Plan {
        device: device.to_owned(),
        kind,
        parent: own("parent").cloned().unwrap_or_default(),
        name: remembered("name").unwrap_or_else(|| device.to_owned()),
        host_name: own("host_name").cloned(),
        hwaddr: hwaddr.map(|text| text.parse().map_err(|_| wrong("hwaddr"))).transpose()?,
        mtu: own("mtu").map(|text| text.parse().map_err(|_| wrong("mtu"))).transpose()?,
        routes: routes(map).map_err(wrong)?,
        limits: limits(map).map_err(wrong)?,
    })
}

/// All network devices of an instance, in the order they are plugged in.
pub fn plans(devices: &Devices, config: &ConfigMap) -> Result<Vec<Plan>> {
    nics(devices).map(|(name, map)| plan(name, map, config)).collect()
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

/// The networks a device names in `ipv4.routes` and `ipv6.routes`.
fn routes(map: &DeviceMap) -> std::result::Result<Vec<(IpAddr, u8)>, &'static str> {
    let mut found = Vec::new();
    for key in ["ipv4.routes", "ipv6.routes"] {
        let listed = map.get(key).map_or("", String::as_str).split(',').map(str::trim).filter(|t| !t.is_empty());
        for text in listed {
            let network = text.split_once('/').and_then(|(a, p)| Some((a.parse().ok()?, p.parse().ok()?)));
            found.push(network.ok_or(key)?);
        }
    }
    Ok(found)
}

/// What holds between the network devices of one instance.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming the device, when two at one place have the same hardware address.
pub fn check(expanded: &Devices) -> Result<()> {
    let mut seen = Vec::new();
    for (device, map) in nics(expanded) {
        let Some(address) = map.get("hwaddr").filter(|v| !v.is_empty()).map(|v| v.to_lowercase()) else { continue };
        let at = (map.get("nictype"), map.get("parent"), address);
        if seen.contains(&at) {
            let address = at.2;
            return Err(Error::invalid(format!(
                "Failed add validation for device {device:?}: MAC address {address:?} already defined on another NIC"
            )));
        }
        seen.push(at);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let found = plan("eth0", &nic, &config).unwrap();
        assert_eq!((found.kind, found.name.as_str(), found.mtu), (Kind::Bridged, "eth3", Some(1400)));
        assert_eq!(found.hwaddr, Some(MacAddr([0, 0x16, 0x3e, 1, 2, 3])));
        assert_eq!(found.routes.len(), 2);
        assert!(plan("eth0", &map(&[("type", "nic"), ("nictype", "ovn")]), &config).is_err());
    }

    #[test]
    fn a_physical_interface_keeps_its_address() {
        let nic = map(&[("type", "nic"), ("nictype", "physical"), ("parent", "d1")]);
        let config = map(&[("volatile.eth0.hwaddr", "00:16:3e:01:02:03")]);
        assert_eq!(plan("eth0", &nic, &config).unwrap().hwaddr, None);
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
}
