//! Links: what the kernel calls network devices (rtnetlink(7), `RTM_*LINK`).

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::kinds::{LinkKind, VLAN_ID};
use super::socket::{CREATE, EXCL, Message, Refusal};
use super::wire::{self, Attributes};
use super::{HardwareAddress, MacAddr, Netlink};
use crate::error::{Ctx, Error, Kind, Result};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const DELETE_PROPERTY: u16 = 109;
/// Bytes of `struct ifinfomsg`.
const HEAD: usize = 16;
/// IFF_UP (netdevice(7)).
const UP: u32 = 0x1;
/// IFF_LOOPBACK.
const LOOPBACK: u32 = 0x8;
/// IFF_RUNNING.
const RUNNING: u32 = 0x40;
/// IFNAMSIZ without the zero at the end.
const MAX_NAME: usize = 15;

/// Fails when the kernel would not take `name` as a link's, or a path made with it would lead elsewhere.
pub fn check_name(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b':';
    if name.is_empty() || name.len() > MAX_NAME || name == "." || name == ".." || !name.bytes().all(good) {
        return Err(Error::invalid(format!("Invalid network interface name {name:?}")));
    }
    Ok(())
}

/// A link as the kernel lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is (`bridge`, `veth`, …); empty for hardware and the loopback.
    pub kind: String,
    /// Its hardware address; none for tunnels and InfiniBand.
    pub mac: Option<MacAddr>,
    /// Its hardware address, of any length.
    pub address: HardwareAddress,
    /// The longest packet, in bytes.
    pub mtu: u32,
    /// Packets its queue holds.
    pub queue_length: u32,
    /// Whether it was switched on.
    pub up: bool,
    /// Whether packets can go through (on, and the other end is too).
    pub running: bool,
    /// Whether this is the loopback.
    pub loopback: bool,
    /// Number of the bridge or bond it is a port of.
    pub master: Option<u32>,
    /// Number of the link it is made on (vlan, macvlan) or of the other end (veth), which may be in another namespace.
    pub parent: Option<u32>,
    /// Which namespace the parent is in, when it is another.
    pub parent_netns: Option<i32>,
    /// The tag, for links of kind `vlan`.
    pub vlan: Option<u16>,
    /// What went through.
    pub counters: Counters,
}

/// What went through a link since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that came in.
    pub rx_bytes: u64,
    /// Bytes that went out.
    pub tx_bytes: u64,
    /// Packets that came in.
    pub rx_packets: u64,
    /// Packets that went out.
    pub tx_packets: u64,
}

/// A link by its number or its name; numbers can't be mistaken, names are looked up by the kernel in the same step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// Its number.
    Index(u32),
    /// Its name.
    Name(&'a str),
}

impl From<u32> for Which<'_> {
    fn from(index: u32) -> Self {
        Which::Index(index)
    }
}

impl<'a> From<&'a str> for Which<'a> {
    fn from(name: &'a str) -> Self {
        Which::Name(name)
    }
}

impl fmt::Display for Which<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Index(index) => write!(f, "network interface {index}"),
            Which::Name(name) => write!(f, "network interface {name:?}"),
        }
    }
}

/// A link to make; everything that is `None` is the kernel's choice.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// What it is to be.
    pub kind: LinkKind<'a>,
    /// Number of the link it is made on: for vlan, macvlan and ipvlan, and for tunnels bound to one.
    pub parent: Option<u32>,
    /// What is set on it in the same step; the name in it is not looked at.
    pub with: LinkChange<'a>,
}

impl<'a> NewLink<'a> {
    /// One with nothing set.
    pub fn new(name: &'a str, kind: LinkKind<'a>) -> NewLink<'a> {
        NewLink { name, kind, parent: None, with: LinkChange::default() }
    }
}

/// Changes of a link, done by the kernel in one step, though not undone by it when one of them fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkChange<'a> {
    /// On or off.
    pub up: Option<bool>,
    /// The longest packet, in bytes.
    pub mtu: Option<u32>,
    /// The hardware address.
    pub mac: Option<MacAddr>,
    /// The hardware address of a link of any kind.
    pub address: Option<&'a HardwareAddress>,
    /// Packets its queue holds.
    pub queue_length: Option<u32>,
    /// Number of the bridge it becomes a port of; 0 for none.
    pub master: Option<u32>,
    /// A new name; the link must be off (before Linux 6.2).
    pub name: Option<&'a str>,
    /// The network namespace it moves into. It is off afterwards and has no addresses.
    pub netns: Option<BorrowedFd<'a>>,
}

impl LinkChange<'_> {
    /// Adds the attributes for this; on and off are in front of them, in the [`head`].
    pub(super) fn fill(&self, message: &mut Attributes) -> Result<()> {
        if let Some(name) = self.name {
            check_name(name)?;
            message.text(libc::IFLA_IFNAME, name);
        }
        message
            .put(libc::IFLA_MTU, self.mtu)
            .put(libc::IFLA_ADDRESS, self.mac)
            .put(libc::IFLA_ADDRESS, self.address.map(|address| address.0.clone()))
            .put(libc::IFLA_TXQLEN, self.queue_length)
            .put(libc::IFLA_MASTER, self.master)
            .put(libc::IFLA_NET_NS_FD, self.netns.map(|netns| netns.as_raw_fd().cast_unsigned()));
        Ok(())
    }
}

