//! Extended headers of tar: PAX records (POSIX.1-2001) with the SCHILY, LIBARCHIVE and GNU.sparse keys.

use std::io;

use super::acl;
use super::member::{Extent, Time};

/// How many pieces a sparse file may have.
const MAX_EXTENTS: usize = 1 << 20;

/// What extended headers say of the next member; `None` where they say nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Extended {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<Time>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Sparse,
}

/// The GNU.sparse keys, all versions (0.0, 0.1, 1.0).
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    /// The real path; the header's one is made up.
    pub name: Option<Vec<u8>>,
    /// The file's length with its holes.
    pub size: Option<u64>,
    /// Version 1.0: the map stands before the data.
    pub map_in_data: bool,
    /// Versions 0.0 and 0.1: the map.
    pub map: Option<Vec<Extent>>,
    /// Version 0.0: the offset whose length is still to come.
    offset: Option<u64>,
}

impl Sparse {
    fn push(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let map = self.map.get_or_insert_default();
        if map.len() >= MAX_EXTENTS {
            return Err(io::Error::other("a sparse file has too many pieces"));
        }
        map.push(Extent { offset, length });
        Ok(())
    }

    fn apply(&mut self, key: &str, value: &[u8]) -> io::Result<()> {
        match key {
            "name" => self.name = Some(value.to_vec()),
            "size" | "realsize" => self.size = Some(number(value)?),
            "major" => self.map_in_data = number::<u32>(value)? >= 1,
            "offset" => self.offset = Some(number(value)?),
            "numbytes" => {
                let offset = self.offset.take().ok_or_else(malformed)?;
                self.push(offset, number(value)?)?;
            }
            "map" => {
                let mut numbers = value.split(|b| *b == b',');
                while let Some(offset) = numbers.next().filter(|n| !n.is_empty()) {
                    let length = numbers.next().ok_or_else(malformed)?;
                    self.push(number(offset)?, number(length)?)?;
                }
                self.map.get_or_insert_default();
            }
            _ => {}
        }
        Ok(())
    }
}

fn malformed() -> io::Error {
    io::Error::other("malformed extended header")
}

fn number<T: std::str::FromStr>(value: &[u8]) -> io::Result<T> {
    std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).ok_or_else(malformed)
}

impl Extended {
    /// Takes the records of one extended header over what is known already.
    pub(super) fn apply(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let space = data.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
            let length: usize = number(&data[..space])?;
            let record = data.get(space + 1..length).ok_or_else(malformed)?;
            let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
            // A key that isn't text is none that we know.
            if let Ok(key) = std::str::from_utf8(&record[..equals]) {
                self.record(key, &record[equals + 1..])?;
            }
            data = &data[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &str, value: &[u8]) -> io::Result<()> {
        match key {
            "path" => self.path = Some(value.to_vec()),
            "linkpath" => self.link = Some(value.to_vec()),
            "size" => self.size = Some(number(value)?),
            "uid" => self.uid = Some(number(value)?),
            "gid" => self.gid = Some(number(value)?),
            "mtime" => self.mtime = std::str::from_utf8(value).ok().and_then(Time::parse),
            "SCHILY.acl.access" => self.acl("system.posix_acl_access", value),
            "SCHILY.acl.default" => self.acl("system.posix_acl_default", value),
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    self.xattr(name.as_bytes().to_vec(), value.to_vec(), true);
                } else if let Some(name) = key.strip_prefix("LIBARCHIVE.xattr.") {
                    self.xattr(percent_decoded(name), base64_decoded(value), false);
                } else if let Some(key) = key.strip_prefix("GNU.sparse.") {
                    self.sparse.apply(key, value)?;
                }
            }
        }
        Ok(())
    }

    /// Notes an attribute; of two of one name the `binding` one wins (bsdtar writes both spellings).
    fn xattr(&mut self, name: Vec<u8>, value: Vec<u8>, binding: bool) {
        match self.xattrs.iter_mut().find(|(known, _)| *known == name) {
            Some(known) if binding => known.1 = value,
            Some(_) => {}
            None => self.xattrs.push((name, value)),
        }
    }

    fn acl(&mut self, name: &str, text: &[u8]) {
        if let Some(value) = std::str::from_utf8(text).ok().and_then(acl::from_text) {
            self.xattr(name.as_bytes().to_vec(), value, false);
        }
    }
}

