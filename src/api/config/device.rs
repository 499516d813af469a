//! Configuration of devices: which types there are, what their keys take, and what holds between devices.
//!
//! Whether a source, pool or network exists is for those to say who own them; here nothing is looked up.

use std::net::{IpAddr, Ipv4Addr};

use crate::api::types::{DeviceMap, Devices};
use crate::error::{Error, Kind as ErrorKind, Result};

use super::instance::Target;
use super::key::{Key, Support, find};
use super::kind::is_true;
use super::{bounded, names, nic, supported, table};

/// The type of a device, with the type within the type where keys depend on that.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    /// `nic`, `disk`...
    pub name: &'static str,
    /// `bridged`, `mdev`...; empty for types without.
    pub sub: &'static str,
    /// The device's own keys.
    pub keys: &'static [Key],
    /// On which kind of instance it can be.
    pub on: super::On,
    /// Whether this server acts on it.
    pub support: Support,
}

/// Types without types of their own.
const PLAIN: &[Type] = &[
    plain("disk", table::device::DISK, super::On::Any).applied(),
    plain("none", &[], super::On::Any).applied(),
    plain("pci", table::device::PCI, super::On::Vm),
    plain("proxy", table::device::PROXY, super::On::Any).applied(),
    plain("tpm", table::device::TPM, super::On::Any).applied(),
    plain("unix-block", table::device::UNIX, super::On::Container).applied(),
    plain("unix-char", table::device::UNIX, super::On::Container).applied(),
    plain("unix-hotplug", table::device::HOTPLUG, super::On::Container).applied(),
    plain("usb", table::device::USB, super::On::Any).applied(),
];

const fn plain(name: &'static str, keys: &'static [Key], on: super::On) -> Type {
    Type { name, sub: "", keys, on, support: Support::Later("its issue") }
}

impl Type {
    const fn applied(mut self) -> Type {
        self.support = Support::Applied;
        self
    }
}

/// All types, one for each type within a type.
pub fn types() -> Vec<Type> {
    let under = |name: &'static str, rows: &'static [(&'static str, &'static [Key])]| {
        rows.iter().map(move |(sub, keys)| Type { sub, ..plain(name, keys, on(name, sub)) })
    };
    let infiniband = ["physical", "sriov"]
        .map(|sub| Type { sub, ..plain("infiniband", table::device::INFINIBAND, super::On::Container) });
    PLAIN
        .iter()
        .copied()
        .chain(under("gpu", table::device::GPUTYPES))
        .chain(infiniband)
        .chain(under("nic", table::nic::NICTYPES))
        .map(|kind| match (kind.name, kind.sub) {
            ("nic", sub) if APPLIED_NICS.contains(&sub) => kind.applied(),
            ("gpu", "physical" | "mig") | ("infiniband", _) => kind.applied(),
            _ => kind,
        })
        .collect()
}

/// On which kind of instance a type within a type can be.
fn on(name: &str, sub: &str) -> super::On {
    match (name, sub) {
        ("gpu", "mdev" | "sriov") => super::On::Vm,
        ("gpu", "mig") => super::On::Container,
        _ => super::On::Any,
    }
}

/// The type a device says it has; errors have LXD's texts.
///
/// A `nic` that names a `network` is read as `bridged`, until networks say what they are.
pub fn kind_of(device: &DeviceMap) -> Result<Type> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let name = value("type");
    if name.is_empty() {
        return Err(Error::invalid("Missing device type in config"));
    }
    let sub = match name {
        "nic" if !value("network").is_empty() && value("nictype").is_empty() => "bridged",
        "nic" | "infiniband" => value("nictype"),
        "gpu" if table::device::GPUTYPES.iter().any(|row| row.0 == value("gputype")) => value("gputype"),
        "gpu" => "physical",
        _ => "",
    };
    types()
        .into_iter()
        .find(|row| row.name == name && row.sub == sub)
        .ok_or_else(|| Error::invalid("Unsupported device type"))
}

/// Keys that say the type and so stand in no table.
fn says_type(name: &str, kind: &Type) -> bool {
    match name {
        "type" => true,
        "nictype" => matches!(kind.name, "nic" | "infiniband"),
        "gputype" => kind.name == "gpu",
        _ => false,
    }
}

/// The kinds of network devices that this server acts on.
const APPLIED_NICS: &[&str] = &["bridged", "ipvlan", "macvlan", "p2p", "physical", "routed", "sriov"];

/// The most devices taken in one object.
const MAX_DEVICES: usize = 1024;

/// Checks the devices of a profile or of an instance itself; refuses by name what isn't acted on yet.
pub fn validate(devices: &Devices, target: Target) -> Result<()> {
    check(devices, target)?;
    for (name, device) in devices {
        support(device).map_err(|e| within(name, e))?;
    }
    Ok(())
}

