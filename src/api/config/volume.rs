//! Configuration of storage volumes.

use crate::api::types::ConfigMap;
use crate::error::{Error, Result};

use super::key::{Key, find};
use super::{bounded, supported, table};

fn own(driver: &str) -> &'static [Key] {
    table::volume::DRIVERS.iter().find(|row| row.0 == driver).map_or(&[], |row| row.1)
}

/// The row for a key of volumes in pools of a driver.
pub fn key(driver: &str, name: &str) -> Option<&'static Key> {
    find(&[own(driver), table::volume::COMMON, table::volume::OWN], name)
}

/// The row for a key a pool can have a default of.
pub(super) fn default_key(driver: &str, name: &str) -> Option<&'static Key> {
    find(&[own(driver), table::volume::COMMON], name)
}

/// Checks a configuration as LXD does, then refuses by name what isn't acted on yet.
///
/// `volume` is the name as it is on disk (`PROJECT_NAME` of custom volumes), which LXD puts into the text.
pub fn validate(driver: &str, volume: &str, config: &ConfigMap) -> Result<()> {
    check(driver, volume, config)?;
    supported(config.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str(), key(driver, name)?))))
}

/// Checks a configuration as LXD does, and nothing more. Pure; errors have LXD's texts.
pub fn check(driver: &str, volume: &str, config: &ConfigMap) -> Result<()> {
    bounded(config)?;
    for (name, value) in config {
        let row = key(driver, name)
            .ok_or_else(|| Error::invalid(format!("Invalid option for volume {volume:?} option {name:?}")))?;
        row.kind
            .check(value)
            .map_err(|why| Error::invalid(format!("Invalid value for volume {volume:?} option {name:?}: {why}")))?;
    }
    Ok(())
}
