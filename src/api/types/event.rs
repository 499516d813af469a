//! What `/1.0/events` sends.

use serde::Serialize;

use super::Timestamp;
use crate::api::tree::readable;

readable! {
    /// One event; `metadata` is an operation, a log line or a lifecycle change, by `kind`.
    #[derive(Clone, Debug, Serialize)]
    pub struct Event {
        /// The member it happened on; `none` outside clusters.
        #[serde(default)]
        pub location: String,
        /// The object of the event.
        pub metadata: serde_json::Value,
        /// The project it concerns; left out for events of the whole server.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        pub project: String,
        /// When it happened.
        pub timestamp: Timestamp,
        /// `operation`, `lifecycle` or `logging`.
        #[serde(rename = "type")]
        pub kind: String,
    }

    /// The metadata of a lifecycle event.
    #[derive(Clone, Debug, Serialize)]
    pub struct EventLifecycle {
        /// What was done, such as `instance-started`.
        pub action: String,
        /// The URL of the thing.
        pub source: String,
        /// More about it, by action.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub context: Option<serde_json::Map<String, serde_json::Value>>,
        /// Who asked for it; none when the server did it by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub requestor: Option<EventRequestor>,
    }

    /// Who caused a lifecycle event.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct EventRequestor {
        /// The caller's name: a user name on the unix socket, a fingerprint over TLS.
        pub username: String,
        /// `unix` or `tls`.
        pub protocol: String,
        /// The caller's address; `@` on the unix socket.
        #[serde(default)]
        pub address: String,
    }

    /// The metadata of a logging event.
    #[derive(Clone, Debug, Serialize)]
    pub struct EventLogging {
        /// Named values beside the message.
        #[serde(default)]
        pub context: std::collections::BTreeMap<String, String>,
        /// `debug`, `info`, `warning` or `error`.
        pub level: String,
        /// The text.
        pub message: String,
    }
}
