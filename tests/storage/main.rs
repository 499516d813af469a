//! Storage pools on real file systems: layouts, crashes, full disks, hostile trees. Needs root.
//!
//! Mounts made here are detached, reached through their descriptor, and gone with it.

mod crashes;
mod overlay;
mod pools;
mod snapshots;
mod trees;
mod volumes;

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lxbox::api::types::ConfigMap;
use lxbox::error::Result;
use lxbox::runtime::storage::{Content, Driver, Image, PoolPaths, Volume, VolumeKind, open_driver, tree};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// A daemon's directory, removed at the end by the code under test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        let mut bytes = [0u8; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
        let dir = Dir(std::env::temp_dir().join(format!("storage-test.{}", u64::from_ne_bytes(bytes))));
        lxd_dir(&dir.0);
        dir
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let parent = fs::File::open(self.0.parent().unwrap()).unwrap();
        tree::remove(&parent, &name(self.0.file_name().unwrap().to_str().unwrap())).unwrap();
    }
}

fn lxd_dir(path: &Path) {
    for dir in ["storage-pools", "containers", "virtual-machines", "snapshots"] {
        fs::create_dir_all(path.join(dir)).unwrap();
    }
}

fn name(name: &str) -> std::ffi::CString {
    std::ffi::CString::new(name).unwrap()
}

fn config(source: Option<&Path>) -> ConfigMap {
    source.map(|s| ("source".to_owned(), s.to_str().unwrap().to_owned())).into_iter().collect()
}

fn pool(driver: &str, lxd_dir: &Path) -> Box<dyn Driver> {
    let pool = open_driver(driver, &PoolPaths::new(lxd_dir, "p", &config(None)).unwrap()).unwrap();
    pool.create().unwrap();
    pool
}

fn container(name: &str) -> Volume {
    Volume::new(VolumeKind::Container, "default", name).unwrap()
}

fn at(dir: BorrowedFd<'_>, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{path}", dir.as_raw_fd()))
}

/// What an unpacker leaves: metadata, templates, and a root with a mode and owner of its own.
fn unpack(dir: BorrowedFd<'_>) -> Result<()> {
    fs::write(at(dir, "metadata.yaml"), "architecture: x86_64\n").unwrap();
    fs::create_dir(at(dir, "templates")).unwrap();
    fs::write(at(dir, "templates/hostname.tpl"), "{{ container.name }}\n").unwrap();
    fs::create_dir_all(at(dir, "rootfs/etc")).unwrap();
    fs::create_dir_all(at(dir, "rootfs/usr/share")).unwrap();
    fs::write(at(dir, "rootfs/etc/passwd"), "root\n").unwrap();
    fs::set_permissions(at(dir, "rootfs"), fs::Permissions::from_mode(0o751)).unwrap();
    std::os::unix::fs::chown(at(dir, "rootfs"), Some(12), Some(13)).unwrap();
    fs::set_permissions(at(dir, "."), fs::Permissions::from_mode(0o777)).unwrap();
    Ok(())
}

fn image<'a>(layer: &'a str) -> Content<'a> {
    Content::Image(Image { layer, unpack: Box::new(unpack) })
}

/// Mode, owner and relative path of everything, links with their targets: `find -printf '%m %U %P %l'`.
fn listing(top: &Path) -> Vec<String> {
    fn walk(top: &Path, dir: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let target = fs::read_link(&path).map(|t| format!(" -> {}", t.display())).unwrap_or_default();
            let shown = path.strip_prefix(top).unwrap().display();
            lines.push(format!("{:o} {} {shown}{target}", meta.mode() & 0o7777, meta.uid()));
            if meta.is_dir() {
                walk(top, &path, lines);
            }
        }
    }
    let mut lines = Vec::new();
    walk(top, top, &mut lines);
    lines.sort_by(|a, b| a.split(' ').nth(2).cmp(&b.split(' ').nth(2)));
    lines
}

/// The same without what only we have.
fn as_lxd(top: &Path) -> Vec<String> {
    let ours = [" trash", " pending", " overlay"];
    listing(top).into_iter().filter(|line| !ours.iter().any(|o| line.contains(o))).collect()
}

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// A detached file system of its own.
fn mount(kind: &str, options: &[(&str, &str)]) -> OwnedFd {
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(fs.as_fd(), *key, *value).unwrap();
    }
    rustix::mount::fsconfig_create(fs.as_fd()).unwrap();
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap()
}

/// A pool as `find -printf "%m %U %P"` shows it below LXD 5.0.2.
const POOL_AS_LXD_MAKES_IT: [&str; 8] = [
    "711 0 buckets",
    "711 0 containers",
    "711 0 containers-snapshots",
    "700 0 custom",
    "700 0 custom-snapshots",
    "700 0 images",
    "700 0 virtual-machines",
    "700 0 virtual-machines-snapshots",
];
