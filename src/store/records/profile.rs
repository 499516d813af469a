//! A profile: configuration shared by instances.

use serde::Serialize;

use super::Record;
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, Devices};
use crate::store::Table;

readable! {
    /// A profile.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ProfileRecord {
        /// Never used twice.
        pub id: u64,
        /// The project it belongs to.
        pub project: String,
        /// Unique in its project.
        pub name: String,
        /// For people.
        pub description: String,
        /// Configuration of the instances that use it.
        pub config: ConfigMap,
        /// Devices of the instances that use it.
        pub devices: Devices,
    }
}

impl Record for ProfileRecord {
    const TABLE: Table = Table::Profiles;
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
        let v1 = r#"{"id":2,"project":"default","name":"default","description":"Default LXD profile",
            "config":{"limits.cpu":"2"},"devices":{"root":{"path":"/","pool":"default","type":"disk"}}}"#;
        assert_eq!(check_fixtures::<ProfileRecord>(&[v1]).devices["root"]["pool"], "default");
    }
}
