//! Neighbours: who has an address on a link, whom this host answers for, and behind which port of a bridge a hardware
//! address is (rtnetlink(7), `RTM_*NEIGH`).

use std::net::IpAddr;

use netlink_packet_core::{NlasIterator, ParseableParametrized};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage, NeighbourState,
};

use super::addresses::family;
use super::socket::{CREATE, Message, REPLACE};
use super::{MacAddr, Netlink, bytes};
use crate::error::{Ctx, Kind, Result};

const NEW_NEIGHBOUR: u16 = 28;
const DELETE_NEIGHBOUR: u16 = 29;
const GET_NEIGHBOUR: u16 = 30;
/// Bytes of `struct ndmsg`.
const HEAD: usize = 12;

/// Who has an address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Number of the link.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Who has it, when that is known.
    pub mac: Option<MacAddr>,
    /// Whether nobody answered when asked for.
    pub failed: bool,
}

/// An entry of a bridge's forwarding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Number of the port, or of the tunnel, that the address is behind.
    pub index: u32,
    /// The address.
    pub mac: MacAddr,
    /// The VLAN it is in.
    pub vlan: Option<u16>,
    /// For tunnels: the other end it is behind.
    pub remote: Option<IpAddr>,
    /// Whether it stays until it is deleted.
    pub permanent: bool,
    /// Whether it is in the table of the bridge the link is a port of; otherwise in the link's own (tunnels).
    pub of_bridge: bool,
}

impl Netlink {
    /// Who has which address on a link.
    pub fn neighbours(&mut self, index: u32) -> Result<Vec<Neighbour>> {
        let answers = self.list(GET_NEIGHBOUR, &NeighbourMessage::default(), "listing neighbours")?;
        Ok(answers.iter().filter_map(neighbour).filter(|n| n.index == index).collect())
    }

    /// The addresses this host answers for on a link, though others have them.
    pub fn proxies(&mut self, index: u32) -> Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = NeighbourMessage::default();
            message.header.family = family;
            message.header.flags = NeighbourFlags::Proxy;
            let answers = self.list(GET_NEIGHBOUR, &message, "listing proxied neighbours")?;
            let proxied = answers.iter().filter_map(read).filter(|r| r.header.flags.contains(NeighbourFlags::Proxy));
            found.extend(proxied.filter(|r| r.header.ifindex == index).filter_map(|r| r.address));
        }
        Ok(found)
    }

    /// Answers for an address on a link. Once more is no error.
    pub fn add_proxy(&mut self, index: u32, address: IpAddr) -> Result<()> {
        let what = || format!("answering for address \"{address}\" on network interface {index}");
        self.tell(NEW_NEIGHBOUR, CREATE | REPLACE, &proxy(index, address), what)
    }

    /// No longer answers for an address on a link; false when it did not.
    pub fn delete_proxy(&mut self, index: u32, address: IpAddr) -> Result<bool> {
        let what = || format!("no longer answering for address \"{address}\" on network interface {index}");
        self.forget(&proxy(index, address), what)
    }

    /// All entries of all bridges' and tunnels' forwarding tables that lead through a link.
    pub fn forwardings(&mut self, index: u32) -> Result<Vec<Forwarding>> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        let answers = self.list(GET_NEIGHBOUR, &message, "listing forwarding entries")?;
        Ok(answers.iter().filter_map(forwarding).filter(|f| f.index == index).collect())
    }

    /// Adds an entry to a forwarding table, or replaces it.
    pub fn add_forwarding(&mut self, new: &Forwarding) -> Result<()> {
        let what = || format!("adding hardware address \"{}\" to network interface {}", new.mac, new.index);
        // Several members of a tunnel may have the address of nobody in particular.
        let how = if new.remote.is_some() { super::socket::APPEND } else { REPLACE };
        self.tell(NEW_NEIGHBOUR, CREATE | how, &new.message(), what)
    }

    /// Deletes an entry of a forwarding table; false when there was none.
    pub fn delete_forwarding(&mut self, old: &Forwarding) -> Result<bool> {
        let what = || format!("deleting hardware address \"{}\" from network interface {}", old.mac, old.index);
        self.forget(&old.message(), what)
    }

    fn forget(&mut self, message: &NeighbourMessage, what: impl Fn() -> String) -> Result<bool> {
        match self.socket.ask(DELETE_NEIGHBOUR, 0, &bytes(message)) {
            Ok(_) => Ok(true),
            Err(refusal) if matches!(refusal.errno(), libc::ENOENT | libc::ENODEV | libc::ENXIO) => Ok(false),
            Err(refusal) => Err(refusal).ctx(Kind::Internal, || format!("Failed {}", what())),
        }
    }
}

