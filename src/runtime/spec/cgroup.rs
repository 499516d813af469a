//! Where control groups are on this host and how those of a container are called (pure).
//!
//! Hosts have cgroup v2 alone ("unified"), v1 alone, or v1 controllers with an extra v2 tree ("hybrid"). A container gets
//! one directory in every hierarchy, all with the same name, below the group of the host's process 1 (as liblxc does).

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// One mounted hierarchy.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Hierarchy {
        /// Whether this is cgroup v2.
        pub unified: bool,
        /// v1 controllers of it, or `name=NAME`; for v2 the controllers that can be handed down.
        pub controllers: Vec<String>,
        /// The directory below which ours are made.
        pub base: PathBuf,
    }

    /// A directory in one hierarchy that belongs to one container.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Group {
        /// Whether this is cgroup v2.
        pub unified: bool,
        /// As in [`Hierarchy::controllers`].
        pub controllers: Vec<String>,
        /// The directory itself.
        pub path: PathBuf,
        /// Its inode number, which the kernel never gives again: tells it from a later directory of the same name. 0: not known.
        #[serde(default)]
        pub inode: u64,
    }
}

impl Group {
    /// Whether the files of `controller` are in this directory.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

/// The first choice for the name of a container's groups: `lxc.payload.[PROJECT_]NAME`. Names are global on the host: when it is taken, `-1`, `-2`, … are appended.
pub fn group_name(project: &str, name: &str) -> String {
    match project {
        "" | "default" => format!("lxc.payload.{name}"),
        project => format!("lxc.payload.{project}_{name}"),
    }
}

/// Reads the hierarchies out of `/proc/self/mountinfo` and `/proc/1/cgroup` texts.
///
/// `v2_controllers` gives the `cgroup.controllers` text of a v2 base directory.
pub fn hierarchies(mountinfo: &str, init_cgroup: &str, v2_controllers: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some(mount) = parse_mount(line) else { continue };
        let Some(hierarchy) = hierarchy(&mount, init_cgroup, &v2_controllers) else { continue };
        if !found
            .iter()
            .any(|h| h.unified == hierarchy.unified && (h.unified || h.controllers == hierarchy.controllers))
        {
            found.push(hierarchy);
        }
    }
    found
}

struct MountLine<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn parse_mount(line: &str) -> Option<MountLine<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
    Some(MountLine { root, point, kind, options })
}

fn hierarchy(mount: &MountLine<'_>, init_cgroup: &str, v2_controllers: &impl Fn(&Path) -> String) -> Option<Hierarchy> {
    let mount = mounted(mount)?;
    let base = base(&mount, init_group(init_cgroup, |names| mount.is_named(names))?);
    let controllers = match mount.unified {
        true => v2_controllers(&base).split_whitespace().map(str::to_owned).collect(),
        false => mount.controllers,
    };
    Some(Hierarchy { unified: mount.unified, controllers, base })
}

/// A hierarchy as it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Whether this is cgroup v2.
    pub unified: bool,
    /// v1 controllers of it, or `name=NAME`; none for v2.
    pub controllers: Vec<String>,
    root: String,
    /// Where it is mounted.
    pub point: PathBuf,
}

impl Mounted {
    /// The directory of a group that `/proc/PID/cgroup` names so.
    pub fn directory(&self, group: &str) -> PathBuf {
        let below = group.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(group).trim_start_matches('/');
        if below.is_empty() { self.point.clone() } else { self.point.join(below) }
    }

    /// Whether this is the line of `/proc/PID/cgroup` with these names.
    pub fn is_named(&self, names: &str) -> bool {
        match self.controllers.first() {
            None => names.is_empty(),
            Some(first) => names.split(',').any(|name| name == first),
        }
    }
}

/// All hierarchies that a `/proc/self/mountinfo` text tells of, each once.
pub fn mounts(mountinfo: &str) -> Vec<Mounted> {
    let mut found: Vec<Mounted> = Vec::new();
    for mount in mountinfo.lines().filter_map(parse_mount).filter_map(|line| mounted(&line)) {
        if !found.iter().any(|m| m.controllers == mount.controllers) {
            found.push(mount);
        }
    }
    found
}

fn mounted(mount: &MountLine<'_>) -> Option<Mounted> {
    let unified = match mount.kind {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let known = |word: &&str| {
        !matches!(*word, "rw" | "ro" | "xattr" | "clone_children" | "noprefix") && !word.contains("_agent=")
    };
    let words = mount.options.split(',').filter(|_| !unified).filter(known);
    let controllers: Vec<String> = words.map(str::to_owned).collect();
    let named = unified || !controllers.is_empty();
    named.then(|| Mounted { unified, controllers, root: mount.root.to_owned(), point: mount.point.into() })
}

/// The path of process 1 in the hierarchy whose name field pleases `wanted`.
fn init_group(init_cgroup: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    init_cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        wanted(names).then_some(path)
    })
}

/// The directory of process 1's group, without systemd's own `init.scope`.
fn base(mount: &Mounted, group: &str) -> PathBuf {
    mount.directory(group.strip_suffix("/init.scope").unwrap_or(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_tools_expect() {
        assert_eq!(group_name("default", "c1"), "lxc.payload.c1");
        assert_eq!(group_name("p", "c1"), "lxc.payload.p_c1");
    }

    #[test]
    fn a_hybrid_host() {
        let mountinfo = "30 24 0:26 / /sys/fs/cgroup rw,relatime shared:2 - tmpfs tmpfs rw,mode=755\n\
            31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct\n\
            32 30 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup systemd rw,xattr,release_agent=/x,name=systemd\n\
            33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n\
            34 30 0:29 / /mnt/again rw,relatime - cgroup2 cgroup2 rw\n";
        let init = "4:cpu,cpuacct:/\n2:name=systemd:/init.scope\n0::/init.scope\n";
        let found = hierarchies(mountinfo, init, |_| String::new());
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[1].controllers, ["name=systemd"]);
        assert_eq!(found[1].base, Path::new("/sys/fs/cgroup/systemd"));
        assert!(found[2].unified && found[2].controllers.is_empty());
        assert_eq!(found[2].base, Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn a_pure_v2_host_and_a_nested_base() {
        let mountinfo = "31 30 0:27 /docker/x /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
        let found = hierarchies(mountinfo, "0::/docker/x/inner/init.scope\n", |_| "cpu io memory\n".into());
        assert_eq!(found[0].base, Path::new("/sys/fs/cgroup/inner"));
        assert_eq!(found[0].controllers, ["cpu", "io", "memory"]);
    }
}
