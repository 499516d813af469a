//! Devices that share a parent's wire: links of their own on it, and cables whose addresses the host answers for there.

use std::os::fd::BorrowedFd;

use super::layer3::{Layer3, configure};
use super::link::{Plugged, cut, lay, limit, move_in, name, take_up};
use super::vlan::Parent;
use super::{Kind, Parents, Plan, routed};
use crate::runtime::network::netlink::{IpvlanMode, LinkChange, LinkKind, MacvlanMode, Netlink, NewLink};
use crate::runtime::network::tc::Limits;
use crate::{Error, Result};

/// What is remembered of a device.
pub(super) type Remembered<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Whether the parent was made for devices like this.
pub(super) fn was_made(remembered: Remembered<'_>) -> bool {
    remembered("last_state.created").is_some_and(|v| v == "true")
}

/// A link of its own on the parent's wire.
pub(super) fn shared(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>, parents: &Parents) -> Result<Plugged> {
    let parent = parents.take(host, plan)?;
    let done = shared_on(host, plan, guest, &parent);
    if done.is_err() {
        undo(host, plan, parents, &parent);
    }
    done.map(|name| vec![("host_name", name), ("last_state.created", parent.made.to_string())])
}

/// Gives a parent back that nothing stands on after all.
pub(super) fn undo(host: &mut Netlink, plan: &Plan, parents: &Parents, parent: &Parent) {
    if let Err(e) = parents.give_back(host, plan, parent.made) {
        tracing::warn!(device = %plan.device, "Failed taking away a VLAN interface: {}", e.chain());
    }
}

fn shared_on(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>, parent: &Parent) -> Result<String> {
    let (prefix, kind) = match &plan.layer3 {
        Some(layer3) => ("ipv", LinkKind::Ipvlan(layer3.mode)),
        None => ("mac", LinkKind::Macvlan(MacvlanMode::Bridge)),
    };
    let answered = plan.layer3.as_ref().filter(|l| l.mode != IpvlanMode::L2);
    if let Some(layer3) = answered {
        if parent.made {
            routed::set_switches(&parent.link.name)?;
        }
        routed::check_switches(layer3, &parent.link.name, "IPVLAN in L3S mode")?;
    }
    let temporary = name(prefix);
    let mut link = NewLink::new(&temporary, kind);
    link.parent = Some(parent.link.index);
    link.with = LinkChange { mac: plan.hwaddr, mtu: plan.mtu, ..LinkChange::default() };
    host.create(&link)?;
    let moved = move_in(host, &temporary, plan, guest);
    if moved.is_err() {
        let _ = host.delete(temporary.as_str());
    }
    moved?;
    let Some(layer3) = &plan.layer3 else { return Ok(temporary) };
    let mut done = configure(layer3, &plan.name, guest, false);
    if let Some(layer3) = answered {
        done = done.and_then(|()| routed::by_loopback(host, layer3));
        done = done.and_then(|()| routed::answer(host, layer3, parent.link.index));
    }
    if done.is_err() {
        off(host, plan, Some(guest), Some(parent.link.index))?;
    }
    done.map(|()| temporary)
}

/// Takes a link on the parent's wire away.
pub(super) fn not_shared(
    host: &mut Netlink,
    plan: &Plan,
    guest: Option<BorrowedFd<'_>>,
    (parents, remembered): (&Parents, Remembered<'_>),
) -> Result<()> {
    let parent = parents.find(host, plan)?.map(|link| link.index);
    off(host, plan, guest, parent)?;
    parents.give_back(host, plan, was_made(remembered))
}

fn off(host: &mut Netlink, plan: &Plan, guest: Option<BorrowedFd<'_>>, parent: Option<u32>) -> Result<()> {
    if let Some(layer3) = plan.layer3.as_ref().filter(|l| l.mode != IpvlanMode::L2) {
        if let Some(parent) = parent {
            routed::fall_silent(host, layer3, parent)?;
        }
        routed::not_by_loopback(host, layer3)?;
    }
    // With its namespace the link has gone too.
    guest.map_or(Ok(()), |guest| Netlink::in_namespace(guest)?.delete(plan.name.as_str()).map(drop))
}

/// A cable whose far end has fixed addresses; the host answers for them on the parent's wire, when there is one.
pub(super) fn routed(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>, parents: &Parents) -> Result<Plugged> {
    let parent = (!plan.parent.is_empty()).then(|| parents.take(host, plan)).transpose()?;
    let done = routed_on(host, plan, guest, parent.as_ref());
    if let (Err(_), Some(parent)) = (&done, &parent) {
        undo(host, plan, parents, parent);
    }
    let made = parent.filter(|_| plan.vlan.is_some()).map(|p| ("last_state.created", p.made.to_string()));
    done.map(|near| [("host_name", near)].into_iter().chain(made).collect())
}

fn routed_on(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>, parent: Option<&Parent>) -> Result<String> {
    let Some(layer3) = &plan.layer3 else { return Err(Error::internal("A routed device without addresses")) };
    if let Some(parent) = parent {
        if parent.made {
            routed::set_switches(&parent.link.name)?;
        }
        routed::check_switches(layer3, &parent.link.name, "Routed mode")?;
        routed::probe(host, layer3, &parent.link)?;
    }
    let near = lay(host, plan, guest, parent.map(|p| p.link.mtu))?;
    let done = connect(host, plan, &near, (layer3, parent, guest));
    if done.is_err() {
        cut_routed(host, plan, &near, parent.map(|p| p.link.index));
    }
    done.map(|()| near)
}

fn connect(
    host: &mut Netlink,
    plan: &Plan,
    near: &str,
    (layer3, parent, guest): (&Layer3, Option<&Parent>, BorrowedFd<'_>),
) -> Result<()> {
    host.set(near, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    routed::host_end(host, plan, layer3, near)?;
    limit(host, near, Limits::default(), plan.limits)?;
    configure(layer3, &plan.name, guest, true)?;
    parent.map_or(Ok(()), |parent| routed::answer(host, layer3, parent.link.index))
}

fn cut_routed(host: &mut Netlink, plan: &Plan, near: &str, parent: Option<u32>) {
    let silent = match (&plan.layer3, parent) {
        (Some(layer3), Some(parent)) => routed::fall_silent(host, layer3, parent),
        _ => Ok(()),
    };
    if let Err(e) = silent.and(routed::forget(plan)) {
        tracing::warn!(device = %plan.device, "Failed taking away half a network device: {}", e.chain());
    }
    cut(host, plan, near);
}

/// Takes a routed cable away.
pub(super) fn not_routed(
    host: &mut Netlink,
    plan: &Plan,
    parents: &Parents,
    remembered: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    debug_assert_eq!(plan.kind, Kind::Routed);
    let parent = parents.find(host, plan)?.map(|link| link.index);
    if let (Some(layer3), Some(parent)) = (&plan.layer3, parent) {
        routed::fall_silent(host, layer3, parent)?;
    }
    if let Some(near) = remembered("host_name") {
        take_up(host, plan, &near)?;
    }
    routed::forget(plan)?;
    parents.give_back(host, plan, was_made(&remembered))
}
