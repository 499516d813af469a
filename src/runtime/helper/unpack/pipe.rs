//! Decodes on a thread of its own, so that decompression and writing overlap.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes of one piece.
const PIECE: usize = 256 << 10;
/// Pieces that may wait.
const DEPTH: usize = 16;

/// The reading end: what the thread has decoded, in order.
pub struct Pipe {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Used pieces go back to be filled again.
    empty: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Pipe {
    /// Starts a thread that reads `source` to its end, or until the pipe is dropped.
    pub fn start(mut source: Box<dyn Read + Send>) -> io::Result<Pipe> {
        let (filled, pieces) = sync_channel(DEPTH);
        let (empty, used) = sync_channel::<Vec<u8>>(DEPTH + 2);
        thread::Builder::new().name("decode".into()).spawn(move || {
            loop {
                let mut piece = used.try_recv().unwrap_or_default();
                piece.resize(PIECE, 0);
                let result = fill(&mut source, &mut piece).map(|n| {
                    piece.truncate(n);
                    piece
                });
                let last = !matches!(&result, Ok(piece) if !piece.is_empty());
                if filled.send(result).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Pipe { pieces, empty, piece: Vec::new(), at: 0 })
    }
}

/// Fills the piece; less only at the end of the source.
fn fill(source: &mut Box<dyn Read + Send>, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match source.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            let used = std::mem::take(&mut self.piece);
            self.at = 0;
            let _ = self.empty.try_send(used);
            match self.pieces.recv() {
                Ok(piece) => self.piece = piece?,
                // The thread ended after its last piece, or it panicked before.
                Err(_) => return Ok(0),
            }
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("torn"));
            }
            let n = self.0.min(buffer.len());
            self.0 -= n;
            Ok(n)
        }
    }

    #[test]
    fn bytes_come_through_in_order_and_errors_stay_errors() {
        let data: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        let mut out = Vec::new();
        Pipe::start(Box::new(io::Cursor::new(data.clone()))).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == data);
        let mut pipe = Pipe::start(Box::new(Failing(1000))).unwrap();
        assert_eq!(pipe.read_to_end(&mut Vec::new()).unwrap_err().to_string(), "torn");
    }

    #[test]
    fn a_dropped_pipe_ends_its_thread() {
        struct Endless(SyncSender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(buffer.len())
            }
        }
        impl Drop for Endless {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (sender, dropped) = sync_channel(1);
        drop(Pipe::start(Box::new(Endless(sender))).unwrap());
        dropped.recv().expect("the thread dropped its source");
    }
}
