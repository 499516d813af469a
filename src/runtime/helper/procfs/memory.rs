//! Memory and swap of a container: `/proc/meminfo` and `/proc/swaps`.

use std::fmt::Write;
use std::path::Path;

use super::groups::Groups;
use super::read::{self, keyed, number};

/// What a container's groups say of its memory, all in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// The least limit of the group and those it lies in.
    limit: Option<u64>,
    usage: u64,
    /// What the limits leave of the host's swap space, at most.
    swap: Option<u64>,
    swap_usage: u64,
    stat: Stat,
}

/// Parts of `memory.stat`, by what `/proc/meminfo` calls them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stat {
    cached: u64,
    swap_cached: u64,
    active_anon: u64,
    inactive_anon: u64,
    active_file: u64,
    inactive_file: u64,
    unevictable: u64,
    dirty: u64,
    writeback: u64,
    anonymous: u64,
    mapped: u64,
    shared: u64,
    reclaimable: u64,
    unreclaimable: u64,
    stacks: u64,
    page_tables: u64,
    per_cpu: u64,
    huge_anonymous: u64,
    huge_shared: u64,
    huge_file: u64,
}

impl Memory {
    /// Of these groups; `None` when memory isn't counted on this host.
    pub(super) fn of(groups: &Groups) -> Option<Memory> {
        let group = groups.with("memory")?;
        if group.unified { Memory::v2(&group.directory, group.up()) } else { Memory::v1(&group.directory) }
    }

    fn v1(group: &Path) -> Option<Memory> {
        let text = read::file(group, "memory.stat")?;
        let usage = number(group, "memory.usage_in_bytes")?;
        let of = |key: &str| keyed(&text, key).unwrap_or(0);
        let both = number(group, "memory.memsw.usage_in_bytes");
        // What can't be swapped out has as much swap as is in use already.
        let swap_usage = both.map_or_else(|| of("total_swap"), |both| both.saturating_sub(usage));
        let never = number(group, "memory.swappiness") == Some(0);
        Some(Memory {
            limit: keyed(&text, "hierarchical_memory_limit"),
            usage,
            // Memory and swap together may be all in swap.
            swap: if never { Some(swap_usage) } else { keyed(&text, "hierarchical_memsw_limit") },
            swap_usage,
            stat: Stat {
                cached: of("total_cache"),
                swap_cached: of("total_swapcached"),
                active_anon: of("total_active_anon"),
                inactive_anon: of("total_inactive_anon"),
                active_file: of("total_active_file"),
                inactive_file: of("total_inactive_file"),
                unevictable: of("total_unevictable"),
                dirty: of("total_dirty"),
                writeback: of("total_writeback"),
                anonymous: of("total_rss"),
                mapped: of("total_mapped_file"),
                shared: of("total_shmem"),
                huge_anonymous: of("total_rss_huge"),
                ..Stat::default()
            },
        })
    }

