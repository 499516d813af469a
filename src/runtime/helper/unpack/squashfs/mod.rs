//! Reads squashfs images, version 4.0, file by file: many root file systems come as such. By ourselves, so that a stranger's
//! image is never mounted; blocks are decoded on several threads.

mod decode;
mod disk;
mod inode;
mod lzo;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

use self::decode::{Coming, Decoders, taken};
use self::disk::Disk;
use self::inode::{Body, Content, Inode, NO_FRAGMENT};
use super::limits::{Allowance, Limits};
use super::member::{Member, MemberKind};
use super::reader::Members;

/// Entries of a directory, at most.
const ENTRIES: usize = 1 << 20;
/// Decoded fragments that are kept: neighbours share them.
const FRAGMENTS: usize = 8;

fn wrong(what: &str) -> io::Error {
    io::Error::other(format!("not a squashfs, or a damaged one ({what})"))
}

/// An entry of a directory: its name, and where its inode is.
type Entry = (Vec<u8>, u64);

/// A squashfs being read. Directories come before what is in them.
pub(super) struct Squashfs {
    disk: Disk,
    decoders: Decoders,
    limits: Limits,
    allowance: Allowance,
    /// Where the walk is: directories with what is left of their entries, the last first.
    open: Vec<(Vec<u8>, Vec<Entry>)>,
    begun: bool,
    entries: u64,
    /// Directories that were seen: each is in one place.
    seen: HashSet<u32>,
    /// Files with several names, by their numbers.
    linked: HashMap<u32, Vec<u8>>,
    file: Option<Reading>,
    fragments: VecDeque<(u32, Arc<Vec<u8>>)>,
    /// The next fragment, asked for before it is needed.
    next_fragment: Option<(u32, Coming)>,
}

/// The content that is being read.
struct Reading {
    content: Content,
    /// Bytes that are behind those asked for.
    unasked: u64,
    /// Where the next block is.
    at: u64,
    /// Pieces in their order.
    coming: VecDeque<Piece>,
    piece: Arc<Vec<u8>>,
    from: usize,
    to: usize,
}

enum Piece {
    Block { coming: Coming, length: usize },
    Hole { length: usize },
    Fragment { length: usize },
}

impl Squashfs {
    pub(super) fn open(file: File, limits: Limits, allowance: &Allowance) -> io::Result<Squashfs> {
        let disk = Disk::open(file)?;
        let decoders = Decoders::start(&disk.file, disk.compressor)?;
        Ok(Squashfs {
            disk,
            decoders,
            limits,
            allowance: allowance.clone(),
            open: Vec::new(),
            begun: false,
            entries: 0,
            seen: HashSet::new(),
            linked: HashMap::new(),
            file: None,
            fragments: VecDeque::new(),
            next_fragment: None,
        })
    }

