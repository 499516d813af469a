//! The kernel's side of a file system in user space, as far as a few files that can only be read need it (linux/fuse.h, protocol 7.31).
//!
//! Pure: bytes in, bytes out. Requests come from the kernel, but names, offsets and sizes in them are a guest's.

use crate::runtime::spec::procfs::FILES;

/// The version of the protocol that is spoken; the kernel goes down to it (Linux 5.4 and later have it).
const VERSION: (u32, u32) = (7, 31);
/// Bytes of a request, at most: those of writes, which are refused, fit with 4 KiB of data.
pub const MAX_REQUEST: usize = 16 << 10;
const HEADER: usize = 40;
/// The directory.
const ROOT: u64 = 1;
/// The first of the files.
const FIRST: u64 = 2;
/// How long the kernel may keep names and attributes, which never change, in seconds.
const VALID: u64 = 365 * 24 * 3600;
/// What a read gives comes from us each time, and is no page that one guest could read for another.
const DIRECT_IO: u32 = 1;
/// Set with each read of a process; not set when the kernel fills its pages, as for splice(2), sendfile(2) and mmap(2).
const OF_PROCESS: u32 = 2;
/// The largest answer to a read.
const MAX_READ: u32 = 1 << 20;

/// A request of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its number, for the answer.
    pub unique: u64,
    /// The file.
    pub node: u64,
    /// Who asks: a thread's id in our process namespace; 0 for one outside of it.
    pub pid: u32,
    /// What is asked.
    pub call: Call<'a>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// The beginning.
    Init,
    /// A name in the directory.
    Lookup(&'a [u8]),
    /// Attributes.
    Attributes,
    /// To open a file, with these flags of open(2).
    Open(u32),
    /// To read.
    Read {
        /// What opening it gave.
        handle: u64,
        /// Where from.
        offset: u64,
        /// Bytes at most.
        size: u32,
    },
    /// A file was closed by all that had this handle.
    Release {
        /// What opening it gave.
        handle: u64,
    },
    /// statfs(2).
    Space,
    /// To fill the kernel's own pages.
    Fill,
    /// Something that gets no answer.
    Silent,
    /// Something else.
    Other,
}

/// Reads a request; `None` when it is none.
pub fn parse(packet: &[u8]) -> Option<Request<'_>> {
    let (header, body) = packet.split_at_checked(HEADER)?;
    if number32(header, 0)? as usize != packet.len() {
        return None;
    }
    let call = match number32(header, 4)? {
        1 => Call::Lookup(body.split(|byte| *byte == 0).next()?),
        2 | 36 | 42 => Call::Silent,
        3 => Call::Attributes,
        14 => Call::Open(number32(body, 0)?),
        15 if number32(body, 20)? & OF_PROCESS == 0 => Call::Fill,
        15 => Call::Read {
            handle: number64(body, 0)?,
            offset: number64(body, 8)?,
            size: number32(body, 16)?.min(MAX_READ),
        },
        17 => Call::Space,
        18 => Call::Release { handle: number64(body, 0)? },
        26 => Call::Init,
        _ => Call::Other,
    };
    Some(Request { unique: number64(header, 8)?, node: number64(header, 16)?, pid: number32(header, 32)?, call })
}

/// The file with this node; its place in [`FILES`].
pub fn file(node: u64) -> Option<usize> {
    usize::try_from(node.checked_sub(FIRST)?).ok().filter(|place| *place < FILES.len())
}

/// An answer to a request that is no success; `errno` as in errno(3).
pub fn refuse(request: &Request<'_>, errno: i32) -> Vec<u8> {
    answer(request, -errno, &[])
}

/// Content that was read.
pub fn content(request: &Request<'_>, bytes: &[u8]) -> Vec<u8> {
    answer(request, 0, bytes)
}

/// Nothing but success.
pub fn done(request: &Request<'_>) -> Vec<u8> {
    answer(request, 0, &[])
}

/// The answer to the beginning.
pub fn welcome(request: &Request<'_>) -> Vec<u8> {
    let mut body = Bytes::default();
    // No read-ahead, no flags; the kernel's own choice of how many requests are under way.
    body.u32(&[VERSION.0, VERSION.1, 0, 0]).u16(&[0, 0]).u32(&[4096, 1]).u16(&[0, 0]).u32(&[0; 8]);
    answer(request, 0, &body.0)
}

/// A name that was found, or not.
pub fn found(request: &Request<'_>, name: &[u8], now: u64) -> Vec<u8> {
    let place = FILES.iter().position(|(file, _)| file.as_bytes() == name);
    let Some(node) = place.filter(|_| request.node == ROOT).map(|place| FIRST + place as u64) else {
        return refuse(request, libc::ENOENT);
    };
    let mut body = Bytes::default();
    body.u64(&[node, 0, VALID, VALID]).u32(&[0, 0]);
    attributes_of(&mut body, node, now);
    answer(request, 0, &body.0)
}

/// Attributes of a file or the directory; times are `now`, in seconds since 1970.
pub fn attributes(request: &Request<'_>, now: u64) -> Vec<u8> {
    if request.node != ROOT && file(request.node).is_none() {
        return refuse(request, libc::ENOENT);
    }
    let mut body = Bytes::default();
    body.u64(&[VALID]).u32(&[0, 0]);
    attributes_of(&mut body, request.node, now);
    answer(request, 0, &body.0)
}

