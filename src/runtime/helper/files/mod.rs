//! One path in a guest's tree, read or changed for a client: never outside of the tree, whatever the guest does meanwhile.
//!
//! ```text
//! daemon ─ files   joins the guest's mounts, or mounts a stopped guest's root; a pipe to the daemon carries content
//! ```
//!
//! A process of its own and not the daemon: a file system of the guest's (FUSE) may never answer, and who joins a guest's namespaces
//! must have one thread. It doesn't join the guest's control groups: it must work while they are frozen, and must not keep them from
//! getting empty.

mod content;
mod place;
pub mod sftp;
mod tree;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Fail, PLAN_FD, What, read_plan, say};
use crate::runtime::spec::files::{FilesAnswer, FilesPlan, FilesTask, Place};
use crate::runtime::sys::{process, signal};

/// The word by which the executable becomes this.
pub const MODE: &str = "files";

/// Why it could not be done.
enum Trouble {
    /// Ours, or the host's.
    Host(Fail),
    /// This call on the path was refused by the guest's tree.
    Path(&'static str, Errno),
}

impl From<Fail> for Trouble {
    fn from(fail: Fail) -> Trouble {
        Trouble::Host(fail)
    }
}

/// Names the call that failed.
trait Call<T> {
    /// `name` is LXD's word for it: `open`, `lstat`.
    fn call(self, name: &'static str) -> Result<T, Trouble>;
}

impl<T> Call<T> for rustix::io::Result<T> {
    fn call(self, name: &'static str) -> Result<T, Trouble> {
        self.map_err(|e| Trouble::Path(name, e))
    }
}

impl<T> Call<T> for std::io::Result<T> {
    fn call(self, name: &'static str) -> Result<T, Trouble> {
        self.map_err(|e| Trouble::Path(name, Errno::from_io_error(&e).unwrap_or(Errno::IO)))
    }
}

/// The entry of the hidden mode: plan, socket, the way to the tree, the pipe and the lock of a root that another helper has
/// mounted are open descriptors from [`PLAN_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    signal::reset_all();
    let _ = process::hide_memory();
    let _ = process::die_with_parent();
    let Some([plan, socket, way, pipe, _lock]) = process::inherited_row(PLAN_FD) else { return 2 };
    let last = match visit(&plan, &socket, way, pipe) {
        Ok(()) => FilesAnswer::Done,
        Err(Trouble::Path(name, e)) => FilesAnswer::Failed { errno: e.raw_os_error(), what: name.into(), call: true },
        Err(Trouble::Host(e)) => FilesAnswer::Failed { errno: e.errno, what: e.what, call: false },
    };
    i32::from(say(&socket, &last, &[]).is_err())
}

fn visit(plan: &OwnedFd, socket: &OwnedFd, way: OwnedFd, pipe: OwnedFd) -> Result<(), Trouble> {
    let plan: FilesPlan = read_plan(plan.as_fd())?;
    // Ours: the guest's may be anything.
    let own = rustix::fs::open("/proc/self/fd", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .what(|| "opening \"/proc\"")?;
    let (root, lock) = place::enter(&plan.place, &way)?;
    drop(way);
    if let Place::Stopped(_) = plan.place {
        let fds: Vec<_> = [Some(root.as_fd()), lock.as_ref().map(AsFd::as_fd)].into_iter().flatten().collect();
        say(socket, &FilesAnswer::Mounted, &fds).what(|| "answering")?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let tree = tree::Tree { root, own };
    let path = plan.path.as_str();
    match &plan.task {
        FilesTask::Stat => {
            let (_, found) = tree.look(path)?;
            tell(socket, FilesAnswer::Found(found))
        }
        FilesTask::Read => content::read(&tree, path, (socket, pipe)),
        FilesTask::Write { append, fresh } => content::write(&tree, path, (*append, *fresh), (socket, pipe)),
        FilesTask::Directory { fresh } => tree.make_directory(path, *fresh),
        FilesTask::Link { target } => tree.make_link(path, target),
        FilesTask::Delete => tree.delete(path),
        FilesTask::Sftp => sftp::serve(&tree, socket, pipe),
    }
}

fn tell(socket: &OwnedFd, answer: FilesAnswer) -> Result<(), Trouble> {
    Ok(say(socket, &answer, &[]).what(|| "answering")?)
}
