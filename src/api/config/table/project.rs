//! Keys of projects (LXD 5.0.2, `projects.md`).

use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

/// Waits for projects beside the default one.
const P: &str = "projects";
/// The usual pair.
const BLOCK: Kind = Kind::OneOf(&["block", "allow"]);

const fn row(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).live().later(P)
}
const fn feature(name: &'static str, short: &'static str) -> Key {
    row(name, Kind::Bool, short).group("features").default("true")
}
const fn limit(name: &'static str, kind: Kind, short: &'static str) -> Key {
    row(name, kind, short).group("limits").since("projects_limits")
}
const fn restrict(name: &'static str, kind: Kind, short: &'static str) -> Key {
    row(name, kind, short).group("restricted").default("block").since("projects_restrictions")
}

/// The rows.
pub const ROWS: &[Key] = &[
    row("backups.compression_algorithm", Kind::Compression, "How backups are compressed").group("specific"),
    feature("features.images", "Images and aliases of its own"),
    feature("features.networks", "Networks of its own").default("false").since("projects_networks"),
    feature("features.profiles", "Profiles of its own"),
    feature("features.storage.volumes", "Custom volumes of its own"),
    row("images.auto_update_cached", Kind::Bool, "Keep cached images up to date").group("specific"),
    row("images.auto_update_interval", Kind::Integer, "Hours between looks for newer images; 0 for never")
        .group("specific"),
    row("images.compression_algorithm", Kind::Compression, "How new images are compressed").group("specific"),
    row("images.default_architecture", super::server::ARCHITECTURE, "Architecture to take where members have several")
        .group("specific"),
    row("images.remote_cache_expiry", Kind::Integer, "Days after which an unused cached image goes").group("specific"),
    limit("limits.containers", Kind::Uint32, "Most containers"),
    limit("limits.cpu", Kind::Uint32, "Most CPUs, all instances' limits together"),
    limit("limits.disk", Kind::Size, "Most disk space of instances, custom volumes and images together"),
    limit("limits.instances", Kind::Uint32, "Most instances"),
    limit("limits.memory", Kind::Size, "Most memory, all instances' limits together"),
    limit("limits.networks", Kind::Uint32, "Most networks"),
    limit("limits.processes", Kind::Uint32, "Most processes, all instances' limits together"),
    limit("limits.virtual-machines", Kind::Uint32, "Most virtual machines"),
    restrict("restricted", Kind::Bool, "Whether the other restrictions hold").default("false"),
    restrict("restricted.backups", BLOCK, "Backups of instances and volumes"),
    restrict("restricted.cluster.groups", Kind::Text, "Cluster groups instances may be put on; all when empty")
        .default(""),
    restrict("restricted.cluster.target", BLOCK, "Choosing a cluster member for an instance"),
    restrict(
        "restricted.containers.interception",
        Kind::OneOf(&["allow", "block", "full"]),
        "Interception of system calls",
    )
    .long("`allow` leaves mounting of file systems blocked, `full` does not."),
    restrict("restricted.containers.lowlevel", BLOCK, "Raw and volatile keys of containers"),
    restrict("restricted.containers.nesting", BLOCK, "Nesting of containers"),
    restrict(
        "restricted.containers.privilege",
        Kind::OneOf(&["allow", "unprivileged", "isolated"]),
        "Which privilege containers may have",
    )
    .default("unprivileged")
    .long("`isolated` wants an id map no other container has."),
    restrict("restricted.devices.disk", Kind::OneOf(&["block", "allow", "managed"]), "Disk devices")
        .default("managed")
        .long("`managed` wants a pool, `block` leaves the root disk only."),
    restrict(
        "restricted.devices.disk.paths",
        Kind::List(&Kind::AbsPath),
        "Where on the host sources of disks may lie; anywhere when empty",
    )
    .default(""),
    restrict("restricted.devices.gpu", BLOCK, "Devices of type gpu"),
    restrict("restricted.devices.infiniband", BLOCK, "Devices of type infiniband"),
    restrict("restricted.devices.nic", Kind::OneOf(&["block", "allow", "managed"]), "Network devices")
        .default("managed")
        .long("`managed` wants a network of the server."),
    restrict("restricted.devices.pci", BLOCK, "Devices of type pci"),
    restrict("restricted.devices.proxy", BLOCK, "Devices of type proxy"),
    restrict("restricted.devices.unix-block", BLOCK, "Devices of type unix-block"),
    restrict("restricted.devices.unix-char", BLOCK, "Devices of type unix-char"),
    restrict("restricted.devices.unix-hotplug", BLOCK, "Devices of type unix-hotplug"),
    restrict("restricted.devices.usb", BLOCK, "Devices of type usb"),
    restrict("restricted.idmap.gid", Kind::List(&Kind::IdRange), "Host gids raw.idmap may name").default(""),
    restrict("restricted.idmap.uid", Kind::List(&Kind::IdRange), "Host uids raw.idmap may name").default(""),
    restrict("restricted.networks.access", Kind::Text, "Networks that can be used; all when empty").default(""),
    restrict(
        "restricted.networks.subnets",
        Kind::Or(&["block"], &Kind::UplinkSubnets),
        "Subnets of uplinks that can be used, as UPLINK:SUBNET",
    ),
    restrict("restricted.networks.uplinks", Kind::Text, "Networks that can be uplinks"),
    restrict("restricted.networks.zones", Kind::Text, "Network zones that can be used"),
    restrict("restricted.snapshots", BLOCK, "Snapshots of instances and volumes"),
    restrict("restricted.virtual-machines.lowlevel", BLOCK, "Raw and volatile keys of virtual machines"),
    row("user.*", Kind::Text, "Free for users").group("miscellaneous").applied(),
];
