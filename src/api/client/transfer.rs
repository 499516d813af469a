//! Content that is no JSON: what is sent to a server from files, and what it sends back.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;

use super::body::{self, Piece, Progress};
use super::{Client, Started, envelope, path, small, with_query};
use crate::api::types;
use crate::error::{Ctx, Error, Kind, Result};

/// Something to send.
pub struct Upload {
    /// Where to, with the query.
    pub address: String,
    /// Headers beside those of every request.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub content: Vec<Piece>,
}

impl Client {
    /// `POST`s content as it is. Needs memory for a few buffers whatever the size.
    pub async fn upload(&self, upload: Upload, progress: Option<Progress>) -> Result<Started> {
        let mut request =
            self.request(Method::POST, &upload.address)?.header("Content-Type", "application/octet-stream");
        for (name, value) in &upload.headers {
            request = request.header(*name, value);
        }
        let sized = upload.content.iter().all(Piece::is_sized);
        let (length, body) = body::stream(upload.content, progress);
        if sized {
            request = request.header("Content-Length", length);
        }
        let response = self.exchange(request, body).await?;
        envelope::read(response, &upload.address).await?.started()
    }

    /// `GET`s content that has no envelope; a server's error is one here.
    pub async fn download(&self, address: &str) -> Result<Download> {
        let response = self.exchange(self.request(Method::GET, address)?, small(Bytes::new())).await?;
        if !response.status().is_success() {
            envelope::read(response, address).await?;
            return Err(Error::internal(format!("The server sent nothing for {address:?}")));
        }
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        let length = header("content-length").and_then(|v| v.parse().ok());
        Ok(Download { length, body: response.into_body() })
    }

    /// A file, directory or link of an instance.
    pub async fn file(&self, instance: &str, file: &str) -> Result<InstanceFile> {
        let address = file_address(instance, file);
        let response = self.exchange(self.request(Method::GET, &address)?, small(Bytes::new())).await?;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
        let number = |name| header(name).parse().unwrap_or(0);
        let (uid, gid, kind) = (number("x-lxd-uid"), number("x-lxd-gid"), header("x-lxd-type"));
        // The mode is octal; nobody else's bits are taken from a server.
        let mode = u32::from_str_radix(&header("x-lxd-mode"), 8).unwrap_or(0o644) & 0o7777;
        let length = header("content-length").parse().ok();
        let content = match kind.as_str() {
            _ if !response.status().is_success() => {
                envelope::read(response, &address).await?;
                return Err(Error::internal(format!("The server sent no file {file:?}")));
            }
            "directory" => {
                let reply = envelope::read(response, &address).await?;
                let names: Vec<String> = types::from_json(reply.metadata().as_bytes())
                    .ctx(Kind::Internal, || format!("Failed reading the names in {file:?}"))?;
                FileContent::Directory(names)
            }
            "symlink" => {
                let target = envelope::collect(response.into_body(), MAX_LINK, &address).await?;
                FileContent::Link(String::from_utf8_lossy(&target).trim().to_string())
            }
            "file" | "" => FileContent::File(Download { length, body: response.into_body() }),
            other => return Err(Error::invalid(format!("Unknown file type '{other}'"))),
        };
        Ok(InstanceFile { uid, gid, mode, content })
    }
}

/// The most a link's target may take, in bytes.
const MAX_LINK: usize = 64 << 10;

/// The address of a path in an instance.
pub fn file_address(instance: &str, file: &str) -> String {
    with_query(&path(&["instances", instance, "files"]), &[("path", file)])
}

/// What lies at a path in an instance.
pub struct InstanceFile {
    /// Owner, as the guest sees it.
    pub uid: u32,
    /// Group, as the guest sees it.
    pub gid: u32,
    /// Permissions.
    pub mode: u32,
    /// What it is.
    pub content: FileContent,
}

/// What a path in an instance is.
pub enum FileContent {
    /// A file; its content comes when it is asked for.
    File(Download),
    /// A directory and the names in it.
    Directory(Vec<String>),
    /// A symbolic link and its target.
    Link(String),
}

/// Content that arrives.
pub struct Download {
    /// How much it is, in bytes, if the server says so.
    pub length: Option<u64>,
    body: Incoming,
}

impl Download {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.ctx(Kind::Unavailable, || "Failed downloading")?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
