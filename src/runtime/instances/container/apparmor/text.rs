//! The profiles' text and names: pure.
//!
//! Unprivileged guests are held by their user namespace: what is denied to them is denied a second time. A privileged guest's root is the
//! host's, so there the profile is the border: paths below `/proc` and `/sys` by which the host itself is changed can't be
//! written, and nothing can be mounted that gives them other paths. With nesting a guest mounts what it likes.

use crate::order::{Gather, Order};
use std::fmt::Write;

/// Which profile a guest gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `security.privileged`.
    pub privileged: bool,
    /// `security.nesting`.
    pub nesting: bool,
}

impl Variant {
    /// A word for it, which names files.
    pub(super) fn word(self) -> &'static str {
        match (self.privileged, self.nesting) {
            (false, false) => "unprivileged",
            (false, true) => "unprivileged-nesting",
            (true, false) => "privileged",
            (true, true) => "privileged-nesting",
        }
    }
}

/// LXD's name of the profile of a guest (`NAME`, or `PROJECT_NAME`), for the daemon in `lxd_dir`. The kernel takes 253 bytes, which these
/// never have: the directory has a socket in it, whose path is shorter than 108.
pub(super) fn profile_name(guest: &str, lxd_dir: &str) -> String {
    format!("lxd-{guest}{}", ending(lxd_dir))
}

/// LXD's name of the policy namespace of a guest.
pub(super) fn namespace_name(guest: &str, lxd_dir: &str) -> String {
    format!("lxd-{guest}{}", ending(&namespace_place(lxd_dir)))
}

/// How names of namespaces write a daemon's directory.
pub(super) fn namespace_place(lxd_dir: &str) -> String {
    lxd_dir.trim_start_matches('/').replace('/', "-")
}

/// What names of a daemon's guests end with.
pub(super) fn ending(place: &str) -> String {
    format!("_<{place}>")
}

/// The policy's text. `peers` is a pattern of the profiles whose processes may signal and trace each other; `own` are lines of
/// the operator's.
pub(super) fn profile(name: &str, variant: Variant, peers: &str, own: &str) -> String {
    let mut text = format!(
        "profile \"{name}\" flags=(attach_disconnected,mediate_deleted) {{\n\
         capability,\nnetwork,\nfile,\ndbus,\nunix,\numount,\nsignal (receive),\nptrace (readby, tracedby),\n\
         signal peer=\"{peers}\",\nptrace peer=\"{peers}\",\n\
         deny /proc/{{kcore,kmem,mem}} rwkl,\ndeny /proc/{{sysrq-trigger,acpi/**}} wkl,\n\
         deny /sys/firmware/efi/efivars/** wkl,\ndeny /sys/kernel/{{debug,tracing}}/** wkl,\n"
    );
    all_but(&mut text, "/sys/kernel/security", &[("apparmor", Below::All)]);
    if variant.nesting {
        // The whole file systems that are mounted there are only to allow the kernel to mount others.
        text.push_str("deny /dev/.lxc/{proc,sys}/** rwkl,\n");
    }
    if !variant.privileged || variant.nesting {
        text.push_str("mount,\npivot_root,\n");
    } else {
        privileged_files(&mut text);
        privileged_mounts(&mut text);
    }
    for line in own.lines() {
        let _ = writeln!(text, "{line}");
    }
    text.push_str("}\n");
    text
}

fn privileged_files(text: &mut String) {
    let kernel = Below::These(&[
        ("domainname", Below::All),
        ("hostname", Below::All),
        ("msg*", Below::All),
        ("ns_last_pid", Below::All),
        ("sem*", Below::All),
        ("shm*", Below::All),
    ]);
    let parameters = [("fs", Below::These(&[("mqueue", Below::All)])), ("kernel", kernel), ("net", Below::All)];
    let devices = Below::These(&[("virtual", Below::These(&[("net", Below::All)]))]);
    let system = [
        ("devices", devices),
        ("fs", Below::These(&[("cgroup", Below::All)])),
        ("kernel", Below::These(&[("security", Below::All)])),
    ];
    all_but(text, "/proc/sys", &parameters);
    all_but(text, "/sys", &system);
}

/// Sources of bind mounts: all but `/`, which has the others below it, `/proc` and `/sys`.
const SOURCES: [&str; 9] = [
    "/[^ps]**",
    "/p[^r]**",
    "/pr[^o]**",
    "/pro[^c]**",
    "/proc[^/]**",
    "/s[^y]**",
    "/sy[^s]**",
    "/sys[^/]**",
    "/{p,pr,pro,s,sy}",
];

