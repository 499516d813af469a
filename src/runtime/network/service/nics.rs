//! Devices of instances on a network.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Networks, facts};
use crate::api::config::{self, Site};
use crate::api::types::{DeviceMap, Devices};
use crate::order::Gather;
use crate::runtime::network::bridge::{Bridge, Family};
use crate::runtime::network::plan::Nic;
use crate::runtime::network::serve;
use crate::store::Read;
use crate::store::records::{InstanceRecord, NetworkRecord};
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
        self.db.view(|v| devices.iter().map(|(name, map)| Ok((name.clone(), resolved(v, &place, map)?))).try_gather())
    }

    /// Tells the networks of these devices that there is something new: who is on them, under which name and address.
    /// What fails is logged.
    pub async fn tell(&self, project: &str, devices: impl IntoIterator<Item = &Devices>) {
        let Ok(place) = self.place(project) else { return };
        let nics = devices.into_iter().flatten().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic"));
        let names: BTreeSet<&String> = nics.filter_map(|(_, d)| d.get("network").or_else(|| d.get("parent"))).gather();
        for name in names {
            let Ok(network) = self.db.view(|v| repo::networks::by_name(v, &place, name)) else { continue };
            if let Err(e) = self.tell_one(network.id).await {
                tracing::warn!(network = %name, "Failed telling a network of its devices: {}", e.chain());
            }
        }
    }
}

impl Networks {
    /// Tells the helper of a network who is on it. A network that is down is brought up, as there is somebody on it now.
    async fn tell_one(&self, id: u64) -> Result<()> {
        if self.down().contains_key(&id) {
            return self.refresh(id).await;
        }
        let running = self.serving().get(&id).cloned();
        let Some(running) = running else { return Ok(()) };
        let hosts = || {
            self.db.view(|v| {
                let network = repo::networks::by_id(v, id)?;
                Ok(serve::hosts(&facts(v, &network)?))
            })
        };
        running.set_hosts(hosts).await
    }
}

/// Checks the network devices of an instance against the networks they are on; `own` are those it has itself.
///
/// # Errors
/// [`Kind::Invalid`] with LXD's texts, naming the device.
pub fn check(r: &impl Read, instance: (&str, &str), own: &Devices) -> Result<()> {
    for (name, map) in own.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic")) {
        let bridged = place(r, map).map_err(|e| Site::InstanceUpdate.devices(wrong(name, &e)))?;
        let value = |key: &str| map.get(key).filter(|v| !v.is_empty());
        let Some(at) = value("network").or(value("parent")).filter(|_| bridged) else { continue };
        let twice = |why: String| Error::invalid(format!("Failed add validation for device {name:?}: {why}"));
        let wanted = ["hwaddr", "ipv4.address", "ipv6.address"].iter().filter_map(|key| value(key));
        let wanted: Vec<String> = wanted.filter(|v| *v != "none").map(|v| same(v)).collect();
        let named = serves_names(r, at);
        if wanted.is_empty() && !named {
            continue;
        }
        // Without an address of its own only its name can be taken: the others needn't be looked at.
        let mut others = if wanted.is_empty() { namesakes(r, instance.1, at)? } else { on(r, at)? };
        others.retain(|nic| (nic.project.as_str(), nic.instance.as_str()) != instance || nic.device != *name);
        // In another VLAN it is another network.
        others.retain(|nic| nic.vlan.as_ref() == value("vlan"));
        if named && others.iter().any(|nic| nic.instance == instance.1) {
            return Err(twice(format!("Instance DNS name {:?} already used on network", instance.1)));
        }
        let taken = |nic: &Nic| {
            let has = [&nic.hwaddr, &nic.ipv4, &nic.ipv6].into_iter().flatten();
            has.into_iter().find(|v| wanted.contains(&same(v))).cloned()
        };
        if let Some(value) = others.iter().find_map(taken) {
            let what = if value.matches(':').count() == 5 { "MAC address" } else { "IP address" };
            return Err(twice(format!("{what} {value:?} already defined on another NIC")));
        }
    }
    Ok(())
}

