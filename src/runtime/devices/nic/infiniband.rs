//! Interfaces of InfiniBand's, which a guest has for itself; which one was chosen is in the volatile keys.

use std::os::fd::BorrowedFd;

use super::lent::{lend, settings};
use super::link::Plugged;
use super::vlan::missing;
use super::{Filter, Keys, Kind, Owner, Plan, Port};
use crate::Result;
use crate::api::types::{ConfigMap, DeviceMap};
use crate::runtime::devices::infiniband::Chosen;
use crate::runtime::network::netlink::{HardwareAddress, Link, Netlink};
use crate::runtime::network::tc::Limits;

/// What more there is of an interface of InfiniBand's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnCard {
    /// The function of the card it belongs to.
    pub slot: String,
    /// Its address in the guest: all of it, or as many of the last bytes as are said; what it has when nothing is said.
    pub address: Option<HardwareAddress>,
}

const SLOT: &str = "last_state.pci.slot.name";

/// What was chosen for an `infiniband` device, as far as its volatile keys say something.
pub fn chosen(device: &str, config: &ConfigMap) -> Option<Chosen> {
    let said = |key: &str| config.get(&format!("volatile.{device}.{key}")).cloned();
    Some(Chosen { interface: said("host_name")?, slot: said(SLOT)? })
}

/// What has to be on record of an interface that was chosen, before a guest gets it: were the daemon to die in between,
/// nobody else would know its name and settings. None while a guest has it already.
pub fn before_infiniband(chosen: &Chosen) -> Result<Option<Plugged>> {
    let link = Netlink::open()?.link(chosen.interface.as_str())?;
    Ok(link.map(|link| known(&link, &chosen.slot)))
}

fn known(link: &Link, slot: &str) -> Plugged {
    let known = [("host_name", link.name.clone()), (SLOT, slot.to_owned())];
    known.into_iter().chain(settings(link)).collect()
}

/// What a device stands for; none when nothing was chosen for it.
pub(super) fn plan(owner: Owner<'_>, device: &str, map: &DeviceMap, config: &ConfigMap) -> Result<Option<Plan>> {
    let Some(Chosen { interface, slot }) = chosen(device, config) else { return Ok(None) };
    let keys = Keys { device, map, config };
    Ok(Some(Plan {
        project: owner.project.to_owned(),
        instance: owner.instance.to_owned(),
        device: device.to_owned(),
        kind: Kind::Infiniband,
        parent: interface,
        name: keys.remembered("name").unwrap_or(device).to_owned(),
        host_name: None,
        hwaddr: None,
        infiniband: Some(OnCard { slot, address: keys.parsed("hwaddr")? }),
        mtu: keys.parsed("mtu")?,
        limits: Limits::default(),
        routes: Vec::new(),
        filter: Filter::default(),
        port: Port::default(),
        vlan: None,
        layer3: None,
        function_checked: false,
    }))
}

/// Puts the interface into the guest.
pub(super) fn plug(host: &mut Netlink, plan: &Plan, guest: BorrowedFd<'_>) -> Result<Plugged> {
    let link = host.link(plan.parent.as_str())?.ok_or_else(|| missing(&plan.parent))?;
    lend(host, plan, &link, guest)?;
    Ok(known(&link, plan.infiniband.as_ref().map_or("", |card| &card.slot)))
}

impl Plan {
    /// The address that an interface is to get which has this one; none when it keeps its own.
    pub(super) fn address_for(&self, now: &HardwareAddress) -> Option<HardwareAddress> {
        if let Some(mac) = self.hwaddr {
            return Some(mac.into());
        }
        let HardwareAddress(last) = self.infiniband.as_ref()?.address.as_ref()?;
        let kept = now.0.len().saturating_sub(last.len());
        Some(HardwareAddress([&now.0[..kept], last].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_device_is_what_was_chosen_for_it() {
        let owner = Owner { project: "default", instance: "c1" };
        let device = map(&[("type", "infiniband"), ("nictype", "sriov"), ("parent", "ib0"), ("mtu", "2044")]);
        assert_eq!(plan(owner, "a", &device, &ConfigMap::new()).unwrap(), None);
        let config = map(&[
            ("volatile.a.host_name", "ib2"),
            ("volatile.a.last_state.pci.slot.name", "0000:01:00.2"),
            ("volatile.a.name", "ib0"),
        ]);
        let plan = plan(owner, "a", &device, &config).unwrap().unwrap();
        assert_eq!((plan.parent.as_str(), plan.name.as_str(), plan.mtu), ("ib2", "ib0", Some(2044)));
        assert_eq!(plan.infiniband.unwrap().slot, "0000:01:00.2");
    }

    #[test]
    fn a_short_address_is_the_end_of_one() {
        let owner = Owner { project: "default", instance: "c1" };
        let config = map(&[("volatile.a.host_name", "ib0"), ("volatile.a.last_state.pci.slot.name", "x")]);
        let for_address = |said: &[(&str, &str)]| plan(owner, "a", &map(said), &config).unwrap().unwrap();
        let now: HardwareAddress = "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:aa:bb:cc".parse().unwrap();
        assert_eq!(for_address(&[]).address_for(&now), None);
        let short = for_address(&[("hwaddr", "00:11:22:33:44:55:66:77")]).address_for(&now).unwrap();
        assert_eq!(short.to_string(), "80:00:02:08:fe:80:00:00:00:00:00:00:00:11:22:33:44:55:66:77");
        let long = "80:00:02:08:fe:80:00:00:00:00:00:00:00:11:22:33:44:55:66:78";
        assert_eq!(for_address(&[("hwaddr", long)]).address_for(&now).unwrap().to_string(), long);
    }
}
