//! Making a container's control groups under a name that nobody else has.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode};

use super::write;
use crate::runtime::spec::cgroup::{Group, Hierarchy};
use crate::runtime::spec::limits::{Limits, Setting};
use crate::runtime::spec::throttle::{Throttle, by_device};

/// How many taken names are passed over before giving up.
const MAX_SUFFIX: u32 = 1000;

/// Files of a v1 and a v2 group that its owner may write, beside the directory itself (what LXC 5.0 hands over).
const OWNED_V1: [&str; 2] = ["cgroup.procs", "tasks"];
const OWNED_V2: [&str; 5] =
    ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"];

/// Makes one directory of this name in each hierarchy; with `-1`, `-2`, … appended to all where that is taken in any.
///
/// `claim` is called with the paths before they are tried, so that a crash in between can be cleaned up after. A directory that
/// exists already is never used.
pub fn make(
    hierarchies: &[Hierarchy],
    name: &str,
    mut claim: impl FnMut(&[Group]) -> io::Result<()>,
) -> io::Result<Vec<Group>> {
    for suffix in 0..MAX_SUFFIX {
        let suffix = if suffix == 0 { String::new() } else { format!("-{suffix}") };
        let group = |h: &Hierarchy| Group {
            unified: h.unified,
            controllers: h.controllers.clone(),
            path: h.base.join(format!("{name}{suffix}")),
            inode: 0,
        };
        let mut groups: Vec<Group> = hierarchies.iter().map(group).collect();
        if groups.iter().any(|g| g.path.exists()) {
            continue;
        }
        claim(&groups)?;
        if make_all(&mut groups)? {
            return Ok(groups);
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// Makes the directories; false (and nothing left) when one of them turned out to be taken.
fn make_all(groups: &mut [Group]) -> io::Result<bool> {
    for done in 0..groups.len() {
        let group = &mut groups[done];
        if group.unified {
            hand_down(group);
        }
        match rustix::fs::mkdir(&group.path, Mode::from_raw_mode(0o755)) {
            Ok(()) => group.inode = super::inode(&group.path).unwrap_or(0),
            Err(e) => {
                for made in &groups[..done] {
                    let _ = fs::remove_dir(&made.path);
                }
                return if e == rustix::io::Errno::EXIST { Ok(false) } else { Err(e.into()) };
            }
        }
    }
    Ok(true)
}

/// Enables every controller of a v2 base for its children; one that the host uses otherwise stays off.
fn hand_down(group: &Group) {
    let Some(base) = group.path.parent() else { return };
    let enabled = fs::read_to_string(base.join("cgroup.subtree_control")).unwrap_or_default();
    for controller in group.controllers.iter().filter(|c| !enabled.split_whitespace().any(|e| e == *c)) {
        let _ = write(base, "cgroup.subtree_control", &format!("+{controller}"));
    }
}

/// Makes new groups ready for processes. `owner` is the host's group id that may write them (the guest's root); `None`: only root.
pub fn prepare(groups: &[Group], owner: Option<u32>) -> io::Result<()> {
    groups.iter().try_for_each(|group| prepare_one(group, owner))
}

fn prepare_one(group: &Group, owner: Option<u32>) -> io::Result<()> {
    if group.has("cpuset") && !group.unified {
        // A v1 cpuset begins empty and takes no process until both lists are set.
        let base = group.path.parent().unwrap_or(Path::new("/"));
        for file in ["cpuset.mems", "cpuset.cpus"] {
            let value = fs::read_to_string(base.join(file))?;
            write(&group.path, file, value.trim())?;
        }
    }
    let Some(gid) = owner else { return Ok(()) };
    let files: &[&str] = if group.unified { &OWNED_V2 } else { &OWNED_V1 };
    hand_over(&group.path, gid, 0o775)?;
    for file in files {
        match hand_over(&group.path.join(file), gid, 0o664) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn hand_over(path: &Path, gid: u32, mode: u32) -> io::Result<()> {
    rustix::fs::chown(path, None, Some(Gid::from_raw(gid)))?;
    Ok(rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), rustix::fs::AtFlags::empty())?)
}

/// Writes limits into the groups. With `reset`, those that are `None` go back to the kernel's defaults.
///
/// A limit whose controller this host lacks is an error; an optional file that is missing is not.
pub fn set_limits(groups: &[Group], limits: &Limits, reset: bool) -> io::Result<()> {
    for setting in limits.v1(reset) {
        if let Some(group) = groups.iter().find(|g| !g.unified && g.has(setting.controller)) {
            apply(group, &setting)?;
        }
    }
    for setting in limits.v2(reset) {
        // What v1 called otherwise.
        let older = if setting.controller == "io" { "blkio" } else { setting.controller };
        if groups.iter().any(|g| !g.unified && g.has(older)) {
            continue;
        }
        match groups.iter().find(|g| g.unified && g.has(setting.controller)) {
            Some(group) => apply(group, &setting)?,
            None if setting.optional => {}
            None => {
                return Err(io::Error::other(format!("this host has no {:?} cgroup controller", setting.controller)));
            }
        }
    }
    Ok(())
}

/// Writes files of a container's groups: of cgroup v2, or of the controller of v1 that their names begin with.
pub fn write_files(groups: &[Group], files: &[(bool, String, String)]) -> io::Result<()> {
    files.iter().try_for_each(|(unified, file, value)| {
        let controller = file.split('.').next().unwrap_or_default();
        let mut groups = groups.iter().filter(|g| g.unified == *unified);
        let group = groups.find(|g| *unified || g.has(controller));
        let group = group.ok_or_else(|| io::Error::other(format!("this host has no control group for {file:?}")))?;
        write(&group.path, file, value)
            .map_err(|e| io::Error::new(e.kind(), format!("{}/{file}: {e}", group.path.display())))
    })
}

/// Denies all devices but those of the rules (v1 `devices` controller); without rules nothing is changed.
///
/// A host without that controller gives an error only when there are rules.
pub fn set_devices(groups: &[Group], rules: &[String]) -> io::Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let Some(group) = groups.iter().find(|g| g.has("devices")) else {
        return super::devices::restrict(groups, rules);
    };
    write(&group.path, "devices.deny", "a")?;
    rules.iter().try_for_each(|rule| write(&group.path, "devices.allow", rule))
}

/// Changes the rules of groups that have some from `was` to `becomes`.
pub fn change_devices(groups: &[Group], was: &[String], becomes: &[String]) -> io::Result<()> {
    let Some(group) = groups.iter().find(|g| g.has("devices")) else {
        return super::devices::restrict(groups, becomes);
    };
    let allowed = becomes.iter().filter(|rule| !was.contains(rule));
    allowed.into_iter().try_for_each(|rule| write(&group.path, "devices.allow", rule))?;
    let denied = was.iter().filter(|rule| !becomes.contains(rule));
    denied.into_iter().try_for_each(|rule| write(&group.path, "devices.deny", rule))
}

/// Limits what the groups read from and write to block devices; those that are only in `was` are freed.
pub fn throttle(groups: &[Group], was: &[Throttle], becomes: &[Throttle]) -> io::Result<()> {
    let (was, becomes) = (by_device(was), by_device(becomes));
    let freed = was.keys().filter(|device| !becomes.contains_key(device));
    let freed = freed.map(|device| Throttle { device: *device, ..Throttle::default() });
    let all: Vec<Throttle> = becomes.values().copied().chain(freed).collect();
    if let Some(group) = groups.iter().find(|g| !g.unified && g.has("blkio")) {
        return all.iter().flat_map(Throttle::v1).try_for_each(|(file, line)| write(&group.path, file, &line));
    }
    match groups.iter().find(|g| g.unified && g.has("io")) {
        Some(group) => all.iter().try_for_each(|one| write(&group.path, "io.max", &one.v2())),
        None if all.is_empty() => Ok(()),
        None => Err(io::Error::other("this host has no \"blkio\" or \"io\" cgroup controller")),
    }
}

fn apply(group: &Group, setting: &Setting) -> io::Result<()> {
    match write(&group.path, setting.file, &setting.value) {
        Err(_) if setting.optional => Ok(()),
        Err(e) => Err(io::Error::new(e.kind(), format!("{}/{}: {e}", group.path.display(), setting.file))),
        Ok(()) => Ok(()),
    }
}