    /// The file that a reference leads to.
    fn visit(&mut self, path: Vec<u8>, reference: u64) -> io::Result<Member> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(io::Error::other("the image has more entries than the limit"));
        }
        let inode = Inode::read(&mut self.disk, reference, &self.limits)?;
        let mut member = Member { path: path.clone(), ..inode.member };
        match inode.body {
            Body::Directory { block, offset, size } => {
                if !self.seen.insert(inode.number) || self.open.len() >= self.limits.depth {
                    return Err(wrong("a directory within itself"));
                }
                let mut entries = self.list(block, offset, size)?;
                entries.reverse();
                self.open.push((path, entries));
            }
            _ if inode.links > 1 && self.linked.contains_key(&inode.number) => {
                member.kind = MemberKind::Link(self.linked[&inode.number].clone());
            }
            body => {
                if inode.links > 1 {
                    self.linked.insert(inode.number, path);
                }
                if let Body::File(content) = body {
                    self.allowance.take(content.size)?;
                    self.file = Some(Reading {
                        content,
                        unasked: content.size,
                        at: content.start,
                        coming: VecDeque::new(),
                        piece: Arc::default(),
                        from: 0,
                        to: 0,
                    });
                }
            }
        }
        Ok(member)
    }

    fn list(&mut self, block: u32, offset: u16, size: u32) -> io::Result<Vec<Entry>> {
        let mut at = self.disk.directory(block, offset)?;
        // Of an empty one three bytes are recorded, which aren't there.
        let mut left = i64::from(size) - 3;
        let mut all = Vec::new();
        while left > 0 {
            let count = self.disk.u32(&mut at)?;
            let start = u64::from(self.disk.u32(&mut at)?);
            let _number = self.disk.u32(&mut at)?;
            left -= 12;
            if count >= 256 {
                return Err(wrong("a wrong directory"));
            }
            for _ in 0..=count {
                let offset = u64::from(self.disk.u16(&mut at)?);
                let (_number, _kind) = (self.disk.u16(&mut at)?, self.disk.u16(&mut at)?);
                let length = usize::from(self.disk.u16(&mut at)?) + 1;
                let name = self.disk.bytes(&mut at, (length, 255))?;
                left -= 8 + length as i64;
                if name.contains(&b'/') || name.contains(&0) || name == b"." || name == b".." {
                    return Err(wrong("a wrong name"));
                }
                all.push((name, start << 16 | offset));
            }
            if all.len() > ENTRIES {
                return Err(wrong("a directory with too many entries"));
            }
        }
        Ok(all)
    }

    /// Asks for pieces of the content ahead of their use.
    fn ask(&mut self, file: &mut Reading) -> io::Result<()> {
        let size = self.disk.block_size as u64;
        while file.unasked > 0 && file.coming.len() < self.decoders.ahead {
            let length = file.unasked.min(size) as usize;
            if file.unasked < size && file.content.fragment != NO_FRAGMENT {
                file.coming.push_back(Piece::Fragment { length });
            } else {
                let recorded = self.disk.u32(&mut file.content.sizes)?;
                let place = self.disk.data(file.at, recorded);
                file.at = file.at.saturating_add(u64::from(place.size));
                file.coming.push_back(match place.size {
                    0 => Piece::Hole { length },
                    _ => Piece::Block { coming: self.decoders.ask(place)?, length },
                });
            }
            file.unasked -= length as u64;
        }
        Ok(())
    }

    fn next_piece(&mut self, file: &mut Reading) -> io::Result<bool> {
        self.ask(file)?;
        let Some(piece) = file.coming.pop_front() else { return Ok(false) };
        let (piece, from, length) = match piece {
            Piece::Hole { length } => (Arc::new(vec![0; length]), 0, length),
            Piece::Block { coming, length } => (Arc::new(taken(&coming)?), 0, length),
            Piece::Fragment { length } => (self.fragment(file.content.fragment)?, file.content.offset as usize, length),
        };
        let to = from.checked_add(length).filter(|to| *to <= piece.len()).ok_or_else(|| wrong("a short block"))?;
        (file.piece, file.from, file.to) = (piece, from, to);
        Ok(true)
    }

    fn fragment(&mut self, index: u32) -> io::Result<Arc<Vec<u8>>> {
        if let Some((_, kept)) = self.fragments.iter().find(|(kept, _)| *kept == index) {
            return Ok(kept.clone());
        }
        let asked = self.next_fragment.take().filter(|(next, _)| *next == index);
        let coming = match asked {
            Some((_, coming)) => coming,
            None => self.decoders.ask(self.disk.fragment(index)?)?,
        };
        if index + 1 < self.disk.fragment_count() {
            let place = self.disk.fragment(index + 1)?;
            self.next_fragment = Some((index + 1, self.decoders.ask(place)?));
        }
        let fragment = Arc::new(taken(&coming)?);
        if self.fragments.len() == FRAGMENTS {
            self.fragments.pop_front();
        }
        self.fragments.push_back((index, fragment.clone()));
        Ok(fragment)
    }
}

impl Members for Squashfs {
    fn next(&mut self) -> io::Result<Option<Member>> {
        self.file = None;
        if !self.begun {
            self.begun = true;
            return self.visit(b"./".to_vec(), self.disk.root).map(Some);
        }
        while let Some((path, entries)) = self.open.last_mut() {
            if let Some((name, reference)) = entries.pop() {
                let path = if path == b"./" { name } else { [path, &b"/"[..], &name].concat() };
                return self.visit(path, reference).map(Some);
            }
            self.open.pop();
        }
        Ok(None)
    }

    fn read_data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut file) = self.file.take() else { return Ok(0) };
        if file.from == file.to && !self.next_piece(&mut file)? {
            return Ok(0);
        }
        let count = buffer.len().min(file.to - file.from);
        buffer[..count].copy_from_slice(&file.piece[file.from..file.from + count]);
        file.from += count;
        self.file = Some(file);
        Ok(count)
    }
}
