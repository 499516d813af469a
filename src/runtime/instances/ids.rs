//! Which ids of the host a container's are: the host's usual map, or one of its own (`security.idmap.*`, `raw.idmap`).
//!
//! A map is chosen when the configuration that says it changes, and holds from the next start on.

use std::ops::Range;

use tokio::sync::MutexGuard;

use super::plan::is_privileged;
use super::{Instances, expand};
use crate::api::config::instance::{self, Config};
use crate::api::types::{self, ConfigMap};
use crate::order::Order;
use crate::runtime::spec::idmap::{Idmap, IdmapEntry, Ids, MIN_RANGE};
use crate::store::records::InstanceRecord;
use crate::store::repo;
use crate::{Ctx, Error, Kind, Result};

/// The keys that say what the map is.
const KEYS: [&str; 5] =
    ["raw.idmap", "security.idmap.base", "security.idmap.isolated", "security.idmap.size", "security.privileged"];
const BASE: &str = "volatile.idmap.base";
const NEXT: &str = "volatile.idmap.next";
const CURRENT: &str = "volatile.idmap.current";

/// Whether two configurations, with their profiles', ask for different maps.
pub(super) fn differ(was: &ConfigMap, becomes: &ConfigMap) -> bool {
    instance::changed(was, becomes).iter().any(|key| KEYS.contains(key))
}

impl Instances {
    /// Nobody else chooses ids while this lives: of two who do so at once neither sees the other's.
    pub(super) async fn choosing_ids(&self) -> MutexGuard<'_, ()> {
        self.choosing_ids.lock().await
    }

    /// The same where an instance that is to be made will have ids of its own.
    pub(super) async fn choosing_ids_of(&self, record: &InstanceRecord) -> Result<Option<MutexGuard<'_, ()>>> {
        let config = self.db.view(|v| Ok(expand::expand(v, record)?.config))?;
        Ok(if size(Config(&config)).is_some() { Some(self.choosing_ids().await) } else { None })
    }

    /// Chooses the map of an instance and writes it to its record; `config` is with the profiles'. See [`Instances::choosing_ids`].
    ///
    /// # Errors
    /// [`Kind::Internal`] with LXD's texts.
    pub(super) fn choose_ids(&self, record: &mut InstanceRecord, config: &ConfigMap) -> Result<()> {
        let base = match size(Config(config)) {
            None => 0,
            Some(size) => match Config(config).integer("security.idmap.base") {
                Some(base) => u32::try_from(base).unwrap_or(u32::MAX),
                None => free(&self.taken_ids(record)?, size, base_of(record), &range(&self.host.idmap))?,
            },
        };
        record.config.insert(BASE.into(), base.to_string());
        let map = self.map_of(record, config)?;
        record.config.insert(NEXT.into(), text(&map));
        Ok(())
    }

    /// The map that an instance starts with; none for one that is privileged. `config` is with the profiles'.
    ///
    /// # Errors
    /// [`Kind::Internal`] with LXD's texts.
    pub(super) fn map_of(&self, record: &InstanceRecord, config: &ConfigMap) -> Result<Idmap> {
        if is_privileged(config) {
            return Ok(Idmap::default());
        }
        let config = Config(config);
        let map = match size(config) {
            None => self.host.idmap.clone(),
            Some(size) => own(base_of(record), size)?,
        };
        match config.get("raw.idmap") {
            None => Ok(map),
            Some(raw) => with_raw(map, raw).map_err(|e| Error::internal(format!("Failed to get ID map: {e}"))),
        }
    }

    /// The guest's root as the host will see it at the next start, and whether it is the host's own.
    pub(super) fn guest_root(&self, record: &InstanceRecord) -> Result<(u32, bool)> {
        let config = self.db.view(|v| Ok(expand::expand(v, record)?.config))?;
        Ok((self.map_of(record, &config)?.root().0, is_privileged(&config)))
    }

    /// What the others have to themselves.
    fn taken_ids(&self, record: &InstanceRecord) -> Result<Vec<Range<u32>>> {
        let all = self.db.view(|v| repo::instances::list(v, None))?;
        let others = all.iter().filter(|other| (&other.project, &other.name) != (&record.project, &record.name));
        let with_own = others.filter(|other| base_of(other) > 0);
        with_own.map(|other| Ok(base_of(other)..end(&parse(other, NEXT)?, base_of(other)))).collect()
    }
}

/// The map of a guest that runs.
///
/// # Errors
/// [`Kind::Internal`] for a record that is broken.
pub(super) fn current(record: &InstanceRecord) -> Result<Idmap> {
    parse(record, CURRENT)
}

/// As it is recorded.
pub(super) fn text(map: &Idmap) -> String {
    serde_json::to_string(map).unwrap_or_default()
}

fn parse(record: &InstanceRecord, key: &str) -> Result<Idmap> {
    let text = record.config.get(key).map_or("[]", String::as_str);
    types::from_slice(text.as_bytes())
        .ctx(Kind::Internal, || format!("Failed reading {key:?} of instance {:?}", record.name))
}