/// Checks devices as LXD does, and nothing more. Pure; errors have LXD's texts.
pub fn check(devices: &Devices, target: Target) -> Result<()> {
    if devices.len() > MAX_DEVICES {
        return Err(Error::invalid(format!("More than {MAX_DEVICES} devices")));
    }
    if devices.keys().any(|name| name.chars().count() > 64) {
        return Err(Error::invalid("The maximum device name length is 64 characters"));
    }
    for (name, device) in devices {
        names::device(name).map_err(Error::invalid).map_err(|e| within(name, e))?;
        check_one(name, device, target).map_err(|e| within(name, e))?;
        same_path(devices, name, device).map_err(|e| within(name, e))?;
    }
    Ok(())
}

/// The root disk among the devices that an instance has with its profiles': exactly one.
pub fn check_root(expanded: &Devices) -> Result<&str> {
    check_roots(expanded)?;
    let root = expanded.iter().find(|(_, device)| is_root(device));
    root.map(|(name, _)| name.as_str()).ok_or_else(|| Error::invalid("No root device could be found"))
}

/// Checks the devices that an instance has with its profiles': no more than one root disk.
pub fn check_roots(expanded: &Devices) -> Result<()> {
    match expanded.values().filter(|device| is_root(device)).count() {
        0 | 1 => Ok(()),
        _ => Err(Error::invalid("Failed detecting root disk device: More than one root device found")),
    }
}

