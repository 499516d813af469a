//! Configuration of networks.

use crate::api::types::ConfigMap;
use crate::error::{Error, Result};

use super::key::{Key, find};
use super::kind::Kind;
use super::{bounded, supported, table};

/// The row for a key of networks of a type; `None` for an unknown type too.
pub fn key(kind: &str, name: &str) -> Option<&'static Key> {
    let own = table::network::TYPES.iter().find(|row| row.0 == kind)?.1;
    find(&[own, table::network::COMMON], name)
}

/// Checks a configuration as LXD does, then refuses by name what isn't acted on yet.
pub fn validate(network: &str, kind: &str, config: &ConfigMap) -> Result<()> {
    check(network, kind, config)?;
    supported(config.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str(), key(kind, name)?))))
}

/// Checks the configuration of the network called `network` as LXD does, and nothing more; LXD's texts.
pub fn check(network: &str, kind: &str, config: &ConfigMap) -> Result<()> {
    let own = table::network::TYPES.iter().find(|row| row.0 == kind);
    let own = own.ok_or_else(|| Error::invalid("Unknown driver"))?.1;
    bounded(config)?;
    let wrong =
        |name: &str, why: &str| Error::invalid(format!("Invalid value for network {network:?} option {name:?}: {why}"));
    for (name, value) in config {
        let unknown = || Error::invalid(format!("Invalid option for network {network:?} option {name:?}"));
        let row = key(kind, name).ok_or_else(unknown)?;
        row.kind.check(value).map_err(|why| wrong(name, &why))?;
    }
    match own.iter().find(|row| row.required && config.get(row.name).is_none_or(String::is_empty)) {
        Some(row) => Err(wrong(row.name, "Required value")),
        None => Ok(()),
    }
}

/// Checks the name of a network as LXD does.
pub fn check_name(name: &str) -> Result<()> {
    Kind::Interface.check(name).map_err(Error::invalid)
}

/// Checks the configuration of an access list or of a zone's record, which have `user.*` alone.
pub fn check_acl(config: &ConfigMap) -> Result<()> {
    each(config, &[table::network::ACL], |name| format!("config option {name:?}"))
}

/// Checks the configuration of a zone.
pub fn check_zone(config: &ConfigMap) -> Result<()> {
    each(config, &[table::network::ZONES, table::network::COMMON], |name| format!("config option {name:?}"))
}

/// Checks the keys of a forward's configuration; what its address may be depends on the network.
pub fn check_forward(config: &ConfigMap) -> Result<()> {
    each(config, &[table::network::FORWARD, table::network::COMMON], |name| format!("option {name:?}"))
}

fn each(config: &ConfigMap, rows: &[&'static [Key]], called: impl Fn(&str) -> String) -> Result<()> {
    bounded(config)?;
    for (name, value) in config {
        let row = find(rows, name).ok_or_else(|| Error::invalid(format!("Invalid {}", called(name))))?;
        row.kind.check(value).map_err(|why| Error::invalid(format!("Invalid value for {}: {why}", called(name))))?;
    }
    Ok(())
}
