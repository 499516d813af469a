//! A snapshot of an instance.

use serde::Serialize;

use super::{Phase, Record};
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, Devices, Timestamp};
use crate::store::Table;

readable! {
    /// A snapshot of an instance. Architecture, profiles and the like are those that the instance has now.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct SnapshotRecord {
        /// Never used twice; in the order in which they were made.
        pub id: u64,
        /// Id of the instance.
        pub instance: u64,
        /// Unique in its instance.
        pub name: String,
        /// For people.
        pub description: String,
        /// The instance's own configuration as it was.
        pub config: ConfigMap,
        /// The instance's own devices as they were.
        pub devices: Devices,
        /// Whether memory state is in it.
        pub stateful: bool,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it may go; zero when never.
        pub expires_at: Timestamp,
        /// How far it has come.
        pub phase: Phase,
        /// The instance's record is already as this says, its volume may not be yet. Found at start: to be completed.
        pub restoring: bool,
    }
}

impl Record for SnapshotRecord {
    const TABLE: Table = Table::InstanceSnapshots;
    const VERSION: u32 = 1;
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"id":9,"instance":7,"name":"snap0","description":"","config":{"user.x":"1"},
            "devices":{"root":{"path":"/","pool":"default","type":"disk"}},"stateful":false,
            "created_at":"2026-11-22T05:15:35.509195513Z","expires_at":"0001-01-01T00:00:00Z","phase":"created",
            "restoring":false}"#;
        let record = check_fixtures::<SnapshotRecord>(&[v1]);
        assert_eq!((record.instance, record.expires_at), (7, Timestamp::ZERO));
    }
}
