//! Configuration of projects.

use crate::api::types::ConfigMap;
use crate::error::{Error, Result};

use super::key::{Key, find};
use super::{bounded, supported, table};

pub(super) const TABLES: &[&[Key]] = &[table::project::ROWS];

/// The row for a key of projects.
pub fn key(name: &str) -> Option<&'static Key> {
    find(TABLES, name)
}

/// Checks a configuration as LXD does, then refuses by name what isn't acted on yet.
pub fn validate(config: &ConfigMap) -> Result<()> {
    check(config)?;
    supported(config.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str(), key(name)?))))
}

/// Checks a configuration as LXD does, and nothing more. Pure; errors have LXD's texts.
pub fn check(config: &ConfigMap) -> Result<()> {
    bounded(config)?;
    for (name, value) in config {
        let row = key(name).ok_or_else(|| Error::invalid(format!("Invalid project configuration key {name:?}")))?;
        let wrong = |why| Error::invalid(format!("Invalid project configuration key {name:?} value: {why}"));
        row.kind.check(value).map_err(wrong)?;
    }
    Ok(())
}
