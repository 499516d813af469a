//! Compressed streams, told apart by their first bytes, never by a file name.

use std::io::{self, BufReader, Read};

use super::xz::{self, Threads};

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Not compressed.
    Tar,
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The .xz container.
    Xz,
    /// The older .lzma container ("LZMA alone").
    Lzma,
    /// RFC 8878.
    Zstd,
    /// A squashfs image (no tar inside).
    Squashfs,
    /// A qcow2 disk (no tar inside).
    Qcow2,
}

/// Bytes of the head that [`Format::detect`] wants to see; a shorter file may be given whole.
pub const HEAD: usize = 512;

impl Format {
    /// Tells the format by the first bytes ([`HEAD`] of them); `None` for anything unknown.
    pub fn detect(head: &[u8]) -> Option<Format> {
        let magic: &[(&[u8], Format)] = &[
            (b"\x1f\x8b", Format::Gzip),
            (b"BZh", Format::Bzip2),
            (b"\xfd7zXZ\x00", Format::Xz),
            (b"\x28\xb5\x2f\xfd", Format::Zstd),
            (b"hsqs", Format::Squashfs),
            (b"QFI\xfb", Format::Qcow2),
        ];
        if let Some((_, format)) = magic.iter().find(|(bytes, _)| head.starts_with(bytes)) {
            return Some(*format);
        }
        if head.get(257..262) == Some(b"ustar") || is_v7_header(head) {
            return Some(Format::Tar);
        }
        is_lzma_alone(head).then_some(Format::Lzma)
    }

    /// Whether the file holds a tar archive that can be read.
    pub fn is_archive(self) -> bool {
        !matches!(self, Format::Squashfs | Format::Qcow2)
    }
}

/// An old tar header has no magic: its checksum is all there is to tell it by.
fn is_v7_header(head: &[u8]) -> bool {
    let Some(block) = head.get(..512) else { return false };
    if block[0] == 0 {
        return false;
    }
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 =
        block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    header.cksum().is_ok_and(|stated| stated == sum)
}

/// "LZMA alone" has no magic either: properties byte, dictionary size, uncompressed size (or -1).
///
/// The same rule as file(1) and xz: a plausible properties byte and a dictionary of 2^n or 2^n + 2^(n-1) bytes.
fn is_lzma_alone(head: &[u8]) -> bool {
    let Some(head) = head.get(..13) else { return false };
    let dictionary = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    let size = u64::from_le_bytes([head[5], head[6], head[7], head[8], head[9], head[10], head[11], head[12]]);
    let round = |n: u32| n.is_power_of_two() || (n.is_multiple_of(3) && (n / 3).is_power_of_two());
    head[0] < 225 && dictionary >= 4096 && round(dictionary) && (size == u64::MAX || size < 1 << 38)
}

/// A reader of the decompressed bytes of `file`, whose first bytes were recognised as `format`.
///
/// `memory` bounds what the decoder allocates. Fails for formats that hold no tar.
pub fn decoder<R>(file: R, format: Format, memory: u64, threads: Threads) -> io::Result<Box<dyn Read + Send>>
where
    R: Read + Send + 'static,
{
    Ok(match format {
        Format::Tar => Box::new(file),
        Format::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(128 << 10, file))),
        Format::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(BufReader::with_capacity(128 << 10, file))),
        Format::Xz => Box::new(xz::Decoder::xz(file, memory, threads)?),
        Format::Lzma => Box::new(xz::Decoder::lzma(file, memory)?),
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(file)?;
            // A window of 128 MiB is what `zstd -d` takes without being asked to.
            decoder.window_log_max(27.min(memory.max(1 << 20).ilog2()))?;
            Box::new(decoder)
        }
        Format::Squashfs | Format::Qcow2 => return Err(io::Error::other("not an archive")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn unpack(packed: Vec<u8>, memory: u64) -> io::Result<Vec<u8>> {
        let format = Format::detect(&packed).expect("a known format");
        let mut out = Vec::new();
        decoder(io::Cursor::new(packed), format, memory, Threads::One)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn each_format_is_recognised_and_read_back() {
        let text = b"what goes in comes out ".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&text).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&text).unwrap();
        let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        let alone = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), alone);
        lzma.write_all(&text).unwrap();
        for packed in [
            gzip.finish().unwrap(),
            bzip2.finish().unwrap(),
            xz.finish().unwrap(),
            lzma.finish().unwrap(),
            zstd::encode_all(&text[..], 1).unwrap(),
        ] {
            assert_eq!(unpack(packed, 64 << 20).unwrap(), text);
        }
    }

    #[test]
    fn noise_text_and_nothing_are_no_format() {
        assert_eq!(Format::detect(b""), None);
        assert_eq!(Format::detect(b"hello\n"), None);
        assert_eq!(Format::detect(&[0; 512]), None);
        assert_eq!(Format::detect(&[0xff; 512]), None);
    }

    #[test]
    fn a_decoder_that_wants_too_much_memory_is_refused() {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 9);
        xz.write_all(b"64 MiB of dictionary").unwrap();
        assert!(unpack(xz.finish().unwrap(), 8 << 20).is_err());
    }
}
