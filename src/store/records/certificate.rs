//! Certificates of clients that are trusted.

use serde::Serialize;

use super::Record;
use crate::api::tree::readable;
use crate::store::Table;

readable! {
    /// A trusted certificate.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct CertificateRecord {
        /// SHA-256 of its DER form, in lower case hexadecimal digits.
        pub fingerprint: String,
        /// `client` or `metrics`.
        pub kind: String,
        /// For people.
        pub name: String,
        /// PEM.
        pub certificate: String,
        /// Whether it opens only `projects`.
        pub restricted: bool,
        /// The projects it opens.
        pub projects: Vec<String>,
    }
}

impl Record for CertificateRecord {
    const TABLE: Table = Table::Certificates;
    const VERSION: u32 = 1;
    type Key = String;

    fn key(&self) -> String {
        self.fingerprint.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"fingerprint":"00ff","kind":"client","name":"laptop","certificate":"-----BEGIN CERTIFICATE-----\n",
            "restricted":false,"projects":[]}"#;
        assert_eq!(check_fixtures::<CertificateRecord>(&[v1]).name, "laptop");
    }
}
