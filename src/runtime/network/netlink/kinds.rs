//! What each kind of link needs when it is made.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoGre, InfoGre6, InfoIpVlan, InfoKind, InfoMacVlan, InfoVeth, InfoVlan, InfoVxlan,
    IpVlanMode, LinkAttribute, LinkInfo, LinkMessage, MacVlanMode, VlanFlags,
};

use super::MacAddr;
use super::links::{LinkChange, check_name};
use crate::error::{Error, Result};

/// What a link is, with what it can't be without.
#[derive(Clone, Debug)]
pub enum LinkKind<'a> {
    /// A bridge.
    Bridge(Bridge),
    /// One end of a cable; the other is made with it.
    Veth(Veth<'a>),
    /// More hardware addresses on the link named as parent.
    Macvlan(MacvlanMode),
    /// The same, reached through a character device.
    Macvtap(MacvlanMode),
    /// More network addresses on the link named as parent, with its hardware address.
    Ipvlan(IpvlanMode),
    /// A tagged network on the link named as parent.
    Vlan {
        /// The tag, 1 to 4094.
        id: u16,
        /// Whether it is announced to the switch (GVRP).
        announced: bool,
    },
    /// Ethernet in UDP packets.
    Vxlan(Vxlan),
    /// Ethernet in GRE packets.
    Gretap(Tunnel),
    /// IP in GRE packets.
    Gre(Tunnel),
    /// What is sent into it is thrown away.
    Dummy,
    /// Packets turned round, to be shaped a second time.
    Ifb,
}

/// Options of a bridge; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// Whether tags of VLANs decide where packets go.
    pub vlan_filtering: Option<bool>,
    /// The tag packets without one get; 0 for none.
    pub default_vlan: Option<u16>,
    /// Whether only ports that asked get multicast packets.
    pub multicast_snooping: Option<bool>,
    /// Seconds that a learned address is remembered.
    pub ageing: Option<u32>,
    /// Seconds before a new port forwards; only with the spanning tree on.
    pub forward_delay: Option<u32>,
}

/// The other end of a cable. It is made switched off: the kernel has no way to make it otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Veth<'a> {
    /// Its name, at most 15 bytes.
    pub peer: &'a str,
    /// The network namespace it is made in, if that is another.
    pub netns: Option<BorrowedFd<'a>>,
    /// Its hardware address.
    pub mac: Option<MacAddr>,
    /// Its longest packet, in bytes.
    pub mtu: Option<u32>,
    /// Packets its queue holds.
    pub queue_length: Option<u32>,
}

/// Who on a parent can reach whom (`ip-link(8)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// All others on the same parent, but not the host.
    Bridge,
    /// Nobody.
    Private,
    /// Whoever the switch behind the parent sends packets back to.
    Vepa,
    /// One link alone has the parent.
    Passthrough,
}

/// At which level packets are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    /// Hardware addresses: broadcasts and multicasts are seen.
    L2,
    /// Network addresses.
    L3,
    /// Network addresses, through the host's firewall.
    L3s,
}

/// Ethernet in UDP packets (RFC 7348).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// The number of the virtual network, below 2^24.
    pub id: u32,
    /// The multicast group all members are in, or the one other member.
    pub remote: Option<IpAddr>,
    /// The address packets are sent from.
    pub local: Option<IpAddr>,
    /// The port packets are sent to.
    pub port: u16,
    /// Routers a packet may pass; 0 for the kernel's choice.
    pub ttl: u8,
    /// Number of the link packets leave through; needed for a multicast group.
    pub device: Option<u32>,
}

/// A tunnel between two addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// This host's.
    pub local: IpAddr,
    /// The other's.
    pub remote: IpAddr,
    /// Routers a packet may pass; 0 for the packet's own.
    pub ttl: u8,
}

