//! Background operations.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{StatusCode, Timestamp};
use crate::api::tree::readable;

readable! {
    /// A background operation as clients see it.
    #[derive(Clone, Debug, Serialize)]
    pub struct Operation {
        /// UUID.
        pub id: String,
        /// `task`, `websocket` or `token`.
        pub class: String,
        /// What is being done, for people.
        #[serde(default)]
        pub description: String,
        /// When it was created.
        #[serde(default)]
        pub created_at: Timestamp,
        /// When its metadata last changed.
        #[serde(default)]
        pub updated_at: Timestamp,
        /// The name of `status_code`.
        #[serde(default)]
        pub status: String,
        /// Where it stands.
        pub status_code: StatusCode,
        /// URLs of what it works on, by kind of thing.
        #[serde(default)]
        pub resources: Option<BTreeMap<String, Vec<String>>>,
        /// Progress and results.
        #[serde(default)]
        pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
        /// Whether DELETE cancels it now.
        #[serde(default)]
        pub may_cancel: bool,
        /// Why it failed.
        #[serde(default)]
        pub err: String,
        /// The member it runs on; `none` outside clusters.
        #[serde(default)]
        pub location: String,
    }
}
