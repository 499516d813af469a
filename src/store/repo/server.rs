//! Server configuration.

use super::super::records::ServerConfigRecord;
use super::super::{Read, Tx};
use crate::Result;
use crate::api::types::ConfigMap;
use crate::order::Gather;

/// The whole configuration.
pub fn config(r: &impl Read) -> Result<ConfigMap> {
    let rows = r.scan_all::<ServerConfigRecord>()?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).gather())
}

/// The value of one key.
pub fn get(r: &impl Read, key: &str) -> Result<Option<String>> {
    Ok(r.get::<ServerConfigRecord>(&key.to_owned())?.map(|row| row.value))
}

/// Sets one key; none or an empty value removes it.
pub fn set(tx: &mut Tx, key: &str, value: Option<&str>) -> Result<()> {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => tx.put(&ServerConfigRecord { key: key.into(), value: value.into() }),
        None => tx.delete::<ServerConfigRecord>(&key.to_owned()),
    }
}

/// Makes this the whole configuration.
pub fn replace(tx: &mut Tx, config: &ConfigMap) -> Result<()> {
    for row in tx.scan_all::<ServerConfigRecord>()? {
        if !config.contains_key(&row.key) {
            set(tx, &row.key, None)?;
        }
    }
    config.iter().try_for_each(|(key, value)| set(tx, key, Some(value)))
}
