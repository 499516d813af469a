//! What of our tables is in the kernel: chains with their hooks, and of their rules the digests.

use super::apply::DIGEST;
use super::model::{Base, ChainKind, Family, Hook, Policy};
use super::{Nft, SUBSYSTEM, head};
use crate::error::{Ctx, Kind, Result};
use crate::runtime::network::netlink::socket::{Message, Refusal};
use crate::runtime::network::netlink::wire::{Attributes, find, network_word, text};

const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
/// Bytes of `struct nfgenmsg`.
const HEAD: usize = 4;

/// What tells a rule of ours from all others.
pub(super) type Digest = [u8; 16];

/// A chain that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its name.
    pub name: String,
    /// Where packets come into it by themselves.
    pub base: Option<Base>,
    /// What tells its rules from others, in their order; none for rules that somebody else made.
    pub rules: Vec<Option<[u8; 16]>>,
}

/// A chain of somebody else that throws packets away which pass this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignDrop {
    /// What packets its table sees.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
}

impl Nft {
    /// Chains of other tables than `ours` that throw away packets passing this host unless a rule of theirs lets them
    /// pass, as Docker's does: what our tables accept is then not enough.
    pub fn foreign_drops(&mut self, ours: &str) -> Result<Vec<ForeignDrop>> {
        let failed = || "Failed listing firewall chains";
        let mut found = Vec::new();
        for family in [Family::Ip, Family::Ip6, Family::Inet, Family::Bridge] {
            let chains = self.socket.list(GET_CHAIN, &head(family, 0)).ctx(Kind::Internal, failed)?;
            for answer in chains.iter().filter(|a| a.body.first() == Some(&family.number())) {
                let attributes = answer.body.get(HEAD..).unwrap_or_default();
                let drops = base(attributes).is_some_and(|b| b.hook == Hook::Forward && b.policy == Policy::Drop);
                let (table, chain) = (find(attributes, 1).map(text), find(attributes, 3).map(text));
                if let (true, Some(table), Some(chain)) = (drops && answer.kind == NEW_CHAIN, table, chain)
                    && table != ours
                {
                    found.push(ForeignDrop { family, table, chain });
                }
            }
        }
        Ok(found)
    }

    /// The chains of a table, in the order they were made; none when there is no such table.
    pub fn current(&mut self, family: Family, table: &str) -> Result<Vec<Present>> {
        let failed = || format!("Failed listing firewall table {} {table:?}", family.name());
        let mut named = Attributes::new();
        named.text(1, table);
        let body = [head(family, 0), named.as_bytes().to_vec()].concat();
        let none_when_gone = |answers: Result<Vec<Message>, Refusal>| match answers {
            Err(refusal) if refusal.errno() == libc::ENOENT => Ok(Vec::new()),
            answers => answers,
        };
        // Chains can't be asked for by table.
        let chains = self.socket.list(GET_CHAIN, &head(family, 0)).ctx(Kind::Internal, failed)?;
        let mut found: Vec<Present> = chains.iter().filter_map(|c| chain(c, family, table)).collect();
        if found.is_empty() {
            return Ok(found);
        }
        let rules = none_when_gone(self.socket.list(GET_RULE, &body)).ctx(Kind::Internal, failed)?;
        for (chain, digest) in rules.iter().filter_map(|r| rule(r, family, table)) {
            if let Some(present) = found.iter_mut().find(|p| p.name == chain) {
                present.rules.push(digest);
            }
        }
        Ok(found)
    }
}

/// The attributes of an answer of the kind, when it is of the table.
fn of_table<'a>(answer: &'a Message, kind: u16, family: Family, table: &str) -> Option<&'a [u8]> {
    let attributes = answer.body.get(HEAD..)?;
    let ours = answer.kind == kind && answer.body.first() == Some(&family.number());
    (ours && text(find(attributes, 1)?) == table).then_some(attributes)
}

fn chain(answer: &Message, family: Family, table: &str) -> Option<Present> {
    let attributes = of_table(answer, NEW_CHAIN, family, table)?;
    let name = text(find(attributes, 3)?);
    Some(Present { name, base: base(attributes), rules: Vec::new() })
}

fn base(attributes: &[u8]) -> Option<Base> {
    let hook = find(attributes, 4)?;
    let kind = match text(find(attributes, 7)?).as_str() {
        "filter" => ChainKind::Filter,
        "nat" => ChainKind::Nat,
        _ => return None,
    };
    let priority = i32::from_be_bytes(find(hook, 2)?.try_into().ok()?);
    let hook = match network_word(find(hook, 1)?)? {
        0 => Hook::Prerouting,
        1 => Hook::Input,
        2 => Hook::Forward,
        3 => Hook::Output,
        4 => Hook::Postrouting,
        _ => return None,
    };
    let policy = match network_word(find(attributes, 5)?)? {
        0 => Policy::Drop,
        _ => Policy::Accept,
    };
    Some(Base { kind, hook, priority, policy })
}

fn rule(answer: &Message, family: Family, table: &str) -> Option<(String, Option<Digest>)> {
    let attributes = of_table(answer, NEW_RULE, family, table)?;
    Some((text(find(attributes, 2)?), find(attributes, 7).and_then(digest)))
}

/// The digest in a rule's user data: one byte of kind, one of length, the content.
fn digest(mut data: &[u8]) -> Option<Digest> {
    while let [kind, length, rest @ ..] = data {
        let content = rest.get(..usize::from(*length))?;
        if *kind == DIGEST {
            return content.try_into().ok();
        }
        data = &rest[usize::from(*length)..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_among_other_user_data() {
        let mut data = vec![0, 3, b'a', b'b', 0, DIGEST, 16];
        data.extend([7; 16]);
        assert_eq!(digest(&data), Some([7; 16]));
        assert_eq!(digest(&data[..10]), None);
        assert_eq!(digest(&[DIGEST, 2, 1, 1]), None);
        assert_eq!(digest(&[]), None);
    }
}