fn proxy(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = index;
    message.header.flags = NeighbourFlags::Proxy;
    message.attributes = vec![NeighbourAttribute::Destination(neighbour_address(address))];
    message
}

fn neighbour_address(address: IpAddr) -> NeighbourAddress {
    match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    }
}

impl Forwarding {
    fn message(&self) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = self.index;
        message.header.flags = if self.of_bridge { NeighbourFlags::Controller } else { NeighbourFlags::Own };
        message.header.state = match (self.permanent, self.of_bridge) {
            // What bridges call permanent is the bridge's own; what stays is "static" there.
            (true, true) => NeighbourState::Noarp,
            (true, false) => NeighbourState::Permanent,
            (false, _) => NeighbourState::Reachable,
        };
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(self.mac.0.to_vec()));
        message.attributes.extend(self.vlan.map(NeighbourAttribute::Vlan));
        message.attributes.extend(self.remote.map(|a| NeighbourAttribute::Destination(neighbour_address(a))));
        message
    }
}

/// What there is of one answer.
struct Read {
    header: NeighbourHeader,
    address: Option<IpAddr>,
    mac: Option<MacAddr>,
    vlan: Option<u16>,
}

fn read(answer: &Message) -> Option<Read> {
    if answer.kind != NEW_NEIGHBOUR {
        return None;
    }
    let header = NeighbourHeader::parse(&answer.body).ok()?;
    let family = header.family;
    let mut read = Read { header, address: None, mac: None, vlan: None };
    for attribute in NlasIterator::new(answer.body.get(HEAD..)?).flatten() {
        match NeighbourAttribute::parse_with_param(&attribute, family) {
            Ok(NeighbourAttribute::Destination(NeighbourAddress::Inet(v4))) => read.address = Some(v4.into()),
            Ok(NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6))) => read.address = Some(v6.into()),
            // Entries of forwarding tables don't say the family of the other end.
            Ok(NeighbourAttribute::Destination(NeighbourAddress::Other(raw))) => read.address = address(&raw),
            Ok(NeighbourAttribute::LinkLayerAddress(raw)) => read.mac = MacAddr::from_bytes(&raw),
            Ok(NeighbourAttribute::Vlan(vlan)) => read.vlan = Some(vlan),
            _ => {}
        }
    }
    Some(read)
}

fn address(raw: &[u8]) -> Option<IpAddr> {
    match raw.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(raw).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(raw).ok()?)),
        _ => None,
    }
}

fn neighbour(answer: &Message) -> Option<Neighbour> {
    let read = read(answer)?;
    let failed = matches!(read.header.state, NeighbourState::Failed | NeighbourState::Incomplete);
    Some(Neighbour { index: read.header.ifindex, address: read.address?, mac: read.mac, failed })
}

fn forwarding(answer: &Message) -> Option<Forwarding> {
    let read = read(answer)?;
    Some(Forwarding {
        index: read.header.ifindex,
        mac: read.mac?,
        vlan: read.vlan,
        remote: read.address,
        permanent: matches!(read.header.state, NeighbourState::Noarp | NeighbourState::Permanent),
        of_bridge: !read.header.flags.contains(NeighbourFlags::Own),
    })
}
