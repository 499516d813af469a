//! Whether a host and a file system can carry an overlay pool.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::storage::layout::{c_name, make_dir, undo};
use crate::runtime::storage::{trash, tree};

/// `OVERLAYFS_SUPER_MAGIC` (linux/magic.h).
const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// The first kernel that takes idmapped layers below an overlay.
const FIRST_KERNEL: (u32, u32) = (5, 19);

/// Whether the kernel takes idmapped layers (Linux 5.19).
pub(in crate::runtime::storage) fn kernel_is_new_enough() -> bool {
    let uname = rustix::system::uname();
    version(&uname.release().to_string_lossy()).is_some_and(|v| v >= FIRST_KERNEL)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether the directory is on an overlay itself, or can't be looked at.
pub(in crate::runtime::storage) fn is_on_overlay(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| is_overlay(&stat))
}

fn is_overlay(stat: &rustix::fs::StatFs) -> bool {
    stat.f_type as u64 == OVERLAY_MAGIC
}

/// Refuses, with a reason, where an overlay pool can't be; makes a throw-away mount that is attached nowhere.
///
/// `root` is the open directory of a new pool, shown as `path`.
pub(super) fn check(root: &OwnedFd, path: &Path) -> Result<()> {
    if !kernel_is_new_enough() {
        return Err(refuse("this kernel is older than 5.19"));
    }
    let stat = rustix::fs::fstatfs(root)
        .ctx(Kind::Unavailable, || format!("Failed looking at the file system of {path:?}"))?;
    if is_overlay(&stat) {
        return Err(refuse(format!(
            "{path:?} is on an overlay file system itself; use \"dir\", or a \"source\" elsewhere"
        )));
    }
    let trash = tree::open_dir(root, trash::TRASH).ctx(Kind::Internal, || "Failed opening the trash")?;
    let name = c_name(&format!("probe.{}", trash::random_name()?))?;
    let probed = make_dir(&trash, &name, 0o700).and_then(|dir| try_mount(&dir, path));
    undo(probed, || tree::remove(&trash, &name))?;
    tree::remove(&trash, &name)
}

fn refuse(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unsupported, format!("The storage driver \"overlay\" can't be used: {why}"))
}

/// Mounts with the options that containers get, and renames a directory of the lower layer.
fn try_mount(dir: &OwnedFd, base: &Path) -> Result<()> {
    let lower = make_dir(dir, c"lower", 0o755)?;
    make_dir(&lower, c"old", 0o755)?;
    let upper = make_dir(dir, c"upper", 0o755)?;
    let work = make_dir(dir, c"work", 0o755)?;
    let trusted = rustix::fs::fsetxattr(&upper, c"trusted.lxbox.probe", b"1", XattrFlags::empty());
    if let Err(e) = trusted {
        return Err(full_or(e, || refuse(format!("the file system of {base:?} keeps no trusted attributes: {e}"))));
    }
    // Where a file system is full the kernel mounts, but for reading only: find that out first.
    let spare = make_dir(dir, c"spare", 0o755)?;
    for i in 0..8 {
        make_dir(&spare, &c_name(&i.to_string())?, 0o755)?;
    }
    tree::remove(dir, c"spare")?;
    let renamed =
        mount(&lower, &upper, &work).and_then(|mounted| rustix::fs::renameat(&mounted, c"old", &mounted, c"new"));
    renamed.map_err(|e| full_or(e, || refuse(format!("the kernel mounts none on the file system of {base:?}: {e}"))))
}

/// A full disk is no lack of the file system.
fn full_or(e: Errno, otherwise: impl FnOnce() -> Error) -> Error {
    match e {
        Errno::NOSPC | Errno::DQUOT => Error::new(Kind::Unavailable, format!("Failed probing the file system: {e}")),
        _ => otherwise(),
    }
}

/// A detached overlay mount.
fn mount(lower: &OwnedFd, upper: &OwnedFd, work: &OwnedFd) -> std::result::Result<OwnedFd, Errno> {
    // Paths by descriptor: an option's value may have 255 bytes.
    let path = |fd: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let options = [("lowerdir", path(lower)), ("upperdir", path(upper)), ("workdir", path(work))];
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(fs.as_fd(), key, value)?;
    }
    for (key, value) in [("redirect_dir", "on"), ("metacopy", "off"), ("index", "off")] {
        rustix::mount::fsconfig_set_string(fs.as_fd(), key, value)?;
    }
    rustix::mount::fsconfig_create(fs.as_fd())?;
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(version("5.4.0"), Some((5, 4)));
        assert_eq!(version("6.1-rc1"), Some((6, 1)));
        assert_eq!(version("x"), None);
        assert!(version("5.15.0").unwrap() < FIRST_KERNEL && version("5.19.0").unwrap() >= FIRST_KERNEL);
    }
}
