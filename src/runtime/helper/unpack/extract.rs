//! Unpacks an image into a directory.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::archive;
use super::attributes;
use super::content::{self, Failure};
use super::inspect;
use super::limits::{Allowance, Limits};
use super::member::{Member, MemberKind};
use super::path::{self, TreePath};
use super::plan::Outcome;
use super::reader::Members;
use super::tree::Tree;
use super::writeback::Writeback;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::spec::idmap::Ids;
use crate::runtime::spec::marks;
use crate::runtime::spec::shift::ShiftPlan;
use crate::runtime::spec::{Idmap, VERSION};

/// What a file of an image holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything: the tree below `rootfs/`.
    Unified,
    /// `metadata.yaml` and `templates/` alone.
    Metadata,
    /// The tree itself.
    Root,
    /// Trees of an instance and its snapshots.
    Backup,
}

/// Unpacks an image's files (unified, or metadata and rootfs) into the open directory `target`, which then has
/// `rootfs/`, `metadata.yaml` and `templates/`. Blocks; starts threads. On failure the caller removes the target.
pub fn image(target: OwnedFd, files: Vec<File>, devices: bool, limits: Limits) -> Result<Outcome> {
    let mut extraction = Extraction::new(target, devices, limits)?;
    extraction.archives(files)?;
    extraction.finish()
}

/// As [`image`], and the tree is on the disk when it returns (one `syncfs`, most of it beside the unpacking).
pub(super) fn image_on_disk(target: OwnedFd, files: Vec<File>, devices: bool, limits: Limits) -> Result<Outcome> {
    let failed = || "Failed writing the image to the disk";
    let whole = target.try_clone().ctx(Kind::Internal, failed)?;
    let mut extraction = Extraction::new(target, devices, limits)?;
    extraction.writeback = Some(Writeback::start(whole).ctx(Kind::Internal, failed)?);
    extraction.archives(files)?;
    let writeback = extraction.writeback.take();
    let outcome = extraction.finish()?;
    writeback.map_or(Ok(()), Writeback::finish).ctx(Kind::Internal, failed)?;
    Ok(outcome)
}

pub(super) struct Extraction {
    target: Tree,
    root: Tree,
    /// The root's path in the archive.
    within: String,
    /// From the archive's ids to the guest's; none when these are in it.
    ids: Option<ShiftPlan>,
    limits: Limits,
    devices: bool,
    outcome: Outcome,
    /// Directories get their times and attributes last: making files in them changes the one, and a default ACL
    /// would be inherited by them.
    directories: Vec<(TreePath, Member)>,
    buffer: Vec<u8>,
    writeback: Option<Writeback>,
}

impl Extraction {
    fn new(target: OwnedFd, devices: bool, limits: Limits) -> Result<Extraction> {
        let mut target = Tree::new(target);
        let made = TreePath::parse(b"rootfs", &limits).map_err(|e| Error::internal(e.reason()))?;
        let root = target.create_directory(&made).ctx(Kind::Internal, || "Failed creating \"rootfs\"")?;
        rfs::fchmod(&root, Mode::from_raw_mode(0o755)).ctx(Kind::Internal, || "Failed creating \"rootfs\"")?;
        Ok(Extraction {
            target,
            ..Extraction::over(
                (root.try_clone().ctx(Kind::Internal, || "Failed creating \"rootfs\"")?, root),
                devices,
                limits,
            )
        })
    }

    /// Into these directories: what lies beside the root, and the root.
    pub(super) fn over((target, root): (OwnedFd, OwnedFd), devices: bool, limits: Limits) -> Extraction {
        Extraction {
            target: Tree::new(target),
            root: Tree::new(root),
            within: "rootfs".into(),
            ids: None,
            limits,
            devices,
            outcome: Outcome::default(),
            directories: Vec::new(),
            buffer: vec![0; content::CHUNK],
            writeback: None,
        }
    }

    /// Says where the root is in the archive.
    pub(super) fn within(mut self, path: String) -> Extraction {
        self.within = path;
        self
    }

    /// Says which map's host ids the archive has.
    pub(super) fn shifted(mut self, from: Idmap) -> Extraction {
        let to = Idmap::default();
        self.ids = (!from.0.is_empty()).then(|| ShiftPlan { version: VERSION, path: PathBuf::new(), from, to });
        self
    }

