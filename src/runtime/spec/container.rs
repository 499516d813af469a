//! The plan of one container's start: everything the shim needs, decided beforehand by the daemon.

use std::path::PathBuf;

use serde::Serialize;

use super::cgroup::Hierarchy;
use super::intercept::{Intercept, Mounts};
use super::{Idmap, Limits, Rlimit, VERSION};
use crate::api::tree::readable;

readable! {
    /// A whole container, ready to be started.
    ///
    /// On-disk ids are always the guest's; the shim mounts the root shifted by `idmap` (see [`Shift`]).
    #[derive(Clone, Debug, Serialize)]
    pub struct ContainerSpec {
        /// [`VERSION`] of the daemon that made it.
        pub version: u32,
        /// The instance's number.
        pub id: u64,
        /// The instance's name.
        pub name: String,
        /// Its project.
        pub project: String,
        /// Where its root file system is.
        pub root: RootSource,
        /// A file or directory that is locked (flock, exclusive) while the container runs: its volume.
        pub lock: Option<PathBuf>,
        /// The user namespace's map; empty exactly when privileged.
        pub idmap: Idmap,
        /// How ids on disk become the map's.
        #[serde(default)]
        pub shift: Shift,
        /// `security.nesting`.
        #[serde(default)]
        pub nesting: bool,
        /// The name in its UTS namespace.
        pub hostname: String,
        /// `environment.*`; `container=lxc` is added by the start itself.
        #[serde(default)]
        pub environment: Vec<(String, String)>,
        /// Program and arguments of process 1.
        pub init: Vec<String>,
        /// Resource limits.
        #[serde(default)]
        pub limits: Limits,
        /// Resource limits of process 1 and of every command of `exec`.
        #[serde(default)]
        pub rlimits: Vec<Rlimit>,
        /// Kernel parameters to set in its namespaces, by their dotted names.
        #[serde(default)]
        pub sysctls: Vec<(String, String)>,
        /// What is mounted in it beside the usual.
        #[serde(default)]
        pub mounts: Vec<Mount>,
        /// Rendered templates.
        #[serde(default)]
        pub files: Vec<FileWrite>,
        /// Bits of capabilities taken from its bounding set ([`super::capability`]).
        #[serde(default)]
        pub drop_capabilities: u64,
        /// The compiled seccomp filter (classic BPF, `struct sock_filter` array), as hex; empty for none.
        #[serde(default)]
        pub seccomp: String,
        /// Which of its system calls are done outside of it; the filter hands these on.
        #[serde(default)]
        pub intercept: Intercept,
        /// What it may mount that way.
        #[serde(default)]
        pub intercepted_mounts: Mounts,
        /// The AppArmor label of process 1 and of every command of `exec`; empty for the shim's own.
        #[serde(default)]
        pub apparmor: String,
        /// Whether no_new_privs is set.
        #[serde(default)]
        pub no_new_privs: bool,
        /// Whether it is told that the machine is of 32 bits (personality(2), `PER_LINUX32`).
        #[serde(default)]
        pub linux32: bool,
        /// Files of its control groups to write beside the limits: whether it is one of cgroup v2, its name, and what to write.
        #[serde(default)]
        pub group_files: Vec<(bool, String, String)>,
        /// Rules of the v1 `devices` controller, e.g. `c 1:3 rwm`; everything else is denied. Empty: no rules at all.
        #[serde(default)]
        pub device_rules: Vec<String>,
        /// The hierarchies of the host.
        pub cgroups: Vec<Hierarchy>,
        /// The file that keeps the last part of what the guest wrote to its console.
        pub console_log: PathBuf,
        /// Whether the shim waits for a `go` of the daemon once the namespaces exist (network devices are moved in then).
        #[serde(default)]
        pub hold: bool,
        /// The run directory of the helper behind the guest's view of `/proc` ([`super::procfs`]); `None`: it sees the host's numbers.
        #[serde(default)]
        pub view: Option<PathBuf>,
        /// What else is mounted in it, by a program of the host's.
        #[serde(default)]
        pub mounter: Option<Mounter>,
        /// Where the shim or one of its helpers kills itself; for crash tests.
        #[serde(default)]
        pub fault: Option<String>,
    }
}

impl ContainerSpec {
    /// Whether it runs without a user namespace.
    pub fn privileged(&self) -> bool {
        self.idmap.0.is_empty()
    }

