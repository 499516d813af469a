//! What a volume is called, in requests and on disk.

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

/// A volume's identity within its pool; its names are fit for the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Volume {
    kind: VolumeKind,
    project: String,
    name: String,
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
        let volume = Volume { kind, project: project.to_owned(), name: name.to_owned() };
        if volume.directory().len() > NAME_LIMIT {
            return Err(Error::invalid(format!("Volume name {name:?} is too long")));
        }
        Ok(volume)
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

    /// The same volume under another name.
    pub fn renamed(&self, name: &str) -> Result<Volume> {
        Volume::new(self.kind, &self.project, name)
    }

    /// The name of its directory: `NAME` or `PROJECT_NAME` for instances, always `PROJECT_NAME` for custom volumes.
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

    /// One word for marks and lock names: `containers:DIRECTORY`.
    pub(super) fn token(&self) -> String {
        format!("{}:{}", self.kind.directory(), self.directory())
    }

    /// The inverse of [`Volume::token`].
    pub(super) fn from_token(token: &str) -> Option<Volume> {
        let (kind, directory) = token.split_once(':')?;
        let kind = VolumeKind::ALL.into_iter().find(|k| k.directory() == kind)?;
        Volume::parse(kind, directory)
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.directory(), self.directory())
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
    fn names_that_would_leave_the_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "../x", "a\0b", ".hidden", "a\nb", &"x".repeat(300)] {
            assert!(Volume::new(VolumeKind::Custom, "default", bad).is_err(), "{bad:?}");
            assert!(Volume::new(VolumeKind::Custom, bad, "v").is_err(), "{bad:?}");
        }
        assert!(Volume::new(VolumeKind::Container, "default", "a_b").is_err());
        assert!(Volume::new(VolumeKind::Container, "a_b", "c").is_err());
    }
}
