//! Storage pools and volumes.

use serde::Serialize;

use super::{ConfigMap, Timestamp};
use crate::api::tree::readable;

readable! {
    /// A storage pool.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct StoragePoolPut {
        /// Driver configuration.
        pub config: ConfigMap,
        /// For people.
        pub description: String,
    }

    /// `GET /1.0/storage-pools/{pool}/resources`.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct ResourcesStoragePool {
        /// Bytes.
        pub space: PoolUsage,
        /// Inodes.
        pub inodes: PoolUsage,
    }

    /// Used and total amount of something.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(default)]
    pub struct PoolUsage {
        /// In use.
        #[serde(skip_serializing_if = "is_zero")]
        pub used: u64,
        /// In all.
        pub total: u64,
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

readable! {
    /// A storage volume.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
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

    /// What `POST /internal/recover/validate` and `import` ask for.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct RecoverPost {
        /// The pools to look at, known or not. Clients write it either way.
        #[serde(alias = "Pools")]
        pub pools: Option<Vec<StoragePoolsPost>>,
    }

    /// What is lost.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct RecoverResult {
        /// Volumes without a record; null when there are none.
        #[serde(rename = "UnknownVolumes")]
        pub unknown_volumes: Option<Vec<RecoverVolume>>,
        /// What has to be made before; null when there is nothing.
        #[serde(rename = "DependencyErrors")]
        pub dependency_errors: Option<Vec<String>>,
    }

    /// A volume without a record.
    #[derive(Clone, Debug, Default, Serialize)]
    #[serde(default)]
    pub struct RecoverVolume {
        /// Its name.
        pub name: String,
        /// `container`, …
        #[serde(rename = "type")]
        pub kind: String,
        /// How many snapshots it has.
        #[serde(rename = "snapshotCount")]
        pub snapshots: usize,
        /// Its project.
        pub project: String,
        /// Its pool.
        pub pool: String,
    }
}
