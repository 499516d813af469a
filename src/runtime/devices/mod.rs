//! Device drivers: what a device's configuration means for the host and the guest. Pure where it can be.
//!
//! So far the types `disk` (host paths), `nic` (on interfaces of the host) and `none`; the others are refused by name by `api::config::device`.

pub mod disk;
pub mod nic;

use crate::Result;
use crate::api::types::Devices;

/// Checks against the host what the configuration alone can't tell; for an instance's devices with its profiles'.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming the device.
pub fn check(expanded: &Devices) -> Result<()> {
    let disks = expanded.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "disk"));
    disks.into_iter().try_for_each(|(name, disk)| disk::check_source(name, disk))?;
    nic::check(expanded)
}
