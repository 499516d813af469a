//! `backup/index.yaml` of an archive and `backup.yaml` of a volume: what an instance is, as LXD 5.0.2 writes it (version 1). Read is
//! version 2 too, which names things in the plural.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::api::tree::FromTree;
use crate::api::tree::readable;
use crate::api::types::{self, Instance, InstanceSnapshot, Profile, StoragePool, StorageVolume, Timestamp, Twice};
use crate::order::Gather;
use crate::runtime::instances::packing::IDS_ON_DISK;
use crate::{Ctx, Error, Kind, Result};

/// Bytes that an index may have.
const LIMIT: usize = 4 << 20;

/// `backup.yaml`.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// The instance.
    pub container: Instance,
    /// Its snapshots, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<InstanceSnapshot>,
    /// Where it is.
    pub pool: StoragePool,
    /// The profiles it has.
    pub profiles: Vec<Profile>,
    /// Its volume.
    pub volume: StorageVolume,
    /// The volume's snapshots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshots: Vec<VolumeSnapshot>,
}

impl Description {
    /// Says that all files have the guest's own ids, as they have in archives.
    pub fn with_guest_ids(&mut self) {
        let snapshots = self.snapshots.iter_mut().flat_map(|s| [&mut s.config, &mut s.expanded_config]);
        for config in [&mut self.container.config, &mut self.container.expanded_config].into_iter().chain(snapshots) {
            if let Some(ids) = config.get_mut(IDS_ON_DISK) {
                *ids = "[]".into();
            }
        }
    }
}

/// A snapshot of a volume, as far as it differs from it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VolumeSnapshot {
    /// For people.
    pub description: String,
    /// When it may go.
    pub expires_at: Timestamp,
    /// Its name.
    pub name: String,
    /// `filesystem` or `block`.
    pub content_type: String,
}

/// `backup/index.yaml`.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// The instance's name.
    pub name: String,
    /// The storage driver it was on.
    pub backend: String,
    /// The pool it was in.
    pub pool: String,
    /// Names of the snapshots that are in the archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Whether the volumes are in the storage driver's own format.
    pub optimized: bool,
    /// The same of a file that says more about that.
    pub optimized_header: bool,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rest.
    pub config: Description,
}

/// The text of either.
pub fn text(of: &impl Serialize) -> Result<String> {
    types::to_yaml(of).ctx(Kind::Internal, || "Failed writing the description of an instance")
}

/// What an archive says about what is in it.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The name the instance had.
    pub name: String,
    /// The pool it was in.
    pub pool: String,
    /// The instance.
    pub instance: Instance,
    /// Snapshots that are in the archive, the oldest first.
    pub snapshots: Vec<InstanceSnapshot>,
}

readable! {
    /// As it is read: both versions, and everything may be missing.
    #[derive(Serialize)]
    struct Raw {
        #[serde(default)]
        name: String,
        #[serde(default)]
        pool: String,
        #[serde(default)]
        snapshots: Vec<String>,
        #[serde(default)]
        optimized: Option<bool>,
        #[serde(default, rename = "type")]
        kind: String,
        config: Option<RawDescription>,
    }

    #[derive(Serialize)]
    struct RawDescription {
        #[serde(alias = "instance")]
        container: Option<Instance>,
        #[serde(default)]
        snapshots: Option<Vec<Option<InstanceSnapshot>>>,
        #[serde(default)]
        pool: Option<StoragePool>,
    }
}

/// The same, of a volume on disk.
#[derive(Clone, Debug)]
pub struct OnDisk {
    /// The instance.
    pub instance: Instance,
    /// The pool it was in.
    pub pool: Option<String>,
    /// Its snapshots, the oldest first.
    pub snapshots: Vec<InstanceSnapshot>,
}

fn read<T: FromTree>(text: &str) -> Result<T> {
    if text.len() > LIMIT {
        return Err(Error::invalid(format!("The description of the instance is longer than {LIMIT} bytes")));
    }
    types::from_yaml(text, Twice::LastCounts).map_err(|e| Error::invalid(format!("yaml: {e}")))
}

