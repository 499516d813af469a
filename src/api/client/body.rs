//! Bodies of requests: a few bytes, or files streamed one after the other with the length known before.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use crate::error::{Ctx, Kind, Result};

/// Bytes that are read from a file and sent at once.
const CHUNK: usize = 128 << 10;

/// Told after each chunk: bytes sent so far, and all of them.
pub type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// A part of a streamed body.
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// The content of this file, of this many bytes.
    File(PathBuf, u64),
}

impl Piece {
    /// The file, with its size of now.
    pub async fn file(path: &Path) -> Result<Piece> {
        let found = tokio::fs::metadata(path).await;
        let found = found.ctx(Kind::NotFound, || format!("Failed opening {:?}", path.display()))?;
        Ok(Piece::File(path.to_path_buf(), found.len()))
    }

    fn len(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(_, size) => *size,
        }
    }
}

/// The body of a request.
pub struct Body {
    source: Source,
    left: u64,
}

enum Source {
    Bytes(Bytes),
    Stream(mpsc::Receiver<io::Result<Bytes>>),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body { left: bytes.len() as u64, source: Source::Bytes(bytes) }
    }
}

impl Body {
    /// Sends the pieces one after the other, reading files while they are sent.
    pub fn stream(pieces: Vec<Piece>, progress: Option<Progress>) -> Body {
        let total = pieces.iter().map(Piece::len).sum();
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            if let Err(error) = feed(&sender, pieces, total, progress).await {
                sender.send(Err(error)).await.ok();
            }
        });
        Body { source: Source::Stream(receiver), left: total }
    }
}

async fn feed(
    to: &mpsc::Sender<io::Result<Bytes>>,
    pieces: Vec<Piece>,
    total: u64,
    mut progress: Option<Progress>,
) -> io::Result<()> {
    let mut sent = 0;
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => {
                sent += bytes.len() as u64;
                if to.send(Ok(bytes)).await.is_err() {
                    return Ok(());
                }
            }
            Piece::File(path, size) => {
                // A file that grows meanwhile must not exceed the length that was promised.
                let mut file = File::open(path).await?.take(size);
                loop {
                    let mut chunk = Vec::with_capacity(CHUNK);
                    if file.read_buf(&mut chunk).await? == 0 {
                        break;
                    }
                    sent += chunk.len() as u64;
                    if to.send(Ok(chunk.into())).await.is_err() {
                        return Ok(());
                    }
                    if let Some(tell) = &mut progress {
                        tell(sent, total);
                    }
                }
            }
        }
    }
    Ok(())
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut self.source {
            Source::Bytes(bytes) if bytes.is_empty() => None,
            Source::Bytes(bytes) => Some(Ok(std::mem::take(bytes))),
            Source::Stream(chunks) => std::task::ready!(chunks.poll_recv(cx)),
        };
        if let Some(Ok(bytes)) = &next {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
