//! The sockets of a bridge, all tied to its interface, so that servers on the same ports of other interfaces don't disturb us.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::{dhcp4, dhcp6, dns, ra, slaac};
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::net::NetPlan;
use crate::runtime::sys::inet;

/// Bytes that may wait in the DHCP sockets: some hundred clients that ask at once.
const DHCP_BUFFER: usize = 1 << 20;
/// Bytes that may wait to leave a DNS socket. The kernel keeps some 200 kB for each address that it can't resolve.
const DNS_BUFFER: usize = 2 << 20;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;
/// `/proc/net/if_inet6` marks an address that isn't known to be unique yet (IFA_F_TENTATIVE).
const TENTATIVE: u32 = 0x40;

/// All of them. What the plan doesn't need is `None` or empty.
#[derive(Debug)]
pub(super) struct Sockets {
    /// DHCPv4, receiving.
    pub(super) dhcp4: Option<OwnedFd>,
    /// DHCPv4, sending whole packets.
    pub(super) packets: Option<OwnedFd>,
    /// DHCPv6.
    pub(super) dhcp6: Option<OwnedFd>,
    /// Router solicitations and echo replies in, echo requests out.
    pub(super) icmp: Option<OwnedFd>,
    /// Router advertisements out.
    pub(super) router: Option<OwnedFd>,
    /// DNS.
    pub(super) dns: Vec<OwnedFd>,
    /// DNS over TCP, listening.
    pub(super) listeners: Vec<OwnedFd>,
    /// What could not be opened, in words: something else has the port.
    pub(super) lacking: Vec<String>,
    /// `/proc/net/if_inet6`.
    addresses: Option<File>,
    ifindex: u32,
}

impl Sockets {
    /// Opens what the plan needs. Without a port of DNS it goes on, and says so in `lacking`.
    pub(super) fn open(plan: &NetPlan) -> Result<Sockets, Fail> {
        let bridge = &plan.bridge;
        let mut sockets = Sockets {
            dhcp4: plan
                .v4
                .as_ref()
                .map(|_| dhcp4(bridge))
                .transpose()
                .what(|| format!("opening DHCPv4 on {bridge:?}"))?,
            packets: plan.v4.as_ref().map(|_| inet::packet_sender()).transpose().what(|| "opening a packet socket")?,
            dhcp6: plan
                .v6
                .as_ref()
                .map(|_| dhcp6(plan))
                .transpose()
                .what(|| format!("opening DHCPv6 on {bridge:?}"))?,
            icmp: None,
            router: None,
            dns: Vec::new(),
            listeners: Vec::new(),
            lacking: Vec::new(),
            addresses: None,
            ifindex: plan.ifindex,
        };
        if plan.v6.is_some() {
            let failed = || format!("opening ICMPv6 on {bridge:?}");
            sockets.icmp = Some(icmp(plan, &[ra::SOLICITATION, slaac::ECHO_REPLY]).what(failed)?);
            sockets.router = Some(icmp(plan, &[]).what(failed)?);
            sockets.addresses = Some(File::open("/proc/net/if_inet6").what(|| "opening \"/proc/net/if_inet6\"")?);
        }
        if plan.dns.is_some() {
            sockets.open_dns(plan);
        }
        Ok(sockets)
    }

    /// On each address twice: for the bridge, and for the host itself, whose packets to its own address come by the loopback.
    fn open_dns(&mut self, plan: &NetPlan) {
        for address in &plan.addresses {
            let address = SocketAddr::new(*address, dns::PORT);
            for interface in [plan.bridge.as_str(), "lo"] {
                for kind in [SocketType::DGRAM, SocketType::STREAM] {
                    match dns_socket(interface, address, kind) {
                        Ok(socket) if kind == SocketType::DGRAM => self.dns.push(socket),
                        Ok(socket) => self.listeners.push(socket),
                        Err(e) => {
                            let protocol = if kind == SocketType::DGRAM { "UDP" } else { "TCP" };
                            self.lacking.push(format!("DNS over {protocol} on {address} ({interface}): {e}"));
                        }
                    }
                }
            }
        }
    }

    /// The bridge's link-local address: where advertisements come from. `None` while it is not known to be unique.
    pub(super) fn link_local(&self) -> Option<Ipv6Addr> {
        let mut text = vec![0; 16 << 10];
        let mut length = 0;
        // A read ends where the kernel's page does.
        while let Ok(got @ 1..) = self.addresses.as_ref()?.read_at(&mut text[length..], length as u64) {
            length += got;
        }
        let text = String::from_utf8_lossy(&text[..length]);
        text.lines().find_map(|line| usable_link_local(line, self.ifindex))
    }
}

