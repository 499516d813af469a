//! Neighbours: who has an address on a link, whom this host answers for, and behind which port of a bridge a hardware
//! address is (rtnetlink(7), `RTM_*NEIGH`).

use std::net::IpAddr;

use super::addresses::family;
use super::socket::{CREATE, Message, REPLACE};
use super::wire::{self, Attributes};
use super::{BRIDGE, MacAddr, Netlink, V4, V6};
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
        let answers = self.list(GET_NEIGHBOUR, &head(0, 0, libc::NUD_NONE, 0), "listing neighbours")?;
        Ok(answers.iter().filter_map(neighbour).filter(|n| n.index == index).collect())
    }

    /// The addresses this host answers for on a link, though others have them.
    pub fn proxies(&mut self, index: u32) -> Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for family in [V4, V6] {
            let message = head(family, 0, libc::NUD_NONE, libc::NTF_PROXY);
            let answers = self.list(GET_NEIGHBOUR, &message, "listing proxied neighbours")?;
            let proxied = answers.iter().filter_map(read).filter(|r| r.flags & libc::NTF_PROXY != 0);
            found.extend(proxied.filter(|r| r.index == index).filter_map(|r| r.address));
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
        let message = head(BRIDGE, 0, libc::NUD_NONE, 0);
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

    fn forget(&mut self, message: &Attributes, what: impl Fn() -> String) -> Result<bool> {
        match self.socket.ask(DELETE_NEIGHBOUR, 0, message.as_bytes()) {
            Ok(_) => Ok(true),
            Err(refusal) if matches!(refusal.errno(), libc::ENOENT | libc::ENODEV | libc::ENXIO) => Ok(false),
            Err(refusal) => Err(refusal).ctx(Kind::Internal, || format!("Failed {}", what())),
        }
    }
}

/// `struct ndmsg` (rtnetlink(7)); a state is one of `NUD_*`, flags are `NTF_*`.
fn head(family: u8, index: u32, state: u16, flags: u8) -> Attributes {
    let [low, high] = state.to_ne_bytes();
    Attributes::behind([[family, 0, 0, 0], index.to_ne_bytes(), [low, high, flags, 0]].concat())
}

fn proxy(index: u32, address: IpAddr) -> Attributes {
    let mut message = head(family(address), index, libc::NUD_NONE, libc::NTF_PROXY);
    message.put(libc::NDA_DST, address);
    message
}

impl Forwarding {
    fn message(&self) -> Attributes {
        let flags = if self.of_bridge { libc::NTF_MASTER } else { libc::NTF_SELF };
        let state = match (self.permanent, self.of_bridge) {
            // What bridges call permanent is the bridge's own; what stays is "static" there.
            (true, true) => libc::NUD_NOARP,
            (true, false) => libc::NUD_PERMANENT,
            (false, _) => libc::NUD_REACHABLE,
        };
        let mut message = head(BRIDGE, self.index, state, flags);
        message.put(libc::NDA_LLADDR, self.mac).put(libc::NDA_VLAN, self.vlan).put(libc::NDA_DST, self.remote);
        message
    }
}

/// What there is of one answer.
struct Read {
    index: u32,
    state: u16,
    flags: u8,
    address: Option<IpAddr>,
    mac: Option<MacAddr>,
    vlan: Option<u16>,
}

fn read(answer: &Message) -> Option<Read> {
    if answer.kind != NEW_NEIGHBOUR {
        return None;
    }
    let (head, attributes) = answer.body.split_first_chunk::<HEAD>()?;
    let (said, flags) = (*head.first()?, *head.get(10)?);
    let (index, state) = (wire::word(head.get(4..8)?)?, wire::half(head.get(8..10)?)?);
    // Entries of forwarding tables don't say the family of the other end.
    let fits = |address: &IpAddr| !matches!(said, V4 | V6) || said == family(*address);
    let mut read = Read { index, state, flags, address: None, mac: None, vlan: None };
    for (kind, value) in wire::attributes(attributes) {
        match kind {
            libc::NDA_DST => read.address = wire::address(value).filter(fits).or(read.address),
            libc::NDA_LLADDR => read.mac = MacAddr::from_bytes(value),
            libc::NDA_VLAN => read.vlan = wire::half(value).or(read.vlan),
            _ => {}
        }
    }
    Some(read)
}

fn neighbour(answer: &Message) -> Option<Neighbour> {
    let read = read(answer)?;
    let failed = matches!(read.state, libc::NUD_FAILED | libc::NUD_INCOMPLETE);
    Some(Neighbour { index: read.index, address: read.address?, mac: read.mac, failed })
}

fn forwarding(answer: &Message) -> Option<Forwarding> {
    let read = read(answer)?;
    Some(Forwarding {
        index: read.index,
        mac: read.mac?,
        vlan: read.vlan,
        remote: read.address,
        permanent: matches!(read.state, libc::NUD_NOARP | libc::NUD_PERMANENT),
        of_bridge: read.flags & libc::NTF_SELF == 0,
    })
}
