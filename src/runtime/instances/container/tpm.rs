//! The helpers of `tpm` devices (`lxbox tpm`).

use std::path::PathBuf;

use super::device_process::{self, Launch};
use crate::error::{Ctx, Kind, Result};
use crate::runtime::helper::tpm::MODE;
use crate::runtime::spec::resident::DeviceRecord;
use crate::runtime::spec::tpm::{Chip, TpmPlan};
use crate::task::spawn;

/// The helpers that run, by what they have written into this directory of a guest's.
pub async fn running(directory: PathBuf) -> Result<Vec<Chip>> {
    Ok(device_process::running(directory).await?.into_iter().map(|record| record.plan).collect())
}

/// Starts one and waits until its chip is there.
///
/// # Errors
/// [`Kind::Invalid`] naming the device; then nothing is left of it.
pub async fn start(plan: TpmPlan, directory: PathBuf) -> Result<()> {
    let (device, init) = (plan.device.clone(), plan.init);
    let plan = serde_json::to_vec(&plan).ctx(Kind::Internal, || "Failed writing the plan of a TPM")?;
    let helper = device_process::start(Launch { mode: MODE, device, init, plan }, directory).await?;
    spawn(async move { helper.reaped().await.map(drop) });
    Ok(())
}

/// Ends the helpers of other chips than these, and waits until they have.
pub async fn end_but(directory: PathBuf, kept: Vec<Chip>) -> Result<()> {
    device_process::end(directory, move |record: &DeviceRecord<Chip>| !kept.contains(&record.plan), |_| ()).await
}
