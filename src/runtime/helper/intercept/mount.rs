//! mount(2): file systems that an operator trusts a guest's hands with.
//!
//! The kernel mounts what is on a device of the guest's, detached and with the host's rights; then it is laid on a stage of the host's and goes into the
//! guest the way devices do, so that the kernel locks its flags: there are nodes of the host's devices in what a guest has written, perhaps.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::caller::Caller;
use super::{Verdict, program};
use crate::api::tree;
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::idmap::Ids;
use crate::runtime::spec::intercept::{MOUNTS, Mounts, mount_options};
use crate::runtime::sys::mount::{self, Attributes, Setting};
use crate::runtime::sys::root::may;
use crate::runtime::sys::{fork, process};

/// `CAP_SYS_ADMIN`: what mounting takes.
const SYS_ADMIN: u32 = 21;
/// Bytes of a file system's name, and of its options: what the kernel takes.
const KIND: usize = 64;
const OPTIONS: usize = 4096;
/// Where a file system is laid on the stage.
const STAGED: &str = "/.lxbox-staged";

/// What the caller wants mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) flags: u64,
    /// The file system's own options.
    pub(super) options: String,
}

/// Mounts it, or has a program of the guest do it, where the configuration says so.
pub(super) fn mount(caller: &Caller<'_>) -> io::Result<Verdict> {
    let args = caller.notice.args;
    if !caller.rights.has(SYS_ADMIN) {
        return Ok(Verdict::Pass);
    }
    let Some(kind) = caller.text(args[2], KIND).ok().and_then(|kind| String::from_utf8(kind).ok()) else {
        return Ok(Verdict::Pass);
    };
    let mounts = allowed(caller)?;
    let program = mounts.fuse.get(&kind);
    if program.is_none() && !mounts.allowed.contains(&kind) {
        return Ok(Verdict::Pass);
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let optional = |at, most| if at == 0 { Ok(Vec::new()) } else { caller.text(at, most) };
    let wanted = Wanted {
        kind,
        source: text(optional(args[0], OPTIONS)?)?,
        target: text(caller.path(args[1])?)?,
        flags: args[3],
        options: text(optional(args[4], OPTIONS)?)?,
    };
    match program {
        Some(program) => program::run(caller, &wanted, program),
        None => by_kernel(caller, &wanted, mounts.shift),
    }
}

/// What is allowed now: it may be changed while the guest runs.
fn allowed(caller: &Caller<'_>) -> io::Result<Mounts> {
    let file = rustix::fs::openat(caller.guest.dir, MOUNTS, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(tree::from_slice(io::read_to_string(fs::File::from(file))?.as_bytes())?)
}

fn by_kernel(caller: &Caller<'_>, wanted: &Wanted, shift: bool) -> io::Result<Verdict> {
    let here = caller.directory(libc::AT_FDCWD)?;
    let place = caller.look(&here, || {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(CWD, &wanted.target, flags, Mode::empty())?)
    })?;
    let directory = FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode).is_dir();
    if !directory {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    let needs_device = needs_device(&wanted.kind)?;
    let device = if needs_device { Some(device(caller, wanted, &here)?) } else { None };
    let namespace = caller.open("ns/mnt", OFlags::RDONLY)?;
    enter_stage().map_err(program::number)?;
    let source = match device {
        Some(number) => make_source(&wanted.source, number)?,
        None => wanted.kind.clone(),
    };
    let tree = create(caller, wanted, (&source, needs_device))?;
    let flag = |bit| wanted.flags & bit != 0;
    let attributes = Attributes {
        readonly: flag(libc::MS_RDONLY),
        nosuid: flag(libc::MS_NOSUID),
        nodev: true,
        noexec: flag(libc::MS_NOEXEC),
        private: true,
        idmap: (shift && needs_device).then_some(caller.guest.user),
        ..Attributes::default()
    };
    mount::set_attributes(tree.as_fd(), &attributes)?;
    fs::create_dir(STAGED)?;
    mount::attach_at(tree.as_fd(), Path::new(STAGED))?;
    fork::join_user(caller.guest.user)?;
    process::hide_memory()?;
    fork::unshare_mounts()?;
    let locked = mount::clone(Path::new(STAGED), false)?;
    fork::join_mounts(namespace.as_fd())?;
    mount::attach(locked.as_fd(), place.as_fd())?;
    Ok(Verdict::Done)
}

/// Whether the file system is on a block device; of the others only `hugetlbfs` is for guests.
fn needs_device(kind: &str) -> io::Result<bool> {
    let known = fs::read_to_string("/proc/filesystems")?;
    if known.lines().any(|line| line.strip_prefix('\t') == Some(kind)) {
        return Ok(true);
    }
    match kind {
        "hugetlbfs" => Ok(false),
        _ => Err(io::Error::from_raw_os_error(libc::ENODEV)),
    }
}

/// The number of the block device that the caller names and may use.
fn device(caller: &Caller<'_>, wanted: &Wanted, here: &OwnedFd) -> io::Result<u64> {
    let access = if wanted.flags & libc::MS_RDONLY != 0 { libc::R_OK } else { libc::R_OK | libc::W_OK };
    let node = caller.look(here, || {
        let node = rustix::fs::openat(CWD, &wanted.source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        may(node.as_fd(), access)?;
        Ok(node)
    })?;
    let status = rustix::fs::fstat(&node)?;
    if !FileType::from_raw_mode(status.st_mode).is_block_device() {
        return Err(io::Error::from_raw_os_error(libc::ENOTBLK));
    }
    // The guest can't make such nodes: one that can be opened was given to it. Others may be on file systems that it has written.
    if rustix::fs::fstatvfs(&node)?.f_flag.contains(rustix::fs::StatVfsMountFlags::NODEV) {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(status.st_rdev)
}

/// A root of our own, in mounts of our own.
fn enter_stage() -> Result<(), Fail> {
    let what = || "entering the stage";
    super::lay_floor()?;
    rustix::process::chroot(".").what(what)?;
    rustix::process::chdir("/").what(what)
}

/// Makes a node for the device by the name that the caller has for it, which is what lists of mounts show.
fn make_source(name: &str, number: u64) -> io::Result<String> {
    let plain = |path: &Path| path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let named = Path::new(name);
    let usable = named.is_absolute() && plain(named) && name.len() < 256 && named.file_name().is_some();
    let path: PathBuf = if usable { named.into() } else { "/dev/device".into() };
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    rustix::fs::mknodat(CWD, &path, FileType::BlockDevice, Mode::from_raw_mode(0o600), number)?;
    String::from_utf8(path.as_os_str().as_bytes().to_vec()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Makes the file system's mount, which is nowhere yet.
fn create(caller: &Caller<'_>, wanted: &Wanted, (source, needs_device): (&str, bool)) -> io::Result<OwnedFd> {
    let options =
        mount_options(&wanted.kind, &wanted.options).ok_or_else(|| io::Error::from_raw_os_error(libc::EPERM))?;
    let mut settings = vec![Setting::Value("source", source)];
    for (bit, word) in [(libc::MS_RDONLY, "ro"), (libc::MS_SYNCHRONOUS, "sync"), (libc::MS_DIRSYNC, "dirsync")] {
        if wanted.flags & bit != 0 {
            settings.push(Setting::Flag(word));
        }
    }
    settings.extend(options.iter().map(|(key, value)| match value {
        Some(value) => Setting::Value(key, value),
        None => Setting::Flag(key),
    }));
    let map = &caller.guest.spec.idmap;
    let root = [Ids::Uid, Ids::Gid].map(|ids| map.to_host(ids, 0).unwrap_or(u32::MAX).to_string());
    if !needs_device {
        settings.extend([Setting::Value("uid", &root[0]), Setting::Value("gid", &root[1])]);
    }
    let times = [
        (libc::MS_NOATIME, MountAttrFlags::MOUNT_ATTR_NOATIME),
        (libc::MS_STRICTATIME, MountAttrFlags::MOUNT_ATTR_STRICTATIME),
    ];
    let time = times.iter().find(|(bit, _)| wanted.flags & bit != 0).map_or(MountAttrFlags::empty(), |(_, time)| *time);
    mount::create(&wanted.kind, &settings, time)
}
