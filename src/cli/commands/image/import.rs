//! `lxc image import`.

use std::path::{Path, PathBuf};

use argh::{ArgsInfo, FromArgs};
use hyper::Method;

use super::alias::ensure;
use crate::api::client::{ImageUpload, escape};
use crate::api::types::{ImagesPost, ImagesPostSource, Operation};
use crate::cli::commands::file::local;
use crate::cli::context::{Context, Target};
use crate::cli::transfer::sending;
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

/// `lxc image import`.
#[derive(FromArgs, ArgsInfo)]
pub struct Import {
    /// names
    #[argh(option)]
    alias: Vec<String>,
    /// public
    #[argh(switch)]
    public: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc image import`.
pub fn import(cx: &Context, args: Import) -> Result<i32> {
    let (mut files, mut properties, mut target) = (Vec::new(), Vec::new(), cx.target("")?);
    for word in &args.words {
        match word.split_once('=') {
            Some(pair) if !Path::new(word).exists() => properties.push((pair.0.to_string(), pair.1.to_string())),
            _ if word.ends_with(':') => target = cx.target(word)?,
            _ => files.push(word.as_str()),
        }
    }
    // A URL may have that sign too.
    if let ([], Some(first)) = (&files[..], args.words.first().filter(|word| word.contains('='))) {
        files.push(first.as_str());
        properties.remove(0);
    }
    let about = About { properties, public: args.public };
    let imported = match files[..] {
        [url] if url.starts_with("https://") => from_url(&target, url, about)?,
        [url] if url.starts_with("http://") => {
            return Err(Error::invalid("Only https:// is supported for remote image import"));
        }
        [file] => upload(cx, &target, (file, None), about)?,
        [file, rootfs] => upload(cx, &target, (file, Some(rootfs)), about)?,
        _ => return Err(Error::invalid("Invalid number of arguments")),
    };
    let fingerprint = imported.metadata.as_ref().and_then(|m| m.get("fingerprint")).and_then(|f| f.as_str());
    let fingerprint = fingerprint.ok_or_else(|| Error::internal("The server did not say the image's fingerprint"))?;
    cx.tell(&format!("Image imported with fingerprint: {fingerprint}"));
    for alias in &args.alias {
        ensure(&target, alias, fingerprint)?;
    }
    Ok(0)
}

fn from_url(target: &Target, url: &str, about: About) -> Result<Operation> {
    let source = ImagesPostSource {
        kind: "url".into(),
        mode: "pull".into(),
        protocol: "direct".into(),
        url: url.into(),
        ..ImagesPostSource::default()
    };
    let properties = about.properties.into_iter().collect();
    let post = ImagesPost { public: about.public, properties, source: Some(source), ..ImagesPost::default() };
    let operation = target.client.begin(Method::POST, "/1.0/images", &post).wait()?;
    target.client.wait(&operation.id).wait()
}

/// What is said of an image beside its files.
struct About {
    properties: Vec<(String, String)>,
    public: bool,
}

fn upload(cx: &Context, target: &Target, files: (&str, Option<&str>), about: About) -> Result<Operation> {
    let file = PathBuf::from(files.0);
    for file in std::iter::once(files.0).chain(files.1) {
        std::fs::File::open(file).map_err(|e| local("open", file, &e))?;
    }
    if file.is_dir() {
        return Err(Error::unsupported("Importing an image from a directory"));
    }
    let pair = |(key, value): &(String, String)| format!("{}={}", escape(key), escape(value));
    let image = ImageUpload {
        filename: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        rootfs: match files.1 {
            Some(rootfs) => Some((PathBuf::from(rootfs), is_disk(rootfs)?)),
            None => None,
        },
        file,
        public: about.public,
        properties: about.properties.iter().map(pair).collect::<Vec<_>>().join("&"),
    };
    let operation = target.client.upload_image(image, sending(cx, "Transferring image")).wait()?;
    target.client.wait(&operation.id).wait()
}

/// Whether a file is the disk of a virtual machine: qcow2 begins with `QFI` and 0xfb.
fn is_disk(path: &str) -> Result<bool> {
    use std::io::Read;

    use crate::error::{Ctx, Kind};
    let failed = || format!("Failed reading {path:?}");
    let mut magic = [0; 4];
    let mut file = std::fs::File::open(path).ctx(Kind::NotFound, failed)?;
    let read = file.read(&mut magic).ctx(Kind::Internal, failed)?;
    Ok(read == 4 && magic == *b"QFI\xfb")
}
