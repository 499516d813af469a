//! What is in a file for whoever reads it.

use std::time::Instant;

use super::cpus::{Cpus, Spent, TICKS};
use super::disks::Disks;
use super::groups::{Groups, Hierarchies};
use super::load::Loads;
use super::memory::Memory;
use super::processes::{self, Firsts};
use super::read::{self, LARGE};

const ONLINE: &str = "/sys/devices/system/cpu/online";

/// All that is known of containers between two readings.
pub(super) struct Content {
    hierarchies: Hierarchies,
    firsts: Firsts,
    /// Their load averages.
    pub(super) loads: Loads,
}

impl Content {
    /// Of this host.
    pub(super) fn new() -> Content {
        Content { hierarchies: Hierarchies::discover(), firsts: Firsts::default(), loads: Loads::default() }
    }

    /// The content of the file with this name (of [`crate::runtime::spec::procfs::FILES`]) for a reader with this id. Who is in no container,
    /// and what isn't counted on this host, gets the host's.
    pub(super) fn of(&mut self, file: &str, pid: u32) -> Option<String> {
        let groups = processes::cgroup(pid).and_then(|text| self.hierarchies.groups(&text));
        let own = groups.and_then(|groups| self.own(file, pid, &groups));
        own.or_else(|| host(file))
    }

    fn own(&mut self, file: &str, pid: u32, groups: &Groups) -> Option<String> {
        let cpus = || Cpus::of(groups, &host("online").unwrap_or_default());
        Some(match file {
            "meminfo" => Memory::of(groups)?.meminfo(&host(file)?),
            "swaps" => Memory::of(groups)?.swaps(&host(file)?, &host("meminfo")?),
            "cpuinfo" => cpus().cpuinfo(&host(file)?),
            "online" => cpus().list(),
            "diskstats" => Disks::of(groups).diskstats(&host(file)?),
            "stat" => Spent::of(groups).stat(&cpus(), self.age(groups)?, &host(file)?),
            "uptime" => Spent::of(groups).uptime(&cpus(), self.age(groups)?),
            "loadavg" => {
                let age = self.age(groups).unwrap_or(0).max(1);
                let busy = Spent::of(groups).sum() as f64 / (age as f64 * 1e9 / TICKS as f64);
                let last = processes::ids(pid).last().copied().unwrap_or(1);
                self.loads.loadavg(groups, busy.min(cpus().count() as f64), last, Instant::now())
            }
            _ => return None,
        })
    }

    /// How long ago a container was started, in clock ticks.
    fn age(&mut self, groups: &Groups) -> Option<u64> {
        let uptime = host("uptime")?;
        let (seconds, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
        let now = seconds.parse::<u64>().ok()? * TICKS + hundredths.parse::<u64>().ok()?;
        Some(now.saturating_sub(self.firsts.start(groups)?))
    }
}

/// The host's file.
fn host(file: &str) -> Option<String> {
    match file {
        "online" => read::text(ONLINE, LARGE),
        file => read::text(format!("/proc/{file}"), LARGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::spec::procfs::FILES;

    #[test]
    fn who_is_in_no_container_sees_the_host() {
        let mut content = Content { hierarchies: Hierarchies::of(""), ..Content::new() };
        for (file, path) in FILES {
            let seen = content.of(file, std::process::id()).unwrap();
            let host = std::fs::read_to_string(format!("/{path}")).unwrap();
            assert_eq!(seen.split_whitespace().next(), host.split_whitespace().next(), "{file}");
            assert!(content.of(file, u32::MAX).is_some());
        }
        assert_eq!(content.of("nothing", 0), None);
    }
}