fn attributes_of(body: &mut Bytes, node: u64, now: u64) {
    // A page, as files of sysfs have. Files without a length, as those of /proc are, would be empty for sendfile(2).
    let size = 4096;
    let mode = if node == ROOT { libc::S_IFDIR | 0o555 } else { libc::S_IFREG | 0o444 };
    body.u64(&[node, size, 0, now, now, now]).u32(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]);
}

/// An opened file. Only for reading: with other flags it is refused.
pub fn opened(request: &Request<'_>, flags: u32, handle: u64) -> Vec<u8> {
    if file(request.node).is_none() {
        return refuse(request, libc::EISDIR);
    }
    if flags & libc::O_ACCMODE as u32 != libc::O_RDONLY as u32 {
        return refuse(request, libc::EACCES);
    }
    let mut body = Bytes::default();
    body.u64(&[handle]).u32(&[DIRECT_IO, 0]);
    answer(request, 0, &body.0)
}

/// The space of a file system that has none.
pub fn space(request: &Request<'_>) -> Vec<u8> {
    let mut body = Bytes::default();
    body.u64(&[0; 5]).u32(&[4096, 255, 4096, 0]).u32(&[0; 6]);
    answer(request, 0, &body.0)
}

fn answer(request: &Request<'_>, error: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Bytes::default();
    bytes.u32(&[16 + body.len() as u32, error as u32]).u64(&[request.unique]);
    bytes.0.extend(body);
    bytes.0
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(&mut self, numbers: &[u16]) -> &mut Bytes {
        self.0.extend(numbers.iter().flat_map(|n| n.to_ne_bytes()));
        self
    }

    fn u32(&mut self, numbers: &[u32]) -> &mut Bytes {
        self.0.extend(numbers.iter().flat_map(|n| n.to_ne_bytes()));
        self
    }

    fn u64(&mut self, numbers: &[u64]) -> &mut Bytes {
        self.0.extend(numbers.iter().flat_map(|n| n.to_ne_bytes()));
        self
    }
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = Bytes::default();
        bytes.u32(&[(HEADER + body.len()) as u32, opcode]).u64(&[77, node]).u32(&[0, 0, 4711, 0]);
        bytes.0.extend(body);
        bytes.0
    }

    #[test]
    fn requests_are_read() {
        let name = packet(1, 1, b"meminfo\0");
        let wanted = Request { unique: 77, node: 1, pid: 4711, call: Call::Lookup(b"meminfo") };
        assert_eq!(parse(&name), Some(wanted));
        let mut body = Bytes::default();
        body.u64(&[5, 4096]).u32(&[u32::MAX, OF_PROCESS]).u64(&[0]).u32(&[0, 0]);
        let read = packet(15, 2, &body.0);
        assert_eq!(parse(&read).unwrap().call, Call::Read { handle: 5, offset: 4096, size: MAX_READ });
        assert_eq!(parse(&packet(15, 2, &[0; 40])).unwrap().call, Call::Fill);
        assert_eq!(parse(&packet(2, 1, &[])).unwrap().call, Call::Silent);
        assert_eq!(parse(&packet(16, 2, &[0; 40])).unwrap().call, Call::Other);
    }

    #[test]
    fn what_is_cut_short_is_none() {
        let whole = packet(15, 2, &[0; 40]);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(parse(&packet(15, 2, &[0; 19])), None);
        assert_eq!(parse(&packet(14, 2, &[])), None);
    }

    #[test]
    fn answers_are_as_long_as_the_kernel_wants_them() {
        let ask = |node, call| Request { unique: 9, node, pid: 1, call };
        let length = |answer: Vec<u8>| {
            assert_eq!(number32(&answer, 0), Some(answer.len() as u32));
            assert_eq!(number64(&answer, 8), Some(9));
            (answer.len() - 16, number32(&answer, 4).unwrap() as i32)
        };
        assert_eq!(length(welcome(&ask(0, Call::Init))), (64, 0));
        assert_eq!(length(found(&ask(1, Call::Init), b"stat", 1)), (128, 0));
        assert_eq!(length(found(&ask(1, Call::Init), b"statx", 1)), (0, -libc::ENOENT));
        assert_eq!(length(found(&ask(2, Call::Init), b"stat", 1)), (0, -libc::ENOENT));
        assert_eq!(length(attributes(&ask(1, Call::Init), 1)), (104, 0));
        assert_eq!(length(attributes(&ask(2 + FILES.len() as u64, Call::Init), 1)), (0, -libc::ENOENT));
        assert_eq!(length(opened(&ask(2, Call::Init), 0o100_000, 3)), (16, 0));
        assert_eq!(length(opened(&ask(2, Call::Init), 1, 3)), (0, -libc::EACCES));
        assert_eq!(length(opened(&ask(1, Call::Init), 0, 3)), (0, -libc::EISDIR));
        assert_eq!(length(space(&ask(1, Call::Init))), (80, 0));
        assert_eq!((file(0), file(1), file(2), file(u64::MAX)), (None, None, Some(0), None));
    }
}
