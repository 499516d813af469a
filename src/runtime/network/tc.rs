//! How fast a NIC may be: traffic control on the host's end of its cable (tc(8), tc-htb(8)).
//!
//! ```text
//! to the instance      bridge -> veth: HTB on the host's end
//! from the instance    veth -> what comes in is turned round through an IFB link of its own: HTB on that -> bridge
//! ```
//!
//! Both only delay; nothing is thrown away before a queue is full. (Limiting by the `police` action, as LXD does from
//! the instance, throws away, needs a burst as big as the biggest packet, and is missing from small kernels.)
//!
//! An IFB link does not go away with the cable it was made for, as when an instance is killed: [`sweep`] finds those.

use super::netlink::socket::{CREATE, EXCL, REPLACE};
use super::netlink::wire::Attributes;
use super::netlink::{Link, LinkChange, LinkKind, Netlink, NewLink};
use crate::error::Result;

const NEW_QDISC: u16 = 36;
const DELETE_QDISC: u16 = 37;
const NEW_CLASS: u16 = 40;
const NEW_FILTER: u16 = 44;
/// TC_H_ROOT.
const ROOT: u32 = 0xffff_ffff;
/// TC_H_INGRESS, and the number an ingress queue always has.
const INGRESS: u32 = 0xffff_fff1;
const INGRESS_HANDLE: u32 = 0xffff_0000;
/// The queue 1: and its only class 1:10, as LXD numbers them.
const QUEUE: u32 = 0x0001_0000;
const CLASS: u32 = 0x0001_0010;
/// Packets in a queue that is limited.
const QUEUE_LENGTH: u32 = 1000;
/// What our IFB links are called, with the number of the cable's end behind.
const PREFIX: &str = "lxifb";

/// How fast a NIC may be, in bits a second; none is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// To the instance.
    pub ingress: Option<u64>,
    /// From the instance.
    pub egress: Option<u64>,
}

/// Makes the limits of the NIC whose host's end has this number be so, whatever they were. Existing connections go on.
///
/// # Errors
/// What the kernel said; limits may then be half set. EOPNOTSUPP when it lacks a part (`sch_htb`, `ifb`, `act_mirred`).
pub fn limit(netlink: &mut Netlink, host: u32, limits: &Limits) -> Result<()> {
    match limits.ingress {
        Some(rate) => shape(netlink, host, rate)?,
        None => remove(netlink, host, ROOT, QUEUE)?,
    }
    match limits.egress {
        Some(rate) => limit_egress(netlink, host, rate),
        None => {
            remove(netlink, host, INGRESS, INGRESS_HANDLE)?;
            netlink.delete(name(host).as_str()).map(drop)
        }
    }
}

/// Deletes what is left of limits of NICs whose host's end is gone; says of how many.
pub fn sweep(netlink: &mut Netlink) -> Result<usize> {
    let links = netlink.links()?;
    let owner = |link: &Link| match link.kind.as_str() {
        "ifb" => link.name.strip_prefix(PREFIX)?.parse::<u32>().ok(),
        _ => None,
    };
    let lost = |index: &u32| links.iter().all(|l| l.index != *index);
    let mut count = 0;
    for host in links.iter().filter_map(owner).filter(lost) {
        count += usize::from(netlink.delete(name(host).as_str())?);
    }
    Ok(count)
}

/// At most 15 bytes whatever the number.
fn name(host: u32) -> String {
    format!("{PREFIX}{host}")
}

fn limit_egress(netlink: &mut Netlink, host: u32, rate: u64) -> Result<()> {
    let name = name(host);
    // One that is left of an earlier end with the same number may have another rate, which is set below.
    if netlink.link(name.as_str())?.is_none() {
        let with = LinkChange { up: Some(true), queue_length: Some(QUEUE_LENGTH), ..LinkChange::default() };
        netlink.create(&NewLink { with, ..NewLink::new(&name, LinkKind::Ifb) })?;
    }
    let ifb = netlink.index(&name)?;
    shape(netlink, ifb, rate)?;
    let what = || format!("redirecting what comes in by network interface {host}");
    let mut queue = message(host, INGRESS_HANDLE, INGRESS, 0);
    queue.extend(kind("ingress", |_| {}));
    let made = netlink.control(NEW_QDISC, CREATE | EXCL, &queue, what);
    tolerate(made, &[libc::EEXIST])?;
    // Any protocol, first of all filters.
    let mut filter = message(host, 0x8000_0800, INGRESS_HANDLE, (1 << 16) | u32::from(3u16.to_be()));
    filter.extend(kind("u32", |options| redirect(options, ifb)));
    let made = netlink.control(NEW_FILTER, CREATE | EXCL, &filter, what);
    tolerate(made, &[libc::EEXIST])
}