    /// The version of plans this program makes.
    pub fn current_version() -> u32 {
        VERSION
    }
}

readable! {
    /// A root file system, as a storage driver names it. Nothing of it is mounted yet.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    pub enum RootSource {
        /// A plain directory (or subvolume, or mounted file system).
        Dir {
            /// The directory that becomes `/`.
            path: PathBuf,
        },
        /// Frozen layers with a directory for what the instance writes.
        Overlay {
            /// Frozen layers, top first; at least one.
            lowers: Vec<PathBuf>,
            /// What the instance wrote.
            upper: PathBuf,
            /// overlayfs' own working directory: beside `upper`, that is with the same parent directory.
            work: PathBuf,
        },
        /// A snapshot, for reading only.
        Layers {
            /// Directories laid over each other, top first; at least one.
            lowers: Vec<PathBuf>,
        },
    }

    /// How the guest's ids on disk become the host's ids of its map.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Shift {
        /// By idmapped mounts (Linux 5.12, file system by file system); what is on disk is never touched.
        #[default]
        Mount,
        /// The files on disk carry the host's ids already (`LXD_IDMAPPED_MOUNTS_DISABLE` or no kernel support).
        OnDisk,
    }

    /// Something of the host mounted in the guest (a `disk` device, a device node, `/dev/lxd`).
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Mount {
        /// A file or directory of the host.
        pub source: PathBuf,
        /// Where in the guest; symbolic links are followed inside the guest's root only. Missing parts are made.
        pub target: PathBuf,
        /// Whether it can't be written.
        #[serde(default)]
        pub readonly: bool,
        /// Whether mounts below the source come along (`recursive`).
        #[serde(default)]
        pub recursive: bool,
        /// Whether what is mounted below the source, or taken away, while the guest runs comes and goes in there too. Never the other
        /// way.
        #[serde(default)]
        pub follows: bool,
        /// Whether its ids are shifted by the container's map (`shift`).
        #[serde(default)]
        pub shift: bool,
        /// Whether a missing source is no error (`required=false`).
        #[serde(default)]
        pub optional: bool,
        /// A device node that is made for the guest and mounted in the place of the source.
        #[serde(default)]
        pub node: Option<Node>,
        /// The file system on the source, a block device, which is mounted in its place.
        #[serde(default)]
        pub filesystem: Option<Filesystem>,
        /// What else holds for it.
        #[serde(default)]
        pub flags: MountFlags,
    }

    /// What holds for a mount, whatever file system it is of (mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS").
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct MountFlags {
        /// Set-user-ID bits count for nothing.
        pub nosuid: bool,
        /// Device nodes can't be opened.
        pub nodev: bool,
        /// Nothing can be executed.
        pub noexec: bool,
        /// Reading leaves no time of access.
        pub noatime: bool,
        /// Nor does reading a directory.
        pub nodiratime: bool,
    }

    /// A program of the host that mounts more into a root before process 1 is in there: as the guest's root, as a child of process 1 and
    /// in its namespaces.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Mounter {
        /// The program.
        pub program: PathBuf,
        /// Its arguments. The root's path, `place`, comes after them.
        pub args: Vec<String>,
        /// A directory of the host where the root is as long as it runs; anybody may go through those above it.
        pub place: PathBuf,
    }

    /// A file system on a block device.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Filesystem {
        /// The kernel's name of it.
        pub kind: String,
        /// Its own options, `name` or `name=value`.
        pub options: Vec<String>,
    }

    /// A device node of a guest's own (mknod(2)): owner and mode are as the guest is to see them.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Node {
        /// A block device; else a character device.
        pub block: bool,
        /// Major number.
        pub major: u32,
        /// Minor number.
        pub minor: u32,
        /// Owner, an id of the guest.
        pub uid: u32,
        /// Group, an id of the guest.
        pub gid: u32,
        /// Permission bits.
        pub mode: u32,
    }

    /// A file written inside the mounted root before the container's process 1 starts, as the guest's root.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct FileWrite {
        /// Where in the guest; never leaves its root. Missing directories are made with mode 0755.
        pub path: String,
        /// The whole content.
        pub content: String,
        /// Permission bits of a new file.
        pub mode: u32,
        /// Whether an existing file stays as it is.
        #[serde(default)]
        pub create_only: bool,
    }
}
