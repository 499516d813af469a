//! `volatile.*`: what the server remembers of an instance between its lives. Written by the server, not by people.

use crate::api::config::key::On::Vm;
use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

const fn volatile(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).group("volatile").live().applied()
}

/// The rows.
pub const ROWS: &[Key] = &[
    volatile("volatile.apply_nvram", Kind::Text, "Whether the next start makes a new NVRAM").on(Vm),
    volatile("volatile.apply_template", Kind::Text, "Which template event the next start runs: create, copy or rename"),
    volatile("volatile.base_image", Kind::Text, "Fingerprint of the image the instance was made of"),
    volatile(
        "volatile.cloud-init.instance-id",
        Kind::Uuid,
        "The instance id cloud-init sees; a new one makes it run again",
    ),
    volatile("volatile.evacuate.origin", Kind::Text, "The cluster member the instance was evacuated from"),
    volatile("volatile.idmap.base", Kind::Text, "First host id of the map"),
    volatile("volatile.idmap.current", Kind::Text, "The id map in use, as JSON"),
    volatile("volatile.idmap.next", Kind::Text, "The id map of the next start, as JSON"),
    volatile("volatile.last_state.idmap", Kind::Text, "The id map the files on disk are written with, as JSON"),
    volatile("volatile.last_state.power", Kind::Text, "RUNNING or STOPPED, as it was when the host went down"),
    volatile("volatile.uuid", Kind::Uuid, "Identity of the instance over all servers"),
    volatile("volatile.vsock_id", Kind::Integer, "Number of the vsock of the last start"),
    volatile("volatile.NAME.apply_quota", Kind::Text, "A size of the disk to apply at the next start"),
    volatile("volatile.NAME.ceph_rbd", Kind::Text, "Path of the mapped RBD device"),
    volatile("volatile.NAME.driver", Kind::Text, "The driver the PCI device had on the host"),
    volatile("volatile.NAME.host_name", Kind::Text, "Name of the interface on the host"),
    volatile("volatile.NAME.hwaddr", Kind::Text, "Address of the interface, where the device says none"),
    volatile("volatile.NAME.last_state.created", Kind::Text, "Whether the parent interface was made for it"),
    volatile("volatile.NAME.last_state.hwaddr", Kind::Text, "Address the physical interface had on the host"),
    volatile(
        "volatile.NAME.last_state.ip_addresses",
        Kind::Text,
        "Addresses the network chose for a filtered interface",
    ),
    volatile("volatile.NAME.last_state.mtu", Kind::Text, "MTU the physical interface had on the host"),
    volatile("volatile.NAME.last_state.pci.driver", Kind::Text, "The driver the interface's PCI device had"),
    volatile("volatile.NAME.last_state.pci.slot.name", Kind::Text, "The slot of the interface's PCI device"),
    volatile("volatile.NAME.last_state.vdpa.name", Kind::Text, "Name of the vDPA device"),
    volatile("volatile.NAME.last_state.vf.hwaddr", Kind::Text, "Address the virtual function had"),
    volatile("volatile.NAME.last_state.vf.id", Kind::Text, "Number of the virtual function"),
    volatile("volatile.NAME.last_state.vf.parent", Kind::Text, "Interface the virtual function is of"),
    volatile("volatile.NAME.last_state.vf.spoofcheck", Kind::Text, "Whether the virtual function checked addresses"),
    volatile("volatile.NAME.last_state.vf.vlan", Kind::Text, "VLAN the virtual function had"),
    volatile("volatile.NAME.mig.uuid", Kind::Text, "The MIG device in use"),
    volatile("volatile.NAME.name", Kind::Text, "Name of the interface in the guest, where the device says none"),
    volatile("volatile.NAME.uuid", Kind::Text, "The virtual graphics device in use, older spelling"),
    volatile("volatile.NAME.vgpu.uuid", Kind::Text, "The virtual graphics device in use"),
];