    fn v2<'a>(group: &Path, up: impl Iterator<Item = &'a Path>) -> Option<Memory> {
        let text = read::file(group, "memory.stat")?;
        let of = |key: &str| keyed(&text, key).unwrap_or(0);
        let (mut limit, mut swap) = (None, None);
        for directory in up {
            lower(&mut limit, number(directory, "memory.max"));
            lower(&mut swap, number(directory, "memory.swap.max"));
        }
        Some(Memory {
            limit,
            usage: number(group, "memory.current")?,
            swap,
            swap_usage: number(group, "memory.swap.current").unwrap_or(0),
            stat: Stat {
                cached: of("file"),
                swap_cached: of("swapcached"),
                active_anon: of("active_anon"),
                inactive_anon: of("inactive_anon"),
                active_file: of("active_file"),
                inactive_file: of("inactive_file"),
                unevictable: of("unevictable"),
                dirty: of("file_dirty"),
                writeback: of("file_writeback"),
                anonymous: of("anon"),
                mapped: of("file_mapped"),
                shared: of("shmem"),
                reclaimable: of("slab_reclaimable"),
                unreclaimable: of("slab_unreclaimable"),
                stacks: of("kernel_stack"),
                page_tables: of("pagetables"),
                per_cpu: of("percpu"),
                huge_anonymous: of("anon_thp"),
                huge_shared: of("shmem_thp"),
                huge_file: of("file_thp"),
            },
        })
    }

    /// `/proc/meminfo`: the host's, with what is the container's in its place. What no group counts stays the host's.
    pub(super) fn meminfo(&self, host: &str) -> String {
        let total = self.limit.unwrap_or(u64::MAX).min(field(host, "MemTotal").unwrap_or(0));
        let swap = self.swap_total(field(host, "SwapTotal").unwrap_or(0));
        let free = total.saturating_sub(self.usage);
        let mut text = String::with_capacity(host.len());
        for line in host.lines() {
            let Some((name, rest)) = line.split_once(':') else { continue };
            let own = match name {
                "MemTotal" => Some(total),
                "MemFree" => Some(free),
                "MemAvailable" => Some((free + self.stat.given_back()).min(total)),
                "SwapTotal" => Some(swap),
                "SwapFree" => Some(swap.saturating_sub(self.swap_usage)),
                _ => self.stat.named(name),
            };
            let _ = match own {
                Some(bytes) => writeln!(text, "{:<15} {:>8} kB", format!("{name}:"), bytes >> 10),
                None => writeln!(text, "{name}:{rest}"),
            };
        }
        text
    }

    /// `/proc/swaps`: one line for all the swap space there is.
    pub(super) fn swaps(&self, host: &str, host_meminfo: &str) -> String {
        let mut text = host.lines().next().unwrap_or_default().to_owned() + "\n";
        let total = self.swap_total(field(host_meminfo, "SwapTotal").unwrap_or(0));
        if total > 0 {
            let used = self.swap_usage.min(total);
            let _ = writeln!(text, "{:<40}virtual\t\t{}\t\t{}\t\t0", "none", total >> 10, used >> 10);
        }
        text
    }

    fn swap_total(&self, host: u64) -> u64 {
        self.swap.unwrap_or(u64::MAX).min(host)
    }
}

impl Stat {
    /// What the kernel takes back without harm when it is needed.
    fn given_back(&self) -> u64 {
        self.active_file + self.inactive_file + self.reclaimable
    }

    fn named(&self, name: &str) -> Option<u64> {
        Some(match name {
            "Cached" => self.cached,
            "SwapCached" => self.swap_cached,
            "Active" => self.active_anon + self.active_file,
            "Inactive" => self.inactive_anon + self.inactive_file,
            "Active(anon)" => self.active_anon,
            "Inactive(anon)" => self.inactive_anon,
            "Active(file)" => self.active_file,
            "Inactive(file)" => self.inactive_file,
            "Unevictable" | "Mlocked" => self.unevictable,
            "Dirty" => self.dirty,
            "Writeback" => self.writeback,
            "AnonPages" => self.anonymous,
            "Mapped" => self.mapped,
            "Shmem" => self.shared,
            "KReclaimable" | "SReclaimable" => self.reclaimable,
            "SUnreclaim" => self.unreclaimable,
            "Slab" => self.reclaimable + self.unreclaimable,
            "KernelStack" => self.stacks,
            "PageTables" => self.page_tables,
            "Percpu" => self.per_cpu,
            "AnonHugePages" => self.huge_anonymous,
            "ShmemHugePages" => self.huge_shared,
            "FileHugePages" => self.huge_file,
            "Buffers" | "Zswap" | "Zswapped" | "SecPageTables" | "NFS_Unstable" | "Bounce" | "WritebackTmp"
            | "ShmemPmdMapped" | "FilePmdMapped" => 0,
            _ => return None,
        })
    }
}

