//! What is written about an instance into archives and beside its volume.

use super::index::{Description, VolumeSnapshot};
use crate::Result;
use crate::api::config::device;
use crate::api::types::{Profile, StoragePool, StorageVolume, Timestamp};
use crate::runtime::instances::Instances;
use crate::runtime::instances::create::pool_of;
use crate::runtime::instances::expand::expand;
use crate::runtime::instances::snapshots::show_all;
use crate::store::records::{InstanceRecord, Phase, PoolRecord, ProfileRecord, VolumeKind, VolumeRecord};
use crate::store::repo::volumes::VolumePath;
use crate::store::{Read, repo};

impl Instances {
    /// An instance as `backup.yaml` has it, and its pool.
    pub(super) fn describe(
        &self,
        r: &impl Read,
        record: &InstanceRecord,
        with_snapshots: bool,
    ) -> Result<(Description, PoolRecord)> {
        device::check_root(&expand(r, record)?.devices)?;
        let pool = pool_of(r, record)?;
        let kind = VolumeKind::from(record.kind);
        let path = VolumePath { pool: pool.id, project: &record.project, kind, name: &record.name };
        let volume = repo::volumes::by_name(r, path)?;
        let profiles = record.profiles.iter().map(|id| Ok(profile(repo::profiles::by_id(r, *id)?)));
        let mut snapshots = if with_snapshots { repo::snapshots::list(r, record.id)? } else { Vec::new() };
        snapshots.retain(|s| s.phase == Phase::Created);
        let volume_snapshots = snapshots.iter().map(|s| VolumeSnapshot {
            expires_at: s.expires_at,
            name: s.name.clone(),
            content_type: "filesystem".into(),
            ..VolumeSnapshot::default()
        });
        let description = Description {
            container: self.show(r, record)?,
            volume_snapshots: volume_snapshots.collect(),
            snapshots: show_all(r, record, &snapshots)?,
            pool: plain(&pool),
            profiles: profiles.collect::<Result<_>>()?,
            volume: volume_of(volume),
        };
        Ok((description, pool))
    }
}

fn profile(p: ProfileRecord) -> Profile {
    Profile { config: p.config, description: p.description, devices: p.devices, name: p.name, used_by: Vec::new() }
}

fn plain(p: &PoolRecord) -> StoragePool {
    StoragePool {
        config: p.config.clone(),
        description: p.description.clone(),
        name: p.name.clone(),
        driver: p.driver.clone(),
        used_by: Vec::new(),
        status: "Created".into(),
        locations: vec!["none".into()],
    }
}

fn volume_of(v: VolumeRecord) -> StorageVolume {
    StorageVolume {
        config: v.config,
        description: v.description,
        name: v.name,
        kind: "container".into(),
        used_by: Vec::new(),
        location: "none".into(),
        content_type: "filesystem".into(),
        project: v.project,
        // As LXD has it for volumes of instances.
        created_at: Timestamp::ZERO,
    }
}
