//! Commands in a running container.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::plan;
use super::running::Running;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::spec::VERSION;
use crate::runtime::spec::attach::{AttachAnswer, AttachPlan, Command, Task};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{executable, process, pty};

/// A command to execute.
#[derive(Debug)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Beside and over the defaults ([`plan::exec_environment`]).
    pub environment: Vec<(String, String)>,
    /// User id in the guest.
    pub uid: u32,
    /// Group id in the guest.
    pub gid: u32,
    /// Working directory; empty means HOME, or `/` without one.
    pub cwd: String,
    /// Its standard streams.
    pub stdio: Stdio,
}

/// Where a command's standard streams go.
#[derive(Debug)]
pub enum Stdio {
    /// A terminal of the guest with this many columns and rows (0: unknown).
    Terminal(u16, u16),
    /// Three pipes; our ends are in [`ExecStreams::Pipes`].
    Pipes,
    /// These: standard input, output and error.
    Given(OwnedFd, OwnedFd, OwnedFd),
}

/// Our ends of a command's streams.
#[derive(Debug)]
pub enum ExecStreams {
    /// The terminal's master: read output, write input.
    Terminal(OwnedFd),
    /// Pipes.
    Pipes {
        /// To be written; its closing is the end of input.
        stdin: OwnedFd,
        /// To be read.
        stdout: OwnedFd,
        /// To be read.
        stderr: OwnedFd,
    },
    /// The caller has them.
    Given,
}

/// A command that was executed. Dropping it kills nothing.
#[derive(Debug)]
pub struct ExecProcess {
    /// Its id on the host.
    pub pid: i32,
    process: OwnedFd,
    link: Link,
    helper: Visitor,
    /// Our ends of its streams. A command may leave children that keep the other ends: after [`ExecProcess::wait`] read
    /// what is there without waiting, then stop.
    pub streams: ExecStreams,
    /// The environment it was given.
    pub environment: Vec<(String, String)>,
}

impl ExecProcess {
    /// Waits until it has ended: its exit code, or 128 and the signal's number. Can be cancelled and called again, until it answers.
    pub async fn wait(&self) -> Result<i32> {
        let code = loop {
            match self.link.receive::<AttachAnswer>().await? {
                Some((AttachAnswer::Ended { code: Some(code), .. }, _)) => break code,
                Some((AttachAnswer::Ended { signal, .. }, _)) => break 128 + signal.unwrap_or(libc::SIGKILL),
                Some(_) => {}
                // The helper was killed with everything else in the container's groups.
                None => break 128 + libc::SIGKILL,
            }
        };
        self.helper.ended().await?;
        Ok(code)
    }

    /// Sends it a signal; one that has ended already gets none.
    pub fn signal(&self, number: i32) -> Result<()> {
        process::signal(&self.process, number).ctx(Kind::Internal, || format!("Failed sending signal {number}"))
    }

    /// Changes the size of its terminal. Without one nothing happens.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        match &self.streams {
            ExecStreams::Terminal(master) => {
                pty::resize(master, columns, rows).ctx(Kind::Internal, || "Failed resizing the terminal")
            }
            _ => Ok(()),
        }
    }
}

/// What LXD gives as `return` of the operation for an exec that failed this way: 127 not found, 126 not executable.
pub fn return_code(error: &Error) -> Option<i32> {
    match error.message() {
        NOT_FOUND => Some(127),
        NOT_EXECUTABLE => Some(126),
        _ => None,
    }
}

const NOT_FOUND: &str = "Command not found";
const NOT_EXECUTABLE: &str = "Command not executable";

/// An attach helper, our child. Killed when dropped before [`Visitor::release`], and its command with it.
#[derive(Debug)]
struct Visitor {
    watched: Option<Watched>,
    released: bool,
}

impl Visitor {
    fn new(pidfd: OwnedFd) -> Result<Visitor> {
        Ok(Visitor { watched: Some(Watched::new(pidfd)?), released: false })
    }

    /// From now on it lives as long as its command.
    fn release(&mut self) {
        self.released = true;
    }

    /// Waits until it has ended, and reaps it.
    async fn ended(&self) -> Result<()> {
        match &self.watched {
            Some(watched) => watched.reaped().await.map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let Some(watched) = self.watched.take() else { return };
        if !self.released {
            let _ = process::kill(watched.fd());
        }
        // Reaped later when it isn't dead yet. Without a runtime we are ending ourselves.
        if process::reap(watched.fd(), false).is_ok_and(|ended| ended.is_none())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { watched.reaped().await });
        }
    }
}

