//! The bytes of a file: exactly as many as were promised, whatever happens to the file meanwhile.

use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;

use crate::runtime::helper::{Fail, What};

/// Bytes read at once.
pub(super) const BUFFER: usize = 256 << 10;
/// Pieces that a file with holes may have; a file with more is taken as it reads.
const MAX_PIECES: usize = 4096;

/// A piece of a file that has bytes: where, and how many.
pub(super) type Piece = (u64, u64);

/// The pieces of a file with holes; `None` for one without.
pub(super) fn pieces(file: &OwnedFd, stat: &Stat) -> Option<Vec<Piece>> {
    let size = u64::try_from(stat.st_size).ok()?;
    if u64::try_from(stat.st_blocks).ok()?.saturating_mul(512) >= size {
        return None;
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let begin = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(begin) => begin.min(size),
            Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(begin)).ok()?.min(size);
        if begin >= size {
            break;
        }
        if end <= begin || pieces.len() == MAX_PIECES {
            return None;
        }
        pieces.push((begin, end - begin));
        at = end;
    }
    // A piece without bytes says how long a file is that ends in a hole (GNU tar, "Storing Sparse Files").
    if pieces.last().is_none_or(|(begin, length)| begin + length < size) {
        pieces.push((size, 0));
    }
    Some(pieces)
}

/// The map that stands before the bytes of a sparse file in version 1.0 of GNU's format: whole blocks.
pub(super) fn map(pieces: &[Piece]) -> Vec<u8> {
    let mut text = format!("{}\n", pieces.len());
    for (offset, length) in pieces {
        text.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Copies the pieces; what is missing from the file is zeros.
pub(super) fn copy(
    file: &OwnedFd,
    pieces: &[Piece],
    (output, buffer): (&mut dyn Write, &mut [u8]),
    name: impl Fn() -> String,
) -> Result<(), Fail> {
    for (offset, length) in pieces {
        let (mut at, end) = (*offset, offset + length);
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(BUFFER).min(buffer.len());
            let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer[..wanted], at));
            let mut got = read.what(|| format!("reading {:?}", name()))?;
            if got == 0 {
                // It has become shorter.
                buffer[..wanted].fill(0);
                got = wanted;
            }
            output.write_all(&buffer[..got]).what(|| "writing the archive")?;
            at += got as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn file(name: &str) -> (std::fs::File, OwnedFd) {
        let path = std::env::temp_dir().join(format!("lxbox-{name}-{}", std::process::id()));
        let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let fd = OwnedFd::from(file.try_clone().unwrap());
        (file, fd)
    }

    #[test]
    fn a_file_that_gets_shorter_is_filled_with_zeros() {
        let (std_file, fd) = file("shorter");
        std_file.write_all_at(b"abc", 0).unwrap();
        let mut out = Vec::new();
        copy(&fd, &[(0, 6)], (&mut out, &mut [1; 4]), String::new).ok().unwrap();
        assert_eq!(out, b"abc\0\0\0");
    }

    #[test]
    fn holes_are_found_and_the_end_is_told() {
        let (std_file, fd) = file("holes");
        std_file.set_len(10 << 20).unwrap();
        std_file.write_all_at(&[7; 4096], 1 << 20).unwrap();
        let pieces = pieces(&fd, &rustix::fs::fstat(&fd).unwrap()).unwrap();
        assert_eq!(pieces.last(), Some(&(10 << 20, 0)));
        assert!(pieces.iter().any(|(offset, length)| *offset <= 1 << 20 && offset + length >= (1 << 20) + 4096));
        assert_eq!(map(&[(0, 5), (9, 0)])[..9], *b"2\n0\n5\n9\n0");
    }
}
