//! What a bridge does with one of its ports, and the VLANs of ports.

use super::links::{Which, head};
use super::wire::Attributes;
use super::{BRIDGE, Netlink};
use crate::error::{Ctx, Kind, Result};

const SET_LINK: u16 = 19;
const DELETE_LINK: u16 = 17;
/// IFLA_BRPORT_MODE (linux/if_link.h).
const HAIRPIN: u16 = 4;
/// IFLA_BRPORT_GUARD.
const GUARD: u16 = 5;
/// IFLA_BRPORT_LEARNING.
const LEARNING: u16 = 8;
/// IFLA_BRPORT_UNICAST_FLOOD.
const FLOOD: u16 = 9;
/// IFLA_BRPORT_MCAST_FLOOD.
const MULTICAST_FLOOD: u16 = 27;
/// IFLA_BRPORT_NEIGH_SUPPRESS.
const NEIGHBOUR_SUPPRESS: u16 = 32;
/// IFLA_BRPORT_ISOLATED.
const ISOLATED: u16 = 33;
/// IFLA_BRIDGE_FLAGS (linux/if_bridge.h): for whom a message of the bridges' family is.
const FOR: u16 = 0;
/// BRIDGE_FLAGS_SELF: for the link itself, not for the bridge it is a port of.
const ITSELF: u16 = 2;
/// IFLA_BRIDGE_VLAN_INFO: `struct bridge_vlan_info`, which is flags and the tag.
const VLAN: u16 = 2;
/// BRIDGE_VLAN_INFO_PVID.
const DEFAULT: u16 = 2;
/// BRIDGE_VLAN_INFO_UNTAGGED.
const UNTAGGED: u16 = 4;

/// Changes of a port; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortChange {
    /// Whether it can't reach other isolated ports.
    pub isolated: Option<bool>,
    /// Whether the bridge learns addresses behind it.
    pub learning: Option<bool>,
    /// Whether packets for unknown addresses are sent into it.
    pub flood: Option<bool>,
    /// Whether multicast packets are.
    pub multicast_flood: Option<bool>,
    /// Whether the bridge answers for neighbours it knows instead of asking into it.
    pub neighbour_suppress: Option<bool>,
    /// Whether packets may leave through the port they came in by.
    pub hairpin: Option<bool>,
    /// Whether spanning tree messages from it are refused.
    pub guard: Option<bool>,
}

/// A VLAN of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortVlan {
    /// The tag, 1 to 4094.
    pub id: u16,
    /// Whether packets that come in without a tag get this one.
    pub default: bool,
    /// Whether packets leave without the tag.
    pub untagged: bool,
    /// Whether the link is the bridge itself and not one of its ports.
    pub of_bridge: bool,
}

impl Netlink {
    /// Changes what a bridge does with one of its ports.
    pub fn set_port<'a>(&mut self, port: impl Into<Which<'a>>, change: &PortChange) -> Result<()> {
        let port = port.into();
        let mut options = Attributes::new();
        options
            .put(ISOLATED, change.isolated)
            .put(LEARNING, change.learning)
            .put(FLOOD, change.flood)
            .put(MULTICAST_FLOOD, change.multicast_flood)
            .put(NEIGHBOUR_SUPPRESS, change.neighbour_suppress)
            .put(HAIRPIN, change.hairpin)
            .put(GUARD, change.guard);
        let mut info = Attributes::new();
        info.text(libc::IFLA_INFO_SLAVE_KIND, "bridge").bytes(libc::IFLA_INFO_SLAVE_DATA, options.as_bytes());
        let told = self.tell_link(port, libc::IFLA_LINKINFO, &info);
        told.ctx(Kind::Internal, || format!("Failed changing bridge port {port}"))
    }

    /// Lets a VLAN through a port, by its number.
    pub fn add_port_vlan(&mut self, index: u32, vlan: PortVlan) -> Result<()> {
        let what = || format!("adding VLAN {} to network interface {index}", vlan.id);
        self.tell(SET_LINK, 0, &vlan.message(index), what)
    }

    /// Lets a VLAN through a port no longer.
    pub fn delete_port_vlan(&mut self, index: u32, vlan: PortVlan) -> Result<()> {
        let what = || format!("removing VLAN {} from network interface {index}", vlan.id);
        self.tell(DELETE_LINK, 0, &vlan.message(index), what)
    }
}

impl PortVlan {
    fn message(&self, index: u32) -> Attributes {
        let default = if self.default { DEFAULT } else { 0 };
        let untagged = if self.untagged { UNTAGGED } else { 0 };
        let vlan = [default | untagged, self.id].map(u16::to_ne_bytes).concat();
        let mut options = Attributes::new();
        options.put(FOR, self.of_bridge.then_some(ITSELF)).bytes(VLAN, &vlan);
        let mut message = head(BRIDGE, index, None);
        message.bytes(libc::IFLA_AF_SPEC, options.as_bytes());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    #[test]
    fn a_vlan_of_a_port_is_flags_and_a_tag() {
        let vlan = PortVlan { id: 10, default: true, untagged: true, of_bridge: false };
        let message = vlan.message(7);
        let sent = message.as_bytes();
        assert_eq!(sent[0], 7, "AF_BRIDGE");
        assert_eq!(sent[4], 7, "the link");
        let spec = wire::find(&sent[16..], 26).unwrap();
        // BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, then the tag.
        assert_eq!(wire::find(spec, 2), Some(&[6u8, 0, 10, 0][..]));
        assert_eq!(wire::find(spec, 0), None);
        let message = PortVlan { of_bridge: true, ..vlan }.message(7);
        let spec = wire::find(&message.as_bytes()[16..], 26).unwrap();
        // BRIDGE_FLAGS_SELF
        assert_eq!(wire::find(spec, 0), Some(&[2u8, 0][..]));
    }
}
