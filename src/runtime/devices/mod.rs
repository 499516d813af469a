//! Device drivers: what a device's configuration means for the host and the guest. Pure where it can be.
//!
//! Network devices (`nic`, and the interfaces of `infiniband`) have their own life. The others ([`fit`]) are mounts and rules, which are looked up on the host as they
//! are now: what a guest has is brought to that at a start, with each change of its configuration, and when something of the host
//! comes or goes that a device waits for ([`Awaited`]).

pub mod disk;
mod gpu;
pub mod infiniband;
pub mod nat;
pub mod nic;
pub mod proxy;
mod sysfs;
pub mod tpm;
#[cfg(test)]
mod tree;
pub mod unix;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::api::tree::readable;
use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::runtime::spec::Mount;
use crate::runtime::spec::throttle::Throttle;
use crate::{Error, Result};

readable! {
    /// What a device is for a guest.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Fitting {
        /// What is mounted in it.
        pub mounts: Vec<Mount>,
        /// What it may use then, in the words of cgroup v1.
        pub rules: Vec<String>,
        /// What it may do to block devices of the host.
        #[serde(default)]
        pub throttles: Vec<Throttle>,
        /// What its system is told when these come and go: of each device the kernel's properties, as `NAME=value` lines.
        #[serde(default)]
        pub announced: Vec<String>,
    }
}

impl FromIterator<Fitting> for Fitting {
    /// All of them together.
    fn from_iter<T: IntoIterator<Item = Fitting>>(parts: T) -> Fitting {
        parts.into_iter().fold(Fitting::default(), |mut all, part| {
            all.mounts.extend(part.mounts);
            all.rules.extend(part.rules);
            all.throttles.extend(part.throttles);
            all.announced.extend(part.announced);
            all
        })
    }
}

/// The fittings of a guest by the names of its devices; those that aren't on the host, and needn't be, are missing.
pub type Fitted = BTreeMap<String, Fitting>;

/// Checks against the host what the configuration alone can't tell; for an instance's devices with its profiles'.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming the device.
pub fn check(expanded: &Devices) -> Result<()> {
    let disks = expanded.iter().filter(|(_, d)| is(d, "disk"));
    disks.into_iter().try_for_each(|(name, disk)| disk::check_source(name, disk))?;
    tpm::all(expanded).try_for_each(|(name, device)| tpm::check(name, device))?;
    nic::check(expanded)
}

/// What the devices of an instance are on this host now. `config` has the volatile keys of those that something was chosen for
/// ([`nic::chosen`]), `chips` the TPMs that are there already, by their devices; `lxd_dir` is guarded against being mounted.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming the device.
pub fn fit(expanded: &Devices, config: &ConfigMap, chips: &BTreeMap<String, u32>, lxd_dir: &Path) -> Result<Fitted> {
    let mut fitted = Fitted::new();
    for (name, device) in expanded {
        let found = match device.get("type").map_or("", String::as_str) {
            "disk" => disk::fit(name, device, lxd_dir).map(Some),
            "unix-char" | "unix-block" => unix::fit(device),
            "usb" | "unix-hotplug" => sysfs::fit(device, Path::new("/")),
            "gpu" => gpu::fit(device, Path::new("/")),
            "tpm" => chips.get(name).map(|chip| tpm::fit(device, *chip, Path::new("/"))).transpose(),
            "infiniband" => Ok(nic::chosen(name, config).map(|c| infiniband::fit(&c.slot, Path::new("/")))),
            _ => Ok(None),
        };
        let started = |e: Error| Error::new(e.kind(), format!("Failed to start device {name:?}: {e}"));
        if let Some(fitting) = found.map_err(started)? {
            fitted.insert(name.clone(), fitting);
        }
    }
    Ok(fitted)
}

/// What on the host devices wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// Files.
    pub files: BTreeSet<PathBuf>,
    /// Events of the kernel.
    pub events: bool,
}

impl Awaited {
    /// Of the devices of an instance.
    pub fn of(expanded: &Devices) -> Awaited {
        let files = expanded.values().filter_map(unix::awaited).collect();
        Awaited { files, events: expanded.values().any(sysfs::comes_and_goes) }
    }

    /// Whether they wait for nothing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.events
    }

    /// Adds what others wait for.
    pub fn extend(&mut self, other: &Awaited) {
        self.files.extend(other.files.iter().cloned());
        self.events |= other.events;
    }
}

fn is(device: &DeviceMap, kind: &str) -> bool {
    device.get("type").is_some_and(|t| t == kind)
}
