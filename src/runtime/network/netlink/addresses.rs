//! Addresses on links (rtnetlink(7), `RTM_*ADDR`).

use std::net::IpAddr;

use super::routes::Scope;
use super::socket::{CREATE, EXCL, Message, REPLACE};
use super::wire::{self, Attributes};
use super::{Netlink, V4, V6};
use crate::error::{Ctx, Kind, Result};

const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
/// Bytes of `struct ifaddrmsg`.
const HEAD: usize = 8;

/// An address as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Number of the link.
    pub index: u32,
    /// The address; on point-to-point links, this end's.
    pub address: IpAddr,
    /// Length of the prefix.
    pub prefix: u8,
    /// How far it is valid.
    pub scope: Scope,
    /// Whether it stays until it is deleted; addresses from router advertisements don't.
    pub permanent: bool,
    /// Whether it is still being asked whether somebody has it already (IPv6).
    pub tentative: bool,
}

/// An address to put on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewAddress {
    /// Number of the link.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix.
    pub prefix: u8,
    /// How far it is valid.
    pub scope: Scope,
    /// Whether it is used at once, without asking first whether somebody has it (IPv6).
    pub unasked: bool,
    /// Whether the kernel leaves out the route to the prefix.
    pub no_route: bool,
}

impl NewAddress {
    /// An address as `ip address add` makes it.
    pub fn new(index: u32, address: IpAddr, prefix: u8) -> NewAddress {
        NewAddress { index, address, prefix, scope: Scope::Universe, unasked: false, no_route: false }
    }

    fn message(&self) -> Attributes {
        let unasked = if self.unasked && self.address.is_ipv6() { libc::IFA_F_NODAD } else { 0 };
        let no_route = if self.no_route { libc::IFA_F_NOPREFIXROUTE } else { 0 };
        let flags = unasked | no_route;
        let mut message = head(family(self.address), self.prefix, self.scope, self.index);
        message
            .put(libc::IFA_LOCAL, self.address)
            .put(libc::IFA_ADDRESS, self.address)
            .put(libc::IFA_FLAGS, (flags != 0).then_some(flags));
        message
    }
}

/// `struct ifaddrmsg` (rtnetlink(7)), without flags: those are in an attribute.
fn head(family: u8, prefix: u8, scope: Scope, index: u32) -> Attributes {
    Attributes::behind([[family, prefix, 0, scope.into()], index.to_ne_bytes()].concat())
}

/// The family of an address (`AF_*`).
pub(super) fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { V4 } else { V6 }
}

impl Netlink {
    /// All addresses of all links, or of one.
    pub fn addresses(&mut self, index: Option<u32>) -> Result<Vec<Address>> {
        let answers = self.list(GET_ADDRESS, &head(0, 0, Scope::Universe, 0), "listing network addresses")?;
        // Kernels without strict checking would list all anyway.
        Ok(answers.iter().filter_map(address).filter(|a| index.is_none_or(|index| a.index == index)).collect())
    }

    /// Puts an address on a link.
    ///
    /// # Errors
    /// EEXIST when the link has it already.
    pub fn add_address(&mut self, new: &NewAddress) -> Result<()> {
        let what = || format!("adding address \"{}/{}\" to network interface {}", new.address, new.prefix, new.index);
        self.tell(NEW_ADDRESS, CREATE | EXCL, &new.message(), what)
    }

    /// The same; one that is there already gets the flags asked for.
    pub fn replace_address(&mut self, new: &NewAddress) -> Result<()> {
        let what = || format!("setting address \"{}/{}\" of network interface {}", new.address, new.prefix, new.index);
        self.tell(NEW_ADDRESS, CREATE | REPLACE, &new.message(), what)
    }

    /// Takes an address off a link; false when it was not there.
    pub fn delete_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> Result<bool> {
        let message = NewAddress::new(index, address, prefix).message();
        match self.socket.ask(DELETE_ADDRESS, 0, message.as_bytes()) {
            Ok(_) => Ok(true),
            Err(refusal) if matches!(refusal.errno(), libc::EADDRNOTAVAIL | libc::ENODEV) => Ok(false),
            Err(refusal) => Err(refusal).ctx(Kind::Internal, || {
                format!("Failed deleting address \"{address}/{prefix}\" from network interface {index}")
            }),
        }
    }
}

fn address(answer: &Message) -> Option<Address> {
    if answer.kind != NEW_ADDRESS {
        return None;
    }
    let (&[_, prefix, flags, scope, ref index @ ..], attributes) = answer.body.split_first_chunk::<HEAD>()?;
    // The first eight flags; the attribute has all.
    let (mut any, mut local, mut flags) = (None, None, u32::from(flags));
    for (kind, value) in wire::attributes(attributes) {
        match kind {
            libc::IFA_ADDRESS => any = wire::address(value).or(any),
            libc::IFA_LOCAL => local = wire::address(value).or(local),
            libc::IFA_FLAGS => flags = wire::word(value).unwrap_or(flags),
            _ => {}
        }
    }
    Some(Address {
        index: u32::from_ne_bytes(*index),
        address: local.or(any)?,
        prefix,
        scope: scope.into(),
        permanent: flags & libc::IFA_F_PERMANENT != 0,
        tentative: flags & libc::IFA_F_TENTATIVE != 0,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn loopback_has_its_address() {
        let all = Netlink::open().unwrap().addresses(Some(1)).unwrap();
        let lo = all.iter().find(|a| a.address == IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(lo.map(|a| (a.index, a.prefix, a.scope, a.permanent)), Some((1, 8, Scope::Host, true)));
    }

    #[test]
    fn what_is_no_address_is_none() {
        assert!(address(&Message { kind: NEW_ADDRESS, body: vec![0; 7] }).is_none());
        // An address of three bytes.
        let body = vec![2, 8, 0, 0, 1, 0, 0, 0, 7, 0, 2, 0, 1, 2, 3, 0];
        assert!(address(&Message { kind: NEW_ADDRESS, body }).is_none());
    }
}
