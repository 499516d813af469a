//! Interfaces of the host that a guest has for itself, and that come back as they were: the parent, a tagged network on
//! it, a virtual function of it, or an interface of InfiniBand's.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::link::{Plugged, move_in};
use super::sriov::{self, Card};
use super::vlan::missing;
use super::wire::{Remembered, undo, was_made};
use super::{Kind, Parents, Plan};
use crate::runtime::network::netlink::{Function, HardwareAddress, Link, LinkChange, Netlink};
use crate::{Ctx, Kind as ErrorKind, Result};

/// The interface itself. What it was is remembered, for its way back.
pub(super) fn physical(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>, parents: &Parents) -> Result<Plugged> {
    let parent = parents.take(host, plan)?;
    let mut was = vec![("host_name", parent.link.name.clone()), ("last_state.created", parent.made.to_string())];
    if !parent.made {
        was.extend(settings(&parent.link));
    }
    let done = lend(host, plan, &parent.link, guest);
    if done.is_err() {
        undo(host, plan, parents, &parent);
    }
    done.map(|()| was)
}

/// What has to be on record before a guest gets an interface of the host: were the daemon to die in between, nobody else would
/// know its name and settings. Empty for what is made for the guest.
pub fn before(plan: &Plan) -> Result<Plugged> {
    if plan.kind != Kind::Physical || plan.vlan.is_some() {
        return Ok(Plugged::new());
    }
    let Some(link) = Netlink::open()?.link(plan.parent.as_str())? else { return Ok(Plugged::new()) };
    let known = [("host_name", link.name.clone()), ("last_state.created", "false".into())];
    Ok(known.into_iter().chain(settings(&link)).collect())
}

