//! Answers the kernel's requests. One at a time: each takes some ten microseconds and waits for nobody.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::content::Content;
use super::fuse::{self, Call, Request};
use crate::runtime::spec::procfs::FILES;
use crate::runtime::sys::fault;

/// Open files whose content is remembered, and the bytes of all that, at most. Who comes back after his was forgotten gets the rest of
/// what it is now.
const TEXTS: usize = 128;
const BYTES: usize = 2 << 20;

/// The files, as they are read.
pub(super) struct Files {
    content: Content,
    /// By handle, the oldest first: handles are numbers that grow.
    texts: BTreeMap<u64, String>,
    bytes: usize,
    next: u64,
}

impl Files {
    pub(super) fn new() -> Files {
        // Not a number that a process before us gave: its handles are still in use.
        let next = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        Files { content: Content::new(), texts: BTreeMap::new(), bytes: 0, next }
    }

    /// When something is due without a request.
    pub(super) fn due(&self) -> Option<Instant> {
        self.content.loads.due()
    }

    /// Does it.
    pub(super) fn tick(&mut self) {
        self.content.loads.tick(Instant::now());
    }

    /// Takes one request from the device and answers it; false when the file system is no more.
    pub(super) fn serve(&mut self, device: &OwnedFd) -> bool {
        let mut packet = [0; fuse::MAX_REQUEST];
        let length = match rustix::io::read(device, &mut packet) {
            Ok(length) => length,
            // ENOENT: who asked was killed before we came to it.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::NOENT) => return true,
            Err(_) => return false,
        };
        let Some(request) = packet.get(..length).and_then(fuse::parse) else { return true };
        if let Some(answer) = self.answer(&request) {
            // One that nobody waits for any more is refused, which is no matter.
            let _ = rustix::io::write(device.as_fd(), &answer);
        }
        true
    }

    fn answer(&mut self, request: &Request<'_>) -> Option<Vec<u8>> {
        Some(match request.call {
            Call::Silent => return None,
            Call::Init => fuse::welcome(request),
            Call::Lookup(name) => fuse::found(request, name, now()),
            Call::Attributes => fuse::attributes(request, now()),
            Call::Space => fuse::space(request),
            Call::Open(flags) => {
                self.next += 1;
                fuse::opened(request, flags, self.next)
            }
            Call::Read { handle, offset, size } => self.read(request, (handle, offset, size)),
            Call::Release { handle } => {
                self.forget(handle);
                fuse::done(request)
            }
            // Pages would be shared by all guests. Programs read then, as they do where there is no such call.
            Call::Fill => fuse::refuse(request, libc::EINVAL),
            Call::Other => fuse::refuse(request, libc::ENOSYS),
        })
    }

    fn read(&mut self, request: &Request<'_>, (handle, offset, size): (u64, u64, u32)) -> Vec<u8> {
        let Some(place) = fuse::file(request.node) else { return fuse::refuse(request, libc::EISDIR) };
        fault("procfs.taken");
        if offset == 0 || !self.texts.contains_key(&handle) {
            self.forget(handle);
            let Some(text) = self.content.of(FILES[place].0, request.pid) else {
                return fuse::refuse(request, libc::EIO);
            };
            self.remember(handle, text);
        }
        let text = self.texts.get(&handle).map_or(&[][..], |text| text.as_bytes());
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let to = from.saturating_add(size as usize).min(text.len());
        fuse::content(request, &text[from..to])
    }

    fn remember(&mut self, handle: u64, text: String) {
        while self.texts.len() >= TEXTS || (self.bytes + text.len() > BYTES && !self.texts.is_empty()) {
            let oldest = self.texts.keys().next().copied();
            oldest.into_iter().for_each(|oldest| self.forget(oldest));
        }
        self.bytes += text.len();
        self.texts.insert(handle, text);
    }

    fn forget(&mut self, handle: u64) {
        self.bytes -= self.texts.remove(&handle).map_or(0, |text| text.len());
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(files: &mut Files, node: u64, call: Call<'_>) -> (i32, Vec<u8>) {
        let answer = files.answer(&Request { unique: 1, node, pid: std::process::id(), call }).unwrap();
        let error = i32::from_ne_bytes(answer[4..8].try_into().unwrap());
        (error, answer[16..].to_vec())
    }

    fn read(files: &mut Files, handle: u64, offset: u64, size: u32) -> Vec<u8> {
        let (error, bytes) = ask(files, 2, Call::Read { handle, offset, size });
        assert_eq!(error, 0);
        bytes
    }

    #[test]
    fn a_file_is_read_in_pieces_of_one_moment() {
        let mut files = Files::new();
        let whole = read(&mut files, 1, 0, 1 << 20);
        let mut pieces = read(&mut files, 1, 0, 7);
        loop {
            let piece = read(&mut files, 1, pieces.len() as u64, 100);
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
        assert_eq!(pieces.len(), whole.len());
        assert!(pieces.starts_with(b"MemTotal:") && pieces.ends_with(b" kB\n"));
    }

    #[test]
    fn odd_places_have_nothing_and_nothing_grows() {
        let mut files = Files::new();
        assert_eq!(read(&mut files, 1, u64::MAX, u32::MAX), b"");
        assert_eq!(read(&mut files, 1, 1 << 40, 0), b"");
        for handle in 0..1000 {
            read(&mut files, handle, 0, 10);
        }
        assert_eq!(files.texts.len(), TEXTS);
        assert_eq!(files.bytes, files.texts.values().map(String::len).sum::<usize>());
        ask(&mut files, 2, Call::Release { handle: 999 });
        ask(&mut files, 2, Call::Release { handle: 999 });
        assert_eq!(files.texts.len(), TEXTS - 1);
        files.remember(5000, "x".repeat(BYTES + 1));
        assert_eq!(files.texts.len(), 1);
    }

    #[test]
    fn what_is_no_file_can_not_be_read_and_handles_differ() {
        let mut files = Files::new();
        assert_eq!(ask(&mut files, 1, Call::Read { handle: 1, offset: 0, size: 1 }).0, -libc::EISDIR);
        assert_eq!(ask(&mut files, 2, Call::Other).0, -libc::ENOSYS);
        assert_ne!(ask(&mut files, 2, Call::Open(0)).1, ask(&mut files, 2, Call::Open(0)).1);
        assert_eq!(files.answer(&Request { unique: 1, node: 2, pid: 0, call: Call::Silent }), None);
    }
}
