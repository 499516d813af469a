//! The helpers of `tpm` devices (`lxbox tpm`): started, found again by the next daemon, ended.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::tpm::MODE;
use crate::runtime::spec::tpm::{FromTpm, TpmPlan, TpmRecord};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{executable, process};

/// How long a helper may take to begin, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The helpers that run, by what they have written into this directory of a guest's.
pub async fn running(directory: PathBuf) -> Result<Vec<TpmRecord>> {
    blocking(move || Ok(records(&directory)?.into_iter().filter(alive).collect())).await
}

/// Starts one and waits until its chip is there.
///
/// # Errors
/// [`Kind::Invalid`] naming the device; then nothing is left of it.
pub async fn start(plan: TpmPlan, directory: PathBuf) -> Result<()> {
    let failed = |why: String| Error::invalid(format!("Failed to start device {:?}: {why}", plan.device));
    let init = process::find(plan.init).ok_or_else(|| failed("Instance is not running".into()))?;
    let text = serde_json::to_vec(&plan).ctx(Kind::Internal, || "Failed writing the plan of a TPM")?;
    let device = plan.device.clone();
    let (socket, spawned) = blocking(move || {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.ctx(Kind::Internal, || format!("Failed creating {directory:?}"))?;
        let directory = File::open(&directory).ctx(Kind::Internal, || format!("Failed opening {directory:?}"))?;
        let more = [Some(directory.as_fd()), Some(init.as_fd())];
        executable::with_plan(&text, &more, |fds| executable::start(&["lxbox", MODE, &device], fds, None))
            .ctx(Kind::Internal, || "Failed starting the helper of a TPM")
    })
    .await?;
    let (link, helper) = (Link::new(socket)?, Watched::new(spawned.pidfd)?);
    let said = tokio::time::timeout(PATIENCE, link.receive::<FromTpm>()).await;
    let why = match said {
        Ok(Ok(Some((FromTpm::Ready, _)))) => {
            tokio::spawn(async move { helper.reaped().await.map(drop) });
            return Ok(());
        }
        Ok(Ok(Some((FromTpm::Failed { errno: 0, what }, _)))) => format!("Failed {what}"),
        Ok(Ok(Some((FromTpm::Failed { errno, what }, _)))) => {
            format!("Failed {what}: {}", io::Error::from_raw_os_error(errno))
        }
        Ok(_) => "Its helper has died".into(),
        Err(_) => "Its helper doesn't answer".into(),
    };
    let _ = process::kill(helper.fd());
    helper.reaped().await?;
    Err(failed(why))
}

/// Ends the helpers that aren't among these devices, or all, and waits until they have.
pub async fn end_but(directory: PathBuf, kept: Vec<TpmRecord>) -> Result<()> {
    blocking(move || {
        let gone = records(&directory)?.into_iter().filter(|record| !kept.contains(record));
        gone.into_iter().try_for_each(|record| bury(&directory, &record))
    })
    .await
}

fn bury(directory: &Path, record: &TpmRecord) -> Result<()> {
    if alive(record)
        && let Some(pidfd) = process::find(record.process)
    {
        process::kill(&pidfd).ctx(Kind::Internal, || "Failed ending the helper of a TPM")?;
        let ended = process::wait_end(&pidfd, PATIENCE);
        ended.ctx(Kind::Internal, || "Failed waiting for the end of the helper of a TPM")?;
    }
    let path = directory.join(record.plan.record());
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed removing {path:?}"))
        }
        _ => Ok(()),
    }
}

fn alive(record: &TpmRecord) -> bool {
    process::boot_id().is_ok_and(|boot| boot == record.boot_id) && process::find(record.process).is_some()
}

fn records(directory: &Path) -> Result<Vec<TpmRecord>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.ctx(Kind::Internal, || format!("Failed reading {directory:?}"))?,
    };
    let paths =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    Ok(paths.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect())
}