/// Reads an index.
///
/// # Errors
/// [`Kind::Invalid`] for what is none; [`Kind::Unsupported`] for archives of virtual machines, and in a storage driver's own format.
pub fn parse(text: &str) -> Result<Contents> {
    let raw: Raw = read(text)?;
    if raw.kind == "virtual-machine" {
        return Err(Error::unsupported("A backup of a virtual machine"));
    }
    if raw.optimized == Some(true) {
        return Err(Error::unsupported("A backup in the format of a storage driver"));
    }
    let described = raw.config.and_then(|config| Some((config.container?, config.snapshots.unwrap_or_default())));
    let Some((instance, snapshots)) = described else {
        return Err(Error::invalid("Backup has no description of the instance"));
    };
    let packed: BTreeSet<String> = raw.snapshots.into_iter().gather();
    let snapshots: Vec<InstanceSnapshot> = snapshots.into_iter().flatten().map(bare).collect();
    let known: BTreeSet<&String> = snapshots.iter().map(|s| &s.name).gather();
    if let Some(name) = packed.iter().find(|name| !known.contains(name)) {
        return Err(Error::invalid(format!("Backup has no description of the snapshot {name:?}")));
    }
    let snapshots = snapshots.into_iter().filter(|s| packed.contains(&s.name)).collect();
    Ok(Contents { name: raw.name, pool: raw.pool, instance, snapshots })
}

/// Reads `backup.yaml`.
///
/// # Errors
/// [`Kind::Invalid`] for what is none.
pub fn parse_description(text: &str) -> Result<OnDisk> {
    let raw: RawDescription = read(text)?;
    let instance = raw.container.ok_or_else(|| Error::invalid("There is no instance in it"))?;
    let snapshots = raw.snapshots.unwrap_or_default().into_iter().flatten().map(bare).collect();
    Ok(OnDisk { instance, pool: raw.pool.map(|pool| pool.name), snapshots })
}

/// Some versions write `INSTANCE/SNAPSHOT`.
fn bare(mut snapshot: InstanceSnapshot) -> InstanceSnapshot {
    if let Some((_, name)) = snapshot.name.rsplit_once('/') {
        snapshot.name = name.to_owned();
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "architecture: x86_64
    config: {user.a: \"1\", limits.cpu: 2}
    created_at: 2026-11-22T05:11:24.984303716Z
    name: c1
    status_code: 102
    type: container
";

    #[test]
    fn both_versions_are_read() {
        let v1 = format!(
            "name: c1\nbackend: dir\npool: default\nsnapshots:\n- s1\noptimized: false\ntype: container\nconfig:\n  container:\n    \
             {INSTANCE}  snapshots:\n  - name: s0\n  - name: s1\n    expires_at: 0001-01-01T00:00:00Z\n    size: -1\n  pool: {{name: default}}\n"
        );
        let v2 = v1.replace("  container:", "  version: 2\n  instance:").replace("  pool:", "  pools: []\n  pool:");
        for text in [v1, v2] {
            let contents = parse(&text).unwrap();
            assert_eq!((contents.name.as_str(), contents.pool.as_str()), ("c1", "default"));
            assert_eq!(contents.instance.config["limits.cpu"], "2");
            assert_eq!(contents.instance.created_at, Timestamp::parse("2026-11-22T05:11:24.984303716Z").unwrap());
            assert_eq!(contents.snapshots.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["s1"]);
        }
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for text in ["", "name: c1", "- a", "config: {}", "name: c1\nsnapshots: [s]\nconfig: {container: {name: c1}}"] {
            assert_eq!(parse(text).unwrap_err().kind(), Kind::Invalid, "{text}");
        }
        assert_eq!(parse("type: virtual-machine").unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(parse("optimized: true").unwrap_err().kind(), Kind::Unsupported);
    }
}
