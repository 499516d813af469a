//! `lxc storage volume …`.

use serde::Serialize;

use crate::api::client::{path, with_query};
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, Timestamp};
use crate::cli::context::{Context, Target};
use crate::cli::wait::Wait;
use crate::error::Result;

mod attach;
mod copy;
mod list;
mod show;
mod snapshot;
mod transfer;

pub use attach::{attach, attach_profile, detach, detach_profile};
pub use copy::{Copy, Move, copy, move_to};
pub use list::{List, list};
pub use show::{Create, create, delete, edit, get, info, rename, set, show, unset};
pub use snapshot::{Snapshot, restore, snapshot};
pub use transfer::{Export, export, import};

/// A volume, or a snapshot of one, that is named on the command line.
struct Volume {
    target: Target,
    kind: String,
    name: String,
    snapshot: Option<String>,
}

readable! {
    /// A snapshot of a volume.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct VolumeSnapshot {
        description: String,
        expires_at: Timestamp,
        name: String,
        config: ConfigMap,
        content_type: String,
        created_at: Timestamp,
    }
}

/// Understands `[remote:]pool` and `[type/]volume[/snapshot]`.
fn volume(cx: &Context, pool: &str, word: &str) -> Result<Volume> {
    let target = cx.named(pool, "pool name")?;
    let (kind, name) = typed(word);
    let (name, snapshot) = match name.split_once('/') {
        Some((name, snapshot)) => (name, Some(snapshot.to_string())),
        None => (name, None),
    };
    Ok(Volume { target, kind: kind.into(), name: name.into(), snapshot })
}

/// The type that a volume's name begins with; without one it is a custom volume.
fn typed(word: &str) -> (&str, &str) {
    match word.split_once('/') {
        Some((kind @ ("custom" | "image" | "container" | "virtual-machine"), name)) => (kind, name),
        _ => ("custom", word),
    }
}

impl Volume {
    /// Its address, on a member of a cluster if one is given.
    fn address(&self, member: &Option<String>) -> String {
        self.below(&[], member)
    }

    /// The address of something below the volume, or below its snapshot.
    fn below(&self, rest: &[&str], member: &Option<String>) -> String {
        let mut parts = vec!["storage-pools", &self.target.name, "volumes", &self.kind, &self.name];
        if let Some(snapshot) = &self.snapshot {
            parts.extend(["snapshots", snapshot]);
        }
        parts.extend(rest);
        with_query(&path(&parts), &[("target", member.as_deref().unwrap_or(""))])
    }

    /// Whether the server knows snapshots of volumes, if this is one.
    fn ready(&self) -> Result<()> {
        match self.snapshot {
            Some(_) => self.target.client.require("storage_api_volume_snapshots").wait(),
            None => Ok(()),
        }
    }

    /// As on the command line, without the type.
    fn label(&self) -> String {
        match &self.snapshot {
            Some(snapshot) => format!("{}/{snapshot}", self.name),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_stand_before_names() {
        assert_eq!(typed("v1"), ("custom", "v1"));
        assert_eq!(typed("container/c1/s0"), ("container", "c1/s0"));
        assert_eq!(typed("v1/s0"), ("custom", "v1/s0"));
    }
}