/// Checks the network devices of a profile against the networks they are on.
///
/// # Errors
/// [`Kind::Invalid`] with LXD's texts, naming the device.
pub fn check_places(r: &impl Read, own: &Devices) -> Result<()> {
    for (name, map) in own.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "nic")) {
        place(r, map).map_err(|e| wrong(name, &e).with_kind(Kind::Invalid))?;
    }
    Ok(())
}

/// LXD's words around what is wrong with a device.
fn wrong(name: &str, why: &Error) -> Error {
    let loading =
        if why.kind() == Kind::NotFound { format!("Failed loading device {name:?}: ") } else { String::new() };
    Error::new(why.kind(), format!("Device validation failed for {name:?}: {loading}{why}"))
}

/// The devices on the network or link `at` of all projects' instances of this name.
fn namesakes(r: &impl Read, instance: &str, at: &str) -> Result<Vec<Nic>> {
    let mut found = Vec::new();
    for project in repo::projects::list(r)? {
        match repo::instances::by_name(r, &project.name, instance) {
            Ok(record) => of_instance(&record, &devices(r, &record)?, at, &mut found),
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// Whether a network gives its guests names.
fn serves_names(r: &impl Read, name: &str) -> bool {
    repo::networks::by_name(r, DEFAULT, name)
        .is_ok_and(|n| n.kind == "bridge" && Bridge(&n.config).text("dns.mode") != Some("none"))
}

/// An address as all its spellings are compared.
fn same(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => address.to_ascii_lowercase(),
    }
}

/// Checks a device against the network it names, or the bridge it is on. Says whether it is at a bridge.
fn place(r: &impl Read, map: &DeviceMap) -> Result<bool> {
    let value = |key: &str| map.get(key).map(String::as_str).filter(|v| !v.is_empty());
    let nictype = match value("network") {
        Some(_) => inherited(r, map)?,
        None => value("nictype").unwrap_or_default().to_owned(),
    };
    if nictype != "bridged" {
        return Ok(false);
    }
    let Some(name) = value("network").or(value("parent")) else { return Ok(true) };
    match repo::networks::by_name(r, DEFAULT, name) {
        Ok(network) if network.kind == "bridge" => on_bridge(&network, map)?,
        _ => on_foreign_bridge(map)?,
    }
    Ok(true)
}

/// Checks that a device says nothing that its network says, and gives the type that it gets from it.
fn inherited(r: &impl Read, map: &DeviceMap) -> Result<String> {
    let value = |key: &str| map.get(key).map(String::as_str).filter(|v| !v.is_empty());
    let nictype = resolved(r, DEFAULT, map)?.remove("nictype").unwrap_or_default();
    if value("nictype").is_some() {
        return Err(Error::invalid("Cannot use \"nictype\" property in conjunction with \"network\" property"));
    }
    let said: &[&str] = match nictype.as_str() {
        "bridged" => &["parent", "mtu"],
        _ => &["parent", "mtu", "vlan", "gvrp"],
    };
    if let Some(key) = said.iter().find(|key| value(key).is_some()) {
        let text = format!("Cannot use {key:?} property in conjunction with \"network\" property");
        return Err(Error::invalid(text));
    }
    // What a device can have is known only now that its type is.
    let mut own = map.clone();
    own.remove("network");
    own.extend([("nictype".to_owned(), nictype.clone()), ("parent".to_owned(), "lo".to_owned())]);
    config::device::check_keys_of(&own)?;
    Ok(nictype)
}

const FAMILIES: [(Family, &str); 2] = [(Family::V4, "IPv4"), (Family::V6, "IPv6")];

/// What a bridge that isn't ours allows a device to say: nobody there gives addresses out.
fn on_foreign_bridge(map: &DeviceMap) -> Result<()> {
    for (family, words) in FAMILIES {
        let key = family.key("address");
        let has = map.get(&key).is_some_and(|a| !a.is_empty());
        if filtered(map, family) && !has {
            return Err(Error::invalid(format!(
                "{words} filtering requires a manually specified {key} when using an unmanaged parent bridge"
            )));
        }
        if has && !filtered(map, family) {
            return Err(Error::invalid(format!(
                "Cannot use manually specified {key} when using unmanaged parent bridge"
            )));
        }
    }
    Ok(())
}

/// Whether a device may send only with its own addresses of a family.
pub(super) fn filtered(map: &DeviceMap, family: Family) -> bool {
    let key = match family {
        Family::V4 => "security.ipv4_filtering",
        Family::V6 => "security.ipv6_filtering",
    };
    map.get(key).is_some_and(|v| config::is_true(v))
}

/// What a bridge of ours allows a device to say.
fn on_bridge(network: &NetworkRecord, map: &DeviceMap) -> Result<()> {
    let bridge = Bridge(&network.config);
    let name = &network.name;
    for (family, _) in FAMILIES {
        let key = family.key("address");
        let Some(address) = map.get(&key).filter(|a| !a.is_empty()) else { continue };
        let stateful = family == Family::V4 || bridge.on("ipv6.dhcp.stateful", false);
        if (!bridge.dhcp(family) || !stateful) && !filtered(map, family) {
            let what = match family {
                Family::V4 => "DHCP is",
                Family::V6 => "DHCP or \"ipv6.dhcp.stateful\" are",
            };
            let filter = key.replace(".address", "_filtering");
            return Err(Error::invalid(format!(
                "Cannot specify {key:?} when {what} disabled (unless using security.{filter}) on network {name:?}"
            )));
        }
        if address == "none" {
            if !filtered(map, family) {
                let filter = key.replace(".address", "_filtering");
                return Err(Error::invalid(format!("Cannot have {key} as none unless using security.{filter}")));
            }
            continue;
        }
        let outside = bridge.subnet(family).zip(address.parse().ok()).is_some_and(|(net, ip)| !net.contains(ip));
        if outside {
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
    let (nictype, parent, given): (_, _, &[(&str, &str)]) = match network.kind.as_str() {
        "bridge" => ("bridged", Some(name.clone()), &[("mtu", "bridge.mtu")]),
        "macvlan" => ("macvlan", value("parent"), &[("mtu", "mtu"), ("vlan", "vlan"), ("gvrp", "gvrp")]),
        "physical" => ("physical", value("parent"), &[("mtu", "mtu"), ("vlan", "vlan"), ("gvrp", "gvrp")]),
        "sriov" => ("sriov", value("parent"), &[("mtu", "mtu"), ("vlan", "vlan")]),
        other => return Err(Error::unsupported(format_args!("A device on a network of type {other:?}"))),
    };
    let mut map = map.clone();
    map.insert("nictype".into(), nictype.into());
    map.insert("parent".into(), parent.unwrap_or_default());
    for (key, of_network) in given {
        if let Some(value) = value(of_network) {
            map.insert((*key).into(), value);
        }
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

/// What is behind `volatile.DEVICE` in the key of the addresses that a network has chosen for a device.
pub(super) const ADDRESSES: &str = ".last_state.ip_addresses";

/// That key.
pub(super) fn addresses_key(device: &str) -> String {
    format!("volatile.{device}{ADDRESSES}")
}

fn of_instance(instance: &InstanceRecord, devices: &Devices, network: &str, found: &mut Vec<Nic>) {
    for (name, device) in devices {
        let value = |key: &str| device.get(key).filter(|v| !v.is_empty()).cloned();
        let here = value("network").or_else(|| value("parent")).is_some_and(|n| n == network);
        if !here || device.get("type").is_none_or(|t| t != "nic") {
            continue;
        }
        let volatile = instance.config.get(&format!("volatile.{name}.hwaddr")).cloned();
        let chosen = instance.config.get(&addresses_key(name)).map_or("", String::as_str);
        let address = |family: Family| {
            let of_family = |a: &&str| a.parse::<IpAddr>().is_ok_and(|a| a.is_ipv4() == (family == Family::V4));
            let chosen = || chosen.split(',').find(of_family).map(str::to_owned);
            let own = value(&family.key("address"));
            own.or_else(|| filtered(device, family).then(chosen).flatten()).filter(|a| a != "none")
        };
        found.push(Nic {
            instance: instance.name.clone(),
            project: instance.project.clone(),
            device: name.clone(),
            hwaddr: value("hwaddr").or(volatile),
            ipv4: address(Family::V4),
            ipv6: address(Family::V6),
            vlan: value("vlan"),
        });
    }
}
