//! Tagged networks on a parent (`vlan`): links of the host that are made for the first device on them, and go with the
//! last. One that somebody else has made is used and left alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Keys, Kind, Plan};
use crate::runtime::network::netlink::{Family, Link, LinkChange, LinkKind, Netlink, NewLink, switch};
use crate::{Ctx, Error, Kind as ErrorKind, Result};

/// The tagged network a device is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The tag, 1 to 4094.
    pub id: u16,
    /// Whether it is announced to the switch (GVRP).
    pub announced: bool,
}

impl Vlan {
    pub(super) fn read(kind: Kind, keys: &Keys<'_>) -> Result<Option<Vlan>> {
        // A bridge's ports have VLANs of their own kind, and functions are told theirs by the card.
        if matches!(kind, Kind::Bridged | Kind::P2p) {
            return Ok(None);
        }
        let id = keys.parsed::<u16>("vlan")?.filter(|id| *id != 0);
        Ok(id.map(|id| Vlan { id, announced: keys.on("gvrp") }))
    }
}

/// What devices of several guests share on the host.
#[derive(Debug, Default)]
pub struct Parents {
    /// The tagged networks in use, by the names of their links: by how many devices, and whether made for them.
    vlans: Mutex<HashMap<String, (usize, bool)>>,
    /// Held while a virtual function is looked for and taken.
    functions: Mutex<()>,
}

/// A parent as it is used.
pub(super) struct Parent {
    /// The link.
    pub link: Link,
    /// Whether it was made for devices like this.
    pub made: bool,
}

impl Parents {
    fn all(&self) -> MutexGuard<'_, HashMap<String, (usize, bool)>> {
        self.vlans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one look for a virtual function at a time.
    pub(super) fn functions(&self) -> MutexGuard<'_, ()> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link a device stands on: its parent, or the tagged network on it, which is made when it is not there. To be
    /// given back ([`Parents::give_back`]).
    pub(super) fn take(&self, host: &mut Netlink, plan: &Plan) -> Result<Parent> {
        let parent = plan.parent.as_str();
        let Some(vlan) = plan.vlan else {
            let link = host.link(parent)?.ok_or_else(|| missing(parent))?;
            return Ok(Parent { link, made: false });
        };
        let mut all = self.all();
        let mut present = find(host, parent, vlan.id)?;
        let new = present.is_none();
        if new {
            let name = format!("{parent}.{}", vlan.id);
            make(host, &name, parent, vlan)
                .ctx(ErrorKind::Internal, || format!("Failed to create VLAN interface {name:?} on {parent:?}"))?;
            present = host.link(name.as_str())?;
        }
        let link = present.ok_or_else(|| missing(parent))?;
        let (uses, made) = all.entry(link.name.clone()).or_insert((0, new));
        *uses += 1;
        Ok(Parent { link, made: *made })
    }

    /// The link a device stands on, when it is there.
    pub(super) fn find(&self, host: &mut Netlink, plan: &Plan) -> Result<Option<Link>> {
        match plan.vlan {
            _ if plan.parent.is_empty() => Ok(None),
            Some(vlan) => find(host, &plan.parent, vlan.id),
            None => host.link(plan.parent.as_str()),
        }
    }

    /// Counts a device that was found on its link already; `made` is what was said of it then.
    pub(super) fn found(&self, host: &mut Netlink, plan: &Plan, made: bool) -> Result<()> {
        let Some(vlan) = plan.vlan.filter(|_| plan.kind != Kind::Sriov) else { return Ok(()) };
        let Some(link) = find(host, &plan.parent, vlan.id)? else { return Ok(()) };
        let mut all = self.all();
        let (uses, known) = all.entry(link.name).or_insert((0, made));
        *uses += 1;
        *known |= made;
        Ok(())
    }

    /// Gives a link back. The last user takes it away when it was `made` for them.
    pub(super) fn give_back(&self, host: &mut Netlink, plan: &Plan, made: bool) -> Result<()> {
        let Some(vlan) = plan.vlan else { return Ok(()) };
        let mut all = self.all();
        let Some(link) = find(host, &plan.parent, vlan.id)? else { return Ok(()) };
        let made = match all.get_mut(&link.name) {
            Some((uses, _)) if *uses > 1 => {
                *uses -= 1;
                return Ok(());
            }
            Some((_, made)) => *made,
            None => made,
        };
        all.remove(&link.name);
        if made { host.delete(link.index).map(drop) } else { Ok(()) }
    }
}

/// The link of a tagged network; none also when there is no parent.
fn find(host: &mut Netlink, parent: &str, id: u16) -> Result<Option<Link>> {
    let Some(index) = host.link(parent)?.map(|l| l.index) else { return Ok(None) };
    let links = host.links()?;
    Ok(links.into_iter().find(|l| l.kind == "vlan" && l.parent == Some(index) && l.vlan == Some(id)))
}

fn make(host: &mut Netlink, name: &str, parent: &str, vlan: Vlan) -> Result<()> {
    let index = host.link(parent)?.ok_or_else(|| missing(parent))?.index;
    host.set(index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    let mut link = NewLink::new(name, LinkKind::Vlan { id: vlan.id, announced: vlan.announced });
    link.parent = Some(index);
    link.with = LinkChange { up: Some(true), ..LinkChange::default() };
    host.create(&link)?;
    // A host without IPv6 has no such switch.
    let _ = switch(Family::V6, name, "accept_ra", "0");
    Ok(())
}

pub(super) fn missing(parent: &str) -> Error {
    Error::invalid(format!("Parent device {parent:?} doesn't exist"))
}
