//! Images up and down.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;

use super::{Body, Client, Piece, Progress, envelope, path};
use crate::api::types::Operation;
use crate::error::{Ctx, Error, Kind, Result};

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
        let response = self.exchange(request, Body::stream(pieces, progress)).await?;
        envelope::read(response, "/1.0/images").await?.started()?.operation()
    }

    /// Downloads an image into `directory`, as one or two files named by the server; returns their paths.
    pub async fn export_image(&self, fingerprint: &str, to: &ExportTarget) -> Result<Vec<PathBuf>> {
        let address = path(&["images", fingerprint, "export"]);
        let response = self.exchange(self.request(Method::GET, &address)?, Body::from(Bytes::new())).await?;
        if !response.status().is_success() {
            envelope::read(response, &address).await?;
            return Err(Error::internal(format!("The server sent no image {fingerprint:?}")));
        }
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
        if header("content-type").starts_with("multipart/") {
            return Err(Error::unsupported("Exporting a split image"));
        }
        let name = parameter(&header("content-disposition"), "filename");
        let file = to.file(name.as_deref().unwrap_or(fingerprint))?;
        save(response.into_body(), &file).await?;
        Ok(vec![file])
    }
}

/// Where a download goes.
pub enum ExportTarget {
    /// Into this directory, under the server's name.
    Directory(PathBuf),
    /// To this path, with the extensions of the server's name.
    File(PathBuf),
}

impl ExportTarget {
    fn file(&self, name: &str) -> Result<PathBuf> {
        // The name comes from the server: only its last part is used.
        let plain = Path::new(name).file_name().and_then(|n| n.to_str());
        let plain = plain.ok_or_else(|| Error::invalid(format!("The server sent the file name {name:?}")))?;
        Ok(match self {
            ExportTarget::Directory(directory) => directory.join(plain),
            ExportTarget::File(file) => {
                let mut file = file.clone().into_os_string();
                if let Some((_, extensions)) = plain.split_once('.') {
                    file.push(format!(".{extensions}"));
                }
                file.into()
            }
        })
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

/// A parameter of a header such as `attachment; filename=x.tar.gz`, quoted or not.
fn parameter(header: &str, name: &str) -> Option<String> {
    let value = header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_string())
}

async fn save(mut body: Incoming, file: &Path) -> Result<()> {
    let failed = || format!("Failed writing {:?}", file.display());
    let mut out = tokio::fs::File::create(file).await.ctx(Kind::Internal, failed)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.ctx(Kind::Unavailable, || "Failed downloading the image")?;
        if let Some(chunk) = frame.data_ref() {
            out.write_all(chunk).await.ctx(Kind::Internal, failed)?;
        }
    }
    out.flush().await.ctx(Kind::Internal, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_file_name_stays_in_the_directory() {
        let to = ExportTarget::Directory("/tmp/x".into());
        assert_eq!(to.file("../../etc/a.tar.gz").ok(), Some(PathBuf::from("/tmp/x/a.tar.gz")));
        assert!(to.file("..").is_err());
        assert_eq!(ExportTarget::File("/o/img".into()).file("a.tar.gz").ok(), Some(PathBuf::from("/o/img.tar.gz")));
        assert_eq!(parameter("inline;filename=x.tar.gz", "filename").as_deref(), Some("x.tar.gz"));
    }
}
