//! `/internal/sql`: looking into the database.

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// A database as SQL.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct SqlDump {
        /// Statements that make it.
        pub text: String,
    }

    /// Statements to run.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct SqlQuery {
        /// `global` or `local`.
        pub database: String,
        /// One or more, with semicolons between them.
        pub query: String,
    }

    /// What came of them.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct SqlBatch {
        /// One for each.
        #[serde(rename = "Results")]
        pub results: Vec<SqlResult>,
    }

    /// What came of one statement.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct SqlResult {
        /// `select` when it gives rows, else `exec`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Names of the columns.
        pub columns: Option<Vec<String>>,
        /// The rows: strings, numbers and nulls.
        pub rows: Option<Vec<Vec<serde_json::Value>>>,
        /// Rows that it has changed.
        pub rows_affected: u64,
    }
}
