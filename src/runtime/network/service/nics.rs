//! Devices of instances on a network.

use std::collections::BTreeSet;

use super::Networks;
use crate::api::types::{DeviceMap, Devices};
use crate::runtime::network::bridge::{Bridge, Family};
use crate::runtime::network::plan::Nic;
use crate::store::Read;
use crate::store::records::InstanceRecord;
use crate::store::repo::{self, DEFAULT, User};
use crate::{Error, Kind, Result};

impl Networks {
    /// The devices of instances on the network or link of this name, by project and instance.
    pub fn nics(&self, name: &str) -> Result<Vec<Nic>> {
        self.db.view(|v| on(v, name))
    }

    /// Devices with what their `network` stands for in its place: `nictype`, `parent` and `mtu`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] naming the network, [`Kind::Unsupported`] for one of a type without devices yet.
    pub fn resolve(&self, project: &str, devices: &Devices) -> Result<Devices> {
        let place = self.place(project)?;
        self.db.view(|v| devices.iter().map(|(name, map)| Ok((name.clone(), resolved(v, &place, map)?))).collect())
    }

    /// Tells the networks of these devices that there is something new: who is on them, under which name and address.
    /// What fails is logged.
    pub async fn tell(&self, project: &str, devices: impl IntoIterator<Item = &Devices>) {
        let Ok(place) = self.place(project) else { return };
        let nics = devices.into_iter().flatten().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic"));
        let names: BTreeSet<&String> = nics.filter_map(|(_, d)| d.get("network").or_else(|| d.get("parent"))).collect();
        for name in names {
            let Ok(network) = self.db.view(|v| repo::networks::by_name(v, &place, name)) else { continue };
            if let Err(e) = self.refresh(network.id).await {
                tracing::warn!(network = %name, "Failed telling a network of its devices: {}", e.chain());
            }
        }
    }
}

/// Checks the network devices of an instance against the networks they are on; `own` are those it has itself.
///
/// # Errors
/// [`Kind::Invalid`] with LXD's texts, naming the device.
pub fn check(r: &impl Read, instance: (&str, &str), own: &Devices) -> Result<()> {
    for (name, map) in own.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic")) {
        let value = |key: &str| map.get(key).filter(|v| !v.is_empty());
        if let Some(network) = value("network") {
            let checked = on_network(r, network, map);
            checked
                .map_err(|e| Error::invalid(format!("Invalid devices: Device validation failed for {name:?}: {e}")))?;
        }
        let Some(at) = value("network").or(value("parent")) else { continue };
        let wanted: Vec<&String> = ["hwaddr", "ipv4.address", "ipv6.address"]
            .iter()
            .filter_map(|key| value(key))
            .filter(|v| *v != "none")
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let taken = |nic: &Nic| {
            let elsewhere = (nic.project.as_str(), nic.instance.as_str()) != instance || nic.device != *name;
            let has = [&nic.hwaddr, &nic.ipv4, &nic.ipv6].into_iter().flatten();
            elsewhere.then(|| has.into_iter().find(|v| wanted.contains(v)).cloned()).flatten()
        };
        if let Some(value) = on(r, at)?.iter().find_map(taken) {
            let what = if value.matches(':').count() == 5 { "MAC address" } else { "IP address" };
            return Err(Error::invalid(format!(
                "Failed add validation for device {name:?}: {what} {value:?} already defined on another NIC"
            )));
        }
    }
    Ok(())
}

/// What a network allows a device to say.
fn on_network(r: &impl Read, name: &str, map: &DeviceMap) -> Result<()> {
    if map.get("nictype").is_some_and(|t| !t.is_empty()) {
        return Err(Error::invalid("Cannot use \"nictype\" property in conjunction with \"network\" property"));
    }
    resolved(r, DEFAULT, map)?;
    let network = repo::networks::by_name(r, DEFAULT, name)?;
    let bridge = Bridge(&network.config);
    for (family, key) in [(Family::V4, "ipv4.address"), (Family::V6, "ipv6.address")] {
        let Some(address) = map.get(key).filter(|a| !a.is_empty() && *a != "none") else { continue };
        let stateful = family == Family::V4 || bridge.on("ipv6.dhcp.stateful", false);
        if !bridge.dhcp(family) || !stateful {
            let what = match family {
                Family::V4 => "DHCP is",
                Family::V6 => "DHCP or \"ipv6.dhcp.stateful\" are",
            };
            let filter = key.replace(".address", "_filtering");
            return Err(Error::invalid(format!(
                "Cannot specify {key:?} when {what} disabled (unless using security.{filter}) on network {name:?}"
            )));
        }
        let within = bridge.subnet(family).zip(address.parse().ok()).is_some_and(|(net, ip)| net.contains(ip));
        if !within {
            return Err(Error::invalid(format!("Device IP address {address:?} not within network {name:?} subnet")));
        }
    }
    Ok(())
}

fn resolved(r: &impl Read, place: &str, map: &DeviceMap) -> Result<DeviceMap> {
    let Some(name) = map.get("network").filter(|n| !n.is_empty()) else { return Ok(map.clone()) };
    let network = repo::networks::by_name(r, place, name).map_err(|e| match e.kind() {
        Kind::NotFound => {
            Error::not_found(format!("Failed to load network {name:?} for project {place:?}: Network not found"))
        }
        _ => e,
    })?;
    let value = |key: &str| network.config.get(key).filter(|v| !v.is_empty()).cloned();
    let (nictype, parent, mtu) = match network.kind.as_str() {
        "bridge" => ("bridged", Some(name.clone()), value("bridge.mtu")),
        "macvlan" | "physical" => (network.kind.as_str(), value("parent"), value("mtu")),
        other => return Err(Error::unsupported(format_args!("A device on a network of type {other:?}"))),
    };
    let mut map = map.clone();
    map.insert("nictype".into(), nictype.into());
    map.insert("parent".into(), parent.unwrap_or_default());
    if let Some(mtu) = mtu {
        map.entry("mtu".into()).or_insert(mtu);
    }
    Ok(map)
}

/// The devices of instances on the network or link of this name. Not for transactions: all instances are looked at.
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

/// Whether an instance, with its profiles, has a device on the network or link of this name.
pub(super) fn has(r: &impl Read, instance: &InstanceRecord, name: &str) -> Result<bool> {
    let mut found = Vec::new();
    of_instance(instance, &devices(r, instance)?, name, &mut found);
    Ok(!found.is_empty())
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
