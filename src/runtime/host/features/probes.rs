//! The probes of the table: each tells a detail, or why the feature is missing.

use std::os::fd::AsFd;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{FsOpenFlags, OpenTreeFlags};

use super::{Found, Layout, Probe};
use crate::runtime::host::netlink;
use crate::runtime::network::nft::Nft;
use crate::runtime::network::rules::TABLE;
use crate::runtime::spec::idmap::{DEFAULT_RANGE, mapped_range, root_range};
use crate::runtime::sys::{fuse, probe, process};

/// The oldest kernel that is tested.
const OLDEST: (u32, u32) = (5, 15);
/// From this one overlay mounts take idmapped layers.
const OVERLAY_IDMAP: (u32, u32) = (5, 19);
const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
/// What systemd guests of some dozens of containers need together.
const INOTIFY: u64 = 1024;

pub(super) fn kernel(_: &Probe) -> Found {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if version(&release) >= OLDEST { Ok(release) } else { Err(format!("this is Linux {release}")) }
}

pub(super) fn root(_: &Probe) -> Found {
    let user = rustix::process::geteuid();
    if !user.is_root() {
        return Err(format!("this is user {}, not root", user.as_raw()));
    }
    match caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_ADMIN) {
        Ok(true) => Ok("root".to_string()),
        _ => Err("this root has no CAP_SYS_ADMIN: is this within a container?".to_string()),
    }
}

pub(super) fn namespaces(probe: &Probe) -> Found {
    let names = ["mnt", "pid", "net", "uts", "ipc", "cgroup"];
    let missing: Vec<_> = names.into_iter().filter(|name| !probe.tree.exists(format!("proc/self/ns/{name}"))).collect();
    if missing.is_empty() { Ok(names.join(", ")) } else { Err(format!("the kernel lacks {}", missing.join(", "))) }
}

pub(super) fn pidfd(_: &Probe) -> Found {
    let opened = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    opened.map(|_| works()).map_err(|e| refused("pidfd_open", e))
}

pub(super) fn clone3(_: &Probe) -> Found {
    match probe::user_namespace() {
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => Err(refused("clone3", e)),
        // The call is there; whether the namespace is, is another row's matter.
        _ => Ok(works()),
    }
}

pub(super) fn openat2(_: &Probe) -> Found {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    opened.map(|_| works()).map_err(|e| refused("openat2", e))
}

pub(super) fn mount_api(_: &Probe) -> Found {
    let opened = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC);
    opened.map(|_| works()).map_err(|e| refused("fsopen", e))
}

pub(super) fn seccomp(probe: &Probe) -> Found {
    let actions = probe.tree.text("proc/sys/kernel/seccomp/actions_avail");
    actions.ok_or_else(|| "the kernel has no seccomp filters".to_string())
}

pub(super) fn seccomp_notify(probe: &Probe) -> Found {
    let actions = seccomp(probe)?;
    let there = actions.split_whitespace().any(|action| action == "user_notif");
    if there { Ok(works()) } else { Err("the kernel has no SECCOMP_RET_USER_NOTIF".to_string()) }
}

pub(super) fn apparmor(probe: &Probe) -> Found {
    if !probe.tree.text("sys/module/apparmor/parameters/enabled").is_some_and(|on| on.starts_with('Y')) {
        return Err("the kernel has none, or it isn't switched on".to_string());
    }
    if !probe.tree.exists("sys/kernel/security/apparmor/.replace") {
        return Err("securityfs isn't mounted on /sys/kernel/security".to_string());
    }
    let places = ["usr/sbin", "sbin", "usr/local/sbin", "usr/bin"];
    match places.iter().any(|place| probe.tree.exists(format!("{place}/apparmor_parser"))) {
        true => Ok(works()),
        false => Err("apparmor_parser isn't installed".to_string()),
    }
}

/// By a file system that is mounted nowhere and goes with its descriptors.
pub(super) fn fuse() -> Found {
    let device = fuse::open().map_err(|e| format!("/dev/fuse can't be opened: {e}"))?;
    let again = fuse::mount(device.as_fd()).and_then(|first| Ok((first, fuse::mount(device.as_fd())?)));
    again.map(|_| works()).map_err(|e| refused("mounting a FUSE file system", e))
}

