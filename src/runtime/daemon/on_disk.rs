//! What `lxd activateifneeded` has to know while no daemon runs.

use crate::api::types::ConfigMap;
use crate::runtime::instances::expand::expand;
use crate::store::records::Phase;
use crate::store::{Db, repo};
use crate::{Kind, Result};

use super::directories::{database, lock, lxd_dir};

/// Configurations as they are in the store.
#[derive(Clone, Debug, Default)]
pub struct OnDisk {
    /// The server's.
    pub server: ConfigMap,
    /// Those of the instances with their profiles.
    pub instances: Vec<ConfigMap>,
    /// Those of the volumes.
    pub volumes: Vec<ConfigMap>,
}

/// Reads the store of a daemon that isn't running. Empty when there is none yet, and when a daemon runs.
/// Blocks.
///
/// # Errors
/// When the store can't be read.
pub fn on_disk() -> Result<OnDisk> {
    let root = lxd_dir();
    let path = database(&root);
    if !path.exists() {
        return Ok(OnDisk::default());
    }
    let _lock = match lock(&root) {
        // It is awake.
        Err(e) if e.kind() == Kind::Conflict => return Ok(OnDisk::default()),
        other => other?,
    };
    let db = Db::open(&path)?;
    db.view(|v| {
        let records = repo::instances::list(v, None)?.into_iter().filter(|i| i.phase == Phase::Created);
        Ok(OnDisk {
            server: repo::server::config(v)?,
            instances: records.map(|i| Ok(expand(v, &i)?.config)).collect::<Result<_>>()?,
            volumes: repo::volumes::list(v, None)?.into_iter().map(|volume| volume.config).collect(),
        })
    })
}
