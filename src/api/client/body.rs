//! Bodies of requests: a few bytes, or files streamed one after the other with the length known before.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use rustix::buffer::spare_capacity;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::error::{Ctx, Kind, Result};
use crate::task::spawn;

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
    /// What comes from this until it ends; nobody knows how much.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
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
            Piece::Reader(_) => 0,
        }
    }

    /// Whether its length is known.
    pub(super) fn is_sized(&self) -> bool {
        !matches!(self, Piece::Reader(_))
    }
}

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body of a few bytes.
pub fn small(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body of pieces sent one after the other, files being read meanwhile, and its length for `Content-Length`.
pub fn stream(pieces: Vec<Piece>, progress: Option<Progress>) -> (u64, Body) {
    let total = pieces.iter().map(Piece::len).sum();
    let (sender, receiver) = mpsc::channel(4);
    spawn(async move {
        if let Err(error) = feed(&sender, pieces, total, progress).await {
            sender.send(Err(error)).await.ok();
        }
    });
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async {
        let chunk: io::Result<Bytes> = receiver.recv().await?;
        Some((chunk.map(Frame::data), receiver))
    });
    (total, StreamBody::new(chunks).boxed_unsync())
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
                let (to, mut told) = (to.clone(), progress.take());
                let reader = move || {
                    let read = read_file(&to, &path, size, &mut |n| tell(&mut told, &mut sent, n, total));
                    read.map(|taken| (taken, told, sent))
                };
                let taken;
                (taken, progress, sent) = tokio::task::spawn_blocking(reader).await??;
                if !taken {
                    return Ok(());
                }
            }
            Piece::Reader(mut reader) => {
                if !copy(to, &mut reader, &mut |n| tell(&mut progress, &mut sent, n, total)).await? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn tell(progress: &mut Option<Progress>, sent: &mut u64, more: u64, total: u64) {
    *sent += more;
    if let Some(progress) = progress {
        progress(*sent, total);
    }
}

/// Sends the first `size` bytes of a file; false when nobody takes them any more. Blocks: a thread of its own reads ahead, and
/// copies nothing twice.
fn read_file(
    to: &mpsc::Sender<io::Result<Bytes>>,
    path: &Path,
    size: u64,
    told: &mut dyn FnMut(u64),
) -> io::Result<bool> {
    let file = File::open(path)?;
    let (give_back, given_back) = std::sync::mpsc::channel::<Vec<u8>>();
    let mut left = size;
    while left > 0 {
        let mut buffer = given_back.try_recv().unwrap_or_default();
        buffer.clear();
        buffer.reserve_exact(CHUNK);
        rustix::io::retry_on_intr(|| rustix::io::read(&file, spare_capacity(&mut buffer)))?;
        // A file that grows meanwhile must not exceed the length that was promised.
        buffer.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let read = buffer.len() as u64;
        if read == 0 {
            break;
        }
        left -= read;
        let lent = Lent { buffer, give_back: give_back.clone() };
        if to.blocking_send(Ok(Bytes::from_owner(lent))).is_err() {
            return Ok(false);
        }
        told(read);
    }
    Ok(true)
}

/// A buffer on its way, of use again once it is sent: its pages cost more than what is copied into them.
struct Lent {
    buffer: Vec<u8>,
    give_back: std::sync::mpsc::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // The reader may be done.
        let _ = self.give_back.send(std::mem::take(&mut self.buffer));
    }
}

/// Sends what a reader gives until its end; false when nobody takes it any more.
async fn copy(
    to: &mpsc::Sender<io::Result<Bytes>>,
    from: &mut (impl AsyncRead + Unpin),
    told: &mut (dyn FnMut(u64) + Send),
) -> io::Result<bool> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = from.read_buf(&mut chunk).await?;
        if read == 0 {
            return Ok(true);
        }
        if to.send(Ok(chunk.into())).await.is_err() {
            return Ok(false);
        }
        told(read as u64);
    }
}
