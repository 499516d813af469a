//! What each kind of link needs when it is made.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use super::MacAddr;
use super::links::{LinkChange, check_name, head};
use super::wire::Attributes;
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
    /// What IFLA_LINKINFO has: what the link is, and its options (linux/if_link.h).
    pub(super) fn info(&self) -> Result<Attributes> {
        let (kind, options) = match self {
            LinkKind::Bridge(bridge) => ("bridge", Some(bridge.options())),
            LinkKind::Veth(veth) => ("veth", Some(veth.options()?)),
            LinkKind::Macvlan(mode) => ("macvlan", Some(mode.options())),
            LinkKind::Macvtap(mode) => ("macvtap", Some(mode.options())),
            LinkKind::Ipvlan(mode) => ("ipvlan", Some(mode.options())),
            LinkKind::Vlan { id, announced } => ("vlan", Some(vlan(*id, *announced))),
            LinkKind::Vxlan(vxlan) => ("vxlan", Some(vxlan.options())),
            LinkKind::Gretap(tunnel) if tunnel.local.is_ipv4() => ("gretap", Some(tunnel.options()?)),
            LinkKind::Gretap(tunnel) => ("ip6gretap", Some(tunnel.options()?)),
            LinkKind::Gre(tunnel) if tunnel.local.is_ipv4() => ("gre", Some(tunnel.options()?)),
            LinkKind::Gre(tunnel) => ("ip6gre", Some(tunnel.options()?)),
            LinkKind::Dummy => ("dummy", None),
            LinkKind::Ifb => ("ifb", None),
        };
        let mut info = Attributes::new();
        info.text(libc::IFLA_INFO_KIND, kind);
        if let Some(options) = options {
            info.bytes(libc::IFLA_INFO_DATA, options.as_bytes());
        }
        Ok(info)
    }
}

impl Bridge {
    /// IFLA_BR_VLAN_FILTERING.
    const VLAN_FILTERING: u16 = 7;
    /// IFLA_BR_VLAN_DEFAULT_PVID.
    const DEFAULT_VLAN: u16 = 39;
    /// IFLA_BR_MCAST_SNOOPING.
    const MULTICAST_SNOOPING: u16 = 23;
    /// IFLA_BR_AGEING_TIME.
    const AGEING: u16 = 4;
    /// IFLA_BR_FORWARD_DELAY.
    const FORWARD_DELAY: u16 = 1;

    fn options(&self) -> Attributes {
        // The kernel counts in hundredths of a second here whatever its own clock does.
        let hundredths = |seconds: u32| seconds.saturating_mul(100);
        let mut options = Attributes::new();
        options
            .put(Bridge::VLAN_FILTERING, self.vlan_filtering)
            .put(Bridge::DEFAULT_VLAN, self.default_vlan)
            .put(Bridge::MULTICAST_SNOOPING, self.multicast_snooping)
            .put(Bridge::AGEING, self.ageing.map(hundredths))
            .put(Bridge::FORWARD_DELAY, self.forward_delay.map(hundredths));
        options
    }
}

impl Veth<'_> {
    /// VETH_INFO_PEER (linux/veth.h): a whole message for the other end.
    const PEER: u16 = 1;

    fn options(&self) -> Result<Attributes> {
        let Veth { peer, netns, mac, mtu, queue_length } = *self;
        check_name(peer)?;
        let mut message = head(0, 0, None);
        message.text(libc::IFLA_IFNAME, peer);
        LinkChange { netns, mac, mtu, queue_length, ..LinkChange::default() }.fill(&mut message)?;
        let mut options = Attributes::new();
        options.bytes(Veth::PEER, message.as_bytes());
        Ok(options)
    }
}

impl MacvlanMode {
    /// IFLA_MACVLAN_MODE, which is that of macvtap too.
    const MODE: u16 = 1;

