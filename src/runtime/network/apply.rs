//! Makes the host be what a plan says: from whatever is there, so that creating, changing and starting are one call,
//! and a daemon that died at any step goes on from where it was. Blocks for as long as the kernel takes.

use std::fs;

use super::bridge::Family;
use super::firewall;
use super::netlink::{
    self, Bridge as Options, LinkChange, LinkKind, Netlink, NewAddress, NewLink, Route, Scope, Vxlan, switch,
};
use super::nft::{self, Nft};
use super::plan::{BridgePlan, TunnelKind, TunnelPlan};
use super::rules;
use super::subnet::Subnet;
use crate::runtime::sys::fault;
use crate::{Error, Kind, Result};

/// `RTPROT_STATIC`: routes an administrator has made, as LXD marks its own.
const STATIC: u8 = 4;

/// What a change takes away from a bridge; nothing at creation and at the daemon's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Links of the host that were its ports.
    pub external: Vec<String>,
    /// Links of its tunnels that are to be others: a tunnel can't be changed once it is made.
    pub tunnels: Vec<String>,
}

/// Makes the bridge be as planned and returns its number; `before` is what a change takes away.
///
/// # Errors
/// The first thing the kernel refuses. What was done until then stays: call again, with this plan or the one before.
pub fn apply(plan: &BridgePlan, before: &Before) -> Result<u32> {
    let mut net = Netlink::open()?;
    let index = link(&mut net, plan)?;
    fault("network.apply.link");
    switches(plan)?;
    net.set(index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    addresses(&mut net, index, &plan.addresses)?;
    routes(&mut net, index, &plan.routes)?;
    fault("network.apply.addresses");
    ports(&mut net, index, plan, before)?;
    fault("network.apply.ports");
    let gone = firewall::gone(&plan.name, &plan.chains);
    Nft::with(|nft| nft.ensure(nft::Family::Inet, rules::TABLE, &plan.chains, &gone))?;
    fault("network.apply.firewall");
    Ok(index)
}

/// Takes away everything that [`apply`] may have made for a network of this name. What is gone already is no error.
///
/// # Errors
/// The first thing that failed; the rest was tried all the same.
pub fn remove(name: &str, external: &[String]) -> Result<()> {
    let mut net = Netlink::open()?;
    let chains = rules::network_chains(name);
    let filter = Nft::with(|nft| nft.ensure(nft::Family::Inet, rules::TABLE, &[], &chains).map(drop));
    fault("network.remove.firewall");
    let ports = remove_ports(&mut net, name, external);
    fault("network.remove.ports");
    let link = match net.link(name)? {
        Some(link) if link.kind == "bridge" => net.delete(link.index).map(drop),
        _ => Ok(()),
    };
    filter.and(ports).and(link)
}

/// The bridge's number; it is made when it isn't there.
fn link(net: &mut Netlink, plan: &BridgePlan) -> Result<u32> {
    let name = plan.name.as_str();
    let present = match net.link(name)? {
        Some(link) => link,
        None => {
            let with = LinkChange { mac: Some(plan.mac), ..LinkChange::default() };
            let bridge = LinkKind::Bridge(Options::default());
            net.create(&NewLink { with, ..NewLink::new(name, bridge) })?;
            let lost = || Error::internal(format!("Failed creating network interface {name:?}: it is gone again"));
            net.link(name)?.ok_or_else(lost)?
        }
    };
    if present.kind != "bridge" {
        return Err(Error::new(Kind::Conflict, format!("Network interface {name:?} is no bridge")));
    }
    if present.mac != Some(plan.mac) {
        net.set(present.index, &LinkChange { mac: Some(plan.mac), ..LinkChange::default() })?;
    }
    // Set by itself: only then the kernel keeps it when ports come and go.
    if present.mtu != plan.mtu {
        net.set(present.index, &LinkChange { mtu: Some(plan.mtu), ..LinkChange::default() })?;
    }
    // Tags of VLANs are told apart where the kernel can.
    let tags = Options { vlan_filtering: Some(true), default_vlan: Some(1), ..Options::default() };
    if let Err(e) = net.set_kind(present.index, &LinkKind::Bridge(tags)) {
        tracing::debug!(network = name, "No VLAN filtering: {}", e.chain());
    }
    Ok(present.index)
}

/// Switches of the link, and those of the host that routing needs.
fn switches(plan: &BridgePlan) -> Result<()> {
    use netlink::Family::{V4, V6};
    let name = plan.name.as_str();
    let six = plan.addresses.iter().any(|a| !a.is_ipv4());
    // Fails where the kernel has no IPv6 at all.
    match switch(V6, name, "disable_ipv6", if six { "0" } else { "1" }) {
        Err(e) if six => return Err(e),
        _ => {}
    }
    if six {
        switch(V6, name, "accept_dad", "0")?;
        switch(V6, name, "autoconf", "0")?;
    }
    if plan.forwarding.contains(&Family::V4) {
        switch(V4, "all", "forwarding", "1")?;
    }
    if plan.forwarding.contains(&Family::V6) {
        keep_advertisements()?;
        switch(V6, "all", "forwarding", "1")?;
    }
    Ok(())
}

/// A host that forwards listens to router advertisements only on links that are told to twice: those it listened on
/// before must stay so, or it loses its own way out.
fn keep_advertisements() -> Result<()> {
    let Ok(links) = fs::read_dir("/proc/sys/net/ipv6/conf") else { return Ok(()) };
    for link in links.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let listens = netlink::read_switch(netlink::Family::V6, &link, "accept_ra").is_ok_and(|v| v == "1");
        if listens {
            // The link may be gone by now.
            let _ = switch(netlink::Family::V6, &link, "accept_ra", "2");
        }
    }
    Ok(())
}

