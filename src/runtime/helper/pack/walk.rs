//! From a tree to the members of an archive.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use tar::EntryType;

use super::compress::Packed;
use super::content::{self, BUFFER};
use super::member::Head;
use super::place::Tree;
use crate::order::Order;
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::idmap::Ids;
use crate::runtime::spec::marks;
use crate::runtime::spec::shift::ShiftPlan;

/// Directories in each other; each holds a descriptor.
const MAX_DEPTH: usize = 250;
/// Members of an archive.
const MAX_ENTRIES: u64 = 4_000_000;
/// Files with several names whose first one is kept in mind; others become files of their own.
const MAX_LINKS: usize = 500_000;
/// Bytes of all attributes of one file.
const MAX_ATTRIBUTES: usize = 2 << 20;

/// The directory of an archive that holds a root.
const ROOT: &str = "rootfs";

/// Keys and values of extended headers.
type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// An archive in the making.
pub(super) struct Archive {
    output: Box<dyn Packed>,
    /// Our own open descriptors, in a `/proc` of the host's.
    own: OwnedFd,
    /// Trees of their own within others, by their paths: no part of those.
    apart: BTreeSet<Vec<u8>>,
    /// Bytes of the path in front of those in the root.
    prefix: usize,
    /// The name in the archive of files that have several, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
    entries: u64,
}

/// How ids on disk become the guest's; as they are without.
type Unshift<'a> = Option<&'a ShiftPlan>;

impl Archive {
    /// `trees` are the paths of all trees there will be.
    pub(super) fn new(output: Box<dyn Packed>, own: OwnedFd, trees: BTreeSet<Vec<u8>>) -> Archive {
        Archive { output, own, apart: trees, prefix: 0, links: HashMap::new(), buffer: vec![0; BUFFER], entries: 0 }
    }

    /// A file of root's.
    pub(super) fn file(&mut self, path: &str, content: &[u8], modified: i64) -> Result<(), Fail> {
        self.head(&Head {
            path: path.as_bytes(),
            kind: EntryType::Regular,
            mode: 0o644,
            owner: (0, 0),
            modified: (modified, 0),
            size: content.len() as u64,
            link: b"",
            device: (0, 0),
            records: Vec::new(),
        })?;
        self.write(content)?;
        self.pad(content.len() as u64)
    }

    /// A tree.
    pub(super) fn tree(&mut self, path: &str, tree: &Tree) -> Result<(), Fail> {
        let ids = tree.ids.as_ref();
        let root = tree.root.try_clone().what(|| "duplicating a descriptor")?;
        // Another tree may have the same numbers.
        self.links.clear();
        self.prefix = path.rfind(ROOT).map_or(path.len(), |at| at + ROOT.len()) + 1;
        self.directory(ids, root, &mut path.as_bytes().to_vec(), 0)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> Result<(), Fail> {
        self.write(&[0; 1024])?;
        self.output.finish().what(|| "writing the archive")
    }

    fn directory(&mut self, ids: Unshift<'_>, fd: OwnedFd, path: &mut Vec<u8>, depth: usize) -> Result<(), Fail> {
        if depth > MAX_DEPTH {
            return Err(Fail::new(format!("packing {:?}: too many directories in each other", shown(path))));
        }
        let stat = rustix::fs::fstat(&fd).what(|| format!("reading {:?}", shown(path)))?;
        let records = attributes(ids, &fd, (path, self.has_marks(path)))?;
        self.head(&head(ids, path, EntryType::Directory, &stat, records)?)?;
        for name in names(&fd, path)? {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
            self.entry(ids, (&fd, &name), path, depth)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        ids: Unshift<'_>,
        (parent, name): (&OwnedFd, &CStr),
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Fail> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::NO_XDEV | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let handle = loop {
            match rustix::fs::openat2(parent, name, flags, Mode::empty(), inside) {
                Ok(handle) => break handle,
                Err(Errno::AGAIN | Errno::INTR) => {}
                // It went away meanwhile.
                Err(Errno::NOENT) => return Ok(()),
                Err(Errno::XDEV) => return self.mount_point(ids, (parent, name), path),
                Err(e) => return Err(e).what(|| format!("opening {:?}", shown(path))),
            }
        };
        let stat = rustix::fs::fstat(&handle).what(|| format!("reading {:?}", shown(path)))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory && self.apart.contains(path.as_slice()) {
            return Ok(());
        }
        if kind == FileType::Directory {
            let fd = self.reopen(&handle, OFlags::DIRECTORY).what(|| format!("opening {:?}", shown(path)))?;
            drop(handle);
            return self.directory(ids, fd, path, depth + 1);
        }
        if self.known_link(ids, &stat, path)? {
            return Ok(());
        }
        match kind {
            FileType::RegularFile => self.regular(ids, &handle, path),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&handle, "", Vec::new());
                let target = target.what(|| format!("reading {:?}", shown(path)))?;
                let entry = head(ids, path, EntryType::Symlink, &stat, Vec::new())?;
                self.head(&Head { link: target.to_bytes(), ..entry })
            }
            FileType::Fifo => self.head(&head(ids, path, EntryType::Fifo, &stat, Vec::new())?),
            FileType::CharacterDevice | FileType::BlockDevice => self.device(ids, kind, &stat, path),
            // Sockets are nothing without who listens there.
            _ => Ok(()),
        }
    }

