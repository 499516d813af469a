//! The links of network devices: plugged into a guest's network namespace, and taken out again. Everything blocks for the
//! kernel's rtnetlink lock.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use crate::Result;
use crate::runtime::network::netlink::{LinkChange, LinkKind, Netlink, NewLink, Route, Veth};
use crate::runtime::network::tc::{self, Limits};
use crate::runtime::random;
use crate::runtime::sys::fault;

use super::vlan::missing;
use super::{Filter, Kind, Parents, Plan, filter, infiniband, lent, routed, wire};

/// What is remembered of a device while it is plugged in: keys below `volatile.DEVICE.`, and their values.
pub type Plugged = Vec<(&'static str, String)>;

/// Plugs a device into the guest's network namespace. What fails leaves nothing.
pub fn plug(plan: &Plan, guest: BorrowedFd<'_>, parents: &Parents) -> Result<Plugged> {
    let mut host = Netlink::open()?;
    match plan.kind {
        Kind::Bridged | Kind::P2p => cable(&mut host, plan, guest),
        Kind::Routed => wire::routed(&mut host, plan, guest, parents),
        Kind::Macvlan | Kind::Ipvlan => wire::shared(&mut host, plan, guest, parents),
        Kind::Physical => lent::physical(&mut host, plan, guest, parents),
        Kind::Sriov => lent::function(&mut host, plan, guest, parents),
        Kind::Infiniband => infiniband::plug(&mut host, plan, guest),
    }
}

/// A cable, its far end put straight into the guest.
fn cable(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>) -> Result<Plugged> {
    let bridge = match plan.kind {
        Kind::Bridged => Some(host.link(plan.parent.as_str())?.ok_or_else(|| missing(&plan.parent))?),
        _ => None,
    };
    let near = lay(host, plan, guest, bridge.as_ref().map(|b| b.mtu))?;
    fault("nic.cable.laid");
    let done = connect(host, plan, &near, bridge.as_ref().map(|b| b.index));
    if done.is_err() {
        cut(host, plan, &near);
    }
    done.map(|()| vec![("host_name", near)])
}

/// Lays a cable and says the name of its end on the host.
pub(super) fn lay(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>, usual_mtu: Option<u32>) -> Result<String> {
    let mtu = plan.mtu.or(usual_mtu);
    let near = plan.host_name.clone().unwrap_or_else(|| name("veth"));
    let veth = Veth { peer: &plan.name, netns: Some(guest), mac: plan.hwaddr, mtu, queue_length: None };
    let mut link = NewLink::new(&near, LinkKind::Veth(veth));
    link.with = LinkChange { mtu, ..LinkChange::default() };
    host.create(&link)?;
    Ok(near)
}

/// Takes away a cable that could not be connected.
pub(super) fn cut(host: &mut Netlink, plan: &Plan, near: &str) {
    if let Err(e) = remove_cable(host, plan, Some(near)) {
        tracing::warn!(device = %plan.device, "Failed taking away half a network device: {}", e.chain());
    }
}

/// Brings up the host's end, at its bridge, with its rules and the routes to the guest.
fn connect(host: &mut Netlink, plan: &Plan, near: &str, bridge: Option<u32>) -> Result<()> {
    // Before the first packet can come.
    filter::hold(plan, &Filter::default(), near)?;
    let index = host.index(near)?;
    host.set(index, &LinkChange { master: bridge, ..LinkChange::default() })?;
    if bridge.is_some() {
        plan.port.hold(host, &plan.parent, index)?;
    }
    host.set(index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    for route in routes(plan, bridge.unwrap_or(index)) {
        host.hold_route(&route)?;
    }
    limit(host, near, Limits::default(), plan.limits)
}

pub(super) fn limit(host: &mut Netlink, near: &str, was: Limits, becomes: Limits) -> Result<()> {
    if was == becomes {
        return Ok(());
    }
    let index = host.index(near)?;
    tc::limit(host, index, &becomes)
}

fn routes(plan: &Plan, through: u32) -> impl Iterator<Item = Route> {
    plan.routes.iter().map(move |(address, prefix): &(IpAddr, u8)| Route::through(through, *address, *prefix))
}

pub(super) fn move_in(host: &mut Netlink, from: &str, plan: &Plan, guest: BorrowedFd<'_>) -> Result<()> {
    let index = host.index(from)?;
    host.set(index, &LinkChange { netns: Some(guest), name: Some(&plan.name), ..LinkChange::default() })
}

/// Switches on the devices of a guest that is starting, as LXD does; those plugged in later are the guest's to switch on.
pub fn raise<'a>(mut plans: impl Iterator<Item = &'a Plan>, guest: BorrowedFd<'_>) -> Result<()> {
    let mut inside = Netlink::in_namespace(guest)?;
    plans.try_for_each(|plan| inside.set(plan.name.as_str(), &LinkChange { up: Some(true), ..LinkChange::default() }))
}

/// Takes a device out of the guest's network namespace, which may have outlived the guest, or off the host alone when
/// that is gone. `remembered` gives what [`plug`] said. A device that is gone already is fine.
pub fn unplug(
    plan: &Plan,
    guest: Option<BorrowedFd<'_>>,
    parents: &Parents,
    remembered: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let mut host = Netlink::open()?;
    match plan.kind {
        Kind::Bridged | Kind::P2p => remove_cable(&mut host, plan, remembered("host_name").as_deref()),
        Kind::Routed => wire::not_routed(&mut host, plan, parents, remembered),
        Kind::Macvlan | Kind::Ipvlan => wire::not_shared(&mut host, plan, guest, (parents, &remembered)),
        Kind::Physical => lent::physical_back(&mut host, plan, guest, (parents, &remembered)),
        Kind::Sriov => lent::function_back(&mut host, plan, guest, &remembered),
        Kind::Infiniband => lent::infiniband_back(&mut host, plan, guest, &remembered),
    }
}

/// Takes away a cable with all that is on the host for it.
fn remove_cable(host: &mut Netlink, plan: &Plan, near: Option<&str>) -> Result<()> {
    for route in bridge_routes(host, plan)? {
        host.delete_route(&route)?;
    }
    if let Some(near) = near {
        take_up(host, plan, near)?;
    }
    // Behind the cable: without them it would send what it wants.
    filter::forget(plan)
}

/// Removes the host's end of a cable, and with it the other one. One that is gone already is fine.
pub(super) fn take_up(host: &mut Netlink, plan: &Plan, near: &str) -> Result<()> {
    if plan.limits != Limits::default() && host.link(near)?.is_some() {
        limit(host, near, plan.limits, Limits::default())?;
    }
    host.delete(near).map(drop)
}

/// Routes through a bridge outlive the cable they are for.
fn bridge_routes(host: &mut Netlink, plan: &Plan) -> Result<Vec<Route>> {
    match (plan.kind, plan.routes.is_empty()) {
        (Kind::Bridged, false) => {
            Ok(host.link(plan.parent.as_str())?.map(|b| routes(plan, b.index).collect()).unwrap_or_default())
        }
        _ => Ok(Vec::new()),
    }
}

/// Changes, on a device that stays plugged in, which networks are routed to it, what it may send and how fast.
pub fn change(was: &Plan, becomes: &Plan, host_name: Option<&str>) -> Result<()> {
    let Some(near) = host_name else { return Ok(()) };
    let mut host = Netlink::open()?;
    if matches!(becomes.kind, Kind::Bridged | Kind::P2p | Kind::Routed) {
        limit(&mut host, near, was.limits, becomes.limits)?;
    }
    if was.filter != becomes.filter {
        filter::hold(becomes, &was.filter, near)?;
    }
    if was.routes == becomes.routes {
        return Ok(());
    }
    let through = match becomes.kind {
        Kind::Bridged => host.index(&becomes.parent)?,
        Kind::P2p => host.index(near)?,
        _ => return Ok(()),
    };
    for route in routes(was, through) {
        host.delete_route(&route)?;
    }
    for route in routes(becomes, through) {
        host.hold_route(&route)?;
    }
    Ok(())
}

/// What is to be remembered of a device that a guest has already, as far as it can be seen; `None` when it has it not.
/// Its rules are made to hold, whoever has changed them meanwhile.
pub fn found(
    plan: &Plan,
    guest: BorrowedFd<'_>,
    parents: &Parents,
    remembered: impl Fn(&str) -> Option<String>,
) -> Result<Option<Plugged>> {
    let Some(inside) = Netlink::in_namespace(guest)?.link(plan.name.as_str())? else { return Ok(None) };
    let mut host = Netlink::open()?;
    parents.found(&mut host, plan, wire::was_made(&remembered))?;
    // A link in a guest knows the other end, or its parent, by the number that has on the host.
    let other = match (plan.kind, inside.parent) {
        (Kind::Bridged | Kind::P2p | Kind::Routed, Some(other)) => host.link(other)?,
        _ => None,
    };
    let Some(near) = other else { return Ok(Some(Vec::new())) };
    match plan.kind {
        Kind::Routed => routed::hold(plan, near.index)?,
        _ => filter::hold(plan, &Filter::default(), &near.name)?,
    }
    Ok(Some(vec![("host_name", near.name)]))
}

/// A name for the host's end, new for each start: the old one takes a while to vanish.
pub(super) fn name(prefix: &str) -> String {
    let [a, b, c, d] = random::bytes::<4>();
    format!("{prefix}{a:02x}{b:02x}{c:02x}{d:02x}")
}
