//! Server configuration, one row a key.

use serde::Serialize;

use super::Record;
use crate::api::tree::readable;
use crate::store::Table;

readable! {
    /// One key of the server's configuration.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ServerConfigRecord {
        /// The key.
        pub key: String,
        /// Its value.
        pub value: String,
    }
}

impl Record for ServerConfigRecord {
    const TABLE: Table = Table::ServerConfig;
    const VERSION: u32 = 1;
    type Key = String;

    fn key(&self) -> String {
        self.key.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"key":"core.https_address","value":"[::]:8443"}"#;
        assert_eq!(check_fixtures::<ServerConfigRecord>(&[v1]).value, "[::]:8443");
    }
}