/// The lesser of two limits, of which there may be none.
fn lower(limit: &mut Option<u64>, other: Option<u64>) {
    *limit = [*limit, other].into_iter().flatten().min();
}

/// A line of `/proc/meminfo`, in bytes.
fn field(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Made, golden};
    use super::*;

    const HOST: &str = include_str!("fixtures/meminfo.host");
    const V1_STAT: &str = include_str!("fixtures/memory.stat.v1");
    const V2_STAT: &str = include_str!("fixtures/memory.stat.v2");

    fn v1(limit: u64, both: u64, swappiness: &str) -> Made {
        let limits = format!("hierarchical_memory_limit {limit}\nhierarchical_memsw_limit {both}\n");
        Made::v1(&[
            ("memory.stat", &format!("{V1_STAT}{limits}")),
            ("memory.usage_in_bytes", "41943040\n"),
            ("memory.memsw.usage_in_bytes", "43991040\n"),
            ("memory.swappiness", swappiness),
        ])
    }

    #[test]
    fn meminfo_of_v1() {
        let memory = Memory::of(&v1(134_217_728, 268_435_456, "60\n").groups()).unwrap();
        golden("meminfo.v1", &memory.meminfo(HOST));
        golden("swaps.v1", &memory.swaps("Filename\t\tType\n/dev/x\tpartition\n", HOST));
    }

    #[test]
    fn meminfo_of_v2() {
        let made = Made::v2(&[
            ("memory.stat", V2_STAT),
            ("memory.current", "41943040\n"),
            ("memory.max", "max\n"),
            ("memory.swap.max", "33554432\n"),
            ("memory.swap.current", "4096\n"),
            // The one it lies in has less.
            ("../memory.max", "134217728\n"),
            ("../memory.swap.max", "max\n"),
        ]);
        let memory = Memory::of(&made.groups()).unwrap();
        golden("meminfo.v2", &memory.meminfo(HOST));
        golden("swaps.v2", &memory.swaps("Filename\t\tType\n/dev/x\tpartition\n", HOST));
    }

    #[test]
    fn without_a_limit_the_whole_host_is_there() {
        let memory = Memory::of(&v1(9_223_372_036_854_771_712, 9_223_372_036_854_771_712, "60\n").groups()).unwrap();
        let text = memory.meminfo(HOST);
        assert_eq!(field(&text, "MemTotal"), field(HOST, "MemTotal"));
        assert_eq!(field(&text, "SwapTotal"), field(HOST, "SwapTotal"));
        assert_eq!(text.lines().count(), HOST.lines().count());
    }

    #[test]
    fn who_may_not_swap_has_no_more_than_it_uses_and_hosts_without_swap_have_none() {
        let memory = Memory::of(&v1(134_217_728, 268_435_456, "0\n").groups()).unwrap();
        assert_eq!(field(&memory.meminfo(HOST), "SwapTotal"), Some(2_048_000));
        let none = HOST.replace("SwapTotal:       2097148 kB", "SwapTotal:             0 kB");
        assert_ne!(none, HOST);
        assert_eq!(field(&memory.meminfo(&none), "SwapTotal"), Some(0));
        assert_eq!(memory.swaps("Filename\t\tType\n/dev/x\tpartition\n", &none).lines().count(), 1);
    }

    #[test]
    fn a_host_that_counts_no_memory_has_nothing_to_say() {
        assert_eq!(Memory::of(&Made::v2(&[("cpu.max", "max")]).groups()), None);
        assert_eq!(Memory::of(&Made::v1(&[("memory.stat", "\u{0}junk")]).groups()), None);
    }

    #[test]
    fn a_group_over_its_limit_has_nothing_free() {
        let memory = Memory::of(&v1(1 << 20, 1 << 20, "60\n").groups()).unwrap();
        let text = memory.meminfo(HOST);
        assert_eq!((field(&text, "MemFree"), field(&text, "MemTotal")), (Some(0), Some(1 << 20)));
    }
}
