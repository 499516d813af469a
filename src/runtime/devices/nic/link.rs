//! The links of network devices: plugged into a guest's network namespace, and taken out again. Everything blocks for the
//! kernel's rtnetlink lock.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::runtime::network::netlink::{Link, LinkChange, LinkKind, MacvlanMode, Netlink, NewLink, Route, Veth};
use crate::runtime::network::tc::{self, Limits};
use crate::runtime::random;
use crate::{Ctx, Error, Kind as ErrorKind, Result};

use super::{Kind, Plan};

/// What is remembered of a device while it is plugged in: keys below `volatile.DEVICE.`, and their values.
pub type Plugged = Vec<(&'static str, String)>;

/// Plugs a device into the guest's network namespace. What fails leaves nothing.
pub fn plug(plan: &Plan, guest: BorrowedFd<'_>) -> Result<Plugged> {
    let mut host = Netlink::open()?;
    match plan.kind {
        Kind::Bridged | Kind::P2p => cable(&mut host, plan, guest),
        Kind::Macvlan => macvlan(&mut host, plan, guest),
        Kind::Physical => physical(&mut host, plan, guest),
    }
}

/// The interface a device stands on.
fn parent(host: &mut Netlink, plan: &Plan) -> Result<Link> {
    host.link(plan.parent.as_str())?
        .ok_or_else(|| Error::invalid(format!("Parent device {:?} doesn't exist", plan.parent)))
}

/// A cable, its far end put straight into the guest.
fn cable(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>) -> Result<Plugged> {
    let bridge = (plan.kind == Kind::Bridged).then(|| parent(host, plan)).transpose()?;
    let mtu = plan.mtu.or(bridge.as_ref().map(|b| b.mtu));
    let near = plan.host_name.clone().unwrap_or_else(|| name("veth"));
    let veth = Veth { peer: &plan.name, netns: Some(guest), mac: plan.hwaddr, mtu, queue_length: None };
    let mut link = NewLink::new(&near, LinkKind::Veth(veth));
    link.with = LinkChange { mtu, ..LinkChange::default() };
    host.create(&link)?;
    let done = connect(host, plan, &near, bridge.as_ref().map(|b| b.index));
    if done.is_err() {
        let _ = host.delete(near.as_str());
    }
    done.map(|()| vec![("host_name", near)])
}

/// Brings up the host's end, at its bridge, with the routes to the guest.
fn connect(host: &mut Netlink, plan: &Plan, near: &str, bridge: Option<u32>) -> Result<()> {
    host.set(near, &LinkChange { up: Some(true), master: bridge, ..LinkChange::default() })?;
    let through = match bridge {
        Some(index) => index,
        None => host.index(near)?,
    };
    for route in routes(plan, through) {
        host.replace_route(&route)?;
    }
    limit(host, near, Limits::default(), plan.limits)
}

fn limit(host: &mut Netlink, near: &str, was: Limits, becomes: Limits) -> Result<()> {
    if was == becomes {
        return Ok(());
    }
    let index = host.index(near)?;
    tc::limit(host, index, &becomes)
}

fn routes(plan: &Plan, through: u32) -> impl Iterator<Item = Route> {
    plan.routes.iter().map(move |(address, prefix): &(IpAddr, u8)| Route::through(through, *address, *prefix))
}

/// A link of its own on the parent's wire.
fn macvlan(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>) -> Result<Plugged> {
    let on = parent(host, plan)?;
    let temporary = name("mac");
    let mut link = NewLink::new(&temporary, LinkKind::Macvlan(MacvlanMode::Bridge));
    link.parent = Some(on.index);
    link.with = LinkChange { mac: plan.hwaddr, mtu: plan.mtu, ..LinkChange::default() };
    host.create(&link)?;
    move_in(host, &temporary, plan, guest).inspect_err(|_| {
        let _ = Netlink::open().and_then(|mut host| host.delete(temporary.as_str()));
    })?;
    Ok(vec![("host_name", temporary), ("last_state.created", "false".into())])
}

/// The interface itself. What it was is remembered, for its way back.
fn physical(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>) -> Result<Plugged> {
    let link = parent(host, plan)?;
    let was = vec![
        ("host_name", plan.parent.clone()),
        ("last_state.created", "false".into()),
        ("last_state.hwaddr", link.mac.map(|m| m.to_string()).unwrap_or_default()),
        ("last_state.mtu", link.mtu.to_string()),
    ];
    let change = LinkChange { up: Some(false), mac: plan.hwaddr, mtu: plan.mtu, ..LinkChange::default() };
    host.set(plan.parent.as_str(), &change)?;
    move_in(host, &plan.parent, plan, guest)?;
    Ok(was)
}

fn move_in(host: &mut Netlink, from: &str, plan: &Plan, guest: BorrowedFd<'_>) -> Result<()> {
    let index = host.index(from)?;
    host.set(index, &LinkChange { netns: Some(guest), name: Some(&plan.name), ..LinkChange::default() })
}

/// Takes a device out of the guest's network namespace, which may have outlived the guest. `remembered` gives what [`plug`]
/// said. A device that is gone already is fine.
pub fn unplug(plan: &Plan, guest: BorrowedFd<'_>, remembered: impl Fn(&str) -> Option<String>) -> Result<()> {
    let mut host = Netlink::open()?;
    for route in bridge_routes(&mut host, plan)? {
        host.delete_route(&route)?;
    }
    match plan.kind {
        Kind::Bridged | Kind::P2p => match remembered("host_name") {
            Some(near) => {
                if plan.limits != Limits::default() && host.link(near.as_str())?.is_some() {
                    limit(&mut host, &near, plan.limits, Limits::default())?;
                }
                host.delete(near.as_str()).map(drop)
            }
            None => Ok(()),
        },
        Kind::Macvlan => Netlink::in_namespace(guest)?.delete(plan.name.as_str()).map(drop),
        Kind::Physical => {
            come_back(plan, guest)?;
            restore(&mut host, plan, remembered)
        }
    }
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

/// Moves a physical interface out of the guest, under its name of the host.
fn come_back(plan: &Plan, guest: BorrowedFd<'_>) -> Result<()> {
    let mut inside = Netlink::in_namespace(guest)?;
    let Some(link) = inside.link(plan.name.as_str())? else { return Ok(()) };
    inside.set(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })?;
    let ours =
        File::open("/proc/self/ns/net").ctx(ErrorKind::Internal, || "Failed opening the host's network namespace")?;
    let change = LinkChange { netns: Some(ours.as_fd()), name: Some(&plan.parent), ..LinkChange::default() };
    inside.set(link.index, &change)
}

/// Gives a physical interface that is back what it had.
fn restore(host: &mut Netlink, plan: &Plan, remembered: impl Fn(&str) -> Option<String>) -> Result<()> {
    let Some(link) = host.link(plan.parent.as_str())? else { return Ok(()) };
    let mac = remembered("last_state.hwaddr").and_then(|text| text.parse().ok());
    let mtu = remembered("last_state.mtu").and_then(|text| text.parse().ok());
    host.set(link.index, &LinkChange { up: Some(false), mac, mtu, ..LinkChange::default() })
}

/// Changes which networks are routed to a device that stays plugged in, and how fast it may be.
pub fn change(was: &Plan, becomes: &Plan, host_name: Option<&str>) -> Result<()> {
    let mut host = Netlink::open()?;
    if let (Kind::Bridged | Kind::P2p, Some(near)) = (becomes.kind, host_name) {
        limit(&mut host, near, was.limits, becomes.limits)?;
    }
    if was.routes == becomes.routes {
        return Ok(());
    }
    let through = match (becomes.kind, host_name) {
        (Kind::Bridged, _) => parent(&mut host, becomes)?.index,
        (_, Some(near)) => host.index(near)?,
        _ => return Ok(()),
    };
    for route in routes(was, through) {
        host.delete_route(&route)?;
    }
    for route in routes(becomes, through) {
        host.replace_route(&route)?;
    }
    Ok(())
}

/// What is to be remembered of a device that a guest has already, as far as it can be seen; `None` when it has it not.
pub fn found(plan: &Plan, guest: BorrowedFd<'_>) -> Result<Option<Plugged>> {
    let Some(inside) = Netlink::in_namespace(guest)?.link(plan.name.as_str())? else { return Ok(None) };
    // A link in a guest knows the other end, or its parent, by the number that has on the host.
    let other = match (plan.kind, inside.parent) {
        (Kind::Bridged | Kind::P2p, Some(other)) => Netlink::open()?.link(other)?,
        _ => None,
    };
    Ok(Some(other.map(|link| ("host_name", link.name)).into_iter().collect()))
}

/// A name for the host's end, new for each start: the old one takes a while to vanish.
fn name(prefix: &str) -> String {
    let [a, b, c, d] = random::bytes::<4>();
    format!("{prefix}{a:02x}{b:02x}{c:02x}{d:02x}")
}
