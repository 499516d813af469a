//! Resource limits of one container and what they mean to each kind of control group (pure).

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// Limits; `None` means none. All of them can change while the container runs.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(default)]
    pub struct Limits {
        /// Processors it may use, as the kernel writes lists (`0-2,5`). A count was turned into a set by the balancer.
        pub cpuset: Option<String>,
        /// Weight against others, in cgroup v1 shares (1024 is normal).
        pub cpu_shares: Option<u64>,
        /// Processor time per period, both in microseconds.
        pub cpu_quota: Option<(u64, u64)>,
        /// Memory in bytes.
        pub memory: Option<u64>,
        /// Whether `memory` is enforced only when the host is short of it (`limits.memory.enforce=soft`).
        pub memory_soft: bool,
        /// Whether it may be swapped out (`limits.memory.swap`); true is the usual answer.
        pub swap: Option<bool>,
        /// How readily it is swapped out, in cgroup v1's terms: 60 is normal, 0 is hardly.
        pub swappiness: Option<u64>,
        /// Weight of disk requests against others, 10 to 1000; 500 is normal.
        pub io_weight: Option<u64>,
        /// Bytes of huge pages, by their sizes as in [`HUGE_PAGES`].
        pub huge_pages: [Option<u64>; 4],
        /// Number of processes.
        pub processes: Option<u64>,
    }
}

/// Sizes of huge pages that have limits.
pub const HUGE_PAGES: [&str; 4] = ["64KB", "1MB", "2MB", "1GB"];
const HUGE_V1: [&str; 4] = [
    "hugetlb.64KB.limit_in_bytes",
    "hugetlb.1MB.limit_in_bytes",
    "hugetlb.2MB.limit_in_bytes",
    "hugetlb.1GB.limit_in_bytes",
];
const HUGE_V2: [&str; 4] = ["hugetlb.64KB.max", "hugetlb.1MB.max", "hugetlb.2MB.max", "hugetlb.1GB.max"];

readable! {
    /// A resource limit of processes (getrlimit(2)).
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Rlimit {
        /// The resource, as `limits.kernel.*` names it: `nofile`.
        pub resource: String,
        /// The soft limit; `None` is unlimited.
        pub soft: Option<u64>,
        /// The hard limit; `None` is unlimited.
        pub hard: Option<u64>,
    }
}

impl Rlimit {
    /// Reads `SOFT:HARD`, or one number for both; `None` when it is neither.
    pub fn parse(resource: &str, text: &str) -> Option<Rlimit> {
        let number = |text: &str| if text == "unlimited" { Some(None) } else { text.parse().ok().map(Some) };
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        Some(Rlimit { resource: resource.to_owned(), soft: number(soft)?, hard: number(hard)? })
    }
}

/// One file of a control group to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The controller it belongs to.
    pub controller: &'static str,
    /// The file below the group's directory.
    pub file: &'static str,
    /// What to write.
    pub value: String,
    /// Whether a host without that file (no swap accounting, old kernel) is fine.
    pub optional: bool,
}

fn set(controller: &'static str, file: &'static str, value: impl ToString) -> Setting {
    Setting { controller, file, value: value.to_string(), optional: false }
}

fn try_set(controller: &'static str, file: &'static str, value: impl ToString) -> Setting {
    Setting { optional: true, ..set(controller, file, value) }
}

/// Adds the setting of a limit, or what stands for none.
fn put(
    out: &mut Vec<Setting>,
    (controller, file): (&'static str, &'static str),
    value: Option<u64>,
    none: Option<impl ToString>,
) {
    out.extend(value.map(|value| set(controller, file, value)).or_else(|| Some(try_set(controller, file, none?))));
}

impl Limits {
    /// What to write into cgroup v1 files, in order. Limits that are `None` are reset when `reset`, else left alone.
    ///
    /// With a memory limit LXD 5.0.2 sets memory and memory+swap to it and the soft limit to nine tenths (measured).
    pub fn v1(&self, reset: bool) -> Vec<Setting> {
        let mut out = Vec::new();
        if let Some(cpus) = &self.cpuset {
            out.push(set("cpuset", "cpuset.cpus", cpus));
        }
        put(&mut out, ("cpu", "cpu.shares"), self.cpu_shares, reset.then_some(1024));
        match self.cpu_quota {
            Some((quota, period)) => {
                out.push(set("cpu", "cpu.cfs_period_us", period));
                out.push(set("cpu", "cpu.cfs_quota_us", quota));
            }
            None if reset => {
                out.push(try_set("cpu", "cpu.cfs_quota_us", -1));
                out.push(try_set("cpu", "cpu.cfs_period_us", 100_000));
            }
            None => {}
        }
        self.v1_memory(reset, &mut out);
        self.pages(reset, (HUGE_V1, "-1"), &mut out);
        put(&mut out, ("blkio", "blkio.weight"), self.io_weight, reset.then_some(500));
        put(&mut out, ("pids", "pids.max"), self.processes, reset.then_some("max"));
        out
    }

