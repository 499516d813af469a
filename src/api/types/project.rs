//! Projects: name spaces for instances, profiles, images and volumes.

use serde::{Deserialize, Serialize};

use super::ConfigMap;

/// A project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