/// A queue that lets out `rate` bits a second.
fn shape(netlink: &mut Netlink, link: u32, rate: u64) -> Result<()> {
    let what = || format!("limiting network interface {link}");
    let mut queue = message(link, QUEUE, ROOT, 0);
    queue.extend(kind("htb", |options| {
        // struct tc_htb_glob: version, what a rate is divided by, class of packets with none.
        let words = [3u32, 10, CLASS & 0xffff, 0, 0];
        options.bytes(2, &words.map(u32::to_ne_bytes).concat());
    }));
    let made = netlink.control(NEW_QDISC, CREATE | EXCL, &queue, what);
    tolerate(made, &[libc::EEXIST])?;
    let mut class = message(link, CLASS, QUEUE, 0);
    class.extend(kind("htb", |options| class_options(options, rate)));
    netlink.control(NEW_CLASS, CREATE | REPLACE, &class, what)
}

/// Takes a queue away, and everything below it; none is no error.
fn remove(netlink: &mut Netlink, link: u32, parent: u32, handle: u32) -> Result<()> {
    let done = netlink.control(DELETE_QDISC, 0, &message(link, handle, parent, 0), || {
        format!("removing the limit of network interface {link}")
    });
    // Which of these says "none" depends on the kernel; a link that is gone has no limits either.
    tolerate(done, &[libc::ENOENT, libc::EINVAL, libc::ENODEV])
}

fn tolerate(done: Result<()>, errors: &[i32]) -> Result<()> {
    match done {
        Err(error) if error.errno().is_some_and(|errno| errors.contains(&errno)) => Ok(()),
        done => done,
    }
}

/// `struct tcmsg`.
fn message(link: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    [0, link, handle, parent, info].map(u32::to_ne_bytes).concat()
}

fn kind(kind: &str, options: impl FnOnce(&mut Attributes)) -> Vec<u8> {
    let mut attributes = Attributes::new();
    attributes.text(1, kind).nest(2, options);
    attributes.as_bytes().to_vec()
}

/// `TCA_HTB_PARMS`, and the rate once more for rates that don't fit in it.
fn class_options(options: &mut Attributes, rate: u64) {
    let bytes = (rate / 8).max(1);
    let short = u32::try_from(bytes).unwrap_or(u32::MAX);
    // struct tc_ratespec: Ethernet, so the kernel needs no table of times.
    let mut spec = vec![0, 1, 0, 0, 0, 0, 0, 0];
    spec.extend(short.to_ne_bytes());
    // What may be sent at once: ten milliseconds' worth, in the kernel's ticks of 64 ns.
    let burst = (bytes / 100).max(16 << 10);
    let ticks = u128::from(burst) * 1_000_000_000 / u128::from(bytes) / 64;
    let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
    // Of several classes each would get this much in turn; there is one, and the kernel warns of bigger numbers.
    let quantum = 60_000u32;
    let mut parameters = [spec.clone(), spec].concat();
    for word in [ticks, ticks, quantum, 0, 0] {
        parameters.extend(word.to_ne_bytes());
    }
    options.bytes(1, &parameters).bytes(6, &bytes.to_ne_bytes()).bytes(7, &bytes.to_ne_bytes());
}

/// A `u32` filter that holds for everything and sends it out by another link (`act_mirred`).
fn redirect(options: &mut Attributes, to: u32) {
    // struct tc_u32_sel: ends the search, one key; struct tc_u32_key: nothing masked.
    let mut selector = vec![1, 0, 1, 0];
    selector.resize(16 + 16, 0);
    options.bytes(5, &selector);
    options.nest(7, |actions| {
        actions.nest(1, |action| {
            action.text(1, "mirred").nest(2, |parameters| {
                // struct tc_mirred: index, capabilities, TC_ACT_STOLEN, counts, TCA_EGRESS_REDIR, the link.
                let words = [0u32, 0, 4, 0, 0, 1, to];
                parameters.bytes(2, &words.map(u32::to_ne_bytes).concat());
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::netlink::wire::find;
    use super::*;

    #[test]
    fn rates_are_bytes_and_bursts_are_ticks() {
        let mut options = Attributes::new();
        class_options(&mut options, 8_000_000);
        let parameters = find(options.as_bytes(), 1).unwrap();
        assert_eq!(parameters.len(), 44);
        assert_eq!(parameters[8..12], 1_000_000u32.to_ne_bytes());
        // 16 KiB at a megabyte a second are 16.384 ms.
        assert_eq!(parameters[24..28], 256_000u32.to_ne_bytes());
        let mut options = Attributes::new();
        class_options(&mut options, 100_000_000_000);
        assert_eq!(find(options.as_bytes(), 6), Some(&12_500_000_000u64.to_ne_bytes()[..]));
        assert_eq!(find(options.as_bytes(), 1).unwrap()[8..12], [0xff; 4]);
        // The slowest there is does not divide by zero.
        class_options(&mut options, 0);
    }

    #[test]
    fn names_of_helping_links_fit() {
        assert_eq!(name(u32::MAX).len(), 15);
    }
}
