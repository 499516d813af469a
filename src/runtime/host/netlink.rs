//! The little of netlink that looking needs: one request, all its answers (netlink(7), rtnetlink(7)).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use rustix::net::netlink::{GENERIC, NETFILTER};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::error::{Ctx, Error, Kind, Result};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_INFO_KIND: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;

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

/// NFNL_SUBSYS_NFTABLES << 8 | 16.
const NFT_MSG_GETGEN: u16 = 0x0a10;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// One address of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Number of the interface.
    pub index: u32,
    /// The address; on point-to-point links, this end's.
    pub address: IpAddr,
    /// Length of the prefix.
    pub prefix: u8,
}

/// All addresses of all interfaces of this network namespace, in the kernel's order.
pub fn addresses() -> Result<Vec<Address>> {
    // struct ifaddrmsg, all zero: any family, any interface.
    let messages = request(None, RTM_GETADDR, NLM_F_DUMP, &[0; 8])?;
    Ok(messages.iter().filter(|m| m.kind == RTM_NEWADDR).filter_map(|m| address(&m.body)).collect())
}

fn address(body: &[u8]) -> Option<Address> {
    let (head, rest) = body.split_at_checked(8)?;
    let attributes = attributes(rest);
    let raw = attributes.get(&IFA_LOCAL).or_else(|| attributes.get(&IFA_ADDRESS))?;
    let address = match raw.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(*raw).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(*raw).ok()?)),
        _ => return None,
    };
    Some(Address { index: u32::from_ne_bytes(head[4..8].try_into().ok()?), address, prefix: head[1] })
}

/// Makes an interface of `kind` with no settings, in this network namespace.
///
/// # Errors
/// EOPNOTSUPP when the kernel has no such interfaces; others when it needs settings.
pub(super) fn make_interface(kind: &str) -> Result<()> {
    let mut body = vec![0u8; 16];
    let info = attribute(IFLA_INFO_KIND, kind.as_bytes());
    body.extend(attribute(IFLA_LINKINFO, &info));
    request(None, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body).map(drop)
}

/// The number of a generic netlink family.
fn family(name: &str) -> Result<u16> {
    let mut body = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
    body.extend(attribute(CTRL_ATTR_FAMILY_NAME, format!("{name}\0").as_bytes()));
    let messages = request(Some(GENERIC), GENL_ID_CTRL, NLM_F_ACK, &body)?;
    let id = messages.first().and_then(|m| {
        let attributes = attributes(m.body.get(4..)?);
        Some(u16::from_ne_bytes(attributes.get(&CTRL_ATTR_FAMILY_ID)?.first_chunk::<2>().copied()?))
    });
    id.ok_or_else(|| Error::internal(format!("Failed asking the kernel for netlink family {name:?}")))
}

/// What ethtool would say of an interface: link modes and the port in use (ethtool-netlink, Linux 5.6).
pub(super) fn ethtool(interface: &str) -> Result<Ethtool> {
    let family = family("ethtool")?;
    let name = attribute(ETHTOOL_A_HEADER_DEV_NAME, format!("{interface}\0").as_bytes());
    let ask = |command: u8| -> Result<Vec<u8>> {
        let mut body = vec![command, 1, 0, 0];
        body.extend(attribute(ETHTOOL_A_HEADER | NLA_F_NESTED, &name));
        let messages = request(Some(GENERIC), family, NLM_F_ACK, &body)?;
        Ok(messages.into_iter().next().and_then(|m| m.body.get(4..).map(<[u8]>::to_vec)).unwrap_or_default())
    };
    let (modes, info) = (ask(ETHTOOL_MSG_LINKMODES_GET)?, ask(ETHTOOL_MSG_LINKINFO_GET)?);
    let (modes, info) = (attributes(&modes), attributes(&info));
    let byte = |from: &BTreeMap<u16, &[u8]>, kind| from.get(&kind).and_then(|value| value.first().copied());
    Ok(Ethtool {
        modes: modes.get(&ETHTOOL_A_LINKMODES_OURS).map(|set| bit_names(set)).unwrap_or_default(),
        negotiates: byte(&modes, ETHTOOL_A_LINKMODES_AUTONEG) == Some(1),
        port: byte(&info, ETHTOOL_A_LINKINFO_PORT),
        transceiver: byte(&info, ETHTOOL_A_LINKINFO_TRANSCEIVER),
        address: permanent_address(interface)?,
    })
}

/// The hardware address an interface was made with (Linux 5.6), "" when the kernel does not know one.
fn permanent_address(interface: &str) -> Result<String> {
    // struct ifinfomsg, all zero: the name says which.
    let mut body = vec![0u8; 16];
    body.extend(attribute(IFLA_IFNAME, format!("{interface}\0").as_bytes()));
    let messages = request(None, RTM_GETLINK, NLM_F_ACK, &body)?;
    let address = messages.first().and_then(|m| Some(attributes(m.body.get(16..)?).get(&IFLA_PERM_ADDRESS)?.to_vec()));
    let bytes = address.unwrap_or_default();
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
    let set = attributes(set);
    let bits = set.get(&ETHTOOL_A_BITSET_BITS).copied().unwrap_or_default();
    let name = |bit: &[u8]| {
        let bit = attributes(bit);
        let name = bit.get(&ETHTOOL_A_BITSET_BIT_NAME)?;
        Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_string())
    };
    list(bits).into_iter().filter_map(name).collect()
}

