//! Maps between a guest's user and group ids and the host's.
//!
//! The field names are those of LXD's `volatile.idmap.*` values, so a map can be stored there as it is.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// The ranges a user namespace maps. Empty for privileged containers.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(transparent)]
    pub struct Idmap(pub Vec<IdmapEntry>);

    /// One range of a map.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    pub struct IdmapEntry {
        /// Whether it maps user ids.
        #[serde(rename = "Isuid")]
        pub is_uid: bool,
        /// Whether it maps group ids.
        #[serde(rename = "Isgid")]
        pub is_gid: bool,
        /// First id on the host.
        #[serde(rename = "Hostid")]
        pub host_id: u32,
        /// First id in the guest.
        #[serde(rename = "Nsid")]
        pub ns_id: u32,
        /// How many ids.
        #[serde(rename = "Maprange")]
        pub range: u32,
    }
}

/// Which kind of id is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// User ids.
    Uid,
    /// Group ids.
    Gid,
}

/// What LXD takes when the host has no `/etc/subuid` and `/etc/subgid`: first id and count. We take it also where these
/// files have nothing for root, as on a fresh Debian, which makes them empty.
pub const DEFAULT_RANGE: (u32, u32) = (1_000_000, 1_000_000_000);

/// The smallest range in which a system container works.
pub const MIN_RANGE: u32 = 65_536;

impl IdmapEntry {
    fn is(&self, ids: Ids) -> bool {
        match ids {
            Ids::Uid => self.is_uid,
            Ids::Gid => self.is_gid,
        }
    }
}

impl Idmap {
    /// A map of one range of user ids and one of group ids, each given as (first host id, count), from guest id 0 on.
    pub fn ranges(uid: (u32, u32), gid: (u32, u32)) -> Idmap {
        let entry = |is_uid, (host_id, range)| IdmapEntry { is_uid, is_gid: !is_uid, host_id, ns_id: 0, range };
        Idmap(vec![entry(true, uid), entry(false, gid)])
    }

    /// The map that a process has, by the texts of its `uid_map` and `gid_map`.
    pub fn of_process(uid_map: &str, gid_map: &str) -> Idmap {
        let entries = |text: &str, is_uid: bool| -> Vec<IdmapEntry> {
            let entry = |line: &str| {
                let mut numbers = line.split_whitespace().map_while(|n| n.parse().ok());
                let (ns_id, host_id, range) = (numbers.next()?, numbers.next()?, numbers.next()?);
                Some(IdmapEntry { is_uid, is_gid: !is_uid, host_id, ns_id, range })
            };
            text.lines().filter_map(entry).collect()
        };
        Idmap([entries(uid_map, true), entries(gid_map, false)].concat())
    }

    /// The id on the host of a guest's id; `None` when the map has none.
    pub fn to_host(&self, ids: Ids, guest: u32) -> Option<u32> {
        self.0.iter().filter(|e| e.is(ids)).find_map(|e| {
            let offset = guest.checked_sub(e.ns_id)?;
            (offset < e.range).then(|| e.host_id.checked_add(offset)).flatten()
        })
    }

    /// The guest's id of an id on the host; `None` when the map has none.
    pub fn to_guest(&self, ids: Ids, host: u32) -> Option<u32> {
        self.0.iter().filter(|e| e.is(ids)).find_map(|e| {
            let offset = host.checked_sub(e.host_id)?;
            (offset < e.range).then(|| e.ns_id.checked_add(offset)).flatten()
        })
    }

    /// The host's user and group id of the guest's root; 0 and 0 for an empty map (privileged).
    pub fn root(&self) -> (u32, u32) {
        (self.to_host(Ids::Uid, 0).unwrap_or(0), self.to_host(Ids::Gid, 0).unwrap_or(0))
    }

    /// The text for `/proc/PID/uid_map` or `gid_map` (user_namespaces(7)). (LXD writes what is for both twice.)
    pub fn proc_text(&self, ids: Ids) -> String {
        let ranges: BTreeSet<_> = self.0.iter().filter(|e| e.is(ids)).map(|e| (e.ns_id, e.host_id, e.range)).collect();
        ranges.into_iter().map(|(guest, host, count)| format!("{guest} {host} {count}\n")).collect()
    }
}

