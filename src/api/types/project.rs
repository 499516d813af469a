//! Projects: name spaces for instances, profiles, images and volumes.

use serde::Serialize;

use super::ConfigMap;
use crate::api::tree::readable;

readable! {
    /// A project.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct Project {
        /// Features, limits and restrictions.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
        /// Unique on the server.
        pub name: String,
        /// URLs of what is in it.
        pub used_by: Vec<String>,
    }
}
