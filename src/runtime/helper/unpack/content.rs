//! Writes the content of a regular file, leaving holes where there is nothing but zeros.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::ftruncate;
use rustix::io::pwrite;

use super::member::Extent;
use super::reader::Members;

/// What a hole must at least have: file systems allocate in blocks of this size or more.
const HOLE: usize = 4096;
/// How much is read before it is written.
pub(super) const CHUNK: usize = 256 << 10;

/// Why content could not be written.
#[derive(Debug)]
pub enum Failure {
    /// The archive could not be read.
    Archive(io::Error),
    /// The file could not be written.
    File(io::Error),
}

/// Copies the current member's data into the (empty) file. Returns the bytes written.
pub fn copy(
    reader: &mut dyn Members,
    file: BorrowedFd<'_>,
    (size, map): (u64, Option<&[Extent]>),
    buffer: &mut [u8],
) -> Result<u64, Failure> {
    let whole = [Extent { offset: 0, length: size }];
    let mut written = 0;
    let mut end = 0;
    for extent in map.unwrap_or(&whole) {
        let mut at = extent.offset;
        let mut left = extent.length;
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let filled = fill(reader, &mut buffer[..most])?;
            written += write_data(file, &buffer[..filled], at, &mut end)?;
            at += filled as u64;
            left -= filled as u64;
        }
    }
    if end < size {
        ftruncate(file, size).map_err(|e| Failure::File(e.into()))?;
    }
    Ok(written)
}

fn fill(reader: &mut dyn Members, buffer: &mut [u8]) -> Result<usize, Failure> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read_data(&mut buffer[filled..]).map_err(Failure::Archive)? {
            0 => return Err(Failure::Archive(io::ErrorKind::UnexpectedEof.into())),
            n => filled += n,
        }
    }
    Ok(filled)
}

/// Writes the parts of `data` that aren't zeros; moves `end` to where the file ends now.
fn write_data(file: BorrowedFd<'_>, data: &[u8], at: u64, end: &mut u64) -> Result<u64, Failure> {
    let mut written = 0;
    let mut start = 0;
    while start < data.len() {
        let (length, zeros) = run(data, start);
        if !zeros {
            write_all(file, &data[start..start + length], at + start as u64).map_err(Failure::File)?;
            *end = at + (start + length) as u64;
            written += length as u64;
        }
        start += length;
    }
    Ok(written)
}

/// The longest run of blocks from `start` on that are all zero or all not. A last part of a block counts as data.
fn run(data: &[u8], start: usize) -> (usize, bool) {
    let zero = |at: usize| data.get(at..at + HOLE).is_some_and(is_zero);
    let zeros = zero(start);
    let mut length = HOLE;
    while start + length < data.len() && zero(start + length) == zeros {
        length += HOLE;
    }
    (length.min(data.len() - start), zeros)
}

fn is_zero(block: &[u8]) -> bool {
    // By words: the compiler makes vector code of it.
    block.chunks_exact(64).all(|words| words.iter().fold(0, |a, b| a | b) == 0)
}

fn write_all(file: BorrowedFd<'_>, mut data: &[u8], mut at: u64) -> io::Result<()> {
    while !data.is_empty() {
        match pwrite(file, data, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                data = &data[n..];
                at += n as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_zeros_are_told_from_data() {
        let mut data = vec![0; 3 * HOLE];
        data.extend([1; 10]);
        assert_eq!(run(&data, 0), (3 * HOLE, true));
        assert_eq!(run(&data, 3 * HOLE), (10, false));
        let mut data = vec![0; 5 * HOLE];
        data[HOLE] = 1;
        data[2 * HOLE + 5] = 1;
        assert_eq!(run(&data, 0), (HOLE, true));
        assert_eq!(run(&data, HOLE), (2 * HOLE, false));
        assert_eq!(run(&data, 3 * HOLE), (2 * HOLE, true));
        assert_eq!(run(&[0; 100], 0), (100, false));
    }
}
