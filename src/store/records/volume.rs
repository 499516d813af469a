//! A storage volume.

use serde::Serialize;

use super::{InstanceKind, Phase, Record};
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, Timestamp};
use crate::store::Table;

readable! {
    /// Whom a volume serves.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum VolumeKind {
        /// The root of a container.
        Container,
        /// The root of a virtual machine.
        VirtualMachine,
        /// An unpacked image.
        Image,
        /// A user's own.
        #[default]
        Custom,
    }
}

impl VolumeKind {
    /// The word of the API: `container`, `virtual-machine`, `image` or `custom`.
    pub fn as_str(self) -> &'static str {
        match self {
            VolumeKind::Container => "container",
            VolumeKind::VirtualMachine => "virtual-machine",
            VolumeKind::Image => "image",
            VolumeKind::Custom => "custom",
        }
    }

    /// Reads the word of the API.
    pub fn parse(text: &str) -> Option<VolumeKind> {
        let all = [VolumeKind::Container, VolumeKind::VirtualMachine, VolumeKind::Image, VolumeKind::Custom];
        all.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl From<InstanceKind> for VolumeKind {
    fn from(kind: InstanceKind) -> VolumeKind {
        match kind {
            InstanceKind::Container => VolumeKind::Container,
            InstanceKind::VirtualMachine => VolumeKind::VirtualMachine,
        }
    }
}

readable! {
    /// What is in a volume.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ContentKind {
        /// Files.
        #[default]
        Filesystem,
        /// A disk.
        Block,
    }
}

impl ContentKind {
    /// The word of the API: `filesystem` or `block`.
    pub fn as_str(self) -> &'static str {
        match self {
            ContentKind::Filesystem => "filesystem",
            ContentKind::Block => "block",
        }
    }

    /// Reads the word of the API.
    pub fn parse(text: &str) -> Option<ContentKind> {
        [ContentKind::Filesystem, ContentKind::Block].into_iter().find(|kind| kind.as_str() == text)
    }
}

readable! {
    /// A storage volume.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    pub struct VolumeRecord {
        /// Never used twice.
        pub id: u64,
        /// Id of its pool.
        pub pool: u64,
        /// The project it belongs to.
        pub project: String,
        /// Whom it serves.
        pub kind: VolumeKind,
        /// Unique in its pool, project and kind.
        pub name: String,
        /// What is in it.
        pub content: ContentKind,
        /// For people.
        pub description: String,
        /// Volume configuration.
        pub config: ConfigMap,
        /// The layer it lies on, in pools that have layers.
        pub layer: Option<String>,
        /// When it was made.
        pub created_at: Timestamp,
        /// How far it has come.
        pub phase: Phase,
    }
}

impl Record for VolumeRecord {
    const TABLE: Table = Table::Volumes;
    const VERSION: u32 = 1;
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::check_fixtures;

    #[test]
    fn reads_every_version() {
        let v1 = r#"{"id":8,"pool":3,"project":"default","kind":"virtual-machine","name":"v1","content":"block",
            "description":"","config":{"size":"10GiB"},"layer":"cc1031634b41",
            "created_at":"2026-11-21T17:01:31Z","phase":"creating"}"#;
        let record = check_fixtures::<VolumeRecord>(&[v1]);
        assert_eq!((record.kind, record.content), (VolumeKind::VirtualMachine, ContentKind::Block));
    }

    #[test]
    fn words_are_read_as_written() {
        for kind in ["container", "virtual-machine", "image", "custom"] {
            assert_eq!(VolumeKind::parse(kind).map(VolumeKind::as_str), Some(kind));
        }
        assert_eq!(VolumeKind::parse("custom/"), None);
        assert_eq!(ContentKind::parse("block"), Some(ContentKind::Block));
    }
}