/// Whether the kernel has nftables: asks for the number of the present rule set.
pub(super) fn nftables() -> Result<()> {
    // struct nfgenmsg, all zero.
    request(Some(NETFILTER), NFT_MSG_GETGEN, NLM_F_ACK, &[0; 4]).map(drop)
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(align(bytes.len()), 0);
    bytes
}

/// One answer: its type, and what follows the netlink header.
struct Message {
    kind: u16,
    body: Vec<u8>,
}

/// Sends one request and gathers its answers; `flags` must make the kernel say where they end (a dump or an
/// acknowledgement). NETLINK_ROUTE is 0, which is `None` here.
fn request(protocol: Option<Protocol>, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Message>> {
    let what = || "Failed asking the kernel over netlink";
    let family = AddressFamily::NETLINK;
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol).ctx(Kind::Internal, what)?;
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut request = Vec::with_capacity(HEADER + body.len());
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    request.extend(1u32.to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    request.extend(body);
    send(&socket, &request, SendFlags::empty()).ctx(Kind::Internal, what)?;
    receive(&socket)
}

fn receive(socket: &OwnedFd) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        let (length, _) = recv(socket, &mut buffer[..], RecvFlags::empty())
            .ctx(Kind::Internal, || "Failed reading the kernel's answer over netlink")?;
        let mut rest = &buffer[..length];
        if rest.is_empty() {
            return Ok(messages);
        }
        while let Some((message, after)) = split_message(rest) {
            rest = after;
            match message.kind {
                NLMSG_DONE => return Ok(messages),
                NLMSG_ERROR => return acknowledged(&message.body).map(|()| messages),
                _ => messages.push(message),
            }
        }
    }
}

/// An error message with the number 0 is an acknowledgement.
fn acknowledged(body: &[u8]) -> Result<()> {
    let code = body.first_chunk::<4>().map_or(0, |b| i32::from_ne_bytes(*b));
    if code == 0 {
        return Ok(());
    }
    let error = std::io::Error::from_raw_os_error(code.saturating_neg());
    Err(error).ctx(Kind::Internal, || "Failed asking the kernel over netlink")
}

fn split_message(data: &[u8]) -> Option<(Message, &[u8])> {
    let length = u32::from_ne_bytes(*data.first_chunk::<4>()?) as usize;
    let kind = u16::from_ne_bytes(data.get(4..6)?.try_into().ok()?);
    let body = data.get(HEADER..length)?.to_vec();
    Some((Message { kind, body }, data.get(align(length)..).unwrap_or_default()))
}

/// Attributes by type; of several of one type the last.
fn attributes(data: &[u8]) -> BTreeMap<u16, &[u8]> {
    all_attributes(data).into_iter().collect()
}

/// The values of attributes of any type, in order.
fn list(data: &[u8]) -> Vec<&[u8]> {
    all_attributes(data).into_iter().map(|(_, value)| value).collect()
}

fn all_attributes(mut data: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some(head) = data.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let Some(value) = data.get(4..length) else { break };
        // The two high bits are flags (nested, byte order).
        found.push((u16::from_ne_bytes([head[2], head[3]]) & 0x3fff, value));
        data = data.get(align(length)..).unwrap_or_default();
    }
    found
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_its_addresses() {
        let all = addresses().unwrap();
        let lo = all.iter().find(|a| a.address == IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(lo.map(|a| (a.index, a.prefix)), Some((1, 8)));
    }

    #[test]
    fn ethtool_answers_or_says_why_not() {
        // A loopback has no link modes; which error that is depends on the kernel.
        let error = ethtool("lo").unwrap_err();
        assert!(error.errno().is_some(), "{error:?}");
        assert_eq!(ethtool("no-such-if").unwrap_err().errno(), Some(libc::ENODEV));
    }

    #[test]
    fn bit_sets_are_read_by_name() {
        let bit = |name: &str| {
            attribute(1 | NLA_F_NESTED, &attribute(ETHTOOL_A_BITSET_BIT_NAME, format!("{name}\0").as_bytes()))
        };
        let bits = [bit("TP"), bit("1000baseT/Full")].concat();
        assert_eq!(bit_names(&attribute(ETHTOOL_A_BITSET_BITS, &bits)), ["TP", "1000baseT/Full"]);
    }

    #[test]
    fn broken_answers_are_no_addresses() {
        assert!(split_message(&[1, 2, 3]).is_none());
        assert!(split_message(&[255, 255, 255, 255, 20, 0, 0, 0]).is_none());
        assert!(attributes(&[3, 0, 1, 0]).is_empty());
        assert!(attributes(&[200, 0, 1, 0, 9]).is_empty());
        assert!(address(&[0; 7]).is_none());
        // An address of three bytes.
        assert!(address(&[2, 8, 0, 0, 1, 0, 0, 0, 7, 0, 2, 0, 1, 2, 3, 0]).is_none());
    }
}
