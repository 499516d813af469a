//! Opens the file of an image or backup for reading: a tar archive, compressed or not, or a squashfs.

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

/// What is in the file of an image or backup, decoding in the calling thread where that can be: for a look at its start.
pub(super) fn look(mut file: File, limits: Limits) -> Result<Box<dyn Members>> {
    let (format, allowance) = (archive_format(&mut file)?, Allowance::new(limits.bytes));
    if format == Format::Squashfs {
        return Ok(Box::new(Squashfs::open(file, limits, &allowance).map_err(broken)?));
    }
    let decoder = compression::decoder(file, format, limits.memory, Threads::One)
        .ctx(Kind::Invalid, || "Failed reading the image")?;
    let decoder: Box<dyn Read + Send> = Box::new(Budget::new(decoder, allowance));
    Ok(Box::new(Reader::new(decoder, limits)))
}

/// What is in the file of an image or backup, decoding on threads of its own: for reading it whole.
pub(super) fn members(mut file: File, limits: Limits, allowance: &Allowance) -> Result<Box<dyn Members>> {
    let format = archive_format(&mut file)?;
    if format == Format::Squashfs {
        return Ok(Box::new(Squashfs::open(file, limits, allowance).map_err(broken)?));
    }
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
    Ok(Box::new(Reader::new(start().ctx(Kind::Internal, || "Failed reading the image")?, limits)))
}

fn archive_format(file: &mut File) -> Result<Format> {
    match format(file)? {
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