    /// What is mounted over is of no concern; the place is.
    fn mount_point(&mut self, ids: Unshift<'_>, (parent, name): (&OwnedFd, &CStr), path: &[u8]) -> Result<(), Fail> {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                self.head(&head(ids, path, EntryType::Directory, &stat, Vec::new())?)
            }
            _ => Ok(()),
        }
    }

    fn device(&mut self, ids: Unshift<'_>, kind: FileType, stat: &Stat, path: &[u8]) -> Result<(), Fail> {
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match kind {
            // A mark of overlays, never a device.
            FileType::CharacterDevice if (major, minor) == (0, 0) && !self.has_marks(path) => return Ok(()),
            FileType::CharacterDevice => EntryType::Char,
            _ => EntryType::Block,
        };
        self.head(&Head { device: (major, minor), ..head(ids, path, kind, stat, Vec::new())? })
    }

    /// Writes a link to the first name of a file that was seen before; keeps that name in mind otherwise.
    fn known_link(&mut self, ids: Unshift<'_>, stat: &Stat, path: &[u8]) -> Result<bool, Fail> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let inode = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.links.get(&inode) {
            let first = first.clone();
            self.head(&Head { link: &first, ..head(ids, path, EntryType::Link, stat, Vec::new())? })?;
            return Ok(true);
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.links.len() < MAX_LINKS && !matches!(kind, FileType::Socket) {
            self.links.insert(inode, path.to_vec());
        }
        Ok(false)
    }

    fn regular(&mut self, ids: Unshift<'_>, handle: &OwnedFd, path: &[u8]) -> Result<(), Fail> {
        let file = self.reopen(handle, OFlags::empty()).what(|| format!("opening {:?}", shown(path)))?;
        let stat = rustix::fs::fstat(&file).what(|| format!("reading {:?}", shown(path)))?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut records = attributes(ids, &file, (path, self.has_marks(path)))?;
        let Some(pieces) = content::pieces(&file, &stat) else {
            self.head(&Head { size, ..head(ids, path, EntryType::Regular, &stat, records)? })?;
            return self.pieces(&file, &[(0, size)], path);
        };
        let map = content::map(&pieces);
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let made_up = [&path[..path.len() - name.len()], b"GNUSparseFile.0/", name].concat();
        for (key, value) in [("major", b"1".to_vec()), ("minor", b"0".to_vec()), ("name", path.to_vec())] {
            records.push((format!("GNU.sparse.{key}").into(), value));
        }
        records.push((b"GNU.sparse.realsize".to_vec(), size.to_string().into()));
        let packed = map.len() as u64 + pieces.iter().map(|(_, length)| length).sum::<u64>();
        let entry = head(ids, path, EntryType::Regular, &stat, records)?;
        self.head(&Head { path: &made_up, size: packed, ..entry })?;
        self.write(&map)?;
        self.pieces(&file, &pieces, path)
    }

    fn pieces(&mut self, file: &OwnedFd, pieces: &[content::Piece], path: &[u8]) -> Result<(), Fail> {
        let length = pieces.iter().map(|(_, length)| length).sum();
        content::copy(file, pieces, (&mut self.output, &mut self.buffer), || shown(path))?;
        self.pad(length)
    }

    /// Whether marks of overlays are content there.
    fn has_marks(&self, path: &[u8]) -> bool {
        path.get(self.prefix..).is_some_and(marks::belong)
    }

    /// Opens for reading what a handle is on, never what has taken its name.
    fn reopen(&self, handle: &OwnedFd, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let name = handle.as_raw_fd().to_string();
        let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.own, name, flags, Mode::empty())
    }

    fn head(&mut self, head: &Head<'_>) -> Result<(), Fail> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(Fail::new(format!("packing: there are more than {MAX_ENTRIES} files")));
        }
        let bytes = head.bytes().what(|| format!("packing {:?}", shown(head.path)))?;
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        self.output.write_all(bytes).what(|| "writing the archive")
    }

    fn pad(&mut self, length: u64) -> Result<(), Fail> {
        let rest = usize::try_from(length.next_multiple_of(512) - length).unwrap_or(0);
        self.write(&[0; 512][..rest])
    }
}

