//! Changes of the packet filter, all of them or none: one batch is one transaction of the kernel.

use ring::digest::{Context, SHA256};

use super::encode::{self, Encoded, Set};
use super::model::{Base, Chain, ChainKind, Family, Hook, Policy};
use super::read::{Digest, Present};
use super::{Nft, SUBSYSTEM, head};
use crate::error::{Ctx, Kind, Result};
use crate::runtime::network::netlink::socket::{ACK, APPEND, CREATE, REQUEST};
use crate::runtime::network::netlink::wire::Attributes;

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = SUBSYSTEM;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const DELETE_CHAIN: u16 = SUBSYSTEM | 5;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const DELETE_RULE: u16 = SUBSYSTEM | 8;
const NEW_SET: u16 = SUBSYSTEM | 9;
const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
/// Elements in one message: a list of them is at most 64 KiB long.
const ELEMENTS: usize = 1000;
/// What of a rule's user data is its digest; nft's own kinds are 0 and 1, others it passes over.
pub(super) const DIGEST: u8 = 0x4c;

/// One change of the packet filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The chain is so; the table and the chain are made when they are not there.
    Set(Family, String, Chain),
    /// The chain is gone. It may have been gone before.
    Remove(Family, String, String),
    /// The table is gone with everything in it. It may have been gone before.
    RemoveTable(Family, String),
}

impl Nft {
    /// Makes all changes, or none of them.
    ///
    /// Counters of the chains begin again at nothing. A chain that is removed must not be jumped to from a chain that
    /// stays as it is.
    ///
    /// # Errors
    /// The first change the kernel refused, named; nothing has changed then.
    pub fn apply(&mut self, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut batch = Batch { nft: self, bytes: Vec::new(), said: Vec::new(), sets: 0 };
        batch.put(BATCH_BEGIN, Family::Inet, &[], "changing the firewall");
        // A chain can't go while rules lead to it, nor rules lead to one that is not made: so step by step for all.
        changes.iter().for_each(|change| batch.empty(change));
        changes.iter().for_each(|change| batch.remove(change));
        changes.iter().for_each(|change| batch.make(change));
        changes.iter().for_each(|change| batch.fill(change));
        batch.send()
    }

    /// Makes chains of one table be so, and others of it be gone; touches nothing that is so already. Says whether
    /// anything had to be changed.
    pub fn ensure(&mut self, family: Family, table: &str, chains: &[Chain], gone: &[String]) -> Result<bool> {
        let present = self.current(family, table)?;
        let differs = |chain: &&Chain| present.iter().all(|p| p.name != chain.name || !p.is(family, chain));
        let set = chains.iter().filter(differs).map(|c| Change::Set(family, table.to_owned(), c.clone()));
        let there = |name: &&String| present.iter().any(|p| p.name == **name);
        let remove = gone.iter().filter(there).map(|n| Change::Remove(family, table.to_owned(), n.clone()));
        let changes: Vec<Change> = set.chain(remove).collect();
        // A chain that is replaced is removed first, which the chains that lead to it must allow.
        let changes = with_callers(changes, family, table, chains);
        self.apply(&changes)?;
        Ok(!changes.is_empty())
    }
}

/// Adds the wanted chains that jump into a changed one.
fn with_callers(mut changes: Vec<Change>, family: Family, table: &str, chains: &[Chain]) -> Vec<Change> {
    let names = |changes: &[Change]| -> Vec<String> {
        let name = |change: &Change| match change {
            Change::Set(_, _, chain) => Some(chain.name.clone()),
            Change::Remove(_, _, name) => Some(name.clone()),
            Change::RemoveTable(..) => None,
        };
        changes.iter().filter_map(name).collect()
    };
    loop {
        let changed = names(&changes);
        let leads =
            |chain: &&Chain| !changed.contains(&chain.name) && chain.jumps().any(|to| changed.iter().any(|c| c == to));
        let more: Vec<_> = chains.iter().filter(leads).cloned().collect();
        if more.is_empty() {
            return changes;
        }
        changes.extend(more.into_iter().map(|chain| Change::Set(family, table.to_owned(), chain)));
    }
}

impl Chain {
    /// The chains its rules jump to.
    fn jumps(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| &rule.actions).filter_map(|action| match action {
            super::Action::Jump(to) => Some(to.as_str()),
            _ => None,
        })
    }
}