fn base_of(record: &InstanceRecord) -> u32 {
    record.config.get(BASE).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// How many ids it has to itself; `None` when it shares the host's.
fn size(config: Config<'_>) -> Option<u32> {
    let isolated = config.bool("security.idmap.isolated") && !config.bool("security.privileged");
    let size = config.integer("security.idmap.size").and_then(|size| u32::try_from(size).ok());
    isolated.then(|| size.filter(|size| *size > 0).unwrap_or(MIN_RANGE))
}

/// What the host has for containers, both as user and as group ids.
fn range(host: &Idmap) -> Range<u32> {
    let ends = host.0.iter().map(|entry| (entry.host_id, entry.host_id.saturating_add(entry.range)));
    let common = ends.reduce(|(from, to), (first, last)| (from.max(first), to.min(last)));
    common.map_or(0..0, |(from, to)| from..to)
}

/// Where the part of a map from `base` on ends.
fn end(map: &Idmap, base: u32) -> u32 {
    let ends = map.0.iter().filter(|e| e.host_id >= base).map(|e| e.host_id.saturating_add(e.range));
    ends.max().unwrap_or(base)
}

/// The first id of `size` that nobody has, behind those that all share; those it has already (`now`) if they are free.
fn free(taken: &[Range<u32>], size: u32, now: u32, host: &Range<u32>) -> Result<u32> {
    let mut taken = taken.to_vec();
    taken.order_by_key(|range| range.start);
    let first = u64::from(host.start) + u64::from(MIN_RANGE);
    let end_of = |base: u64| base + u64::from(size);
    let fits = |base: u64| {
        let apart = |range: &Range<u32>| u64::from(range.end) <= base || end_of(base) <= u64::from(range.start);
        base >= first && end_of(base) <= u64::from(host.end) && taken.iter().all(apart)
    };
    let candidates = [u64::from(now), first].into_iter().chain(taken.iter().map(|range| u64::from(range.end)));
    let found = candidates.into_iter().find(|base| fits(*base)).and_then(|base| u32::try_from(base).ok());
    found.ok_or_else(|| Error::internal("Not enough uid/gid available for the container"))
}

/// A map of `size` ids from `base` on. The host's own users aren't for containers.
fn own(base: u32, size: u32) -> Result<Idmap> {
    let fits = base >= MIN_RANGE && base.checked_add(size).is_some();
    let what =
        || Error::invalid(format!("Invalid \"security.idmap.base\" {base} for {size} ids: they begin at {MIN_RANGE}"));
    if fits { Ok(Idmap::ranges((base, size), (base, size))) } else { Err(what()) }
}

/// A line of `raw.idmap`: `both|uid|gid HOST GUEST`, each an id or a range of them.
struct Raw {
    uid: bool,
    gid: bool,
    host: u32,
    guest: u32,
    range: u32,
}

fn raw(line: &str) -> std::result::Result<Raw, String> {
    let words: Vec<&str> = line.split(' ').collect();
    let [kind, host, guest] = words[..] else { return Err(format!("Invalid ID map line {line:?}")) };
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("Invalid ID map id {text:?} in {line:?}"));
    let ids = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        let count = last.checked_sub(first).and_then(|more| more.checked_add(1));
        Ok::<_, String>((first, count.ok_or_else(|| format!("Invalid ID map range {text:?} in {line:?}"))?))
    };
    let (uid, gid) = match kind {
        "both" => (true, true),
        "uid" => (true, false),
        "gid" => (false, true),
        _ => return Err(format!("Invalid ID map type {line:?}")),
    };
    let ((host, range), (guest, same)) = (ids(host)?, ids(guest)?);
    if range != same {
        return Err(format!("The ID map ranges are of different sizes {line:?}"));
    }
    Ok(Raw { uid, gid, host, guest, range })
}

/// The map with single ids of the host's own put in.
fn with_raw(map: Idmap, text: &str) -> std::result::Result<Idmap, String> {
    let lines = text.lines().filter(|line| !line.is_empty()).map(raw).collect::<std::result::Result<Vec<_>, _>>()?;
    let mut parts = Vec::new();
    for kind in [Ids::Uid, Ids::Gid] {
        let is = |uid: bool, gid: bool| if kind == Ids::Uid { uid } else { gid };
        let usual: Vec<IdmapEntry> = map.0.iter().copied().filter(|e| is(e.is_uid, e.is_gid)).collect();
        let mut entries = usual.clone();
        for (line, raw) in
            text.lines().filter(|line| !line.is_empty()).zip(&lines).filter(|(_, raw)| is(raw.uid, raw.gid))
        {
            let (host, guest) = (raw.host, raw.guest);
            if usual.iter().any(|e| meet((e.host_id, e.range), (host, raw.range))) {
                return Err("Host id is in the range of subids".into());
            }
            let own = |e: &&IdmapEntry| !usual.iter().any(|u| meet((u.host_id, u.range), (e.host_id, e.range)));
            let twice = entries
                .iter()
                .filter(own)
                .any(|e| meet((e.host_id, e.range), (host, raw.range)) || meet((e.ns_id, e.range), (guest, raw.range)));
            if twice {
                return Err(format!("An id is mapped twice by {line:?}"));
            }
            entries = entries.into_iter().flat_map(|e| without(e, guest, raw.range)).collect();
            let (is_uid, is_gid) = (kind == Ids::Uid, kind == Ids::Gid);
            entries.push(IdmapEntry { is_uid, is_gid, host_id: host, ns_id: guest, range: raw.range });
            entries.order_by_key(|e| e.ns_id);
        }
        parts.extend(entries);
    }
    Ok(Idmap(parts))
}