pub(super) fn cgroups(probe: &Probe) -> Found {
    match probe.cgroups.layout {
        Layout::Unified => Ok("version 2".to_string()),
        Layout::Hybrid => Ok("version 1, with a version 2 tree beside it".to_string()),
        Layout::Legacy => Ok("version 1".to_string()),
        Layout::None => Err("nothing is mounted on /sys/fs/cgroup".to_string()),
    }
}

pub(super) fn freezer(probe: &Probe) -> Found {
    // In version 2 it is part of the tree (5.2), no controller.
    if probe.cgroups.unified.is_some() { Ok(works()) } else { probe.cgroups.find("freezer") }
}

pub(super) fn device_control(probe: &Probe) -> Found {
    let by_program = || "cgroup version 2, by a BPF program".to_string();
    let v1 = probe.cgroups.find("devices");
    if v1.is_ok() || probe.cgroups.unified.is_none() { v1 } else { Ok(by_program()) }
}

pub(super) fn user_namespaces(probe: &Probe) -> Found {
    match probe::user_namespace() {
        Ok(_) => Ok(works()),
        Err(e) => {
            let limit = probe.tree.number("proc/sys/user/max_user_namespaces") == Some(0);
            let hint = if limit { ": user.max_user_namespaces is 0" } else { "" };
            Err(format!("the kernel refuses one ({e}){hint}"))
        }
    }
}

pub(super) fn subordinate_ids(probe: &Probe) -> Found {
    let range = |file: &str, map: &str| {
        let text = probe.tree.text(file);
        let (first, count) = match text.as_deref().map(root_range) {
            Some(None) => return Err(format!("/{file} gives root no range of at least 65536 ids")),
            Some(Some(range)) if range != DEFAULT_RANGE => range,
            // In a container only some of the default are there.
            _ => probe.tree.text(map).and_then(|map| mapped_range(&map)).unwrap_or(DEFAULT_RANGE),
        };
        let given = |text: &str| text.lines().any(|line| line.starts_with("root:") || line.starts_with("0:"));
        match text.as_deref().map(given) {
            Some(true) => Ok(format!("{first}+{count}")),
            Some(false) => Err(format!("/{file} has no line for root: {first}+{count} is used")),
            None => Err(format!("/{file} is not there: {first}+{count} is used")),
        }
    };
    let (users, groups) = (range("etc/subuid", "proc/self/uid_map")?, range("etc/subgid", "proc/self/gid_map")?);
    Ok(format!("users {users}, groups {groups}"))
}

pub(super) fn idmapped_mounts(probe: &Probe) -> Found {
    let dir = probe.dir.display();
    let userns = probe::user_namespace().map_err(|e| format!("there is no user namespace to map by ({e})"))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(CWD, &probe.dir, flags).map_err(|e| refused("open_tree", e))?;
    probe::idmap_mount(mount.as_fd(), userns.as_fd())
        .map(|()| format!("on the file system of {dir}"))
        .map_err(|e| format!("the file system of {dir} refuses one ({e})"))
}

pub(super) fn overlay(probe: &Probe) -> Found {
    rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|e| format!("the kernel has no overlay file system ({e})"))?;
    if !process::is_in_first_user_namespace() {
        return Err("in a container nobody may write the attributes that it keeps".into());
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if version(&release) < OVERLAY_IDMAP {
        return Err(format!("Linux {release} can't put an overlay over idmapped layers"));
    }
    let dir = probe.dir.display();
    let stat = rustix::fs::statfs(&probe.dir).map_err(|e| format!("Failed looking at {dir}: {e}"))?;
    // The type is signed on some architectures, and all magic numbers are 32 bits.
    if (stat.f_type as u64) & 0xffff_ffff == OVERLAYFS_MAGIC {
        return Err(format!("{dir} is on an overlay itself, which can't be the writable layer of another"));
    }
    idmapped_mounts(probe).map(|_| works())
}

pub(super) fn reflink(probe: &Probe) -> Found {
    let dir = probe.dir.display();
    // Files without a name: nothing to clean up.
    let file =
        || rustix::fs::open(&probe.dir, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o600));
    let (source, target) = (file(), file());
    let (Ok(source), Ok(target)) = (source, target) else {
        return Err(format!("no file can be made in {dir} to try it"));
    };
    rustix::io::write(&source, &[1; 4096]).map_err(|e| format!("Failed writing in {dir}: {e}"))?;
    rustix::fs::ioctl_ficlone(&target, &source)
        .map(|()| format!("on the file system of {dir}"))
        .map_err(|e| format!("the file system of {dir} has none ({e})"))
}

