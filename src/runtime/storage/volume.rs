//! What a volume is called, in requests and on disk.

use std::cmp::Ordering;
use std::fmt;

use crate::error::{Error, Result};

/// The project whose name is left out of directory names of instances.
const DEFAULT_PROJECT: &str = "default";

/// Bytes in a directory's name (`NAME_MAX`), less what marks put before it.
const NAME_LIMIT: usize = 230;

/// What a volume is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VolumeKind {
    /// A container's root and files.
    Container,
    /// A virtual machine's.
    VirtualMachine,
    /// Made by users, attached where they like.
    Custom,
}

impl VolumeKind {
    /// Every kind.
    pub const ALL: [VolumeKind; 3] = [VolumeKind::Container, VolumeKind::VirtualMachine, VolumeKind::Custom];

    /// The directory of a pool that holds these volumes.
    pub fn directory(self) -> &'static str {
        match self {
            VolumeKind::Container => "containers",
            VolumeKind::VirtualMachine => "virtual-machines",
            VolumeKind::Custom => "custom",
        }
    }

    /// The directory of a pool that holds the snapshots of these volumes, one directory a volume.
    pub fn snapshots_directory(self) -> &'static str {
        match self {
            VolumeKind::Container => "containers-snapshots",
            VolumeKind::VirtualMachine => "virtual-machines-snapshots",
            VolumeKind::Custom => "custom-snapshots",
        }
    }

    /// Mode of a volume's directory, as LXD sets it.
    pub(super) fn mode(self) -> u32 {
        match self {
            VolumeKind::Container | VolumeKind::VirtualMachine => 0o100,
            VolumeKind::Custom => 0o711,
        }
    }

    /// Whether `LXD_DIR` has a symbolic link to each of these.
    pub(super) fn linked(self) -> bool {
        !matches!(self, VolumeKind::Custom)
    }
}

/// Bytes of a mark's token, which holds the names of volume and snapshot.
const TOKEN_LIMIT: usize = 240;

/// The identity of a volume, or of a snapshot of one, within its pool; its names are fit for the disk.
///
/// A snapshot is a volume that never changes: it is made by a copy, renamed, deleted and mounted as others are.
#[derive(Clone, Debug)]
pub struct Volume {
    kind: VolumeKind,
    project: String,
    name: String,
    snapshot: Option<String>,
    /// The project that its files count for ([`super::quota`]), when one is being made.
    counted: Option<u32>,
}

