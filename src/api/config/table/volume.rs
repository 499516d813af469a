//! Keys of storage volumes, per driver. A pool takes the same names behind `volume.` as defaults.

use crate::api::config::key::On::Custom;
use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

const fn row(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).group("volume-conf").live()
}

/// Waits for custom volumes.
const V: &str = "custom volumes";

/// Keys that can be defaults of every pool.
pub const COMMON: &[Key] = &[
    row("size", Kind::Size, "Size or quota of the volume").later("quotas"),
    row("snapshots.expiry", Kind::Expiry, "After what time a snapshot is deleted")
        .on(Custom)
        .since("custom_volume_snapshot_expiry")
        .later(V),
    row("snapshots.pattern", Kind::Text, "Name of snapshots nobody named").on(Custom).default("snap%d").later(V),
    row("snapshots.schedule", Kind::Schedule, "When snapshots are made")
        .on(Custom)
        .since("custom_volume_snapshots")
        .later(V),
    row("security.shifted", Kind::Bool, "Let instances with different id maps share the volume")
        .on(Custom)
        .default("false")
        .since("shiftfs")
        .later(V),
    row("security.unmapped", Kind::Bool, "Leave the owners in the volume alone")
        .on(Custom)
        .default("false")
        .since("custom_volume_unmapped")
        .later(V),
];

/// Keys of volumes alone, of every driver.
pub const OWN: &[Key] = &[
    row("volatile.idmap.last", Kind::Text, "The id map the volume was last used with, as JSON").applied(),
    row("volatile.idmap.next", Kind::Text, "The id map of the next use, as JSON").applied(),
    row("user.*", Kind::Text, "Free for users").applied(),
];

const FILESYSTEM: Key =
    row("block.filesystem", Kind::OneOf(&["btrfs", "ext4", "xfs"]), "The file system made on a block volume")
        .default("ext4");
const MOUNT_OPTIONS: Key =
    row("block.mount_options", Kind::Text, "Mount options of that file system").default("discard");

const L: &str = "the lvm driver";
/// `lvm`.
pub const LVM: &[Key] = &[
    FILESYSTEM.later(L),
    MOUNT_OPTIONS.later(L),
    row("lvm.stripes", Kind::Uint32, "Stripes of the volume").later(L),
    row("lvm.stripes.size", Kind::Size, "Size of a stripe").later(L),
];

const Z: &str = "the zfs driver";
/// `zfs`.
pub const ZFS: &[Key] = &[
    row("zfs.blocksize", Kind::Size, "Size of a block, a power of two from 512 to 16MiB").later(Z),
    row("zfs.remove_snapshots", Kind::Bool, "Delete snapshots that are in the way").default("false").later(Z),
    row("zfs.reserve_space", Kind::Bool, "Reserve the space of the quota").default("false").later(Z),
    row("zfs.use_refquota", Kind::Bool, "Leave snapshots out of the quota").default("false").later(Z),
];

const C: &str = "the ceph driver";
/// `ceph`.
pub const CEPH: &[Key] = &[FILESYSTEM.later(C), MOUNT_OPTIONS.later(C)];

/// The drivers and their own keys.
pub const DRIVERS: &[(&str, &[Key])] = &[
    ("btrfs", &[]),
    ("ceph", CEPH),
    ("cephfs", &[]),
    ("cephobject", &[]),
    ("dir", &[]),
    ("lvm", LVM),
    ("overlay", &[]),
    ("zfs", ZFS),
];
