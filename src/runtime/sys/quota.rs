//! Project quotas of ext4 and xfs: whose directory a file counts for, how much that may hold, how much it does.
//!
//! A directory's project is inherited by what is made in it, and nothing of another project can be moved or linked into it (EXDEV).

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// `struct fsxattr` (include/uapi/linux/fs.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// `struct if_dqblk` (include/uapi/linux/quota.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    /// In units of 1024 bytes.
    hard_limit: u64,
    soft_limit: u64,
    /// In bytes.
    space: u64,
    inode_limits: [u64; 2],
    inodes: u64,
    times: [u64; 2],
    valid: u32,
}

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`.
const GET: u64 = 0x801c_581f;
const SET: u64 = 0x401c_5820;
/// `FS_XFLAG_PROJINHERIT`.
const INHERIT: u32 = 0x200;
/// `QCMD(…, PRJQUOTA)` of `Q_GETINFO`, `Q_GETQUOTA` and `Q_SETQUOTA`.
const INFO: u32 = 0x80_0005 << 8 | 2;
const READ: u32 = 0x80_0007 << 8 | 2;
const WRITE: u32 = 0x80_0008 << 8 | 2;
/// `QIF_BLIMITS`.
const LIMITS: u32 = 1;
/// quotactl_fd(2), Linux 5.14; the same number everywhere.
const QUOTACTL_FD: libc::c_long = 443;

/// Whether the file system of this file counts what projects hold, and we may say how much that is.
pub fn is_on(file: impl AsFd) -> bool {
    // `struct if_dqinfo` is smaller.
    quotactl(file, INFO, 0, &mut Block::default()).is_ok()
}

/// The project of a file or directory; 0 when it has none.
pub fn project(file: impl AsFd) -> io::Result<u32> {
    Ok(attributes(&file)?.project)
}

/// Gives a file or directory, but not what is in it, to a project; what is made in a directory later is its, too.
pub fn set_project(file: impl AsFd, project: u32, directory: bool) -> io::Result<()> {
    let mut wanted = attributes(&file)?;
    wanted.project = project;
    if directory {
        wanted.flags |= INHERIT;
    }
    // SAFETY: the descriptor is open, and the kernel reads a structure of this size (it is in the number) that lives as long as the call.
    let done = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), SET as _, &raw const wanted) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets a project hold at most so many bytes, rounded up to whole KiB; 0 is no limit.
pub fn set_limit(file: impl AsFd, project: u32, bytes: u64) -> io::Result<()> {
    let mut block = Block { hard_limit: bytes.div_ceil(1024), valid: LIMITS, ..Block::default() };
    quotactl(file, WRITE, project, &mut block)
}

/// Bytes that a project holds.
pub fn usage(file: impl AsFd, project: u32) -> io::Result<u64> {
    let mut block = Block::default();
    quotactl(file, READ, project, &mut block)?;
    Ok(block.space)
}

fn attributes(file: impl AsFd) -> io::Result<Attributes> {
    const { assert!(size_of::<Attributes>() == 28 && size_of::<Block>() == 72) };
    let mut found = Attributes::default();
    // SAFETY: the descriptor is open, and the kernel writes a structure of this size (it is in the number), which is ours alone.
    let done = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), GET as _, &raw mut found) };
    if done == 0 { Ok(found) } else { Err(io::Error::last_os_error()) }
}

fn quotactl(file: impl AsFd, command: u32, project: u32, block: &mut Block) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, and what the three commands read or write (if_dqinfo, if_dqblk) fits into the structure, which is ours
    // alone as long as the call.
    let done = unsafe { libc::syscall(QUOTACTL_FD, fd, command, project, &raw mut *block) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
