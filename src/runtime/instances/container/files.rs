//! Visits to a guest's tree by the `files` helper, from the daemon's side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::running::Running;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::files::MODE;
use crate::runtime::spec::content::Rest;
use crate::runtime::spec::files::{FilesAnswer, FilesPlan, FilesTask, Found, Place};
use crate::runtime::spec::{ContainerSpec, VERSION};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::watch::Watch;
use crate::runtime::sys::{executable, process};

/// Bytes read at once: below what musl's allocator asks the kernel for anew each time.
const CHUNK: usize = 64 << 10;
/// What the kernel buffers between helper and daemon.
const PIPE: usize = 1 << 20;

/// Whose tree is visited.
pub enum Tree {
    /// That of a running guest.
    Running(Running),
    /// That of a stopped one; its plan says where the root is, and its lock. Begins with [`Visit::mounted`].
    Stopped(Box<ContainerSpec>),
    /// That of a stopped one, mounted by an earlier visit.
    Mounted(Arc<Mount>),
}

/// The mounted root of a stopped container, for as long as this lives.
pub struct Mount {
    spec: Box<ContainerSpec>,
    root: OwnedFd,
    lock: Option<OwnedFd>,
}

/// One visit. Dropping it ends it: the helper is killed, and what it was writing stays as it is.
#[derive(Debug)]
pub struct Visit {
    link: Link,
    pipe: Option<Watch>,
    helper: Arc<OwnedFd>,
    /// The path, as errors name it.
    named: String,
}

impl Drop for Visit {
    fn drop(&mut self) {
        // One that has ended, or was even reaped, is no error.
        let _ = process::kill(self.helper.as_fd());
    }
}

/// Begins a visit. `held` is dropped when the helper is gone for good; the pidfd kills it from outside.
pub async fn visit(
    tree: Tree,
    path: &str,
    task: FilesTask,
    held: impl Send + 'static,
) -> Result<(Visit, Arc<OwnedFd>)> {
    let (place, init, mount) = match tree {
        Tree::Running(running) => {
            let (init, _) = running.init()?;
            let (_, policy) = running.surroundings();
            (Place::Running { privileged: policy.privileged }, Some(init), None)
        }
        Tree::Stopped(spec) => (Place::Stopped(spec), None, None),
        Tree::Mounted(mount) => (Place::Mounted(mount.spec.clone()), None, Some(mount)),
    };
    let way = match task {
        FilesTask::Write { .. } => Way::In,
        FilesTask::Sftp => Way::Both,
        _ => Way::Out,
    };
    let named = match &task {
        FilesTask::Link { target } => format!("{target} {path}"),
        _ => path.to_owned(),
    };
    let plan = FilesPlan { version: VERSION, place, path: path.to_owned(), task };
    let plan = serde_json::to_vec(&plan).ctx(Kind::Internal, || "Failed writing a plan")?;
    // All within the blocking work: a request given up meanwhile must not lose sight of the helper.
    let runtime = tokio::runtime::Handle::current();
    blocking(move || {
        let _inside = runtime.enter();
        let by = match &mount {
            Some(mount) => [Some(&mount.root), mount.lock.as_ref()],
            None => [init.as_deref(), None],
        };
        let (socket, pidfd, pipe) = spawn(&plan, by, way)?;
        let helper = Arc::new(pidfd.try_clone().ctx(Kind::Internal, || "Failed duplicating a descriptor")?);
        let watched = Watched::new(pidfd)?;
        runtime.spawn(async move {
            if let Err(e) = watched.reaped().await {
                tracing::warn!("Failed waiting for a files helper: {}", e.chain());
            }
            // A root that was mounted for it ends here, which takes its time.
            tokio::task::spawn_blocking(move || {
                drop(mount);
                drop(held);
            });
        });
        rustix::io::ioctl_fionbio(&pipe, true).ctx(Kind::Internal, || "Failed preparing a pipe")?;
        let pipe = Watch::new(pipe).ctx(Kind::Internal, || "Failed watching a pipe")?;
        let visit = Visit { link: Link::new(socket)?, pipe: Some(pipe), helper: helper.clone(), named };
        Ok((visit, helper))
    })
    .await
}

