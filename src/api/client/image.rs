//! Images sent to a server.

use std::path::{Path, PathBuf};

use hyper::Method;

use super::{Client, Piece, Progress, body, envelope};
use crate::api::types::Operation;
use crate::error::Result;

/// An image to send.
#[derive(Default)]
pub struct ImageUpload {
    /// The unified tarball, or the metadata of a split image.
    pub file: PathBuf,
    /// The root file system of a split image, and whether it is a virtual machine's disk.
    pub rootfs: Option<(PathBuf, bool)>,
    /// The name the server keeps.
    pub filename: String,
    /// Whether untrusted callers see it.
    pub public: bool,
    /// Free keys, url-encoded as a query.
    pub properties: String,
}

impl Client {
    /// Uploads an image; the operation's metadata has the `fingerprint`.
    pub async fn upload_image(&self, image: ImageUpload, progress: Option<Progress>) -> Result<Operation> {
        let mut request = self.request(Method::POST, "/1.0/images")?;
        let (kind, pieces) = pieces(&image).await?;
        request = request.header("Content-Type", kind);
        if image.public {
            request = request.header("X-LXD-public", "true");
        }
        for (name, value) in [("X-LXD-filename", &image.filename), ("X-LXD-properties", &image.properties)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let (length, body) = body::stream(pieces, progress);
        let response = self.exchange(request.header("Content-Length", length), body).await?;
        envelope::read(response, "/1.0/images").await?.started()?.operation()
    }
}

/// Content type and pieces of an upload: the file alone, or a form of two parts in the order LXD demands.
async fn pieces(image: &ImageUpload) -> Result<(String, Vec<Piece>)> {
    let file = Piece::file(&image.file).await?;
    let Some((rootfs, disk)) = &image.rootfs else {
        return Ok(("application/octet-stream".into(), vec![file]));
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().replace(['"', '\r', '\n'], "_");
    let boundary = format!("lxbox-{:016x}{:016x}", random(), random());
    let head = |part: &str, path: &Path| {
        let disposition = format!("form-data; name=\"{part}\"; filename=\"{}\"", name(path));
        format!("--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: application/octet-stream\r\n\r\n")
    };
    let second = if *disk { "rootfs.img" } else { "rootfs" };
    let text = |text: String| Piece::Bytes(text.into());
    let pieces = vec![
        text(head("metadata", &image.file)),
        file,
        text(format!("\r\n{}", head(second, rootfs))),
        Piece::file(rootfs).await?,
        text(format!("\r\n--{boundary}--\r\n")),
    ];
    Ok((format!("multipart/form-data; boundary={boundary}"), pieces))
}

/// A number nobody can guess from outside (the seed of the standard library's hash maps).
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
