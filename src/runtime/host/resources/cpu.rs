//! Processors, from `/sys/devices/system/cpu` and `/proc/cpuinfo`.

use std::collections::BTreeMap;

use super::super::Tree;
use super::device::ranges;
use crate::api::types::{ResourcesCpu, ResourcesCpuCache, ResourcesCpuCore, ResourcesCpuSocket, ResourcesCpuThread};
use crate::order::Order;

const CPUS: &str = "sys/devices/system/cpu";

/// All processors. A thread that is offline has no topology; it is not shown, as in LXD.
pub(super) fn cpu(tree: &Tree, architecture: &str) -> ResourcesCpu {
    let isolated = ranges(&tree.text(format!("{CPUS}/isolated")).unwrap_or_default());
    let info = cpuinfo(&tree.text("proc/cpuinfo").unwrap_or_default());
    let mut sockets: BTreeMap<u64, ResourcesCpuSocket> = BTreeMap::new();
    let mut total = 0;
    for id in numbers(tree) {
        let dir = format!("{CPUS}/cpu{id}");
        if !tree.exists(format!("{dir}/topology/core_id")) {
            continue;
        }
        // Machines without packages in their firmware's tables say -1.
        let number = tree.count(format!("{dir}/topology/physical_package_id"));
        let socket = sockets.entry(number).or_insert_with(|| socket(tree, &dir, number, info.get(&id)));
        let thread = ResourcesCpuThread {
            id: i64::try_from(id).unwrap_or(i64::MAX),
            numa_node: numa_node(tree, &dir),
            thread: 0,
            online: tree.number(format!("{dir}/online")).unwrap_or(1) == 1,
            isolated: isolated.contains(&id),
        };
        add(tree, &dir, socket, thread);
        total += 1;
    }
    let mut sockets: Vec<_> = sockets.into_values().collect();
    sockets.iter_mut().for_each(|socket| socket.frequency = mean(&socket.cores));
    ResourcesCpu { architecture: architecture.to_string(), sockets, total }
}

fn numbers(tree: &Tree) -> Vec<u64> {
    let names = tree.list(CPUS);
    let mut ids: Vec<u64> = names.iter().filter_map(|name| name.strip_prefix("cpu")?.parse().ok()).collect();
    ids.order();
    ids
}

/// Puts a thread into its core, which may be new.
fn add(tree: &Tree, dir: &str, socket: &mut ResourcesCpuSocket, mut thread: ResourcesCpuThread) {
    let core = tree.count(format!("{dir}/topology/core_id"));
    let die = tree.count(format!("{dir}/topology/die_id"));
    let known = socket.cores.iter().position(|c| c.core == core && c.die == die);
    let at = known.unwrap_or_else(|| {
        let frequency = tree.count(format!("{dir}/cpufreq/scaling_cur_freq")) / 1000;
        socket.cores.push(ResourcesCpuCore { core, die, threads: Vec::new(), frequency });
        socket.cores.len() - 1
    });
    let threads = &mut socket.cores[at].threads;
    thread.thread = threads.len() as u64;
    threads.push(thread);
}

fn socket(tree: &Tree, dir: &str, number: u64, info: Option<&Model>) -> ResourcesCpuSocket {
    let model = info.cloned().unwrap_or_default();
    ResourcesCpuSocket {
        name: model.name,
        vendor: model.vendor,
        socket: number,
        cache: caches(tree, dir),
        cores: Vec::new(),
        frequency: 0,
        frequency_minimum: tree.count(format!("{dir}/cpufreq/cpuinfo_min_freq")) / 1000,
        frequency_turbo: tree.count(format!("{dir}/cpufreq/cpuinfo_max_freq")) / 1000,
    }
}

