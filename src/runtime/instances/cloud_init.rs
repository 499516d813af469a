//! What cloud-init in a guest goes by. Pure.

use std::collections::BTreeMap;

use super::expand::Expanded;
use crate::api::types::ConfigMap;
use crate::order::Gather;
use crate::runtime::random;

/// The key with the identity of the guest: cloud-init does its work anew when it changes.
const IDENTITY: &str = "volatile.cloud-init.instance-id";

/// Keys whose change gives a new identity (LXD 5.0.2, each was tried).
const KEYS: [&str; 6] = [
    "cloud-init.network-config",
    "cloud-init.user-data",
    "cloud-init.vendor-data",
    "user.network-config",
    "user.user-data",
    "user.vendor-data",
];

/// Whether a guest may see a key of its configuration.
pub(super) fn visible(key: &str) -> bool {
    key.starts_with("user.") || key.starts_with("cloud-init.")
}

/// Whether a change gives the guest a new identity: other data, or other names of network interfaces.
pub(super) fn changed(was: &Expanded, becomes: &Expanded) -> bool {
    let value = |config: &ConfigMap, key: &str| config.get(key).cloned().unwrap_or_default();
    let interfaces = |e: &Expanded| {
        let nics = e.devices.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic"));
        nics.map(|(name, d)| (name.clone(), d.get("name").cloned())).gather::<BTreeMap<_, _>>()
    };
    KEYS.iter().any(|key| value(&was.config, key) != value(&becomes.config, key))
        || interfaces(was) != interfaces(becomes)
}

/// Gives the guest a new identity.
pub(super) fn renew(config: &mut ConfigMap) {
    config.insert(IDENTITY.into(), random::uuid());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_data_and_other_interfaces_are_another_guest() {
        let map =
            |pairs: &[(&str, &str)]| -> ConfigMap { pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect() };
        let with = |config: &[(&str, &str)], nic: &[(&str, &str)]| Expanded {
            config: map(config),
            devices: [("eth0".to_owned(), map(nic))].into(),
            ..Expanded::default()
        };
        let nic = [("type", "nic"), ("name", "eth0")];
        let plain = with(&[], &nic);
        assert!(!changed(&plain, &with(&[("user.meta-data", "x"), ("user.a", "b")], &nic)));
        assert!(changed(&plain, &with(&[("user.user-data", "x")], &nic)));
        assert!(changed(&plain, &with(&[], &[("type", "nic"), ("name", "eth1")])));
        assert!(!changed(&plain, &with(&[], &[("type", "nic"), ("name", "eth0"), ("hwaddr", "x")])));
        assert!(changed(&plain, &Expanded::default()));
    }
}
