//! Receives an uploaded image: one pass that hashes, counts and stores it.
//!
//! ```text
//! Receiver ── write(chunk)* ──> finish ──> Received ── commit ──> images/FINGERPRINT[.rootfs]
//!    └───────── dropped at any point before commit: nothing is left ─────────┘
//! ```
//!
//! Everything here blocks (file writes); the daemon feeds it on a blocking thread.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::hash::Hashing;
use super::metadata;
use super::multipart::{self, Event, Parser};
use crate::api::types::ImageMetadata;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::helper::unpack::plan::{Inspection, RootKind};

/// Bytes that are written and hashed at a time.
const BLOCK: usize = 64 * 1024;
/// Bytes after which they are brought to the disk, while the hash, which is slower, is behind: at the end little is left to wait for.
const SYNC: usize = 8 << 20;

/// How drafts begin; a crash can leave them, [`clean`] takes them away.
const DRAFT: &str = ".upload-";

/// Takes the bytes of one upload.
pub struct Receiver {
    directory: PathBuf,
    parser: Option<Parser>,
    parts: Parts,
}

/// The files of an upload so far. The hash goes over all of them, in order.
struct Parts {
    directory: PathBuf,
    drafts: Vec<Draft>,
    /// The last part's file name.
    filename: Option<String>,
    disk: bool,
    hash: Hashing,
    /// What came and is neither written nor hashed yet: less than a block.
    block: Vec<u8>,
    /// Bytes written since the last sync.
    unsynced: usize,
    size: u64,
    max: u64,
}

/// A file below `images/` that is removed unless it gets its name.
struct Draft {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Draft {
    fn create(directory: &Path) -> Result<Draft> {
        let mut bytes = [0u8; 8];
        let failed = || format!("Failed creating a file in {directory:?}");
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ctx(Kind::Internal, failed)?;
        let path = directory.join(format!("{DRAFT}{:016x}", u64::from_ne_bytes(bytes)));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .ctx(Kind::Internal, failed)?;
        Ok(Draft { file, path, kept: false })
    }

