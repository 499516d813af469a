//! What a bridge does with one of its ports, and the VLANs of ports.

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{
    AfSpecBridge, BridgeFlag, BridgeVlanInfo, BridgeVlanInfoFlags, InfoBridgePort, InfoPortData, InfoPortKind,
    LinkAttribute, LinkInfo, LinkMessage,
};

use super::Netlink;
use super::links::Which;
use crate::error::{Ctx, Kind, Result};

const SET_LINK: u16 = 19;
const DELETE_LINK: u16 = 17;

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
        let options = [
            change.isolated.map(InfoBridgePort::Isolated),
            change.learning.map(InfoBridgePort::Learning),
            change.flood.map(InfoBridgePort::UnicastFlood),
            change.multicast_flood.map(InfoBridgePort::MulticastFlood),
            change.neighbour_suppress.map(InfoBridgePort::NeighSupress),
            change.hairpin.map(InfoBridgePort::HairpinMode),
            change.guard.map(InfoBridgePort::Guard),
        ];
        let options = InfoPortData::BridgePort(options.into_iter().flatten().collect());
        let info = vec![LinkInfo::PortKind(InfoPortKind::Bridge), LinkInfo::PortData(options)];
        let told = self.tell_link(port, LinkAttribute::LinkInfo(info));
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
    fn message(&self, index: u32) -> LinkMessage {
        let mut flags = BridgeVlanInfoFlags::empty();
        flags.set(BridgeVlanInfoFlags::Pvid, self.default);
        flags.set(BridgeVlanInfoFlags::Untagged, self.untagged);
        let mut spec = vec![AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid: self.id })];
        if self.of_bridge {
            spec.insert(0, AfSpecBridge::Flags(BridgeFlag::LowerDev));
        }
        let mut message = LinkMessage::default();
        message.header.interface_family = AddressFamily::Bridge;
        message.header.index = index;
        message.attributes.push(LinkAttribute::AfSpecBridge(spec));
        message
    }
}

#[cfg(test)]
mod tests {
    use super::super::{bytes, wire};
    use super::*;

    #[test]
    fn a_vlan_of_a_port_is_flags_and_a_tag() {
        let vlan = PortVlan { id: 10, default: true, untagged: true, of_bridge: false };
        let sent = bytes(&vlan.message(7));
        assert_eq!(sent[0], 7, "AF_BRIDGE");
        assert_eq!(sent[4], 7, "the link");
        let spec = wire::find(&sent[16..], 26).unwrap();
        // BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, then the tag.
        assert_eq!(wire::find(spec, 2), Some(&[6u8, 0, 10, 0][..]));
        assert_eq!(wire::find(spec, 0), None);
        let sent = bytes(&PortVlan { of_bridge: true, ..vlan }.message(7));
        let spec = wire::find(&sent[16..], 26).unwrap();
        // BRIDGE_FLAGS_SELF
        assert_eq!(wire::find(spec, 0), Some(&[2u8, 0][..]));
    }
}
