//! Virtual functions of network cards (SR-IOV), as their parent sees them (`IFLA_VFINFO_LIST`).

use super::links::Which;
use super::socket::Message;
use super::wire::{self, Attributes};
use super::{MacAddr, Netlink};
use crate::error::{Ctx, Kind, Result};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
/// Bytes of `struct ifinfomsg`.
const HEAD: usize = 16;
/// IFLA_VF_INFO (linux/if_link.h): one function of IFLA_VFINFO_LIST, with the attributes below.
const FUNCTION: u16 = 1;
/// IFLA_VF_MAC: `struct ifla_vf_mac`.
const MAC: u16 = 1;
/// IFLA_VF_VLAN: `struct ifla_vf_vlan`.
const VLAN: u16 = 2;
/// IFLA_VF_SPOOFCHK: `struct ifla_vf_spoofchk`.
const SPOOF_CHECK: u16 = 4;
/// Bytes of `struct ifla_vf_mac` behind an Ethernet address: it has room for 32.
const AFTER_MAC: usize = 32 - 6;
/// RTEXT_FILTER_VF (linux/rtnetlink.h): the answer is to tell of virtual functions.
const WITH_FUNCTIONS: u32 = 1;

/// What a virtual function is told by its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its hardware address; all zero for one of its own choice.
    pub mac: Option<MacAddr>,
    /// The VLAN it is in; 0 for none.
    pub vlan: Option<u16>,
    /// Whether it may send only by its hardware address.
    pub checked: Option<bool>,
}

impl Netlink {
    /// What a parent tells its virtual function of this number; nothing where the kernel doesn't say.
    pub fn function<'a>(&mut self, parent: impl Into<Which<'a>>, number: u32) -> Result<Function> {
        let parent = parent.into();
        let mut message = super::links::named(parent, None);
        message.put(libc::IFLA_EXT_MASK, WITH_FUNCTIONS);
        let answers = self.socket.ask(GET_LINK, 0, message.as_bytes());
        let answers = answers.ctx(Kind::Internal, || format!("Failed looking up {parent}"))?;
        Ok(answers.iter().find_map(|answer| read(answer, number)).unwrap_or_default())
    }

    /// Tells a virtual function; what is `None` stays as it is.
    pub fn set_function<'a>(&mut self, parent: impl Into<Which<'a>>, number: u32, to: Function) -> Result<()> {
        let parent = parent.into();
        let told = self.tell_link(parent, libc::IFLA_VFINFO_LIST, &list(&[(number, to)]));
        told.ctx(Kind::Internal, || format!("Failed changing virtual function {number} of {parent}"))
    }
}

impl Function {
    /// What is said, each with the function's number in front.
    fn attributes(&self, number: u32) -> Attributes {
        let mac = |mac: MacAddr| [&number.to_ne_bytes()[..], &mac.0, &[0; AFTER_MAC]].concat();
        // The tag, and no priority.
        let vlan = |tag: u16| [number, tag.into(), 0].map(u32::to_ne_bytes).concat();
        let checked = |on: bool| [number, on.into()].map(u32::to_ne_bytes).concat();
        let mut attributes = Attributes::new();
        attributes
            .put(MAC, self.mac.map(mac))
            .put(VLAN, self.vlan.map(vlan))
            .put(SPOOF_CHECK, self.checked.map(checked));
        attributes
    }

    /// What one attribute says of the function of this number, which is in front of each value.
    fn take(&mut self, (kind, value): (u16, &[u8]), number: u32) {
        let Some((_, value)) = value.split_first_chunk().filter(|(of, _)| u32::from_ne_bytes(**of) == number) else {
            return;
        };
        let word = value.get(..4).and_then(wire::word);
        match kind {
            MAC => self.mac = value.get(..6).and_then(MacAddr::from_bytes),
            VLAN => self.vlan = word.and_then(|tag| u16::try_from(tag).ok()),
            SPOOF_CHECK => self.checked = word.map(|on| on != 0),
            _ => {}
        }
    }
}

/// What IFLA_VFINFO_LIST has for these functions and their numbers.
fn list(functions: &[(u32, Function)]) -> Attributes {
    let mut list = Attributes::new();
    for (number, function) in functions {
        list.bytes(FUNCTION, function.attributes(*number).as_bytes());
    }
    list
}

fn read(answer: &Message, number: u32) -> Option<Function> {
    if answer.kind != NEW_LINK {
        return None;
    }
    let mut found = Function::default();
    let all = wire::find(answer.body.get(HEAD..)?, libc::IFLA_VFINFO_LIST).unwrap_or_default();
    for (_, function) in wire::attributes(all) {
        wire::attributes(function).for_each(|attribute| found.take(attribute, number));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_is_told_is_read_again() {
        let told = Function { mac: Some(MacAddr([2, 0, 0, 0, 0, 7])), vlan: Some(12), checked: Some(true) };
        let other = Function { vlan: Some(1), ..Function::default() };
        let mut message = Attributes::behind(vec![0; HEAD]);
        message.bytes(libc::IFLA_VFINFO_LIST, list(&[(0, other), (3, told)]).as_bytes());
        let answer = Message { kind: NEW_LINK, body: message.as_bytes().to_vec() };
        assert_eq!(read(&answer, 3), Some(told));
        assert_eq!(read(&answer, 4), Some(Function::default()));
    }
}
