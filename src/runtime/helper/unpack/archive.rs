//! Opens the file of an image for reading as a tar archive.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::compression::{self, Format, HEAD};
use super::limits::{Allowance, Budget, Limits};
use super::pipe::Pipe;
use super::reader::{Members, Reader};
use super::squashfs::Squashfs;
use super::xz::Threads;
use crate::error::{Ctx, Error, Kind, Result};

/// The format of an open file, by its first bytes. Leaves the file at its start.
pub fn format(file: &mut File) -> Result<Format> {
    let head = head(file).ctx(Kind::Internal, || "Failed reading the image")?;
    if head.is_empty() {
        // LXD's text for an empty file.
        return Err(Error::invalid("EOF"));
    }
    Format::detect(&head).ok_or_else(|| Error::invalid("Unsupported compression"))
}

fn head(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(head)
}

/// A tar reader over the file, decoding in the calling thread: for a look at its start.
pub(super) fn look(mut file: File, limits: Limits) -> Result<Reader<Box<dyn Read + Send>>> {
    let format = archive_format(&mut file)?;
    let decoder = compression::decoder(file, format, limits.memory, Threads::One)
        .ctx(Kind::Invalid, || "Failed reading the image")?;
    Ok(Reader::new(Box::new(Budget::new(decoder, Allowance::new(limits.bytes))), limits))
}

/// A tar reader over the file, decoding on threads of its own: for reading it whole.
pub(super) fn read(mut file: File, limits: Limits, allowance: &Allowance) -> Result<Reader<Box<dyn Read + Send>>> {
    let format = archive_format(&mut file)?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(16) as u32);
    let start = || -> io::Result<Box<dyn Read + Send>> {
        let decoder = compression::decoder(file, format, limits.memory, Threads::Up(threads))?;
        let decoder = Box::new(Budget::new(decoder, allowance.clone()));
        // There is nothing to overlap where nothing is decoded.
        if format == Format::Tar {
            Ok(Box::new(io::BufReader::with_capacity(256 << 10, decoder)))
        } else {
            Ok(Box::new(Pipe::start(decoder)?))
        }
    };
    Ok(Reader::new(start().ctx(Kind::Internal, || "Failed reading the image")?, limits))
}

/// What is in the file of an image, on the same terms; a root file system may be a squashfs.
pub(super) fn members(mut file: File, limits: Limits, allowance: &Allowance, root: bool) -> Result<Box<dyn Members>> {
    if root && format(&mut file)? == Format::Squashfs {
        return Ok(Box::new(Squashfs::open(file, limits, allowance).map_err(broken)?));
    }
    Ok(Box::new(read(file, limits, allowance)?))
}

fn archive_format(file: &mut File) -> Result<Format> {
    match format(file)? {
        Format::Squashfs => Err(Error::unsupported("A squashfs image")),
        Format::Qcow2 => Err(Error::unsupported("A virtual machine image")),
        format => Ok(format),
    }
}

/// The error for an archive that can't be read on.
pub(super) fn broken(error: io::Error) -> Error {
    let text = match error.kind() {
        // LXD's text.
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        _ => error.to_string(),
    };
    // A failing disk is the host's fault, everything else is the image's.
    let kind = if error.raw_os_error().is_some() { Kind::Internal } else { Kind::Invalid };
    Error::new(kind, text)
}
