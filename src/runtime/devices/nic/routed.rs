//! The host's side of devices with fixed addresses: routes to them, and answers for them on the parent's wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::Plan;
use super::layer3::{Family, Layer3, Side};
use crate::runtime::network::netlink::{self, Link, Netlink, NewAddress, Route, TABLE_MAIN, read_switch, switch};
use crate::runtime::network::nft::{Family as Table, Nft};
use crate::runtime::network::rules;
use crate::runtime::network::subnet::Subnet;
use crate::runtime::sys::inet;
use crate::{Ctx, Error, Kind, Result};

/// How long the parent's wire is given to say that it has an address.
const ANSWER: Duration = Duration::from_millis(500);

/// Fails when the host does not pass packets on as the device needs; `mode` is what needs it.
pub(super) fn check_switches(layer3: &Layer3, parent: &str, mode: &str) -> Result<()> {
    let need = |family: Family, link: &str, name: &str| {
        let kernel = kernel(family);
        let number = if family == Family::V4 { 4 } else { 6 };
        match read_switch(kernel, link, name)?.as_str() {
            "1" => Ok(()),
            _ => Err(Error::invalid(format!("{mode} requires sysctl net.ipv{number}.conf.{link}.{name}=1"))),
        }
    };
    let [v4, v6] = &layer3.sides;
    if !v6.addresses.is_empty() && mode.starts_with("Routed") {
        need(Family::V6, "all", "forwarding")?;
        need(Family::V6, "all", "proxy_ndp")?;
    }
    if !v4.addresses.is_empty() {
        need(Family::V4, parent, "forwarding")?;
    }
    if !v6.addresses.is_empty() {
        need(Family::V6, parent, "forwarding")?;
        need(Family::V6, parent, "proxy_ndp")?;
    }
    Ok(())
}

/// Switches on, on a link that was made for such devices, what they need.
pub(super) fn set_switches(parent: &str) -> Result<()> {
    switch(netlink::Family::V4, parent, "forwarding", "1")?;
    // A host without IPv6 has no such switches.
    for name in ["forwarding", "proxy_ndp"] {
        let _ = switch(netlink::Family::V6, parent, name, "1");
    }
    Ok(())
}

fn kernel(family: Family) -> netlink::Family {
    match family {
        Family::V4 => netlink::Family::V4,
        Family::V6 => netlink::Family::V6,
    }
}

/// Asks the parent's wire whether somebody has one of the addresses.
///
/// # Errors
/// [`Kind::Conflict`] naming the address.
pub(super) fn probe(host: &mut Netlink, layer3: &Layer3, parent: &Link) -> Result<()> {
    let wanted: Vec<IpAddr> =
        layer3.used().filter(|s| s.probed).flat_map(|s| &s.addresses).map(|a| a.address).collect();
    if wanted.is_empty() || !parent.running {
        return Ok(());
    }
    for address in &wanted {
        // To the port that throws packets away: what counts is that the kernel asks for the hardware address.
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))
            .and_then(|socket| inet::bind_to_device(&socket, &parent.name).map(|()| socket))
            .ctx(Kind::Internal, || "Failed opening a socket")?;
        // Without a way there, nobody there has it.
        let _ = socket.send_to(&[0], SocketAddr::new(*address, 9));
    }
    let until = Instant::now() + ANSWER;
    while Instant::now() < until {
        let known = host.neighbours(parent.index)?;
        let taken = known.iter().find(|n| wanted.contains(&n.address) && n.mac.is_some() && !n.failed);
        if let Some(taken) = taken {
            let text = format!("IP address {:?} in use on parent network {:?}", taken.address.to_string(), parent.name);
            return Err(Error::new(Kind::Conflict, text));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Brings the host's end of a cable to what the device needs.
pub(super) fn host_end(host: &mut Netlink, plan: &Plan, layer3: &Layer3, near: &str) -> Result<()> {
    let index = host.index(near)?;
    // Guests don't tell this host where to go.
    let _ = switch(netlink::Family::V6, near, "accept_ra", "0");
    for side in layer3.used() {
        switch(kernel(side.family), near, "forwarding", "1")?;
        let own = Subnet::single(side.host_address);
        let new = NewAddress { unasked: true, ..NewAddress::new(index, own.address, own.prefix) };
        host.replace_address(&new)?;
        for route in to_addresses(side, index) {
            host.hold_route(&route)?;
        }
        for route in behind(plan, side, index) {
            host.hold_route(&route)?;
        }
    }
    hold(plan, index)
}

/// Makes the firewall's rules of a cable hold.
pub(super) fn hold(plan: &Plan, index: u32) -> Result<()> {
    let chains = rules::routed_filter(plan.nic(), index);
    Nft::with(|nft| nft.ensure(Table::Inet, rules::TABLE, &chains, &[]).map(drop))
}

/// Takes away the firewall's rules of a cable.
pub(super) fn forget(plan: &Plan) -> Result<()> {
    Nft::with(|nft| nft.ensure(Table::Inet, rules::TABLE, &[], &plan.nic().inet_chains()).map(drop))
}

/// The routes to the device's addresses, in the main table and the one that is named.
fn to_addresses(side: &Side, index: u32) -> Vec<Route> {
    let tables = [Some(TABLE_MAIN), side.table].into_iter().flatten();
    let one = |table: u32| {
        let single = side.addresses.iter().map(|a| Subnet::single(a.address));
        single.map(move |a| Route { table, ..Route::through(index, a.address, a.prefix) })
    };
    tables.flat_map(one).collect()
}

/// The routes to the networks behind the device, by its first address.
fn behind(plan: &Plan, side: &Side, index: u32) -> Vec<Route> {
    let Some(first) = side.addresses.first() else { return Vec::new() };
    let here = plan.routes.iter().filter(|(net, _)| net.is_ipv4() == first.address.is_ipv4());
    here.map(|(net, prefix)| Route { index: Some(index), ..Route::by(first.address, *net, *prefix) }).collect()
}

/// Routes addresses that another link of the wire has to this host itself, so that it passes packets on to them.
pub(super) fn by_loopback(host: &mut Netlink, layer3: &Layer3) -> Result<()> {
    let index = host.index("lo")?;
    let routes: Vec<Route> = layer3.used().flat_map(|side| to_addresses(side, index)).collect();
    routes.iter().try_for_each(|route| host.hold_route(route))
}

/// The opposite. Routes that are gone already are fine.
pub(super) fn not_by_loopback(host: &mut Netlink, layer3: &Layer3) -> Result<()> {
    let index = host.index("lo")?;
    for route in layer3.used().flat_map(|side| to_addresses(side, index)) {
        host.delete_route(&route)?;
    }
    Ok(())
}

/// Answers for the addresses on the parent's wire.
pub(super) fn answer(host: &mut Netlink, layer3: &Layer3, parent: u32) -> Result<()> {
    let mut all = layer3.used().flat_map(|side| &side.addresses);
    all.try_for_each(|a| host.add_proxy(parent, a.address))
}

/// Answers no longer.
pub(super) fn fall_silent(host: &mut Netlink, layer3: &Layer3, parent: u32) -> Result<()> {
    for address in layer3.used().flat_map(|side| &side.addresses) {
        host.delete_proxy(parent, address.address)?;
    }
    Ok(())
}
