//! Keys of devices, per type and, for GPUs, per `gputype` (LXD 5.0.2, `reference/devices_*`).
//!
//! Network devices are in the file beside this one.

use crate::api::config::key::On::Vm;
use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

const fn row(name: &'static str, kind: Kind, short: &'static str) -> Key {
    key(name, kind, short).group("device-conf")
}

/// How a mount takes part in mounts elsewhere (mount(2)).
const PROPAGATION: Kind =
    Kind::OneOf(&["private", "shared", "slave", "unbindable", "rshared", "rslave", "runbindable", "rprivate"]);

/// `disk`.
pub const DISK: &[Key] = &[
    row("boot.priority", Kind::Uint32, "Place in the order of booting, highest first").on(Vm).applied(),
    row("ceph.cluster_name", Kind::Text, "Cluster of a Ceph source").default("ceph").later("Ceph"),
    row("ceph.user_name", Kind::Text, "User of a Ceph source").default("admin").later("Ceph"),
    row("limits.max", Kind::Throughput, "Bytes a second or iops, reading and writing each").live().applied(),
    row("limits.read", Kind::Throughput, "Bytes a second or iops, reading").live().applied(),
    row("limits.write", Kind::Throughput, "Bytes a second or iops, writing").live().applied(),
    row("optional", Kind::Bool, "Older spelling, turned round, of required").default("false").applied(),
    row("path", Kind::Text, "Where in the instance it is mounted; `/` for the root disk").applied(),
    row("pool", Kind::Text, "The storage pool the volume is in").applied(),
    row("propagation", PROPAGATION, "How mounts below it travel between host and instance").default("slave").applied(),
    row("raw.mount.options", Kind::Text, "Mount options of the file system").applied(),
    row("readonly", Kind::Bool, "Mount it read-only").default("false").applied(),
    row("recursive", Kind::Bool, "Take along what is mounted below the source").default("false").applied(),
    row("required", Kind::Bool, "Refuse to start when the source is missing").default("true").applied(),
    row("shift", Kind::Bool, "Translate owners to the instance's ids").default("false").applied(),
    row("size", Kind::Size, "Size of the root disk").live().applied(),
    row("size.state", Kind::Size, "Size of the volume that keeps the state of a machine").later("virtual machines"),
    row("source", Kind::Text, "A path on the host, or a volume of the pool").applied(),
];

/// Waits for the other device types.
const DEVICES: &str = "device types beyond disk and none";

const GID: Key = row("gid", Kind::UnixId, "Group of the device in the instance").default("0").applied();
const UID: Key = row("uid", Kind::UnixId, "Owner of the device in the instance").default("0").applied();
const MODE: Key = row("mode", Kind::Mode, "Mode of the device in the instance").default("0660").applied();
const REQUIRED: Key = row("required", Kind::Bool, "Refuse to start when the device is missing").applied();
const VENDOR: Key = row("vendorid", Kind::DeviceId, "Id of the vendor").applied();
const PRODUCT: Key = row("productid", Kind::DeviceId, "Id of the product").applied();

/// `unix-char` and `unix-block`.
pub const UNIX: &[Key] = &[
    GID,
    row("major", Kind::DeviceNumber, "Major number").default("that of the source").applied(),
    row("minor", Kind::DeviceNumber, "Minor number").default("that of the source").applied(),
    MODE,
    row("path", Kind::Text, "Path in the instance; the source's when unset").applied(),
    REQUIRED.default("true"),
    row("source", Kind::DevPath, "Path on the host; the instance's when unset").applied(),
    UID,
];

/// `usb`.
pub const USB: &[Key] = &[GID, MODE, PRODUCT, REQUIRED.default("false"), UID, VENDOR];

/// `unix-hotplug`.
pub const HOTPLUG: &[Key] = &[GID, MODE, PRODUCT, REQUIRED.default("false"), UID, VENDOR];

const CARD: Key = row("id", Kind::Text, "Number of the card").applied();
const PCI_ADDRESS: Key = row("pci", Kind::Pci, "PCI address of the card").applied();

/// The types of GPU and their keys.
pub const GPUTYPES: &[(&str, &[Key])] = &[
    (
        "mdev",
        &[
            CARD,
            row("mdev", Kind::Text, "Profile of the virtual card").required().later(DEVICES),
            PCI_ADDRESS,
            PRODUCT,
            VENDOR,
        ],
    ),
    (
        "mig",
        &[
            CARD,
            row("mig.ci", Kind::Uint8, "Number of the compute instance").applied(),
            row("mig.gi", Kind::Uint8, "Number of the GPU instance").applied(),
            row("mig.uuid", Kind::Text, "UUID of the MIG device, with or without `MIG-`").applied(),
            PCI_ADDRESS,
            PRODUCT,
            VENDOR,
        ],
    ),
    ("physical", &[GID, CARD, MODE, PCI_ADDRESS, PRODUCT, UID, VENDOR]),
    ("sriov", &[CARD, PCI_ADDRESS, PRODUCT, VENDOR]),
];

/// `infiniband`, both of its types.
pub const INFINIBAND: &[Key] = &[
    row("hwaddr", Kind::InfinibandMac, "Address of the interface, 20 bytes or the last 8")
        .default("that of the interface")
        .applied(),
    row("mtu", Kind::Mtu, "MTU of the interface").default("MTU of the parent").applied(),
    row("name", Kind::Interface, "Name of the interface in the guest").default("ib and a number").applied(),
    row("parent", Kind::Text, "The interface of the host").required().applied(),
];

/// `proxy`.
pub const PROXY: &[Key] = &[
    row("bind", Kind::OneOf(&["host", "instance", "guest", "container"]), "On which side to listen")
        .default("host")
        .applied(),
    row("connect", Kind::ProxyAddress, "Where connections go").required().applied(),
    row("gid", Kind::UnixId, "Group of the unix socket").default("0").applied(),
    row("listen", Kind::ProxyAddress, "Where connections are taken").required().applied(),
    row("mode", Kind::Mode, "Mode of the unix socket").default("0644").applied(),
    row("nat", Kind::Bool, "Forward by address translation").default("false").applied(),
    row("proxy_protocol", Kind::Bool, "Tell the target who connects, by the PROXY protocol").default("false").applied(),
    row("security.gid", Kind::UnixId, "Group the proxy runs as").default("0").applied(),
    row("security.uid", Kind::UnixId, "User the proxy runs as").default("0").applied(),
    row("uid", Kind::UnixId, "Owner of the unix socket").default("0").applied(),
];

/// `tpm`.
pub const TPM: &[Key] = &[
    row("path", Kind::Text, "Path of the device in the container").applied(),
    row("pathrm", Kind::Text, "Path of the resource manager in the container").applied(),
];

/// `pci`.
pub const PCI: &[Key] = &[row("address", Kind::Pci, "PCI address of the device").required().later(DEVICES)];

/// What every device can have beside its own keys.
pub const COMMON: &[Key] = &[row("user.*", Kind::Text, "Free for users").live().applied()];