impl Running {
    /// Executes a command. `NotFound` "Command not found" and `Invalid` "Command not executable" are LXD's texts.
    pub async fn exec(&self, spec: ExecSpec) -> Result<ExecProcess> {
        let (init, pid) = self.init()?;
        let (_, policy) = self.surroundings();
        let environment = plan::exec_environment(&policy.environment, &spec.environment, spec.uid);
        let cwd = if spec.cwd.is_empty() { plan::exec_cwd(&environment) } else { spec.cwd };
        let terminal = match spec.stdio {
            Stdio::Terminal(columns, rows) => Some((columns, rows)),
            _ => None,
        };
        let (theirs, ours) = streams(spec.stdio)?;
        let path_extras =
            ![&policy.environment, &spec.environment].iter().any(|env| env.iter().any(|(k, _)| k == "PATH"));
        let command = Command {
            command: spec.command,
            environment: environment.clone(),
            path_extras,
            uid: spec.uid,
            gid: spec.gid,
            cwd,
            terminal,
        };
        let (link, mut helper) = self.send_helper(&init, pid, Task::Exec(command), theirs).await?;
        let (mut spawned, mut terminal) = (None, None);
        loop {
            match link.receive::<AttachAnswer>().await? {
                Some((AttachAnswer::Spawned { pid }, mut fds)) => spawned = fds.pop().map(|pidfd| (pidfd, pid)),
                Some((AttachAnswer::Terminal, mut fds)) => terminal = fds.pop(),
                Some((AttachAnswer::Done, _)) => break,
                Some((AttachAnswer::Failed { errno, what, exec }, _)) => {
                    helper.ended().await?;
                    return Err(failure(errno, &what, exec));
                }
                Some((AttachAnswer::Ended { .. }, _)) | None => return Err(not_running()),
            }
        }
        let (process, pid) = spawned.ok_or_else(|| Error::internal("A command was not started"))?;
        let streams = match (ours, terminal) {
            (None, Some(master)) => ExecStreams::Terminal(master),
            (Some(streams), _) => streams,
            (None, None) => return Err(Error::internal("A command got no terminal")),
        };
        helper.release();
        Ok(ExecProcess { pid, process, link, helper, streams, environment })
    }

    /// A visit that changes something and leaves no process.
    pub(super) async fn visit(&self, task: Task) -> Result<()> {
        let (init, pid) = self.init()?;
        let (link, helper) = self.send_helper(&init, pid, task, Vec::new()).await?;
        let answer = link.receive::<AttachAnswer>().await?;
        helper.ended().await?;
        match answer {
            Some((AttachAnswer::Failed { errno, what, exec }, _)) => Err(failure(errno, &what, exec)),
            Some((AttachAnswer::Done, _)) => Ok(()),
            _ => Err(not_running()),
        }
    }

    async fn send_helper(
        &self,
        init: &OwnedFd,
        pid: i32,
        task: Task,
        streams: Vec<OwnedFd>,
    ) -> Result<(Link, Visitor)> {
        let (groups, policy) = self.surroundings();
        let plan = AttachPlan { version: VERSION, groups, init: pid, policy, run: self.directory(), task };
        let plan = serde_json::to_vec(&plan).ctx(Kind::Internal, || "Failed writing a plan")?;
        let init = init.try_clone().ctx(Kind::Internal, || "Failed duplicating a descriptor")?;
        // The helper is wrapped within the blocking work, so that a request given up meanwhile drops (kills) it too.
        let runtime = tokio::runtime::Handle::current();
        let (socket, helper) = blocking(move || {
            let (socket, pidfd) = spawn_attach(&plan, &init, streams)?;
            let _inside = runtime.enter();
            Ok((socket, Visitor::new(pidfd)?))
        })
        .await?;
        Ok((Link::new(socket)?, helper))
    }
}

fn not_running() -> Error {
    Error::new(Kind::Conflict, "Instance is not running")
}

fn failure(errno: i32, what: &str, exec: bool) -> Error {
    match errno {
        libc::ENOENT if exec => Error::not_found(NOT_FOUND),
        libc::EACCES | libc::ENOEXEC | libc::EPERM | libc::EISDIR if exec => Error::invalid(NOT_EXECUTABLE),
        // The container went down meanwhile: its process 1 is gone, or its groups.
        libc::ESRCH | libc::ENODEV => not_running(),
        0 => Error::internal(format!("Failed {what}")),
        errno => Error::internal(format!("Failed {what}: {}", io::Error::from_raw_os_error(errno))),
    }
}

fn spawn_attach(plan: &[u8], init: &OwnedFd, streams: Vec<OwnedFd>) -> Result<(OwnedFd, OwnedFd)> {
    let more: Vec<_> = [init].into_iter().chain(&streams).map(|fd| Some(fd.as_fd())).collect();
    let start = |fds: &[BorrowedFd<'_>]| executable::start(&["lxbox", "attach"], fds, None);
    let started = executable::with_plan(plan, &more, start);
    let (socket, spawned) = started.ctx(Kind::Internal, || "Failed starting the attach helper")?;
    Ok((socket, spawned.pidfd))
}

/// The command's ends of its streams, and ours; none of ours when the terminal's comes later.
fn streams(stdio: Stdio) -> Result<(Vec<OwnedFd>, Option<ExecStreams>)> {
    let pipe =
        || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ctx(Kind::Internal, || "Failed creating a pipe");
    Ok(match stdio {
        Stdio::Terminal(..) => (Vec::new(), None),
        Stdio::Given(stdin, stdout, stderr) => (vec![stdin, stdout, stderr], Some(ExecStreams::Given)),
        Stdio::Pipes => {
            let ((their_in, stdin), (stdout, their_out), (stderr, their_err)) = (pipe()?, pipe()?, pipe()?);
            (vec![their_in, their_out, their_err], Some(ExecStreams::Pipes { stdin, stdout, stderr }))
        }
    })
}
