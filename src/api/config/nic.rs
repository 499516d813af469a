//! What holds between the keys of one network device; errors have LXD's texts. Pure.

use crate::api::types::DeviceMap;
use crate::error::{Error, Result};

use super::device::{has, wrong};
use super::kind::{Kind, is_true};

/// Checks a device of this type within the type.
pub(super) fn check(device: &DeviceMap, nictype: &str) -> Result<()> {
    let needs_parent = matches!(nictype, "bridged" | "ipvlan" | "macvlan" | "physical" | "sriov");
    if needs_parent && !has(device, "parent") && !has(device, "network") {
        return Err(wrong("parent", "Required value"));
    }
    match nictype {
        "bridged" => bridged(device),
        "routed" => routed(device),
        "ipvlan" => ipvlan(device),
        _ => Ok(()),
    }
}

fn bridged(device: &DeviceMap) -> Result<()> {
    let filtered = ["security.ipv4_filtering", "security.ipv6_filtering"];
    let filtered = filtered.iter().any(|key| device.get(*key).is_some_and(|v| is_true(v)));
    if filtered && (has(device, "vlan") || has(device, "vlan.tagged")) {
        return Err(Error::invalid("IP filtering cannot be used with VLAN filtering"));
    }
    Ok(())
}

fn routed(device: &DeviceMap) -> Result<()> {
    if has(device, "vlan") && !has(device, "parent") {
        return Err(Error::invalid("The vlan setting can only be used when combined with a parent interface"));
    }
    for family in ["ipv4", "ipv6"] {
        let key = format!("{family}.address");
        once(device, &key)?;
        if has(device, &format!("{family}.routes")) && !has(device, &key) {
            return Err(Error::invalid(format!("{family}.routes requires {key} to be set")));
        }
    }
    Ok(())
}

fn ipvlan(device: &DeviceMap) -> Result<()> {
    let on_wire = device.get("mode").is_some_and(|mode| mode == "l2");
    let rules = [("ipv4", Kind::Ip4, Kind::Cidr4), ("ipv6", Kind::Ip6, Kind::Cidr6)];
    for (family, single, with_prefix) in rules {
        let key = format!("{family}.address");
        for item in items(device, &key) {
            if on_wire && with_prefix.check(item).is_ok() {
                continue;
            }
            single.check(item).map_err(|why| wrong(&key, &format!("Item {item:?}: {why}")))?;
        }
        once(device, &key)?;
        let key = format!("{family}.gateway");
        let gateway = device.get(&key).map_or("", String::as_str);
        let kind = if on_wire { single } else { Kind::Gateway };
        kind.check(gateway).map_err(|why| wrong(&key, &why))?;
    }
    Ok(())
}

fn items<'a>(device: &'a DeviceMap, key: &str) -> impl Iterator<Item = &'a str> {
    device.get(key).map_or("", String::as_str).split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn once(device: &DeviceMap, key: &str) -> Result<()> {
    let all: Vec<&str> = items(device, key).collect();
    let twice = all.iter().enumerate().find(|(n, address)| all[..*n].contains(*address));
    match twice {
        Some((_, address)) => Err(Error::invalid(format!("Duplicate address {address:?} in {key:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(nictype: &str, pairs: &[(&str, &str)]) -> String {
        let device: DeviceMap = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        check(&device, nictype).err().map(|e| e.message().to_owned()).unwrap_or_default()
    }

    #[test]
    fn filters_of_addresses_and_vlans_exclude_each_other() {
        let filtered = [("parent", "br0"), ("security.ipv4_filtering", "true"), ("vlan", "5")];
        assert_eq!(said("bridged", &filtered), "IP filtering cannot be used with VLAN filtering");
        assert_eq!(said("bridged", &filtered[..2]), "");
        assert_eq!(said("bridged", &[("parent", "br0"), ("security.mac_filtering", "true"), ("vlan", "5")]), "");
    }

    #[test]
    fn routes_of_a_routed_device_lead_by_its_address() {
        assert_eq!(said("routed", &[("ipv4.routes", "10.0.0.0/24")]), "ipv4.routes requires ipv4.address to be set");
        assert_eq!(said("routed", &[("ipv4.routes", "10.0.0.0/24"), ("ipv4.address", "10.1.1.1")]), "");
        let twice = said("routed", &[("ipv6.address", "fd00::1,fd00::1")]);
        assert_eq!(twice, "Duplicate address \"fd00::1\" in \"ipv6.address\"");
    }

    #[test]
    fn prefixes_and_routers_are_for_the_wire_alone() {
        let with_prefix = ("ipv4.address", "10.0.0.4/24");
        let refused = said("ipvlan", &[("parent", "br0"), with_prefix]);
        assert!(refused.contains("Item \"10.0.0.4/24\": Not an IPv4 address"), "{refused}");
        assert_eq!(said("ipvlan", &[("parent", "br0"), with_prefix, ("mode", "l2")]), "");
        let router = ("ipv4.gateway", "10.0.0.1");
        assert!(said("ipvlan", &[("parent", "br0"), router]).contains("Invalid gateway: 10.0.0.1"));
        assert_eq!(said("ipvlan", &[("parent", "br0"), router, ("mode", "l2")]), "");
    }
}
