//! Mounts added to and taken from a running container.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::UnmountFlags;

use crate::runtime::helper::stage;
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::attach::AttachPlan;
use crate::runtime::spec::{Idmap, Mount};
use crate::runtime::sys::{capset, fork, mount, root};

/// The device's name on the stage.
const STAGED: &str = "m0";

/// Mounts something of the host in the container.
///
/// It takes the same way as at the start, over a stage of the host's: so the kernel locks its flags and the guest's root can't make
/// a read-only one writable.
pub(super) fn add(plan: &AttachPlan, device: &Mount, init: &OwnedFd) -> Result<(), Fail> {
    let user = user_namespace(plan)?;
    fork::unshare_mounts().what(|| "making the stage")?;
    rustix::process::chdir("/tmp").what(|| "entering \"/tmp\"")?;
    stage::lay_floor()?;
    stage::stage_device(device, STAGED, (user.as_ref().map(AsFd::as_fd), &ids(plan)?))?;
    if let Some(user) = &user {
        fork::join_user(user.as_fd()).what(|| "entering the user namespace")?;
        fork::unshare_mounts().what(|| "locking the mount")?;
    }
    let tree = match mount::clone_at(CWD, Path::new(STAGED), device.recursive) {
        Err(e) if device.optional && e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.what(|| "opening the staged mount")?,
    };
    let kind = rustix::fs::fstat(&tree).what(|| "reading the staged mount")?.st_mode;
    let guest = enter(init.as_fd(), user.is_some())?;
    let target = &device.target;
    let directory = FileType::from_raw_mode(kind).is_dir();
    let place = if directory { root::directory(guest.as_fd(), target) } else { root::file(guest.as_fd(), target) };
    let place = place.what(|| format!("making {target:?} in the container"))?;
    mount::attach(tree.as_fd(), place.as_fd()).what(|| format!("mounting {target:?} in the container"))
}

/// The guest's ids; none when they are the host's.
fn ids(plan: &AttachPlan) -> Result<Idmap, Fail> {
    if plan.policy.privileged {
        return Ok(Idmap::default());
    }
    let read = |file: &str| {
        let path = format!("/proc/{}/{file}", plan.init);
        std::fs::read_to_string(&path).what(|| format!("reading {path:?}"))
    };
    Ok(Idmap::of_process(&read("uid_map")?, &read("gid_map")?))
}

/// Takes the topmost mount at `target` away, and the empty file or directory below it, as LXD does; what still uses it keeps it until
/// then. A guest may have taken it away itself.
pub(super) fn remove(plan: &AttachPlan, target: &Path, init: &OwnedFd) -> Result<(), Fail> {
    let user = user_namespace(plan)?;
    // Ours, since the guest's may not be mounted or be something else.
    let proc = rustix::fs::open("/proc/self/fd", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .what(|| "opening \"/proc\"")?;
    if let Some(user) = &user {
        fork::join_user(user.as_fd()).what(|| "entering the user namespace")?;
    }
    let guest = enter(init.as_fd(), user.is_some())?;
    let place = match root::handle(guest.as_fd(), target) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => return Ok(()),
        place => place.what(|| format!("opening {target:?} in the container"))?,
    };
    // By descriptor: the guest could change the path between the lookup and the call.
    rustix::process::fchdir(&proc).what(|| "opening \"/proc\"")?;
    let name = place.as_raw_fd().to_string();
    match rustix::mount::unmount(name, UnmountFlags::DETACH) {
        Err(rustix::io::Errno::INVAL) => return Ok(()),
        done => done.what(|| format!("unmounting {target:?} in the container"))?,
    }
    drop(place);
    root::remove_empty(guest.as_fd(), target);
    Ok(())
}

/// The container's user namespace; `None` when it has none of its own.
fn user_namespace(plan: &AttachPlan) -> Result<Option<OwnedFd>, Fail> {
    if plan.policy.privileged {
        return Ok(None);
    }
    let path = format!("/proc/{}/ns/user", plan.init);
    Ok(Some(File::open(&path).what(|| format!("opening {path:?}"))?.into()))
}

/// Joins the container's mounts as its root; gives its root directory.
fn enter(init: BorrowedFd<'_>, become_root: bool) -> Result<OwnedFd, Fail> {
    fork::join_mounts(init).what(|| "entering the container's mounts")?;
    if become_root {
        capset::become_user(0, 0).what(|| "becoming the guest's root")?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, "/", flags, Mode::empty()).what(|| "opening the root")
}
