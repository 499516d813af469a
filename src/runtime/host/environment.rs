//! Facts about the host for `environment` in `GET /1.0`.

use std::collections::BTreeMap;

use super::tree::{Tree, assignment};
use crate::api::types::ServerEnvironment;
use crate::order::Gather;

/// What the host is, as clients see it. Gather it once at start: none of it changes while the daemon runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Architectures guests may have, the host's first.
    pub architectures: Vec<String>,
    /// `nftables`: the only way we set up firewalls.
    pub firewall: String,
    /// `Linux`.
    pub kernel: String,
    /// The kernel's name of the architecture.
    pub kernel_architecture: String,
    /// Kernel features LXD uses, "true" or "false".
    pub kernel_features: BTreeMap<String, String>,
    /// The kernel's release.
    pub kernel_version: String,
    /// Features of liblxc that clients ask about, "true" or "false" as our own runtime has them.
    pub lxc_features: BTreeMap<String, String>,
    /// Name of the distribution.
    pub os_name: String,
    /// Its version.
    pub os_version: String,
    /// The host's name.
    pub server_name: String,
}

/// Kernel features that a probe has found; see [`super::features`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelFeatures {
    /// Mounts with mapped ids work.
    pub idmapped_mounts: bool,
    /// System calls can be handed to another process (seccomp user notification).
    pub seccomp_notify: bool,
    /// Processes can be started in a chosen cgroup and named by descriptors.
    pub pidfd: bool,
    /// A cgroup2 tree is mounted.
    pub cgroup2: bool,
}

/// Reads the facts about this host.
pub fn facts(tree: &Tree, features: KernelFeatures) -> Facts {
    let uname = rustix::system::uname();
    let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
    let machine = text(uname.machine());
    let release = ["etc/os-release", "usr/lib/os-release"].iter().find_map(|p| tree.text(p)).unwrap_or_default();
    Facts {
        architectures: architectures(&machine),
        firewall: "nftables".to_string(),
        kernel: text(uname.sysname()),
        kernel_architecture: machine,
        kernel_features: strings(&kernel_features(features)),
        kernel_version: text(uname.release()),
        lxc_features: strings(&lxc_features(features)),
        os_name: assignment(&release, "NAME").unwrap_or_default(),
        os_version: assignment(&release, "VERSION_ID").unwrap_or_default(),
        server_name: text(uname.nodename()),
    }
}

impl Facts {
    /// Fills in what these facts say; the rest of the answer is the daemon's.
    pub fn apply(&self, to: &mut ServerEnvironment) {
        let facts = self.clone();
        to.architectures = facts.architectures;
        to.firewall = facts.firewall;
        to.kernel = facts.kernel;
        to.kernel_architecture = facts.kernel_architecture;
        to.kernel_features = facts.kernel_features;
        to.kernel_version = facts.kernel_version;
        to.lxc_features = facts.lxc_features;
        to.os_name = facts.os_name;
        to.os_version = facts.os_version;
        to.server_name = facts.server_name;
    }
}

/// The host's architecture and those its kernel can also run, by their names in images.
pub fn architectures(machine: &str) -> Vec<String> {
    let names: &[&str] = match machine {
        "x86_64" => &["x86_64", "i686"],
        "i386" | "i486" | "i586" | "i686" => &["i686"],
        "aarch64" | "arm64" => &["aarch64", "armv7l"],
        "armv7l" | "armv8l" | "arm" => &["armv7l"],
        "ppc64" => &["ppc64", "ppc"],
        other => return vec![other.to_string()],
    };
    names.iter().map(|name| name.to_string()).collect()
}

/// The keys LXD 5.0.2 shows. Kernels from 5.15, our oldest, have all that is `true` here without a probe.
fn kernel_features(features: KernelFeatures) -> [(&'static str, bool); 7] {
    [
        ("idmapped_mounts", features.idmapped_mounts),
        ("netnsid_getifaddrs", true),
        ("seccomp_listener", features.seccomp_notify),
        ("seccomp_listener_continue", features.seccomp_notify),
        ("shiftfs", false),
        ("uevent_injection", true),
        ("unpriv_fscaps", true),
    ]
}

/// The keys LXD 5.0.2 shows of liblxc, as our own runtime behaves: scripts skip what is not `true`.
///
/// The `network_*` keys are false until the devices behind them work.
fn lxc_features(features: KernelFeatures) -> [(&'static str, bool); 14] {
    [
        ("cgroup2", features.cgroup2),
        ("core_scheduling", false),
        ("devpts_fd", true),
        ("idmapped_mounts_v2", features.idmapped_mounts),
        ("mount_injection_file", true),
        ("network_gateway_device_route", false),
        ("network_ipvlan", false),
        ("network_l2proxy", false),
        ("network_phys_macvlan_mtu", false),
        ("network_veth_router", false),
        ("pidfd", features.pidfd),
        ("seccomp_allow_deny_syntax", true),
        ("seccomp_notify", features.seccomp_notify),
        ("seccomp_proxy_send_notify_fd", features.seccomp_notify),
    ]
}

fn strings(rows: &[(&str, bool)]) -> BTreeMap<String, String> {
    rows.iter().map(|(name, on)| (name.to_string(), on.to_string())).gather()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn names_the_distribution() {
        let host = Fixture::new();
        host.write("etc/os-release", "ID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n");
        let facts = facts(&host.tree(), KernelFeatures::default());
        assert_eq!((facts.os_name.as_str(), facts.os_version.as_str()), ("Debian GNU/Linux", "12"));
        assert_eq!(facts.kernel, "Linux");
        assert_eq!(facts.kernel_features.get("idmapped_mounts").map(String::as_str), Some("false"));
        assert_eq!((facts.kernel_features.len(), facts.lxc_features.len()), (7, 14));
    }

    #[test]
    fn a_host_without_os_release_has_no_name() {
        let facts = facts(&Fixture::new().tree(), KernelFeatures::default());
        assert_eq!((facts.os_name.as_str(), facts.os_version.as_str()), ("", ""));
    }

    #[test]
    fn thirty_two_bit_guests_run_on_their_hosts() {
        assert_eq!(architectures("x86_64"), ["x86_64", "i686"]);
        assert_eq!(architectures("riscv64"), ["riscv64"]);
    }
}
