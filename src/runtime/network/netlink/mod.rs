//! Links, addresses, routes and neighbours of the host and of other network namespaces (rtnetlink(7)).
//!
//! One [`Netlink`] is one socket in one namespace, to be used by one thread at a time. The kernel answers within the
//! call; nothing here waits for anything else.
//!
//! A message is a fixed part (`struct ifinfomsg`, …) with attributes behind it, written and read by [`wire`].
//!
//! ```text
//! links       list, find, make (kinds: what each kind of link needs), change, delete
//! addresses   routes   neighbours (proxies, forwarding tables of bridges)
//! ports       what a bridge does with one of its ports; VLANs of ports
//! switches    files below /proc/sys/net
//! socket      questions and answers     wire: attributes     mac: hardware addresses
//! ```

mod addresses;
mod functions;
mod kinds;
mod links;
mod mac;
mod neighbours;
mod ports;
mod routes;
pub mod socket;
mod switches;
#[cfg(test)]
mod tests;
pub mod wire;

use std::os::fd::BorrowedFd;

pub use addresses::{Address, NewAddress};
pub use functions::Function;
pub use kinds::{Bridge, IpvlanMode, LinkKind, MacvlanMode, Tunnel, Veth, Vxlan};
pub use links::{Counters, Link, LinkChange, NewLink, Which, check_name};
pub use mac::{HardwareAddress, MacAddr};
pub use neighbours::{Forwarding, Neighbour};
pub use ports::{PortChange, PortVlan};
pub use routes::{Route, RouteKind, Scope, TABLE_LOCAL, TABLE_MAIN};
pub use switches::{Family, read_switch, switch, switch_in};

use crate::error::{Ctx, Kind, Result};
use crate::runtime::sys::netlink::Part;
use socket::{Message, Refusal, Socket};
use wire::Attributes;

/// AF_INET.
const V4: u8 = 2;
/// AF_INET6.
const V6: u8 = 10;
/// AF_BRIDGE: of a bridge and its ports.
const BRIDGE: u8 = 7;

/// A socket to the kernel's tables of one network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// One for the network namespace of the calling thread.
    pub fn open() -> Result<Netlink> {
        let socket = Socket::open(Part::Route).ctx(Kind::Internal, || "Failed opening a netlink socket")?;
        Ok(Netlink { socket })
    }

    /// One for another network namespace, given as its `/proc/PID/ns/net` or a mount of it.
    pub fn in_namespace(netns: BorrowedFd<'_>) -> Result<Netlink> {
        let failed = || "Failed opening a netlink socket in another network namespace";
        Ok(Netlink { socket: Socket::open_in(Part::Route, netns).ctx(Kind::Internal, failed)? })
    }

    /// Sends one message; `what` says what fails, like `creating link "x"`.
    fn tell(&mut self, kind: u16, flags: u16, message: &Attributes, what: impl Fn() -> String) -> Result<()> {
        self.try_tell(kind, flags, message).ctx(Kind::Internal, || format!("Failed {}", what()))
    }

    fn try_tell(&mut self, kind: u16, flags: u16, message: &Attributes) -> Result<(), Refusal> {
        self.socket.ask(kind, flags, message.as_bytes()).map(drop)
    }

    /// Sends one message of traffic control.
    pub fn control(&mut self, kind: u16, flags: u16, body: &[u8], what: impl Fn() -> String) -> Result<()> {
        let answer = self.socket.ask(kind, flags, body);
        answer.map(drop).ctx(Kind::Internal, || format!("Failed {}", what()))
    }

    /// Lists what a message asks for.
    fn list(&mut self, kind: u16, message: &Attributes, what: &str) -> Result<Vec<Message>> {
        self.socket.list(kind, message.as_bytes()).ctx(Kind::Internal, || format!("Failed {what}"))
    }
}
