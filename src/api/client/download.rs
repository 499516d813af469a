//! Images fetched from a server: one file, or the two parts of a form.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::{Client, envelope, path, small};
use crate::error::{Ctx, Error, Kind, Result};

/// The most that the head of one part of a form may take, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Where a download goes.
pub enum ExportTarget {
    /// Into this directory, under the server's names.
    Directory(PathBuf),
    /// To this path: one file with the extensions of the server's name, two as `path` and `path.root`.
    File(PathBuf),
}

impl ExportTarget {
    /// The path of a file that the server calls `name`; `part` of `parts` from 0.
    fn file(&self, name: &str, part: usize, parts: usize) -> Result<PathBuf> {
        // The name comes from the server: only its last part is used.
        let plain = Path::new(name).file_name().and_then(|n| n.to_str());
        let plain = plain.ok_or_else(|| Error::invalid(format!("The server sent the file name {name:?}")))?;
        let (file, extension) = match self {
            ExportTarget::Directory(directory) => return Ok(directory.join(plain)),
            ExportTarget::File(file) if parts > 1 => (file, (part > 0).then_some("root")),
            ExportTarget::File(file) => (file, plain.split_once('.').map(|(_, extensions)| extensions)),
        };
        let mut file = file.clone().into_os_string();
        file.push(extension.map_or(String::new(), |e| format!(".{e}")));
        Ok(file.into())
    }
}

impl Client {
    /// Downloads an image and returns the paths of the one or two files it is.
    pub async fn export_image(&self, fingerprint: &str, to: &ExportTarget) -> Result<Vec<PathBuf>> {
        let address = path(&["images", fingerprint, "export"]);
        let response = self.exchange(self.request(Method::GET, &address)?, small(Bytes::new())).await?;
        if !response.status().is_success() {
            envelope::read(response, &address).await?;
            return Err(Error::internal(format!("The server sent no image {fingerprint:?}")));
        }
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
        let (kind, disposition) = (header("content-type"), header("content-disposition"));
        let mut reader = Reader { body: response.into_body(), buffer: BytesMut::new(), ended: false };
        if kind.starts_with("multipart/") {
            let boundary = parameter(&kind, "boundary").ok_or_else(|| Error::internal("The form has no boundary"))?;
            return reader.form(&boundary, to).await;
        }
        let name = parameter(&disposition, "filename");
        let file = to.file(name.as_deref().unwrap_or(fingerprint), 0, 1)?;
        reader.save(&file, None).await?;
        Ok(vec![file])
    }
}

/// A parameter of a header such as `attachment; filename=x.tar.gz`, quoted or not.
fn parameter(header: &str, name: &str) -> Option<String> {
    let value = header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_string())
}

/// A body read piece by piece.
struct Reader {
    body: Incoming,
    buffer: BytesMut,
    ended: bool,
}

impl Reader {
    /// Reads more into the buffer.
    async fn more(&mut self) -> Result<()> {
        loop {
            match self.body.frame().await {
                None => {
                    self.ended = true;
                    return Ok(());
                }
                Some(frame) => {
                    let frame = frame.ctx(Kind::Unavailable, || "Failed downloading the image")?;
                    if let Some(chunk) = frame.data_ref() {
                        self.buffer.extend_from_slice(chunk);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads up to and with a mark, which must come within [`MAX_HEAD`] bytes; returns what is before it.
    async fn until(&mut self, mark: &[u8]) -> Result<BytesMut> {
        loop {
            if let Some(at) = find(&self.buffer, mark) {
                let before = self.buffer.split_to(at);
                _ = self.buffer.split_to(mark.len());
                return Ok(before);
            }
            if self.ended || self.buffer.len() > MAX_HEAD {
                return Err(Error::internal("The server sent a form that is not one"));
            }
            self.more().await?;
        }
    }

    /// Writes to a file what comes before the mark, or all there is; the mark is consumed. A failure leaves no file.
    async fn save(&mut self, file: &Path, mark: Option<&[u8]>) -> Result<()> {
        let copied = self.copy(file, mark).await;
        if copied.is_err() {
            tokio::fs::remove_file(file).await.ok();
        }
        copied
    }

    async fn copy(&mut self, file: &Path, mark: Option<&[u8]>) -> Result<()> {
        let failed = || format!("Failed writing {:?}", file.display());
        let mut out = File::create(file).await.ctx(Kind::Internal, failed)?;
        loop {
            let found = mark.and_then(|mark| find(&self.buffer, mark));
            // The beginning of a mark may stand at the end of what has come so far.
            let safe = found.unwrap_or_else(|| self.buffer.len().saturating_sub(mark.map_or(0, |m| m.len() - 1)));
            let safe = if self.ended && mark.is_none() { self.buffer.len() } else { safe };
            out.write_all(&self.buffer.split_to(safe)).await.ctx(Kind::Internal, failed)?;
            match (found, self.ended) {
                (Some(_), _) => {
                    _ = self.buffer.split_to(mark.map_or(0, <[u8]>::len));
                    break;
                }
                (None, true) if mark.is_none() => break,
                (None, true) => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).ctx(Kind::Unavailable, failed);
                }
                (None, false) => self.more().await?,
            }
        }
        out.flush().await.ctx(Kind::Internal, failed)
    }

    /// Saves the two parts of a form.
    async fn form(&mut self, boundary: &str, to: &ExportTarget) -> Result<Vec<PathBuf>> {
        let (mark, mut files) = (format!("\r\n--{boundary}"), Vec::new());
        self.until(format!("--{boundary}").as_bytes()).await?;
        for part in 0..2 {
            let head = self.until(b"\r\n\r\n").await?;
            let head = String::from_utf8_lossy(&head).into_owned();
            let name = parameter(&head.replace("\r\n", ";"), "filename").unwrap_or_else(|| format!("part{part}"));
            let file = to.file(&name, part, 2)?;
            self.save(&file, Some(mark.as_bytes())).await?;
            files.push(file);
        }
        Ok(files)
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|b| *b == first) {
        if text[from + at..].starts_with(mark) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_file_name_stays_in_the_directory() {
        let to = ExportTarget::Directory("/tmp/x".into());
        assert_eq!(to.file("../../etc/a.tar.gz", 0, 1).ok(), Some(PathBuf::from("/tmp/x/a.tar.gz")));
        assert!(to.file("..", 0, 1).is_err());
        let to = ExportTarget::File("/o/img".into());
        assert_eq!(to.file("a.tar.gz", 0, 1).ok(), Some(PathBuf::from("/o/img.tar.gz")));
        assert_eq!(to.file("a.tar.gz", 0, 2).ok(), Some(PathBuf::from("/o/img")));
        assert_eq!(to.file("b", 1, 2).ok(), Some(PathBuf::from("/o/img.root")));
        assert_eq!(parameter("inline;filename=x.tar.gz", "filename").as_deref(), Some("x.tar.gz"));
    }

    #[test]
    fn a_mark_is_found_after_false_starts() {
        assert_eq!(find(b"\r\r\n--b", b"\r\n--b"), Some(1));
        assert_eq!(find(b"\r\n-", b"\r\n--b"), None);
    }
}
