//! What an image puts beside an instance's `rootfs`: `metadata.yaml` and `templates/`, read and changed below a directory descriptor.
//!
//! The guest can't reach them, but they come out of an image: names are looked up without following any link, only regular files are
//! read, and all of it is bounded. Files are replaced by a rename, never written into. Everything blocks.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{metadata, template};
use crate::api::types::{self, ImageMetadata};
use crate::error::{Ctx, Error, Kind, Result};
use crate::order::Order;
use crate::runtime::sys::root;

const METADATA: &str = "metadata.yaml";
const TEMPLATES: &str = "templates";
/// What is being written; one name, so that a crash leaves one file at most, which the next write takes away.
const FRESH: &str = ".lxbox-new";
/// Templates that are listed.
const LISTED: usize = 10_000;

/// The directory of an instance's volume.
pub struct Place {
    directory: OwnedFd,
    path: PathBuf,
}

/// A template's file.
pub struct Text {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its last change, in seconds since 1970.
    pub modified: i64,
}

impl Place {
    /// Opens the directory; its path is ours.
    pub fn open(path: &Path) -> Result<Place> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory =
            rustix::fs::open(path, flags, Mode::empty()).ctx(Kind::Internal, || format!("Failed opening {path:?}"))?;
        Ok(Place { directory, path: path.to_owned() })
    }

    /// What `metadata.yaml` says; none when there is no such file.
    pub fn metadata(&self) -> Result<Option<ImageMetadata>> {
        let Some(text) = self.metadata_text()? else { return Ok(None) };
        let text = String::from_utf8(text.bytes).ctx(Kind::Invalid, || format!("Failed reading {METADATA:?}"))?;
        metadata::parse(&text).map(Some)
    }

    /// `metadata.yaml` as it is; none when there is no such file.
    pub fn metadata_text(&self) -> Result<Option<Text>> {
        self.read(&self.directory, METADATA, metadata::MAX)
    }

    /// Replaces `metadata.yaml`.
    pub fn write_metadata(&self, metadata: &ImageMetadata) -> Result<()> {
        let text = types::to_yaml(metadata).ctx(Kind::Internal, || format!("Failed writing {METADATA:?}"))?;
        if text.len() > metadata::MAX {
            return Err(Error::invalid(format!("{METADATA:?} is longer than {} bytes", metadata::MAX)));
        }
        self.replace(&self.directory, METADATA, text.as_bytes())
    }

    /// The open `templates/`; none when there is no such directory.
    pub fn templates(&self) -> Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match root::beneath(self.directory.as_fd(), Path::new(TEMPLATES), flags, 0) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            opened => {
                opened.map(Some).ctx(Kind::Internal, || format!("Failed opening the templates in {:?}", self.path))
            }
        }
    }

    /// Names of the templates, sorted.
    pub fn list(&self) -> Result<Vec<String>> {
        let Some(templates) = self.templates()? else { return Ok(Vec::new()) };
        let failed = || format!("Failed listing the templates in {:?}", self.path);
        let mut names = Vec::new();
        for entry in Dir::read_from(&templates).ctx(Kind::Internal, failed)?.take(LISTED) {
            let entry = entry.ctx(Kind::Internal, failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name != FRESH && entry.file_type() == FileType::RegularFile {
                names.push(name.to_owned());
            }
        }
        names.order();
        Ok(names)
    }

    /// A template's text.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn template(&self, name: &str) -> Result<Text> {
        check_name(name)?;
        let text = match self.templates()? {
            Some(templates) => self.read(&templates, name, template::MAX_TEXT)?,
            None => None,
        };
        text.ok_or_else(|| missing(name))
    }

    /// Makes a template, or replaces its text.
    pub fn write_template(&self, name: &str, text: &[u8]) -> Result<()> {
        check_name(name)?;
        if text.len() > template::MAX_TEXT {
            return Err(Error::invalid(format!("A template is longer than {} bytes", template::MAX_TEXT)));
        }
        let templates = match self.templates()? {
            Some(templates) => templates,
            None => {
                let made = rustix::fs::mkdirat(&self.directory, TEMPLATES, Mode::from_raw_mode(0o711));
                made.ctx(Kind::Internal, || format!("Failed making {TEMPLATES:?} in {:?}", self.path))?;
                self.templates()?.ok_or_else(|| Error::internal("The templates' directory went away"))?
            }
        };
        self.replace(&templates, name, text)
    }

    /// Removes a template.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn remove_template(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let templates = self.templates()?.ok_or_else(|| missing(name))?;
        match rustix::fs::unlinkat(&templates, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Err(missing(name)),
            removed => removed.ctx(Kind::Internal, || format!("Failed removing template {name:?}")),
        }
    }

    /// At most `most` bytes of a regular file; none when there is no file.
    fn read(&self, directory: &OwnedFd, name: &str, most: usize) -> Result<Option<Text>> {
        let failed = || format!("Failed reading {name:?} in {:?}", self.path);
        // Not waiting for the other end of a fifo.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match root::beneath(directory.as_fd(), Path::new(name), flags, 0) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.ctx(Kind::Invalid, failed)?,
        };
        let stat = rustix::fs::fstat(&file).ctx(Kind::Internal, failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::invalid(format!("{}: it is not a regular file", failed())));
        }
        let mut bytes = Vec::new();
        File::from(file).take(most as u64 + 1).read_to_end(&mut bytes).ctx(Kind::Internal, failed)?;
        match bytes.len() > most {
            true => Err(Error::invalid(format!("{}: it is longer than {most} bytes", failed()))),
            false => Ok(Some(Text { bytes, modified: stat.st_mtime })),
        }
    }

    fn replace(&self, directory: &OwnedFd, name: &str, text: &[u8]) -> Result<()> {
        let failed = || format!("Failed writing {name:?} in {:?}", self.path);
        match rustix::fs::unlinkat(directory, FRESH, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e).ctx(Kind::Internal, failed),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(directory, FRESH, flags, Mode::from_raw_mode(0o644)).ctx(Kind::Internal, failed)?;
        let mut file = File::from(file);
        let written = file.write_all(text).and_then(|()| file.sync_all());
        if let Err(e) = written {
            let _ = rustix::fs::unlinkat(directory, FRESH, AtFlags::empty());
            return Err(e).ctx(Kind::Unavailable, failed);
        }
        rustix::fs::renameat(directory, FRESH, directory, name).ctx(Kind::Internal, failed)
    }
}

