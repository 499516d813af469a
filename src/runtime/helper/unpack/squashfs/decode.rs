//! Blocks of a squashfs: each is compressed by itself.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::wrong;

/// How the blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compressor {
    Gzip,
    Lzma,
    Lzo,
    Xz,
    Lz4,
    Zstd,
}

impl Compressor {
    pub(super) fn of(number: u16) -> io::Result<Compressor> {
        Ok(match number {
            1 => Compressor::Gzip,
            2 => Compressor::Lzma,
            3 => Compressor::Lzo,
            4 => Compressor::Xz,
            5 => Compressor::Lz4,
            6 => Compressor::Zstd,
            _ => return Err(wrong("an unknown compressor")),
        })
    }

    /// Decodes a block, which has `most` bytes at most.
    fn decode(self, bytes: &[u8], most: usize) -> io::Result<Vec<u8>> {
        // Images are small beside this; a header may ask for more.
        const MEMORY: u64 = 64 << 20;
        let read = |reader: &mut dyn Read| {
            let mut out = Vec::with_capacity(most);
            reader.take(most as u64 + 1).read_to_end(&mut out)?;
            Ok(out)
        };
        let out = match self {
            Compressor::Gzip => read(&mut flate2::read::ZlibDecoder::new(bytes)),
            Compressor::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, 0)?;
                read(&mut liblzma::read::XzDecoder::new_stream(bytes, stream))
            }
            Compressor::Lzma => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(MEMORY)?;
                read(&mut liblzma::read::XzDecoder::new_stream(bytes, stream))
            }
            Compressor::Zstd => zstd::bulk::decompress(bytes, most),
            Compressor::Lz4 => {
                let mut out = vec![0; most];
                let count = lz4_flex::block::decompress_into(bytes, &mut out).map_err(io::Error::other)?;
                out.truncate(count);
                Ok(out)
            }
            Compressor::Lzo => super::lzo::decompress(bytes, most).ok_or_else(|| wrong("a damaged block")),
        }?;
        if out.len() > most { Err(wrong("a block that is too long")) } else { Ok(out) }
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// In the file.
    pub(super) at: u64,
    /// Bytes there.
    pub(super) size: u32,
    /// Whether they are as they are.
    pub(super) plain: bool,
    /// Bytes of what comes out, at most.
    pub(super) most: usize,
}

/// Reads and decodes a block.
pub(super) fn block(file: &File, compressor: Compressor, place: Place) -> io::Result<Vec<u8>> {
    let longest = place.most + place.most / 2 + 4096;
    if place.size as usize > longest || place.plain && place.size as usize > place.most {
        return Err(wrong("a block that is too long"));
    }
    let mut bytes = vec![0; place.size as usize];
    file.read_exact_at(&mut bytes, place.at)?;
    if place.plain { Ok(bytes) } else { compressor.decode(&bytes, place.most) }
}

/// Blocks on their way; they come in the order in which they were asked for.
pub(super) type Coming = Receiver<io::Result<Vec<u8>>>;

type Job = (Place, SyncSender<io::Result<Vec<u8>>>);

/// Threads that decode. They end when this is dropped.
pub(super) struct Decoders {
    jobs: SyncSender<Job>,
    /// How many blocks are worth asking for at once.
    pub(super) ahead: usize,
}

impl Decoders {
    pub(super) fn start(file: &File, compressor: Compressor) -> io::Result<Decoders> {
        let count = thread::available_parallelism().map_or(1, |n| n.get().min(8));
        let (jobs, waiting) = sync_channel::<Job>(2 * count);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..count {
            let (file, waiting) = (file.try_clone()?, waiting.clone());
            let work = move || {
                loop {
                    let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((place, answer)) = job else { return };
                    // Who asked may be gone.
                    let _ = answer.send(block(&file, compressor, place));
                }
            };
            thread::Builder::new().name("decode".into()).spawn(work)?;
        }
        Ok(Decoders { jobs, ahead: 2 * count })
    }

    pub(super) fn ask(&self, place: Place) -> io::Result<Coming> {
        let (answer, coming) = sync_channel(1);
        self.jobs.send((place, answer)).map_err(|_| io::Error::other("the decoders are gone"))?;
        Ok(coming)
    }
}

/// Waits for a block.
pub(super) fn taken(coming: &Coming) -> io::Result<Vec<u8>> {
    coming.recv().map_err(|_| io::Error::other("a decoder is gone"))?
}