    fn rename(&mut self, to: &Path) -> Result<()> {
        self.file.sync_data().ctx(Kind::Internal, || format!("Failed writing {:?}", self.path))?;
        fs::rename(&self.path, to).ctx(Kind::Internal, || format!("Failed renaming {:?} to {to:?}", self.path))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody can be told; `clean` meets it again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Parts {
    fn begin(&mut self) -> Result<()> {
        self.drafts.push(Draft::create(&self.directory)?);
        Ok(())
    }

    /// A part of a multipart body begins: `metadata`, then `rootfs` or `rootfs.img`, and no more.
    fn part(&mut self, name: &str, file: String) -> Result<()> {
        match (self.drafts.len(), name) {
            (0, "metadata") | (1, "rootfs") => {}
            (1, "rootfs.img") => self.disk = true,
            _ => return Err(Error::invalid("Invalid multipart image")),
        }
        self.filename = Some(file);
        self.flush()?;
        self.begin()
    }

    fn data(&mut self, data: &[u8]) -> Result<()> {
        self.size += data.len() as u64;
        if self.size > self.max {
            return Err(Error::invalid(format!("The image is larger than {} bytes", self.max)));
        }
        let mut rest = data;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            rest = later;
            if self.block.len() == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let draft = self.drafts.last_mut().ok_or_else(|| Error::internal("Failed receiving an image"))?;
        let failed = || format!("Failed writing {:?}", draft.path);
        draft.file.write_all(&block).ctx(Kind::Internal, failed)?;
        self.unsynced += block.len();
        self.hash.update(block)?;
        if self.unsynced >= SYNC {
            draft.file.sync_data().ctx(Kind::Internal, failed)?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl Receiver {
    /// Receives into drafts in `directory` (`LXD_DIR/images`). A `content_type` of `multipart/form-data` means a split
    /// image, any other a unified one. More than `max` bytes are refused.
    pub fn new(directory: &Path, content_type: Option<&str>, max: u64) -> Result<Receiver> {
        let mut parts = Parts {
            directory: directory.to_owned(),
            drafts: Vec::new(),
            filename: None,
            disk: false,
            hash: Hashing::begin()?,
            block: Vec::new(),
            unsynced: 0,
            size: 0,
            max,
        };
        let multipart =
            content_type.filter(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"));
        let parser = match multipart {
            Some(kind) => {
                let boundary =
                    multipart::boundary(kind).ok_or_else(|| Error::invalid("multipart: boundary is empty"))?;
                Some(Parser::new(&boundary))
            }
            None => {
                parts.begin()?;
                None
            }
        };
        Ok(Receiver { directory: directory.to_owned(), parser, parts })
    }

    /// Takes the next bytes of the body. Blocks.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let parts = &mut self.parts;
        match &mut self.parser {
            None => parts.data(bytes),
            Some(parser) => parser.feed(bytes, &mut |event| match event {
                Event::Part(name, file) => parts.part(&name, file),
                Event::Data(data) => parts.data(data),
            }),
        }
    }

    /// The file of a unified image, for somebody who writes it himself; [`Receiver::take_in`] follows.
    pub fn file(&self) -> Result<File> {
        let draft = self.parts.drafts.first().ok_or_else(|| Error::internal("Failed receiving an image"))?;
        draft.file.try_clone().ctx(Kind::Internal, || format!("Failed opening {:?}", draft.path))
    }

    /// Counts and hashes what somebody else has written. Blocks.
    pub fn take_in(&mut self) -> Result<()> {
        let file = self.file()?;
        let failed = || "Failed reading an image";
        self.parts.size = file.metadata().ctx(Kind::Internal, failed)?.len();
        if self.parts.size > self.parts.max {
            return Err(Error::invalid(format!("The image is larger than {} bytes", self.parts.max)));
        }
        let mut at = 0;
        while at < self.parts.size {
            let mut block = vec![0; BLOCK.min((self.parts.size - at) as usize)];
            file.read_exact_at(&mut block, at).ctx(Kind::Internal, failed)?;
            at += block.len() as u64;
            self.parts.hash.update(block)?;
        }
        Ok(())
    }

    /// The body has ended. A given `fingerprint` must be the image's one.
    pub fn finish(mut self, fingerprint: Option<&str>) -> Result<Received> {
        let split = self.parser.is_some();
        if let Some(parser) = self.parser {
            parser.finish()?;
            if self.parts.drafts.len() != 2 {
                // LXD's text.
                return Err(Error::invalid("EOF"));
            }
        }
        self.parts.flush()?;
        let got = self.parts.hash.finish()?;
        if let Some(expected) = fingerprint.filter(|expected| !expected.is_empty() && *expected != got) {
            // LXD's text.
            return Err(Error::invalid(format!("fingerprints don't match, got {got} expected {expected}")));
        }
        Ok(Received {
            directory: self.directory,
            drafts: self.parts.drafts,
            fingerprint: got,
            size: self.parts.size,
            split,
            filename: self.parts.filename,
            disk: self.parts.disk,
        })
    }
}

/// An upload that has come whole, not yet an image. Dropped, it leaves nothing.
pub struct Received {
    directory: PathBuf,
    drafts: Vec<Draft>,
    fingerprint: String,
    size: u64,
    split: bool,
    filename: Option<String>,
    disk: bool,
}

/// An image whose files are in their place.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// SHA-256 of the file, or of metadata and rootfs one after the other; 64 hex digits.
    pub fingerprint: String,
    /// Bytes of all files.
    pub size: u64,
    /// Whether the root file system has a file of its own.
    pub split: bool,
    /// The file name that the root's part of a split image came with, maybe empty: it counts instead of
    /// `X-LXD-filename`, as with LXD. `None` for a unified image.
    pub filename: Option<String>,
    /// What its root is; only [`RootKind::Tree`] comes this far for now.
    pub root: RootKind,
    /// What it says of itself, checked, with LXD's name of the architecture.
    pub metadata: ImageMetadata,
}

impl Received {
    /// SHA-256 of what came; 64 hex digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Bytes that came, without the multipart framing.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// New handles on the files, for [`super::unpack::Runner::inspect`]. They share their position with ours.
    pub fn files(&self) -> Result<Vec<File>> {
        let clone =
            |draft: &Draft| draft.file.try_clone().ctx(Kind::Internal, || format!("Failed opening {:?}", draft.path));
        self.drafts.iter().map(clone).collect()
    }

    /// Checks what the inspection found: a valid `metadata.yaml`, and a root that can be used.
    pub fn check(&self, inspection: &Inspection) -> Result<ImageMetadata> {
        let metadata = metadata::checked(&inspection.metadata)?;
        match inspection.root {
            _ if self.disk => Err(Error::unsupported("A virtual machine image")),
            RootKind::Disk => Err(Error::unsupported("A virtual machine image")),
            RootKind::Squashfs | RootKind::Tree => Ok(metadata),
        }
    }

    /// Checks the image, writes it to the disk and gives it its name. Blocks. Fails without leaving anything.
    pub fn commit(mut self, inspection: &Inspection) -> Result<Imported> {
        let metadata = self.check(inspection)?;
        // The root first: the file under the plain fingerprint is the one that says the image is there.
        for index in (0..self.drafts.len()).rev() {
            let to = self.directory.join(file_name(&self.fingerprint, index > 0));
            self.drafts[index].rename(&to)?;
        }
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .ctx(Kind::Internal, || format!("Failed writing {:?}", self.directory))?;
        Ok(Imported {
            fingerprint: std::mem::take(&mut self.fingerprint),
            size: self.size,
            split: self.split,
            filename: self.filename.take(),
            root: inspection.root,
            metadata,
        })
    }
}

fn file_name(fingerprint: &str, root: bool) -> String {
    if root { format!("{fingerprint}.rootfs") } else { fingerprint.to_owned() }
}

/// Opens an image's files for reading: the unified one, or metadata and rootfs. Blocks.
pub fn open(directory: &Path, fingerprint: &str, split: bool) -> Result<Vec<File>> {
    let open = |root| {
        let path = directory.join(file_name(fingerprint, root));
        File::open(&path).ctx(Kind::Internal, || format!("Failed opening {path:?}"))
    };
    let mut files = vec![open(false)?];
    if split {
        files.push(open(true)?);
    }
    Ok(files)
}

/// Removes an image's files; those that aren't there are fine. Blocks.
pub fn remove(directory: &Path, fingerprint: &str) -> Result<()> {
    for root in [false, true] {
        let path = directory.join(file_name(fingerprint, root));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).ctx(Kind::Internal, || format!("Failed removing {path:?}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes the drafts that a crash has left; for the daemon's start, before the first upload. Blocks.
pub fn clean(directory: &Path) -> Result<()> {
    let failed = || format!("Failed cleaning {directory:?}");
    for entry in fs::read_dir(directory).ctx(Kind::Internal, failed)? {
        let entry = entry.ctx(Kind::Internal, failed)?;
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            fs::remove_file(entry.path()).ctx(Kind::Internal, failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("lxbox-import-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> =
                fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn inspection(root: RootKind) -> Inspection {
        Inspection { metadata: "architecture: amd64\ncreation_date: 1\n".into(), root }
    }

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_unified_image_gets_its_name() {
        let scratch = Scratch::new("unified");
        let mut receiver = Receiver::new(&scratch.0, Some("application/octet-stream"), 100).unwrap();
        receiver.write(b"a").unwrap();
        receiver.write(b"bc").unwrap();
        let received = receiver.finish(Some(ABC)).unwrap();
        let imported = received.commit(&inspection(RootKind::Tree)).unwrap();
        assert_eq!((imported.fingerprint.as_str(), imported.size, imported.split), (ABC, 3, false));
        assert_eq!(imported.metadata.architecture, "x86_64");
        assert_eq!(scratch.names(), [ABC]);
        remove(&scratch.0, ABC).unwrap();
        remove(&scratch.0, ABC).unwrap();
        assert!(scratch.names().is_empty());
    }

    #[test]
    fn a_split_image_is_hashed_over_both_files() {
        let scratch = Scratch::new("split");
        let mut receiver = Receiver::new(&scratch.0, Some("multipart/form-data; boundary=Z"), 100).unwrap();
        let body = b"--Z\r\nContent-Disposition: form-data; name=metadata\r\n\r\na\r\n--Z\r\n\
            Content-Disposition: form-data; name=rootfs; filename=r\r\n\r\nbc\r\n--Z--\r\n";
        receiver.write(body).unwrap();
        let imported = receiver.finish(None).unwrap().commit(&inspection(RootKind::Tree)).unwrap();
        assert_eq!((imported.fingerprint.as_str(), imported.size, imported.split), (ABC, 3, true));
        assert_eq!(imported.filename.as_deref(), Some("r"));
        assert_eq!(scratch.names(), [ABC.to_owned(), format!("{ABC}.rootfs")]);
        assert_eq!(open(&scratch.0, ABC, true).unwrap().len(), 2);
    }

    #[test]
    fn every_failure_leaves_nothing() {
        let scratch = Scratch::new("failures");
        let unified = || {
            let mut receiver = Receiver::new(&scratch.0, None, 3).unwrap();
            receiver.write(b"abc").unwrap();
            receiver
        };
        let error = unified().finish(Some("00")).err().unwrap();
        assert_eq!(error.message(), format!("fingerprints don't match, got {ABC} expected 00"));
        assert!(unified().write(b"d").is_err());
        drop(unified());
        let disk = inspection(RootKind::Disk);
        assert_eq!(unified().finish(None).unwrap().commit(&disk).unwrap_err().kind(), Kind::Unsupported);
        let bad = Inspection { metadata: "architecture: x86_64".into(), root: RootKind::Tree };
        assert!(unified().finish(None).unwrap().commit(&bad).is_err());
        for names in [&["rootfs"][..], &[""], &["metadata", "metadata"], &["metadata", "rootfs", "rootfs"]] {
            let mut receiver = Receiver::new(&scratch.0, Some("multipart/form-data; boundary=Z"), 100).unwrap();
            let mut body = String::new();
            for name in names {
                body.push_str(&format!("--Z\r\nContent-Disposition: form-data; name={name}\r\n\r\na\r\n"));
            }
            body.push_str("--Z--");
            let result = receiver.write(body.as_bytes()).and_then(|()| receiver.finish(None).map(|_| ()));
            assert_eq!(result.unwrap_err().message(), "Invalid multipart image", "{names:?}");
        }
        assert!(scratch.names().is_empty(), "{:?}", scratch.names());
        fs::write(scratch.0.join(".upload-left"), "").unwrap();
        clean(&scratch.0).unwrap();
        assert!(scratch.names().is_empty());
    }
}
