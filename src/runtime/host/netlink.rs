//! The little of netlink that looking needs: one request, all its answers (netlink(7), rtnetlink(7)).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::error::{Ctx, Kind, Result};

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
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
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

/// Whether the kernel has nftables: asks for the number of the present rule set.
pub(super) fn nftables() -> Result<()> {
    // struct nfgenmsg, all zero.
    request(Some(rustix::net::netlink::NETFILTER), NFT_MSG_GETGEN, NLM_F_ACK, &[0; 4]).map(drop)
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
fn attributes(mut data: &[u8]) -> BTreeMap<u16, &[u8]> {
    let mut found = BTreeMap::new();
    while let Some(head) = data.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let Some(value) = data.get(4..length) else { break };
        // The two high bits are flags (nested, byte order).
        found.insert(u16::from_ne_bytes([head[2], head[3]]) & 0x3fff, value);
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
