//! Heads of members: the POSIX header, and before it an extended one (PAX) with what that has no room for.

use tar::{EntryType, Header};

/// The longest name in a POSIX header.
const NAME: usize = 100;
/// The highest number of seven octal digits: ids beyond it go into the extended header.
const MAX_ID: u32 = 0o777_7777;
/// The same of eleven digits, for sizes and times.
const MAX_LONG: u64 = 0o777_7777_7777;

/// What the head of a member says.
pub(super) struct Head<'a> {
    /// The path in the archive.
    pub(super) path: &'a [u8],
    /// What it is.
    pub(super) kind: EntryType,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    /// Owner and group.
    pub(super) owner: (u32, u32),
    /// Its last change, in seconds and nanoseconds since 1970.
    pub(super) modified: (i64, u32),
    /// Bytes that follow.
    pub(super) size: u64,
    /// Where a link points.
    pub(super) link: &'a [u8],
    /// Major and minor of a device.
    pub(super) device: (u32, u32),
    /// More records of the extended header.
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head<'_> {
    /// The bytes.
    pub(super) fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut records = self.records.clone();
        let mut record = |key: &str, value: Vec<u8>| records.push((key.as_bytes().to_vec(), value));
        if self.path.len() > NAME {
            record("path", self.path.to_vec());
        }
        if self.link.len() > NAME {
            record("linkpath", self.link.to_vec());
        }
        if self.size > MAX_LONG {
            record("size", self.size.to_string().into());
        }
        for (key, id) in [("uid", self.owner.0), ("gid", self.owner.1)] {
            if id > MAX_ID {
                record(key, id.to_string().into());
            }
        }
        let whole = u64::try_from(self.modified.0).ok().filter(|seconds| *seconds <= MAX_LONG);
        if self.modified.1 != 0 || whole.is_none() {
            record("mtime", time(self.modified).into());
        }
        let mut bytes = Vec::with_capacity(512);
        if !records.is_empty() {
            let body: Vec<u8> = records.iter().flat_map(|(key, value)| line(key, value)).collect();
            bytes.extend_from_slice(extended(self.path, body.len())?.as_bytes());
            bytes.extend_from_slice(&body);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.extend_from_slice(self.header(whole.unwrap_or(0))?.as_bytes());
        Ok(bytes)
    }

    fn header(&self, modified: u64) -> std::io::Result<Header> {
        let mut header = Header::new_ustar();
        fill(&mut header.as_old_mut().name, self.path);
        fill(&mut header.as_old_mut().linkname, self.link);
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(u64::from(self.owner.0.min(MAX_ID)));
        header.set_gid(u64::from(self.owner.1.min(MAX_ID)));
        header.set_size(self.size);
        header.set_mtime(modified);
        if matches!(self.kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(self.device.0)?;
            header.set_device_minor(self.device.1)?;
        }
        if self.owner == (0, 0) {
            header.set_username("root")?;
            header.set_groupname("root")?;
        }
        header.set_cksum();
        Ok(header)
    }
}

/// The header of an extended header.
fn extended(path: &[u8], size: usize) -> std::io::Result<Header> {
    let mut header = Header::new_ustar();
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    fill(&mut header.as_old_mut().name, &[b"PaxHeaders.0/", &name[..name.len().min(NAME - 13)]].concat());
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn fill(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// One record: its own length in decimal, space, key, equals sign, value, newline.
fn line(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Seconds with a fraction; before 1970 the fraction counts away from zero.
fn time((seconds, nanoseconds): (i64, u32)) -> String {
    match (seconds < 0, nanoseconds) {
        (_, 0) => seconds.to_string(),
        (false, nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
        (true, nanoseconds) => {
            let whole = seconds.unsigned_abs() - 1;
            format!("-{whole}.{:09}", 1_000_000_000 - nanoseconds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_their_own_length() {
        for size in [0, 1, 5, 6, 7, 80, 88, 89, 90, 91, 980, 990, 992, 993, 10_000] {
            let record = line(b"k", &vec![b'v'; size]);
            let text = String::from_utf8(record.clone()).unwrap();
            let (length, _) = text.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn times_are_read_back_as_they_were() {
        use crate::runtime::helper::unpack::Time;
        for (seconds, nanoseconds) in
            [(0, 0), (1_700_000_000, 5), (-1, 0), (-1, 500_000_000), (-2, 1), (5, 999_999_999)]
        {
            let read = Time::parse(&time((seconds, nanoseconds)));
            assert_eq!(read, Some(Time { seconds, nanoseconds }), "{seconds} {nanoseconds}");
        }
    }
}