    /// The root.
    pub(super) fn root_directory(&self) -> BorrowedFd<'_> {
        self.root.root()
    }

    fn archives(&mut self, files: Vec<File>) -> Result<()> {
        let split = files.len() > 1;
        let allowance = Allowance::new(self.limits.bytes);
        for (index, file) in files.into_iter().enumerate() {
            let part = match (split, index) {
                (false, _) => Part::Unified,
                (true, 0) => Part::Metadata,
                (true, _) => Part::Root,
            };
            let mut reader = archive::members(file, self.limits, &allowance)?;
            self.archive(&mut *reader, part)?;
        }
        Ok(())
    }

    fn archive(&mut self, reader: &mut dyn Members, part: Part) -> Result<()> {
        while let Some(member) = reader.next().map_err(|e| unreadable(&e, None))? {
            let path = TreePath::parse(&member.path, &self.limits).map_err(|bad| {
                Error::invalid(format!("The image's path \"{}\" {}", path::shown(&member.path), bad.reason()))
            })?;
            let in_root = match part {
                Part::Root => Some(path.clone()),
                Part::Unified => path.below("rootfs"),
                Part::Metadata | Part::Backup => None,
            };
            match in_root {
                Some(inner) => self.inside(reader, (&inner, part), member)?,
                None if part != Part::Root => self.beside(reader, &path, &member)?,
                None => self.outcome.ignored += 1,
            }
        }
        Ok(())
    }

    /// A member of the root file system.
    pub(super) fn inside(
        &mut self,
        reader: &mut dyn Members,
        (path, part): (&TreePath, Part),
        member: Member,
    ) -> Result<()> {
        self.outcome.entries += 1;
        let member = match &self.ids {
            None => member,
            Some(ids) => in_guest_ids(ids, member).ok_or_else(|| {
                Error::invalid(format!("The owner of {:?} is outside of the ids of the backup", path.as_path()))
            })?,
        };
        self.member(reader, (path, part), member)
    }

    /// `metadata.yaml` and templates; anything else beside the root is left out.
    pub(super) fn beside(&mut self, reader: &mut dyn Members, path: &TreePath, member: &Member) -> Result<()> {
        let template = path.below("templates").filter(|name| name.components().count() == 1);
        let wanted = path.as_path() == "metadata.yaml" || template.is_some();
        if !wanted || !matches!(member.kind, MemberKind::File { map: None, .. }) {
            self.outcome.ignored += u64::from(path.as_path() != "templates" && !path.is_root());
            return Ok(());
        }
        let bytes = inspect::small(reader, member, &self.limits)?;
        let mut write = || -> io::Result<()> {
            let file = self.target.create_file(path)?;
            rfs::fchmod(&file, Mode::from_raw_mode(0o644))?;
            io::Write::write_all(&mut File::from(file), &bytes)
        };
        write().ctx(Kind::Internal, || format!("Failed writing {:?}", path.as_path()))
    }

    fn member(&mut self, reader: &mut dyn Members, (path, part): (&TreePath, Part), member: Member) -> Result<()> {
        let failed = || format!("Failed unpacking {:?}", path.as_path());
        match &member.kind {
            MemberKind::Directory => {
                let directory = self.root.create_directory(path).ctx(Kind::Invalid, failed)?;
                attributes::owner_and_mode(directory.as_fd(), &member).ctx(Kind::Internal, failed)?;
                self.directories.push((path.clone(), member));
            }
            _ if path.is_root() => {
                return Err(Error::invalid("The root file system of the image is not a directory"));
            }
            MemberKind::File { size, map } => {
                let file = self.root.create_file(path).ctx(Kind::Invalid, failed)?;
                let data = (*size, map.as_deref());
                let written = content::copy(reader, file.as_fd(), data, &mut self.buffer);
                self.outcome.bytes += match written {
                    Ok(written) => written,
                    Err(Failure::Archive(error)) => return Err(unreadable(&error, Some(path))),
                    Err(Failure::File(error)) => return Err(error).ctx(Kind::Internal, failed),
                };
                self.outcome.attributes_dropped +=
                    attributes::open_file(file.as_fd(), &member, marks::belong(path.bytes()))
                        .ctx(Kind::Internal, failed)?;
                attributes::time(&file, member.mtime).ctx(Kind::Internal, failed)?;
                if let Some(writeback) = &mut self.writeback {
                    writeback.written(self.outcome.bytes);
                }
            }
            MemberKind::Link(target) => self.link(path, target, part)?,
            _ => self.node(path, &member)?,
        }
        Ok(())
    }

    fn link(&mut self, path: &TreePath, target: &[u8], part: Part) -> Result<()> {
        let outside = || {
            let (link, target) = (path.as_path(), path::shown(target));
            Error::invalid(format!("The image's link {link:?} to \"{target}\" leads out of the archive"))
        };
        let target = TreePath::parse(target, &self.limits).map_err(|_| outside())?;
        let target = if part == Part::Root { target } else { target.below(&self.within).ok_or_else(outside)? };
        self.root
            .link(path, &target)
            .ctx(Kind::Invalid, || format!("Failed unpacking {:?} as a link to {:?}", path.as_path(), target.as_path()))
    }

    /// Symbolic links, pipes and devices.
    fn node(&mut self, path: &TreePath, member: &Member) -> Result<()> {
        let failed = || format!("Failed unpacking {:?}", path.as_path());
        let marked = marks::belong(path.bytes());
        let made = match &member.kind {
            MemberKind::Symlink(target) => self.root.create_symlink(path, OsStr::from_bytes(target)),
            MemberKind::Fifo => self.root.create_node(path, FileType::Fifo, 0),
            // An overlay takes 0:0 for "there is nothing here": elsewhere an image has no business with it.
            MemberKind::Character(0, 0) if marked => self.root.create_node(path, FileType::CharacterDevice, 0),
            MemberKind::Character(major, minor) if self.devices && (*major, *minor) != (0, 0) => {
                self.root.create_node(path, FileType::CharacterDevice, rfs::makedev(*major, *minor))
            }
            MemberKind::Block(major, minor) if self.devices => {
                self.root.create_node(path, FileType::BlockDevice, rfs::makedev(*major, *minor))
            }
            MemberKind::Character(..) | MemberKind::Block(..) => {
                self.outcome.devices_skipped += 1;
                return Ok(());
            }
            _ => {
                self.outcome.ignored += 1;
                return Ok(());
            }
        };
        made.ctx(Kind::Invalid, failed)?;
        let (directory, name) = self.root.parent(path).ctx(Kind::Internal, failed)?;
        self.outcome.attributes_dropped +=
            attributes::node(directory, name, member, marked).ctx(Kind::Internal, failed)?;
        Ok(())
    }

    fn finish(self) -> Result<Outcome> {
        let target = self.target.root().try_clone_to_owned().ctx(Kind::Internal, || "Failed unpacking the image")?;
        let outcome = self.complete()?;
        if rfs::statat(&target, "rootfs", AtFlags::SYMLINK_NOFOLLOW).is_err() || outcome.entries == 0 {
            return Err(Error::invalid("The image has no root file system"));
        }
        Ok(outcome)
    }

    /// Gives directories what they get last.
    pub(super) fn complete(mut self) -> Result<Outcome> {
        // The last word of an archive on a directory counts, and a directory comes before what is in it.
        for (path, member) in std::mem::take(&mut self.directories) {
            let failed = || format!("Failed unpacking {:?}", path.as_path());
            match self.root.open(&path, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(directory) => {
                    let dropped = attributes::xattrs(directory.as_fd(), &member, marks::belong(path.bytes()))
                        .ctx(Kind::Internal, failed)?;
                    self.outcome.attributes_dropped += dropped;
                    attributes::time(directory, member.mtime).ctx(Kind::Internal, failed)?;
                }
                // A later member took its place.
                Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => {}
                Err(error) => return Err(error).ctx(Kind::Internal, failed),
            }
        }
        Ok(self.outcome)
    }
}

fn in_guest_ids(ids: &ShiftPlan, mut member: Member) -> Option<Member> {
    member.uid = ids.shift(Ids::Uid, member.uid)?;
    member.gid = ids.shift(Ids::Gid, member.gid)?;
    for (name, value) in &mut member.xattrs {
        *value = match name.as_slice() {
            b"security.capability" => ids.capabilities(value)?,
            b"system.posix_acl_access" | b"system.posix_acl_default" => ids.acl(value)?,
            _ => continue,
        };
    }
    Some(member)
}

/// The error for an archive that can't be read on.
pub(super) fn unreadable(error: &io::Error, at: Option<&TreePath>) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    };
    let kind = if error.raw_os_error().is_some() { Kind::Internal } else { Kind::Invalid };
    match at {
        Some(path) => Error::new(kind, format!("Failed unpacking {:?}: {reason}", path.as_path())),
        None => Error::new(kind, format!("Failed reading the image: {reason}")),
    }
}