/// A root disk in a pool.
pub fn root(pool: &str) -> DeviceMap {
    [("type", "disk"), ("path", "/"), ("pool", pool)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Whether a device is the root disk of an instance.
pub fn is_root(device: &DeviceMap) -> bool {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    value("type") == "disk" && value("path") == "/" && value("source").is_empty()
}

fn within(name: &str, error: Error) -> Error {
    Error::new(error.kind(), format!("Device validation failed for {name:?}: {}", error.message()))
}

/// A device by itself.
fn check_one(device_name: &str, device: &DeviceMap, target: Target) -> Result<()> {
    bounded(device)?;
    let loading = |e: Error| Error::invalid(format!("Failed loading device {device_name:?}: {}", e.message()));
    let kind = kind_of(device).map_err(loading)?;
    if matches!((target, kind.on), (Target::Vm, super::On::Container) | (Target::Container, super::On::Vm)) {
        return Err(Error::invalid("Unsupported device type"));
    }
    // LXD has these words more for these types.
    let more = if matches!(kind.name, "pci" | "tpm") { "Failed to validate config: " } else { "" };
    let keys = check_keys(device, &kind).and_then(|()| match (kind.name, target) {
        ("tpm", Target::Container) => check_paths(device),
        _ => Ok(()),
    });
    keys.map_err(|e| Error::invalid(format!("{more}{}", e.message())))?;
    check_between(device, &kind)
}

/// Checks the keys of a device of a type that only its network could say.
///
/// # Errors
/// [`ErrorKind::Invalid`] with LXD's text for one that the type does not have, or a wrong value.
pub fn check_keys_of(device: &DeviceMap) -> Result<()> {
    let kind = kind_of(device)?;
    check_keys(device, &kind)?;
    check_between(device, &kind)
}

/// Each key by itself.
fn check_keys(device: &DeviceMap, kind: &Type) -> Result<()> {
    for (name, value) in device.iter().filter(|(name, _)| !says_type(name, kind)) {
        let row = find(&[kind.keys, table::device::COMMON], name);
        let row = row.ok_or_else(|| Error::invalid(format!("Invalid device option {name:?}")))?;
        row.kind.check(value).map_err(|why| wrong(name, &why))?;
    }
    let missing = |row: &&Key| row.required && !has(device, row.name);
    let Some(row) = kind.keys.iter().find(missing) else { return Ok(()) };
    // What LXD's checks say of an empty text.
    let why = match row.kind {
        super::Kind::ProxyAddress => "Unknown protocol type \"\"",
        super::Kind::Pci => "Invalid PCI address",
        _ => "Required value",
    };
    Err(wrong(row.name, why))
}

/// Refuses options that devices of their types don't have, whatever their values.
///
/// # Errors
/// [`ErrorKind::Invalid`] with LXD's text.
pub fn check_names(devices: &Devices) -> Result<()> {
    devices.iter().try_for_each(|(device_name, device)| {
        let Ok(kind) = kind_of(device) else { return Ok(()) };
        let unknown = |name: &&String| find(&[kind.keys, table::device::COMMON], name).is_none();
        match device.keys().filter(|name| !says_type(name, &kind)).find(unknown) {
            Some(name) => Err(within(device_name, Error::invalid(format!("Invalid device option {name:?}")))),
            None => Ok(()),
        }
    })
}

/// What holds between keys.
fn check_between(device: &DeviceMap, kind: &Type) -> Result<()> {
    match kind.name {
        "disk" => check_disk(device),
        "nic" => nic::check(device, kind.sub),
        "unix-char" | "unix-block" if !has(device, "source") && !has(device, "path") => {
            Err(Error::invalid("Unix device entry is missing the required \"source\" or \"path\" property"))
        }
        "unix-hotplug" if !has(device, "vendorid") && !has(device, "productid") => {
            Err(Error::invalid("Unix hotplug devices require a vendorid or a productid"))
        }
        "gpu" => check_gpu(device, kind),
        "proxy" => check_proxy(device),
        _ => Ok(()),
    }
}

/// A TPM of a container needs both.
fn check_paths(device: &DeviceMap) -> Result<()> {
    match ["path", "pathrm"].into_iter().find(|key| !has(device, key)) {
        Some(key) => Err(wrong(key, "Required value")),
        None => Ok(()),
    }
}

pub(super) fn has(device: &DeviceMap, name: &str) -> bool {
    device.get(name).is_some_and(|value| !value.is_empty())
}

pub(super) fn wrong(name: &str, why: &str) -> Error {
    Error::invalid(format!("Invalid value for device option {name:?}: {why}"))
}

/// What holds between the keys of a disk.
fn check_disk(device: &DeviceMap) -> Result<()> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let (source, path, pool) = (value("source"), value("path"), value("pool"));
    let refuse = |text: String| Err(Error::invalid(text));
    if has(device, "required") && has(device, "optional") {
        return refuse("Cannot use both \"required\" and deprecated \"optional\" properties at the same time".into());
    }
    if source.is_empty() && path != "/" {
        return refuse("Disk entry is missing the required \"source\" or \"path\" property".into());
    }
    if path == "/" && !source.is_empty() {
        return refuse("Root disk entry may not have a \"source\" property set".into());
    }
    if path == "/" && pool.is_empty() {
        return refuse("Root disk entry must have a \"pool\" property set".into());
    }
    if has(device, "size") && path != "/" {
        return refuse("Only the root disk may have a size quota".into());
    }
    if has(device, "size.state") && path != "/" {
        return refuse("Only the root disk may have a migration size quota".into());
    }
    if path == "/" && is_true(value("recursive")) {
        return refuse("The recursive option is only supported for additional bind-mounted paths".into());
    }
    if !pool.is_empty() && is_true(value("shift")) {
        return refuse(
            "The \"shift\" property cannot be used with custom storage volumes (set \"security.shifted=true\" on the volume instead)"
                .into(),
        );
    }
    if is_true(value("recursive")) && is_true(value("readonly")) {
        return refuse("Recursive read-only bind-mounts aren't currently supported by the kernel".into());
    }
    check_source(device, source, pool)
}

fn check_source(device: &DeviceMap, source: &str, pool: &str) -> Result<()> {
    let remote = source.starts_with("ceph:") || source.starts_with("cephfs:");
    if !remote && (has(device, "ceph.cluster_name") || has(device, "ceph.user_name")) {
        let text = format!("Invalid options ceph.cluster_name/ceph.user_name for source {source:?}");
        return Err(Error::invalid(text));
    }
    if !pool.is_empty() && source.starts_with('/') {
        return Err(Error::invalid("Storage volumes cannot be specified as absolute paths"));
    }
    let local = pool.is_empty() && !source.is_empty() && !remote && source != "cloud-init:config";
    if local && !source.starts_with('/') {
        return Err(Error::invalid("Source path must be absolute for local sources"));
    }
    Ok(())
}

/// A second disk at the same place.
fn same_path(devices: &Devices, name: &str, device: &DeviceMap) -> Result<()> {
    let disk = |d: &DeviceMap| d.get("type").is_some_and(|t| t == "disk");
    let Some(path) = device.get("path").filter(|path| disk(device) && !path.is_empty()) else { return Ok(()) };
    let twice = devices.iter().any(|(other, d)| other != name && disk(d) && d.get("path") == Some(path));
    if twice {
        return Err(Error::invalid(format!("More than one disk device uses the same path {path:?}")));
    }
    Ok(())
}

/// What holds between the keys of a proxy.
fn check_proxy(device: &DeviceMap) -> Result<()> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let refuse = |text: String| Err(Error::invalid(text));
    let protocol = |key: &str| value(key).split(':').next().unwrap_or_default().to_owned();
    let ports = |key: &str| if protocol(key) == "unix" { 1 } else { count_ports(value(key)) };
    let (listen, connect, nat) = (protocol("listen"), protocol("connect"), is_true(value("nat")));
    if ports("connect") > ports("listen") {
        return refuse("Mismatch between listen port(s) and connect port(s) count".into());
    }
    if is_true(value("proxy_protocol")) && (connect != "tcp" || nat) {
        return refuse("The PROXY header can only be sent to tcp servers in non-nat mode".into());
    }
    let by_path = listen == "unix" && !value("listen").starts_with("unix:@");
    if !by_path && ["uid", "gid", "mode"].iter().any(|key| has(device, key)) {
        return refuse(
            "Only proxy devices for non-abstract unix sockets can carry uid, gid, or mode properties".into(),
        );
    }
    if nat && has(device, "bind") && value("bind") != "host" {
        return refuse("Only host-bound proxies can use NAT".into());
    }
    if nat && (listen != connect || listen == "unix") {
        return refuse(format!("Proxying {listen} <-> {connect} is not supported when using NAT"));
    }
    let address = |key: &str| host_of(value(key));
    if let (true, Some(listen), Some(connect)) = (nat, address("listen"), address("connect")) {
        if listen.is_unspecified() {
            return refuse(format!("Cannot listen on wildcard address \"{listen}\" when in nat mode"));
        }
        if listen.is_ipv4() != connect.is_ipv4() {
            return refuse("Cannot mix IP versions between listen and connect in nat mode".into());
        }
    }
    Ok(())
}