/// `struct ifinfomsg` (rtnetlink(7)) of a link that is switched on, switched off or left as it is.
pub(super) fn head(family: u8, index: u32, up: Option<bool>) -> Attributes {
    let flags = if up == Some(true) { UP } else { 0 };
    let change = if up.is_some() { UP } else { 0 };
    let [index, flags, change] = [index, flags, change].map(u32::to_ne_bytes);
    Attributes::behind([[family, 0, 0, 0], index, flags, change].concat())
}

/// The same, of the link of this name or number.
pub(super) fn named(which: Which<'_>, up: Option<bool>) -> Attributes {
    match which {
        Which::Index(index) => head(0, index, up),
        Which::Name(name) => {
            let mut message = head(0, 0, up);
            message.text(libc::IFLA_IFNAME, name);
            message
        }
    }
}

impl Netlink {
    /// All links of the namespace, in the order of their numbers.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let answers = self.list(GET_LINK, &head(0, 0, None), "listing network interfaces")?;
        Ok(answers.iter().filter_map(link).collect())
    }

    /// The link of this name or number, if there is one.
    pub fn link<'a>(&mut self, which: impl Into<Which<'a>>) -> Result<Option<Link>> {
        let which = which.into();
        if matches!(which, Which::Name(name) if check_name(name).is_err()) {
            return Ok(None);
        }
        match self.socket.ask(GET_LINK, 0, named(which, None).as_bytes()) {
            Ok(answers) => Ok(answers.iter().find_map(link)),
            Err(refusal) if refusal.errno() == libc::ENODEV => Ok(None),
            Err(refusal) => Err(refusal).ctx(Kind::Internal, || format!("Failed looking up {which}")),
        }
    }

    /// The number of the link of this name; [`Kind::NotFound`] when there is none.
    pub fn index(&mut self, name: &str) -> Result<u32> {
        let link = self.link(name)?;
        link.map(|l| l.index).ok_or_else(|| Error::not_found(format!("Network interface {name:?} not found")))
    }

    /// Makes a link with all that is set on it, or nothing.
    ///
    /// # Errors
    /// EEXIST when the name is taken, EOPNOTSUPP when the kernel has no such kind, as [`Error::errno`] tells.
    pub fn create(&mut self, new: &NewLink<'_>) -> Result<()> {
        check_name(new.name)?;
        let mut message = head(0, 0, new.with.up);
        message
            .text(libc::IFLA_IFNAME, new.name)
            .put(libc::IFLA_LINK, new.parent)
            .bytes(libc::IFLA_LINKINFO, new.kind.info()?.as_bytes());
        LinkChange { name: None, ..new.with }.fill(&mut message)?;
        self.tell(NEW_LINK, CREATE | EXCL, &message, || format!("creating network interface {:?}", new.name))
    }

    /// Changes a link.
    pub fn set<'a>(&mut self, which: impl Into<Which<'a>>, change: &LinkChange<'_>) -> Result<()> {
        let which = which.into();
        let mut message = named(which, change.up);
        if let (Which::Name(_), Some(_)) = (which, change.name) {
            // One message can't have both names.
            let index = self.link(which)?.map(|l| l.index);
            let index = index.ok_or_else(|| Error::not_found(format!("Failed changing {which}: not found")))?;
            message = named(Which::Index(index), change.up);
        }
        change.fill(&mut message)?;
        self.tell(NEW_LINK, 0, &message, || format!("changing {which}"))
    }

    /// Deletes a link; false when there was none.
    pub fn delete<'a>(&mut self, which: impl Into<Which<'a>>) -> Result<bool> {
        let which = which.into();
        match self.try_tell(DELETE_LINK, 0, &named(which, None)) {
            Ok(()) => Ok(true),
            Err(refusal) if refusal.errno() == libc::ENODEV => Ok(false),
            Err(refusal) => Err(refusal).ctx(Kind::Internal, || format!("Failed deleting {which}")),
        }
    }

    /// Takes a further name of a link away (`altname` of ip-link(8), Linux 5.5), by which it was found too; no error when
    /// it had it not. Its own name stays.
    pub fn delete_other_name(&mut self, index: u32, name: &str) -> Result<()> {
        let mut message = named(Which::Index(index), None);
        message.nest(libc::IFLA_PROP_LIST, |names| {
            names.text(libc::IFLA_ALT_IFNAME, name);
        });
        match self.try_tell(DELETE_PROPERTY, 0, &message) {
            Err(refusal) if !matches!(refusal.errno(), libc::EINVAL | libc::ENOENT | libc::EOPNOTSUPP) => Err(refusal)
                .ctx(Kind::Internal, || format!("Failed taking the name {name:?} from network interface {index}")),
            _ => Ok(()),
        }
    }

    /// Sets what a link of its kind has, as making it does (a bridge's options).
    pub fn set_kind<'a>(&mut self, which: impl Into<Which<'a>>, kind: &LinkKind<'_>) -> Result<()> {
        let which = which.into();
        let mut message = named(which, None);
        message.bytes(libc::IFLA_LINKINFO, kind.info()?.as_bytes());
        self.tell(NEW_LINK, 0, &message, || format!("changing {which}"))
    }

    /// Tells a link one attribute that has others in it.
    pub(super) fn tell_link(&mut self, which: Which<'_>, kind: u16, value: &Attributes) -> Result<(), Refusal> {
        let mut message = named(which, None);
        message.bytes(kind, value.as_bytes());
        self.try_tell(NEW_LINK, 0, &message)
    }
}

