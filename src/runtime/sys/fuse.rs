//! `/dev/fuse`: a file system of our own without a place in any tree, and its connection to the kernel.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::mount::{self, Setting};

/// `FUSE_DEV_IOC_CLONE` of linux/fuse.h.
const CLONE: libc::Ioctl = 0x8004_e500_u32 as libc::Ioctl;

/// The device, not yet connected to anything.
pub fn open() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

/// A detached mount of the device's file system, which is made by the first call (a later one needs Linux 5.15). Never waits.
///
/// What it is called is what lxcfs is called: programs that watch file systems leave that out of their lists.
/// `ENOTCONN`: its connection has ended.
pub fn mount(device: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let number = device.as_raw_fd().to_string();
    let settings = [
        Setting::Value("source", "lxcfs"),
        Setting::Value("subtype", "lxcfs"),
        Setting::Value("fd", &number),
        Setting::Value("rootmode", "40555"),
        Setting::Value("user_id", "0"),
        Setting::Value("group_id", "0"),
        Setting::Flag("default_permissions"),
        Setting::Flag("allow_other"),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount::create("fuse", &settings, attributes)
}

/// A device of one's own with the same connection (Linux 4.2): requests that were taken from it fail when it is closed, and
/// the connection lives as long as one of its devices.
pub fn clone(device: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let new = open()?;
    let number = device.as_raw_fd() as u32;
    // SAFETY: the call reads a number, which lives through it; both descriptors are borrowed.
    let result = unsafe { libc::ioctl(new.as_fd().as_raw_fd(), CLONE, &raw const number) };
    if result == 0 { Ok(new) } else { Err(io::Error::last_os_error()) }
}
