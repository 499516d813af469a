//! What lies where in a squashfs 4.0 (Documentation/filesystems/squashfs.rst of the kernel): its tables, and metadata blocks.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::decode::{Compressor, Place, block};
use super::wrong;

/// Bytes of a metadata block.
pub(super) const BLOCK: usize = 8192;
/// Decoded metadata blocks that are kept.
const KEPT: usize = 256;
/// The start of a table that isn't there.
const NONE: u64 = u64::MAX;

/// An open squashfs.
pub(super) struct Disk {
    pub(super) file: File,
    pub(super) compressor: Compressor,
    pub(super) block_size: usize,
    pub(super) root: u64,
    inodes: u64,
    directories: u64,
    ids: Table,
    fragments: Table,
    xattrs: Option<(u64, Table)>,
    kept: HashMap<u64, (Arc<Vec<u8>>, u64)>,
}

/// A table: the places of the metadata blocks that have it, and how many bytes they have together.
struct Table {
    places: u64,
    bytes: u64,
}

/// A place in metadata that is read on from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    block: u64,
    offset: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl Disk {
    pub(super) fn open(file: File) -> io::Result<Disk> {
        let mut head = [0; 96];
        file.read_exact_at(&mut head, 0)?;
        let number = |at| u64_at(&head, at);
        if &head[..4] != b"hsqs" || (u16_at(&head, 28), u16_at(&head, 30)) != (4, 0) {
            return Err(wrong("another version than 4.0"));
        }
        if file.metadata()?.len() < number(40) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let block_size = u32_at(&head, 12) as usize;
        if !block_size.is_power_of_two() || !(4096..=1 << 20).contains(&block_size) {
            return Err(wrong("a wrong block size"));
        }
        let mut disk = Disk {
            compressor: Compressor::of(u16_at(&head, 20))?,
            block_size,
            root: number(32),
            inodes: number(64),
            directories: number(72),
            ids: Table { places: number(48), bytes: u64::from(u16_at(&head, 26)) * 4 },
            fragments: Table { places: number(80), bytes: u64::from(u32_at(&head, 16)) * 16 },
            xattrs: None,
            kept: HashMap::new(),
            file,
        };
        if number(56) != NONE {
            let mut table = [0; 16];
            disk.file.read_exact_at(&mut table, number(56))?;
            let bytes = u64::from(u32_at(&table, 8)) * 16;
            disk.xattrs = Some((u64_at(&table, 0), Table { places: number(56) + 16, bytes }));
        }
        Ok(disk)
    }

    /// Where an inode is, by its reference.
    pub(super) fn inode(&self, reference: u64) -> io::Result<Cursor> {
        cursor(self.inodes, reference)
    }

    /// Where a directory's entries are.
    pub(super) fn directory(&self, block: u32, offset: u16) -> io::Result<Cursor> {
        cursor(self.directories, u64::from(block) << 16 | u64::from(offset))
    }

    /// A user's or group's id.
    pub(super) fn id(&mut self, index: u16) -> io::Result<u32> {
        let (places, bytes) = (self.ids.places, self.ids.bytes);
        Ok(u32_at(&self.entry::<4>(places, bytes, u64::from(index))?, 0))
    }

    /// Where the block of a fragment is.
    pub(super) fn fragment(&mut self, index: u32) -> io::Result<Place> {
        let (places, bytes) = (self.fragments.places, self.fragments.bytes);
        let entry = self.entry::<16>(places, bytes, u64::from(index))?;
        Ok(self.data(u64_at(&entry, 0), u32_at(&entry, 8)))
    }

    /// How many fragments there are.
    pub(super) fn fragment_count(&self) -> u32 {
        (self.fragments.bytes / 16) as u32
    }

    /// A block of data, as its size is recorded.
    pub(super) fn data(&self, at: u64, size: u32) -> Place {
        Place { at, size: size & 0xff_ffff, plain: size & 1 << 24 != 0, most: self.block_size }
    }

    /// The extended attributes of this number: where they begin, and how many there are.
    pub(super) fn xattrs(&mut self, index: u32) -> io::Result<Option<(Cursor, u32)>> {
        let Some((start, Table { places, bytes })) = &self.xattrs else { return Ok(None) };
        let (start, places, bytes) = (*start, *places, *bytes);
        if index == u32::MAX {
            return Ok(None);
        }
        let entry = self.entry::<16>(places, bytes, u64::from(index))?;
        Ok(Some((cursor(start, u64_at(&entry, 0))?, u32_at(&entry, 8))))
    }

    /// A value that lies somewhere else.
    pub(super) fn xattr_value(&self, reference: u64) -> io::Result<Cursor> {
        let (start, _) = self.xattrs.as_ref().ok_or_else(|| wrong("a wrong attribute"))?;
        cursor(*start, reference)
    }

    fn entry<const N: usize>(&mut self, places: u64, bytes: u64, index: u64) -> io::Result<[u8; N]> {
        let at = index * N as u64;
        if at + N as u64 > bytes {
            return Err(wrong("a number without an entry in its table"));
        }
        let mut place = [0; 8];
        let blocks = places.checked_add(at / BLOCK as u64 * 8).ok_or_else(|| wrong("a wrong table"))?;
        self.file.read_exact_at(&mut place, blocks)?;
        let mut cursor = Cursor { block: u64::from_le_bytes(place), offset: (at % BLOCK as u64) as usize };
        let mut entry = [0; N];
        self.read(&mut cursor, &mut entry)?;
        Ok(entry)
    }

    /// Reads on, over the ends of blocks.
    pub(super) fn read(&mut self, cursor: &mut Cursor, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let (bytes, next) = self.metadata(cursor.block)?;
            let rest = bytes.get(cursor.offset..).filter(|rest| !rest.is_empty());
            let Some(rest) = rest else {
                // A block that isn't full is the last one.
                if bytes.len() < BLOCK || cursor.offset > BLOCK {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *cursor = Cursor { block: next, offset: cursor.offset - BLOCK };
                continue;
            };
            let count = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            (filled, cursor.offset) = (filled + count, cursor.offset + count);
        }
        Ok(())
    }

    pub(super) fn u16(&mut self, cursor: &mut Cursor) -> io::Result<u16> {
        let mut bytes = [0; 2];
        self.read(cursor, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    pub(super) fn u32(&mut self, cursor: &mut Cursor) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.read(cursor, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&mut self, cursor: &mut Cursor) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.read(cursor, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// `length` bytes, of which there may be `most`.
    pub(super) fn bytes(&mut self, cursor: &mut Cursor, (length, most): (usize, usize)) -> io::Result<Vec<u8>> {
        if length > most {
            return Err(wrong("a text that is too long"));
        }
        let mut bytes = vec![0; length];
        self.read(cursor, &mut bytes)?;
        Ok(bytes)
    }

    /// A metadata block, and where the next one is.
    fn metadata(&mut self, at: u64) -> io::Result<(Arc<Vec<u8>>, u64)> {
        if let Some(kept) = self.kept.get(&at) {
            return Ok(kept.clone());
        }
        let mut head = [0; 2];
        self.file.read_exact_at(&mut head, at)?;
        let head = u16::from_le_bytes(head);
        let size = u32::from(head & 0x7fff);
        let place = Place { at: at.saturating_add(2), size, plain: head & 0x8000 != 0, most: BLOCK };
        let read = (Arc::new(block(&self.file, self.compressor, place)?), place.at.saturating_add(u64::from(size)));
        if self.kept.len() == KEPT {
            self.kept.clear();
        }
        self.kept.insert(at, read.clone());
        Ok(read)
    }
}

fn cursor(table: u64, reference: u64) -> io::Result<Cursor> {
    let block = table.checked_add(reference >> 16).ok_or_else(|| wrong("a wrong reference"))?;
    Ok(Cursor { block, offset: (reference & 0xffff) as usize })
}