/// The first usable range that `/etc/subuid` or `/etc/subgid` text gives to root, as (first id, count); where it has no
/// line for root, [`DEFAULT_RANGE`].
///
/// `None` when root's ranges are all smaller than [`MIN_RANGE`], or somebody else has a part of the default.
/// Lines are `name-or-id:first:count` (subuid(5)).
pub fn root_range(text: &str) -> Option<(u32, u32)> {
    let lines: Vec<(&str, u32, u32)> = text.lines().filter_map(sub_ids).collect();
    let roots: Vec<_> = lines.iter().filter(|(owner, ..)| matches!(*owner, "root" | "0")).collect();
    if roots.is_empty() {
        let (first, count) = DEFAULT_RANGE;
        let taken = lines.iter().any(|(_, f, c)| *f < first + count && f.saturating_add(*c) > first);
        return (!taken).then_some(DEFAULT_RANGE);
    }
    let usable = |first: u32, count: u32| first > 0 && count >= MIN_RANGE && first.checked_add(count).is_some();
    roots.into_iter().find(|(_, first, count)| usable(*first, *count)).map(|(_, first, count)| (*first, *count))
}

/// The part of [`DEFAULT_RANGE`] that a user namespace has (the text of its `/proc/self/uid_map`), or else what it has above the
/// ids of the system that runs in it; `None` when either is smaller than [`MIN_RANGE`].
pub fn mapped_range(map: &str) -> Option<(u32, u32)> {
    let lines = map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<u32>().ok());
        let (first, count) = (fields.next()??, fields.nth(1)??);
        Some((first, first.saturating_add(count)))
    });
    let lines: Vec<(u32, u32)> = lines.collect();
    let (from, count) = DEFAULT_RANGE;
    [(from, from + count), (MIN_RANGE, u32::MAX)].into_iter().find_map(|(from, to)| {
        let inside = lines.iter().map(|(first, end)| (from.max(*first), to.min(*end)));
        inside
            .filter(|(first, end)| end.saturating_sub(*first) >= MIN_RANGE)
            .map(|(first, end)| (first, end - first))
            .next()
    })
}

/// One line of subuid(5): owner, first id, count.
fn sub_ids(line: &str) -> Option<(&str, u32, u32)> {
    let mut fields = line.trim().split(':');
    Some((fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_map_both_ways() {
        let map = Idmap::ranges((100_000, 65_536), (200_000, 70_000));
        assert_eq!(map.root(), (100_000, 200_000));
        assert_eq!(map.to_host(Ids::Uid, 65_535), Some(165_535));
        assert_eq!(map.to_host(Ids::Uid, 65_536), None);
        assert_eq!(map.to_guest(Ids::Gid, 200_007), Some(7));
        assert_eq!(map.to_guest(Ids::Gid, 199_999), None);
        assert_eq!(map.proc_text(Ids::Gid), "0 200000 70000\n");
        assert_eq!(Idmap::default().root(), (0, 0));
        let both = IdmapEntry { is_uid: true, is_gid: true, host_id: 5, ns_id: 0, range: 1 };
        assert_eq!(Idmap(vec![both, both]).proc_text(Ids::Uid), "0 5 1\n");
    }

    #[test]
    fn a_map_is_stored_in_lxds_words() {
        let text = serde_json::to_string(&Idmap::ranges((100_000, 10), (100_000, 10))).unwrap();
        assert!(text.starts_with(r#"[{"Isuid":true,"Isgid":false,"Hostid":100000,"Nsid":0,"Maprange":10},"#), "{text}");
    }

    #[test]
    fn the_default_is_what_the_namespace_has() {
        assert_eq!(mapped_range("         0          0 4294967295\n"), Some(DEFAULT_RANGE));
        assert_eq!(mapped_range("0 1000000 1000000000\n"), Some((1_000_000, 999_000_000)));
        assert_eq!(mapped_range("0 100000 1000001\n"), Some((65_536, 934_465)));
        assert_eq!(mapped_range("0 100000 65536\n"), None);
        assert_eq!(mapped_range(""), None);
    }

    #[test]
    fn root_range_takes_the_first_that_is_big_enough() {
        let text = "_lxd:5:10000001\nroot:1:10\nroot:0:65536\nbad\nroot:100000:10000001\n0:7:65536\n";
        assert_eq!(root_range(text), Some((100_000, 10_000_001)));
        assert_eq!(root_range("0:7:65536"), Some((7, 65_536)));
        assert_eq!(root_range("root:4294967295:65536"), None);
        assert_eq!(root_range("root:1:10"), None);
    }

    #[test]
    fn without_a_line_for_root_the_default_is_taken_unless_somebody_has_it() {
        assert_eq!(root_range(""), Some(DEFAULT_RANGE));
        assert_eq!(root_range("alice:100000:65536\nbob:1001000000:65536\n"), Some(DEFAULT_RANGE));
        assert_eq!(root_range("alice:999999:2"), None);
        assert_eq!(root_range("alice:1000999999:5"), None);
    }
}