/// The IP address in an address of a proxy.
fn host_of(address: &str) -> Option<IpAddr> {
    let host = address.split_once(':')?.1.rsplit_once(':')?.0;
    if host.is_empty() {
        return Some(Ipv4Addr::UNSPECIFIED.into());
    }
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// How many ports an address of a proxy has.
fn count_ports(address: &str) -> usize {
    let ports = address.rsplit(':').next().unwrap_or_default();
    let count = |part: &str| match part.split_once('-').map(|(first, last)| (first.parse(), last.parse())) {
        Some((Ok(first), Ok(last))) => usize::from(u16::saturating_sub(last, first)) + 1,
        _ => 1,
    };
    ports.split(',').map(count).sum()
}

/// What holds between the keys of a GPU.
fn check_gpu(device: &DeviceMap, kind: &Type) -> Result<()> {
    for first in ["pci", "id"].into_iter().filter(|first| has(device, first)) {
        let others = ["id", "productid", "vendorid"].into_iter().filter(|other| *other != first);
        if let Some(other) = others.into_iter().find(|other| has(device, other)) {
            return Err(Error::invalid(format!("Cannot use {other:?} when when {first:?} is set")));
        }
    }
    if kind.sub != "mig" {
        return Ok(());
    }
    let Some(uuid) = device.get("mig.uuid").filter(|uuid| !uuid.is_empty()) else {
        return match has(device, "mig.gi") && has(device, "mig.ci") {
            true => Ok(()),
            false => Err(Error::invalid("Either \"mig.uuid\" or both \"mig.gi\" and \"mig.ci\" must be set")),
        };
    };
    super::Kind::Uuid.check(uuid.strip_prefix("MIG-").unwrap_or(uuid)).map_err(|why| wrong("mig.uuid", &why))?;
    match ["mig.gi", "mig.ci"].into_iter().find(|other| has(device, other)) {
        Some(other) => Err(Error::invalid(format!("Cannot use {other:?} when \"mig.uuid\" is set"))),
        None => Ok(()),
    }
}

/// Refuses by name a type, key or source that isn't acted on yet.
fn support(device: &DeviceMap) -> Result<()> {
    let kind = kind_of(device)?;
    if kind.support != Support::Applied {
        let name = match kind.name {
            "nic" => format!("nic with nictype={}", kind.sub),
            "gpu" => format!("gpu with gputype={}", kind.sub),
            name => name.to_owned(),
        };
        return Err(Error::unsupported(format_args!("Device type {name:?}")));
    }
    let rows = device.iter().filter_map(|(name, value)| {
        Some((name.as_str(), value.as_str(), find(&[kind.keys, table::device::COMMON], name)?))
    });
    supported(rows).map_err(|e| rename(e, "Device option"))?;
    if kind.name == "disk" {
        let source = device.get("source").map_or("", String::as_str);
        if !source.is_empty() && !source.starts_with('/') {
            return Err(Error::unsupported(format_args!("Disk source {source:?}")));
        }
    }
    Ok(())
}

/// The same refusal with the words for devices.
fn rename(error: Error, what: &str) -> Error {
    match error.kind() {
        ErrorKind::Unsupported => {
            Error::new(ErrorKind::Unsupported, error.message().replacen("Configuration key", what, 1))
        }
        _ => error,
    }
}
