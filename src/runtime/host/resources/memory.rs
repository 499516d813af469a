//! Memory, from `/proc/meminfo` and `/sys/devices/system/{memory,node}`.

use super::super::Tree;
use crate::api::types::{ResourcesMemory, ResourcesMemoryNode};
use crate::order::Order;

const BLOCKS: &str = "sys/devices/system/memory";
const NODES: &str = "sys/devices/system/node";

/// All memory. The total is what is plugged in (the kernel's own share counts), where the kernel tells it.
pub(super) fn memory(tree: &Tree) -> ResourcesMemory {
    let info = Info(tree.text("proc/meminfo").unwrap_or_default());
    let page = info.bytes("Hugepagesize");
    let total = online(tree, BLOCKS).unwrap_or_else(|| info.bytes("MemTotal"));
    let free = info.bytes("MemFree") + info.bytes("Cached") + info.bytes("Buffers");
    ResourcesMemory {
        nodes: nodes(tree, page),
        hugepages_total: info.count("HugePages_Total").saturating_mul(page),
        hugepages_used: info.pages_used().saturating_mul(page),
        hugepages_size: page,
        used: total.saturating_sub(free),
        total,
    }
}

fn nodes(tree: &Tree, page: u64) -> Vec<ResourcesMemoryNode> {
    let names = tree.list(NODES);
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_prefix("node")?.parse().ok()).collect();
    numbers.order();
    numbers.into_iter().map(|number| node(tree, number, page)).collect()
}

fn node(tree: &Tree, number: u64, page: u64) -> ResourcesMemoryNode {
    let dir = format!("{NODES}/node{number}");
    let info = Info(tree.text(format!("{dir}/meminfo")).unwrap_or_default());
    ResourcesMemoryNode {
        numa_node: number,
        hugepages_used: info.pages_used().saturating_mul(page),
        hugepages_total: info.count("HugePages_Total").saturating_mul(page),
        used: info.bytes("MemUsed"),
        total: online(tree, &dir).unwrap_or_else(|| info.bytes("MemTotal")),
    }
}

/// Bytes of the memory blocks in `dir` that are online; `None` on kernels without hotplug of memory.
fn online(tree: &Tree, dir: &str) -> Option<u64> {
    let size = u64::from_str_radix(&tree.text(format!("{BLOCKS}/block_size_bytes"))?, 16).ok()?;
    let names = tree.list(dir);
    let blocks = names.iter().filter(|name| name.strip_prefix("memory").is_some_and(|n| n.parse::<u64>().is_ok()));
    let count = blocks.filter(|name| tree.number(format!("{dir}/{name}/online")).unwrap_or(1) == 1).count() as u64;
    (count > 0).then(|| count.saturating_mul(size))
}

/// `meminfo`, of the host (`MemFree: 1 kB`) or of a node (`Node 0 MemFree: 1 kB`).
struct Info(String);

impl Info {
    fn count(&self, key: &str) -> u64 {
        let value = self.0.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.rsplit(' ').next()? == key).then_some(value)
        });
        value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    fn bytes(&self, key: &str) -> u64 {
        self.count(key).saturating_mul(1024)
    }

    fn pages_used(&self) -> u64 {
        self.count("HugePages_Total").saturating_sub(self.count("HugePages_Free"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::*;

    const INFO: &str = "MemTotal:  900 kB\nMemFree: 100 kB\nBuffers: 10 kB\nCached: 90 kB\nSwapCached: 7 kB\n\
        HugePages_Total: 3\nHugePages_Free: 1\nHugepagesize: 2048 kB\n";

    #[test]
    fn counts_what_is_plugged_in() {
        let host = Fixture::new();
        host.write("proc/meminfo", INFO)
            .write(&format!("{BLOCKS}/block_size_bytes"), "80000\n")
            .write(&format!("{BLOCKS}/memory0/online"), "1\n")
            .write(&format!("{BLOCKS}/memory1/online"), "1\n")
            .write(&format!("{BLOCKS}/memory2/online"), "0\n")
            .write(
                &format!("{NODES}/node0/meminfo"),
                "Node 0 MemUsed: 5 kB\nNode 0 HugePages_Total: 2\nNode 0 HugePages_Free: 1\n",
            )
            .write(&format!("{NODES}/node0/memory1/online"), "1\n");
        let memory = memory(&host.tree());
        assert_eq!((memory.total, memory.used), (1 << 20, (1 << 20) - 200 * 1024));
        assert_eq!((memory.hugepages_total, memory.hugepages_used, memory.hugepages_size), (6 << 20, 4 << 20, 2 << 20));
        let node = &memory.nodes[0];
        assert_eq!(
            (node.total, node.used, node.hugepages_total, node.hugepages_used),
            (512 << 10, 5120, 4 << 20, 2 << 20)
        );
    }

    #[test]
    fn kernels_without_blocks_tell_their_total() {
        let host = Fixture::new();
        host.write("proc/meminfo", INFO);
        let memory = memory(&host.tree());
        assert_eq!((memory.total, memory.used, memory.nodes.len()), (900 << 10, 700 << 10, 0));
    }
}
