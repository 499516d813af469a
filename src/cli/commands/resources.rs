//! `lxc info --resources`: the hardware of a server.

use crate::api::client::{Client, with_query};
use crate::api::types::{
    Resources, ResourcesCpu, ResourcesCpuSocket, ResourcesGpuCard, ResourcesMemory, ResourcesNetworkCard,
    ResourcesStorageDisk,
};
use crate::cli::output::{bytes_iec, emit};
use crate::cli::wait::Read;
use crate::error::Result;

/// Lines with their indentation.
struct Lines(String);

impl Lines {
    fn add(&mut self, depth: usize, line: impl AsRef<str>) {
        self.0 += &format!("{}{}\n", " ".repeat(depth), line.as_ref());
    }

    /// A line with a value that may be missing.
    fn known(&mut self, depth: usize, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(depth, format!("{name}: {value}"));
        }
    }

    /// What there can be one or several of: `one` alone, else `many` with a heading each.
    fn several<T>(&mut self, all: &[T], words: (&str, &str, &str), show: impl Fn(&mut Lines, usize, &T)) {
        let (one, many, each) = words;
        match all {
            [] => {}
            [single] => {
                self.add(0, format!("\n{one}:"));
                show(self, 2, single);
            }
            all => {
                self.add(0, format!("\n{many}:"));
                for (number, item) in all.iter().enumerate() {
                    self.add(2, format!("{each} {number}:"));
                    show(self, 4, item);
                }
            }
        }
    }
}

fn size(bytes: u64) -> String {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    bytes_iec(bytes, 2)
}

/// Asks a server, or a member of a cluster, and prints.
pub fn show(client: &Client, member: &str) -> Result<()> {
    let found: Resources = client.read(&with_query("/1.0/resources", &[("target", member)]))?;
    let mut lines = Lines(String::new());
    processors(&mut lines, &found.cpu);
    memory(&mut lines, &found.memory);
    lines.several(&found.gpu.cards, ("GPU", "GPUs", "Card"), graphics);
    lines.several(&found.network.cards, ("NIC", "NICs", "Card"), network);
    lines.several(&found.storage.disks, ("Disk", "Disks", "Disk"), disk);
    emit(lines.0.as_bytes());
    Ok(())
}

fn processors(lines: &mut Lines, cpu: &ResourcesCpu) {
    match &cpu.sockets[..] {
        [socket] => {
            lines.add(0, format!("CPU ({}):", cpu.architecture));
            processor(lines, 2, socket);
        }
        sockets => {
            lines.add(0, format!("CPUs ({}):", cpu.architecture));
            for (number, socket) in sockets.iter().enumerate() {
                lines.add(2, format!("Socket {number}:"));
                processor(lines, 4, socket);
            }
        }
    }
}

fn processor(lines: &mut Lines, depth: usize, socket: &ResourcesCpuSocket) {
    lines.known(depth, "Vendor", &socket.vendor);
    lines.known(depth, "Name", &socket.name);
    if !socket.cache.is_empty() {
        lines.add(depth, "Caches:");
        for cache in &socket.cache {
            let bytes = i64::try_from(cache.size).unwrap_or(i64::MAX);
            lines.add(depth + 2, format!("- Level {} (type: {}): {}", cache.level, cache.kind, bytes_iec(bytes, 0)));
        }
    }
    lines.add(depth, "Cores:");
    for core in &socket.cores {
        lines.add(depth + 2, format!("- Core {}", core.core));
        lines.add(depth + 4, format!("Frequency: {}Mhz", core.frequency));
        lines.add(depth + 4, "Threads:");
        for thread in &core.threads {
            let about = format!("id: {}, online: {}, NUMA node: {}", thread.id, thread.online, thread.numa_node);
            lines.add(depth + 6, format!("- {} ({about})", thread.thread));
        }
    }
    if socket.frequency > 0 {
        let limits = match (socket.frequency_minimum, socket.frequency_turbo) {
            (least, most) if least > 0 && most > 0 => format!(" (min: {least}Mhz, max: {most}Mhz)"),
            _ => String::new(),
        };
        lines.add(depth, format!("Frequency: {}Mhz{limits}", socket.frequency));
    }
}

fn memory(lines: &mut Lines, memory: &ResourcesMemory) {
    lines.add(0, "\nMemory:");
    if memory.nodes.len() > 1 {
        lines.add(2, "NUMA nodes:");
        for node in &memory.nodes {
            lines.add(4, format!("Node {}:", node.numa_node));
            usage(lines, 6, (node.used, node.total));
        }
    }
    usage(lines, 2, (memory.used, memory.total));
}

fn usage(lines: &mut Lines, depth: usize, bytes: (u64, u64)) {
    let (used, total) = bytes;
    lines.add(depth, format!("Free: {}", size(total.saturating_sub(used))));
    lines.add(depth, format!("Used: {}", size(used)));
    lines.add(depth, format!("Total: {}", size(total)));
}

