//! The way into a guest's tree, running or stopped.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::runtime::helper::namespace::user_namespace;
use crate::runtime::helper::stage::{self, Stage};
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::files::Place;
use crate::runtime::spec::{ContainerSpec, Shift, capability};
use crate::runtime::sys::{capset, fork, process};

/// What working on files takes; everything else is put down.
const CAPABILITIES: [&str; 5] = ["chown", "dac_override", "dac_read_search", "fowner", "fsetid"];

/// Enters the tree as its root user; gives its root directory, and the lock on the volume when it is mounted here. `way` is what
/// leads there.
pub(super) fn enter(place: &Place, way: &OwnedFd) -> Result<(OwnedFd, Option<File>), Fail> {
    let (lock, has_user) = match place {
        Place::Running { privileged } => {
            join(way, *privileged)?;
            (None, !*privileged)
        }
        Place::Stopped(spec) => (mount(spec)?, !spec.privileged()),
        Place::Mounted(spec) => {
            rustix::process::fchdir(way).what(|| "entering the root")?;
            confine(user(spec)?.as_ref())?;
            (None, !spec.privileged())
        }
    };
    if has_user {
        // Joining has left us with the host's ids, which mean nobody there.
        capset::become_user(0, 0).what(|| "becoming the guest's root")?;
    }
    let mask = capability::mask(CAPABILITIES).map_err(|name| Fail::new(format!("no capability {name:?}")))?;
    capset::set_effective(mask).what(|| "putting capabilities down")?;
    // Again: a change of ids has cleared both.
    process::hide_memory().what(|| "hiding memory")?;
    process::die_with_parent().what(|| "binding the helper's life to the daemon's")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).what(|| "opening the root")?;
    Ok((root, lock))
}

/// Joins the mounts of a running container.
fn join(init: &OwnedFd, privileged: bool) -> Result<(), Fail> {
    let entered = match privileged {
        true => fork::join_mounts(init.as_fd()),
        false => fork::join_files(init.as_fd()),
    };
    entered.what(|| "entering the container's mounts")
}

/// Mounts the root of a stopped container and goes there; the mounts end with this process.
fn mount(spec: &ContainerSpec) -> Result<Option<File>, Fail> {
    let lock = stage::lock(spec)?;
    let user = user(spec)?;
    fork::unshare_mounts().what(|| "making the stage")?;
    rustix::process::chdir("/tmp").what(|| "entering \"/tmp\"")?;
    stage::lay_floor()?;
    let floor = stage::floor()?;
    let user_fd = user.as_ref().map(AsFd::as_fd);
    let shift = user_fd.filter(|_| spec.shift == Shift::Mount);
    stage::stage_root(&Stage { spec, groups: &[], user: user_fd, shift, shim: floor.as_fd() })?;
    rustix::process::chdir("r").what(|| "entering the root")?;
    confine(user.as_ref())?;
    Ok(lock)
}

/// A user namespace with the container's ids; none when it is privileged.
fn user(spec: &ContainerSpec) -> Result<Option<OwnedFd>, Fail> {
    (!spec.privileged()).then(|| user_namespace(&spec.idmap)).transpose()
}

/// Makes the working directory the root, seen by a user of the guest's.
fn confine(user: Option<&OwnedFd>) -> Result<(), Fail> {
    rustix::process::chroot(".").what(|| "entering the root")?;
    match user {
        Some(user) => fork::join_user(user.as_fd()).what(|| "entering the user namespace"),
        None => Ok(()),
    }
}
