//! Configuration of the server.

use crate::api::types::ConfigMap;
use crate::error::{Error, Result};

use super::key::{Key, find};
use super::kind::{Kind, is_true};
use super::{bounded, supported, table};

pub(super) const TABLES: &[&[Key]] = &[table::server::ROWS];

/// The row for a key of the server.
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
        let cannot = |why: &str| Error::invalid(format!("cannot set '{name}' to '{value}': {why}"));
        let row = key(name).ok_or_else(|| cannot("unknown key"))?;
        let checked = row.kind.check(value);
        checked.map_err(|why| match row.kind {
            Kind::Bool => cannot("invalid boolean"),
            Kind::Integer | Kind::Within(..) | Kind::Voters | Kind::Standby if value.parse::<i64>().is_err() => {
                cannot("invalid integer")
            }
            Kind::PoolVolume => Error::invalid(format!("Failed validation of {name:?}: {why}")),
            _ => cannot(&why),
        })?;
    }
    Ok(())
}

/// The server's configuration, read by type.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub &'a ConfigMap);

impl<'a> Config<'a> {
    /// The value as it is written; `None` when it isn't set or empty.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Whether it is true; what isn't set is as the row's default says.
    pub fn bool(&self, name: &str) -> bool {
        is_true(self.get(name).unwrap_or_else(|| key(name).map_or("", |row| row.default)))
    }

    /// The number, or the row's default; `None` when there is neither.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name).or_else(|| key(name).map(|row| row.default))?.parse().ok()
    }
}