impl Present {
    /// Whether this is the chain wanted.
    fn is(&self, family: Family, chain: &Chain) -> bool {
        let wanted = chain.rules.iter().map(|rule| Some(digest(&encode::rule(family, rule, 0))));
        self.base == chain.base && self.rules.iter().copied().eq(wanted)
    }
}

/// What tells a rule from all others, whatever numbers its sets have.
pub(super) fn digest(rule: &Encoded) -> Digest {
    let mut hash = Context::new(&SHA256);
    hash.update(rule.expressions.as_bytes());
    for set in &rule.sets {
        hash.update(&set.kind.to_be_bytes());
        for (value, end) in set.values.elements() {
            hash.update(&value);
            hash.update(&[u8::from(end)]);
        }
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(&hash.finish().as_ref()[..std::mem::size_of::<Digest>()]);
    digest
}

/// A transaction as it is written.
struct Batch<'a> {
    nft: &'a mut Nft,
    bytes: Vec<u8>,
    /// What each question was for, by its count.
    said: Vec<(u32, String)>,
    sets: u32,
}

impl Batch<'_> {
    fn put(&mut self, kind: u16, family: Family, attributes: &[u8], what: &str) {
        let flags = match kind {
            BATCH_BEGIN | BATCH_END | DELETE_TABLE | DELETE_CHAIN | DELETE_RULE => REQUEST,
            NEW_RULE => REQUEST | CREATE | APPEND,
            _ => REQUEST | CREATE,
        };
        let mut body = match kind {
            // The batch itself is of no family, and for nf_tables.
            BATCH_BEGIN | BATCH_END => vec![0, 0, 0, 10],
            _ => head(family, 0),
        };
        body.extend(attributes);
        let question = self.nft.socket.question(kind, flags, &body);
        self.bytes.extend(question);
        self.said.push((self.nft.socket.count(), what.to_owned()));
    }

    /// Leaves the chain without rules, after making sure that it, and its table, are there.
    fn empty(&mut self, change: &Change) {
        let (family, table, chain) = match change {
            Change::Set(family, table, chain) => (*family, table, &chain.name),
            Change::Remove(family, table, chain) => (*family, table, chain),
            Change::RemoveTable(family, table) => {
                return self.put(
                    NEW_TABLE,
                    *family,
                    named(&[(1, table)]).as_bytes(),
                    &what("removing", *family, table, None),
                );
            }
        };
        let what = what("changing", family, table, Some(chain));
        self.put(NEW_TABLE, family, named(&[(1, table)]).as_bytes(), &what);
        self.put(NEW_CHAIN, family, named(&[(1, table), (3, chain)]).as_bytes(), &what);
        self.put(DELETE_RULE, family, named(&[(1, table), (2, chain)]).as_bytes(), &what);
    }

    fn remove(&mut self, change: &Change) {
        let (family, table, chain) = match change {
            Change::Set(family, table, chain) => (*family, table, &chain.name),
            Change::Remove(family, table, chain) => (*family, table, chain),
            Change::RemoveTable(family, table) => {
                let what = what("removing", *family, table, None);
                return self.put(DELETE_TABLE, *family, named(&[(1, table)]).as_bytes(), &what);
            }
        };
        let what = what("removing", family, table, Some(chain));
        self.put(DELETE_CHAIN, family, named(&[(1, table), (3, chain)]).as_bytes(), &what);
    }

    fn make(&mut self, change: &Change) {
        let Change::Set(family, table, chain) = change else { return };
        let mut attributes = named(&[(1, table), (3, &chain.name)]);
        if let Some(base) = &chain.base {
            fill_base(&mut attributes, base);
        }
        self.put(NEW_CHAIN, *family, attributes.as_bytes(), &what("adding", *family, table, Some(&chain.name)));
    }

    fn fill(&mut self, change: &Change) {
        let Change::Set(family, table, chain) = change else { return };
        for (number, rule) in chain.rules.iter().enumerate() {
            let what = format!("adding rule {} of {}", number + 1, name(*family, table, Some(&chain.name)));
            // The digest must not depend on how many sets are in front.
            let mark = digest(&encode::rule(*family, rule, 0));
            let encoded = encode::rule(*family, rule, self.sets);
            for (set, id) in encoded.sets.iter().zip(self.sets..) {
                self.set((*family, table), set, id, &what);
            }
            self.sets += u32::try_from(encoded.sets.len()).unwrap_or(0);
            let mut attributes = named(&[(1, table), (2, &chain.name)]);
            attributes.bytes(4 | 0x8000, encoded.expressions.as_bytes());
            let mut data = vec![DIGEST, u8::try_from(mark.len()).unwrap_or(0)];
            data.extend(mark);
            attributes.bytes(7, &data);
            self.put(NEW_RULE, *family, attributes.as_bytes(), &what);
        }
    }

    fn set(&mut self, (family, table): (Family, &str), set: &Set, id: u32, what: &str) {
        let elements = set.values.elements();
        let spans = set.values.has_spans();
        let mut attributes = named(&[(1, table), (2, "__set%d")]);
        // NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL
        attributes.network_word(3, 1 | 2 | if spans { 4 } else { 0 });
        attributes.network_word(4, set.kind).network_word(5, set.length).network_word(10, id);
        attributes.nest(9, |description| {
            description.network_word(1, u32::try_from(elements.len()).unwrap_or(u32::MAX));
        });
        // Who lists the set is told that values are in the network's order.
        attributes.bytes(13, &[0, 4, 2, 0, 0, 0]);
        self.put(NEW_SET, family, attributes.as_bytes(), what);
        for some in elements.chunks(ELEMENTS) {
            let mut attributes = named(&[(1, table), (2, "__set%d")]);
            attributes.network_word(4, id).nest(3, |list| {
                for (value, end) in some {
                    list.nest(1, |element| {
                        if *end {
                            element.network_word(3, 1);
                        }
                        element.nest(1, |key| {
                            key.bytes(1, value);
                        });
                    });
                }
            });
            self.put(NEW_ELEMENTS, family, attributes.as_bytes(), what);
        }
    }

    fn send(mut self) -> Result<()> {
        // The last change is acknowledged when all are done.
        let last = self.nft.socket.count();
        self.acknowledge_last();
        self.put(BATCH_END, Family::Inet, &[], "changing the firewall");
        let Err((count, refusal)) = self.nft.socket.send_batch(&self.bytes, last) else { return Ok(()) };
        let said = self.said.iter().find(|(c, _)| *c == count);
        let what = said.map_or("changing the firewall", |(_, what)| what.as_str());
        Err(refusal).ctx(Kind::Internal, || format!("Failed {what}"))
    }

    /// Sets the flag in the head of the last question written.
    fn acknowledge_last(&mut self) {
        let mut at = 0;
        while let Some(length) = self.bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes) {
            let next = at + (length as usize).next_multiple_of(4);
            if next >= self.bytes.len() {
                let flags = u16::from_ne_bytes([self.bytes[at + 6], self.bytes[at + 7]]) | ACK;
                self.bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
                return;
            }
            at = next;
        }
    }
}

fn named(names: &[(u16, &str)]) -> Attributes {
    let mut attributes = Attributes::new();
    for (kind, name) in names {
        attributes.text(*kind, name);
    }
    attributes
}

fn name(family: Family, table: &str, chain: Option<&str>) -> String {
    let family = family.name();
    match chain {
        Some(chain) => format!("firewall chain {chain:?} of table {family} {table:?}"),
        None => format!("firewall table {family} {table:?}"),
    }
}

fn what(verb: &str, family: Family, table: &str, chain: Option<&str>) -> String {
    format!("{verb} {}", name(family, table, chain))
}

fn fill_base(attributes: &mut Attributes, base: &Base) {
    attributes.nest(4, |hook| {
        hook.network_word(1, hook_number(base.hook)).bytes(2, &base.priority.to_be_bytes());
    });
    let kind = match base.kind {
        ChainKind::Filter => "filter",
        ChainKind::Nat => "nat",
    };
    let policy = match base.policy {
        Policy::Accept => 1,
        Policy::Drop => 0,
    };
    attributes.text(7, kind).network_word(5, policy);
}

/// `NF_INET_*`; those of bridges (`NF_BR_*`) have the same numbers.
fn hook_number(hook: Hook) -> u32 {
    match hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    }
}