fn addresses(net: &mut Netlink, index: u32, wanted: &[Subnet]) -> Result<()> {
    for present in net.addresses(Some(index))? {
        let own = Subnet { address: present.address, prefix: present.prefix };
        if present.scope == Scope::Universe && present.permanent && !wanted.contains(&own) {
            net.delete_address(index, present.address, present.prefix)?;
        }
    }
    for subnet in wanted {
        let new = NewAddress { unasked: true, ..NewAddress::new(index, subnet.address, subnet.prefix) };
        net.replace_address(&new)?;
    }
    Ok(())
}

fn routes(net: &mut Netlink, index: u32, wanted: &[Subnet]) -> Result<()> {
    let present: Vec<Route> = net.routes(Some(index))?.into_iter().filter(|r| r.protocol == STATIC).collect();
    for route in &present {
        let own = Subnet { address: route.destination, prefix: route.prefix };
        if route.gateway.is_none() && !wanted.contains(&own) {
            net.delete_route(route)?;
        }
    }
    for subnet in wanted {
        let net_of = subnet.network();
        net.replace_route(&Route { protocol: STATIC, ..Route::through(index, net_of.address, net_of.prefix) })?;
    }
    Ok(())
}

fn ports(net: &mut Netlink, index: u32, plan: &BridgePlan, before: &Before) -> Result<()> {
    for name in before.external.iter().filter(|name| !plan.external.contains(name)) {
        release(net, name, index)?;
    }
    for name in &plan.external {
        attach(net, name, index)?;
    }
    let prefix = format!("{}-", plan.name);
    for link in net.links()? {
        let tunnel = matches!(link.kind.as_str(), "vxlan" | "gretap" | "ip6gretap") && link.name.starts_with(&prefix);
        let other = before.tunnels.contains(&link.name) || plan.tunnels.iter().all(|t| t.link != link.name);
        if tunnel && other {
            net.delete(link.index)?;
        }
    }
    plan.tunnels.iter().try_for_each(|tunnel| tunnel_port(net, tunnel, index, plan.mtu))
}

/// Puts a link of the host into the bridge. One that is not there is passed over, as LXD does.
fn attach(net: &mut Netlink, name: &str, bridge: u32) -> Result<()> {
    let Some(link) = net.link(name)? else {
        tracing::warn!("Failed finding network interface {name:?}: it is not put into the bridge");
        return Ok(());
    };
    if link.master == Some(bridge) {
        return Ok(());
    }
    let configured = net.addresses(Some(link.index))?.iter().any(|a| a.scope == Scope::Universe);
    if configured || link.master.is_some() {
        let text = format!("Only unconfigured network interfaces can be bridged: {name:?} is in use");
        return Err(Error::invalid(text));
    }
    net.set(link.index, &LinkChange { master: Some(bridge), up: Some(true), ..LinkChange::default() })
}

/// Takes a link of the host out of the bridge.
fn release(net: &mut Netlink, name: &str, bridge: u32) -> Result<()> {
    match net.link(name)? {
        Some(link) if link.master == Some(bridge) => {
            net.set(link.index, &LinkChange { master: Some(0), ..LinkChange::default() })
        }
        _ => Ok(()),
    }
}

fn tunnel_port(net: &mut Netlink, tunnel: &TunnelPlan, bridge: u32, mtu: u32) -> Result<()> {
    if let Some(present) = net.link(tunnel.link.as_str())? {
        if present.master == Some(bridge) {
            return Ok(());
        }
        net.delete(present.index)?;
    }
    let device = match &tunnel.device {
        Some(name) => Some(net.index(name)?),
        None => None,
    };
    let kind = match &tunnel.kind {
        TunnelKind::Gretap(ends) => LinkKind::Gretap(*ends),
        TunnelKind::Vxlan(vxlan) if vxlan.local.is_some() => LinkKind::Vxlan(*vxlan),
        TunnelKind::Vxlan(vxlan) => {
            let device = match device {
                Some(device) => device,
                None => default_link(net)?,
            };
            LinkKind::Vxlan(Vxlan { device: Some(device), ..*vxlan })
        }
    };
    let with = LinkChange { mtu: Some(mtu), master: Some(bridge), up: Some(true), ..LinkChange::default() };
    net.create(&NewLink { with, ..NewLink::new(&tunnel.link, kind) })
}

/// The link that IPv4 packets to anywhere leave by.
fn default_link(net: &mut Netlink) -> Result<u32> {
    let routes = net.routes(None)?;
    let way_out = routes.iter().find(|r| r.prefix == 0 && r.destination.is_ipv4() && r.index.is_some());
    way_out.and_then(|r| r.index).ok_or_else(|| Error::invalid("No default gateway for IPv4"))
}

fn remove_ports(net: &mut Netlink, name: &str, external: &[String]) -> Result<()> {
    let prefix = format!("{name}-");
    let Some(bridge) = net.link(name)?.map(|l| l.index) else { return Ok(()) };
    for port in external {
        release(net, port, bridge)?;
    }
    for link in net.links()? {
        let tunnel = matches!(link.kind.as_str(), "vxlan" | "gretap" | "ip6gretap") && link.name.starts_with(&prefix);
        if tunnel && link.master == Some(bridge) {
            net.delete(link.index)?;
        }
    }
    Ok(())
}