impl PartialEq for Volume {
    fn eq(&self, other: &Volume) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Volume {}

impl PartialOrd for Volume {
    fn partial_cmp(&self, other: &Volume) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Volume {
    fn cmp(&self, other: &Volume) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl Volume {
    /// Checks that the names can be one directory name: no slash, no NUL, not empty, not hidden, not too long, and no
    /// underscore in the project's (it ends there on disk).
    pub fn new(kind: VolumeKind, project: &str, name: &str) -> Result<Volume> {
        let bad = |s: &str| s.is_empty() || s.starts_with('.') || s.contains(['/', '\0', '\n']);
        if bad(name) || (kind != VolumeKind::Custom && name.contains('_')) {
            return Err(Error::invalid(format!("Invalid volume name {name:?}")));
        }
        if bad(project) || project.contains('_') {
            return Err(Error::invalid(format!("Invalid project name {project:?}")));
        }
        let volume = Volume { kind, project: project.to_owned(), name: name.to_owned(), snapshot: None, counted: None };
        if volume.directory().len() > NAME_LIMIT {
            return Err(Error::invalid(format!("Volume name {name:?} is too long")));
        }
        Ok(volume)
    }

    /// The snapshot of this name of the volume.
    pub fn snapshot(&self, name: &str) -> Result<Volume> {
        let snapshot = Volume { snapshot: Some(name.to_owned()), counted: None, ..self.clone() };
        if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\0', '\n']) {
            return Err(Error::invalid(format!("Invalid snapshot name {name:?}")));
        }
        if name.len() > NAME_LIMIT || snapshot.token().len() > TOKEN_LIMIT {
            return Err(Error::invalid(format!("Snapshot name {name:?} is too long")));
        }
        Ok(snapshot)
    }

    /// The same volume; what is made of it counts for this project.
    pub fn counted_for(self, project: u32) -> Volume {
        Volume { counted: Some(project), ..self }
    }

    /// The project that what is made of it counts for.
    pub(super) fn counted(&self) -> Option<u32> {
        self.counted
    }

    /// What makes it this volume.
    fn identity(&self) -> (VolumeKind, &str, &str, Option<&str>) {
        (self.kind, &self.project, &self.name, self.snapshot.as_deref())
    }

    /// The volume of a snapshot; itself for others.
    pub fn owner(&self) -> Volume {
        Volume { snapshot: None, ..self.clone() }
    }

    /// Whether it is a snapshot.
    pub fn is_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// What it is for.
    pub fn kind(&self) -> VolumeKind {
        self.kind
    }

    /// The project it belongs to.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Its name in its project.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same volume, or snapshot of the same volume, under another name.
    pub fn renamed(&self, name: &str) -> Result<Volume> {
        match self.snapshot {
            Some(_) => self.owner().snapshot(name),
            None => Volume::new(self.kind, &self.project, name),
        }
    }

    /// Where its directory is in a pool: `containers/NAME`, `containers-snapshots/NAME/SNAPSHOT`.
    pub fn place(&self) -> String {
        match &self.snapshot {
            Some(name) => format!("{}/{}/{name}", self.kind.snapshots_directory(), self.directory()),
            None => format!("{}/{}", self.kind.directory(), self.directory()),
        }
    }

    /// The name of its parts in the directories that hold them.
    pub(super) fn leaf(&self) -> String {
        self.snapshot.clone().unwrap_or_else(|| self.directory())
    }

    /// The name of the directory of a volume, and of that of its snapshots: `NAME` or `PROJECT_NAME` for instances, always `PROJECT_NAME` for custom volumes.
    pub fn directory(&self) -> String {
        if self.kind != VolumeKind::Custom && self.project == DEFAULT_PROJECT {
            self.name.clone()
        } else {
            format!("{}_{}", self.project, self.name)
        }
    }

    /// The volume whose [`Volume::directory`] is `directory`; `None` when it can't be one's.
    pub(super) fn parse(kind: VolumeKind, directory: &str) -> Option<Volume> {
        let (project, name) = match directory.split_once('_') {
            Some((project, name)) => (project, name),
            None if kind == VolumeKind::Custom => return None,
            None => (DEFAULT_PROJECT, directory),
        };
        let volume = Volume::new(kind, project, name).ok()?;
        // `default_c1` isn't how a container of the default project is called.
        (volume.directory() == directory).then_some(volume)
    }

    /// One word for marks: `containers:DIRECTORY`, `containers-snapshots:LENGTH:DIRECTORY:SNAPSHOT` (each may hold colons).
    pub(super) fn token(&self) -> String {
        let (kind, directory) = (self.kind, self.directory());
        match &self.snapshot {
            Some(name) => format!("{}:{}:{directory}:{name}", kind.snapshots_directory(), directory.len()),
            None => format!("{}:{directory}", kind.directory()),
        }
    }

    /// The inverse of [`Volume::token`].
    pub(super) fn from_token(token: &str) -> Option<Volume> {
        let (word, rest) = token.split_once(':')?;
        if let Some(kind) = VolumeKind::ALL.into_iter().find(|k| k.directory() == word) {
            return Volume::parse(kind, rest);
        }
        let kind = VolumeKind::ALL.into_iter().find(|k| k.snapshots_directory() == word)?;
        let (length, names) = rest.split_once(':')?;
        let (directory, name) = names.split_at_checked(length.parse().ok()?)?;
        Volume::parse(kind, directory)?.snapshot(name.strip_prefix(':')?).ok()
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_as_lxd_names_them() {
        let name = |kind, project, name| Volume::new(kind, project, name).unwrap().directory();
        assert_eq!(name(VolumeKind::Container, "default", "c1"), "c1");
        assert_eq!(name(VolumeKind::Container, "pr", "c1"), "pr_c1");
        assert_eq!(name(VolumeKind::Custom, "default", "v_1"), "default_v_1");
    }

    #[test]
    fn parse_is_the_inverse_of_directory() {
        for (kind, project, name) in [
            (VolumeKind::Container, "default", "c1"),
            (VolumeKind::VirtualMachine, "p", "c1"),
            (VolumeKind::Custom, "default", "a_b"),
        ] {
            let volume = Volume::new(kind, project, name).unwrap();
            assert_eq!(Volume::parse(kind, &volume.directory()), Some(volume.clone()));
            assert_eq!(Volume::from_token(&volume.token()), Some(volume));
        }
        assert_eq!(Volume::parse(VolumeKind::Container, "default_c1"), None);
        assert_eq!(Volume::parse(VolumeKind::Custom, "plain"), None);
    }

    #[test]
    fn a_snapshot_is_below_its_volume() {
        let c1 = Volume::new(VolumeKind::Container, "a:b", "c1").unwrap();
        let snapshot = c1.snapshot("s:0").unwrap();
        assert_eq!((snapshot.place().as_str(), snapshot.leaf().as_str()), ("containers-snapshots/a:b_c1/s:0", "s:0"));
        assert_eq!(Volume::from_token(&snapshot.token()), Some(snapshot.clone()));
        assert_eq!(snapshot.renamed("s1").unwrap(), c1.snapshot("s1").unwrap());
        assert_eq!((snapshot.owner(), snapshot.is_snapshot()), (c1.clone(), true));
        for bad in ["", ".", "..", "a/b", "a\nb", "a\0", &"x".repeat(240)] {
            assert!(c1.snapshot(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_would_leave_the_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "../x", "a\0b", ".hidden", "a\nb", &"x".repeat(300)] {
            assert!(Volume::new(VolumeKind::Custom, "default", bad).is_err(), "{bad:?}");
            assert!(Volume::new(VolumeKind::Custom, bad, "v").is_err(), "{bad:?}");
        }
        assert!(Volume::new(VolumeKind::Container, "default", "a_b").is_err());
        assert!(Volume::new(VolumeKind::Container, "a_b", "c").is_err());
    }
}
