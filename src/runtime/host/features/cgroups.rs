//! Which control group trees and controllers the host has, from `/proc/self/mountinfo`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Found;
use crate::runtime::host::Tree;

/// How the host's trees are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One cgroup2 tree.
    Unified,
    /// A cgroup2 tree beside version 1 trees that have (some of) the controllers.
    Hybrid,
    /// Version 1 trees alone.
    Legacy,
    /// No tree at all.
    #[default]
    None,
}

/// The host's control group trees.
#[derive(Clone, Debug, Default)]
pub struct Cgroups {
    /// How they are laid out.
    pub layout: Layout,
    /// The root of the cgroup2 tree.
    pub unified: Option<PathBuf>,
    /// Controllers and named trees (`name=systemd`) of version 1, with their roots.
    pub legacy: BTreeMap<String, PathBuf>,
    /// Controllers of the cgroup2 tree.
    pub controllers: Vec<String>,
}

impl Cgroups {
    /// Reads them. What is mounted outside `/sys/fs/cgroup` (a view for some guest) does not count.
    pub fn read(tree: &Tree) -> Cgroups {
        let mut found = Cgroups::default();
        for (path, kind, options) in tree.text("proc/self/mountinfo").unwrap_or_default().lines().filter_map(mount) {
            if kind == "cgroup2" && found.unified.is_none() {
                found.unified = Some(path);
            } else if kind == "cgroup" {
                let names = options.split(',').filter(|option| !matches!(*option, "rw" | "ro" | "xattr" | "none"));
                found.legacy.extend(names.map(|name| (name.to_string(), path.clone())));
            }
        }
        if let Some(root) = &found.unified {
            let relative = root.strip_prefix("/").unwrap_or(root);
            let text = tree.text(relative.join("cgroup.controllers")).unwrap_or_default();
            found.controllers = text.split_whitespace().map(str::to_string).collect();
        }
        found.layout = match (&found.unified, found.legacy.is_empty()) {
            (Some(_), true) => Layout::Unified,
            (Some(_), false) => Layout::Hybrid,
            (None, false) => Layout::Legacy,
            (None, true) => Layout::None,
        };
        found
    }

    /// Where a controller is.
    pub fn find(&self, name: &str) -> Found {
        if self.legacy.contains_key(name) {
            Ok("cgroup version 1".to_string())
        } else if self.controllers.iter().any(|known| known == name) {
            Ok("cgroup version 2".to_string())
        } else {
            Err(format!("no cgroup tree has the controller \"{name}\""))
        }
    }
}

/// Mount point, type and super options of a line of mountinfo (proc(5)), for mounts below `/sys/fs/cgroup`.
fn mount(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let path = left.split(' ').nth(4).filter(|path| path.starts_with("/sys/fs/cgroup"))?;
    let mut right = right.split(' ');
    let kind = right.next()?;
    Some((PathBuf::from(path), kind, right.nth(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::host::fixture::Fixture;

    fn read(mounts: &str) -> Cgroups {
        let host = Fixture::new();
        host.write("proc/self/mountinfo", mounts)
            .write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
            .write("sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n");
        Cgroups::read(&host.tree())
    }

    #[test]
    fn tells_the_layouts_apart() {
        let unified = read("31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
        assert_eq!(unified.layout, Layout::Unified);
        assert_eq!(unified.find("memory"), Ok("cgroup version 2".to_string()));
        assert!(unified.find("devices").is_err());
        let v1 = "32 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            33 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
        let legacy = read(v1);
        assert_eq!((legacy.layout, legacy.find("cpuacct").is_ok()), (Layout::Legacy, true));
        assert!(legacy.legacy.contains_key("name=systemd"));
        let hybrid = read(&format!("{v1}34 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"));
        assert_eq!((hybrid.layout, hybrid.controllers.as_slice()), (Layout::Hybrid, &["hugetlb".to_string()][..]));
        assert_eq!(read("1 2 0:1 / /tmp/cgroup rw - cgroup2 none rw\n").layout, Layout::None);
    }
}
