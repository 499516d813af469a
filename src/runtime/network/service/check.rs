//! What of a network's configuration depends on other things: access lists, zones, other networks, the host.

use std::path::Path;

use crate::api::config;
use crate::runtime::network::bridge::{self, Bridge, Family};
use crate::runtime::network::subnet::{self, Subnet};
use crate::runtime::network::{acl, forward};
use crate::store::records::NetworkRecord;
use crate::store::{Read, repo};
use crate::{Error, Kind, Result};

/// What can be said about a configuration by itself.
pub(super) fn alone(name: &str, kind: &str, config: &crate::api::types::ConfigMap) -> Result<()> {
    config::network::validate(name, kind, config)?;
    if kind == "bridge" {
        bridge::validate(name, config)?;
    }
    Ok(())
}

/// What depends on other records; `network` has its addresses chosen already.
pub(super) fn among_others(r: &impl Read, network: &NetworkRecord) -> Result<()> {
    if network.kind != "bridge" {
        return Ok(());
    }
    let bridge = Bridge(&network.config);
    lists(r, network, bridge)?;
    zones(r, network, bridge)?;
    overlaps(r, network, bridge)?;
    forwards(r, network, bridge)
}

fn lists(r: &impl Read, network: &NetworkRecord, bridge: Bridge<'_>) -> Result<()> {
    for name in bridge.acls() {
        let found = repo::network_acls::by_name(r, &network.project, name);
        let list = found.map_err(|e| match e.kind() {
            Kind::NotFound => Error::invalid(format!("Network ACL {name:?} does not exist")),
            _ => e,
        })?;
        acl::check_for_bridge(list.ingress.iter().chain(&list.egress))?;
    }
    Ok(())
}

fn zones(r: &impl Read, network: &NetworkRecord, bridge: Bridge<'_>) -> Result<()> {
    for (key, zone) in bridge.zones() {
        repo::network_zones::by_name(r, &network.project, zone).map_err(|e| match e.kind() {
            Kind::NotFound => Error::invalid(format!(
                "Invalid value for network {:?} option {key:?}: Network zone {zone:?} doesn't exist",
                network.name
            )),
            _ => e,
        })?;
    }
    Ok(())
}

/// Two of our networks can't have an address in common: packets would go to one of them by chance.
fn overlaps(r: &impl Read, network: &NetworkRecord, bridge: Bridge<'_>) -> Result<()> {
    let others = repo::networks::list(r, Some(&network.project))?;
    for other in others.iter().filter(|other| other.id != network.id && other.kind == "bridge") {
        for family in Family::BOTH {
            if let (Some(a), Some(b)) = (bridge.subnet(family), Bridge(&other.config).subnet(family))
                && a.overlaps(b)
            {
                let text = format!("Subnet \"{a}\" overlaps with that of network {:?} (\"{b}\")", other.name);
                return Err(Error::invalid(text));
            }
        }
    }
    Ok(())
}

/// A change must not take away what a forward leads to.
fn forwards(r: &impl Read, network: &NetworkRecord, bridge: Bridge<'_>) -> Result<()> {
    if network.id == 0 {
        return Ok(());
    }
    for f in repo::networks::forwards(r, network.id)? {
        let wrong = |e: Error| {
            let text = format!("Failed validating forward for listen address {:?}: {e}", f.listen_address);
            Error::internal(text)
        };
        let listen = forward::listen_address(&f.listen_address).map_err(wrong)?;
        let family = if listen.is_ipv4() { Family::V4 } else { Family::V6 };
        if bridge.subnet(family).is_none() {
            return Err(wrong(Error::invalid("The network has no address of this family")));
        }
        forward::check(bridge, listen, &f.config, &f.ports).map_err(wrong)?;
    }
    Ok(())
}

/// Subnets that are in use: those of our networks (but `own`), and the host's routes.
pub(super) fn taken(r: &impl Read, project: &str, own: u64, host: &[Subnet]) -> Result<Vec<Subnet>> {
    let networks = repo::networks::list(r, Some(project))?;
    let ours = networks.iter().filter(|n| n.id != own && n.kind == "bridge");
    let subnets = ours.flat_map(|n| Family::BOTH.into_iter().filter_map(|f| Bridge(&n.config).subnet(f)));
    Ok(subnets.chain(host.iter().copied()).collect())
}

/// The networks the host has routes to. Blocks.
pub(super) fn host_routes() -> Vec<Subnet> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    subnet::host_routes(&text("/proc/net/route"), &text("/proc/net/ipv6_route"))
}

/// Whether the host makes new links without IPv6. Blocks.
pub(super) fn ipv6_off() -> bool {
    let text = std::fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6");
    text.map_or(true, |t| t.trim() == "1")
}

/// Refuses a name that a link of the host has. Blocks.
pub(super) fn free_link(name: &str) -> Result<()> {
    match link_exists(name) {
        true => Err(Error::internal(format!("Network interface {name:?} already exists"))),
        false => Ok(()),
    }
}

/// The name has passed the check of names. Blocks.
pub(super) fn link_exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).symlink_metadata().is_ok()
}
