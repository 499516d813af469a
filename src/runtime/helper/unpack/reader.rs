//! Reads a tar stream member by member: ustar, GNU and PAX headers, in bounded memory.
//!
//! The tar crate gives the header's fields; the walk from header to header is here, because the crate's own reads
//! extended headers of any length into memory and knows neither PAX sparse files nor fractions of seconds.

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

use super::limits::Limits;
use super::member::{Extent, Member, MemberKind, Time};
use super::pax::{self, Extended};

const BLOCK: usize = 512;

/// What is unpacked file by file.
pub trait Members {
    /// The next member; `None` at the end. What wasn't read of the last one's data is skipped.
    fn next(&mut self) -> io::Result<Option<Member>>;

    /// Reads data of the current member; 0 when it has no more.
    fn read_data(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl<R: Read> Members for Reader<R> {
    fn next(&mut self) -> io::Result<Option<Member>> {
        Reader::next(self)
    }

    fn read_data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Reader::read_data(self, buffer)
    }
}

/// A tar stream being read.
pub struct Reader<R> {
    stream: R,
    limits: Limits,
    entries: u64,
    /// Bytes of data of the current member still in the stream.
    left: u64,
    /// Padding behind them.
    padding: u64,
    /// Records for all members to come.
    global: Extended,
}

impl<R: Read> Reader<R> {
    /// A reader that starts at the first header.
    pub fn new(stream: R, limits: Limits) -> Reader<R> {
        Reader { stream, limits, entries: 0, left: 0, padding: 0, global: Extended::default() }
    }

    /// The next member; `None` at the end of the archive. What wasn't read of the last one's data is skipped.
    #[allow(clippy::should_implement_trait)] // An Iterator could not lend its data.
    pub fn next(&mut self) -> io::Result<Option<Member>> {
        let mut extended = self.global.clone();
        let mut pending = false;
        loop {
            self.skip_data()?;
            let Some(header) = self.header()? else {
                return if pending { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            };
            self.count()?;
            // As GNU tar has it: a link has no data, whatever its size field says.
            let size = if header.entry_type() == EntryType::Link { 0 } else { header.entry_size()? };
            self.expect(size)?;
            match header.entry_type() {
                EntryType::XHeader => extended.apply(&self.extended_data()?)?,
                EntryType::XGlobalHeader => {
                    let data = self.extended_data()?;
                    self.global.apply(&data)?;
                    extended.apply(&data)?;
                }
                EntryType::GNULongName => extended.path = Some(until_nul(self.extended_data()?)),
                EntryType::GNULongLink => extended.link = Some(until_nul(self.extended_data()?)),
                kind => return self.member(&header, kind, extended).map(Some),
            }
            pending = true;
        }
    }

    /// Reads data of the current member; 0 when it has no more.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.stream.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }

    fn count(&mut self) -> io::Result<()> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(io::Error::other("the archive has more entries than the limit"));
        }
        Ok(())
    }

