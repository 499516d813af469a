//! `lxc image export`, `refresh` and `copy`.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::Value;

use super::alias::{dereference, ensure};
use crate::api::client::{ExportTarget, path};
use crate::api::types::{Image, ImagesPost, ImagesPostSource};
use crate::cli::commands::args::{Vm, Words};
use crate::cli::commands::file::local;
use crate::cli::context::{Context, Target};
use crate::cli::wait::{Read, Wait};
use crate::cli::waiting::run;
use crate::error::{Error, Kind, Result};

/// `lxc image export`.
pub fn export(cx: &Context, args: Vm) -> Result<i32> {
    let target = cx.target(&args.words[0])?;
    let fingerprint = dereference(&target, args.vm)?;
    let to = match args.words.get(1).map(PathBuf::from) {
        None => ExportTarget::Directory(".".into()),
        Some(path) if path.is_dir() => ExportTarget::Directory(path),
        Some(path) => ExportTarget::File(path),
    };
    if let ExportTarget::File(path) = &to {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let found = parent.map_or(Ok(()), |parent| std::fs::metadata(parent).map(drop));
        found.map_err(|e| local("open", &path.to_string_lossy(), &e))?;
    }
    target.client.export_image(&fingerprint, &to).wait()?;
    cx.tell("Image exported successfully!");
    Ok(0)
}

/// `lxc image refresh`.
pub fn refresh(cx: &Context, args: Words) -> Result<i32> {
    for word in &args.words {
        let target = cx.target(word)?;
        target.client.require("image_force_refresh").wait()?;
        let fingerprint = dereference(&target, false)?;
        let operation = target
            .client
            .begin(Method::POST, &path(&["images", &fingerprint, "refresh"]), &serde_json::json!({}))
            .wait()?;
        let ended = target.client.wait(&operation.id).wait()?;
        let refreshed = ended.metadata.as_ref().and_then(|m| m.get("refreshed")).and_then(|r| r.as_bool());
        match refreshed.unwrap_or(false) {
            true => cx.tell("Image refreshed successfully!"),
            false => cx.tell("Image already up to date."),
        }
    }
    Ok(0)
}

/// `lxc image copy`.
#[derive(FromArgs, ArgsInfo)]
pub struct Copy {
    /// names
    #[argh(option)]
    alias: Vec<String>,
    /// keep it up to date
    #[argh(switch)]
    auto_update: bool,
    /// its names too
    #[argh(switch)]
    copy_aliases: bool,
    /// how data travels
    #[argh(option)]
    mode: String,
    /// public
    #[argh(switch)]
    public: bool,
    /// project
    #[argh(option)]
    target_project: Option<String>,
    /// virtual machines
    #[argh(switch)]
    vm: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc image copy`: the target fetches it from one of the addresses at which the source listens.
pub fn copy(cx: &Context, args: Copy) -> Result<i32> {
    let (source, mut target) = (cx.target(&args.words[0])?, cx.target(&args.words[1])?);
    if !target.name.is_empty() {
        return Err(Error::invalid("Can't provide a name for the target image"));
    }
    let fingerprint = dereference(&source, args.vm)?;
    let image: Image = source.client.read(&path(&["images", &fingerprint]))?;
    if source.remote == target.remote && args.target_project.is_none() {
        return Err(Error::invalid("The source and target servers must be different"));
    }
    let server = source.client.server().wait()?.environment;
    if server.addresses.is_empty() {
        return Err(Error::invalid("The source server isn't listening on the network"));
    }
    if args.mode != "pull" {
        return Err(Error::unsupported(format!("Copying an image by the mode {:?}", args.mode)));
    }
    if let Some(project) = &args.target_project {
        target.client = target.client.in_project(project);
    }
    let from = ImagesPostSource {
        kind: "image".into(),
        mode: "pull".into(),
        protocol: "lxd".into(),
        image_type: image.kind.clone(),
        certificate: server.certificate,
        project: source.client.project().to_owned(),
        fingerprint: image.fingerprint.clone(),
        ..ImagesPostSource::default()
    };
    let post = ImagesPost { auto_update: args.auto_update, public: args.public, ..ImagesPost::default() };
    fetch(cx, (&source, &target), (from, image.public, &server.addresses), post)?;
    let copied = image.aliases.iter().filter(|_| args.copy_aliases).map(|alias| &alias.name);
    for alias in args.alias.iter().chain(copied) {
        ensure(&target, alias, &image.fingerprint)?;
    }
    cx.tell("Image copied successfully!");
    Ok(0)
}

/// Tells the target to fetch the image, from one address of the source after the other.
fn fetch(
    cx: &Context,
    (source, target): (&Target, &Target),
    (mut from, public, addresses): (ImagesPostSource, bool, &[String]),
    mut post: ImagesPost,
) -> Result<()> {
    let mut failures = Vec::new();
    for address in addresses {
        if !public {
            from.secret = secret(source, &from.fingerprint)?;
        }
        from.server = format!("https://{address}");
        post.source = Some(from.clone());
        match run(cx, &target.client, (Method::POST, "/1.0/images", &post), "Copying the image: ") {
            // What is wrong with another address is no worse; but what is refused is so wherever it comes from.
            Err(e) if e.kind() == Kind::Unsupported => return Err(e),
            Err(e) => failures.push(format!("{}: {e}", from.server)),
            Ok(_) => return Ok(()),
        }
    }
    Err(Error::internal(format!("Failed remote image download: {}", failures.join(", "))))
}

/// A secret for a private image.
fn secret(source: &Target, fingerprint: &str) -> Result<String> {
    let address = path(&["images", fingerprint, "secret"]);
    let operation = source.client.begin(Method::POST, &address, &()).wait()?;
    let secret = operation.metadata.as_ref().and_then(|m| m.get("secret")).and_then(Value::as_str);
    secret.map(str::to_owned).ok_or_else(|| Error::internal("The server did not say a secret for the image"))
}
