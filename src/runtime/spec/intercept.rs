//! System calls of a guest that are decided on, and done, outside of it (`security.syscalls.intercept.*`): which, and what is
//! allowed (pure).

use std::collections::BTreeMap;

use serde::Serialize;

use super::syscalls::{Action, Argument, Compare, Policy, Rule};
use crate::api::tree::readable;

/// The file in the run directory that holds the [`Mounts`] of now.
pub const MOUNTS: &str = "mounts.json";

readable! {
    /// What is handed on of a guest's calls.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Intercept {
        /// mknod(2) of character devices.
        #[serde(default)]
        pub mknod: bool,
        /// setxattr(2).
        #[serde(default)]
        pub setxattr: bool,
        /// sched_setscheduler(2).
        #[serde(default)]
        pub sched_setscheduler: bool,
        /// sysinfo(2).
        #[serde(default)]
        pub sysinfo: bool,
        /// mount(2) of file systems, as [`Mounts`] says.
        #[serde(default)]
        pub mount: bool,
        /// bpf(2) of programs of the devices' control group.
        #[serde(default)]
        pub bpf: bool,
    }

    /// Which file systems a guest may mount.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Mounts {
        /// Those that the kernel mounts for it.
        #[serde(default)]
        pub allowed: Vec<String>,
        /// Those for which a program of the guest is run, by name of the file system.
        #[serde(default)]
        pub fuse: BTreeMap<String, String>,
        /// Whether ids in what the kernel has mounted are shifted by the guest's map.
        #[serde(default)]
        pub shift: bool,
    }
}

/// A system call that may be handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// mknod(2).
    Mknod,
    /// mknodat(2).
    Mknodat,
    /// setxattr(2).
    Setxattr,
    /// lsetxattr(2).
    Lsetxattr,
    /// fsetxattr(2).
    Fsetxattr,
    /// sched_setscheduler(2).
    SchedSetscheduler,
    /// sysinfo(2).
    Sysinfo,
    /// mount(2).
    Mount,
    /// bpf(2).
    Bpf,
}

/// Numbers of [`Call`]s in the order of its words; -1 where an architecture doesn't have it.
struct Numbers {
    /// `AUDIT_ARCH_*`.
    architecture: u32,
    /// Whether its words have 32 bits.
    narrow: bool,
    numbers: [i32; 9],
}

const CALLS: [(Call, &str); 9] = [
    (Call::Mknod, "mknod"),
    (Call::Mknodat, "mknodat"),
    (Call::Setxattr, "setxattr"),
    (Call::Lsetxattr, "lsetxattr"),
    (Call::Fsetxattr, "fsetxattr"),
    (Call::SchedSetscheduler, "sched_setscheduler"),
    (Call::Sysinfo, "sysinfo"),
    (Call::Mount, "mount"),
    (Call::Bpf, "bpf"),
];

const ARCHITECTURES: [Numbers; 4] = [
    Numbers { architecture: 0xc000_003e, narrow: false, numbers: [133, 259, 188, 189, 190, 144, 99, 165, 321] },
    Numbers { architecture: 0x4000_0003, narrow: true, numbers: [14, 297, 226, 227, 228, 156, 116, 21, 357] },
    Numbers { architecture: 0xc000_00b7, narrow: false, numbers: [-1, 33, 5, 6, 7, 119, 179, 40, 280] },
    Numbers { architecture: 0x4000_0028, narrow: true, numbers: [14, 324, 226, 227, 228, 156, 116, 21, 386] },
];

/// Of x32, which is amd64 with other pointers (`__X32_SYSCALL_BIT`).
const X32: i32 = 0x4000_0000;

/// Which call has this number in this architecture, and whether its words have 32 bits.
pub fn call(architecture: u32, number: i32) -> Option<(Call, bool)> {
    let known = ARCHITECTURES.iter().find(|known| known.architecture == architecture)?;
    let x32 = number >= X32;
    let at = known.numbers.iter().position(|n| *n >= 0 && *n == number & !X32)?;
    // What x32 has instead of sysinfo's structure is amd64's.
    CALLS.get(at).map(|(call, _)| (*call, known.narrow && !x32))
}

/// Devices that harm nobody: what LXD 5.0.2 lets guests make.
pub fn is_harmless(major: u32, minor: u32) -> bool {
    matches!((major, minor), (0, 0) | (1, 3 | 5 | 7 | 8 | 9) | (5, 0 | 1))
}

/// Attributes that guests may set beside those of their own.
pub fn is_settable(attribute: &[u8]) -> bool {
    attribute == b"trusted.overlay.opaque"
}

/// Flags with which mount(2) mounts nothing new: MS_REMOUNT, MS_BIND, MS_MOVE, and those of propagation.
const OTHER_MOUNTS: u64 = 0x20 | 0x1000 | 0x2000 | 0x20000 | 0x40000 | 0x80000 | 0x10_0000;

/// Options of a file system, as mount(2) has them; `None` when there is one that could reach beyond the device, or end the host.
pub fn mount_options(kind: &str, text: &str) -> Option<Vec<(String, Option<String>)>> {
    let mut options: Vec<(String, Option<String>)> = Vec::new();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
        let elsewhere = ["source", "device", "journal_dev", "journal_path", "logdev", "rtdev", "fd", "loop"];
        // Paths would be looked up on the host.
        let leaves = value.is_some_and(|value| value.contains('/') || (key, value) == ("errors", "panic"));
        if elsewhere.contains(&key) || leaves {
            return None;
        }
        options.push((key.to_owned(), value.map(str::to_owned)));
    }
    // What is on the device may say otherwise.
    if matches!(kind, "ext2" | "ext3" | "ext4") && options.iter().all(|(key, _)| key != "errors") {
        options.push(("errors".to_owned(), Some("remount-ro".to_owned())));
    }
    Some(options)
}