pub(super) fn settings(link: &Link) -> [(&'static str, String); 2] {
    [("last_state.hwaddr", link.address.to_string()), ("last_state.mtu", link.mtu.to_string())]
}

/// Moves an interface into the guest, as the plan wants it. When that fails it is as it was.
pub(super) fn lend(host: &mut Netlink, plan: &Plan, link: &Link, guest: BorrowedFd<'_>) -> Result<()> {
    let address = plan.address_for(&link.address);
    let change = LinkChange { up: Some(false), address: address.as_ref(), mtu: plan.mtu, ..LinkChange::default() };
    let done = host.set(link.index, &change).and_then(|()| move_in(host, &link.name, plan, guest));
    if done.is_err() {
        let was = Was { address: Some(link.address.clone()), mtu: Some(link.mtu) };
        let back = LinkChange { up: Some(link.up), ..was.of(address.as_ref().unwrap_or(&link.address)) };
        if let Err(e) = host.set(link.index, &back) {
            tracing::warn!(device = %plan.device, "Failed bringing an interface back: {}", e.chain());
        }
    }
    done
}

/// How long an interface is waited for whose namespace is gone: many times what an emulated machine took.
const COMING_BACK: Duration = Duration::from_secs(5);

/// Gives the interface back to the host.
pub(super) fn physical_back(
    host: &mut Netlink,
    plan: &Plan,
    guest: Option<BorrowedFd<'_>>,
    (parents, remembered): (&Parents, Remembered<'_>),
) -> Result<()> {
    let name = remembered("host_name").unwrap_or_else(|| plan.parent.clone());
    come_back(host, plan, guest, (&name, remembered))?;
    parents.give_back(host, plan, was_made(remembered))
}

/// Gives an interface of InfiniBand's back.
pub(super) fn infiniband_back(
    host: &mut Netlink,
    plan: &Plan,
    guest: Option<BorrowedFd<'_>>,
    remembered: Remembered<'_>,
) -> Result<()> {
    come_back(host, plan, guest, (&plan.parent, remembered))
}

/// Moves an interface out of the guest, under its name of the host and with the settings it had. One that the kernel has
/// brought back, because the guest's namespace is gone, has the name it had there.
fn come_back(
    host: &mut Netlink,
    plan: &Plan,
    guest: Option<BorrowedFd<'_>>,
    (name, remembered): (&str, Remembered<'_>),
) -> Result<()> {
    match guest {
        Some(guest) => move_out(plan, guest, name)?,
        None => awaited_back(host, plan, (name, remembered))?,
    }
    // One that the host uses already has come back otherwise.
    let found = host.link(name)?.filter(|link| link.name == name && (guest.is_some() || !link.up));
    let Some(link) = found else { return Ok(()) };
    host.set(link.index, &Was::remembered(remembered).of(&link.address))
}

/// What an interface was before it was lent.
struct Was {
    address: Option<HardwareAddress>,
    mtu: Option<u32>,
}

impl Was {
    fn remembered(remembered: Remembered<'_>) -> Was {
        let address = remembered("last_state.hwaddr").and_then(|text| text.parse().ok());
        Was { address, mtu: remembered("last_state.mtu").and_then(|text| text.parse().ok()) }
    }

    /// What brings that back, from the address it has now. The same one isn't set again: a card of InfiniBand's takes only some.
    fn of(&self, now: &HardwareAddress) -> LinkChange<'_> {
        let address = self.address.as_ref().filter(|address| *address != now);
        LinkChange { up: Some(false), address, mtu: self.mtu, ..LinkChange::default() }
    }
}

/// The kernel takes a namespace apart some time after the last process in it has ended, and only then brings its interfaces back.
fn awaited_back(host: &mut Netlink, plan: &Plan, (name, remembered): (&str, Remembered<'_>)) -> Result<()> {
    let given_up = Instant::now() + COMING_BACK;
    loop {
        // udev, which names what comes too, may have been in between.
        let last = Instant::now() > given_up;
        match rename_back(host, plan, name, remembered) {
            Ok(false) if !last => {}
            Err(e) if e.errno() == Some(libc::EEXIST) && !last => {}
            // One that was taken away for good isn't waited for longer.
            done => return done.map(drop),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn move_out(plan: &Plan, guest: BorrowedFd<'_>, name: &str) -> Result<()> {
    let mut inside = Netlink::in_namespace(guest)?;
    let Some(link) = inside.link(plan.name.as_str())? else { return Ok(()) };
    inside.set(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })?;
    let ours =
        File::open("/proc/self/ns/net").ctx(ErrorKind::Internal, || "Failed opening the host's network namespace")?;
    inside.set(link.index, &LinkChange { netns: Some(ours.as_fd()), name: Some(name), ..LinkChange::default() })
}

/// Finds an interface that came back by itself, by its hardware address, and gives it its name. Says whether one has
/// that name now.
fn rename_back(host: &mut Netlink, plan: &Plan, name: &str, remembered: Remembered<'_>) -> Result<bool> {
    let links = host.links()?;
    // Asked for by name, one with that other name would be found too.
    if links.iter().any(|l| l.name == name) {
        return Ok(true);
    }
    let was = Was::remembered(remembered);
    // Links of other kinds are made, and not lent; they would have gone with the namespace.
    let kind = if plan.kind == Kind::Infiniband { "ipoib" } else { "" };
    let back = |l: &Link| {
        let named = l.name == plan.name || l.name.strip_prefix("dev").is_some_and(|n| n.parse::<u32>().is_ok());
        let own = Some(&l.address) == was.address.as_ref() || plan.address_for(&l.address).as_ref() == Some(&l.address);
        (l.kind.is_empty() || l.kind == kind) && !l.loopback && named && !l.address.0.is_empty() && own
    };
    let Some(link) = links.into_iter().find(back) else { return Ok(false) };
    host.set(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })?;
    // udev gives what comes under another name its usual one beside that, and no link is named as it is called already.
    host.delete_other_name(link.index, name)?;
    // Name and settings at once: who waits for the name finds it as it was.
    host.set(link.index, &LinkChange { name: Some(name), ..was.of(&link.address) })?;
    Ok(true)
}

/// A virtual function of the parent that nobody has.
pub(super) fn function(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>, parents: &Parents) -> Result<Plugged> {
    let parent = host.link(plan.parent.as_str())?.ok_or_else(|| missing(&plan.parent))?;
    let _alone = parents.functions();
    let card = Card::of(Path::new(sriov::SYS), &plan.parent)?;
    let number = card.free(|name| host.link(name).ok().flatten().is_some_and(|l| !l.up))?;
    let was = host.function(parent.index, number)?;
    let slot = card.slot(number)?;
    let done = take(host, plan, (&card, number), guest);
    if done.is_err()
        && let Err(e) = tell(host, &card, number, was)
    {
        tracing::warn!(device = %plan.device, "Failed bringing a virtual function back: {}", e.chain());
    }
    let link = done?;
    let mut known = vec![
        ("host_name", link.name.clone()),
        ("last_state.created", "false".into()),
        ("last_state.vf.parent", plan.parent.clone()),
        ("last_state.vf.id", number.to_string()),
        ("last_state.vf.hwaddr", was.mac.map(|m| m.to_string()).unwrap_or_default()),
        ("last_state.vf.vlan", was.vlan.unwrap_or(0).to_string()),
        ("last_state.vf.spoofcheck", was.checked.unwrap_or(false).to_string()),
        ("last_state.pci.slot.name", slot),
    ];
    known.extend(settings(&link));
    Ok(known)
}

/// Tells a function what it is to be, and moves its interface into the guest. Says what the interface was.
fn take(host: &mut Netlink, plan: &Plan, (card, number): (&Card, u32), guest: BorrowedFd<'_>) -> Result<Link> {
    let wanted =
        Function { mac: plan.hwaddr, vlan: Some(plan.vlan.map_or(0, |v| v.id)), checked: Some(plan.function_checked) };
    tell(host, card, number, wanted)?;
    let name = card.interface(number)?;
    let link = host.link(name.as_str())?.ok_or_else(|| missing(&name))?;
    lend(host, plan, &link, guest)?;
    Ok(link)
}

/// Tells a function what it is to be, while it has no driver: many read it only when they begin.
fn tell(host: &mut Netlink, card: &Card, number: u32, wanted: Function) -> Result<()> {
    let driver = card.unbind(number)?;
    let told = host.set_function(card.parent.as_str(), number, wanted);
    let bound = driver.map_or(Ok(()), |driver| card.bind(number, &driver));
    told.and(bound)
}

/// Gives a virtual function back, as it was.
pub(super) fn function_back(
    host: &mut Netlink,
    plan: &Plan,
    guest: Option<BorrowedFd<'_>>,
    remembered: Remembered<'_>,
) -> Result<()> {
    let Some(name) = remembered("host_name") else { return Ok(()) };
    let back = come_back(host, plan, guest, (&name, remembered));
    let number = remembered("last_state.vf.id").and_then(|text| text.parse().ok());
    let Some(number) = number else { return back };
    let was = Function {
        mac: remembered("last_state.vf.hwaddr").and_then(|text| text.parse().ok()),
        vlan: remembered("last_state.vf.vlan").and_then(|text| text.parse().ok()),
        checked: remembered("last_state.vf.spoofcheck").map(|text| text == "true"),
    };
    let card =
        Card::of(Path::new(sriov::SYS), &remembered("last_state.vf.parent").unwrap_or_else(|| plan.parent.clone()))?;
    back.and(tell(host, &card, number, was))
}