    fn pages(&self, reset: bool, (files, none): ([&'static str; 4], &str), out: &mut Vec<Setting>) {
        for (file, bytes) in files.into_iter().zip(self.huge_pages) {
            put(out, ("hugetlb", file), bytes, reset.then_some(none));
        }
    }

    fn v1_memory(&self, reset: bool, out: &mut Vec<Setting>) {
        // Raising and lowering need opposite orders (memory <= memory+swap at all times), so the wider one is lifted first.
        if reset || self.memory.is_some() {
            let optional = self.memory.is_none();
            out.push(try_set("memory", "memory.memsw.limit_in_bytes", -1));
            match self.memory {
                Some(bytes) if self.memory_soft => {
                    out.push(try_set("memory", "memory.limit_in_bytes", -1));
                    out.push(set("memory", "memory.soft_limit_in_bytes", bytes));
                }
                Some(bytes) => {
                    out.push(set("memory", "memory.limit_in_bytes", bytes));
                    if self.swap != Some(false) {
                        out.push(try_set("memory", "memory.memsw.limit_in_bytes", bytes));
                    }
                    out.push(try_set("memory", "memory.soft_limit_in_bytes", bytes / 10 * 9 + bytes % 10 * 9 / 10));
                }
                None => {
                    out.push(Setting { optional, ..set("memory", "memory.limit_in_bytes", -1) });
                    out.push(Setting { optional, ..set("memory", "memory.soft_limit_in_bytes", -1) });
                }
            }
        }
        match (self.swap, self.swappiness) {
            (Some(false), _) => out.push(try_set("memory", "memory.swappiness", 0)),
            (_, Some(much)) => out.push(set("memory", "memory.swappiness", much)),
            _ if reset => out.push(try_set("memory", "memory.swappiness", 60)),
            _ => {}
        }
    }

    /// What to write into cgroup v2 files, in order; see [`Limits::v1`].
    pub fn v2(&self, reset: bool) -> Vec<Setting> {
        let mut out = Vec::new();
        if let Some(cpus) = &self.cpuset {
            out.push(set("cpuset", "cpuset.cpus", cpus));
        }
        put(&mut out, ("cpu", "cpu.weight"), self.cpu_shares.map(weight), reset.then_some(weight(1024)));
        match self.cpu_quota {
            Some((quota, period)) => out.push(set("cpu", "cpu.max", format!("{quota} {period}"))),
            None if reset => out.push(try_set("cpu", "cpu.max", "max")),
            None => {}
        }
        match self.memory {
            Some(bytes) if self.memory_soft => {
                out.push(try_set("memory", "memory.max", "max"));
                out.push(set("memory", "memory.high", bytes));
            }
            Some(bytes) => {
                out.push(try_set("memory", "memory.high", "max"));
                out.push(set("memory", "memory.max", bytes));
            }
            None if reset => {
                out.push(try_set("memory", "memory.max", "max"));
                out.push(try_set("memory", "memory.high", "max"));
            }
            None => {}
        }
        match self.swap {
            Some(false) => out.push(try_set("memory", "memory.swap.max", 0)),
            _ if reset => out.push(try_set("memory", "memory.swap.max", "max")),
            _ => {}
        }
        if let Some(much) = self.swappiness.filter(|_| self.swap != Some(false)) {
            // No kernel has it there so far, which is said.
            out.push(set("memory", "memory.swappiness", much));
        }
        self.pages(reset, (HUGE_V2, "max"), &mut out);
        put(&mut out, ("io", "io.weight"), self.io_weight, reset.then_some(100));
        put(&mut out, ("pids", "pids.max"), self.processes, reset.then_some("max"));
        out
    }
}

/// The cgroup v2 weight (1 to 10000, 100 normal) that the kernel and systemd take as equal to v1 shares.
fn weight(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    (1 + (shares - 2) * 9999 / 262_142).clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|s| format!("{}={}", s.file, s.value)).collect()
    }

    #[test]
    fn v1_writes_what_lxd_writes() {
        let limits = Limits { memory: Some(134_217_728), processes: Some(100), ..Limits::default() };
        assert_eq!(
            text(&limits.v1(false)),
            [
                "memory.memsw.limit_in_bytes=-1",
                "memory.limit_in_bytes=134217728",
                "memory.memsw.limit_in_bytes=134217728",
                "memory.soft_limit_in_bytes=120795955",
                "pids.max=100"
            ]
        );
    }

    #[test]
    fn memory_that_is_not_swapped_has_no_limit_with_swap() {
        let limits = Limits { memory: Some(10), swap: Some(false), swappiness: Some(70), ..Limits::default() };
        let written = text(&limits.v1(false));
        assert!(
            written.contains(&"memory.swappiness=0".into())
                && !written.contains(&"memory.memsw.limit_in_bytes=10".into())
        );
        assert!(text(&Limits { swap: None, ..limits }.v1(false)).contains(&"memory.swappiness=70".into()));
    }

    #[test]
    fn no_limits_write_nothing_unless_reset() {
        assert!(Limits::default().v1(false).is_empty() && Limits::default().v2(false).is_empty());
        assert!(text(&Limits::default().v2(true)).contains(&"memory.max=max".to_owned()));
        assert!(text(&Limits::default().v1(true)).contains(&"cpu.cfs_quota_us=-1".to_owned()));
    }

    #[test]
    fn v2_names_and_weights() {
        let limits = Limits {
            cpuset: Some("0-1".into()),
            cpu_shares: Some(1024),
            cpu_quota: Some((20_000, 100_000)),
            memory: Some(5),
            memory_soft: true,
            swap: Some(false),
            swappiness: Some(65),
            io_weight: Some(300),
            huge_pages: [None, None, Some(7), None],
            processes: Some(3),
        };
        assert_eq!(
            text(&limits.v2(false)),
            [
                "cpuset.cpus=0-1",
                "cpu.weight=39",
                "cpu.max=20000 100000",
                "memory.max=max",
                "memory.high=5",
                "memory.swap.max=0",
                "hugetlb.2MB.max=7",
                "io.weight=300",
                "pids.max=3"
            ]
        );
        assert_eq!((weight(2), weight(262_144), weight(0), weight(u64::MAX)), (1, 10_000, 1, 10_000));
    }
}
