//! Fixed addresses of a device (`routed`, `ipvlan`): what the keys say, and what of it the guest has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use super::{Keys, Kind};
use crate::Result;
use crate::api::config::is_true;
use crate::runtime::network::netlink::{IpvlanMode, LinkChange, Netlink, NewAddress, Route};
use crate::runtime::network::subnet::Subnet;

pub use crate::runtime::network::bridge::Family;

/// The addresses of the host's end when nothing is said.
const HOST4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The fixed addresses of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer3 {
    /// IPv4 and IPv6.
    pub sides: [Side; 2],
    /// At which level `ipvlan` hands packets over.
    pub mode: IpvlanMode,
}

/// What a device has of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Which.
    pub family: Family,
    /// The guest's addresses.
    pub addresses: Vec<Subnet>,
    /// The guest's way out.
    pub gateway: Gateway,
    /// The address of the host's end of a cable.
    pub host_address: IpAddr,
    /// A further table the host's routes are in.
    pub table: Option<u32>,
    /// Whether the parent's wire is asked for the addresses first.
    pub probed: bool,
}

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// None is set.
    None,
    /// The host's end, or the wire itself.
    Host,
    /// This router.
    At(IpAddr),
}

impl Layer3 {
    pub(super) fn read(kind: Kind, keys: &Keys<'_>) -> Result<Option<Layer3>> {
        if !matches!(kind, Kind::Routed | Kind::Ipvlan) {
            return Ok(None);
        }
        let mode = if keys.text("mode") == Some("l2") { IpvlanMode::L2 } else { IpvlanMode::L3s };
        let on_wire = kind == Kind::Ipvlan && mode == IpvlanMode::L2;
        let sides = [Side::read(Family::V4, keys, on_wire)?, Side::read(Family::V6, keys, on_wire)?];
        Ok(Some(Layer3 { sides, mode }))
    }

    /// The sides that have addresses.
    pub(super) fn used(&self) -> impl Iterator<Item = &Side> {
        self.sides.iter().filter(|side| !side.addresses.is_empty())
    }
}

impl Side {
    fn read(family: Family, keys: &Keys<'_>, on_wire: bool) -> Result<Side> {
        let (usual, own): (u8, IpAddr) = match family {
            Family::V4 => (24, HOST4.into()),
            Family::V6 => (64, HOST6.into()),
        };
        let key = family.key("address");
        let address = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) if on_wire => Ok(Subnet { address, prefix: usual }),
            Ok(address) => Ok(Subnet::single(address)),
            Err(_) => text.parse().map_err(|_| keys.wrong(&key)),
        };
        let gateway = match (keys.text(&family.key("gateway")), on_wire) {
            (Some("none"), _) | (None, true) => Gateway::None,
            (None | Some("auto"), _) => Gateway::Host,
            (Some(router), _) => Gateway::At(router.parse().map_err(|_| keys.wrong(&family.key("gateway")))?),
        };
        Ok(Side {
            family,
            addresses: keys.list(&key).map(address).collect::<Result<_>>()?,
            gateway,
            host_address: keys.parsed(&family.key("host_address"))?.unwrap_or(own),
            table: keys.parsed(&family.key("host_table"))?,
            probed: keys.text(&family.key("neighbor_probe")).is_none_or(is_true),
        })
    }

    /// The routes of the guest, by the number of its link; `by` is the host's end of a cable, when there is one.
    fn routes(&self, index: u32, by: Option<IpAddr>) -> Vec<Route> {
        let everywhere: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let router = match self.gateway {
            Gateway::None => return Vec::new(),
            Gateway::Host => by,
            Gateway::At(router) => Some(router),
        };
        let Some(router) = router else { return vec![Route::through(index, everywhere, 0)] };
        let out = Route { index: Some(index), ..Route::by(router, everywhere, 0) };
        // The host's address is in no network of the guest's.
        match by {
            Some(host) => {
                let single = Subnet::single(host);
                vec![Route::through(index, single.address, single.prefix), out]
            }
            None => vec![out],
        }
    }
}

/// Gives the guest its end: on, with its addresses and routes.
pub(super) fn configure(layer3: &Layer3, name: &str, guest: BorrowedFd<'_>, cable: bool) -> Result<()> {
    let mut inside = Netlink::in_namespace(guest)?;
    let index = inside.index(name)?;
    inside.set(index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    for side in layer3.used() {
        for address in &side.addresses {
            let new = NewAddress { unasked: true, ..NewAddress::new(index, address.address, address.prefix) };
            inside.replace_address(&new)?;
        }
        for route in side.routes(index, cable.then_some(side.host_address)) {
            inside.replace_route(&route)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, plan};
    use super::*;
    use crate::api::types::ConfigMap;

    fn read(pairs: &[(&str, &str)]) -> Layer3 {
        let map: ConfigMap = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let owner = Owner { project: "default", instance: "c1" };
        plan(owner, "eth0", &map, &ConfigMap::new()).unwrap().layer3.unwrap()
    }

    #[test]
    fn a_routed_device_goes_by_the_hosts_end() {
        let found = read(&[("nictype", "routed"), ("ipv4.address", "10.0.0.5,10.0.0.6"), ("ipv6.gateway", "none")]);
        let [v4, v6] = &found.sides;
        assert_eq!(v4.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.5/32", "10.0.0.6/32"]);
        let routes = v4.routes(7, Some(v4.host_address));
        assert_eq!((routes[0].destination.to_string(), routes[0].prefix), ("169.254.0.1".into(), 32));
        assert_eq!((routes[1].prefix, routes[1].gateway, routes[1].index), (0, Some(v4.host_address), Some(7)));
        assert!(v6.routes(7, Some(v6.host_address)).is_empty());
        assert_eq!(found.used().count(), 1);
    }

    #[test]
    fn an_ipvlan_device_goes_by_the_wire() {
        let l3s = read(&[("nictype", "ipvlan"), ("ipv4.address", "10.0.0.5")]);
        assert_eq!((l3s.mode, l3s.sides[0].routes(7, None).len()), (IpvlanMode::L3s, 1));
        assert_eq!(l3s.sides[0].routes(7, None)[0].gateway, None);
        let wire = [("nictype", "ipvlan"), ("mode", "l2"), ("ipv4.address", "10.0.0.5,10.0.0.6/28")];
        let l2 = read(&wire);
        assert_eq!(l2.sides[0].addresses.iter().map(|a| a.prefix).collect::<Vec<_>>(), [24, 28]);
        assert!(l2.sides[0].routes(7, None).is_empty());
        let l2 = read(&[wire.as_slice(), &[("ipv4.gateway", "10.0.0.1")]].concat());
        assert_eq!(l2.sides[0].routes(7, None)[0].gateway, Some("10.0.0.1".parse().unwrap()));
    }
}
