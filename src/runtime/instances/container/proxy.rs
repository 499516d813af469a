//! The helpers of `proxy` devices (`lxbox proxy`).

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::device_process::{self, Launch};
use crate::error::{Ctx, Kind, Result};
use crate::runtime::helper::proxy::{MODE, SYSTEM_CALLS};
use crate::runtime::spec::proxy::{Place, ProxyLaunch, ProxyPlan};
use crate::runtime::spec::resident::DeviceRecord;
use crate::runtime::sys::link::Watched;
use crate::runtime::sys::{process, seccomp};

/// The plans of the helpers that run, by what they have written into this directory of a guest's.
pub async fn running(directory: PathBuf) -> Result<Vec<ProxyPlan>> {
    Ok(device_process::running(directory).await?.into_iter().map(|record| record.plan).collect())
}

/// The helpers that run, for watching.
pub async fn found(directory: PathBuf) -> Result<Vec<(ProxyPlan, Watched)>> {
    let records = device_process::running(directory).await?;
    let living = records.into_iter().filter_map(|record| Some((process::find(record.process)?, record.plan)));
    living.map(|(pidfd, plan)| Ok((plan, Watched::new(pidfd)?))).collect()
}

/// Starts one and waits until it serves. Whoever gets it waits for its end ([`Watched::reaped`]).
///
/// # Errors
/// [`Kind::Invalid`] naming the device, when it can't listen; then nothing is left of it.
pub async fn start(plan: ProxyPlan, directory: PathBuf) -> Result<Watched> {
    let (device, init) = (plan.device.clone(), plan.init);
    let plan = serde_json::to_vec(&ProxyLaunch { plan, seccomp: filter()? });
    let plan = plan.ctx(Kind::Internal, || "Failed writing the plan of a proxy")?;
    device_process::start(Launch { mode: MODE, device, init, plan }, directory).await
}

/// Ends the helpers of these devices, or all, and takes away what they have left.
pub async fn end(directory: PathBuf, devices: Option<Vec<String>>) -> Result<()> {
    let goes = move |record: &DeviceRecord<ProxyPlan>| {
        devices.as_ref().is_none_or(|names| names.contains(&record.plan.device))
    };
    device_process::end(directory, goes, clear).await
}

/// Removes the sockets that one has made on the host.
fn clear(plan: &ProxyPlan) {
    for path in plan.listen.iter().filter(|_| !plan.in_guest).filter_map(Place::path) {
        if fs::symlink_metadata(path).is_ok_and(|status| status.file_type().is_socket()) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The helpers' seccomp filter, compiled once for the life of the process.
fn filter() -> Result<String> {
    static FILTER: OnceLock<String> = OnceLock::new();
    seccomp::compile_allowed_once(&FILTER, SYSTEM_CALLS)
}
