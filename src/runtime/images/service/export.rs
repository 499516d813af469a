//! Sending an image's files: one as it is, two as `multipart/form-data`.

use std::fs::Metadata;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::Images;
use crate::api::types::EventRequestor;
use crate::runtime::helper::unpack::compression::Format;
use crate::runtime::{random, url};
use crate::store::repo;
use crate::{Ctx, Kind, Result};

const CHUNK: usize = 256 << 10;

/// Bytes to send, and what to say about them.
pub struct Export {
    /// `application/octet-stream`, or `multipart/form-data` with its boundary.
    pub content_type: String,
    /// Bytes in all.
    pub length: u64,
    /// For a single file its name, and when it was changed, in seconds after 1970.
    pub file: Option<(String, i64)>,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    /// And how many bytes of it.
    File(tokio::fs::File, u64),
}

impl Images {
    /// The files of an image as an answer's body.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn export(&self, project: &str, prefix: &str, by: EventRequestor) -> Result<Export> {
        let record = self.db.view(|v| repo::images::by_prefix(v, project, prefix))?;
        let files = self.files(&record);
        let export = match files.rootfs() {
            None => single(files.metadata()).await?,
            Some(rootfs) => double(files.metadata(), &rootfs).await?,
        };
        self.events.announce(project, "image-retrieved", url::of("images", &record.fingerprint, project), &by);
        Ok(export)
    }
}

async fn open(path: &Path) -> Result<(Part, Metadata)> {
    let file = tokio::fs::File::open(path).await.ctx(Kind::Internal, || format!("Failed opening {path:?}"))?;
    let meta = file.metadata().await.ctx(Kind::Internal, || format!("Failed reading {path:?}"))?;
    Ok((Part::File(file, meta.len()), meta))
}

async fn single(path: PathBuf) -> Result<Export> {
    let (part, meta) = open(&path).await?;
    let file = Some((name_of(&path).await?, meta.mtime()));
    Ok(Export { content_type: "application/octet-stream".into(), length: meta.len(), file, parts: vec![part] })
}

async fn double(metadata: PathBuf, rootfs: &Path) -> Result<Export> {
    let boundary = random::hex(30);
    let (first, first_meta) = open(&metadata).await?;
    let (second, second_meta) = open(rootfs).await?;
    let head = |name: &str, file: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
    };
    let before = head("metadata", &format!("meta-{}", name_of(&metadata).await?));
    let between = format!("\r\n{}", head("rootfs", &name_of(rootfs).await?));
    let after = format!("\r\n--{boundary}--\r\n");
    let texts = before.len() + between.len() + after.len();
    Ok(Export {
        content_type: format!("multipart/form-data; boundary={boundary}"),
        length: first_meta.len() + second_meta.len() + texts as u64,
        file: None,
        parts: vec![Part::Text(before), first, Part::Text(between), second, Part::Text(after)],
    })
}

/// The fingerprint with the usual ending for what the file is.
async fn name_of(path: &Path) -> Result<String> {
    let mut head = [0; 512];
    let mut file = tokio::fs::File::open(path).await.ctx(Kind::Internal, || format!("Failed opening {path:?}"))?;
    let n = file.read(&mut head).await.ctx(Kind::Internal, || format!("Failed reading {path:?}"))?;
    let ending = match Format::detect(&head[..n]) {
        Some(Format::Tar) => ".tar",
        Some(Format::Gzip) => ".tar.gz",
        Some(Format::Bzip2) => ".tar.bz2",
        Some(Format::Xz) => ".tar.xz",
        Some(Format::Lzma) => ".tar.lzma",
        Some(Format::Zstd) => ".tar.zst",
        Some(Format::Squashfs) => ".squashfs",
        _ => "",
    };
    Ok(format!("{}{ending}", path.file_stem().unwrap_or_default().to_string_lossy()))
}

impl Export {
    /// A file of ours, under no name.
    pub fn of_file(file: std::fs::File) -> Result<Export> {
        let meta = file.metadata().ctx(Kind::Internal, || "Failed reading a file")?;
        let parts = vec![Part::File(tokio::fs::File::from_std(file), meta.len())];
        let file = Some((String::new(), meta.mtime()));
        Ok(Export { content_type: "application/octet-stream".into(), length: meta.len(), file, parts })
    }

    /// The bytes of a single file from `from` on, `count` at most.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the file can't be read.
    pub async fn narrow(&mut self, from: u64, count: u64) -> Result<()> {
        for part in &mut self.parts {
            if let Part::File(file, left) = part {
                file.seek(SeekFrom::Start(from)).await.ctx(Kind::Internal, || "Failed reading an image".to_owned())?;
                *left = count;
            }
        }
        Ok(())
    }

    /// The bytes, in chunks.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        futures_util::stream::iter(self.parts.into_iter().map(Ok::<_, io::Error>))
            .and_then(|part| async move { Ok(chunks(part)) })
            .try_flatten()
    }
}

fn chunks(part: Part) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    match part {
        Part::Text(text) => futures_util::stream::once(async move { Ok(Bytes::from(text)) }).left_stream(),
        Part::File(file, count) => futures_util::stream::try_unfold(file.take(count), |mut file| async move {
            let mut buffer = bytes::BytesMut::with_capacity(CHUNK);
            let n = file.read_buf(&mut buffer).await?;
            Ok((n > 0).then(|| (buffer.freeze(), file)))
        })
        .right_stream(),
    }
}
