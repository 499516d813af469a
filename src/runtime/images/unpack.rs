//! Starts the confined process that reads archives, and waits for its answer.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::helper::unpack as helper;
pub use crate::runtime::helper::unpack::Limits;
pub use crate::runtime::helper::unpack::plan::{ArchivedTree, Inspection, Outcome, RootKind};
use crate::runtime::helper::unpack::plan::{Job, Plan, Reply};
use crate::runtime::helper::unpack::wire;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(200);

/// How the unpacking process is started.
#[derive(Clone, Debug)]
pub struct Runner {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// An image to unpack.
pub struct Request {
    /// An open, empty directory; gets `rootfs/`, `metadata.yaml` and `templates/`.
    pub target: OwnedFd,
    /// The image's file, or metadata and rootfs ([`super::import::open`]).
    pub files: Vec<File>,
    /// Make device nodes: for privileged instances only.
    pub devices: bool,
    /// Write the tree to the disk before it is said to be there.
    pub sync: bool,
    /// What it may cost.
    pub limits: Limits,
}

/// Where a part of a backup goes.
pub use crate::runtime::helper::unpack::Target as RestoreTarget;

/// Parts of a backup that are unpacked at once, at most.
pub const RESTORE_TARGETS: usize = (wire::DESCRIPTORS - 1) / 2;

impl Default for Runner {
    fn default() -> Runner {
        Runner::own()
    }
}

impl Runner {
    /// Our own executable in its hidden mode.
    pub fn own() -> Runner {
        Runner::of("/proc/self/exe", [helper::MODE])
    }

    /// Another executable that runs [`helper::main`]; for tests, and for a daemon that keeps a safe copy of itself.
    pub fn of<A: Into<OsString>>(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = A>) -> Runner {
        Runner { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Reads `metadata.yaml` out of an image and tells what it is. A wrong image is [`Kind::Invalid`] with LXD's text.
    pub async fn inspect(&self, files: Vec<File>, limits: Limits) -> Result<Inspection> {
        let plan = Plan { job: Job::Inspect { split: files.len() > 1 }, limits };
        let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        match self.start(&plan, &descriptors)?.answer().await? {
            Reply::Inspected(inspection) => Ok(inspection),
            Reply::Failed { kind, message } => Err(Error::new(kind.into(), message)),
            _ => Err(wrong_answer()),
        }
    }

    /// Reads the `index.yaml` of a backup.
    pub async fn index(&self, file: File, limits: Limits) -> Result<String> {
        let plan = Plan { job: Job::Index, limits };
        match self.start(&plan, &[file.as_fd()])?.answer().await? {
            Reply::Index(text) => Ok(text),
            Reply::Failed { kind, message } => Err(Error::new(kind.into(), message)),
            _ => Err(wrong_answer()),
        }
    }

    /// Unpacks parts of a backup, at most [`RESTORE_TARGETS`]. Dropping the future kills the process; after that, and after an
    /// error, the caller removes the targets.
    pub async fn restore(
        &self,
        targets: &[RestoreTarget],
        file: &File,
        devices: bool,
        limits: Limits,
    ) -> Result<Outcome> {
        let trees = targets.iter().map(|target| target.tree.clone()).collect();
        let plan = Plan { job: Job::Restore { trees, devices }, limits };
        let mut descriptors: Vec<_> = targets.iter().flat_map(|t| [t.own.as_fd(), t.root.as_fd()]).collect();
        descriptors.push(file.as_fd());
        match self.start(&plan, &descriptors)?.answer().await? {
            Reply::Unpacked(outcome) => Ok(outcome),
            Reply::Failed { kind, message } => Err(Error::new(kind.into(), message)),
            _ => Err(wrong_answer()),
        }
    }

    /// Unpacks an image. `progress` is told the compressed bytes read and their sum, a few times a second. Dropping
    /// the future kills the process; after that, and after an error, the caller removes the target.
    pub async fn unpack(&self, request: Request, mut progress: impl FnMut(u64, u64)) -> Result<Outcome> {
        let Request { target, files, devices, sync, limits } = request;
        let plan = Plan { job: Job::Unpack { split: files.len() > 1, devices, sync }, limits };
        let mut descriptors = vec![target.as_fd()];
        descriptors.extend(files.iter().map(AsFd::as_fd));
        let answer = self.start(&plan, &descriptors)?.answer();
        tokio::pin!(answer);
        let mut tick = tokio::time::interval(TICK);
        let reply = loop {
            tokio::select! {
                reply = &mut answer => break reply?,
                // The process reads through the same open files, so their positions are its progress.
                _ = tick.tick() => if let Ok((read, all)) = position(&files) { progress(read, all) },
            }
        };
        match reply {
            Reply::Unpacked(outcome) => Ok(outcome),
            Reply::Failed { kind, message } => Err(Error::new(kind.into(), message)),
            _ => Err(wrong_answer()),
        }
    }

    fn start(&self, plan: &Plan, descriptors: &[BorrowedFd<'_>]) -> Result<Started> {
        let failed = || "Failed starting the unpacking process";
        let (ours, theirs) = UnixStream::pair().ctx(Kind::Internal, failed)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .ctx(Kind::Internal, failed)?;
        wire::send(&ours, plan, descriptors)?;
        ours.set_nonblocking(true).ctx(Kind::Internal, failed)?;
        Ok(Started { child, socket: tokio::net::UnixStream::from_std(ours).ctx(Kind::Internal, failed)? })
    }
}

struct Started {
    child: Child,
    socket: tokio::net::UnixStream,
}

impl Started {
    async fn answer(mut self) -> Result<Reply> {
        let failed = || "Failed waiting for the unpacking process";
        let mut text = Vec::new();
        let mut complaint = Vec::new();
        let mut errors = self.child.stderr.take();
        let complain = async {
            match &mut errors {
                Some(errors) => errors.take(4096).read_to_end(&mut complaint).await,
                None => Ok(0),
            }
        };
        let limited = (&mut self.socket).take(wire::REPLY);
        tokio::pin!(limited);
        let (answered, complained) = tokio::join!(limited.read_to_end(&mut text), complain);
        answered.ctx(Kind::Internal, failed)?;
        complained.ctx(Kind::Internal, failed)?;
        let status = self.child.wait().await.ctx(Kind::Internal, failed)?;
        wire::parse_reply(&text).map_err(|error| {
            let complaint = String::from_utf8_lossy(&complaint);
            Error::internal(format!("{} ({status}) {}", error.message(), complaint.trim()).trim_end().to_owned())
        })
    }
}

fn wrong_answer() -> Error {
    Error::internal("The unpacking process gave a wrong answer")
}

fn position(files: &[File]) -> io::Result<(u64, u64)> {
    let mut sum = (0, 0);
    for file in files {
        sum.0 += rustix::fs::tell(file)?;
        sum.1 += file.metadata()?.len();
    }
    Ok(sum)
}

/// Removes `name` in the open directory with everything below it; see [`helper::remove::tree`]. Blocks.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    helper::remove::tree(parent, name)
}