/// Refuses names that are no plain file name.
fn check_name(name: &str) -> Result<()> {
    let plain = !name.is_empty() && name.len() <= 255 && !name.contains(['/', '\0']);
    match plain && name != "." && name != ".." && name != FRESH {
        true => Ok(()),
        false => Err(Error::invalid("Invalid template filename")),
    }
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("Template {name:?} not found"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("lxbox-place-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("own")).unwrap();
            Scratch(path)
        }

        fn place(&self) -> Place {
            Place::open(&self.0.join("own")).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new("plain");
        let place = scratch.place();
        assert!(place.metadata().unwrap().is_none() && place.list().unwrap().is_empty());
        assert_eq!(place.template("a").err().unwrap().message(), "Template \"a\" not found");
        let mut metadata = ImageMetadata { architecture: "x86_64".into(), creation_date: 7, ..Default::default() };
        let odd = [("release", "1.50"), ("b", "yes"), ("c", "a\nb: c\n"), ("d", ""), ("e", "null"), ("0x1", "#x \"'")];
        metadata.properties = odd.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        metadata.templates.insert("/etc/x".into(), Default::default());
        place.write_metadata(&metadata).unwrap();
        assert_eq!(place.metadata().unwrap(), Some(metadata));
        place.write_template("b", b"2").unwrap();
        place.write_template("a", b"").unwrap();
        assert_eq!(
            (place.list().unwrap(), place.template("b").unwrap().bytes),
            (vec!["a".into(), "b".into()], b"2".to_vec())
        );
        place.remove_template("a").unwrap();
        assert_eq!(place.remove_template("a").unwrap_err().kind(), Kind::NotFound);
        assert!(place.write_template("b", &vec![0; template::MAX_TEXT + 1]).is_err());
    }

    #[test]
    fn hostile_files_lead_nowhere() {
        let scratch = Scratch::new("hostile");
        let (own, secret) = (scratch.0.join("own"), scratch.0.join("secret"));
        fs::create_dir(own.join("templates")).unwrap();
        fs::write(&secret, "architecture: host").unwrap();
        symlink(&secret, own.join("metadata.yaml")).unwrap();
        symlink(&secret, own.join("templates/link")).unwrap();
        symlink(&secret, own.join("templates/.lxbox-new")).unwrap();
        let place = scratch.place();
        rustix::fs::mknodat(place.templates().unwrap().unwrap(), "fifo", FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(place.metadata().is_err() && place.template("link").is_err() && place.template("fifo").is_err());
        assert!(place.list().unwrap().is_empty());
        for name in ["", ".", "..", "../x", "a/b", "/x", "a\0", ".lxbox-new", &"x".repeat(256)] {
            assert_eq!(place.template(name).err().unwrap().message(), "Invalid template filename", "{name:?}");
            assert!(place.write_template(name, b"").is_err() && place.remove_template(name).is_err());
        }
        place.write_metadata(&ImageMetadata::default()).unwrap();
        place.write_template("link", b"own").unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "architecture: host");
        assert_eq!(place.template("link").unwrap().bytes, b"own");
        fs::remove_dir_all(own.join("templates")).unwrap();
        symlink(&scratch.0, own.join("templates")).unwrap();
        assert!(place.list().is_err() && place.template("secret").is_err() && place.write_template("x", b"").is_err());
    }
}