impl Intercept {
    /// Whether there is anything.
    pub fn any(&self) -> bool {
        *self != Intercept::default()
    }

    /// Whether a call is one of these. (Of one that isn't the kernel is asked.)
    pub fn has(&self, call: Call) -> bool {
        match call {
            Call::Mknod | Call::Mknodat => self.mknod,
            Call::Setxattr | Call::Lsetxattr | Call::Fsetxattr => self.setxattr,
            Call::SchedSetscheduler => self.sched_setscheduler,
            Call::Sysinfo => self.sysinfo,
            Call::Mount => self.mount,
            Call::Bpf => self.bpf,
        }
    }

    /// Adds the rules that hand them on.
    pub fn add_to(&self, policy: &mut Policy) {
        if !self.any() {
            return;
        }
        let mut rule = |name: &str, action, arguments: Vec<Argument>| {
            policy.rules.push(Rule { architecture: None, name: name.into(), action, arguments });
        };
        // There can't be a second listener: programs shall take this for a kernel without any.
        rule("seccomp", Action::Errno(libc::EINVAL), vec![masked(1, 1 << 3, 1 << 3)]);
        for (call, name) in CALLS.iter().filter(|(call, _)| self.has(*call)) {
            for arguments in conditions(*call) {
                rule(name, Action::Notify, arguments);
            }
        }
        if self.mount {
            // So that programs take mount(2), which is handed on.
            for name in ["fsopen", "fsconfig", "fsmount", "fspick", "open_tree", "move_mount"] {
                rule(name, Action::Errno(libc::ENOSYS), Vec::new());
            }
        }
    }
}

fn masked(index: u32, mask: u64, value: u64) -> Argument {
    Argument { index, compare: Compare::Masked(mask), value }
}

/// The arguments with which a call is handed on: one of these lists.
fn conditions(call: Call) -> Vec<Vec<Argument>> {
    let character = |index| vec![vec![masked(index, u64::from(libc::S_IFMT), u64::from(libc::S_IFCHR))]];
    match call {
        Call::Mknod => character(1),
        Call::Mknodat => character(2),
        Call::Mount => vec![vec![masked(3, OTHER_MOUNTS, 0)]],
        // BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH.
        Call::Bpf => [5, 8, 9].map(|value| vec![Argument { index: 0, compare: Compare::Equal, value }]).into(),
        _ => vec![Vec::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_known_by_their_numbers_here() {
        let native = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
        let here = |number: libc::c_long| call(native, number as i32);
        assert_eq!(here(libc::SYS_mknodat), Some((Call::Mknodat, false)));
        assert_eq!(here(libc::SYS_lsetxattr), Some((Call::Lsetxattr, false)));
        assert_eq!(here(libc::SYS_sched_setscheduler), Some((Call::SchedSetscheduler, false)));
        assert_eq!(here(libc::SYS_sysinfo), Some((Call::Sysinfo, false)));
        assert_eq!(here(libc::SYS_mount), Some((Call::Mount, false)));
        assert_eq!(here(libc::SYS_bpf), Some((Call::Bpf, false)));
        assert_eq!(here(libc::SYS_read), None);
        assert_eq!(call(0x4000_0003, 14), Some((Call::Mknod, true)));
        assert_eq!(call(0xc000_003e, X32 | 133), Some((Call::Mknod, false)));
        assert_eq!((call(0xc000_00b7, -1), call(5, 14)), (None, None));
    }

    #[test]
    fn nothing_is_handed_on_that_was_not_asked_for() {
        let rules = |intercept: Intercept| {
            let mut policy = Policy::denying();
            intercept.add_to(&mut policy);
            policy.rules.iter().map(|rule| (rule.name.clone(), rule.action)).collect::<Vec<_>>()
        };
        assert!(rules(Intercept::default()).is_empty());
        let node = rules(Intercept { mknod: true, ..Intercept::default() });
        let handed = |name: &str| (name.to_owned(), Action::Notify);
        assert_eq!(node[1..], [handed("mknod"), handed("mknodat")]);
        assert_eq!(rules(Intercept { bpf: true, ..Intercept::default() }).len(), 4);
    }

    #[test]
    fn options_stay_on_the_device() {
        let words = |kind, text| {
            mount_options(kind, text)
                .map(|all| all.into_iter().map(|(k, v)| k + &v.unwrap_or_default()).collect::<Vec<_>>())
        };
        assert_eq!(words("xfs", "a,b=3,,"), Some(vec!["a".to_owned(), "b3".to_owned()]));
        assert_eq!(words("ext4", ""), Some(vec!["errorsremount-ro".to_owned()]));
        for wrong in ["journal_path=x", "device=/dev/vda", "x,errors=panic", "usrquota=/etc/x", "logdev=8", "source=x"]
        {
            assert_eq!(words("ext4", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_harmless_devices_are_made() {
        assert!(is_harmless(0, 0) && is_harmless(1, 3) && is_harmless(5, 1));
        for (major, minor) in [(1, 1), (1, 2), (1, 11), (5, 2), (10, 200), (8, 0), (1, 0x103)] {
            assert!(!is_harmless(major, minor), "{major}:{minor}");
        }
    }
}
