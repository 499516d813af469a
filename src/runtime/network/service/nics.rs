//! Devices of instances on a network.

use super::Networks;
use crate::Result;
use crate::api::types::Devices;
use crate::runtime::network::plan::Nic;
use crate::store::Read;
use crate::store::records::InstanceRecord;
use crate::store::repo::{self, User};

impl Networks {
    /// The devices of instances on the network or link of this name, by project and instance.
    pub fn nics(&self, name: &str) -> Result<Vec<Nic>> {
        self.db.view(|v| on(v, name))
    }
}

/// Likewise. Not for transactions: all instances are looked at.
pub(super) fn on(v: &impl Read, name: &str) -> Result<Vec<Nic>> {
    let users = repo::networks::used_by(v, name)?;
    if users.is_empty() {
        return Ok(Vec::new());
    }
    // A profile on the network puts all its instances there.
    let of_profile: Vec<u64> = users.iter().filter_map(profile).collect();
    let mut found = Vec::new();
    for instance in repo::instances::list(v, None)? {
        let touches =
            users.contains(&User::Instance(instance.id)) || instance.profiles.iter().any(|p| of_profile.contains(p));
        if touches {
            of_instance(&instance, &devices(v, &instance)?, name, &mut found);
        }
    }
    Ok(found)
}

fn profile(user: &User) -> Option<u64> {
    match user {
        User::Profile(id) => Some(*id),
        User::Instance(_) | User::Volume(_) => None,
    }
}

/// The devices of an instance with those of its profiles.
fn devices(r: &impl Read, instance: &InstanceRecord) -> Result<Devices> {
    let mut all = Devices::new();
    for id in &instance.profiles {
        all.extend(repo::profiles::by_id(r, *id)?.devices);
    }
    all.extend(instance.devices.clone());
    Ok(all)
}

fn of_instance(instance: &InstanceRecord, devices: &Devices, network: &str, found: &mut Vec<Nic>) {
    for (name, device) in devices {
        let value = |key: &str| device.get(key).filter(|v| !v.is_empty()).cloned();
        let here = value("network").or_else(|| value("parent")).is_some_and(|n| n == network);
        if !here || device.get("type").is_none_or(|t| t != "nic") {
            continue;
        }
        let volatile = instance.config.get(&format!("volatile.{name}.hwaddr")).cloned();
        let address = |key: &str| value(key).filter(|a| a != "none");
        found.push(Nic {
            instance: instance.name.clone(),
            project: instance.project.clone(),
            device: name.clone(),
            hwaddr: value("hwaddr").or(volatile),
            ipv4: address("ipv4.address"),
            ipv6: address("ipv6.address"),
        });
    }
}