/// Whether two ranges, each as its first id and its count, have one in common.
fn meet(a: (u32, u32), b: (u32, u32)) -> bool {
    let end = |(first, count): (u32, u32)| u64::from(first) + u64::from(count);
    u64::from(a.0) < end(b) && u64::from(b.0) < end(a)
}

/// What is left of an entry without `count` ids of the guest from `first` on.
fn without(entry: IdmapEntry, first: u32, count: u32) -> Vec<IdmapEntry> {
    let end = u64::from(entry.ns_id) + u64::from(entry.range);
    let part = |from: u64, to: u64| {
        let skipped = u32::try_from(from - u64::from(entry.ns_id)).ok()?;
        let range = u32::try_from(to.checked_sub(from)?).ok().filter(|range| *range > 0)?;
        Some(IdmapEntry { host_id: entry.host_id + skipped, ns_id: entry.ns_id + skipped, range, ..entry })
    };
    let (cut, behind) = (u64::from(first), u64::from(first) + u64::from(count));
    let before = part(u64::from(entry.ns_id), cut.min(end));
    let after = if behind < end { part(behind.max(u64::from(entry.ns_id)), end) } else { None };
    before.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gap_is_taken() {
        let host = 100_000..10_100_001;
        assert_eq!(free(&[], 65_536, 0, &host).unwrap(), 165_536);
        let taken = [231_072..300_000, 165_536..231_072];
        assert_eq!(free(&taken, 65_536, 0, &host).unwrap(), 300_000);
        assert_eq!(free(&taken[..1], 65_536, 0, &host).unwrap(), 165_536);
        assert_eq!(free(&taken[..1], 65_537, 0, &host).unwrap(), 300_000);
        // What it has it keeps.
        assert_eq!(free(&taken, 10, 400_000, &host).unwrap(), 400_000);
        assert_eq!(free(&taken, 10, 231_000, &host).unwrap(), 300_000);
        assert!(free(&taken, 20_000_000, 0, &host).is_err());
        assert!(own(5, 65_536).is_err() && own(u32::MAX, 2).is_err() && own(500_000, 5).is_ok());
    }

    fn told(raw: &str) -> std::result::Result<Vec<(bool, u32, u32, u32)>, String> {
        let map = with_raw(Idmap::ranges((100_000, 65_536), (100_000, 65_536)), raw)?;
        Ok(map.0.iter().map(|e| (e.is_uid, e.host_id, e.ns_id, e.range)).collect())
    }

    #[test]
    fn ids_of_the_host_are_put_in() {
        let both = told("both 1000 1000").unwrap();
        let one = |uid| [(uid, 100_000, 0, 1000), (uid, 1000, 1000, 1), (uid, 101_001, 1001, 64_535)];
        assert_eq!(both, [one(true), one(false)].concat());
        let ends = told("uid 1000-1010 0-10\nuid 5 65535\nuid 7 70000").unwrap();
        let uids: Vec<_> = ends.into_iter().filter(|(uid, ..)| *uid).map(|(_, h, n, r)| (h, n, r)).collect();
        assert_eq!(uids, [(1000, 0, 11), (100_011, 11, 65_524), (5, 65_535, 1), (7, 70_000, 1)]);
    }

    #[test]
    fn wrong_lines_are_named_as_lxd_does() {
        for (raw, what) in [
            ("foo", "Invalid ID map line \"foo\""),
            (" both 1 1", "Invalid ID map line"),
            ("x 1 2", "Invalid ID map type \"x 1 2\""),
            ("uid 1-5 1-2", "The ID map ranges are of different sizes \"uid 1-5 1-2\""),
            ("both 100000 3000", "Host id is in the range of subids"),
            ("uid 1 x", "Invalid ID map id \"x\""),
            ("uid 5-3 5-3", "Invalid ID map range \"5-3\""),
            ("both 1000 1000\nboth 1001 1000", "An id is mapped twice by \"both 1001 1000\""),
            ("both 1000 1000\nuid 1000 1001", "An id is mapped twice by"),
        ] {
            let error = told(raw).unwrap_err();
            assert!(error.contains(what), "{raw:?}: {error}");
        }
    }
}
