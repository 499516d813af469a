//! Addresses that a network chooses for devices that may send only by their own (`security.ipv4_filtering` and its
//! twin) and say none: they are kept for the device, so that the filter and the address agree for ever.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use tokio::sync::OwnedMutexGuard;

use super::leases::by_itself;
use super::{Networks, nics};
use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::order::Gather;
use crate::runtime::network::bridge::{Bridge, Family};
use crate::runtime::network::serve;
use crate::store::records::{InstanceRecord, NetworkRecord};
use crate::store::repo::{self, DEFAULT};
use crate::{Error, Kind, Result};

/// Until this goes no address is chosen for another device: what was chosen is to be recorded first.
pub type Chosen = OwnedMutexGuard<()>;

impl Networks {
    /// Gives devices of an instance, whose `network` is resolved and whose hardware addresses are in `config`, the
    /// addresses that they are to have, and remembers those in `config`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] naming the network when all its addresses are taken.
    pub async fn address(
        &self,
        record: &InstanceRecord,
        devices: &mut Devices,
        config: &mut ConfigMap,
    ) -> Result<Option<Chosen>> {
        let waits = |map: &DeviceMap| {
            map.get("nictype").is_some_and(|t| t == "bridged") && Family::BOTH.iter().any(|f| is_open(map, *f))
        };
        config.retain(|key, _| match key.strip_prefix("volatile.").and_then(|k| k.strip_suffix(nics::ADDRESSES)) {
            Some(device) => devices.get(device).is_some_and(waits),
            None => true,
        });
        if !devices.values().any(waits) {
            return Ok(None);
        }
        let alone = self.addressing.clone().lock_owned().await;
        for (name, map) in devices.iter_mut().filter(|(_, map)| waits(map)) {
            let parent = map.get("parent").map_or("", String::as_str);
            let Ok(network) = self.db.view(|v| repo::networks::by_name(v, DEFAULT, parent)) else { continue };
            let key = nics::addresses_key(name);
            let mac = map.get("hwaddr").or_else(|| config.get(&format!("volatile.{name}.hwaddr")));
            let mac = mac.map(|m| m.to_ascii_lowercase()).unwrap_or_default();
            let known = config.get(&key).cloned().unwrap_or_default();
            let device = Device { record, name, mac: &mac, known: &known };
            let mut chosen = Vec::new();
            for family in Family::BOTH {
                if is_open(map, family) {
                    let address = self.choose(&network, family, &device).await?;
                    chosen.extend(address.map(|a| (family.key("address"), a.to_string())));
                }
            }
            let all: Vec<&str> = chosen.iter().map(|(_, a)| a.as_str()).collect();
            match all.is_empty() {
                true => drop(config.remove(&key)),
                false => drop(config.insert(key, all.join(","))),
            }
            map.extend(chosen);
        }
        Ok(Some(alone))
    }

    /// Gives devices the addresses that were chosen for them before, when they still wait for some.
    pub fn remember(&self, config: &ConfigMap, devices: &mut Devices) {
        for (name, map) in devices.iter_mut() {
            let known = config.get(&nics::addresses_key(name)).map_or("", String::as_str);
            for address in known.split(',').filter_map(|a| a.parse::<IpAddr>().ok()) {
                let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
                if nics::filtered(map, family) {
                    map.entry(family.key("address")).or_insert_with(|| address.to_string());
                }
            }
        }
    }

    /// The address of a device; none where the network gives none out.
    async fn choose(&self, network: &NetworkRecord, family: Family, device: &Device<'_>) -> Result<Option<IpAddr>> {
        let bridge = Bridge(&network.config);
        let Some(subnet) = bridge.subnet(family).filter(|_| bridge.dhcp(family)) else { return Ok(None) };
        if family == Family::V6 {
            return Ok(device.mac.parse().ok().and_then(|mac| by_itself(subnet, mac)));
        }
        let others = self.db.view(|v| nics::on(v, &network.name))?;
        let others = others.into_iter().filter(|n| !device.is(&n.project, &n.instance, &n.device));
        let mut taken: BTreeSet<IpAddr> = others.filter_map(|n| n.ipv4?.parse::<IpAddr>().ok()).gather();
        let leases = self.given(network).await;
        let address = |text: &str| text.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4);
        taken.extend(leases.iter().filter(|l| l.hwaddr != device.mac).filter_map(|l| address(&l.address)));
        taken.insert(subnet.address);
        let leased = leases.iter().filter(|l| l.hwaddr == device.mac).filter_map(|l| address(&l.address));
        let before = device.known.split(',').filter_map(address);
        let before = before.chain(leased).filter(|a| subnet.contains(*a));
        let ranges = serve::ranges4(bridge, subnet);
        let found = free(before, &ranges, &taken);
        found.map(Some).ok_or_else(|| {
            Error::new(Kind::Unavailable, format!("All addresses of network {:?} are taken", network.name))
        })
    }
}

/// Whether a device may send only by an address of a family, and says none.
fn is_open(map: &DeviceMap, family: Family) -> bool {
    nics::filtered(map, family) && map.get(&family.key("address")).is_none_or(String::is_empty)
}

/// The device an address is for.
struct Device<'a> {
    record: &'a InstanceRecord,
    name: &'a str,
    mac: &'a str,
    /// What was chosen before.
    known: &'a str,
}

impl Device<'_> {
    fn is(&self, project: &str, instance: &str, device: &str) -> bool {
        (project, instance, device) == (self.record.project.as_str(), self.record.name.as_str(), self.name)
    }
}

/// The first address that nobody has: one it had before, or the lowest of the ranges.
fn free(
    mut before: impl Iterator<Item = IpAddr>,
    ranges: &[(Ipv4Addr, Ipv4Addr)],
    taken: &BTreeSet<IpAddr>,
) -> Option<IpAddr> {
    let open = |a: &IpAddr| !taken.contains(a);
    let all = |(from, to): &(Ipv4Addr, Ipv4Addr)| (u32::from(*from)..=u32::from(*to)).map(|a| Ipv4Addr::from(a).into());
    before.find(open).or_else(|| ranges.iter().flat_map(all).find(open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_had_before_comes_first() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let ranges = [("10.0.0.2".parse().unwrap(), "10.0.0.4".parse().unwrap())];
        let taken: BTreeSet<IpAddr> = [ip("10.0.0.2")].into();
        let choose = |before: &[&str]| free(before.iter().map(|a| ip(a)), &ranges, &taken);
        assert_eq!(choose(&["10.0.0.9"]), Some(ip("10.0.0.9")));
        assert_eq!(choose(&["10.0.0.2"]), Some(ip("10.0.0.3")));
        let all = [2, 3, 4].map(|n| ip(&format!("10.0.0.{n}"))).into();
        assert_eq!(free([].into_iter(), &ranges, &all), None);
    }
}