fn graphics(lines: &mut Lines, depth: usize, card: &ResourcesGpuCard) {
    lines.add(depth, format!("NUMA node: {}", card.numa_node));
    lines.known(depth, "Vendor", &named(&card.vendor, &card.vendor_id));
    lines.known(depth, "Product", &named(&card.product, &card.product_id));
    lines.known(depth, "PCI address", &card.pci_address);
    lines.known(depth, "Driver", &named(&card.driver, &card.driver_version));
    if let Some(drm) = &card.drm {
        lines.add(depth, "DRM:");
        lines.add(depth + 2, format!("ID: {}", drm.id));
        for (name, node, device) in [
            ("Card", &drm.card_name, &drm.card_device),
            ("Control", &drm.control_name, &drm.control_device),
            ("Render", &drm.render_name, &drm.render_device),
        ] {
            lines.known(depth + 2, name, &named(node, device));
        }
    }
    if let Some(nvidia) = &card.nvidia {
        lines.add(depth, "NVIDIA information:");
        lines.known(depth + 2, "Architecture", &nvidia.architecture);
        lines.known(depth + 2, "Brand", &nvidia.brand);
        lines.known(depth + 2, "Model", &nvidia.model);
        lines.known(depth + 2, "CUDA Version", &nvidia.cuda_version);
        lines.known(depth + 2, "NVRM Version", &nvidia.nvrm_version);
        lines.known(depth + 2, "UUID", &nvidia.uuid);
    }
    if let Some(sriov) = &card.sriov {
        virtual_functions(lines, depth, (sriov.current_vfs, sriov.maximum_vfs));
    }
}

/// A name with an id or version behind it; nothing without a name.
fn named(name: &str, id: &str) -> String {
    match (name, id) {
        (name, "") | (name @ "", _) => name.to_string(),
        (name, id) => format!("{name} ({id})"),
    }
}

fn virtual_functions(lines: &mut Lines, depth: usize, count: (u64, u64)) {
    lines.add(depth, "SR-IOV information:");
    lines.add(depth + 2, format!("Current number of VFs: {}", count.0));
    lines.add(depth + 2, format!("Maximum number of VFs: {}", count.1));
}

fn network(lines: &mut Lines, depth: usize, card: &ResourcesNetworkCard) {
    lines.add(depth, format!("NUMA node: {}", card.numa_node));
    lines.known(depth, "Vendor", &named(&card.vendor, &card.vendor_id));
    lines.known(depth, "Product", &named(&card.product, &card.product_id));
    lines.known(depth, "PCI address", &card.pci_address);
    lines.known(depth, "Driver", &named(&card.driver, &card.driver_version));
    if !card.ports.is_empty() {
        lines.add(depth, "Ports:");
    }
    for port in &card.ports {
        lines.add(depth + 2, format!("- Port {} ({})", port.port, port.protocol));
        lines.add(depth + 4, format!("ID: {}", port.id));
        lines.known(depth + 4, "Address", &port.address);
        lines.known(depth + 4, "Supported modes", &port.supported_modes.join(", "));
        lines.known(depth + 4, "Supported ports", &port.supported_ports.join(", "));
        lines.known(depth + 4, "Port type", &port.port_type);
        lines.known(depth + 4, "Transceiver type", &port.transceiver_type);
        lines.add(depth + 4, format!("Auto negotiation: {}", port.auto_negotiation));
        lines.add(depth + 4, format!("Link detected: {}", port.link_detected));
        if port.link_speed > 0 {
            lines.add(depth + 4, format!("Link speed: {}Mbit/s ({} duplex)", port.link_speed, port.link_duplex));
        }
    }
    if let Some(sriov) = &card.sriov {
        virtual_functions(lines, depth, (sriov.current_vfs, sriov.maximum_vfs));
    }
}

fn disk(lines: &mut Lines, depth: usize, disk: &ResourcesStorageDisk) {
    lines.add(depth, format!("NUMA node: {}", disk.numa_node));
    lines.add(depth, format!("ID: {}", disk.id));
    lines.add(depth, format!("Device: {}", disk.device));
    lines.known(depth, "Model", &disk.model);
    lines.known(depth, "Type", &disk.kind);
    lines.add(depth, format!("Size: {}", size(disk.size)));
    lines.known(depth, "WWN", &disk.wwn);
    lines.add(depth, format!("Read-Only: {}", disk.read_only));
    lines.add(depth, format!("Removable: {}", disk.removable));
    if !disk.partitions.is_empty() {
        lines.add(depth, "Partitions:");
    }
    for part in &disk.partitions {
        lines.add(depth + 2, format!("- Partition {}", part.partition));
        lines.add(depth + 4, format!("ID: {}", part.id));
        lines.add(depth + 4, format!("Device: {}", part.device));
        lines.add(depth + 4, format!("Read-Only: {}", part.read_only));
        lines.add(depth + 4, format!("Size: {}", size(part.size)));
    }
}