/// Where content goes.
#[derive(Clone, Copy)]
enum Way {
    /// To the guest.
    In,
    /// From the guest.
    Out,
    /// Both.
    Both,
}

/// Our end of what carries content, and the helper's.
fn ends(way: Way) -> std::io::Result<(OwnedFd, OwnedFd)> {
    if let Way::Both = way {
        let (ours, theirs) = UnixStream::pair()?;
        return Ok((ours.into(), theirs.into()));
    }
    let (out, into) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // Beyond the limit of an unprivileged daemon it stays at the usual size.
    let _ = rustix::pipe::fcntl_setpipe_size(&into, PIPE);
    Ok(if let Way::In = way { (into, out) } else { (out, into) })
}

/// The helper's socket, its pidfd, and our end of its pipe. `by`: what leads to the tree, and a lock on it.
fn spawn(plan: &[u8], by: [Option<&OwnedFd>; 2], way: Way) -> Result<(OwnedFd, OwnedFd, OwnedFd)> {
    let failed = || "Failed starting the files helper";
    let (our_end, their_end) = ends(way).ctx(Kind::Internal, failed)?;
    let [tree, lock] = by.map(|fd| fd.map(AsFd::as_fd));
    let more = [tree, Some(their_end.as_fd()), lock];
    let started = executable::with_plan(plan, &more, |fds| executable::start_bound(&["lxbox", MODE], fds));
    let (socket, spawned) = started.ctx(Kind::Internal, failed)?;
    Ok((socket, spawned.pidfd, our_end))
}

impl Visit {
    /// Waits until the root of `spec` is mounted: the first answer for [`Tree::Stopped`].
    pub async fn mounted(&self, spec: Box<ContainerSpec>) -> Result<Mount> {
        let (FilesAnswer::Mounted, fds) = self.heard().await? else { return Err(lost()) };
        let mut fds = fds.into_iter();
        Ok(Mount { spec, root: fds.next().ok_or_else(lost)?, lock: fds.next() })
    }

    /// What is at the path: the answer to `Stat` and `Read`.
    pub async fn found(&self) -> Result<Found> {
        match self.answer().await? {
            FilesAnswer::Found(found) => Ok(found),
            _ => Err(lost()),
        }
    }

    /// Waits until a file is open for what is sent: the answer to `Write`.
    pub async fn ready(&self) -> Result<()> {
        match self.answer().await? {
            FilesAnswer::Ready => Ok(()),
            _ => Err(lost()),
        }
    }

    /// What carries the content of both sides; given once.
    pub fn stream(&mut self) -> Result<tokio::net::UnixStream> {
        let failed = || "Failed duplicating a descriptor";
        let stream = self.pipe.take().ok_or_else(lost)?.fd().try_clone_to_owned().ctx(Kind::Internal, failed)?;
        tokio::net::UnixStream::from_std(stream.into()).ctx(Kind::Internal, || "Failed watching a stream")
    }

    /// Waits until all is done. What was sent ends here.
    pub async fn done(&mut self) -> Result<()> {
        self.pipe = None;
        match self.answer().await? {
            FilesAnswer::Done => Ok(()),
            _ => Err(lost()),
        }
    }

