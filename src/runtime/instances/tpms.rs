//! TPMs of running guests: the programs that play them, brought to what the configuration says now.
//!
//! What runs is known by the records of the helpers in the guest's run directory. They are started before the nodes are looked for
//! ([`super::equipment`]), which are of the chips they make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Instances;
use super::confine::load_module;
use super::container::{Running, tpm};
use super::create::volume_of;
use super::expand::Expanded;
use crate::runtime::blocking;
use crate::runtime::devices::tpm::{self as device, MODULE};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::resident::file_name;
use crate::runtime::spec::tpm::{Chip, TpmPlan};
use crate::{Error, Result};

/// The kernel's door for chips that are played.
const DOOR: &str = "/dev/vtpmx";

impl Instances {
    fn tpm_directory(&self, id: u64) -> PathBuf {
        self.run_directory(id).run.join("tpms")
    }

    /// Ends the TPMs of a running guest that are no more, and starts what is new.
    ///
    /// Says whether there are or were some.
    ///
    /// # Errors
    /// What can't be started; what was started before stays.
    pub(super) async fn change_tpms(&self, id: u64, running: &Running, becomes: &Expanded) -> Result<bool> {
        let Some(init) = running.process() else { return Ok(false) };
        let had = tpm::running(self.tpm_directory(id)).await?;
        let names: Vec<String> = device::all(&becomes.devices).map(|(name, _)| name.clone()).collect();
        if had.is_empty() && names.is_empty() {
            return Ok(false);
        }
        let stays = |chip: &Chip| chip.plan.init == init && names.contains(&chip.plan.device);
        let kept: Vec<Chip> = had.into_iter().filter(stays).collect();
        tpm::end_but(self.tpm_directory(id), kept.clone()).await?;
        let place = self.volume_place(id)?;
        for name in names.iter().filter(|name| kept.iter().all(|chip| chip.plan.device != **name)) {
            let plan = TpmPlan {
                version: VERSION,
                device: name.clone(),
                init,
                program: device::program()?,
                state: place.join(format!("tpm.{}", file_name(name))),
            };
            self.check_tpms(becomes).await?;
            tpm::start(plan, self.tpm_directory(id)).await?;
        }
        Ok(true)
    }

    /// The numbers of the chips that a guest has, by the names of its devices.
    pub(super) async fn chips(&self, id: u64) -> Result<BTreeMap<String, u32>> {
        let running = tpm::running(self.tpm_directory(id)).await?;
        Ok(running.into_iter().map(|chip| (chip.plan.device, chip.number)).collect())
    }

    /// Ends all TPMs of a guest that is down. They keep what they know for its next start.
    pub(super) async fn end_tpms(&self, id: u64) {
        if let Err(e) = tpm::end_but(self.tpm_directory(id), Vec::new()).await {
            tracing::warn!(id, "Failed ending TPMs: {}", e.chain());
        }
    }

    /// Whether this host can have what a guest is to get.
    ///
    /// # Errors
    /// Naming the device, and what is missing.
    pub(super) async fn check_tpms(&self, becomes: &Expanded) -> Result<()> {
        let names: Vec<String> = device::all(&becomes.devices).map(|(name, _)| name.clone()).collect();
        let Some(name) = names.into_iter().next() else { return Ok(()) };
        let possible = blocking(|| {
            device::program()?;
            if Path::new(DOOR).exists() {
                return Ok(());
            }
            let missing = |e: Error| Error::invalid(format!("Failed to validate environment: {}", e.chain()));
            load_module(MODULE).map_err(missing)?;
            match Path::new(DOOR).exists() {
                true => Ok(()),
                false => Err(Error::invalid(format!("Failed to validate environment: {DOOR} is missing"))),
            }
        });
        possible.await.map_err(|e| super::nics::started(&name, e))
    }

    /// Removes what the TPMs of devices knew that are no more.
    pub(super) async fn forget_tpms(&self, id: u64, was: &Expanded, becomes: &Expanded) -> Result<()> {
        let stays = |name: &String| device::all(&becomes.devices).any(|(other, _)| other == name);
        let gone = device::all(&was.devices).filter(|(name, _)| !stays(name));
        let gone: Vec<String> = gone.map(|(name, _)| format!("tpm.{}", file_name(name))).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let place = self.volume_place(id)?;
        blocking(move || {
            for name in gone {
                match std::fs::remove_dir_all(place.join(&name)) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        tracing::warn!("Failed removing {:?}: {e}", place.join(&name));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// The directory of an instance's volume, beside its root.
    fn volume_place(&self, id: u64) -> Result<PathBuf> {
        let (record, _, pool) = self.facts(id)?;
        Ok(self.pools.driver(&pool)?.paths().volume(&volume_of(&record)?))
    }
}
