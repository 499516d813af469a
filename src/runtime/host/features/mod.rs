//! THE table of what the host must, should and may have: a kernel feature, what needs it, what happens without it,
//! and the probe that finds out. It feeds `lxd doctor`, the features in `GET /1.0`, and ARCHITECTURE.md.
//!
//! Probes ask the kernel itself, not its version, and leave nothing behind. All of them together take some
//! milliseconds and block.

mod cgroups;
mod probes;

pub use cgroups::{Cgroups, Layout};

use std::path::{Path, PathBuf};

use super::Tree;
use super::environment::KernelFeatures;

/// How much depends on a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Containers can't run without it.
    Must,
    /// Something works less well, or not at all.
    Should,
}

/// One row of the table.
pub struct Feature {
    /// Short name.
    pub name: &'static str,
    /// How much depends on it.
    pub weight: Weight,
    /// The Linux version that has it, or "" for what does not depend on the version.
    pub since: &'static str,
    /// What needs it.
    pub needed_for: &'static str,
    /// What happens without it.
    pub without: &'static str,
    /// The probe.
    probe: fn(&Probe) -> Found,
}

/// What a probe found: a detail worth telling, or why the feature is missing.
pub type Found = Result<String, String>;

/// What probes look at.
pub struct Probe {
    tree: Tree,
    dir: PathBuf,
    cgroups: Cgroups,
}

impl Probe {
    /// For a daemon in `lxd_dir`, which need not be there yet: then the directory it would be made in counts.
    pub fn new(tree: Tree, lxd_dir: &Path) -> Probe {
        let there = lxd_dir.ancestors().find(|dir| dir.is_dir());
        let cgroups = Cgroups::read(&tree);
        Probe { dir: there.unwrap_or(Path::new("/")).to_path_buf(), tree, cgroups }
    }
}

const fn must(
    name: &'static str,
    since: &'static str,
    needed_for: &'static str,
    probe: fn(&Probe) -> Found,
) -> Feature {
    Feature { name, weight: Weight::Must, since, needed_for, without: "Containers can't run.", probe }
}

