//! Storage pools and volumes.

use serde::{Deserialize, Serialize};

use super::{ConfigMap, Timestamp};

/// A storage pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoragePool {
    /// Driver configuration.
    pub config: ConfigMap,
    /// For people.
    pub description: String,
    /// Unique on the server.
    pub name: String,
    /// `dir`, `overlay`, …
    pub driver: String,
    /// URLs of what uses it.
    pub used_by: Vec<String>,
    /// `Created`, `Pending`, …
    pub status: String,
    /// Members it exists on; `none` outside clusters.
    pub locations: Vec<String>,
}

/// A new storage pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoragePoolsPost {
    /// Driver configuration.
    pub config: ConfigMap,
    /// For people.
    pub description: String,
    /// Unique on the server.
    pub name: String,
    /// `dir`, `overlay`, …
    pub driver: String,
}

/// What PUT and PATCH change of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoragePoolPut {
    /// Driver configuration.
    pub config: ConfigMap,
    /// For people.
    pub description: String,
}

/// `GET /1.0/storage-pools/{pool}/resources`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesStoragePool {
    /// Bytes.
    pub space: PoolUsage,
    /// Inodes.
    pub inodes: PoolUsage,
}

/// Used and total amount of something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolUsage {
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub used: u64,
    /// In all.
    pub total: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A storage volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageVolume {
    /// Volume configuration.
    pub config: ConfigMap,
    /// For people.
    pub description: String,
    /// Unique in its pool, project and type.
    pub name: String,
    /// `container`, `virtual-machine`, `image` or `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// URLs of what uses it.
    pub used_by: Vec<String>,
    /// The member it is on; `none` outside clusters.
    pub location: String,
    /// `filesystem` or `block`.
    pub content_type: String,
    /// The project it belongs to.
    pub project: String,
    /// When it was made.
    pub created_at: Timestamp,
}
