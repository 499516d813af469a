//! Images and their aliases.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{InstanceKind, Record};
use crate::api::tree::readable;
use crate::api::types::Timestamp;
use crate::store::Table;

readable! {
    /// An image.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ImageRecord {
        /// The project it belongs to.
        pub project: String,
        /// SHA-256 of the file, or of metadata and rootfs one after the other, in hex.
        pub fingerprint: String,
        /// The uploaded file's name.
        pub filename: String,
        /// Bytes.
        pub size: u64,
        /// `x86_64`, …
        pub architecture: String,
        /// What it makes.
        pub kind: InstanceKind,
        /// Whether untrusted callers see it.
        pub public: bool,
        /// Whether it follows its origin.
        pub auto_update: bool,
        /// Whether it was fetched for a launch.
        pub cached: bool,
        /// Free keys: `os`, `release`, …
        pub properties: BTreeMap<String, String>,
        /// Ids of the profiles that instances of it get by default. Not an index of uses: some may be gone.
        pub profiles: Vec<u64>,
        /// When it was built.
        pub created_at: Timestamp,
        /// When it may go.
        pub expires_at: Timestamp,
        /// When it was added here.
        pub uploaded_at: Timestamp,
        /// When an instance was last made of it.
        pub last_used_at: Timestamp,
        /// Whether the root file system is in a file of its own.
        pub split: bool,
        /// Where it came from.
        pub source: Option<ImageOrigin>,
    }

    /// Where an image came from.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct ImageOrigin {
        /// The server's URL.
        pub server: String,
        /// `lxd`, `simplestreams` or `direct`.
        pub protocol: String,
        /// Its alias there.
        pub alias: String,
        /// The server's certificate.
        pub certificate: String,
        /// What it makes there.
        pub kind: InstanceKind,
    }
}

impl Record for ImageRecord {
    const TABLE: Table = Table::Images;
    const VERSION: u32 = 1;
    type Key = (String, String);

    fn key(&self) -> (String, String) {
        (self.project.clone(), self.fingerprint.clone())
    }
}

readable! {
    /// A name of an image.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct AliasRecord {
        /// The project it belongs to.
        pub project: String,
        /// Unique in its project; may contain slashes.
        pub name: String,
        /// Fingerprint of the image.
        pub target: String,
        /// For people.
        pub description: String,
        /// What the image makes.
        pub kind: InstanceKind,
    }
}

impl Record for AliasRecord {
    const TABLE: Table = Table::Aliases;
    const VERSION: u32 = 1;
    type Key = (String, String);

    fn key(&self) -> (String, String) {
        (self.project.clone(), self.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"project":"default","fingerprint":"cc1031634b41","filename":"bb.tar.gz","size":1032152,
            "architecture":"x86_64","kind":"container","public":false,"auto_update":false,"cached":false,
            "properties":{"os":"BusyBox"},"profiles":[2],"created_at":"2023-11-14T22:13:20Z",
            "expires_at":"1970-01-01T00:00:00Z","uploaded_at":"2026-11-21T19:24:23.418046212Z",
            "last_used_at":"0001-01-01T00:00:00Z","split":false,"source":{"server":"https://images.example",
            "protocol":"simplestreams","alias":"debian/12","certificate":"","kind":"virtual-machine"}}"#;
        assert_eq!(check_fixtures::<ImageRecord>(&[v1]).size, 1_032_152);
    }

    #[test]
    fn reads_every_version_of_aliases() {
        let v1 =
            r#"{"project":"default","name":"debian/12","target":"cc1031634b41","description":"","kind":"container"}"#;
        assert_eq!(check_fixtures::<AliasRecord>(&[v1]).name, "debian/12");
    }
}
