//! What the bytes of an archive go through.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use liblzma::stream::{Check, LzmaOptions, MtStreamBuilder, Stream};
use liblzma::write::XzEncoder;

use super::gzip::Gzip;
use crate::runtime::spec::pack::{Algorithm, Compression};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;
/// Threads that compress at most: each has its own memory.
const THREADS: usize = 8;
/// The same for xz, one of which has a hundred megabytes.
const XZ_THREADS: usize = 4;

/// Takes bytes until it is told that there are no more.
pub(super) trait Packed: Write {
    /// Writes what is still held back.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Says after each mebibyte how many bytes went through.
pub(super) struct Counted<F> {
    to: Box<dyn Packed>,
    bytes: u64,
    tell: F,
}

impl<F: FnMut(u64)> Counted<F> {
    /// In front of `to`.
    pub(super) fn new(to: Box<dyn Packed>, tell: F) -> Counted<F> {
        Counted { to, bytes: 0, tell }
    }
}

impl<F: FnMut(u64)> Write for Counted<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        let before = self.bytes;
        self.bytes += written as u64;
        if before >> 20 != self.bytes >> 20 {
            (self.tell)(self.bytes);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<F: FnMut(u64)> Packed for Counted<F> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.to.finish()
    }
}

/// Starts compressing into `output`.
pub(super) fn start(compression: Compression, output: File) -> io::Result<Box<dyn Packed>> {
    let output = BufWriter::with_capacity(BUFFER, output);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let level = compression.level;
    Ok(match compression.algorithm {
        Algorithm::None => Box::new(output),
        Algorithm::Squashfs => return Err(io::Error::from(io::ErrorKind::Unsupported)),
        Algorithm::Gzip => Box::new(Gzip::start(output, level.unwrap_or(6), threads.min(THREADS))?),
        Algorithm::Bzip2 => Box::new(bzip2::write::BzEncoder::new(output, bzip2::Compression::new(level.unwrap_or(9)))),
        Algorithm::Xz => {
            let mut builder = MtStreamBuilder::new();
            builder.threads(threads.min(XZ_THREADS) as u32).preset(level.unwrap_or(6)).check(Check::Crc64);
            Box::new(XzEncoder::new_stream(output, builder.encoder()?))
        }
        Algorithm::Lzma => {
            let options = LzmaOptions::new_preset(level.unwrap_or(6))?;
            Box::new(XzEncoder::new_stream(output, Stream::new_lzma_encoder(&options)?))
        }
        Algorithm::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(output, level.unwrap_or(3) as i32)?;
            encoder.multithread(threads.min(THREADS) as u32)?;
            encoder.include_checksum(true)?;
            Box::new(encoder)
        }
    })
}

impl Packed for BufWriter<File> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

impl Packed for bzip2::write::BzEncoder<BufWriter<File>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        (*self).finish()?.flush()
    }
}

impl Packed for XzEncoder<BufWriter<File>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        (*self).finish()?.flush()
    }
}

impl Packed for zstd::stream::write::Encoder<'_, BufWriter<File>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        (*self).finish()?.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::runtime::helper::unpack::Threads;
    use crate::runtime::helper::unpack::compression::{Format, decoder};

    #[test]
    fn what_is_compressed_is_read_back_in_every_way() {
        let text: Vec<u8> = (0..700_000u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        for words in ["none", "gzip", "gzip -1", "bzip2", "xz -0", "xz", "lzma -1", "zstd", "zstd -1"] {
            let path = std::env::temp_dir().join(format!("lxbox-pack-{}", std::process::id()));
            let mut packed = start(Compression::parse(words).unwrap(), File::create(&path).unwrap()).unwrap();
            packed.write_all(&text).unwrap();
            packed.finish().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            if words == "none" {
                assert_eq!(bytes, text);
                continue;
            }
            let format = Format::detect(&bytes).expect(words);
            let mut out = Vec::new();
            let mut reader = decoder(io::Cursor::new(bytes), format, 512 << 20, Threads::One).unwrap();
            reader.read_to_end(&mut out).unwrap();
            assert!(out == text, "{words}");
        }
    }
}
