//! The control groups of whoever asks: found by its process id, one chain of directories for each controller.

use std::path::{Path, PathBuf};

use super::read;
use crate::runtime::spec::cgroup::{Mounted, mounts};

/// How the groups of containers begin.
const PAYLOAD: &str = "lxc.payload.";
/// How deep a group may lie below the top of its hierarchy; limits of those further up don't count.
const DEPTH: usize = 32;

/// The hierarchies of the host.
pub(super) struct Hierarchies(Vec<Mounted>);

impl Hierarchies {
    /// As they are mounted now.
    pub(super) fn discover() -> Hierarchies {
        Hierarchies(mounts(&read::text("/proc/self/mountinfo", read::LARGE).unwrap_or_default()))
    }

    #[cfg(test)]
    pub(super) fn of(mountinfo: &str) -> Hierarchies {
        Hierarchies(mounts(mountinfo))
    }

    /// The groups of the innermost container that a process with this `/proc/PID/cgroup` is in; `None` when it is in none.
    pub(super) fn groups(&self, cgroup: &str) -> Option<Groups> {
        let mut groups = Vec::new();
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(names), Some(path)) = (fields.next(), fields.next()) else { continue };
            let Some(mounted) = self.0.iter().find(|m| m.is_named(names)) else { continue };
            let Some(payload) = payload(path) else { continue };
            groups.push(Group {
                unified: mounted.unified,
                controllers: mounted.controllers.clone(),
                top: mounted.point.clone(),
                directory: mounted.directory(payload),
            });
        }
        (!groups.is_empty()).then_some(Groups(groups))
    }
}

/// The part of a group's path up to the innermost container's own.
fn payload(path: &str) -> Option<&str> {
    if path.split('/').any(|name| name == "..") {
        return None;
    }
    let begin = path.rfind(&format!("/{PAYLOAD}"))?;
    let end = path[begin + 1..].find('/').map_or(path.len(), |slash| begin + 1 + slash);
    Some(&path[..end])
}

/// A container's directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Whether this is cgroup v2.
    pub(super) unified: bool,
    controllers: Vec<String>,
    top: PathBuf,
    /// The directory.
    pub(super) directory: PathBuf,
}

impl Group {
    /// The directory and those it lies in, without the top of the hierarchy: limits hold in all of them.
    pub(super) fn up(&self) -> impl Iterator<Item = &Path> {
        self.directory.ancestors().take(DEPTH).take_while(|dir| *dir != self.top)
    }
}

/// A container's directories in all hierarchies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    /// The one with this controller: of v1 where that has it, else that of v2.
    pub(super) fn with(&self, controller: &str) -> Option<&Group> {
        let v1 = self.0.iter().find(|g| g.controllers.iter().any(|c| c == controller));
        v1.or_else(|| self.0.iter().find(|g| g.unified))
    }

    /// All of them, v2 first: there a systemd guest has few processes beside its process 1.
    pub(super) fn all(&self) -> impl Iterator<Item = &Group> {
        self.0.iter().filter(|g| g.unified).chain(self.0.iter().filter(|g| !g.unified))
    }

    /// What tells this container from others.
    pub(super) fn key(&self) -> &Path {
        self.all().next().map_or(Path::new(""), |group| &group.directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 30 0:27 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
        32 30 0:28 / /cg/memory rw - cgroup cgroup rw,memory\n\
        33 30 0:29 / /cg/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_innermost_container_counts_in_each_hierarchy() {
        let found = Hierarchies::of(HYBRID).groups(
            "3:memory:/lxc.payload.a/x.slice\n2:cpu,cpuacct:/lxc.payload.a/.lxc/lxc.payload.b/c\n0::/lxc.payload.a/init.scope\n",
        );
        let found = found.unwrap();
        let at = |controller: &str| found.with(controller).unwrap().directory.to_str().unwrap();
        assert_eq!(at("memory"), "/cg/memory/lxc.payload.a");
        assert_eq!(at("cpuacct"), "/cg/cpu/lxc.payload.a/.lxc/lxc.payload.b");
        // Nobody has it in v1, so it is looked for in v2.
        assert_eq!(at("pids"), "/cg/unified/lxc.payload.a");
        let up: Vec<_> = found.with("cpu").unwrap().up().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(
            up,
            ["/cg/cpu/lxc.payload.a/.lxc/lxc.payload.b", "/cg/cpu/lxc.payload.a/.lxc", "/cg/cpu/lxc.payload.a"]
        );
    }

    #[test]
    fn a_mounted_part_of_the_tree_is_taken_off_the_path() {
        let nested = "31 30 0:27 /lxc.payload.o /cg rw - cgroup2 cgroup2 rw\n";
        let found = Hierarchies::of(nested).groups("0::/lxc.payload.o/lxc.payload.i/a\n").unwrap();
        assert_eq!(found.with("memory").unwrap().directory, Path::new("/cg/lxc.payload.i"));
    }

    #[test]
    fn who_is_in_no_container_or_outside_of_the_tree_has_none() {
        let host = Hierarchies::of(HYBRID);
        for text in
            ["", "0::/\n", "0::/user.slice/x\n", "0::/../lxc.payload.a\n", "0::/x.lxc.payload.a\n", "junk", "1:x"]
        {
            assert!(host.groups(text).is_none(), "{text}");
        }
        assert_eq!(payload("/lxc.payload.a"), Some("/lxc.payload.a"));
    }
}