fn privileged_mounts(text: &mut String) {
    text.push_str("mount fstype=(tmpfs,ramfs,mqueue,hugetlbfs,devpts,fuse,fuse.*,overlay),\n");
    for (kinds, place) in [
        ("proc", "/proc/"),
        ("sysfs", "/sys/"),
        ("cgroup,cgroup2", "/sys/fs/cgroup/{,**}"),
        ("binfmt_misc", "/proc/sys/fs/binfmt_misc/"),
        ("fusectl", "/sys/fs/fuse/connections/"),
        ("securityfs", "/sys/kernel/security/"),
    ] {
        let _ = writeln!(text, "mount fstype=({kinds}) -> {place},");
    }
    // These words alone: beside others (`rw`, `ro`, `silent`) apparmor_parser before 3.0.12 allows mounts of every kind.
    for how in ["bind", "rbind", "move"] {
        let one = |source: &&str| format!("mount options=({how}) {source},\n");
        text.extend(SOURCES.iter().map(one));
    }
    for how in ["private", "slave", "shared", "unbindable"] {
        let _ = writeln!(text, "mount options=({how}),\nmount options=(r{how}),");
    }
}

/// What of a directory stays writable.
enum Below<'a> {
    /// It, and all below.
    All,
    /// Only these of its names; a name may end in `*`.
    These(&'a [(&'a str, Below<'a>)]),
}

/// Denies writing to everything in a directory but these names: AppArmor has no exceptions from what is denied, so what isn't
/// meant must be spelt out, letter by letter.
fn all_but(text: &mut String, directory: &str, names: &[(&str, Below<'_>)]) {
    let stems: Vec<(&str, bool)> =
        names.iter().map(|(name, _)| (name.trim_end_matches('*'), name.ends_with('*'))).collect();
    let mut starts: Vec<&str> = stems.iter().flat_map(|(stem, _)| (0..=stem.len()).map(|end| &stem[..end])).collect();
    starts.order();
    starts.dedup();
    for start in starts {
        if stems.contains(&(start, true)) {
            continue;
        }
        let next: String = stems
            .iter()
            .filter_map(|(stem, _)| stem.strip_prefix(start)?.chars().next())
            .gather::<std::collections::BTreeSet<char>>()
            .into_iter()
            .collect();
        let _ = writeln!(text, "deny {directory}/{start}[^/{next}]*{{,/**}} wkl,");
        if !start.is_empty() && !stems.contains(&(start, false)) {
            let _ = writeln!(text, "deny {directory}/{start}{{,/**}} wkl,");
        }
    }
    for (name, below) in names {
        if let Below::These(names) = below {
            all_but(text, &format!("{directory}/{name}"), names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lxds() {
        assert_eq!(profile_name("c1", "/var/lib/lxd"), "lxd-c1_</var/lib/lxd>");
        assert_eq!(namespace_name("p_c1", "/var/lib/lxd"), "lxd-p_c1_<var-lib-lxd>");
    }

    #[test]
    fn what_is_spared_is_spelt_around() {
        let mut text = String::new();
        all_but(
            &mut text,
            "/d",
            &[("ab", Below::All), ("ac", Below::These(&[("x*", Below::All)])), ("s*", Below::All)],
        );
        let wanted = "deny /d/[^/as]*{,/**} wkl,\n\
            deny /d/a[^/bc]*{,/**} wkl,\ndeny /d/a{,/**} wkl,\n\
            deny /d/ab[^/]*{,/**} wkl,\ndeny /d/ac[^/]*{,/**} wkl,\n\
            deny /d/ac/[^/x]*{,/**} wkl,\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn only_nesting_loosens_what_a_privileged_guest_mounts() {
        let text =
            |privileged, nesting| profile("n", Variant { privileged, nesting }, "lxd-*", "deny /x w,\n  allow /y r,");
        let tight = text(true, false);
        assert!(!tight.contains("\nmount,\n") && !tight.contains("pivot_root,") && tight.contains("deny /proc/sys/"));
        for (privileged, nesting) in [(false, false), (false, true), (true, true)] {
            let loose = text(privileged, nesting);
            assert!(loose.contains("\nmount,\npivot_root,\n") && !loose.contains("deny /proc/sys/"));
            assert_eq!(loose.contains("/dev/.lxc/"), nesting);
        }
        assert!(tight.starts_with("profile \"n\" flags=(") && tight.ends_with("deny /x w,\n  allow /y r,\n}\n"));
    }
}
