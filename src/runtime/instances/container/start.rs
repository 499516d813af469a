//! Starting a container: a shim is spawned with the plan and followed until the guest's process 1 is executed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::{fs, io};

use super::running::Running;
use super::{RunDirs, adopt};
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::spec::ContainerSpec;
use crate::runtime::spec::cgroup::Hierarchy;
use crate::runtime::spec::shim::{EXIT, Failure, FromShim, RECORD, RunRecord, ToShim};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{cgroup, executable, fault, spawn};

/// Starts a container and waits until its process 1 has been executed.
///
/// An error means that nothing of it is left. `Busy`: its volume is in use.
pub async fn start(spec: &ContainerSpec, dirs: &RunDirs) -> Result<Running> {
    begin(spec, dirs).await?.finish().await
}

/// A container that is being started. Dropped before [`Starting::finish`], the start is given up and undone by the shim, if that
/// lives: [`Starting::abandon`] sees to it.
#[derive(Debug)]
pub struct Starting {
    name: String,
    dirs: RunDirs,
    link: Link,
    shim: Watched,
    /// Process 1, when the plan said `hold`.
    held: Option<i32>,
}

/// Begins a start. With `hold` in the plan it comes back once the namespaces exist and [`Starting::pid`] is known:
/// that is the time to move network devices in.
pub async fn begin(spec: &ContainerSpec, dirs: &RunDirs) -> Result<Starting> {
    let plan =
        serde_json::to_vec(spec).ctx(Kind::Internal, || format!("Failed writing the plan of {:?}", spec.name))?;
    let (name, cgroups, run) = (spec.name.clone(), spec.cgroups.clone(), dirs.clone());
    let (socket, spawned) = blocking(move || spawn_shim(&plan, &name, &cgroups, &run)).await?;
    fault("daemon.start.spawned");
    let mut starting = Starting {
        name: spec.name.clone(),
        dirs: dirs.clone(),
        link: Link::new(socket)?,
        shim: Watched::new(spawned.pidfd)?,
        held: None,
    };
    if spec.hold {
        starting.hear_until_held().await?;
    }
    Ok(starting)
}

impl Starting {
    /// Process 1 on the host, when the plan said `hold`.
    pub fn pid(&self) -> Option<i32> {
        self.held
    }

    /// Lets a held start go on, and waits until process 1 has been executed.
    pub async fn finish(self) -> Result<Running> {
        if self.held.is_some() {
            // A shim that is dead is met by what follows.
            let _ = self.link.send(&ToShim::Go, &[]).await;
        }
        loop {
            match self.hear().await? {
                (FromShim::Started, fds) => {
                    fault("daemon.start.started");
                    let record = adopt::record(&self.dirs)?;
                    return Ok(Running::new(record, fds, self.link, self.shim, self.dirs));
                }
                (FromShim::Step { .. }, _) => {}
                (other, _) => return Err(unexpected(&other)),
            }
        }
    }

    /// Gives a held start up, and waits until nothing of it is left: its shim undoes it, or if that is dead we do.
    pub async fn abandon(self) -> Result<()> {
        let Starting { dirs, link, shim, .. } = self;
        drop(link);
        shim.reaped().await?;
        adopt::clean_up(&dirs).await?;
        adopt::forget(&dirs).await
    }

    async fn hear_until_held(&mut self) -> Result<()> {
        loop {
            match self.hear().await? {
                (FromShim::Held { pid }, _) => {
                    self.held = Some(pid);
                    return Ok(());
                }
                (FromShim::Step { .. }, _) => {}
                (other, _) => return Err(unexpected(&other)),
            }
        }
    }

    async fn hear(&self) -> Result<(FromShim, Vec<OwnedFd>)> {
        match self.link.receive::<FromShim>().await? {
            Some((FromShim::Failed(failure), _)) => {
                self.shim.reaped().await?;
                adopt::clean_up(&self.dirs).await?;
                adopt::forget(&self.dirs).await?;
                Err(failed(&self.name, &failure))
            }
            Some(other) => Ok(other),
            None => {
                // Killed in the middle: undo from its record what it couldn't.
                self.shim.reaped().await?;
                adopt::clean_up(&self.dirs).await?;
                adopt::forget(&self.dirs).await?;
                Err(Error::internal(format!("Failed starting container {:?}: its shim died", self.name)))
            }
        }
    }
}

fn spawn_shim(plan: &[u8], name: &str, cgroups: &[Hierarchy], dirs: &RunDirs) -> Result<(OwnedFd, spawn::Spawned)> {
    let run = &dirs.run;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(run)
        .ctx(Kind::Internal, || format!("Failed creating {run:?}"))?;
    if adopt::read::<RunRecord>(dirs, RECORD)?.is_some_and(|record| adopt::lives(&record)) {
        return Err(Error::new(Kind::Busy, format!("Container {name:?} is running already")));
    }
    for old in [EXIT, RECORD] {
        match fs::remove_file(run.join(old)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(e).ctx(Kind::Internal, || format!("Failed clearing {run:?}"))?
            }
            _ => {}
        }
    }
    let failed = || format!("Failed starting the shim of {name:?}");
    let directory = OwnedFd::from(fs::File::open(run).ctx(Kind::Internal, || format!("Failed opening {run:?}"))?);
    let birth = |fds: &[BorrowedFd<'_>]| give_birth(name, fds, cgroups);
    executable::with_plan(plan, &[Some(directory.as_fd())], birth).ctx(Kind::Internal, failed)
}

/// Starts the shim in the helpers' control group; makes that once more where the end of another daemon has just removed it.
fn give_birth(name: &str, fds: &[BorrowedFd<'_>], cgroups: &[Hierarchy]) -> io::Result<spawn::Spawned> {
    let born = || {
        let group = cgroup::helpers(cgroups)?;
        executable::start(&["lxbox", "shim", name], fds, group.as_ref().map(AsFd::as_fd))
    };
    match born() {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENOENT)) => born(),
        other => other,
    }
}

/// The error of a start that the shim has undone.
pub(super) fn failed(name: &str, failure: &Failure) -> Error {
    let source = match failure.errno {
        0 => String::new(),
        errno => format!(": {}", io::Error::from_raw_os_error(errno)),
    };
    let kind = match failure.errno {
        libc::EAGAIN => Kind::Busy,
        libc::ENOSPC | libc::EDQUOT => Kind::Unavailable,
        _ => Kind::Internal,
    };
    Error::new(kind, format!("Failed starting container {name:?}: {}{source}", failure.what))
}

pub(super) fn unexpected(message: &FromShim) -> Error {
    Error::internal(format!("A shim said what it should not: {message:?}"))
}
