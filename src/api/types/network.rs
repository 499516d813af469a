//! Networks: those of the host, and later those we manage.

use serde::{Deserialize, Serialize};

use super::ConfigMap;

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Configuration of a managed network; empty for the host's own.
    pub config: ConfigMap,
    /// For people.
    pub description: String,
    /// The interface's name.
    pub name: String,
    /// `bridge`, `physical`, `loopback`, `bond`, `vlan`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// URLs of the instances and profiles that use it.
    pub used_by: Vec<String>,
    /// Whether this server made it.
    pub managed: bool,
    /// State of a managed network; empty for the host's own.
    pub status: String,
    /// Members it exists on; null for the host's own.
    pub locations: Option<Vec<String>>,
}
