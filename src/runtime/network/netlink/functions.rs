//! Virtual functions of network cards (SR-IOV), as their parent sees them (`IFLA_VFINFO_LIST`).

use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkVfInfo, VfInfo, VfInfoMac, VfInfoSpoofCheck, VfInfoVlan,
};

use super::links::Which;
use super::socket::Message;
use super::{MacAddr, Netlink, bytes, wire};
use crate::error::{Ctx, Kind, Result};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
/// Bytes of `struct ifinfomsg`.
const HEAD: usize = 16;
/// IFLA_VFINFO_LIST, and what is in each IFLA_VF_INFO of it (linux/if_link.h).
const FUNCTIONS: u16 = 22;
const MAC: u16 = 1;
const VLAN: u16 = 2;
const SPOOF_CHECK: u16 = 4;

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
        let mut message = super::links::named(parent);
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::Vf]));
        let answers = self.socket.ask(GET_LINK, 0, &bytes(&message));
        let answers = answers.ctx(Kind::Internal, || format!("Failed looking up {parent}"))?;
        Ok(answers.iter().find_map(|answer| read(answer, number)).unwrap_or_default())
    }

    /// Tells a virtual function; what is `None` stays as it is.
    pub fn set_function<'a>(&mut self, parent: impl Into<Which<'a>>, number: u32, to: Function) -> Result<()> {
        let parent = parent.into();
        let told = self.tell_link(parent, LinkAttribute::VfInfoList(vec![to.info(number)]));
        told.ctx(Kind::Internal, || format!("Failed changing virtual function {number} of {parent}"))
    }
}

impl Function {
    fn info(&self, number: u32) -> LinkVfInfo {
        let options = [
            self.mac.map(|mac| VfInfo::Mac(VfInfoMac::new(number, &mac.0))),
            self.vlan.map(|vlan| VfInfo::Vlan(VfInfoVlan::new(number, vlan.into(), 0))),
            self.checked.map(|checked| VfInfo::SpoofCheck(VfInfoSpoofCheck::new(number, checked))),
        ];
        LinkVfInfo(options.into_iter().flatten().collect())
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

fn read(answer: &Message, number: u32) -> Option<Function> {
    if answer.kind != NEW_LINK {
        return None;
    }
    let mut found = Function::default();
    let all = wire::find(answer.body.get(HEAD..)?, FUNCTIONS).unwrap_or_default();
    for (_, function) in wire::attributes(all) {
        wire::attributes(function).for_each(|attribute| found.take(attribute, number));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkMessage;

    use super::*;

    #[test]
    fn what_a_function_is_told_is_read_again() {
        let told = Function { mac: Some(MacAddr([2, 0, 0, 0, 0, 7])), vlan: Some(12), checked: Some(true) };
        let other = Function { vlan: Some(1), ..Function::default() };
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::VfInfoList(vec![other.info(0), told.info(3)]));
        let answer = Message { kind: NEW_LINK, body: bytes(&message) };
        assert_eq!(read(&answer, 3), Some(told));
        assert_eq!(read(&answer, 4), Some(Function::default()));
    }
}
