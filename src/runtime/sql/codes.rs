//! The numbers that stand for words in LXD 5.0's tables.

/// Words and their numbers.
pub(super) type Codes = &'static [(&'static str, i64)];

pub(super) const INSTANCES: Codes = &[("container", 0), ("virtual-machine", 1)];
pub(super) const VOLUMES: Codes = &[("container", 0), ("image", 1), ("custom", 2), ("virtual-machine", 3)];
pub(super) const CONTENTS: Codes = &[("filesystem", 0), ("block", 1)];
pub(super) const CERTIFICATES: Codes = &[("client", 1), ("server", 2), ("metrics", 3)];
pub(super) const PROTOCOLS: Codes = &[("lxd", 0), ("direct", 1), ("simplestreams", 2)];
pub(super) const NETWORKS: Codes = &[("bridge", 0), ("macvlan", 1), ("sriov", 2), ("ovn", 3), ("physical", 4)];
pub(super) const STATUSES: Codes = &[("new", 1), ("acknowledged", 2), ("resolved", 3)];

pub(super) const ARCHITECTURES: Codes = &[
    ("i686", 1),
    ("x86_64", 2),
    ("armv7l", 3),
    ("aarch64", 4),
    ("ppc", 5),
    ("ppc64", 6),
    ("ppc64le", 7),
    ("s390x", 8),
    ("mips", 9),
    ("mips64", 10),
    ("riscv32", 11),
    ("riscv64", 12),
    ("armv6l", 13),
    ("armv8l", 14),
];

pub(super) const DEVICES: Codes = &[
    ("none", 0),
    ("nic", 1),
    ("disk", 2),
    ("unix-char", 3),
    ("unix-block", 4),
    ("usb", 5),
    ("gpu", 6),
    ("infiniband", 7),
    ("proxy", 8),
    ("unix-hotplug", 9),
    ("tpm", 10),
    ("pci", 11),
];

/// Those that are raised here; another has 0, as in LXD one of no known type.
pub(super) const WARNINGS: Codes =
    &[("Network unavailable", 20), ("Failed to autostart instance", 22), ("Storage pool unavailable", 24)];

/// By the description that clients see; another has 0.
pub(super) const OPERATIONS: Codes = &[
    ("Creating instance", 8),
    ("Updating instance", 9),
    ("Renaming instance", 10),
    ("Migrating instance", 11),
    ("Freezing instance", 13),
    ("Unfreezing instance", 14),
    ("Deleting instance", 15),
    ("Starting instance", 16),
    ("Stopping instance", 17),
    ("Restarting instance", 18),
    ("Executing command", 19),
    ("Snapshotting instance", 20),
    ("Restoring snapshot", 22),
    ("Deleting snapshot", 25),
    ("Downloading image", 26),
    ("Deleting image", 27),
];

/// A word's number; 0 for one that has none.
pub(super) fn of(codes: Codes, word: &str) -> i64 {
    codes.iter().find(|(known, _)| *known == word).map_or(0, |(_, code)| *code)
}

/// Whether a key of the server's is this member's own.
pub(super) fn is_local(key: &str) -> bool {
    const LOCAL: &[&str] = &[
        "cluster.https_address",
        "core.bgp_address",
        "core.bgp_routerid",
        "core.debug_address",
        "core.dns_address",
        "core.https_address",
        "core.metrics_address",
        "maas.machine",
        "storage.backups_volume",
        "storage.images_volume",
    ];
    LOCAL.contains(&key)
}

/// Whether each member has a value of its own for a key of a network or a pool.
pub(super) fn of_member(key: &str) -> bool {
    const OWN: &[&str] = &[
        "bgp.ipv4.nexthop",
        "bgp.ipv6.nexthop",
        "bridge.external_interfaces",
        "lvm.thinpool_name",
        "lvm.vg_name",
        "parent",
        "size",
        "source",
        "volatile.initial_source",
        "zfs.pool_name",
    ];
    OWN.contains(&key)
}
