//! The helpers of `proxy` devices (`lxbox proxy`): started, found again by the next daemon, ended.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::proxy::{MODE, SYSTEM_CALLS};
use crate::runtime::spec::proxy::{FromProxy, Place, ProxyLaunch, ProxyPlan, ProxyRecord};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{executable, process, seccomp};

/// How long a helper may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// The plans of the helpers that run, by what they have written into this directory of a guest's.
pub async fn running(directory: PathBuf) -> Result<Vec<ProxyPlan>> {
    blocking(move || Ok(records(&directory)?.into_iter().filter(alive).map(|record| record.plan).collect())).await
}

/// The helpers that run, for watching.
pub async fn found(directory: PathBuf) -> Result<Vec<(ProxyPlan, Watched)>> {
    let records = blocking(move || Ok(records(&directory)?.into_iter().filter(alive).collect::<Vec<_>>())).await?;
    let living = records.into_iter().filter_map(|record| Some((process::find(record.process)?, record.plan)));
    living.map(|(pidfd, plan)| Ok((plan, Watched::new(pidfd)?))).collect()
}

/// Starts one and waits until it serves. Whoever gets it waits for its end ([`Watched::reaped`]).
///
/// # Errors
/// [`Kind::Invalid`] naming the device, when it can't listen; then nothing is left of it.
pub async fn start(plan: ProxyPlan, directory: PathBuf) -> Result<Watched> {
    let failed = |why: String| Error::invalid(format!("Failed to start device {:?}: {why}", plan.device));
    let init = process::find(plan.init).ok_or_else(|| failed("Instance is not running".into()))?;
    let launch = ProxyLaunch { plan: plan.clone(), seccomp: filter()? };
    let text = serde_json::to_vec(&launch).ctx(Kind::Internal, || "Failed writing the plan of a proxy")?;
    let device = plan.device.clone();
    let (socket, spawned) = blocking(move || {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.ctx(Kind::Internal, || format!("Failed creating {directory:?}"))?;
        let directory = File::open(&directory).ctx(Kind::Internal, || format!("Failed opening {directory:?}"))?;
        let more = [Some(directory.as_fd()), Some(init.as_fd())];
        executable::with_plan(&text, &more, |fds| executable::start(&["lxbox", MODE, &device], fds, None))
            .ctx(Kind::Internal, || "Failed starting a proxy")
    })
    .await?;
    let (link, helper) = (Link::new(socket)?, Watched::new(spawned.pidfd)?);
    let said = tokio::time::timeout(PATIENCE, link.receive::<FromProxy>()).await;
    let why = match said {
        Ok(Ok(Some((FromProxy::Ready, _)))) => return Ok(helper),
        Ok(Ok(Some((FromProxy::Failed { errno: 0, what }, _)))) => format!("Failed {what}"),
        Ok(Ok(Some((FromProxy::Failed { errno, what }, _)))) => {
            format!("Failed {what}: {}", io::Error::from_raw_os_error(errno))
        }
        Ok(_) => "Its helper has died".into(),
        Err(_) => "Its helper doesn't answer".into(),
    };
    let _ = process::kill(helper.fd());
    helper.reaped().await?;
    Err(failed(why))
}

/// Ends the helpers of these devices, or all, and takes away what they have left.
pub async fn end(directory: PathBuf, devices: Option<Vec<String>>) -> Result<()> {
    let wanted = move |record: &ProxyRecord| devices.as_ref().is_none_or(|names| names.contains(&record.plan.device));
    blocking(move || records(&directory)?.into_iter().filter(wanted).try_for_each(|record| bury(&directory, &record)))
        .await
}

fn bury(directory: &Path, record: &ProxyRecord) -> Result<()> {
    if alive(record)
        && let Some(pidfd) = process::find(record.process)
    {
        process::kill(&pidfd).ctx(Kind::Internal, || "Failed ending a proxy")?;
        process::wait_end(&pidfd, PATIENCE).ctx(Kind::Internal, || "Failed waiting for the end of a proxy")?;
    }
    let of_host = record.plan.listen.iter().filter(|_| !record.plan.in_guest);
    for path in of_host.filter_map(Place::path) {
        if fs::symlink_metadata(path).is_ok_and(|status| status.file_type().is_socket()) {
            let _ = fs::remove_file(path);
        }
    }
    let path = directory.join(format!("{}.json", record.plan.device));
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).ctx(Kind::Internal, || format!("Failed removing {path:?}"))
        }
        _ => Ok(()),
    }
}

fn alive(record: &ProxyRecord) -> bool {
    process::boot_id().is_ok_and(|boot| boot == record.boot_id) && process::find(record.process).is_some()
}

fn records(directory: &Path) -> Result<Vec<ProxyRecord>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.ctx(Kind::Internal, || format!("Failed reading {directory:?}"))?,
    };
    let paths =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    Ok(paths.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect())
}

/// The helpers' seccomp filter, compiled once for the life of the process.
fn filter() -> Result<String> {
    static FILTER: OnceLock<String> = OnceLock::new();
    seccomp::compile_allowed_once(&FILTER, SYSTEM_CALLS)
}
