//! Bringing down everything in a container's control groups and removing them, also those that the guest made below.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

use super::write;
use crate::runtime::spec::cgroup::Group;
use crate::runtime::sys::process;

/// A guest can nest groups without end; nobody does, so this many levels are walked.
const MAX_DEPTH: usize = 4096;

/// Kills everything in the groups, waits until they are empty and removes them. Groups that don't exist (any more) are fine.
///
/// Thaws first: tasks stopped by a v1 freezer ignore SIGKILL. `TimedOut` when something is left at the deadline (a process
/// that hangs in the kernel); then nothing but empty directories was removed and it can be called again.
pub fn bring_down(groups: &[Group], timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut pause = Duration::from_micros(100);
    loop {
        if is_empty(groups) && remove(groups).is_ok() {
            return Ok(());
        }
        kill(groups);
        if Instant::now() >= deadline {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Whether no process is left in any of the groups or below.
pub fn is_empty(groups: &[Group]) -> bool {
    groups.iter().all(|group| {
        if group.unified {
            // Covers the whole subtree (cgroup-v2.rst). A missing file means a missing group.
            let events = fs::read_to_string(group.path.join("cgroup.events")).unwrap_or_default();
            !events.lines().any(|l| l == "populated 1")
        } else {
            let mut empty = true;
            walk(&group.path, &mut |dir| empty &= pids(dir).is_empty());
            empty
        }
    })
}

/// Removes the groups with all below them. `ResourceBusy` while a process is in one.
pub fn remove(groups: &[Group]) -> io::Result<()> {
    groups.iter().try_for_each(|group| remove_tree(&group.path))
}

/// Kills everything in the groups and below, without waiting. What is in the v2 one is in the others too.
///
/// Thaws as well: tasks stopped by a v1 freezer ignore SIGKILL until then.
pub fn kill(groups: &[Group]) {
    let unified = groups.iter().find(|g| g.unified);
    let killed = unified.is_some_and(|group| {
        let _ = write(&group.path, "cgroup.freeze", "0");
        write(&group.path, "cgroup.kill", "1").is_ok()
    });
    for group in groups.iter().filter(|g| g.has("freezer")) {
        walk(&group.path, &mut |dir| {
            let _ = write_at(dir, "freezer.state", "THAWED");
        });
    }
    // (A command on its way in may be in some groups only. It finds no process 1 to follow, and ends.)
    if !killed {
        groups.iter().for_each(kill_one);
    }
}

fn kill_one(group: &Group) {
    walk(&group.path, &mut |dir| {
        for pid in pids(dir) {
            // The pidfd is opened first and the list read again, so that a reused id of somebody else is never hit.
            if let Ok(pidfd) = process::open(pid)
                && pids(dir).contains(&pid)
            {
                let _ = process::kill(&pidfd);
            }
        }
    });
}

fn pids(dir: &OwnedFd) -> Vec<i32> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(fd) = rustix::fs::openat(dir, "cgroup.procs", flags, Mode::empty()) else { return Vec::new() };
    let text = io::read_to_string(fs::File::from(fd)).unwrap_or_default();
    // 0 stands for a process of a pid namespace we can't see.
    text.lines().filter_map(|l| l.parse().ok()).filter(|pid| *pid > 0).collect()
}

fn write_at(dir: &OwnedFd, file: &str, value: &str) -> io::Result<()> {
    let fd = rustix::fs::openat(dir, file, OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    rustix::io::write(&fd, value.as_bytes())?;
    Ok(())
}

fn open_dir(dir: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

fn children(dir: &OwnedFd) -> io::Result<Vec<std::ffi::OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == FileType::Directory && name != b"." && name != b".." {
            names.push(std::ffi::OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// Calls `visit` for the directory and all below it, parents first. What vanishes meanwhile is passed over.
fn walk(path: &Path, visit: &mut impl FnMut(&OwnedFd)) {
    let Ok(top) = open_dir(CWD, path) else { return };
    // Paths of names, not descriptors: the tree may be deep and wide, and the guest may be changing it.
    let mut todo: Vec<(usize, std::path::PathBuf)> = vec![(0, std::path::PathBuf::from("."))];
    while let Some((depth, at)) = todo.pop() {
        let Ok(dir) =
            rustix::fs::openat(&top, &at, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        else {
            continue;
        };
        visit(&dir);
        if depth < MAX_DEPTH {
            todo.extend(children(&dir).unwrap_or_default().into_iter().map(|name| (depth + 1, at.join(name))));
        }
    }
}

/// Removes a directory tree of groups, deepest first, going up and down by `..` so that neither stack nor descriptors grow.
fn remove_tree(path: &Path) -> io::Result<()> {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
        // Busy: has children or processes; the walk below tells.
        Err(rustix::io::Errno::BUSY | rustix::io::Errno::NOTEMPTY) => {}
        Err(e) => return Err(e.into()),
    }
    let mut here = match open_dir(CWD, path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut names: Vec<std::ffi::OsString> = Vec::new();
    loop {
        if let Some(child) = children(&here)?.pop() {
            here = open_dir(&here, Path::new(&child))?;
            names.push(child);
            continue;
        }
        let Some(name) = names.pop() else { break };
        here = rustix::fs::openat(&here, "..", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        match rustix::fs::unlinkat(&here, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
    }
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
