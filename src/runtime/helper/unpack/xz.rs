//! `.xz` and `.lzma` streams through liblzma.
//!
//! The crate's own readers can't be given a memory limit together with threads and stop at the first of several
//! concatenated streams, so the loop over [`Stream::process`] is here.

use std::io::{self, Read};

use liblzma::stream::{Action, MtStreamBuilder, Status, Stream};

/// How many threads a decoder may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// None beside the caller's: for looks at the start of a file.
    One,
    /// So many, where the file was packed in independent blocks (`xz -T`).
    Up(u32),
}

/// A reader of one or more concatenated streams, with zero padding between them as the format allows.
pub(super) struct Decoder<R> {
    file: R,
    kind: Kind,
    stream: Stream,
    /// Compressed bytes not yet given to the decoder are `input[start..end]`.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// The file has no more bytes.
    drained: bool,
    state: State,
}

#[derive(Clone, Copy)]
enum Kind {
    Xz { memory: u64, threads: Threads },
    Lzma,
}

enum State {
    /// Inside a stream.
    Decoding,
    /// After a stream: padding, another stream, or the end.
    Between,
    /// Everything has come out.
    Ended,
}

fn xz_stream(memory: u64, threads: Threads) -> io::Result<Stream> {
    Ok(match threads {
        Threads::Up(count) if count > 1 => MtStreamBuilder::new()
            .threads(count)
            // Beyond half of the limit it falls back to one thread by itself.
            .memlimit_threading(memory / 2)
            .memlimit_stop(memory)
            .decoder()?,
        _ => Stream::new_stream_decoder(memory, 0)?,
    })
}

impl<R: Read> Decoder<R> {
    /// A decoder of `.xz`.
    pub(super) fn xz(file: R, memory: u64, threads: Threads) -> io::Result<Decoder<R>> {
        Ok(Decoder::new(file, Kind::Xz { memory, threads }, xz_stream(memory, threads)?))
    }

    /// A decoder of `.lzma`.
    pub(super) fn lzma(file: R, memory: u64) -> io::Result<Decoder<R>> {
        Ok(Decoder::new(file, Kind::Lzma, Stream::new_lzma_decoder(memory)?))
    }

    fn new(file: R, kind: Kind, stream: Stream) -> Decoder<R> {
        let input = vec![0; 256 << 10];
        Decoder { file, kind, stream, input, start: 0, end: 0, drained: false, state: State::Decoding }
    }

    /// Makes sure that there is input or that there is no more.
    fn fill(&mut self) -> io::Result<()> {
        while self.start == self.end && !self.drained {
            self.end = match self.file.read(&mut self.input) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.start = 0;
            self.drained = self.end == 0;
        }
        Ok(())
    }

    /// Decodes some bytes of the current stream; 0 when it has ended.
    fn decode(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            self.fill()?;
            let action = if self.drained { Action::Finish } else { Action::Run };
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.process(&self.input[self.start..self.end], out, action)?;
            self.start += (self.stream.total_in() - read) as usize;
            let written = (self.stream.total_out() - written) as usize;
            if status == Status::StreamEnd {
                self.state = State::Between;
                return Ok(written);
            }
            if written > 0 {
                return Ok(written);
            }
            if self.drained {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Skips padding; starts the next stream or notes the end.
    fn next_stream(&mut self) -> io::Result<()> {
        self.fill()?;
        let Kind::Xz { memory, threads } = self.kind else {
            self.state = State::Ended;
            return Ok(());
        };
        if self.drained {
            self.state = State::Ended;
        } else if self.input[self.start] == 0 {
            self.start += 1;
        } else {
            self.stream = xz_stream(memory, threads)?;
            self.state = State::Decoding;
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Decoding => {
                    let n = self.decode(out)?;
                    if n > 0 {
                        return Ok(n);
                    }
                }
                State::Between => self.next_stream()?,
                State::Ended => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn pack(text: &[u8], block: u64) -> Vec<u8> {
        let stream = MtStreamBuilder::new().threads(2).preset(0).block_size(block).encoder().unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(packed: &[u8], threads: Threads) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decoder::xz(packed, 256 << 20, threads)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn blocks_streams_and_padding_are_read_by_one_thread_and_by_two() {
        let text: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut packed = pack(&text, 1 << 20);
        packed.extend([0; 8]);
        packed.extend(pack(b"second", 1 << 20));
        for threads in [Threads::One, Threads::Up(2)] {
            let out = read(&packed, threads).unwrap();
            assert!(out.starts_with(&text) && out.ends_with(b"second") && out.len() == text.len() + 6);
        }
    }

    #[test]
    fn a_truncated_or_damaged_stream_is_an_error_and_not_an_end() {
        let packed = pack(&[1, 2, 3, 4].repeat(10_000), 1 << 20);
        let mut damaged = packed.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x40;
        for threads in [Threads::One, Threads::Up(2)] {
            assert!(read(&packed[..packed.len() - 3], threads).is_err());
            assert!(read(&packed[..20], threads).is_err());
            assert!(read(&damaged, threads).is_err());
        }
    }
}
