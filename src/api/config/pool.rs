//! Configuration of storage pools.

use crate::api::types::ConfigMap;
use crate::error::{Error, Result};

use super::key::{Key, Live, Support, find};
use super::{bounded, supported, table, volume};

/// A driver and whether this server has it.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// `dir`, `zfs`...
    pub name: &'static str,
    /// The keys it has beside those of all.
    pub keys: &'static [Key],
    /// Whether this server has it.
    pub support: Support,
}

/// The driver called so; errors have LXD's texts.
pub fn driver(name: &str) -> Result<Driver> {
    if name.is_empty() {
        return Err(Error::invalid("No driver provided"));
    }
    let row = table::pool::DRIVERS.iter().find(|row| row.0 == name);
    let (name, keys) = row.ok_or_else(|| Error::invalid("Unknown driver"))?;
    let support = match *name {
        "dir" | "overlay" => Support::Applied,
        _ => Support::Later("its issue"),
    };
    Ok(Driver { name, keys, support })
}

/// The row for a key of pools of a driver; `volume.*` keys are found in the rows of volumes.
pub fn key(driver: &str, name: &str) -> Option<&'static Key> {
    let own = table::pool::DRIVERS.iter().find(|row| row.0 == driver).map_or(&[][..], |row| row.1);
    find(&[own, table::pool::COMMON], name).or_else(|| volume::default_key(driver, name.strip_prefix("volume.")?))
}

/// Checks a configuration as LXD does, then refuses by name what isn't acted on yet, the driver itself included.
pub fn validate(driver_name: &str, config: &ConfigMap) -> Result<()> {
    let row = driver(driver_name)?;
    check(driver_name, config)?;
    if row.support != Support::Applied {
        return Err(Error::unsupported(format_args!("Storage driver {driver_name:?}")));
    }
    let rows = config.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str(), key(driver_name, name)?)));
    supported(rows)
}

/// Checks a configuration as LXD does, and nothing more. Pure; errors have LXD's texts.
pub fn check(driver_name: &str, config: &ConfigMap) -> Result<()> {
    driver(driver_name)?;
    bounded(config)?;
    for (name, value) in config {
        let row = key(driver_name, name).ok_or_else(|| Error::invalid(format!("Invalid option {name:?}")))?;
        row.kind.check(value).map_err(|why| Error::invalid(format!("Invalid value for option {name:?}: {why}")))?;
    }
    Ok(())
}

/// Refuses a change of what is fixed once the pool is made.
pub fn check_change(driver_name: &str, before: &ConfigMap, after: &ConfigMap) -> Result<()> {
    for name in super::instance::changed(before, after) {
        if name == "source" {
            return Err(Error::internal("Pool source cannot be changed when not in pending state"));
        }
        if key(driver_name, name).is_some_and(|row| row.live == Live::Fixed) {
            return Err(Error::invalid(format!("{name:?} cannot be changed")));
        }
    }
    Ok(())
}