fn usable_link_local(line: &str, ifindex: u32) -> Option<Ipv6Addr> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, index, _, _, flags, _] = words[..] else { return None };
    let address = Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?);
    let index = u32::from_str_radix(index, 16).ok()?;
    let flags = u32::from_str_radix(flags, 16).ok()?;
    (index == ifindex && address.is_unicast_link_local() && flags & TENTATIVE == 0).then_some(address)
}

fn new(family: AddressFamily, kind: SocketType, protocol: Option<rustix::net::Protocol>) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, protocol)?)
}

fn enlarge(socket: &OwnedFd) {
    // By force only as real root; what is allowed without is better than nothing.
    if sockopt::set_socket_recv_buffer_size_force(socket, DHCP_BUFFER).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, DHCP_BUFFER);
    }
}

fn dhcp4(bridge: &str) -> io::Result<OwnedFd> {
    let socket = new(AddressFamily::INET, SocketType::DGRAM, None)?;
    inet::bind_to_device(&socket, bridge)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    enlarge(&socket);
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, dhcp4::SERVER_PORT)))?;
    Ok(socket)
}

fn dhcp6(plan: &NetPlan) -> io::Result<OwnedFd> {
    let socket = new(AddressFamily::INET6, SocketType::DGRAM, None)?;
    inet::bind_to_device(&socket, &plan.bridge)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ipv6_v6only(&socket, true)?;
    enlarge(&socket);
    rustix::net::bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, dhcp6::SERVER_PORT)))?;
    sockopt::set_ipv6_add_membership(&socket, &dhcp6::SERVERS, plan.ifindex)?;
    Ok(socket)
}

fn icmp(plan: &NetPlan, types: &[u8]) -> io::Result<OwnedFd> {
    let socket = new(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6))?;
    inet::only_icmpv6(&socket, types)?;
    inet::bind_to_device(&socket, &plan.bridge)?;
    // Nodes drop advertisements that may have come by a router (RFC 4861, 6.1.2).
    sockopt::set_ipv6_multicast_hops(&socket, 255)?;
    sockopt::set_ipv6_unicast_hops(&socket, Some(255))?;
    sockopt::set_ipv6_multicast_loop(&socket, false)?;
    sockopt::set_ipv6_multicast_if(&socket, plan.ifindex)?;
    if types.contains(&ra::SOLICITATION) {
        sockopt::set_ipv6_add_membership(&socket, &ra::ALL_ROUTERS, plan.ifindex)?;
    }
    Ok(socket)
}

fn dns_socket(interface: &str, address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = new(family, kind, None)?;
    inet::bind_to_device(&socket, interface)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // The address may not be there yet, or not be known to be unique: a bridge without ports finds out only when one comes.
    match address.ip() {
        IpAddr::V4(_) => sockopt::set_ip_freebind(&socket, true)?,
        IpAddr::V6(_) => sockopt::set_ipv6_freebind(&socket, true)?,
    }
    // Answers to addresses that nobody has (a guest's forged questions) stay in it until ARP gives up: there must be room beside them.
    if sockopt::set_socket_send_buffer_size_force(&socket, DNS_BUFFER).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(&socket, DNS_BUFFER);
    }
    rustix::net::bind(&socket, &address)?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Ties the socket of advertisements to the address they come from. It may be tied anew whenever that changes.
pub(super) fn send_from(socket: &OwnedFd, address: Ipv6Addr, ifindex: u32) -> io::Result<()> {
    Ok(rustix::net::bind(socket, &SocketAddrV6::new(address, 0, 0, ifindex))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_local_address_is_used_once_it_is_unique() {
        let line = |flags: &str| format!("fe8000000000000002163efffe000001 0a 40 20 {flags}   br0");
        let address = "fe80::216:3eff:fe00:1".parse().ok();
        assert_eq!(usable_link_local(&line("80"), 10), address);
        assert_eq!(usable_link_local(&line("c0"), 10), None, "tentative");
        assert_eq!(usable_link_local(&line("80"), 11), None);
        assert_eq!(usable_link_local("fd420000000000000000000000000001 0a 40 00 80 br0", 10), None);
        assert_eq!(usable_link_local("x", 10), None);
    }
}
