//! The files of one image.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use crate::runtime::images::unpack::{Limits, Request, Runner};
use crate::store::records::ImageRecord;
use crate::{Ctx, Kind, Result};

/// The files of one image, below `LXD_DIR/images`.
#[derive(Clone, Debug)]
pub struct ImageFiles {
    directory: PathBuf,
    fingerprint: String,
    split: bool,
}

impl ImageFiles {
    /// The files of this record.
    pub fn new(directory: &Path, image: &ImageRecord) -> ImageFiles {
        ImageFiles { directory: directory.into(), fingerprint: image.fingerprint.clone(), split: image.split }
    }

    /// SHA-256 of all files, in hex.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The file itself, or the metadata of a split image.
    pub fn metadata(&self) -> PathBuf {
        self.directory.join(&self.fingerprint)
    }

    /// The root file system of a split image.
    pub fn rootfs(&self) -> Option<PathBuf> {
        self.split.then(|| self.directory.join(format!("{}.rootfs", self.fingerprint)))
    }

    /// Unpacks the image into an open, empty directory: `metadata.yaml`, `templates/`, `rootfs/`. Blocks, on a
    /// thread of the daemon's runtime.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is no image; [`Kind::Unavailable`] when the disk is full. What was written stays.
    pub fn unpack(&self, target: BorrowedFd<'_>, devices: bool) -> Result<()> {
        let open = |path: PathBuf| File::open(&path).ctx(Kind::Internal, || format!("Failed opening {path:?}"));
        let files = [Some(self.metadata()), self.rootfs()].into_iter().flatten().map(open).collect::<Result<_>>()?;
        let target = target.try_clone_to_owned().ctx(Kind::Internal, || "Failed using the target directory")?;
        let request = Request { target, files, devices, sync: true, limits: Limits::default() };
        tokio::runtime::Handle::current().block_on(Runner::own().unpack(request, |_, _| {}))?;
        Ok(())
    }

    /// Removes the files; missing ones are fine. Blocks.
    pub fn remove(&self) -> Result<()> {
        for path in [Some(self.metadata()), self.rootfs()].into_iter().flatten() {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other.ctx(Kind::Internal, || format!("Failed removing {path:?}"))?,
            }
        }
        Ok(())
    }
}
