//! What only the host's facts need of netlink: kinds of interfaces tried, and what ethtool would say (netlink(7)).

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::network::netlink::socket::{CREATE, EXCL, Message, Socket};
use crate::runtime::network::netlink::wire::{Attributes, attributes, find, text};
use crate::runtime::network::nft::Nft;
use crate::runtime::sys::netlink::Part;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_INFO_KIND: u16 = 1;

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_LINKINFO_GET: u8 = 2;
const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_A_HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_LINKINFO_PORT: u16 = 2;
const ETHTOOL_A_LINKINFO_TRANSCEIVER: u16 = 5;
const ETHTOOL_A_LINKMODES_AUTONEG: u16 = 2;
const ETHTOOL_A_LINKMODES_OURS: u16 = 3;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;

/// Bytes in front of attributes: `struct genlmsghdr` and `struct ifinfomsg`.
const GENERIC_HEAD: usize = 4;
const LINK_HEAD: usize = 16;

/// Makes an interface of `kind` with no settings, in this network namespace.
///
/// # Errors
/// EOPNOTSUPP when the kernel has no such interfaces; others when it needs settings.
pub(super) fn make_interface(kind: &str) -> Result<()> {
    let mut link = Attributes::new();
    link.nest(IFLA_LINKINFO, |info| {
        info.bytes(IFLA_INFO_KIND, kind.as_bytes());
    });
    let body = [&[0; LINK_HEAD], link.as_bytes()].concat();
    ask(Part::Route, RTM_NEWLINK, CREATE | EXCL, &body).map(drop)
}

/// The number of a generic netlink family.
fn family(name: &str) -> Result<u16> {
    let mut named = Attributes::new();
    named.text(CTRL_ATTR_FAMILY_NAME, name);
    let body = [&[CTRL_CMD_GETFAMILY, 1, 0, 0], named.as_bytes()].concat();
    let messages = ask(Part::Generic, GENL_ID_CTRL, 0, &body)?;
    let id = messages.first().and_then(|m| {
        let id = find(m.body.get(GENERIC_HEAD..)?, CTRL_ATTR_FAMILY_ID)?;
        Some(u16::from_ne_bytes(id.first_chunk::<2>().copied()?))
    });
    id.ok_or_else(|| Error::internal(format!("Failed asking the kernel for netlink family {name:?}")))
}

/// What ethtool would say of an interface: link modes and the port in use (ethtool-netlink, Linux 5.6).
pub(super) fn ethtool(interface: &str) -> Result<Ethtool> {
    let family = family("ethtool")?;
    let of = |command: u8| -> Result<Vec<u8>> {
        let mut header = Attributes::new();
        header.nest(ETHTOOL_A_HEADER, |name| {
            name.text(ETHTOOL_A_HEADER_DEV_NAME, interface);
        });
        let messages = ask(Part::Generic, family, 0, &[&[command, 1, 0, 0], header.as_bytes()].concat())?;
        let first = messages.first().and_then(|m| m.body.get(GENERIC_HEAD..));
        Ok(first.map(<[u8]>::to_vec).unwrap_or_default())
    };
    let (modes, info) = (of(ETHTOOL_MSG_LINKMODES_GET)?, of(ETHTOOL_MSG_LINKINFO_GET)?);
    let byte = |from: &[u8], kind| find(from, kind).and_then(|value| value.first().copied());
    Ok(Ethtool {
        modes: find(&modes, ETHTOOL_A_LINKMODES_OURS).map(bit_names).unwrap_or_default(),
        negotiates: byte(&modes, ETHTOOL_A_LINKMODES_AUTONEG) == Some(1),
        port: byte(&info, ETHTOOL_A_LINKINFO_PORT),
        transceiver: byte(&info, ETHTOOL_A_LINKINFO_TRANSCEIVER),
        address: permanent_address(interface)?,
    })
}

/// The hardware address an interface was made with (Linux 5.6), "" when the kernel does not know one.
fn permanent_address(interface: &str) -> Result<String> {
    // struct ifinfomsg, all zero: the name says which.
    let mut named = Attributes::new();
    named.text(IFLA_IFNAME, interface);
    let messages = ask(Part::Route, RTM_GETLINK, 0, &[&[0; LINK_HEAD], named.as_bytes()].concat())?;
    let first = messages.first().and_then(|m| m.body.get(LINK_HEAD..));
    let bytes = first.and_then(|all| find(all, IFLA_PERM_ADDRESS)).unwrap_or_default();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

/// What ethtool would say of an interface.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ethtool {
    /// Names of what the hardware can: speeds (`1000baseT/Full`) and ports (`TP`, `FIBRE`, …) among others.
    pub modes: Vec<String>,
    /// Whether speed is negotiated.
    pub negotiates: bool,
    /// `PORT_*` of ethtool.h.
    pub port: Option<u8>,
    /// `XCVR_*` of ethtool.h.
    pub transceiver: Option<u8>,
    /// The hardware address the card was made with; "" when the driver does not tell.
    pub address: String,
}

/// Names in a verbose bit set: bits, each with its name.
fn bit_names(set: &[u8]) -> Vec<String> {
    let bits = find(set, ETHTOOL_A_BITSET_BITS).unwrap_or_default();
    attributes(bits).filter_map(|(_, bit)| find(bit, ETHTOOL_A_BITSET_BIT_NAME)).map(text).collect()
}

/// Whether the kernel has nftables.
pub(super) fn nftables() -> Result<()> {
    Nft::open()?.check()
}

fn ask(part: Part, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Message>> {
    let what = || "Failed asking the kernel over netlink";
    Socket::open(part).ctx(Kind::Internal, what)?.ask(kind, flags, body).ctx(Kind::Internal, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethtool_answers_or_says_why_not() {
        // A loopback has no link modes; which error that is depends on the kernel.
        let error = ethtool("lo").unwrap_err();
        assert!(error.errno().is_some(), "{error:?}");
        assert_eq!(ethtool("no-such-if").unwrap_err().errno(), Some(libc::ENODEV));
    }

    #[test]
    fn bit_sets_are_read_by_name() {
        let mut set = Attributes::new();
        set.nest(ETHTOOL_A_BITSET_BITS, |bits| {
            for name in ["TP", "1000baseT/Full"] {
                bits.nest(1, |bit| {
                    bit.text(ETHTOOL_A_BITSET_BIT_NAME, name);
                });
            }
        });
        assert_eq!(bit_names(set.as_bytes()), ["TP", "1000baseT/Full"]);
    }
}