    /// Notes that `size` bytes of data and their padding come now.
    fn expect(&mut self, size: u64) -> io::Result<()> {
        let padded =
            size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| io::Error::other("size out of range"))?;
        (self.left, self.padding) = (size, padded - size);
        Ok(())
    }

    fn skip_data(&mut self) -> io::Result<()> {
        let mut left = std::mem::take(&mut self.left).saturating_add(std::mem::take(&mut self.padding));
        let mut buffer = [0; 16 << 10];
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = self.stream.read(&mut buffer[..most])?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= n as u64;
        }
        Ok(())
    }

    /// The next header block with a right checksum; `None` at a block of zeros or at the end of the stream.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < BLOCK {
            let n = self.stream.read(&mut block[filled..])?;
            if n == 0 {
                return if filled == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            filled += n;
        }
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum = |signed: bool| -> i64 {
            let value = |b: &u8| if signed { i64::from(*b as i8) } else { i64::from(*b) };
            block[..148].iter().chain(&block[156..]).map(value).sum::<i64>() + 8 * 32
        };
        let (plain, signed) = (sum(false), sum(true));
        // Old tars summed signed bytes.
        match i64::from(header.cksum()?) {
            stated if stated == plain || stated == signed => Ok(Some(header)),
            _ => Err(io::Error::other("not a tar archive, or a damaged one (wrong header checksum)")),
        }
    }

    fn extended_data(&mut self) -> io::Result<Vec<u8>> {
        if self.left > self.limits.extended as u64 {
            return Err(io::Error::other("an extended header is longer than the limit"));
        }
        let mut data = vec![0; self.left as usize];
        let mut filled = 0;
        while filled < data.len() {
            filled += self.read_data(&mut data[filled..])?;
        }
        Ok(data)
    }

    fn member(&mut self, header: &Header, kind: EntryType, extended: Extended) -> io::Result<Member> {
        let path = extended.sparse.name.clone().or(extended.path.clone()).unwrap_or(header.path_bytes().into_owned());
        let link = extended.link.clone().or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
        let id = |value: Option<u32>, field: io::Result<u64>| match value {
            Some(id) => Ok(id),
            None => field.and_then(|id| u32::try_from(id).map_err(|_| io::Error::other("an owner out of range"))),
        };
        let (uid, gid) = (id(extended.uid, header.uid())?, id(extended.gid, header.gid())?);
        // An empty field is 0; times before 1970 are negative numbers in the binary form.
        let mtime = extended.mtime.unwrap_or(Time { seconds: header.mtime().unwrap_or(0) as i64, nanoseconds: 0 });
        let mode = header.mode()? & 0o7777;
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                if path.ends_with(b"/") && kind == EntryType::Regular {
                    MemberKind::Directory
                } else {
                    self.file(header, kind, &extended)?
                }
            }
            EntryType::Directory => MemberKind::Directory,
            EntryType::Symlink => MemberKind::Symlink(link.unwrap_or_default()),
            EntryType::Link => MemberKind::Link(link.unwrap_or_default()),
            EntryType::Fifo => MemberKind::Fifo,
            EntryType::Char | EntryType::Block => {
                let (major, minor) = (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0));
                if kind == EntryType::Char {
                    MemberKind::Character(major, minor)
                } else {
                    MemberKind::Block(major, minor)
                }
            }
            _ => MemberKind::Other,
        };
        Ok(Member { path, kind, mode, uid, gid, mtime, xattrs: extended.xattrs })
    }

    /// A regular file's size and map; reads the parts of the map that stand in the stream.
    fn file(&mut self, header: &Header, kind: EntryType, extended: &Extended) -> io::Result<MemberKind> {
        if let Some(size) = extended.size {
            self.expect(size)?;
        }
        let stored = self.left;
        let (size, map) = if kind == EntryType::GNUSparse {
            let gnu = header.as_gnu().ok_or_else(|| io::Error::other("a sparse file without a GNU header"))?;
            let mut map = Vec::new();
            pax::old_gnu_map(&gnu.sparse, &mut map)?;
            let mut more = gnu.is_extended();
            while more {
                self.count()?;
                let mut next = GnuExtSparseHeader::new();
                self.stream.read_exact(next.as_mut_bytes())?;
                pax::old_gnu_map(next.sparse(), &mut map)?;
                more = next.is_extended();
            }
            (gnu.real_size()?, Some(map))
        } else if extended.sparse.map_in_data {
            let map = self.map_in_data()?;
            (extended.sparse.size.unwrap_or(stored), Some(map))
        } else if let Some(map) = &extended.sparse.map {
            (extended.sparse.size.unwrap_or(stored), Some(map.clone()))
        } else {
            (stored, None)
        };
        if let Some(map) = &map {
            self.check_map(map, size)?;
        }
        Ok(MemberKind::File { size, map })
    }

    fn map_in_data(&mut self) -> io::Result<Vec<Extent>> {
        let mut block = [0; BLOCK];
        let mut at = BLOCK;
        let map = pax::map_in_data(|| {
            let mut digits = Vec::new();
            loop {
                if at == BLOCK {
                    at = 0;
                    let mut filled = 0;
                    while filled < BLOCK {
                        match self.read_data(&mut block[filled..])? {
                            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                            n => filled += n,
                        }
                    }
                }
                let byte = block[at];
                at += 1;
                match byte {
                    b'\n' => return Ok(digits),
                    _ if digits.len() > 20 => return Err(io::Error::other("malformed map of a sparse file")),
                    _ => digits.push(byte),
                }
            }
        })?;
        Ok(map)
    }

    /// Pieces must rise, end within the file, and together be what is stored.
    fn check_map(&self, map: &[Extent], size: u64) -> io::Result<()> {
        let mut end = 0u64;
        let mut total = 0u64;
        for extent in map {
            let next = extent.offset.checked_add(extent.length);
            match next {
                Some(next) if extent.offset >= end && next <= size => end = next,
                _ => return Err(io::Error::other("the pieces of a sparse file overlap or pass its end")),
            }
            total += extent.length;
        }
        if total != self.left {
            return Err(io::Error::other("the pieces of a sparse file don't match its data"));
        }
        Ok(())
    }
}

fn until_nul(mut data: Vec<u8>) -> Vec<u8> {
    if let Some(end) = data.iter().position(|b| *b == 0) {
        data.truncate(end);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(archive: &[u8], limits: Limits) -> io::Result<Vec<Member>> {
        let mut reader = Reader::new(archive, limits);
        let mut members = Vec::new();
        while let Some(member) = reader.next()? {
            members.push(member);
        }
        Ok(members)
    }

    fn header(kind: EntryType, path: &str, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(size);
        header.set_mode(0o104755);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header.set_cksum();
        header
    }

    #[test]
    fn a_plain_member_has_its_fields() {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header(EntryType::Regular, "a/b", 3), &b"abc"[..]).unwrap();
        archive.append(&header(EntryType::Fifo, "f", 0), &b""[..]).unwrap();
        let members = read(&archive.into_inner().unwrap(), Limits::default()).unwrap();
        assert_eq!(members[0].path, b"a/b");
        assert_eq!(members[0].kind, MemberKind::File { size: 3, map: None });
        assert_eq!((members[0].mode, members[0].uid, members[0].gid), (0o4755, 7, 8));
        assert_eq!(members[1].kind, MemberKind::Fifo);
    }

    #[test]
    fn damage_truncation_and_excess_are_errors() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header(EntryType::Regular, "a", 600), &[1; 600][..]).unwrap();
        builder.append(&header(EntryType::Regular, "b", 600), &[1; 600][..]).unwrap();
        let archive = builder.into_inner().unwrap();
        let mut damaged = archive.clone();
        damaged[10] = 1;
        assert!(read(&damaged, Limits::default()).is_err());
        assert!(read(&archive[..700], Limits::default()).is_err());
        assert!(read(&archive[..512 + 1024 + 100], Limits::default()).is_err());
        assert!(read(&archive, Limits { entries: 1, ..Limits::default() }).is_err());
        assert!(read(&archive, Limits { entries: 2, ..Limits::default() }).is_ok());
    }

    #[test]
    fn an_extended_header_of_gigabytes_is_refused_before_it_is_read() {
        for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::XGlobalHeader] {
            let archive = header(kind, "x", 4 << 30).as_bytes().to_vec();
            let error = read(&archive, Limits::default()).unwrap_err();
            assert!(error.to_string().contains("longer than the limit"), "{error}");
        }
    }
}
