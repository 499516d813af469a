//! What an archive may at most cost. Every number bounds something a hostile image would otherwise choose.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// The bounds of one unpacking. The caller sets `bytes` from the space that the pool has; the rest rarely changes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    pub struct Limits {
        /// Bytes that all archives of the image may have together after decompression.
        pub bytes: u64,
        /// Members (files, directories, links, …).
        pub entries: u64,
        /// Components of a path.
        pub depth: usize,
        /// Bytes of a path; the kernel takes 4095.
        pub path: usize,
        /// Bytes of extended headers (PAX records, long names, attributes) of one member.
        pub extended: usize,
        /// Bytes of `metadata.yaml`, and of one template.
        pub metadata: u64,
        /// Bytes of memory that a decoder may take; an `xz` header asks for up to 4 GiB.
        pub memory: u64,
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes: 256 << 30,
            entries: 4_000_000,
            depth: 256,
            path: 4095,
            extended: 4 << 20,
            metadata: 1 << 20,
            memory: 320 << 20,
        }
    }
}

/// The error text of a decompressed stream that is longer than [`Limits::bytes`].
const TOO_BIG: &str = "the archive unpacks to more than the limit";

/// How many decompressed bytes may still come, of all archives of an image together.
#[derive(Clone)]
pub(super) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    pub(super) fn new(bytes: u64) -> Allowance {
        Allowance(Arc::new(AtomicU64::new(bytes)))
    }

    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(|_| ()).map_err(|_| io::Error::other(TOO_BIG))
    }
}

/// A reader that takes what comes out of it from an allowance, and fails when that is used up.
pub(super) struct Budget<R> {
    inner: R,
    allowance: Allowance,
}

impl<R> Budget<R> {
    pub(super) fn new(inner: R, allowance: Allowance) -> Budget<R> {
        Budget { inner, allowance }
    }
}

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.allowance.take(n as u64)?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_lets_its_bytes_through_and_no_more() {
        let allowance = Allowance::new(150);
        let mut all = Vec::new();
        Budget::new(&[7u8; 100][..], allowance.clone()).read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 100);
        assert!(Budget::new(&[7u8; 50][..], allowance.clone()).read_to_end(&mut Vec::new()).is_ok());
        assert!(Budget::new(&[7u8; 1][..], allowance).read_to_end(&mut Vec::new()).is_err());
    }
}
