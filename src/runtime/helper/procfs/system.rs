//! What sysinfo(2) tells, of a container.

use super::content::Content;

/// Of the container that a process is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct System {
    /// Seconds since its start.
    pub(crate) uptime: u64,
    /// Load averages, in 65536ths.
    pub(crate) loads: [u64; 3],
    /// Bytes of memory: all, free, shared, in buffers; of swap: all, free.
    pub(crate) memory: [u64; 6],
    /// Tasks there are.
    pub(crate) processes: u16,
}

impl System {
    /// As the files of `/proc` would say it to this process; `None` when they say nothing.
    ///
    /// Nobody counts between two calls: all three load averages are that of its whole life.
    pub(crate) fn of(pid: u32) -> Option<System> {
        let mut content = Content::new();
        let meminfo = content.of("meminfo", pid)?;
        let bytes = |name: &str| keyed_kib(&meminfo, name).unwrap_or(0) << 10;
        let loadavg = content.of("loadavg", pid)?;
        let loads: Vec<f64> = loadavg.split_whitespace().take(3).filter_map(|n| n.parse().ok()).collect();
        let fixed = |i: usize| loads.get(i).map_or(0, |load| (load * 65536.0) as u64);
        let tasks = loadavg.split_whitespace().nth(3).and_then(|tasks| tasks.split_once('/')?.1.parse::<u64>().ok());
        Some(System {
            uptime: content.of("uptime", pid)?.split(['.', ' ']).next()?.parse().ok()?,
            loads: [fixed(0), fixed(1), fixed(2)],
            memory: ["MemTotal", "MemFree", "Shmem", "Buffers", "SwapTotal", "SwapFree"].map(bytes),
            processes: u16::try_from(tasks.unwrap_or(0)).unwrap_or(u16::MAX),
        })
    }
}

fn keyed_kib(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_in_no_container_is_told_of_the_host() {
        let system = System::of(std::process::id()).unwrap();
        assert!(system.uptime > 0 && system.memory[0] > system.memory[1] && system.processes > 0, "{system:?}");
    }
}
