//! What a container uses, from the counters of its control groups.

use rustix::fs::{self, Mode, OFlags};

use crate::runtime::spec::cgroup::Group;

/// Counters; `None` where the host has no such controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Memory in bytes, page cache included (as LXD reports it).
    pub memory: Option<u64>,
    /// The most memory since the start.
    pub memory_peak: Option<u64>,
    /// Swap in bytes.
    pub swap: Option<u64>,
    /// The most swap since the start.
    pub swap_peak: Option<u64>,
    /// Tasks (threads count, as the pids controller counts them).
    pub processes: Option<u64>,
}

/// Reads the counters now.
pub fn usage(groups: &[Group]) -> Usage {
    let v1 = |controller: &str, file: &str| number(groups.iter().find(|g| !g.unified && g.has(controller))?, file);
    let v2 = |file: &str| number(groups.iter().find(|g| g.unified)?, file);
    let memory = v1("memory", "memory.usage_in_bytes");
    let peak = v1("memory", "memory.max_usage_in_bytes");
    // v1 counts memory and swap together.
    let swap = |both: &str, memory: Option<u64>| Some(v1("memory", both)?.saturating_sub(memory?));
    Usage {
        cpu_ns: v1("cpuacct", "cpuacct.usage").or_else(|| cpu_stat(groups)),
        memory: memory.or_else(|| v2("memory.current")),
        memory_peak: peak.or_else(|| v2("memory.peak")),
        swap: swap("memory.memsw.usage_in_bytes", memory).or_else(|| v2("memory.swap.current")),
        swap_peak: swap("memory.memsw.max_usage_in_bytes", peak).or_else(|| v2("memory.swap.peak")),
        processes: v1("pids", "pids.current").or_else(|| v2("pids.current")),
    }
}

/// One read of at most 32 bytes: a list of many containers has several of these for each.
fn number(group: &Group, file: &str) -> Option<u64> {
    let file = fs::open(group.path.join(file), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0u8; 32];
    let len = rustix::io::read(file, &mut text).ok()?;
    std::str::from_utf8(text.get(..len)?).ok()?.trim().parse().ok()
}

fn cpu_stat(groups: &[Group]) -> Option<u64> {
    let group = groups.iter().find(|g| g.unified)?;
    let text = std::fs::read_to_string(group.path.join("cpu.stat")).ok()?;
    let micros: u64 = text.lines().find_map(|l| l.strip_prefix("usage_usec "))?.parse().ok()?;
    Some(micros * 1000)
}
