//! The mount API by file descriptor (Linux 5.2, mount_setattr 5.12): everything is mounted detached, then moved into place.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

/// What [`set_attributes`] changes of a mount.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// Make it read-only.
    pub readonly: bool,
    /// Set-user-ID bits count for nothing.
    pub nosuid: bool,
    /// Device nodes can't be opened.
    pub nodev: bool,
    /// Nothing can be executed.
    pub noexec: bool,
    /// Reading leaves no time of access.
    pub noatime: bool,
    /// Nor does reading a directory.
    pub nodiratime: bool,
    /// Out of every peer group: mounts don't spread to or from it.
    pub private: bool,
    /// Mounts below it too.
    pub recursive: bool,
    /// Shift ids by the map of this user namespace.
    pub idmap: Option<BorrowedFd<'a>>,
}

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// mount_setattr(2).
pub fn set_attributes(mount: BorrowedFd<'_>, attributes: &Attributes<'_>) -> io::Result<()> {
    let flag = |wanted: bool, flag: MountAttrFlags| if wanted { u64::from(flag.bits()) } else { 0 };
    let attr = MountAttr {
        attr_set: flag(attributes.readonly, MountAttrFlags::MOUNT_ATTR_RDONLY)
            | flag(attributes.nosuid, MountAttrFlags::MOUNT_ATTR_NOSUID)
            | flag(attributes.nodev, MountAttrFlags::MOUNT_ATTR_NODEV)
            | flag(attributes.noexec, MountAttrFlags::MOUNT_ATTR_NOEXEC)
            | flag(attributes.noatime, MountAttrFlags::MOUNT_ATTR_NOATIME)
            | flag(attributes.nodiratime, MountAttrFlags::MOUNT_ATTR_NODIRATIME)
            | attributes.idmap.map_or(0, |_| MOUNT_ATTR_IDMAP),
        attr_clr: flag(attributes.noatime, MountAttrFlags::MOUNT_ATTR__ATIME),
        propagation: if attributes.private { libc::MS_PRIVATE } else { 0 },
        userns_fd: attributes.idmap.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let at = libc::AT_EMPTY_PATH | if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a constant C string, `attr` has the kernel's first layout (32 bytes) and lives through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A detached copy of the mount at `path` (a bind mount that is nowhere yet), with those below it when `recursive`.
pub fn clone_at(dir: impl AsFd, path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    Ok(rustix::mount::open_tree(dir, path, flags)?)
}

/// [`clone_at`] from the working directory or an absolute path.
pub fn clone(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    clone_at(CWD, path, recursive)
}

/// Moves a detached mount onto the file or directory that `target` is open on.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(mount, "", target, "", flags)?)
}

/// Moves a detached mount onto `path`.
pub fn attach_at(mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    Ok(rustix::mount::move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// One option of a new file system.
#[derive(Clone, Copy, Debug)]
pub enum Setting<'a> {
    /// A word.
    Flag(&'a str),
    /// A key and its value, 255 bytes at most.
    Value(&'a str, &'a str),
}

/// Makes a file system with these options and gives its detached mount.
pub fn create(kind: &str, settings: &[Setting<'_>], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for setting in settings {
        match setting {
            Setting::Flag(key) => rustix::mount::fsconfig_set_flag(&context, *key)?,
            Setting::Value(key, value) => rustix::mount::fsconfig_set_string(&context, *key, *value)?,
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Lays directories over each other, the first on top, in a mount that is nowhere, for reading alone: nothing can be written, nor is
/// there a trace of it when it is gone. They are found by their numbers in the working directory, which must be `/proc/self/fd`: a value
/// has 255 bytes at most.
pub fn readonly_overlay(layers: &[OwnedFd]) -> io::Result<OwnedFd> {
    let numbers: Vec<String> = layers.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let lower = numbers.join(":");
    let settings = [
        Setting::Value("source", "lxbox"),
        Setting::Value("lowerdir", &lower),
        Setting::Value("redirect_dir", "follow"),
        Setting::Value("metacopy", "off"),
        Setting::Value("index", "off"),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    create("overlay", &settings, attributes)
}

/// The same from any working directory, in a thread that has one of its own meanwhile.
pub fn readonly_overlay_beside(layers: &[OwnedFd]) -> io::Result<OwnedFd> {
    let mount = || {
        super::fork::unshare_directory()?;
        rustix::process::chdir("/proc/self/fd")?;
        readonly_overlay(layers)
    };
    let mounted = std::thread::scope(|scope| scope.spawn(mount).join());
    mounted.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
}

/// Whether the file system at `path` can be mounted with shifted ids, tried with the map of the user namespace `user`.
pub fn can_shift(path: &Path, user: BorrowedFd<'_>) -> bool {
    clone(path, false)
        .and_then(|tree| set_attributes(tree.as_fd(), &Attributes { idmap: Some(user), ..Attributes::default() }))
        .is_ok()
}
