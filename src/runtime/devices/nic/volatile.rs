//! What the server remembers of network devices: the address and name it chose for each.

use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::runtime::network::netlink::MacAddr;
use crate::runtime::random;

use super::interfaces;

/// Chooses an address (of LXD's prefix) and a name for each network device that has neither, and keeps what was chosen.
pub fn fill(config: &mut ConfigMap, expanded: &Devices) {
    let mut taken: Vec<String> =
        interfaces(expanded).filter_map(|(device, map)| name_of(device, map, config)).collect();
    for (device, map) in interfaces(expanded) {
        let infiniband = map.get("type").is_some_and(|t| t == "infiniband");
        if has(map, "hwaddr") || infiniband {
            config.remove(&format!("volatile.{device}.hwaddr"));
        } else if !map.get("nictype").is_some_and(|t| matches!(t.as_str(), "physical" | "ipvlan" | "sriov")) {
            config.entry(format!("volatile.{device}.hwaddr")).or_insert_with(|| address().to_string());
        }
        if has(map, "name") {
            config.remove(&format!("volatile.{device}.name"));
        }
        if name_of(device, map, config).is_none() {
            let prefix = if infiniband { "ib" } else { "eth" };
            let free = (0..).map(|n| format!("{prefix}{n}")).find(|name| !taken.contains(name)).unwrap_or_default();
            taken.push(free.clone());
            config.insert(format!("volatile.{device}.name"), free);
        }
    }
}

/// Drops what was remembered of network devices that are no more.
pub fn forget(config: &mut ConfigMap, was: &Devices, becomes: &Devices) {
    for (device, _) in interfaces(was).filter(|(name, _)| !interfaces(becomes).any(|(other, _)| other == *name)) {
        let prefix = format!("volatile.{device}.");
        config.retain(|key, _| !key.starts_with(&prefix));
    }
}

fn has(map: &DeviceMap, key: &str) -> bool {
    map.get(key).is_some_and(|v| !v.is_empty())
}

fn name_of(device: &str, map: &DeviceMap, config: &ConfigMap) -> Option<String> {
    let own = map.get("name").filter(|v| !v.is_empty());
    own.or_else(|| config.get(&format!("volatile.{device}.name"))).cloned()
}

/// A random address below 00:16:3e, which LXD's guests have.
fn address() -> MacAddr {
    let [a, b, c] = random::bytes::<3>();
    MacAddr([0x00, 0x16, 0x3e, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(pairs: &[(&str, &str)]) -> DeviceMap {
        let mut map: DeviceMap = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        map.insert("type".into(), "nic".into());
        map
    }

    #[test]
    fn addresses_and_names_are_chosen_once() {
        let devices: Devices =
            [("a".into(), nic(&[("name", "eth0")])), ("b".into(), nic(&[("hwaddr", "00:16:3e:00:00:01")]))].into();
        let mut config = ConfigMap::new();
        fill(&mut config, &devices);
        assert!(config["volatile.a.hwaddr"].starts_with("00:16:3e:"));
        assert_eq!(config["volatile.b.name"], "eth1");
        assert_eq!(config.len(), 2);
        let before = config.clone();
        fill(&mut config, &devices);
        assert_eq!(config, before);
        forget(&mut config, &devices, &[("a".into(), nic(&[]))].into());
        assert_eq!(config.keys().collect::<Vec<_>>(), ["volatile.a.hwaddr"]);
        let mut infiniband = nic(&[("nictype", "physical")]);
        infiniband.insert("type".into(), "infiniband".into());
        let mut config = ConfigMap::new();
        fill(&mut config, &[("a".into(), infiniband)].into());
        assert_eq!(config, [("volatile.a.name".to_owned(), "ib0".to_owned())].into());
    }
}