    /// The next bytes of what is at the path; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(pipe) = &self.pipe else { return Ok(None) };
        let mut buffer = BytesMut::zeroed(CHUNK);
        let read = pipe.reading(|fd| Ok(rustix::io::read(fd, &mut buffer[..])?)).await;
        let read = read.ctx(Kind::Internal, || format!("Failed reading {:?}", self.named))?;
        if read == 0 {
            self.done().await?;
            return Ok(None);
        }
        buffer.truncate(read);
        Ok(Some(buffer.freeze()))
    }

    /// Sends bytes to be written; waits while the helper is busy with those before. It is [`Visit::done`] that says why
    /// it takes no more.
    pub async fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let Some(pipe) = &self.pipe else { return Err(lost()) };
            match pipe.writing(|fd| Ok(rustix::io::write(fd, bytes)?)).await {
                Ok(written) => bytes = &bytes[written..],
                Err(_closed) => return self.done().await.and_then(|()| Err(lost())),
            }
        }
        Ok(())
    }

    /// Leaves the rest of the content to the helper, which reads it from the connection; [`Visit::done`] follows.
    pub async fn hand_over(&mut self, rest: &Rest, connection: BorrowedFd<'_>) {
        // A helper that is gone has said why.
        let _ = self.link.send(rest, &[connection]).await;
    }

    /// Gives the first `count` bytes of what is at the path to a socket.
    pub async fn give_to(&mut self, socket: &Watch, count: u64) -> Result<()> {
        let Some(pipe) = &self.pipe else { return Err(lost()) };
        pipe.move_to(socket, count, &mut 0).await.ctx(Kind::Internal, || format!("Failed sending {:?}", self.named))
    }

    async fn answer(&self) -> Result<FilesAnswer> {
        Ok(self.heard().await?.0)
    }

    async fn heard(&self) -> Result<(FilesAnswer, Vec<OwnedFd>)> {
        match self.link.receive::<FilesAnswer>().await? {
            Some((FilesAnswer::Failed { errno, what, call: true }, _)) => Err(refused(&what, &self.named, errno)),
            Some((FilesAnswer::Failed { errno: 0, what, .. }, _)) => Err(Error::internal(format!("Failed {what}"))),
            // The guest went down meanwhile.
            Some((FilesAnswer::Failed { errno: libc::ESRCH, .. }, _)) => {
                Err(Error::new(Kind::Conflict, "Instance is not running"))
            }
            Some((FilesAnswer::Failed { errno: libc::EBADMSG, .. }, _)) => {
                Err(Error::invalid("Failed reading the request body: it is cut short, or wrong"))
            }
            Some((FilesAnswer::Failed { errno: libc::EAGAIN, .. }, _)) => {
                Err(Error::new(Kind::Busy, "The volume of the instance is in use"))
            }
            Some((FilesAnswer::Failed { errno, what, .. }, _)) => {
                Err(Error::internal(format!("Failed {what}: {}", std::io::Error::from_raw_os_error(errno))))
            }
            Some(heard) => Ok(heard),
            None => Err(lost()),
        }
    }
}

fn lost() -> Error {
    Error::internal("The files helper ended too early")
}

/// LXD's answers: its files API speaks SFTP to a helper, and its texts show that.
fn refused(call: &str, path: &str, errno: i32) -> Error {
    match errno {
        libc::ENOENT => Error::not_found("Not Found"),
        libc::EACCES | libc::EPERM => Error::new(Kind::Forbidden, "Forbidden"),
        errno => Error::internal(format!("sftp: \"{call} {path}: {}\" (SSH_FX_FAILURE)", reason(errno))),
    }
}

/// The words for an error number that LXD's clients know, which are not the C library's.
fn reason(errno: i32) -> String {
    let text = match errno {
        libc::EAGAIN => "resource temporarily unavailable",
        libc::EBUSY => "device or resource busy",
        libc::EEXIST => "file exists",
        libc::ENOTDIR => "not a directory",
        libc::EISDIR => "is a directory",
        libc::EINVAL => "invalid argument",
        libc::ETXTBSY => "text file busy",
        libc::EFBIG => "file too large",
        libc::ENOSPC => "no space left on device",
        libc::EROFS => "read-only file system",
        libc::ENAMETOOLONG => "file name too long",
        libc::ENOTEMPTY => "directory not empty",
        libc::ELOOP => "too many levels of symbolic links",
        libc::EDQUOT => "disk quota exceeded",
        errno => return std::io::Error::from_raw_os_error(errno).to_string(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_as_lxd_tells_them() {
        let told = |errno| {
            let e = refused("open", "/a", errno);
            (e.kind(), e.message().to_owned())
        };
        assert_eq!(told(libc::ENOENT), (Kind::NotFound, "Not Found".into()));
        assert_eq!(told(libc::EPERM), (Kind::Forbidden, "Forbidden".into()));
        assert_eq!(told(libc::EISDIR), (Kind::Internal, "sftp: \"open /a: is a directory\" (SSH_FX_FAILURE)".into()));
    }
}
