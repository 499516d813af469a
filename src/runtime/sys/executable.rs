//! Our own program file, as helpers are started from it; and where programs of the host are.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::OpenTreeFlags;

use super::{channel, memfd, spawn};

static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();

/// The program to start helpers from: `LXD_EXEC_PATH`, or this very program.
///
/// The first call makes a detached read-only bind mount of the file and keeps it for the life of the process: a container that
/// gets hold of `/proc/PID/exe` of a helper can't write to the file through it, and replacing the file on disk (an upgrade)
/// doesn't take it away. Where a mount can't be made (no CAP_SYS_ADMIN) the file itself is used.
pub fn get() -> io::Result<BorrowedFd<'static>> {
    if PROGRAM.get().is_none() {
        let path = std::env::var_os("LXD_EXEC_PATH").unwrap_or_else(|| "/proc/self/exe".into());
        let fd = open(Path::new(&path))?;
        let _ = PROGRAM.set(fd);
    }
    PROGRAM.get().map(|fd| fd.as_fd()).ok_or_else(|| io::Error::other("no program"))
}

/// Where a program of the host is: in `PATH`, or in one of `places`.
pub fn find(name: &str, places: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(places.iter().map(PathBuf::from));
    let runs = |file: &PathBuf| {
        file.is_absolute() && file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    places.map(|place| place.join(name)).find(runs)
}

/// Chooses another file than `LXD_EXEC_PATH` says; only the first choice of a process counts. For test programs.
pub fn choose(path: &Path) -> io::Result<()> {
    let fd = open(path)?;
    let _ = PROGRAM.set(fd);
    Ok(())
}

/// Starts our own executable in a hidden mode with these descriptors as 0, 1, 2, …. Its environment is empty but for what tests
/// ask of it.
///
/// `cgroup` is the cgroup v2 directory in which it begins; ours when there is none.
pub fn start(args: &[&str], fds: &[BorrowedFd<'_>], cgroup: Option<BorrowedFd<'_>>) -> io::Result<spawn::Spawned> {
    let fault = std::env::var("LXBOX_FAULT").ok();
    let env: Vec<(&str, &str)> = fault.iter().map(|point| ("LXBOX_FAULT", point.as_str())).collect();
    spawn::spawn(&spawn::Launch { program: get()?, args, env: &env, fds, cgroup })
}

/// The same for a helper that dies with us ([`super::process::die_with_parent`]), here in our group.
///
/// Its parent is the thread that starts it, and not the process (PR_SET_PDEATHSIG of prctl(2)): threads of a pool end when they
/// are idle. So it gets one of its own, which waits for its end.
pub fn start_bound(args: &[&str], fds: &[BorrowedFd<'_>]) -> io::Result<spawn::Spawned> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let fds = fds.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<Vec<OwnedFd>>>()?;
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let parent = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let started = start(&args, &borrowed, None).and_then(|spawned| Ok((spawned.pidfd.try_clone()?, spawned)));
        // Whoever waits for the other end of one of them should not wait for us.
        drop(borrowed);
        drop(fds);
        let (pidfd, started) = match started {
            Ok((pidfd, spawned)) => (Some(pidfd), Ok(spawned)),
            Err(e) => (None, Err(e)),
        };
        let _ = tell.send(started);
        if let Some(pidfd) = pidfd {
            let _ = super::process::wait_end(&pidfd, std::time::Duration::MAX);
        }
    };
    std::thread::Builder::new().name("helper-parent".into()).stack_size(64 * 1024).spawn(parent)?;
    told.recv().map_err(|_| io::Error::other("the parent of a helper ended"))?
}

/// Gives a helper what all of them get, and starts it: `/dev/null` as 0, 1 and 2, its plan in a sealed memfd, its end of a socket, and
/// `more`, in which what isn't there is `/dev/null` too. Our end of the socket comes back.
pub fn with_plan(
    plan: &[u8],
    more: &[Option<BorrowedFd<'_>>],
    start: impl FnOnce(&[BorrowedFd<'_>]) -> io::Result<spawn::Spawned>,
) -> io::Result<(OwnedFd, spawn::Spawned)> {
    let plan = memfd::sealed("plan", plan)?;
    let (ours, theirs) = channel::pair()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mut fds = vec![null.as_fd(), null.as_fd(), null.as_fd(), plan.as_fd(), theirs.as_fd()];
    fds.extend(more.iter().map(|fd| fd.unwrap_or(null.as_fd())));
    Ok((ours, start(&fds)?))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    readonly_mount(path).or_else(|_| Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?))
}

fn readonly_mount(path: &Path) -> io::Result<OwnedFd> {
    // Through a file of our own first: /proc/self/exe is a magic link, which open_tree would follow too, but a deleted
    // file (upgrade between start and this call) is only reachable through the descriptor.
    let file = File::from(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&file, "", flags).or_else(|_| {
        rustix::mount::open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
    })?;
    super::mount::set_attributes(
        tree.as_fd(),
        &super::mount::Attributes { readonly: true, private: true, ..Default::default() },
    )?;
    Ok(tree)
}
