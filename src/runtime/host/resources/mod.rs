//! The host's hardware for `GET /1.0/resources`, one file a kind. All of it is read from `/proc` and `/sys`.

mod cpu;
mod device;
mod disks;
mod gpu;
mod memory;
mod names;
mod network;
mod pci;
mod system;
mod usb;

use super::{Tree, netlink};
use crate::api::types::Resources;

/// Everything the host has. Blocks for some milliseconds; what can't be read is left out.
pub fn gather(tree: &Tree) -> Resources {
    let uname = rustix::system::uname();
    let host = Host {
        tree,
        release: uname.release().to_string_lossy().into_owned(),
        pci: names::Names::pci(tree),
        usb: names::Names::usb(tree),
        // Drivers that don't say: nothing is told.
        ethtool: |interface| netlink::ethtool(interface).unwrap_or_default(),
    };
    Resources {
        cpu: cpu::cpu(tree, &uname.machine().to_string_lossy()),
        memory: memory::memory(tree),
        gpu: gpu::gpu(&host),
        network: network::network(&host),
        storage: disks::storage(tree),
        usb: usb::usb(&host),
        pci: pci::pci(&host),
        system: system::system(tree),
    }
}

/// What the description of a device needs beside the device.
struct Host<'a> {
    tree: &'a Tree,
    /// The kernel's release: the version of drivers that have none of their own.
    release: String,
    pci: names::Names,
    usb: names::Names,
    /// What the drivers of interfaces of this network namespace tell.
    ethtool: fn(&str) -> netlink::Ethtool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with a real LXD on this host: `LXBOX_ORACLE=SOCKET cargo test -- --ignored resources_equal`.
    #[test]
    #[ignore = "needs a real LXD"]
    fn resources_equal_those_of_lxd() {
        let socket = std::env::var("LXBOX_ORACLE").unwrap();
        let api = crate::cli::lxd::SocketApi::new(socket);
        let mut theirs = crate::cli::lxd::Api::get(&api, "/1.0/resources").unwrap().metadata;
        let mut ours = serde_json::to_value(gather(&Tree::host())).unwrap();
        for answer in [&mut theirs, &mut ours] {
            for pointer in ["/memory/used", "/memory/nodes/0/used"] {
                let used = answer.pointer_mut(pointer).unwrap();
                assert!(used.take().as_u64().unwrap() > 0);
            }
        }
        assert_eq!(serde_json::to_string_pretty(&ours).unwrap(), serde_json::to_string_pretty(&theirs).unwrap());
    }
}
