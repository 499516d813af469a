//! Warnings the server raises about itself and its host.

use serde::Serialize;

use super::Timestamp;
use crate::api::tree::readable;

readable! {
    /// A warning.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Warning {
        /// `new`, `acknowledged` or `resolved`.
        pub status: String,
        /// Its id.
        pub uuid: String,
        /// The member it concerns; `none` outside clusters.
        pub location: String,
        /// The project it concerns; empty for the whole server.
        pub project: String,
        /// What kind of warning, as a sentence.
        #[serde(rename = "type")]
        pub kind: String,
        /// How often it was raised.
        pub count: u64,
        /// When it was first raised.
        pub first_seen_at: Timestamp,
        /// When it was last raised.
        pub last_seen_at: Timestamp,
        /// What was said the last time.
        pub last_message: String,
        /// `low`, `moderate` or `high`.
        pub severity: String,
        /// The URL of the thing it concerns.
        pub entity_url: String,
    }

    /// What PUT and PATCH change of a warning.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct WarningPut {
        /// `new`, `acknowledged` or `resolved`.
        pub status: String,
    }
}