fn percent_decoded(name: &str) -> Vec<u8> {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], code.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Base64 as libarchive writes it: no padding, and what isn't of the alphabet ends it.
fn base64_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    out
}

/// Reads the map that stands before the data in version 1.0: decimal numbers, one a line: count, then offset and
/// length of each piece. `line` gives the next number's text.
pub(super) fn map_in_data(mut line: impl FnMut() -> io::Result<Vec<u8>>) -> io::Result<Vec<Extent>> {
    let count: usize = number(&line()?)?;
    if count > MAX_EXTENTS {
        return Err(io::Error::other("a sparse file has too many pieces"));
    }
    (0..count).map(|_| Ok(Extent { offset: number(&line()?)?, length: number(&line()?)? })).collect()
}

/// The pieces of an old GNU sparse header ('S'): 12 digits each of offset and length, until an empty pair.
pub(super) fn old_gnu_map(fields: &[tar::GnuSparseHeader], map: &mut Vec<Extent>) -> io::Result<()> {
    for field in fields.iter().filter(|field| !field.is_empty()) {
        if map.len() >= MAX_EXTENTS {
            return Err(io::Error::other("a sparse file has too many pieces"));
        }
        map.push(Extent { offset: field.offset()?, length: field.length()? });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let length = (1..9).map(|digits| rest + digits).find(|n| n.to_string().len() + rest == *n).unwrap();
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn attributes_with_any_bytes_and_both_spellings_are_read() {
        let mut data = record("LIBARCHIVE.xattr.user.a%20b", b"AAEC/w");
        data.extend(record("LIBARCHIVE.xattr.user.twice", b"AAAA"));
        data.extend(record("SCHILY.xattr.user.twice", b"a\nb\x00c=d"));
        data.extend(record("mtime", b"12.5"));
        let mut extended = Extended::default();
        extended.apply(&data).unwrap();
        assert_eq!(extended.xattrs[0], (b"user.a b".to_vec(), vec![0, 1, 2, 255]));
        assert_eq!(extended.xattrs[1], (b"user.twice".to_vec(), b"a\nb\x00c=d".to_vec()));
        assert_eq!(extended.mtime, Some(Time { seconds: 12, nanoseconds: 500_000_000 }));
    }

    #[test]
    fn maps_of_sparse_files_are_read_in_both_old_versions() {
        for data in [
            [record("GNU.sparse.map", b"0,10,4096,5"), record("GNU.sparse.size", b"9000")].concat(),
            [
                record("GNU.sparse.offset", b"0"),
                record("GNU.sparse.numbytes", b"10"),
                record("GNU.sparse.offset", b"4096"),
                record("GNU.sparse.numbytes", b"5"),
                record("GNU.sparse.size", b"9000"),
            ]
            .concat(),
        ] {
            let mut extended = Extended::default();
            extended.apply(&data).unwrap();
            let map = vec![Extent { offset: 0, length: 10 }, Extent { offset: 4096, length: 5 }];
            assert_eq!((extended.sparse.map, extended.sparse.size), (Some(map), Some(9000)));
        }
    }

    #[test]
    fn broken_records_are_errors() {
        for data in [&b"5 a=b"[..], b"x a=b\n", b"999 a=b\n", b"2 a=b\n", b"0 a=b\n", b"6 aab\n\n", b"9 size=x\n"] {
            assert!(Extended::default().apply(data).is_err(), "{data:?}");
        }
    }
}
