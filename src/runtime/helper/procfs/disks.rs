//! `/proc/diskstats`: what a container has read and written of each block device.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::groups::Groups;
use super::read;

/// Block devices that are told of, at most.
const MOST: usize = 1024;

/// Of one device: operations and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    reads: u64,
    read: u64,
    writes: u64,
    written: u64,
    discards: u64,
    discarded: u64,
}

/// What is counted by device number, as text (`254:0`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disks(BTreeMap<String, Moved>);

impl Disks {
    /// Of these groups.
    pub(super) fn of(groups: &Groups) -> Disks {
        let mut disks = Disks::default();
        match groups.with("blkio") {
            Some(group) if group.unified => disks.v2(&read::file(&group.directory, "io.stat").unwrap_or_default()),
            Some(group) => {
                let text = |name: &str| read::file(&group.directory, name).unwrap_or_default();
                disks.v1(&text("blkio.throttle.io_serviced_recursive"), false);
                disks.v1(&text("blkio.throttle.io_service_bytes_recursive"), true);
            }
            None => {}
        }
        disks
    }

    fn device(&mut self, number: &str) -> Option<&mut Moved> {
        if !self.0.contains_key(number) && self.0.len() >= MOST {
            return None;
        }
        Some(self.0.entry(number.to_owned()).or_default())
    }

    fn v1(&mut self, text: &str, bytes: bool) {
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(device), Some(what), Some(value)) = (words.next(), words.next(), words.next()) else { continue };
            let (Ok(value), Some(moved)) = (value.parse(), self.device(device)) else { continue };
            match (what, bytes) {
                ("Read", false) => moved.reads = value,
                ("Read", true) => moved.read = value,
                ("Write", false) => moved.writes = value,
                ("Write", true) => moved.written = value,
                ("Discard", false) => moved.discards = value,
                ("Discard", true) => moved.discarded = value,
                _ => {}
            }
        }
    }

    fn v2(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split(' ');
            let Some(moved) = words.next().and_then(|device| self.device(device)) else { continue };
            for (key, value) in words.filter_map(|word| word.split_once('=')) {
                let Ok(value) = value.parse() else { continue };
                match key {
                    "rios" => moved.reads = value,
                    "rbytes" => moved.read = value,
                    "wios" => moved.writes = value,
                    "wbytes" => moved.written = value,
                    "dios" => moved.discards = value,
                    "dbytes" => moved.discarded = value,
                    _ => {}
                }
            }
        }
    }

    /// `/proc/diskstats`: the devices of the host that it has used. Groups count no merges and no times.
    pub(super) fn diskstats(&self, host: &str) -> String {
        let mut text = String::new();
        for line in host.lines() {
            let mut words = line.split_whitespace();
            let (Some(major), Some(minor), Some(name)) = (words.next(), words.next(), words.next()) else { continue };
            let Some(m) = self.0.get(&format!("{major}:{minor}")).filter(|m| **m != Moved::default()) else { continue };
            let _ = writeln!(
                text,
                "{major:>4} {minor:>7} {name} {} 0 {} 0 {} 0 {} 0 0 0 0 {} 0 {} 0 0 0",
                m.reads,
                m.read / 512,
                m.writes,
                m.written / 512,
                m.discards,
                m.discarded / 512
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Made;
    use super::*;

    const HOST: &str = "   7       0 loop0 7665 53 281736 2715 392986 6 1 2 0 1 1 0 0 0 0 5 6\n \
        254       0 vda 5617681 146744 181238746 1 4 4 1 1 0 2 3 3 4 1 2 6 1\n";

    #[test]
    fn both_versions_say_the_same() {
        let v1 = Made::v1(&[
            (
                "blkio.throttle.io_serviced_recursive",
                "254:0 Read 3\n254:0 Write 2\n254:0 Sync 5\n254:0 Total 5\nTotal 5\n",
            ),
            ("blkio.throttle.io_service_bytes_recursive", "254:0 Read 12288\n254:0 Write 1024\nTotal 9\n"),
        ]);
        let v2 = Made::v2(&[(
            "io.stat",
            "7:0 rbytes=0 wbytes=0 rios=0 wios=0 dbytes=0 dios=0\n254:0 rbytes=12288 wbytes=1024 rios=3 wios=2 dbytes=0 dios=0\n",
        )]);
        let wanted = " 254       0 vda 3 0 24 0 2 0 2 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(Disks::of(&v1.groups()).diskstats(HOST), wanted);
        assert_eq!(Disks::of(&v2.groups()).diskstats(HOST), wanted);
    }

    #[test]
    fn junk_counts_nothing() {
        let made = Made::v2(&[("io.stat", "254:0\n254:0 rios\n\n= =\nx rios=-1 wios=99999999999999999999\n")]);
        assert_eq!(Disks::of(&made.groups()).diskstats(HOST), "");
    }
}