    fn options(self) -> Attributes {
        // MACVLAN_MODE_*.
        let mode: u32 = match self {
            MacvlanMode::Private => 1,
            MacvlanMode::Vepa => 2,
            MacvlanMode::Bridge => 4,
            MacvlanMode::Passthrough => 8,
        };
        let mut options = Attributes::new();
        options.put(MacvlanMode::MODE, mode);
        options
    }
}

impl IpvlanMode {
    /// IFLA_IPVLAN_MODE.
    const MODE: u16 = 1;

    fn options(self) -> Attributes {
        // IPVLAN_MODE_*.
        let mode: u16 = match self {
            IpvlanMode::L2 => 0,
            IpvlanMode::L3 => 1,
            IpvlanMode::L3s => 2,
        };
        let mut options = Attributes::new();
        options.put(IpvlanMode::MODE, mode);
        options
    }
}

/// IFLA_VLAN_ID.
pub(super) const VLAN_ID: u16 = 1;
/// IFLA_VLAN_FLAGS: `struct ifla_vlan_flags`, which is flags and which of them are said.
const VLAN_FLAGS: u16 = 2;
/// VLAN_FLAG_GVRP (linux/if_vlan.h).
const GVRP: u32 = 2;

fn vlan(id: u16, announced: bool) -> Attributes {
    let mut options = Attributes::new();
    options.put(VLAN_ID, id).put(VLAN_FLAGS, announced.then(|| [GVRP, GVRP].map(u32::to_ne_bytes).concat()));
    options
}

impl Vxlan {
    /// IFLA_VXLAN_ID.
    const ID: u16 = 1;
    /// IFLA_VXLAN_GROUP, also for the one other member.
    const GROUP: u16 = 2;
    /// IFLA_VXLAN_LINK.
    const LINK: u16 = 3;
    /// IFLA_VXLAN_LOCAL.
    const LOCAL: u16 = 4;
    /// IFLA_VXLAN_TTL.
    const TTL: u16 = 5;
    /// IFLA_VXLAN_PORT, in the network's order.
    const PORT: u16 = 15;
    /// IFLA_VXLAN_GROUP6.
    const GROUP6: u16 = 16;
    /// IFLA_VXLAN_LOCAL6.
    const LOCAL6: u16 = 17;

    fn options(&self) -> Attributes {
        let by_family = |address: Option<IpAddr>, v4, v6| if address.is_some_and(|a| a.is_ipv6()) { v6 } else { v4 };
        let mut options = Attributes::new();
        options
            .put(Vxlan::ID, self.id)
            .bytes(Vxlan::PORT, &self.port.to_be_bytes())
            .put(by_family(self.remote, Vxlan::GROUP, Vxlan::GROUP6), self.remote)
            .put(by_family(self.local, Vxlan::LOCAL, Vxlan::LOCAL6), self.local)
            .put(Vxlan::TTL, (self.ttl != 0).then_some(self.ttl))
            .put(Vxlan::LINK, self.device);
        options
    }
}

impl Tunnel {
    /// IFLA_GRE_LOCAL (linux/if_tunnel.h).
    const LOCAL: u16 = 6;
    /// IFLA_GRE_REMOTE.
    const REMOTE: u16 = 7;
    /// IFLA_GRE_TTL.
    const TTL: u16 = 8;
    /// IFLA_GRE_PMTUDISC: whether routers are to say when a packet is too long for them; IPv6's always do.
    const PATH_MTU: u16 = 10;

    fn options(&self) -> Result<Attributes> {
        let Tunnel { local, remote, ttl } = *self;
        if local.is_ipv4() != remote.is_ipv4() {
            let why = format!("Tunnel addresses \"{local}\" and \"{remote}\" are of different families");
            return Err(Error::invalid(why));
        }
        let mut options = Attributes::new();
        options
            .put(Tunnel::LOCAL, local)
            .put(Tunnel::REMOTE, remote)
            .put(Tunnel::PATH_MTU, local.is_ipv4().then_some(true))
            .put(Tunnel::TTL, (ttl != 0).then_some(ttl));
        Ok(options)
    }
}
