//! A project: a name space.

use serde::Serialize;

use super::Record;
use crate::api::tree::readable;
use crate::api::types::ConfigMap;
use crate::store::Table;

readable! {
    /// A project.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ProjectRecord {
        /// Never used twice.
        pub id: u64,
        /// Unique on the server.
        pub name: String,
        /// For people.
        pub description: String,
        /// Features, limits and restrictions.
        pub config: ConfigMap,
    }
}

impl Record for ProjectRecord {
    const TABLE: Table = Table::Projects;
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
        let v1 = r#"{"id":1,"name":"default","description":"Default LXD project","config":{"features.images":"true"}}"#;
        assert_eq!(check_fixtures::<ProjectRecord>(&[v1]).name, "default");
    }
}
