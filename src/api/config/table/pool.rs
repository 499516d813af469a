//! Keys of storage pools, per driver (LXD 5.0.2, `reference/storage_*`, and our own `overlay`).

use crate::api::config::key::On::Member;
use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

const fn row(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).group("pool-conf").fixed()
}

const SOURCE: Key = row("source", Kind::Text, "Where the pool lies").on(Member);
const SIZE: Key = row("size", Kind::Size, "Size of the file a loop-backed pool is made in")
    .default("20% of the free space, at least 5GiB, at most 30GiB")
    .on(Member);
const BWLIMIT: Key = row("rsync.bwlimit", Kind::Size, "Bytes a second a transfer by rsync may take")
    .default("no limit")
    .live()
    .later("migration");
const COMPRESSION: Key = row("rsync.compression", Kind::Bool, "Compress transfers by rsync")
    .default("true")
    .live()
    .since("storage_rsync_compression")
    .later("migration");
const USER: Key = row("user.*", Kind::Text, "Free for users").live().applied();
const INITIAL_SOURCE: Key =
    row("volatile.initial_source", Kind::Text, "The source as it was given when the pool was made").live().applied();
const WIPE: Key = row("source.wipe", Kind::Bool, "Overwrite what is on the source block device");

/// Keys of every driver.
pub const COMMON: &[Key] = &[USER, INITIAL_SOURCE, BWLIMIT, COMPRESSION];

/// `dir`.
pub const DIR: &[Key] = &[SOURCE
    .default("storage-pools/NAME below the server's directory")
    .long("A directory that exists and is empty.")
    .applied()];

/// `overlay`.
pub const OVERLAY: &[Key] = &[SOURCE
    .default("storage-pools/NAME below the server's directory")
    .long("A directory that exists and is empty.")
    .applied()];

const B: &str = "the btrfs driver";
/// `btrfs`.
pub const BTRFS: &[Key] = &[
    SOURCE.later(B),
    SIZE.later(B),
    row("btrfs.mount_options", Kind::Text, "Mount options where the pool is a block device")
        .default("user_subvol_rm_allowed")
        .live()
        .later(B),
    WIPE.later(B),
];

const L: &str = "the lvm driver";
/// `lvm`.
pub const LVM: &[Key] = &[
    SOURCE.later(L),
    SIZE.later(L),
    row("lvm.thinpool_name", Kind::Text, "The thin pool volumes are made in").default("LXDThinPool").later(L),
    row("lvm.thinpool_metadata_size", Kind::Size, "Size of the thin pool's metadata").default("chosen by LVM").later(L),
    row("lvm.use_thinpool", Kind::Bool, "Make volumes in a thin pool").default("true").later(L),
    row("lvm.vg.force_reuse", Kind::Bool, "Take a volume group that is not empty").default("false").later(L),
    row("lvm.vg_name", Kind::Text, "The volume group").default("name of the pool").on(Member).later(L),
    row("volume.lvm.stripes", Kind::Uint32, "Stripes of new volumes").live().later(L),
    row("volume.lvm.stripes.size", Kind::Size, "Size of a stripe").live().later(L),
    WIPE.later(L),
];

const Z: &str = "the zfs driver";
/// `zfs`.
pub const ZFS: &[Key] = &[
    SOURCE.later(Z),
    SIZE.later(Z),
    row("zfs.clone_copy", Kind::Or(&["rebase"], &Kind::Bool), "Copy by clones; `rebase` starts from the image")
        .default("true")
        .live()
        .later(Z),
    row("zfs.export", Kind::Bool, "Export the zpool when the pool is unmounted").default("true").live().later(Z),
    row("zfs.pool_name", Kind::Text, "The zpool, or a dataset of it").default("name of the pool").on(Member).later(Z),
    WIPE.later(Z),
];

const C: &str = "the ceph driver";
/// `ceph`.
pub const CEPH: &[Key] = &[
    SOURCE.later(C),
    row("ceph.cluster_name", Kind::Text, "The cluster").default("ceph").later(C),
    row("ceph.osd.data_pool_name", Kind::Text, "A pool for data alone").later(C),
    row("ceph.osd.force_reuse", Kind::Bool, "Take a pool another server has").default("false").later(C),
    row("ceph.osd.pg_num", Kind::Text, "Placement groups of a new pool").default("32").later(C),
    row("ceph.osd.pool_name", Kind::Text, "The pool").default("name of the pool").later(C),
    row("ceph.rbd.clone_copy", Kind::Bool, "Copy by clones").default("true").live().later(C),
    row("ceph.rbd.du", Kind::Bool, "Ask RBD for the space a stopped instance takes").default("true").live().later(C),
    row("ceph.rbd.features", Kind::Text, "Features of new images, with commas between them")
        .default("layering")
        .live()
        .later(C),
    row("ceph.user.name", Kind::Text, "Who to be").default("admin").later(C),
    row("volatile.pool.pristine", Kind::Text, "Whether the pool was empty when it was taken").default("true").later(C),
];

const F: &str = "the cephfs driver";
/// `cephfs`.
pub const CEPHFS: &[Key] = &[
    SOURCE.later(F),
    row("cephfs.cluster_name", Kind::Text, "The cluster").default("ceph").later(F),
    row("cephfs.fscache", Kind::Bool, "Cache on the host").default("false").live().later(F),
    row("cephfs.path", Kind::Text, "The directory below which everything lies").default("/").later(F),
    row("cephfs.user.name", Kind::Text, "Who to be").default("admin").later(F),
    row("volatile.pool.pristine", Kind::Text, "Whether the file system was empty when it was taken")
        .default("true")
        .later(F),
];

const O: &str = "the cephobject driver";
/// `cephobject`.
pub const CEPHOBJECT: &[Key] = &[
    row("cephobject.bucket.name_prefix", Kind::Text, "What names of buckets begin with").later(O),
    row("cephobject.cluster_name", Kind::Text, "The cluster").default("ceph").later(O),
    row("cephobject.radosgw.endpoint", Kind::Text, "Where the gateway is").later(O),
    row("cephobject.radosgw.endpoint_cert_file", Kind::Text, "Certificate of the gateway").later(O),
    row("cephobject.user.name", Kind::Text, "Who to be").default("admin").later(O),
    row("volatile.pool.pristine", Kind::Text, "Whether the gateway was unused when it was taken")
        .default("true")
        .later(O),
];

/// The drivers and their own keys.
pub const DRIVERS: &[(&str, &[Key])] = &[
    ("btrfs", BTRFS),
    ("ceph", CEPH),
    ("cephfs", CEPHFS),
    ("cephobject", CEPHOBJECT),
    ("dir", DIR),
    ("lvm", LVM),
    ("overlay", OVERLAY),
    ("zfs", ZFS),
];
