//! Warnings. Not durable: one that a crash takes is raised again.

use serde::Serialize;

use super::Record;
use crate::api::tree::readable;
use crate::api::types::Timestamp;
use crate::store::Table;

readable! {
    /// What became of a warning.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum WarningStatus {
        /// Nobody has looked at it.
        #[default]
        New,
        /// Somebody has.
        Acknowledged,
        /// Its cause is gone.
        Resolved,
    }
}

impl WarningStatus {
    /// The word of the API: `new`, `acknowledged` or `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            WarningStatus::New => "new",
            WarningStatus::Acknowledged => "acknowledged",
            WarningStatus::Resolved => "resolved",
        }
    }

    /// Reads the word of the API.
    pub fn parse(text: &str) -> Option<WarningStatus> {
        let all = [WarningStatus::New, WarningStatus::Acknowledged, WarningStatus::Resolved];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

readable! {
    /// How bad it is.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Severity {
        /// Something is missing that few need.
        #[default]
        Low,
        /// Something does not work as it should.
        Moderate,
        /// Something does not work.
        High,
    }
}

impl Severity {
    /// The word of the API: `low`, `moderate` or `high`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Moderate => "moderate",
            Severity::High => "high",
        }
    }
}

readable! {
    /// A warning. There is one for each kind, project and thing.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct WarningRecord {
        /// Its id.
        pub uuid: String,
        /// The project it concerns; empty for the whole server.
        pub project: String,
        /// What kind of warning, as a sentence.
        pub kind: String,
        /// The URL of the thing it concerns; empty for the whole server.
        pub entity: String,
        /// How bad it is.
        pub severity: Severity,
        /// What became of it.
        pub status: WarningStatus,
        /// How often it was raised.
        pub count: u64,
        /// When it was first raised.
        pub first_seen_at: Timestamp,
        /// When it was last raised.
        pub last_seen_at: Timestamp,
        /// When it was last raised or changed.
        pub updated_at: Timestamp,
        /// What was said the last time.
        pub last_message: String,
    }
}

impl Record for WarningRecord {
    const TABLE: Table = Table::Warnings;
    const VERSION: u32 = 1;
    type Key = String;

    fn key(&self) -> String {
        self.uuid.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"uuid":"4a7f0e5e-8cbb-4b8e-a1a4-1f9bb37c7c0e","project":"","kind":"Couldn't find the CGroup blkio",
            "entity":"","severity":"moderate","status":"acknowledged","count":2,
            "first_seen_at":"2026-11-21T17:01:31Z","last_seen_at":"2026-11-21T18:01:31Z",
            "updated_at":"2026-11-21T18:01:31Z","last_message":"disk I/O limits will be ignored"}"#;
        assert_eq!(check_fixtures::<WarningRecord>(&[v1]).status, WarningStatus::Acknowledged);
    }
}
