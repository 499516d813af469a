//! Expanded configuration: profiles laid over each other in their order, the instance's own on top.

use std::collections::BTreeMap;

use crate::Result;
use crate::api::config::device;
use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::store::records::{InstanceRecord, ProfileRecord};
use crate::store::{Read, repo};

/// What an instance is configured as, with its profiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expanded {
    /// Keys and values.
    pub config: ConfigMap,
    /// Devices; one of type `none` hides a profile's.
    pub devices: Devices,
    /// Names of the profiles, in their order.
    pub profiles: Vec<String>,
}

impl Expanded {
    /// The root disk; an instance may be left without one, and then doesn't start.
    pub fn root(&self) -> Option<&DeviceMap> {
        self.devices.values().find(|device| device::is_root(device))
    }
}

/// Reads the profiles of an instance and lays it over them.
pub fn expand(r: &impl Read, record: &InstanceRecord) -> Result<Expanded> {
    expand_next(r, record, &mut BTreeMap::new())
}

/// The same for one of many instances: profiles that another has, too, are read once and kept in `known`.
pub fn expand_next(
    r: &impl Read,
    record: &InstanceRecord,
    known: &mut BTreeMap<u64, ProfileRecord>,
) -> Result<Expanded> {
    for id in &record.profiles {
        if !known.contains_key(id) {
            known.insert(*id, repo::profiles::by_id(r, *id)?);
        }
    }
    Ok(over(record.profiles.iter().filter_map(|id| known.get(id)), &record.config, &record.devices))
}

/// Lays an instance's own configuration and devices over profiles.
pub fn over<'a>(
    profiles: impl IntoIterator<Item = &'a ProfileRecord>,
    config: &ConfigMap,
    devices: &Devices,
) -> Expanded {
    let mut expanded = Expanded::default();
    for profile in profiles {
        expanded.config.extend(profile.config.clone());
        expanded.devices.extend(profile.devices.clone());
        expanded.profiles.push(profile.name.clone());
    }
    expanded.config.extend(config.clone());
    expanded.devices.extend(devices.clone());
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn later_profiles_win_and_the_instance_wins_over_all() {
        let profile = |name: &str, config: &[(&str, &str)]| ProfileRecord {
            name: name.into(),
            config: map(config),
            devices: Devices::from([("root".into(), map(&[("type", "disk"), ("path", "/"), ("pool", name)]))]),
            ..ProfileRecord::default()
        };
        let profiles = [profile("a", &[("user.x", "1"), ("user.y", "1")]), profile("b", &[("user.y", "2")])];
        let expanded = over(&profiles, &map(&[("user.z", "3")]), &Devices::new());
        assert_eq!(expanded.config, map(&[("user.x", "1"), ("user.y", "2"), ("user.z", "3")]));
        assert_eq!(expanded.devices["root"]["pool"], "b");
        assert_eq!(expanded.profiles, ["a", "b"]);
    }
}
