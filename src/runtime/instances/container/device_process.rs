//! The helpers of single devices of running guests (`lxbox proxy`, `lxbox tpm`): started, found again by the next daemon, ended.
//!
//! What runs is known by the records that they write into a directory of the guest's.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::tree::FromTree;

use crate::api::types;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::spec::resident::{Begun, DeviceRecord};
use crate::runtime::spec::shim::Process;
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{executable, process};

/// How long a helper may take to begin, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be started.
pub(super) struct Launch {
    /// The word for it.
    pub(super) mode: &'static str,
    /// The device's name.
    pub(super) device: String,
    /// Process 1 of the guest.
    pub(super) init: Process,
    /// What it is told.
    pub(super) plan: Vec<u8>,
}

/// The records of those that live.
pub(super) async fn running<P: FromTree + Send + 'static>(directory: PathBuf) -> Result<Vec<DeviceRecord<P>>> {
    blocking(move || Ok(records(&directory)?.into_iter().map(|(_, record)| record).filter(alive).collect())).await
}

/// Starts one and waits until it says that it serves. Whoever gets it waits for its end ([`Watched::reaped`]).
///
/// # Errors
/// [`Kind::Invalid`] naming the device; then nothing is left of it.
pub(super) async fn start(launch: Launch, directory: PathBuf) -> Result<Watched> {
    let Launch { mode, device, init, plan } = launch;
    let name = device.clone();
    let failed = |why: String| Error::invalid(format!("Failed to start device {name:?}: {why}"));
    let init = process::find(init).ok_or_else(|| failed("Instance is not running".into()))?;
    let (socket, spawned) = blocking(move || {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.ctx(Kind::Internal, || format!("Failed creating {directory:?}"))?;
        let directory = File::open(&directory).ctx(Kind::Internal, || format!("Failed opening {directory:?}"))?;
        let more = [Some(directory.as_fd()), Some(init.as_fd())];
        executable::with_plan(&plan, &more, |fds| executable::start(&["lxbox", mode, &device], fds, None))
            .ctx(Kind::Internal, || format!("Failed starting the helper of device {device:?}"))
    })
    .await?;
    let (link, helper) = (Link::new(socket)?, Watched::new(spawned.pidfd)?);
    let said = tokio::time::timeout(PATIENCE, link.receive::<Begun>()).await;
    let why = match said {
        Ok(Ok(Some((Begun::Ready, _)))) => return Ok(helper),
        Ok(Ok(Some((Begun::Failed { errno: 0, what }, _)))) => format!("Failed {what}"),
        Ok(Ok(Some((Begun::Failed { errno, what }, _)))) => {
            format!("Failed {what}: {}", io::Error::from_raw_os_error(errno))
        }
        Ok(_) => "Its helper has died".into(),
        Err(_) => "Its helper doesn't answer".into(),
    };
    let _ = process::kill(helper.fd());
    helper.reaped().await?;
    Err(failed(why))
}

/// Ends those that have to go, waits until they have, and takes away what they have left: their records, and what `clear` does.
pub(super) async fn end<P: FromTree + 'static>(
    directory: PathBuf,
    goes: impl Fn(&DeviceRecord<P>) -> bool + Send + 'static,
    clear: fn(&P),
) -> Result<()> {
    let bury = move |(file, record): (PathBuf, DeviceRecord<P>)| {
        stop(&record)?;
        clear(&record.plan);
        match fs::remove_file(&file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(e).ctx(Kind::Internal, || format!("Failed removing {file:?}"))
            }
            _ => Ok(()),
        }
    };
    blocking(move || records(&directory)?.into_iter().filter(|(_, record)| goes(record)).try_for_each(bury)).await
}

fn stop<P>(record: &DeviceRecord<P>) -> Result<()> {
    let Some(pidfd) = process::find(record.process).filter(|_| is_of_this_boot(record)) else { return Ok(()) };
    process::kill(&pidfd).ctx(Kind::Internal, || "Failed ending the helper of a device")?;
    let ended = process::wait_end(&pidfd, PATIENCE);
    ended.ctx(Kind::Internal, || "Failed waiting for the end of the helper of a device").map(drop)
}

fn alive<P>(record: &DeviceRecord<P>) -> bool {
    is_of_this_boot(record) && process::find(record.process).is_some()
}

fn is_of_this_boot<P>(record: &DeviceRecord<P>) -> bool {
    process::boot_id().is_ok_and(|boot| boot == record.boot_id)
}

/// All of them, with their files.
fn records<P: FromTree>(directory: &Path) -> Result<Vec<(PathBuf, DeviceRecord<P>)>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.ctx(Kind::Internal, || format!("Failed reading {directory:?}"))?,
    };
    let read = |path: PathBuf| {
        let record = types::from_slice(&fs::read(&path).ok()?).ok()?;
        Some((path, record))
    };
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|e| e == "json")).filter_map(read).collect())
}