const fn should(
    name: &'static str,
    since: &'static str,
    [needed_for, without]: [&'static str; 2],
    probe: fn(&Probe) -> Found,
) -> Feature {
    Feature { name, weight: Weight::Should, since, needed_for, without, probe }
}

/// All features, in the order `lxd doctor` tells them.
pub const FEATURES: &[Feature] = &[
    must("kernel", "5.15", "everything: older kernels are not tested", probes::kernel),
    must("root", "", "namespaces, mounts and cgroups", probes::root),
    must("namespaces", "4.6", "mount, pid, network, uts, ipc and cgroup namespaces of containers", probes::namespaces),
    must("pidfd", "5.3", "naming processes without mixing them up", probes::pidfd),
    must("clone3", "5.3", "starting containers in their namespaces and cgroup at once", probes::clone3),
    must("openat2", "5.6", "looking up paths in a guest's files without leaving them", probes::openat2),
    must("mount API", "5.2", "building a container's mounts by file descriptor", probes::mount_api),
    must("seccomp", "4.14", "keeping dangerous system calls from containers", probes::seccomp),
    must("cgroups", "", "telling which processes are a container's", probes::cgroups),
    should(
        "user namespaces",
        "3.8",
        ["unprivileged containers", "Only containers with security.privileged=true run."],
        probes::user_namespaces,
    ),
    should(
        "subordinate ids",
        "",
        [
            "the range of host ids that containers get",
            "A default range is used: 1000000 and the 1000000000 ids after it, in a container what it has of ids.",
        ],
        probes::subordinate_ids,
    ),
    should(
        "idmapped mounts",
        "5.12",
        [
            "giving a container its files without changing their owners",
            "The dir pool changes the owner of each file when it creates and starts a container, which is slow; the \
             overlay pool does not work.",
        ],
        probes::idmapped_mounts,
    ),
    should(
        "overlay",
        "5.19",
        [
            "the overlay pool: launch and copy that don't depend on the size of the image",
            "Pools must be of the type dir, where each launch copies the image.",
        ],
        probes::overlay,
    ),
    should(
        "reflink",
        "",
        [
            "copies of files that share their blocks (btrfs, xfs)",
            "Copies take time and space; in an overlay pool the first write to a big file of the image copies it.",
        ],
        probes::reflink,
    ),
    should(
        "memory controller",
        "",
        ["limits.memory and the memory a container uses", "Memory is neither limited nor shown."],
        |probe| probe.cgroups.find("memory"),
    ),
    should(
        "cpu controller",
        "",
        ["limits.cpu.allowance and limits.cpu.priority", "Processor time is not limited."],
        |probe| probe.cgroups.find("cpu"),
    ),
    should("cpuset controller", "", ["limits.cpu", "Containers run on all processors."], |probe| {
        probe.cgroups.find("cpuset")
    }),
    should(
        "pids controller",
        "",
        ["limits.processes", "The number of processes is not limited: one container can use up the host's."],
        |probe| probe.cgroups.find("pids"),
    ),
    should(
        "freezer",
        "",
        [
            "lxc pause, and bringing down containers that fork faster than they are killed",
            "Containers can't be paused.",
        ],
        probes::freezer,
    ),
    should(
        "device control",
        "",
        [
            "keeping privileged containers from the host's devices",
            "Privileged containers can open all devices. Unprivileged ones can't in any case.",
        ],
        probes::device_control,
    ),
    should(
        "seccomp notification",
        "5.5",
        [
            "letting containers do a few privileged things (security.syscalls.intercept.*)",
            "Containers with these keys don't start.",
        ],
        probes::seccomp_notify,
    ),
    should(
        "AppArmor",
        "",
        [
            "keeping privileged containers from the host's kernel, and raw.apparmor",
            "Of what a privileged container's root does to the host, capabilities, device rules and seccomp alone stop some.",
        ],
        probes::apparmor,
    ),
    should(
        "FUSE",
        "5.15",
        [
            "what a container sees in /proc of its memory, processors, load and age",
            "Containers see the host's memory, processors, load and uptime.",
        ],
        |_| probes::fuse(),
    ),
    should("bridge", "", ["bridges between containers and the network", "Bridged network devices don't work."], |_| {
        probes::interface("bridge")
    }),
    should("veth", "", ["network devices of containers", "Containers have only physical and macvlan devices."], |_| {
        probes::interface("veth")
    }),
    should(
        "nftables",
        "3.13",
        ["network address translation and filters of bridges", "Bridges have no way out, and filters are refused."],
        |_| probes::nftables(),
    ),
    should(
        "forwarded packets",
        "",
        [
            "bridges whose packets no other firewall drops",
            "Another program (Docker, a firewall) drops what passes this host: bridges are cut off from the outside \
             until its chain lets their packets pass.",
        ],
        |_| probes::forwarding(),
    ),
    should(
        "inotify instances",
        "",
        [
            "systemd in many containers at once",
            "After some dozens of containers services in new ones fail with \"Too many open files\": set \
             fs.inotify.max_user_instances to 1024 or more.",
        ],
        probes::inotify,
    ),
];

/// What one feature is like on this host.
pub struct Finding {
    /// The row.
    pub feature: &'static Feature,
    /// What its probe found.
    pub found: Found,
}

/// Runs all probes. Blocks for some milliseconds.
pub fn findings(probe: &Probe) -> Vec<Finding> {
    FEATURES.iter().map(|feature| Finding { feature, found: (feature.probe)(probe) }).collect()
}

/// The features `GET /1.0` tells of. Blocks for some milliseconds; ask once, when the daemon starts.
pub fn kernel_features(probe: &Probe) -> KernelFeatures {
    KernelFeatures {
        idmapped_mounts: probes::idmapped_mounts(probe).is_ok(),
        seccomp_notify: probes::seccomp_notify(probe).is_ok(),
        pidfd: probes::pidfd(probe).is_ok(),
        cgroup2: probe.cgroups.layout != Layout::Legacy,
    }
}

/// The table as it stands in ARCHITECTURE.md.
pub fn markdown() -> String {
    let mut text = String::from("| feature | Linux | needed for | without it |\n|---|---|---|---|\n");
    for row in FEATURES {
        let since = if row.since.is_empty() { "-" } else { row.since };
        text.push_str(&format!("| {} | {since} | {} | {} |\n", row.name, row.needed_for, row.without));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_words_are_there() {
        let mut names: Vec<_> = FEATURES.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FEATURES.len());
        assert!(FEATURES.iter().all(|row| !row.needed_for.is_empty() && row.without.ends_with('.')));
        assert_eq!(markdown().lines().count(), FEATURES.len() + 2);
    }

    #[test]
    fn every_probe_answers() {
        let probe = Probe::new(Tree::host(), Path::new("/nonexistent/below/lxd"));
        for finding in findings(&probe) {
            let text = finding.found.unwrap_or_else(|reason| reason);
            assert!(!text.is_empty(), "{}", finding.feature.name);
        }
    }
}