/// Whether the kernel has interfaces of this kind: tries it in a network namespace made for that.
pub(super) fn interface(kind: &'static str) -> Found {
    let tried = probe::in_empty_network(|| netlink::make_interface(kind));
    match tried.map_err(|e| format!("no network namespace to try it in ({e})"))? {
        Err(e) if e.errno() == Some(libc::EOPNOTSUPP) => Err(format!("the kernel has no {kind} interfaces")),
        // Anything else is about the settings, which were none.
        _ => Ok(works()),
    }
}

pub(super) fn nftables() -> Found {
    let tried =
        probe::in_empty_network(netlink::nftables).map_err(|e| format!("no network namespace to try it in ({e})"))?;
    tried.map(|()| works()).map_err(|e| format!("the kernel does not answer ({e})"))
}

/// Chains of others that drop what passes this host. Where they can't be asked for, nftables' own row says so.
pub(super) fn forwarding() -> Found {
    let foreign = Nft::open().and_then(|mut nft| nft.foreign_drops(TABLE));
    match foreign.unwrap_or_default().first() {
        None => Ok(works()),
        Some(d) => Err(format!("chain {:?} of table {} {:?} drops them", d.chain, d.family.name(), d.table)),
    }
}

pub(super) fn inotify(probe: &Probe) -> Found {
    let limit = probe.tree.number("proc/sys/fs/inotify/max_user_instances").unwrap_or(0);
    if limit >= INOTIFY { Ok(format!("{limit} a user")) } else { Err(format!("only {limit} a user")) }
}

/// Major and minor number of a release.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn works() -> String {
    "works".to_string()
}

fn refused(call: &str, error: impl std::fmt::Display) -> String {
    format!("the system call {call} is refused ({error})")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::runtime::host::fixture::Fixture;

    fn probe(host: &Fixture) -> Probe {
        Probe::new(host.tree(), Path::new("/"))
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(version("6.18.44-fc-v595"), (6, 18));
        assert!(version("5.9.0") < OLDEST && version("5.15") >= OLDEST && version("10.0") > OLDEST);
        assert_eq!(version("odd"), (0, 0));
    }

    #[test]
    fn ranges_of_root_must_be_big_enough() {
        let host = Fixture::new();
        let default = "/etc/subuid is not there: 1000000+1000000000 is used";
        assert_eq!(subordinate_ids(&probe(&host)), Err(default.to_string()));
        host.write("proc/self/uid_map", "         0    1065536     200000\n");
        let inside = "/etc/subuid is not there: 65536+134464 is used";
        assert_eq!(subordinate_ids(&probe(&host)), Err(inside.to_string()));
        host.write("etc/subuid", "lxd:1:2\nroot:100000:65536\n").write("etc/subgid", "root:100000:1000\n");
        let text = "/etc/subgid gives root no range of at least 65536 ids";
        assert_eq!(subordinate_ids(&probe(&host)), Err(text.to_string()));
        host.write("etc/subgid", "lxd:1:65536\n");
        let none = "/etc/subgid has no line for root: 1000000+1000000000 is used";
        assert_eq!(subordinate_ids(&probe(&host)), Err(none.to_string()));
        host.write("etc/subgid", "root:200000:65536\n");
        assert_eq!(subordinate_ids(&probe(&host)), Ok("users 100000+65536, groups 200000+65536".to_string()));
    }

    #[test]
    fn a_bare_host_lacks_what_files_tell() {
        let host = Fixture::new();
        let probe = probe(&host);
        assert!(namespaces(&probe).is_err() && seccomp_notify(&probe).is_err() && cgroups(&probe).is_err());
        assert!(freezer(&probe).is_err() && device_control(&probe).is_err() && inotify(&probe).is_err());
        host.write("proc/sys/kernel/seccomp/actions_avail", "kill_process errno user_notif allow\n");
        assert!(seccomp_notify(&probe).is_ok());
    }
}
