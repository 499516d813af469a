//! What a root may hold (`size` of the root disk), where the pool's file system has project quotas.

use std::collections::BTreeMap;

use super::Instances;
use super::create::volume_of;
use super::expand::{Expanded, expand};
use crate::api::config::{device, units};
use crate::api::types::InstanceStateDisk;
use crate::order::Gather;
use crate::runtime::blocking;
use crate::runtime::storage::Volume;
use crate::runtime::storage::quota::{self, Limited};
use crate::store::records::{InstanceRecord, PoolRecord};
use crate::store::repo;
use crate::store::repo::volumes::VolumePath;
use crate::{Error, Result};

/// Bytes that the root may hold; 0 is no limit.
fn size(expanded: &Expanded) -> Result<u64> {
    let size = expanded.root().and_then(|disk| disk.get("size"));
    size.map_or(Ok(0), |size| units::bytes(size).map_err(Error::invalid))
}

impl Instances {
    /// The volume of an instance in a pool, as it is made: its files count for the project of its record, if there is one by now.
    pub(super) fn counted(&self, record: &InstanceRecord, pool: &PoolRecord) -> Result<Volume> {
        let volume = volume_of(record)?;
        Ok(match self.project_of(record, pool) {
            Some(project) => volume.counted_for(project),
            None => volume,
        })
    }

    fn project_of(&self, record: &InstanceRecord, pool: &PoolRecord) -> Option<u32> {
        let path = VolumePath { pool: pool.id, project: &record.project, kind: record.kind.into(), name: &record.name };
        quota::project(self.db.view(|v| repo::volumes::by_name(v, path)).ok()?.id)
    }

    /// Bytes that the root of an instance that is being made may hold; 0 is no limit.
    pub(super) fn root_size(&self, record: &InstanceRecord) -> Result<u64> {
        size(&self.db.view(|v| expand(v, record))?)
    }

    /// Lets an instance's root hold what its configuration says now.
    pub(super) async fn limit_root(&self, id: u64) -> Result<()> {
        let (record, expanded, pool) = self.facts(id)?;
        let Some(project) = self.project_of(&record, &pool) else { return Ok(()) };
        let (bytes, at_rest) = (size(&expanded)?, self.actor(id).live().running.is_none());
        let (driver, volume) = (self.pools.driver(&pool)?, volume_of(&record)?);
        let limited = blocking(move || quota::limit(&driver.lock_path(&volume), project, bytes, at_rest)).await?;
        match limited {
            Limited::Never if bytes > 0 => {
                let pool = &pool.name;
                tracing::warn!(instance = %record.name, %pool, "No project quotas there: the root disk's size means nothing");
            }
            Limited::Later => {
                tracing::warn!(instance = %record.name, "The root disk's size holds from the next start on")
            }
            Limited::Now | Limited::Never => {}
        }
        Ok(())
    }

    /// The same after a change.
    pub(super) async fn change_size(&self, id: u64, was: &Expanded, becomes: &Expanded) -> Result<()> {
        match size(was).unwrap_or(0) == size(becomes)? {
            true => Ok(()),
            false => self.limit_root(id).await,
        }
    }

    /// What is held by the disks of an instance, as far as that is counted. Blocks.
    pub(super) fn disks(&self, id: u64) -> BTreeMap<String, InstanceStateDisk> {
        self.root_usage(id).into_iter().gather()
    }

    fn root_usage(&self, id: u64) -> Option<(String, InstanceStateDisk)> {
        if !quota::is_known() {
            return None;
        }
        let (record, expanded, pool) = self.facts(id).ok()?;
        let root = device::check_root(&expanded.devices).ok()?.to_owned();
        let place = self.pools.driver(&pool).ok()?.lock_path(&volume_of(&record).ok()?);
        let usage = i64::try_from(quota::usage(&place)?).unwrap_or(i64::MAX);
        Some((root, InstanceStateDisk { usage }))
    }
}
