//! Keys of instances and profiles (LXD 5.0.2, `reference/instance_options`), but for the volatile ones.

use crate::api::config::key::On::{Container, Vm};
use crate::api::config::key::{Key, key};
use crate::api::config::kind::Kind;

/// Waits for virtual machines.
const VMS: &str = "virtual machines";

/// The rows.
pub const ROWS: &[Key] = &[
    // boot
    key("boot.autostart", Kind::Bool, "Start the instance when the server starts")
        .group("boot")
        .long("Unset, an instance that was running when the host went down is started again.")
        .applied(),
    key("boot.autostart.delay", Kind::Integer, "Seconds to wait after this instance before the next one is started")
        .group("boot")
        .default("0")
        .applied(),
    key("boot.autostart.priority", Kind::Integer, "Place in the order of starting, highest first")
        .group("boot")
        .default("0")
        .applied(),
    key("boot.host_shutdown_timeout", Kind::Integer, "Seconds a clean shutdown may take before the instance is killed")
        .group("boot")
        .default("30")
        .live()
        .since("container_host_shutdown_timeout")
        .applied(),
    key("boot.stop.priority", Kind::Integer, "Place in the order of stopping, highest first")
        .group("boot")
        .default("0")
        .since("container_stop_priority")
        .applied(),
    // cloud-init
    key("cloud-init.network-config", Kind::Yaml, "Network configuration handed to cloud-init")
        .group("cloud-init")
        .default("DHCP on eth0")
        .since("cloud_init")
        .long("Templates of the image read it; the guest needs cloud-init to act on it.")
        .applied(),
    key("cloud-init.user-data", Kind::CloudConfig, "User data handed to cloud-init")
        .group("cloud-init")
        .default("#cloud-config")
        .since("cloud_init")
        .long("Templates of the image read it; the guest needs cloud-init to act on it.")
        .applied(),
    key("cloud-init.vendor-data", Kind::CloudConfig, "Vendor data handed to cloud-init")
        .group("cloud-init")
        .default("#cloud-config")
        .since("cloud_init")
        .long("Templates of the image read it; cloud-init merges it with the user data.")
        .applied(),
    key("user.meta-data", Kind::Text, "Metadata for cloud-init, older spelling")
        .group("cloud-init")
        .long("Appended to what the template of the image writes.")
        .applied(),
    key("user.network-config", Kind::Text, "Older spelling of cloud-init.network-config")
        .group("cloud-init")
        .default("DHCP on eth0")
        .applied(),
    key("user.user-data", Kind::Text, "Older spelling of cloud-init.user-data")
        .group("cloud-init")
        .default("#cloud-config")
        .applied(),
    key("user.vendor-data", Kind::Text, "Older spelling of cloud-init.vendor-data")
        .group("cloud-init")
        .default("#cloud-config")
        .applied(),
    // migration
    key("migration.incremental.memory", Kind::Bool, "Copy memory in several passes while the guest still runs")
        .on(Container)
        .group("migration")
        .default("false")
        .live()
        .since("migration_pre_copy")
        .later("live migration"),
    key("migration.incremental.memory.goal", Kind::Uint32, "Percent of memory to have copied before the guest is stopped")
        .on(Container)
        .group("migration")
        .default("70")
        .live()
        .since("migration_pre_copy")
        .later("live migration"),
    key("migration.incremental.memory.iterations", Kind::Uint32, "Most passes before the guest is stopped")
        .on(Container)
        .group("migration")
        .default("10")
        .live()
        .since("migration_pre_copy")
        .later("live migration"),
    key("migration.stateful", Kind::Bool, "Allow stopping and snapshots that keep the state of the machine")
        .on(Vm)
        .group("migration")
        .default("false")
        .since("migration_stateful")
        .long("Devices and options that cannot be saved with it are refused while this is on.")
        .later(VMS),
    // miscellaneous
    key("agent.nic_config", Kind::Bool, "Give network interfaces in the guest the names and MTU of the devices")
        .on(Vm)
        .group("miscellaneous")
        .default("false")
        .since("agent_nic_config")
        .later(VMS),
    key("cluster.evacuate", Kind::OneOf(&["auto", "migrate", "live-migrate", "stop"]), "What becomes of the instance when its cluster member is evacuated")
        .group("miscellaneous")
        .default("auto")
        .since("clustering_evacuation_mode")
        .later("clusters"),
    key("environment.*", Kind::Line, "An environment variable of the guest's init and of exec")
        .group("miscellaneous")
        .live()
        .long("What follows the dot is the variable's name. Running programs keep what they have.")
        .applied(),
    key("linux.kernel_modules", Kind::Text, "Kernel modules to load on the host before the start, with commas between them")
        .on(Container)
        .group("miscellaneous")
        .live()
        .applied(),
    key("linux.sysctl.*", Kind::Text, "A kernel parameter to set in the container's namespaces")
        .on(Container)
        .group("miscellaneous")
        .since("container_linux_sysctl")
        .applied(),
    key("user.*", Kind::Text, "Free for users")
        .group("miscellaneous")
        .live()
        .long("Stored, searchable, and readable by the templates of images.")
        .applied(),
    key("image.*", Kind::Text, "A property of the image the instance was made of")
        .group("miscellaneous")
        .long("Written when the instance is made. Profiles cannot have it.")
        .applied(),
    // nvidia
    key("nvidia.driver.capabilities", Kind::Text, "Which capabilities of the driver the container gets")
        .on(Container)
        .group("nvidia")
        .default("compute,utility")
        .since("nvidia_runtime_config")
        .applied(),
    key("nvidia.require.cuda", Kind::Text, "Which versions of CUDA will do")
        .on(Container)
        .group("nvidia")
        .since("nvidia_runtime_config")
        .applied(),
    key("nvidia.require.driver", Kind::Text, "Which versions of the driver will do")
        .on(Container)
        .group("nvidia")
        .since("nvidia_runtime_config")
        .applied(),
    key("nvidia.runtime", Kind::Bool, "Make the host's NVIDIA libraries visible in the container")
        .on(Container)
        .group("nvidia")
        .default("false")
        .since("nvidia_runtime")
        .applied(),
    // raw
    key("raw.apparmor", Kind::Text, "Lines to append to the generated AppArmor profile").group("raw").live().applied(),
    key("raw.idmap", Kind::Text, "Extra entries of the id map, such as `both 1000 1000`")
        .on(Container)
        .group("raw")
        .since("id_map")
        .applied(),
    key("raw.lxc", Kind::RawLxc, "Lines of LXC configuration to append")
        .on(Container)
        .group("raw")
        .long("Only keys of a table are understood; others are refused by name.")
        .applied(),
    key("raw.qemu", Kind::Text, "Words to append to the command line of QEMU").on(Vm).group("raw").since("virtual-machines").later(VMS),
    key("raw.qemu.conf", Kind::Text, "Sections that replace or add to the generated QEMU configuration")
        .on(Vm)
        .group("raw")
        .since("qemu_raw_conf")
        .later(VMS),
    key("raw.seccomp", Kind::Text, "A system call filter in place of the generated one")
        .on(Container)
        .group("raw")
        .long("Cannot stand beside the security.syscalls keys.")
        .applied(),
    // resource-limits
    key("limits.cpu", Kind::Cpu, "How many CPUs the instance may use, or which")
        .group("resource-limits")
        .default("all (container) or 1 (VM)")
        .live()
        .long("A number lets the server choose that many; a set such as `0-3,7` pins to these. One certain CPU is written `1-1`.")
        .applied(),
    key("limits.cpu.allowance", Kind::Allowance, "Share of CPU time")
        .on(Container)
        .group("resource-limits")
        .default("100%")
        .live()
        .long("`50%` is a weight that counts under load; `25ms/100ms` is a hard quota of one CPU's time.")
        .applied(),
    key("limits.cpu.priority", Kind::Priority, "Weight among instances on the same CPUs, 0 to 10")
        .on(Container)
        .group("resource-limits")
        .default("10")
        .live()
        .applied(),
    key("limits.disk.priority", Kind::Priority, "Weight of disk requests under load, 0 to 10")
        .group("resource-limits")
        .default("5")
        .live()
        .applied(),
    key("limits.hugepages.1GB", Kind::Size, "Bytes of 1 GB huge pages the container may use")
        .on(Container)
        .group("resource-limits")
        .live()
        .since("hugepage_limits")
        .applied(),
    key("limits.hugepages.1MB", Kind::Size, "Bytes of 1 MB huge pages the container may use")
        .on(Container)
        .group("resource-limits")
        .live()
        .since("hugepage_limits")
        .applied(),
    key("limits.hugepages.2MB", Kind::Size, "Bytes of 2 MB huge pages the container may use")
        .on(Container)
        .group("resource-limits")
        .live()
        .since("hugepage_limits")
        .applied(),
    key("limits.hugepages.64KB", Kind::Size, "Bytes of 64 KB huge pages the container may use")
        .on(Container)
        .group("resource-limits")
        .live()
        .since("hugepage_limits")
        .applied(),
    key("limits.kernel.*", Kind::Rlimit, "A resource limit of the container's init (setrlimit(2))")
        .on(Container)
        .group("resource-limits")
        .since("kernel_limits")
        .long("What follows the second dot is the resource in small letters (`nofile`, `memlock`...); the value is `SOFT:HARD` or one for both, `unlimited` is a number too.")
        .applied(),
    key("limits.memory", Kind::Memory, "Memory the instance may use")
        .group("resource-limits")
        .default("all (container) or 1GiB (VM)")
        .live()
        .long("Bytes with a suffix, or a percentage of the host's memory.")
        .applied(),
    key("limits.memory.enforce", Kind::OneOf(&["soft", "hard"]), "Whether the limit of memory is strict")
        .on(Container)
        .group("resource-limits")
        .default("hard")
        .live()
        .long("`soft` lets the container have more while the host has memory to spare.")
        .applied(),
    key("limits.memory.hugepages", Kind::Bool, "Back the machine's memory with huge pages")
        .on(Vm)
        .group("resource-limits")
        .default("false")
        .since("limits_hugepages")
        .later(VMS),
    key("limits.memory.swap", Kind::Bool, "Whether memory of the container may be swapped out")
        .on(Container)
        .group("resource-limits")
        .default("true")
        .live()
        .applied(),
    key("limits.memory.swap.priority", Kind::Priority, "How firmly memory stays, 0 to 10")
        .on(Container)
        .group("resource-limits")
        .default("10")
        .live()
        .applied(),
    key("limits.network.priority", Kind::Priority, "Weight of network traffic under load, 0 to 10")
        .group("resource-limits")
        .default("0")
        .live()
        .later("networks"),
    key("limits.processes", Kind::Integer, "Most processes at one time")
        .on(Container)
        .group("resource-limits")
        .default("no limit")
        .live()
        .applied(),
    // security
    key("security.agent.metrics", Kind::Bool, "Ask the agent in the machine for state and metrics")
        .on(Vm)
        .group("security")
        .default("true")
        .since("metrics")
        .later(VMS),
    key("security.devlxd", Kind::Bool, "Give the guest the socket /dev/lxd").group("security").default("true").live().since("restrict_devlxd").applied(),
    key("security.devlxd.images", Kind::Bool, "Let the guest fetch images through /dev/lxd")
        .on(Container)
        .group("security")
        .default("false")
        .since("devlxd_images")
        .live()
        .applied(),
    key("security.idmap.base", Kind::Uint32, "First host id of the container's map")
        .on(Container)
        .group("security")
        .since("id_map_base")
        .applied(),
    key("security.idmap.isolated", Kind::Bool, "Map the container to ids no other one has")
        .on(Container)
        .group("security")
        .default("false")
        .since("id_map")
        .applied(),
    key("security.idmap.size", Kind::Uint32, "How many ids the container's map has")
        .on(Container)
        .group("security")
        .since("id_map")
        .applied(),
    key("security.nesting", Kind::Bool, "Allow containers within the container")
        .on(Container)
        .group("security")
        .default("false")
        .live()
        .applied(),
    key("security.privileged", Kind::Bool, "Run without a user namespace: root in the container is root of the host")
        .on(Container)
        .group("security")
        .default("false")
        .applied(),
    key("security.protection.delete", Kind::Bool, "Refuse to delete the instance")
        .group("security")
        .default("false")
        .live()
        .since("container_protection_delete")
        .applied(),
    key("security.protection.shift", Kind::Bool, "Refuse to change owners in the file system when the id map changes")
        .on(Container)
        .group("security")
        .default("false")
        .live()
        .since("container_protection_shift")
        .applied(),
    key("security.secureboot", Kind::Bool, "Boot with UEFI secure boot and the usual keys")
        .on(Vm)
        .group("security")
        .default("true")
        .since("virtual-machines")
        .later(VMS),
    key("security.syscalls.allow", Kind::Text, "The only system calls allowed, one a line")
        .on(Container)
        .group("security")
        .since("instance_allow_inconsistent_copy")
        .long("Cannot stand beside the deny keys.")
        .applied(),
    key("security.syscalls.deny", Kind::Text, "System calls denied, one a line")
        .on(Container)
        .group("security")
        .long("Cannot stand beside security.syscalls.allow.")
        .applied(),
    key("security.syscalls.deny_compat", Kind::Bool, "Deny system calls of other architectures (x86_64)")
        .on(Container)
        .group("security")
        .default("false")
        .applied(),
    key("security.syscalls.deny_default", Kind::Bool, "Deny the system calls of the built-in list")
        .on(Container)
        .group("security")
        .default("true")
        .applied(),
    key("security.syscalls.blacklist", Kind::Text, "Older spelling of security.syscalls.deny").on(Container).group("security").applied(),
    key("security.syscalls.blacklist_compat", Kind::Bool, "Older spelling of security.syscalls.deny_compat")
        .on(Container)
        .group("security")
        .default("false")
        .applied(),
    key("security.syscalls.blacklist_default", Kind::Bool, "Older spelling of security.syscalls.deny_default")
        .on(Container)
        .group("security")
        .default("true")
        .applied(),
    key("security.syscalls.whitelist", Kind::Text, "Older spelling of security.syscalls.allow").on(Container).group("security").applied(),
    key("security.syscalls.intercept.bpf", Kind::Bool, "Handle the bpf system call")
        .on(Container)
        .group("security")
        .default("false")
        .since("container_syscall_intercept_bpf_devices")
        .applied(),
    key("security.syscalls.intercept.bpf.devices", Kind::Bool, "Let programs for the devices cgroup be loaded")
        .on(Container)
        .group("security")
        .default("false")
        .since("container_syscall_intercept_bpf_devices")
        .applied(),
    key("security.syscalls.intercept.mknod", Kind::Bool, "Handle mknod, so that a few harmless nodes can be made")
        .on(Container)
        .group("security")
        .default("false")
        .since("container_syscall_intercept")
        .applied(),
    key("security.syscalls.intercept.mount", Kind::Bool, "Handle mount, so that chosen file systems can be mounted")
        .on(Container)
        .group("security")
        .default("false")
        .since("container_syscall_intercept_mount")
        .applied(),
    key("security.syscalls.intercept.mount.allowed", Kind::Text, "File systems that may be mounted, with commas between them")
        .on(Container)
        .group("security")
        .live()
        .since("container_syscall_intercept_mount")
        .applied(),
    key("security.syscalls.intercept.mount.fuse", Kind::Text, "File systems to mount by a FUSE program, as `ext4=fuse2fs`")
        .on(Container)
        .group("security")
        .live()
        .since("container_syscall_intercept_mount_fuse")
        .applied(),
    key("security.syscalls.intercept.mount.shift", Kind::Bool, "Shift the owners in what was mounted")
        .on(Container)
        .group("security")
        .default("false")
        .live()
        .since("container_syscall_intercept_mount")
        .applied(),
    key("security.syscalls.intercept.sched_setscheduler", Kind::Bool, "Handle sched_setscheduler, so that priorities can be raised")
        .on(Container)
        .group("security")
        .default("false")
        .since("container_syscall_intercept_sched_setscheduler")
        .applied(),
    key("security.syscalls.intercept.setxattr", Kind::Bool, "Handle setxattr, so that a few trusted attributes can be set")
        .on(Container)
        .group("security")
        .default("false")
        .since("container_syscall_intercept")
        .applied(),
    key("security.syscalls.intercept.sysinfo", Kind::Bool, "Handle sysinfo, so that it tells of the container")
        .on(Container)
        .group("security")
        .default("false")
        .since("container_syscall_intercept_sysinfo")
        .applied(),
    // snapshots
    key("snapshots.expiry", Kind::Expiry, "After what time a snapshot is deleted")
        .group("snapshots")
        .since("snapshot_expiry")
        .long("Spans such as `1M 2H 3d 4w 5m 6y`.")
        .applied(),
    key("snapshots.pattern", Kind::Text, "Name of snapshots nobody named")
        .group("snapshots")
        .default("snap%d")
        .since("snapshot_scheduling")
        .long("A template in which `creation_date` is known; `%d` becomes the next free number.")
        .applied(),
    key("snapshots.schedule", Kind::Schedule, "When snapshots are made")
        .group("snapshots")
        .since("snapshot_scheduling")
        .long("A cron line, or names such as `@daily` separated by comma and blank.")
        .applied(),
    key("snapshots.schedule.stopped", Kind::Bool, "Make them of a stopped instance too")
        .group("snapshots")
        .default("false")
        .since("snapshot_scheduling")
        .applied(),
];
