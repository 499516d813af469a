//! The kernel's packet filter, nf_tables, over netlink: no program is run.
//!
//! ```text
//! model    tables, chains, rules as plain values       encode   rules as the kernel's small instructions
//! apply    many chains replaced in one transaction     read     what of it is there
//! ```
//!
//! **Left alone when unchanged.** Each rule carries a digest of itself as its user data, which survives in the kernel
//! and which `nft list ruleset` does not show. [`Nft::ensure`] reads the digests and replaces a chain only when its
//! hook, or its sequence of digests, is not the one wanted: that also finds rules that somebody else put in, changed
//! or took away.

mod apply;
mod encode;
mod model;
mod read;
mod sets;

use std::cell::RefCell;
use std::os::fd::BorrowedFd;

pub use apply::Change;
pub use model::{
    Action, Base, Chain, ChainKind, Family, Hook, IcmpVersion, Match, Policy, Protocol, Reject, Rule, Side, Span,
};
pub use read::{ForeignDrop, Present};

use super::netlink::socket::Socket;
use crate::error::{Ctx, Kind, Result};
use crate::runtime::sys::netlink::Part;

/// NFNL_SUBSYS_NFTABLES, the high byte of every message of nf_tables.
const SUBSYSTEM: u16 = 10 << 8;

/// A socket to the packet filter of one network namespace.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
}

thread_local! {
    /// The socket of a thread that has used one. The kernel lets the end of a socket wait until what its last change took away
    /// is gone (nf_tables_trans_destroy_flush_work: a grace period, 12 ms and more), which nobody else has to wait for.
    static KEPT: RefCell<Option<Nft>> = const { RefCell::new(None) };
}

impl Nft {
    /// Does something by the calling thread's socket, in the network namespace that it had at its first call.
    pub fn with<T>(work: impl FnOnce(&mut Nft) -> Result<T>) -> Result<T> {
        let mut nft = KEPT.take().map_or_else(Nft::open, Ok)?;
        let done = work(&mut nft)?;
        // Not after an error: answers may still be on their way.
        KEPT.set(Some(nft));
        Ok(done)
    }

    /// One for the network namespace of the calling thread.
    pub fn open() -> Result<Nft> {
        let socket = Socket::open(Part::Netfilter).ctx(Kind::Internal, || "Failed opening a netlink socket")?;
        Ok(Nft { socket })
    }

    /// One for another network namespace.
    pub fn in_namespace(netns: BorrowedFd<'_>) -> Result<Nft> {
        let failed = || "Failed opening a netlink socket in another network namespace";
        Ok(Nft { socket: Socket::open_in(Part::Netfilter, netns).ctx(Kind::Internal, failed)? })
    }

    /// Whether the kernel has nf_tables at all.
    pub fn check(&mut self) -> Result<()> {
        // NFT_MSG_GETGEN with struct nfgenmsg all zero: the number of the present rule set.
        let answer = self.socket.ask(SUBSYSTEM | 16, 0, &[0; 4]);
        answer.map(drop).ctx(Kind::Internal, || "Failed asking the kernel for its packet filter")
    }
}

/// `struct nfgenmsg`, in front of every message of netfilter.
fn head(family: Family, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family.number(), 0, high, low]
}
