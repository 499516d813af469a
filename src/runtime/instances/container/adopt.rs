//! Taking over containers that an earlier daemon started, and clearing up what nobody looks after any more.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::RunDirs;
use super::running::Running;
use crate::api::types;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::spec::VERSION;
use crate::runtime::spec::shim::{EXIT, ExitReason, ExitRecord, FromShim, RECORD, RunRecord, SOCKET, ToShim};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{cgroup, channel, process};

/// How long one round of bringing something down takes at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found of a container in its run directory.
#[derive(Debug)]
pub enum Adopted {
    /// It runs; its shim talks to us from now on.
    Running(Running),
    /// Its shim has told it to reboot and waits for a plan: call [`Running::wait_exit`], which says so at once.
    Rebooting(Running),
    /// It ran and is down.
    Exited(ExitRecord),
    /// Nothing of it is there.
    Gone,
}

/// Looks at a run directory. A container whose shim is dead is brought down completely first.
pub async fn adopt(dirs: &RunDirs) -> Result<Adopted> {
    if let Some(exit) = read::<ExitRecord>(dirs, EXIT)? {
        if let Some(shim) = read::<RunRecord>(dirs, RECORD)?.and_then(|record| process::find(record.shim)) {
            Watched::new(shim)?.ended().await?;
        }
        clean_up(dirs).await?;
        return Ok(Adopted::Exited(exit));
    }
    let Some(record) = read::<RunRecord>(dirs, RECORD)? else { return Ok(Adopted::Gone) };
    let boot_id = process::boot_id().ctx(Kind::Internal, || "Failed reading the boot id")?;
    if record.boot_id != boot_id {
        return Ok(Adopted::Exited(lost(ExitReason::HostReboot)));
    }
    match process::find(record.shim) {
        Some(shim) => connect(dirs, shim).await,
        None => {
            clean_up(dirs).await?;
            let exit = read::<ExitRecord>(dirs, EXIT)?;
            Ok(Adopted::Exited(exit.unwrap_or_else(|| lost(ExitReason::ShimLost))))
        }
    }
}

async fn connect(dirs: &RunDirs, shim: OwnedFd) -> Result<Adopted> {
    let shim = Watched::new(shim)?;
    let run = dirs.run.clone();
    let socket = blocking(move || connect_in(&run)).await;
    let Ok(socket) = socket else { return after_shim(dirs, &shim).await };
    let link = Link::new(socket)?;
    if link.send(&ToShim::Hello { version: VERSION }, &[]).await.is_err() {
        return after_shim(dirs, &shim).await;
    }
    loop {
        match link.receive::<FromShim>().await? {
            Some((FromShim::Started, fds)) => {
                return Ok(Adopted::Running(Running::new(record(dirs)?, fds, link, shim, dirs.clone())));
            }
            Some((FromShim::Rebooting, _)) => {
                return Ok(Adopted::Rebooting(Running::new(record(dirs)?, Vec::new(), link, shim, dirs.clone())));
            }
            Some((FromShim::Step { .. } | FromShim::Unknown, _)) => {}
            Some(_) | None => return after_shim(dirs, &shim).await,
        }
    }
}

/// Connects to the shim of a run directory. Blocks shortly.
pub(super) fn connect_in(run: &std::path::Path) -> Result<OwnedFd> {
    let directory = fs::File::open(run).ctx(Kind::Conflict, || format!("Failed opening {run:?}"))?;
    channel::connect(directory.as_fd(), SOCKET).ctx(Kind::Conflict, || "Failed connecting to the container's shim")
}

/// The shim ended (or is about to) while we came.
async fn after_shim(dirs: &RunDirs, shim: &Watched) -> Result<Adopted> {
    let patience = tokio::time::timeout(Duration::from_secs(30), shim.ended());
    patience.await.map_err(|_| Error::new(Kind::Unavailable, "A shim doesn't answer"))??;
    clean_up(dirs).await?;
    let exit = read::<ExitRecord>(dirs, EXIT)?;
    Ok(Adopted::Exited(exit.unwrap_or_else(|| lost(ExitReason::ShimLost))))
}

/// Brings down what a dead shim has left: kills and removes its groups. Fine when there is nothing.
pub(super) async fn clean_up(dirs: &RunDirs) -> Result<()> {
    let Some(record) = read::<RunRecord>(dirs, RECORD)? else { return Ok(()) };
    let boot_id = process::boot_id().ctx(Kind::Internal, || "Failed reading the boot id")?;
    if record.boot_id != boot_id {
        return Ok(());
    }
    loop {
        let record = record.clone();
        match blocking(move || Ok(bring_down(&record))).await? {
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                tracing::warn!(run = %dirs.run.display(), "a container's processes don't die; still waiting");
            }
            other => return other.ctx(Kind::Internal, || format!("Failed bringing down what {:?} names", dirs.run)),
        }
    }
}

fn bring_down(record: &RunRecord) -> io::Result<()> {
    let init = record.init.and_then(process::find);
    if record.claimed {
        // Perhaps never ours, and nothing was in there yet: only what is empty goes.
        let _ = cgroup::remove(&record.groups);
    } else {
        cgroup::bring_down(&cgroup::still_ours(&record.groups), PATIENCE)?;
    }
    // Groups are empty a little before the last process has let go of its files and mounts.
    if let Some(init) = init {
        process::wait_end(&init, PATIENCE)?;
    }
    record.lock.as_deref().map_or(Ok(()), wait_unlocked)
}

/// Waits for the helpers of a dead shim, which die with it: the last one to end gives the lock back.
fn wait_unlocked(path: &Path) -> io::Result<()> {
    let file = match fs::File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let deadline = Instant::now() + PATIENCE;
    while let Err(e) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if Instant::now() > deadline {
            return Err(e.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Removes the run directory of a container that is down. Fine when there is none.
pub async fn forget(dirs: &RunDirs) -> Result<()> {
    let run = dirs.run.clone();
    blocking(move || match fs::remove_dir_all(&run) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed removing {run:?}"))
        }
        _ => Ok(()),
    })
    .await
}

/// Whether the shim that wrote this record is alive.
pub(super) fn lives(record: &RunRecord) -> bool {
    process::boot_id().is_ok_and(|boot| boot == record.boot_id) && process::find(record.shim).is_some()
}

/// The exit of a container about which no shim left a word.
pub(super) fn lost(reason: ExitReason) -> ExitRecord {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    ExitRecord { reason, code: None, signal: None, ended_ms: now, failure: None }
}

/// The record of a shim that lives.
pub(super) fn record(dirs: &RunDirs) -> Result<RunRecord> {
    read(dirs, RECORD)?.ok_or_else(|| Error::internal(format!("A shim has lost its record in {:?}", dirs.run)))
}

/// Reads a small file of the run directory; `None` when it doesn't exist.
pub(super) fn read<T: crate::api::tree::FromTree>(dirs: &RunDirs, name: &str) -> Result<Option<T>> {
    let path = dirs.run.join(name);
    let text = match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.ctx(Kind::Internal, || format!("Failed reading {path:?}"))?,
    };
    types::from_slice(&text).map(Some).ctx(Kind::Internal, || format!("Failed reading {path:?}"))
}