impl LinkKind<'_> {
    pub(super) fn info(&self) -> Result<Vec<LinkInfo>> {
        let (kind, content) = match self {
            LinkKind::Bridge(bridge) => (InfoKind::Bridge, Some(InfoData::Bridge(bridge.options()))),
            LinkKind::Veth(veth) => (InfoKind::Veth, Some(InfoData::Veth(InfoVeth::Peer(veth.message()?)))),
            LinkKind::Macvlan(mode) => {
                (InfoKind::MacVlan, Some(InfoData::MacVlan(vec![InfoMacVlan::Mode(macvlan(*mode))])))
            }
            // The attribute is the same for both kinds.
            LinkKind::Macvtap(mode) => {
                (InfoKind::MacVtap, Some(InfoData::MacVlan(vec![InfoMacVlan::Mode(macvlan(*mode))])))
            }
            LinkKind::Ipvlan(mode) => (InfoKind::IpVlan, Some(InfoData::IpVlan(vec![InfoIpVlan::Mode(ipvlan(*mode))]))),
            LinkKind::Vlan { id, announced } => {
                let mut options = vec![InfoVlan::Id(*id)];
                if *announced {
                    options.push(InfoVlan::Flags((VlanFlags::Gvrp, VlanFlags::Gvrp)));
                }
                (InfoKind::Vlan, Some(InfoData::Vlan(options)))
            }
            LinkKind::Vxlan(vxlan) => (InfoKind::Vxlan, Some(InfoData::Vxlan(vxlan.options()))),
            LinkKind::Gretap(tunnel) => tunnel.info(true)?,
            LinkKind::Gre(tunnel) => tunnel.info(false)?,
            LinkKind::Dummy => (InfoKind::Dummy, None),
            LinkKind::Ifb => (InfoKind::Ifb, None),
        };
        Ok(std::iter::once(LinkInfo::Kind(kind)).chain(content.map(LinkInfo::Data)).collect())
    }
}

impl Bridge {
    fn options(&self) -> Vec<InfoBridge> {
        // The kernel counts in hundredths of a second here whatever its own clock does.
        let hundredths = |seconds: u32| seconds.saturating_mul(100);
        let options = [
            self.vlan_filtering.map(InfoBridge::VlanFiltering),
            self.default_vlan.map(InfoBridge::VlanDefaultPvid),
            self.multicast_snooping.map(InfoBridge::MulticastSnooping),
            self.ageing.map(hundredths).map(InfoBridge::AgeingTime),
            self.forward_delay.map(hundredths).map(InfoBridge::ForwardDelay),
        ];
        options.into_iter().flatten().collect()
    }
}

impl Veth<'_> {
    fn message(&self) -> Result<LinkMessage> {
        check_name(self.peer)?;
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(self.peer.to_owned()));
        let Veth { netns, mac, mtu, queue_length, .. } = *self;
        LinkChange { netns, mac, mtu, queue_length, ..LinkChange::default() }.fill(&mut message)?;
        Ok(message)
    }
}

fn macvlan(mode: MacvlanMode) -> MacVlanMode {
    match mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Passthrough => MacVlanMode::Passthrough,
    }
}

fn ipvlan(mode: IpvlanMode) -> IpVlanMode {
    match mode {
        IpvlanMode::L2 => IpVlanMode::L2,
        IpvlanMode::L3 => IpVlanMode::L3,
        IpvlanMode::L3s => IpVlanMode::L3S,
    }
}

impl Vxlan {
    fn options(&self) -> Vec<InfoVxlan> {
        let remote = self.remote.map(|address| match address {
            IpAddr::V4(v4) => InfoVxlan::Group(v4),
            IpAddr::V6(v6) => InfoVxlan::Group6(v6),
        });
        let local = self.local.map(|address| match address {
            IpAddr::V4(v4) => InfoVxlan::Local(v4),
            IpAddr::V6(v6) => InfoVxlan::Local6(v6),
        });
        let ttl = Some(self.ttl).filter(|ttl| *ttl != 0).map(InfoVxlan::Ttl);
        let device = self.device.map(InfoVxlan::Link);
        let always = [Some(InfoVxlan::Id(self.id)), Some(InfoVxlan::Port(self.port))];
        always.into_iter().chain([remote, local, ttl, device]).flatten().collect()
    }
}

impl Tunnel {
    fn info(&self, ethernet: bool) -> Result<(InfoKind, Option<InfoData>)> {
        match (self.local, self.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                let mut options = vec![InfoGre::Local(local), InfoGre::Remote(remote), InfoGre::PathMTUDiscovery(true)];
                options.extend(Some(self.ttl).filter(|ttl| *ttl != 0).map(InfoGre::Ttl));
                Ok(match ethernet {
                    true => (InfoKind::GreTap, Some(InfoData::GreTap(options))),
                    false => (InfoKind::GreTun, Some(InfoData::GreTun(options))),
                })
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                let mut options = vec![InfoGre6::Local(local), InfoGre6::Remote(remote)];
                options.extend(Some(self.ttl).filter(|ttl| *ttl != 0).map(InfoGre6::Ttl));
                Ok(match ethernet {
                    true => (InfoKind::GreTap6, Some(InfoData::GreTap6(options))),
                    false => (InfoKind::GreTun6, Some(InfoData::GreTun6(options))),
                })
            }
            (local, remote) => {
                Err(Error::invalid(format!("Tunnel addresses \"{local}\" and \"{remote}\" are of different families")))
            }
        }
    }
}
