//! Packets of SFTP, version 3 (draft-ietf-secsh-filexfer-02), with the extensions of OpenSSH that clients use. Pure.
//!
//! What a client sends is read within bounds: a text, a handle or a piece of data ends where its packet does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of a packet, without its length: OpenSSH's limit.
pub const MAX_PACKET: usize = 256 << 10;
/// Bytes that are read at once: the answer has a head too.
pub const MAX_DATA: u32 = (MAX_PACKET - 1024) as u32;
/// Bytes of a path.
const MAX_PATH: usize = 4095;

/// Flags of [`Request::Open`].
pub const READ: u32 = 0x01;
/// The file is written.
pub const WRITE: u32 = 0x02;
/// Writes go to its end.
pub const APPEND: u32 = 0x04;
/// A missing file is made.
pub const CREATE: u32 = 0x08;
/// It is emptied.
pub const TRUNCATE: u32 = 0x10;
/// It must not be there.
pub const EXCLUSIVE: u32 = 0x20;

/// Which attributes are given.
const SIZE: u32 = 0x01;
const IDS: u32 = 0x02;
const MODE: u32 = 0x04;
const TIMES: u32 = 0x08;
const MORE: u32 = 0x8000_0000;

/// Attributes that are to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bytes.
    pub size: Option<u64>,
    /// Owner and group.
    pub ids: Option<(u32, u32)>,
    /// Permission bits; others are left out.
    pub mode: Option<u32>,
    /// Of the last access and change, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// To open a file, with these flags and attributes of a new one.
    Open(&'a Path, u32, Attributes),
    /// To close a handle.
    Close(u32),
    /// So many bytes from there.
    Read(u32, u64, u32),
    /// These bytes to there.
    Write(u32, u64, &'a [u8]),
    /// What is there; a link is not followed.
    Lstat(&'a Path),
    /// What a handle is on.
    Fstat(u32),
    /// To change attributes.
    Setstat(&'a Path, Attributes),
    /// To change those of what a handle is on.
    Fsetstat(u32, Attributes),
    /// To open a directory.
    Opendir(&'a Path),
    /// Its next entries.
    Readdir(u32),
    /// To remove what is no directory.
    Remove(&'a Path),
    /// To make a directory.
    Mkdir(&'a Path, Attributes),
    /// To remove an empty directory.
    Rmdir(&'a Path),
    /// The path from the root, without dots.
    Realpath(&'a Path),
    /// What is there, or what a link there points to.
    Stat(&'a Path),
    /// To give something another name, which must be free unless the last says otherwise.
    Rename(&'a Path, &'a Path, bool),
    /// Where a link points.
    Readlink(&'a Path),
    /// To make a link to the first at the second (in OpenSSH's order, which everybody has).
    Symlink(&'a OsStr, &'a Path),
    /// To give something one more name.
    Hardlink(&'a Path, &'a Path),
    /// To have a file on the disk.
    Fsync(u32),
    /// What the file system has of space.
    Statvfs(&'a Path),
    /// Something else.
    Unknown,
}

/// A packet that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads a packet after the first: its number, and what it asks for. Without a number there is nobody to answer.
pub fn read(packet: &[u8]) -> Result<(u32, Result<Request<'_>, Malformed>), Malformed> {
    let (&kind, rest) = packet.split_first().ok_or(Malformed)?;
    let mut fields = Fields(rest);
    let id = fields.number()?;
    Ok((id, request(kind, &mut fields)))
}

/// Reads the first packet: the version that the client speaks.
pub fn version(packet: &[u8]) -> Result<u32, Malformed> {
    match packet.split_first() {
        Some((1, rest)) => Fields(rest).number(),
        _ => Err(Malformed),
    }
}

fn request<'a>(kind: u8, fields: &mut Fields<'a>) -> Result<Request<'a>, Malformed> {
    Ok(match kind {
        3 => Request::Open(fields.path()?, fields.number()?, fields.attributes()?),
        4 => Request::Close(fields.handle()?),
        5 => Request::Read(fields.handle()?, fields.long()?, fields.number()?),
        6 => Request::Write(fields.handle()?, fields.long()?, fields.text()?),
        7 => Request::Lstat(fields.path()?),
        8 => Request::Fstat(fields.handle()?),
        9 => Request::Setstat(fields.path()?, fields.attributes()?),
        10 => Request::Fsetstat(fields.handle()?, fields.attributes()?),
        11 => Request::Opendir(fields.path()?),
        12 => Request::Readdir(fields.handle()?),
        13 => Request::Remove(fields.path()?),
        14 => Request::Mkdir(fields.path()?, fields.attributes()?),
        15 => Request::Rmdir(fields.path()?),
        16 => Request::Realpath(fields.path()?),
        17 => Request::Stat(fields.path()?),
        18 => Request::Rename(fields.path()?, fields.path()?, false),
        19 => Request::Readlink(fields.path()?),
        20 => Request::Symlink(fields.path()?.as_os_str(), fields.path()?),
        200 => match fields.text()? {
            b"posix-rename@openssh.com" => Request::Rename(fields.path()?, fields.path()?, true),
            b"hardlink@openssh.com" => Request::Hardlink(fields.path()?, fields.path()?),
            b"fsync@openssh.com" => Request::Fsync(fields.handle()?),
            b"statvfs@openssh.com" => Request::Statvfs(fields.path()?),
            _ => Request::Unknown,
        },
        _ => Request::Unknown,
    })
}

/// What is left of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.bytes()?))
    }

    fn long(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.bytes()?))
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(text)
    }

    /// A path; the empty one is the root.
    fn path(&mut self) -> Result<&'a Path, Malformed> {
        let text = self.text()?;
        if text.len() > MAX_PATH || text.contains(&0) {
            return Err(Malformed);
        }
        Ok(Path::new(OsStr::from_bytes(if text.is_empty() { b"." } else { text })))
    }

    /// A handle: ours have four bytes.
    fn handle(&mut self) -> Result<u32, Malformed> {
        // Another can't be one that we gave; it is the caller who says that there is none of this number.
        Ok(<[u8; 4]>::try_from(self.text()?).map_or(u32::MAX, u32::from_be_bytes))
    }

    fn attributes(&mut self) -> Result<Attributes, Malformed> {
        let flags = self.number()?;
        let mut attributes = Attributes::default();
        if flags & SIZE != 0 {
            attributes.size = Some(self.long()?);
        }
        if flags & IDS != 0 {
            attributes.ids = Some((self.number()?, self.number()?));
        }
        if flags & MODE != 0 {
            attributes.mode = Some(self.number()? & 0o7777);
        }
        if flags & TIMES != 0 {
            attributes.times = Some((self.number()?, self.number()?));
        }
        if flags & MORE != 0 {
            // Each of them takes eight bytes at least, so a wrong number of them ends with the packet.
            for _ in 0..self.number()? {
                self.text()?;
                self.text()?;
            }
        }
        Ok(attributes)
    }
}

/// Numbers of [`Answer::status`].
pub mod status {
    /// Done.
    pub const OK: u32 = 0;
    /// There is no more.
    pub const EOF: u32 = 1;
    /// There is no such file.
    pub const NO_SUCH_FILE: u32 = 2;
    /// It may not be done.
    pub const PERMISSION_DENIED: u32 = 3;
    /// It could not be done.
    pub const FAILURE: u32 = 4;
    /// What was sent can't be read.
    pub const BAD_MESSAGE: u32 = 5;
    /// We don't do such things.
    pub const UNSUPPORTED: u32 = 8;
}

/// What something is, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Bytes.
    pub size: u64,
    /// Owner and group, in the guest's ids.
    pub ids: (u32, u32),
    /// Kind and permission bits.
    pub mode: u32,
    /// Of the last access and change.
    pub times: (u32, u32),
}

/// An answer being written, with room for its length in front.
pub struct Answer(Vec<u8>);

impl Answer {
    fn new(kind: u8, id: u32) -> Answer {
        let mut bytes = vec![0; 4];
        bytes.push(kind);
        bytes.extend(id.to_be_bytes());
        Answer(bytes)
    }

    /// The answer to the first packet: what we speak.
    pub fn version() -> Answer {
        // Where others have a number of the request there is the version here.
        let mut answer = Answer::new(2, 3);
        for (name, version) in [
            ("posix-rename@openssh.com", "1"),
            ("statvfs@openssh.com", "2"),
            ("hardlink@openssh.com", "1"),
            ("fsync@openssh.com", "1"),
        ] {
            answer.text(name.as_bytes());
            answer.text(version.as_bytes());
        }
        answer
    }

    /// How it went, in a number and in words.
    pub fn status(id: u32, number: u32, words: &str) -> Answer {
        let mut answer = Answer::new(101, id);
        answer.number(number);
        answer.text(words.as_bytes());
        answer.text(b"");
        answer
    }

    /// A handle.
    pub fn handle(id: u32, handle: u32) -> Answer {
        let mut answer = Answer::new(102, id);
        answer.text(&handle.to_be_bytes());
        answer
    }

    /// Bytes of a file.
    pub fn data(id: u32, data: &[u8]) -> Answer {
        let mut answer = Answer::new(103, id);
        answer.text(data);
        answer
    }

    /// A path.
    pub fn name(id: u32, name: &[u8]) -> Answer {
        let mut answer = Answer::new(104, id);
        answer.number(1);
        answer.text(name);
        answer.text(name);
        answer.number(0);
        answer
    }

    /// Entries of a directory, which follow by [`Answer::entry`].
    pub fn names(id: u32, count: u32) -> Answer {
        let mut answer = Answer::new(104, id);
        answer.number(count);
        answer
    }

    /// One of them.
    pub fn entry(&mut self, name: &[u8], told: &Told) {
        self.text(name);
        let (uid, gid) = told.ids;
        let head = format!("{:o} {uid:>8} {gid:>8} {:>12} ", told.mode, told.size);
        self.number((head.len() + name.len()) as u32);
        self.0.extend(head.as_bytes());
        self.0.extend(name);
        self.told(told);
    }

    /// What something is.
    pub fn attributes(id: u32, told: &Told) -> Answer {
        let mut answer = Answer::new(105, id);
        answer.told(told);
        answer
    }

    /// Numbers, as [`Request::Statvfs`] wants them.
    pub fn numbers(id: u32, numbers: &[u64]) -> Answer {
        let mut answer = Answer::new(201, id);
        numbers.iter().for_each(|number| answer.0.extend(number.to_be_bytes()));
        answer
    }

    /// The packet with its length.
    pub fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }

    fn number(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u32);
        self.0.extend(text);
    }

    fn told(&mut self, told: &Told) {
        self.number(SIZE | IDS | MODE | TIMES);
        self.0.extend(told.size.to_be_bytes());
        for number in [told.ids.0, told.ids.1, told.mode, told.times.0, told.times.1] {
            self.number(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, id: u32, fields: &[&[u8]]) -> Vec<u8> {
        let mut answer = Answer::new(kind, id);
        fields.iter().for_each(|field| answer.0.extend(*field));
        answer.0.split_off(4)
    }

    fn text(text: &[u8]) -> Vec<u8> {
        [&(text.len() as u32).to_be_bytes()[..], text].concat()
    }

    #[test]
    fn requests_are_read() {
        let attributes = [&(MODE | TIMES).to_be_bytes()[..], &[0, 0, 0x81, 0xa4, 0, 0, 0, 1, 0, 0, 0, 2]].concat();
        let open = packet(3, 7, &[&text(b"/a b"), &(WRITE | CREATE).to_be_bytes(), &attributes]);
        let wanted = Attributes { mode: Some(0o644), times: Some((1, 2)), ..Attributes::default() };
        assert_eq!(read(&open), Ok((7, Ok(Request::Open(Path::new("/a b"), WRITE | CREATE, wanted)))));
        let write = packet(6, 1, &[&text(&5u32.to_be_bytes()), &9u64.to_be_bytes(), &text(b"data")]);
        assert_eq!(read(&write), Ok((1, Ok(Request::Write(5, 9, b"data")))));
        let rename = packet(200, 2, &[&text(b"posix-rename@openssh.com"), &text(b"a"), &text(b"b")]);
        assert_eq!(read(&rename), Ok((2, Ok(Request::Rename(Path::new("a"), Path::new("b"), true)))));
        assert_eq!(read(&packet(200, 2, &[&text(b"other")])), Ok((2, Ok(Request::Unknown))));
        assert_eq!(read(&packet(4, 3, &[&text(b"strange")])), Ok((3, Ok(Request::Close(u32::MAX)))));
        assert_eq!(version(&[1, 0, 0, 0, 3]), Ok(3));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let open = packet(3, 7, &[&text(b"/a"), &[0; 4], &[0; 4]]);
        assert!(read(&open).is_ok_and(|(_, request)| request.is_ok()));
        for length in 0..open.len() {
            let cut = read(&open[..length]);
            assert!(cut.is_err() || cut.is_ok_and(|(id, request)| id == 7 && request == Err(Malformed)), "{length}");
        }
        assert_eq!(read(&packet(7, 1, &[&text(b"a\0b")])), Ok((1, Err(Malformed))));
        assert_eq!(read(&packet(7, 1, &[&text(&[b'a'; 4096])])), Ok((1, Err(Malformed))));
        assert_eq!(read(&packet(7, 1, &[&u32::MAX.to_be_bytes()])), Ok((1, Err(Malformed))));
        let many = [&MORE.to_be_bytes()[..], &u32::MAX.to_be_bytes(), &[0; 64]].concat();
        assert_eq!(read(&packet(9, 1, &[&text(b"a"), &many])), Ok((1, Err(Malformed))));
    }

    #[test]
    fn answers_carry_their_length() {
        let bytes = Answer::status(9, status::EOF, "no more").finish();
        assert_eq!(bytes[..9], [0, 0, 0, 24, 101, 0, 0, 0, 9]);
        assert_eq!(bytes.len(), 28);
        assert_eq!(Answer::version().finish()[4..9], [2, 0, 0, 0, 3]);
    }
}
