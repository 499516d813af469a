//! Control groups on the host: made, limited, joined, frozen, emptied, removed, measured.
//!
//! Works on the directories recorded in [`Group`]s, v1, v2 and hybrid alike. `make` makes and owns them, `enter` is the way in,
//! `empty` brings everything in them down and removes them, `usage` reads counters. Nothing here waits but `empty` and [`freeze`].

mod devices;
mod empty;
mod enter;
mod make;
pub mod program;
mod usage;

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

pub use empty::{bring_down, is_empty, kill, remove};
pub use enter::{Entrance, enter_helpers, helpers, remove_helpers};
pub use make::{change_devices, make, prepare, set_devices, set_limits, throttle, write_files};
pub use usage::{Usage, usage};

use crate::runtime::spec::cgroup::{Group, Hierarchy, hierarchies};

/// The hierarchies of this host, from the point of view of this process's namespaces.
pub fn discover() -> io::Result<Vec<Hierarchy>> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let init = fs::read_to_string("/proc/1/cgroup")?;
    Ok(hierarchies(&mountinfo, &init, |base| fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default()))
}

/// The inode number of a group's directory; `None` when there is none.
fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(fs::symlink_metadata(path).ok()?.ino())
}

/// Those of the recorded groups that are still the same directories. Without a number (of an older record) the name counts.
pub fn still_ours(groups: &[Group]) -> Vec<Group> {
    groups.iter().filter(|g| g.inode == 0 || inode(&g.path) == Some(g.inode)).cloned().collect()
}

/// Writes one file of a control group. The kernel takes or refuses the value in this one call.
pub fn write(group: &Path, file: &str, value: &str) -> io::Result<()> {
    let fd = rustix::fs::open(group.join(file), OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes()))?;
    Ok(())
}

/// Stops or continues everything in the groups. Waits up to ten seconds for the kernel to have stopped all of it; what could not
/// be stopped as a whole goes on.
pub fn freeze(groups: &[Group], frozen: bool) -> io::Result<()> {
    let done = set_frozen(groups, frozen);
    if done.is_err() && frozen {
        let _ = set_frozen(groups, false);
    }
    done
}

fn set_frozen(groups: &[Group], frozen: bool) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    if let Some(group) = groups.iter().find(|g| g.unified && g.path.join("cgroup.freeze").exists()) {
        write(&group.path, "cgroup.freeze", if frozen { "1" } else { "0" })?;
        let wanted = if frozen { "frozen 1" } else { "frozen 0" };
        return wait_until(deadline, || {
            Ok(fs::read_to_string(group.path.join("cgroup.events"))?.lines().any(|l| l == wanted))
        });
    }
    let group = groups.iter().find(|g| g.has("freezer")).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    let state = if frozen { "FROZEN" } else { "THAWED" };
    wait_until(deadline, || {
        // Written again each time: a v1 freezer can get stuck in FREEZING until asked once more.
        write(&group.path, "freezer.state", state)?;
        Ok(fs::read_to_string(group.path.join("freezer.state"))?.trim() == state)
    })
}

/// Whether [`freeze`] is in force: whether it was asked for. The kernel's own word ("frozen 1", "FROZEN") is taken back for moments,
/// as when a signal reaches a frozen process.
pub fn is_frozen(groups: &[Group]) -> bool {
    let read = |group: &Group, file: &str| fs::read_to_string(group.path.join(file)).unwrap_or_default();
    groups.iter().any(|g| {
        (g.unified && read(g, "cgroup.freeze").trim() == "1")
            || (g.has("freezer") && read(g, "freezer.self_freezing").trim() == "1")
    })
}

fn wait_until(deadline: Instant, mut done: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let mut pause = Duration::from_micros(200);
    while !done()? {
        if Instant::now() >= deadline {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
}