fn head<'a>(
    ids: Unshift<'_>,
    path: &'a [u8],
    kind: EntryType,
    stat: &Stat,
    records: Records,
) -> Result<Head<'a>, Fail> {
    let unknown = || Fail::new(format!("packing {:?}: its owner is outside of the guest's ids", shown(path)));
    let owner = match ids {
        None => (stat.st_uid, stat.st_gid),
        Some(ids) => (
            ids.shift(Ids::Uid, stat.st_uid).ok_or_else(unknown)?,
            ids.shift(Ids::Gid, stat.st_gid).ok_or_else(unknown)?,
        ),
    };
    let modified = (stat.st_mtime, stat.st_mtime_nsec as u32);
    let mode = stat.st_mode & 0o7777;
    Ok(Head { path, kind, mode, owner, modified, size: 0, link: b"", device: (0, 0), records })
}

/// The names in a directory, in order.
fn names(fd: &OwnedFd, path: &[u8]) -> Result<Vec<CString>, Fail> {
    let failed = || format!("listing {:?}", shown(path));
    let mut names = Vec::new();
    for entry in Dir::read_from(fd).what(failed)? {
        let entry = entry.what(failed)?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
        if names.len() as u64 > MAX_ENTRIES {
            return Err(Fail::new(format!("listing {:?}: there are too many files", shown(path))));
        }
    }
    names.order();
    Ok(names)
}

/// Attributes of an open file or directory, as records; ids in them are the guest's.
fn attributes(ids: Unshift<'_>, fd: &OwnedFd, (path, marks): (&[u8], bool)) -> Result<Records, Fail> {
    let mut list = vec![0u8; 65_536];
    let length = match rustix::fs::flistxattr(fd, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(e) => return Err(e).what(|| format!("listing attributes of {:?}", shown(path))),
    };
    let mut records = Vec::new();
    let mut total = 0;
    for name in list[..length].split(|b| *b == 0).filter(|name| travels(name, marks)) {
        let Ok(c_name) = CString::new(name) else { continue };
        let mut value = vec![0u8; 65_536];
        let got = match rustix::fs::fgetxattr(fd, c_name.as_c_str(), &mut value[..]) {
            Ok(got) => got,
            // It was taken away, or isn't ours to read.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => continue,
            Err(e) => return Err(e).what(|| format!("reading attributes of {:?}", shown(path))),
        };
        value.truncate(got);
        let Some(value) = in_guest_ids(ids, name, value) else {
            return Err(Fail::new(format!("packing {:?}: an attribute has ids outside of the guest's", shown(path))));
        };
        total += value.len();
        if total > MAX_ATTRIBUTES {
            return Err(Fail::new(format!("packing {:?}: its attributes are too large", shown(path))));
        }
        records.push(record(name, value));
    }
    Ok(records)
}

/// ACLs go by the name that GNU tar and LXD read them by, everything else as it is.
fn record(name: &[u8], value: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let key = match name {
        b"system.posix_acl_access" => "SCHILY.acl.access",
        b"system.posix_acl_default" => "SCHILY.acl.default",
        _ => return ([b"SCHILY.xattr.", name].concat(), value),
    };
    match acl_text(&value) {
        Some(text) => (key.into(), text.into_bytes()),
        None => ([b"SCHILY.xattr.", name].concat(), value),
    }
}

fn in_guest_ids(ids: Unshift<'_>, name: &[u8], value: Vec<u8>) -> Option<Vec<u8>> {
    match (ids, name) {
        (Some(ids), b"security.capability") => ids.capabilities(&value),
        (Some(ids), b"system.posix_acl_access" | b"system.posix_acl_default") => ids.acl(&value),
        _ => Some(value),
    }
}

/// Whether an attribute is the guest's: neither the kernel's own nor, but where these are content, of an overlay, and with a name that fits a record.
fn travels(name: &[u8], marks: bool) -> bool {
    let ours = [&b"trusted."[..], b"security.selinux", b"security.apparmor", b"security.ima", b"security.evm"];
    let mark = name.starts_with(b"user.overlay.") && !marks;
    !name.is_empty() && !mark && !name.contains(&b'=') && !ours.iter().any(|prefix| name.starts_with(prefix))
}

/// The text of an ACL in the kernel's form (`include/uapi/linux/posix_acl_xattr.h`), with numbers for names.
fn acl_text(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_at_checked(4)?;
    if version != 2u32.to_le_bytes() || entries.len() % 8 != 0 {
        return None;
    }
    let mut lines = Vec::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes(entry[..2].try_into().ok()?);
        let bits = u16::from_le_bytes(entry[2..4].try_into().ok()?);
        let id = u32::from_le_bytes(entry[4..].try_into().ok()?);
        let whom = match tag {
            0x01 => "user:".to_owned(),
            0x02 => format!("user:{id}"),
            0x04 => "group:".to_owned(),
            0x08 => format!("group:{id}"),
            0x10 => "mask:".to_owned(),
            0x20 => "other:".to_owned(),
            _ => return None,
        };
        let letter = |bit, letter| if bits & bit != 0 { letter } else { '-' };
        lines.push(format!("{whom}:{}{}{}\n", letter(4, 'r'), letter(2, 'w'), letter(1, 'x')));
    }
    Some(lines.concat())
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
