//! Made-up trees of control groups, and golden files, for the tests of this directory.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::groups::{Groups, Hierarchies};

/// A tree with one container in it, removed when dropped.
pub(super) struct Made {
    root: PathBuf,
    mounts: String,
    cgroup: String,
}

const V1: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "blkio", "pids"];

impl Made {
    /// Of v1: each file is that of the controller its name begins with.
    pub(super) fn v1(files: &[(&str, &str)]) -> Made {
        let root = place();
        let mount = |c: &&str| format!("1 1 0:1 / {}/{c} rw - cgroup cgroup rw,{c}\n", root.display());
        let line = |c: &&str| format!("1:{c}:/lxc.payload.c1/inside\n");
        let made = Made { mounts: V1.iter().map(mount).collect(), cgroup: V1.iter().map(line).collect(), root };
        for (name, content) in files {
            made.write(name.split('.').next().unwrap(), name, content);
        }
        made
    }

    /// Of v2; the container lies in another one.
    pub(super) fn v2(files: &[(&str, &str)]) -> Made {
        let root = place();
        let mounts = format!("1 1 0:1 / {}/all rw - cgroup2 cgroup2 rw\n", root.display());
        let made = Made { mounts, cgroup: "0::/outer/lxc.payload.c1/inside\n".into(), root };
        for (name, content) in files {
            made.write("all/outer", name, content);
        }
        made
    }

    fn write(&self, below: &str, name: &str, content: &str) {
        let directory = self.root.join(below).join("lxc.payload.c1");
        let path = directory.join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The container's groups.
    pub(super) fn groups(&self) -> Groups {
        Hierarchies::of(&self.mounts).groups(&self.cgroup).unwrap()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn place() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("lxbox-procfs-{}-{number}", std::process::id()))
}

/// Compares with the file of that name in `fixtures`; `LXBOX_GOLDEN=write` writes it.
pub(super) fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/runtime/helper/procfs/fixtures").join(name);
    if std::env::var_os("LXBOX_GOLDEN").is_some_and(|how| how == "write") {
        fs::write(&path, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap(), "{name}");
}
