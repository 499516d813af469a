//! The records: what is kept of each kind of thing, with a version and the way up from older ones.
//!
//! A record's JSON changes only together with its VERSION; `upgrade` then brings a value of the version before to this
//! one, and a fixture of each version stays in the tests for ever. Unknown members are refused: they would be lost
//! with the next write.

mod certificate;
mod image;
mod instance;
mod network;
mod network_acl;
mod network_zone;
mod pool;
mod profile;
mod project;
mod server;
mod snapshot;
mod volume;
mod warning;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value as Json;

pub use certificate::CertificateRecord;
pub use image::{AliasRecord, ImageOrigin, ImageRecord};
pub use instance::{InstanceKind, InstanceRecord};
pub use network::{ForwardRecord, NetworkRecord};
pub use network_acl::AclRecord;
pub use network_zone::{ZoneEntriesRecord, ZoneRecord};
pub use pool::PoolRecord;
pub use profile::ProfileRecord;
pub use project::ProjectRecord;
pub use server::ServerConfigRecord;
pub use snapshot::SnapshotRecord;
pub use volume::{ContentKind, VolumeKind, VolumeRecord};
pub use warning::{Severity, WarningRecord, WarningStatus};

use crate::api::tree::{self, FromTree, readable};

use super::key::AsKey;
use super::tables::Table;
use super::txn::Value;
use crate::{Ctx, Error, Kind, Result};

/// One kind of thing that is kept.
pub trait Record: Serialize + FromTree {
    /// The table it is in.
    const TABLE: Table;
    /// The version this program writes.
    const VERSION: u32;
    /// What its key is made of.
    type Key: AsKey;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// Turns the JSON of version `version` (at least 1, below [`Record::VERSION`]) into that of the version after it.
    fn upgrade(version: u32, value: Json) -> Result<Json> {
        let _ = value;
        Err(Error::internal(format!(
            "Failed reading the database: no way up from version {version} of {:?}",
            Self::TABLE
        )))
    }
}

/// The version of every kind of record, for the schema row.
pub(super) const VERSIONS: &[(Table, u32)] = &[
    version::<ProjectRecord>(),
    version::<ProfileRecord>(),
    version::<InstanceRecord>(),
    version::<ImageRecord>(),
    version::<AliasRecord>(),
    version::<PoolRecord>(),
    version::<VolumeRecord>(),
    version::<WarningRecord>(),
    version::<ServerConfigRecord>(),
    version::<NetworkRecord>(),
    version::<ForwardRecord>(),
    version::<AclRecord>(),
    version::<ZoneRecord>(),
    version::<ZoneEntriesRecord>(),
    version::<CertificateRecord>(),
    version::<SnapshotRecord>(),
];

const fn version<R: Record>() -> (Table, u32) {
    (R::TABLE, R::VERSION)
}

readable! {
    /// How far a thing that has a part on the host has come.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Phase {
        /// Its name is taken; what there is on the host is not complete. Found at start: to be removed.
        #[default]
        Creating,
        /// It is there.
        Created,
        /// It is being removed. Found at start: to be removed.
        Deleting,
    }
}

/// Reads a record, of whatever version.
pub(super) fn decode<R: Record>(value: &Value) -> Result<R> {
    if value.version == R::VERSION {
        parse(value)
    } else {
        parse(&upgraded(value, (R::TABLE, R::VERSION), R::upgrade)?)
    }
}

/// A row of another version as one of this program's.
fn upgraded(value: &Value, (table, ours): (Table, u32), step: fn(u32, Json) -> Result<Json>) -> Result<Value> {
    if value.version > ours || value.version == 0 {
        let text = format!("Failed reading the database: version {} of {table:?} is not known here", value.version);
        return Err(Error::internal(text));
    }
    let mut json: Json = parse(value)?;
    for version in value.version..ours {
        json = step(version, json)?;
    }
    Ok(Value { version: ours, json: encode(&json)?, ..value.clone() })
}

/// Reads the JSON of a row.
pub(super) fn parse<T: FromTree>(value: &Value) -> Result<T> {
    tree::from_slice(&value.json).ctx(Kind::Internal, || "Failed reading a row of the database")
}

/// The JSON of a row.
pub(super) fn encode(value: &impl Serialize) -> Result<Arc<[u8]>> {
    serde_json::to_vec(value).map(Arc::from).ctx(Kind::Internal, || "Failed writing a row of the database")
}

/// Checks a record against its fixtures, oldest version first: each is read, and the newest is what we write.
#[cfg(test)]
fn check_fixtures<R: Record + PartialEq + std::fmt::Debug>(fixtures: &[&str]) -> R {
    use crate::store::Rev;
    assert_eq!(fixtures.len(), R::VERSION as usize, "one fixture for each version of {:?}", R::TABLE);
    let records: Vec<R> = (1..)
        .zip(fixtures)
        .map(|(version, json)| {
            let json = Arc::from(json.as_bytes());
            decode(&Value { create: Rev(1), modified: Rev(1), version, json }).unwrap()
        })
        .collect();
    let newest = records.into_iter().next_back().unwrap();
    let written: Json = serde_json::from_slice(&encode(&newest).unwrap()).unwrap();
    let fixture: Json = serde_json::from_str(fixtures.last().unwrap()).unwrap();
    assert_eq!(written, fixture, "a change of the JSON needs a new version");
    newest
}
