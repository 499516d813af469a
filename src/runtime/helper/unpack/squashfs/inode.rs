//! Files of a squashfs: what their inodes say.

use std::io;

use super::disk::{Cursor, Disk};
use super::wrong;
use crate::runtime::helper::unpack::limits::Limits;
use crate::runtime::helper::unpack::member::{Member, MemberKind, Time};

/// What isn't in a fragment says so.
pub(super) const NO_FRAGMENT: u32 = u32::MAX;
/// Attributes of one file, at most.
const XATTRS: u32 = 1024;

/// A file.
pub(super) struct Inode {
    pub(super) number: u32,
    pub(super) links: u32,
    pub(super) member: Member,
    pub(super) body: Body,
}

/// What is behind it.
pub(super) enum Body {
    Nothing,
    Directory { block: u32, offset: u16, size: u32 },
    File(Content),
}

/// Where the content of a file is.
#[derive(Clone, Copy)]
pub(super) struct Content {
    /// The first of its blocks; the others follow.
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) fragment: u32,
    /// Where in the fragment.
    pub(super) offset: u32,
    /// Where the sizes of its blocks are.
    pub(super) sizes: Cursor,
}

impl Inode {
    pub(super) fn read(disk: &mut Disk, reference: u64, limits: &Limits) -> io::Result<Inode> {
        let mut at = disk.inode(reference)?;
        let (kind, mode) = (disk.u16(&mut at)?, disk.u16(&mut at)?);
        let (uid, gid) = (disk.u16(&mut at)?, disk.u16(&mut at)?);
        let (seconds, number) = (disk.u32(&mut at)?, disk.u32(&mut at)?);
        let (uid, gid) = (disk.id(uid)?, disk.id(gid)?);
        let mtime = Time { seconds: i64::from(seconds), nanoseconds: 0 };
        let member = Member { mode: u32::from(mode) & 0o7777, uid, gid, mtime, ..Member::default() };
        let mut inode = Inode { number, links: 1, member, body: Body::Nothing };
        let xattrs = match kind {
            1 | 8 => inode.directory(disk, &mut at, kind == 8)?,
            2 | 9 => inode.file(disk, &mut at, kind == 9)?,
            3 | 10 => inode.symlink(disk, &mut at, (kind == 10, limits.path))?,
            4 | 5 | 11 | 12 => inode.device(disk, &mut at, kind)?,
            6 | 7 | 13 | 14 => {
                inode.links = disk.u32(&mut at)?;
                inode.member.kind = if matches!(kind, 6 | 13) { MemberKind::Fifo } else { MemberKind::Other };
                if kind > 7 { disk.u32(&mut at)? } else { u32::MAX }
            }
            _ => return Err(wrong("a file of an unknown kind")),
        };
        inode.member.xattrs = attributes(disk, xattrs, limits)?;
        Ok(inode)
    }

    fn directory(&mut self, disk: &mut Disk, at: &mut Cursor, extended: bool) -> io::Result<u32> {
        self.member.kind = MemberKind::Directory;
        if !extended {
            let (block, _links) = (disk.u32(at)?, disk.u32(at)?);
            let (size, offset) = (u32::from(disk.u16(at)?), disk.u16(at)?);
            self.body = Body::Directory { block, offset, size };
            return Ok(u32::MAX);
        }
        let (_links, size) = (disk.u32(at)?, disk.u32(at)?);
        let (block, _parent) = (disk.u32(at)?, disk.u32(at)?);
        let (_index, offset) = (disk.u16(at)?, disk.u16(at)?);
        self.body = Body::Directory { block, offset, size };
        disk.u32(at)
    }

    fn file(&mut self, disk: &mut Disk, at: &mut Cursor, extended: bool) -> io::Result<u32> {
        let (start, size, xattrs, fragment, offset);
        if extended {
            (start, size) = (disk.u64(at)?, disk.u64(at)?);
            let _sparse = disk.u64(at)?;
            self.links = disk.u32(at)?;
            (fragment, offset) = (disk.u32(at)?, disk.u32(at)?);
            xattrs = disk.u32(at)?;
        } else {
            start = u64::from(disk.u32(at)?);
            (fragment, offset) = (disk.u32(at)?, disk.u32(at)?);
            size = u64::from(disk.u32(at)?);
            xattrs = u32::MAX;
        }
        self.member.kind = MemberKind::File { size, map: None };
        self.body = Body::File(Content { start, size, fragment, offset, sizes: *at });
        Ok(xattrs)
    }

    fn symlink(&mut self, disk: &mut Disk, at: &mut Cursor, (extended, most): (bool, usize)) -> io::Result<u32> {
        self.links = disk.u32(at)?;
        let length = disk.u32(at)? as usize;
        self.member.kind = MemberKind::Symlink(disk.bytes(at, (length, most))?);
        if extended { disk.u32(at) } else { Ok(u32::MAX) }
    }

    fn device(&mut self, disk: &mut Disk, at: &mut Cursor, kind: u16) -> io::Result<u32> {
        self.links = disk.u32(at)?;
        let number = disk.u32(at)?;
        let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00);
        let block = matches!(kind, 4 | 11);
        self.member.kind = if block { MemberKind::Block(major, minor) } else { MemberKind::Character(major, minor) };
        if kind > 7 { disk.u32(at) } else { Ok(u32::MAX) }
    }
}

fn attributes(disk: &mut Disk, index: u32, limits: &Limits) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let Some((mut at, count)) = disk.xattrs(index)? else { return Ok(Vec::new()) };
    if count > XATTRS {
        return Err(wrong("a file with too many attributes"));
    }
    let mut all = Vec::new();
    let mut left = limits.extended;
    for _ in 0..count {
        let (kind, length) = (disk.u16(&mut at)?, disk.u16(&mut at)? as usize);
        let prefix: &[u8] = match kind & 0xff {
            0 => b"user.",
            1 => b"trusted.",
            2 => b"security.",
            _ => return Err(wrong("an attribute of an unknown kind")),
        };
        let name = [prefix, &disk.bytes(&mut at, (length, 255))?].concat();
        let length = disk.u32(&mut at)? as usize;
        let value = if kind & 0x100 == 0 {
            disk.bytes(&mut at, (length, left))?
        } else {
            let reference = disk.u64(&mut at)?;
            let mut elsewhere = disk.xattr_value(reference)?;
            let length = disk.u32(&mut elsewhere)? as usize;
            disk.bytes(&mut elsewhere, (length, left))?
        };
        left -= value.len();
        all.push((name, value));
    }
    Ok(all)
}