fn caches(tree: &Tree, dir: &str) -> Vec<ResourcesCpuCache> {
    let names = tree.list(format!("{dir}/cache"));
    let indexes = names.iter().filter(|name| name.starts_with("index"));
    let read = |name: &String| {
        let file = |file: &str| tree.text(format!("{dir}/cache/{name}/{file}"));
        Some(ResourcesCpuCache {
            level: file("level")?.parse().ok()?,
            kind: file("type")?,
            size: kib(&file("size").unwrap_or_default()),
        })
    };
    indexes.filter_map(read).collect()
}

/// `48K` in bytes.
fn kib(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "K" => 1 << 10,
        "M" => 1 << 20,
        _ => 1,
    };
    number.parse::<u64>().unwrap_or(0).saturating_mul(factor)
}

fn numa_node(tree: &Tree, dir: &str) -> u64 {
    let names = tree.list(dir);
    names.iter().find_map(|name| name.strip_prefix("node")?.parse().ok()).unwrap_or(0)
}

/// Mean of the cores that tell a frequency, 0 when none does.
fn mean(cores: &[ResourcesCpuCore]) -> u64 {
    let known: Vec<u64> = cores.iter().map(|core| core.frequency).filter(|f| *f > 0).collect();
    known.iter().sum::<u64>().checked_div(known.len() as u64).unwrap_or(0)
}

#[derive(Clone, Default)]
struct Model {
    name: String,
    vendor: String,
}

/// Name and vendor of each thread in `/proc/cpuinfo`, whose words differ between architectures.
fn cpuinfo(text: &str) -> BTreeMap<u64, Model> {
    let mut models = BTreeMap::new();
    let mut id = None;
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match key.trim() {
            "processor" => {
                id = value.parse::<u64>().ok();
                id.map(|id| models.insert(id, Model::default()));
            }
            // s390x has no block a thread.
            "vendor_id" => with(&mut models, id.unwrap_or(0), |model| model.vendor = value.to_string()),
            "model name" | "cpu" => with(&mut models, id.unwrap_or(0), |model| model.name = value.to_string()),
            _ => {}
        }
    }
    models
}

fn with(models: &mut BTreeMap<u64, Model>, id: u64, change: impl FnOnce(&mut Model)) {
    change(models.entry(id).or_default());
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn sockets_cores_and_threads() {
        let host = Fixture::new();
        host.write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\n\nprocessor\t: 3\n")
            .write(&format!("{CPUS}/isolated"), "2-3\n");
        for (id, package, core) in [(0, "0", "0"), (1, "0", "0"), (2, "0", "4"), (3, "1", "0"), (10, "-1", "1")] {
            let dir = format!("{CPUS}/cpu{id}");
            host.write(&format!("{dir}/topology/physical_package_id"), package)
                .write(&format!("{dir}/topology/core_id"), core)
                .write(&format!("{dir}/topology/die_id"), "-1")
                .write(&format!("{dir}/cpufreq/scaling_cur_freq"), "2000000")
                .write(&format!("{dir}/node1/x"), "")
                .write(&format!("{dir}/cache/index0/level"), "1\n")
                .write(&format!("{dir}/cache/index0/type"), "Data\n")
                .write(&format!("{dir}/cache/index0/size"), "48K\n");
        }
        host.write(&format!("{CPUS}/cpu11/online"), "0\n").write(&format!("{CPUS}/cpufreq/x"), "");
        let cpu = cpu(&host.tree(), "x86_64");
        assert_eq!((cpu.total, cpu.sockets.len()), (5, 2));
        let first = &cpu.sockets[0];
        assert_eq!((first.name.as_str(), first.vendor.as_str(), first.frequency), ("Xeon", "GenuineIntel", 2000));
        assert_eq!(first.cache[0].size, 48 << 10);
        let cores: Vec<_> = first.cores.iter().map(|c| (c.core, c.threads.len())).collect();
        assert_eq!(cores, [(0, 2), (4, 1), (1, 1)]);
        assert_eq!((first.cores[0].threads[1].thread, first.cores[0].threads[1].numa_node), (1, 1));
        assert!(first.cores[1].threads[0].isolated && !first.cores[0].threads[0].isolated);
    }
}