fn link(answer: &Message) -> Option<Link> {
    if answer.kind != NEW_LINK {
        return None;
    }
    let (head, attributes) = answer.body.split_first_chunk::<HEAD>()?;
    let flags = wire::word(head.get(8..12)?)?;
    let mut link = Link {
        index: wire::word(head.get(4..8)?)?,
        up: flags & UP != 0,
        running: flags & RUNNING != 0,
        loopback: flags & LOOPBACK != 0,
        ..Link::default()
    };
    wire::attributes(attributes).for_each(|(kind, value)| link.take(kind, value));
    Some(link)
}

impl Link {
    fn take(&mut self, kind: u16, value: &[u8]) {
        let word = wire::word(value);
        match kind {
            libc::IFLA_IFNAME => self.name = wire::text(value),
            libc::IFLA_ADDRESS => {
                self.mac = MacAddr::from_bytes(value);
                self.address = HardwareAddress(value.to_vec());
            }
            libc::IFLA_MTU => self.mtu = word.unwrap_or(self.mtu),
            libc::IFLA_TXQLEN => self.queue_length = word.unwrap_or(self.queue_length),
            libc::IFLA_MASTER => self.master = word,
            libc::IFLA_LINK => self.parent = word.filter(|index| *index != 0),
            libc::IFLA_LINK_NETNSID => self.parent_netns = word.map(u32::cast_signed),
            // Not present, down, or what it is made on is down (RFC 2863).
            libc::IFLA_OPERSTATE if matches!(value, [1..=3]) => self.running = false,
            libc::IFLA_STATS64 => self.counters = counters(value).unwrap_or_default(),
            libc::IFLA_LINKINFO => self.take_info(value),
            _ => {}
        }
    }

    fn take_info(&mut self, info: &[u8]) {
        self.kind = wire::find(info, libc::IFLA_INFO_KIND).map(wire::text).unwrap_or_default();
        if self.kind == "vlan" {
            let tag = wire::find(info, libc::IFLA_INFO_DATA).and_then(|options| wire::find(options, VLAN_ID));
            self.vlan = tag.and_then(wire::half);
        }
    }
}

/// The first four numbers of `struct rtnl_link_stats64`.
fn counters(stats: &[u8]) -> Option<Counters> {
    let (numbers, _) = stats.as_chunks::<8>();
    let &[rx_packets, tx_packets, rx_bytes, tx_bytes] = numbers.first_chunk::<4>()?;
    Some(Counters {
        rx_bytes: u64::from_ne_bytes(rx_bytes),
        tx_bytes: u64::from_ne_bytes(tx_bytes),
        rx_packets: u64::from_ne_bytes(rx_packets),
        tx_packets: u64::from_ne_bytes(tx_packets),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_found_by_name_and_number() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.link("lo").unwrap().unwrap();
        assert_eq!((lo.index, lo.loopback, lo.mtu, lo.kind.as_str()), (1, true, 65_536, ""));
        assert_eq!(netlink.link(1).unwrap().unwrap().name, "lo");
        assert!(netlink.links().unwrap().iter().any(|l| l.name == "lo"));
        assert_eq!(netlink.link("no-such-if").unwrap(), None);
        assert_eq!(netlink.link("../../etc").unwrap(), None);
        assert_eq!(netlink.index("no-such-if").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn names_the_kernel_would_not_take_are_refused_by_name() {
        for good in ["eth0", "a", "lxdbr0-mtu", "veth1234abcd567", "br.10", "a@b"] {
            check_name(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "a b", "a:1", "sixteen-letters-", "\u{e9}"] {
            assert!(check_name(bad).unwrap_err().message().contains(&format!("{bad:?}")));
        }
    }

    #[test]
    fn what_is_no_link_is_none() {
        assert_eq!(link(&Message { kind: NEW_LINK, body: vec![0; 4] }), None);
        assert_eq!(link(&Message { kind: 20, body: vec![0; 16] }), None);
        // Attributes that end too early hide only themselves.
        let body = [vec![0; HEAD], vec![200, 0, 3, 0]].concat();
        assert_eq!(link(&Message { kind: NEW_LINK, body }), Some(Link::default()));
    }
}
