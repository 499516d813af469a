//! The daemon's side of a helper that outlives it: found by its record, asked over its socket, ended.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::blocking;
use super::spec::resident::Record;
use super::sys::link::{Link, Watched};
use super::sys::{channel, process, spawn};
use crate::api::tree::FromTree;
use crate::api::types;
use crate::error::{Ctx, Error, Kind, Result};

/// Whoever owns nothing, everywhere: below all ranges of ids that guests have. What such helpers become.
pub const NOBODY: u32 = 65534;
/// How long a helper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where such a helper has its things, and what it is called in errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its own directory.
    pub run: PathBuf,
    /// Its socket below that.
    pub socket: &'static str,
    /// Its record below that.
    pub record: &'static str,
    /// "A network's server".
    pub called: &'static str,
}

/// A living helper.
#[derive(Debug)]
pub struct Resident {
    /// Its process id.
    pub pid: i32,
    process: Arc<Watched>,
    /// Taken out while a request is under way: one that was given up leaves an answer behind, so the connection is not used again.
    link: Option<Link>,
    home: Home,
}

impl Resident {
    /// One that we have just started, with our end of its socket.
    pub fn started(spawned: spawn::Spawned, socket: OwnedFd, home: &Home) -> Result<Resident> {
        let (link, process) = (Link::new(socket)?, Arc::new(Watched::new(spawned.pidfd)?));
        Ok(Resident { pid: spawned.pid, process, link: Some(link), home: home.clone() })
    }

    /// The living helper that the record there names.
    pub async fn find(home: &Home) -> Result<Option<Resident>> {
        let (run, name) = (home.run.clone(), home.record);
        let found = blocking(move || {
            let Some(record) = read_record(&run, name)? else { return Ok(None) };
            let boot_id = process::boot_id().ctx(Kind::Internal, || "Failed reading the boot id")?;
            let pidfd = process::find(record.process).filter(|_| record.boot_id == boot_id);
            Ok(pidfd.map(|pidfd| (record.process.pid, pidfd)))
        })
        .await?;
        let Some((pid, pidfd)) = found else { return Ok(None) };
        Ok(Some(Resident { pid, process: Arc::new(Watched::new(pidfd)?), link: None, home: home.clone() }))
    }

    /// Its process, for watching.
    pub fn watched(&self) -> Arc<Watched> {
        self.process.clone()
    }

    /// Asks one thing. Any error closes the connection; the next request makes another.
    pub async fn ask<A: FromTree>(
        &mut self,
        request: &impl Serialize,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(A, Vec<OwnedFd>)> {
        let link = match self.link.take() {
            Some(link) => link,
            None => connect(&self.home).await?,
        };
        link.send(request, fds).await?;
        self.link = Some(link);
        self.hear().await
    }

    /// The next thing it says.
    pub async fn hear<A: FromTree>(&mut self) -> Result<(A, Vec<OwnedFd>)> {
        let silent = || Error::new(Kind::Unavailable, format!("{} doesn't answer", self.home.called));
        let Some(link) = self.link.take() else { return Err(silent()) };
        let heard = tokio::time::timeout(PATIENCE, link.receive()).await.map_err(|_| silent())??;
        self.link = Some(link);
        heard.ok_or_else(|| Error::new(Kind::Unavailable, format!("{} has died", self.home.called)))
    }

    /// Waits until it has ended by itself.
    pub async fn reaped(&self) -> Result<()> {
        self.process.reaped().await.map(drop)
    }

    /// Ends it by this request; by force when it doesn't end by itself.
    pub async fn stop<A: FromTree>(mut self, request: &impl Serialize) {
        let asked = self.ask::<A>(request, &[]).await;
        let ended = tokio::time::timeout(PATIENCE, self.process.reaped());
        if asked.is_err() || ended.await.is_err() {
            self.kill().await;
        }
    }

    /// Ends it by force.
    pub async fn kill(&self) {
        let _ = process::kill(self.process.fd());
        let _ = self.process.reaped().await;
    }
}

/// A connection to whoever listens there.
pub async fn connect(home: &Home) -> Result<Link> {
    let (run, name, called) = (home.run.clone(), home.socket, home.called);
    let socket = blocking(move || {
        let directory = fs::File::open(&run).ctx(Kind::Unavailable, || format!("Failed opening {run:?}"))?;
        let connected = channel::connect(directory.as_fd(), name);
        connected.ctx(Kind::Unavailable, || format!("Failed connecting: {called} is not there"))
    })
    .await?;
    Link::new(socket)
}

/// Removes the run directory of a helper that has ended.
pub async fn sweep(home: &Home) -> Result<()> {
    let run = home.run.clone();
    blocking(move || match fs::remove_dir_all(&run) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed removing {run:?}"))
        }
        _ => Ok(()),
    })
    .await
}

/// The error of a helper that could not start, as it told it.
pub fn failed(doing: &str, errno: i32, what: &str) -> Error {
    let source = if errno == 0 { String::new() } else { format!(": {}", io::Error::from_raw_os_error(errno)) };
    Error::internal(format!("{doing}: {what}{source}"))
}

fn read_record(run: &Path, name: &str) -> Result<Option<Record>> {
    let path = run.join(name);
    match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // One that can't be read is of no use; the helper behind it, if any, is in the way of no one but us.
        text => Ok(types::from_slice(&text.ctx(Kind::Internal, || format!("Failed reading {path:?}"))?).ok()),
    }
}
