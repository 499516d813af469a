//! `lxc image export`, `refresh` and `copy`.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::Value;

use super::alias::dereference;
use crate::api::client::{ExportTarget, path};
use crate::cli::commands::args::{Vm, Words};
use crate::cli::commands::file::local;
use crate::cli::context::Context;
use crate::cli::output::say;
use crate::error::{Error, Result};

/// `lxc image export`.
pub async fn export(cx: &Context, args: Vm) -> Result<i32> {
    let target = cx.target(&args.words[0])?;
    let fingerprint = dereference(&target, args.vm).await?;
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
    target.client.export_image(&fingerprint, &to).await?;
    say!("Image exported successfully!");
    Ok(0)
}

/// `lxc image refresh`.
pub async fn refresh(cx: &Context, args: Words) -> Result<i32> {
    for word in &args.words {
        let target = cx.target(word)?;
        target.client.require("image_force_refresh").await?;
        let fingerprint = dereference(&target, false).await?;
        let operation = target
            .client
            .begin(Method::POST, &path(&["images", &fingerprint, "refresh"]), &serde_json::json!({}))
            .await?;
        let ended = target.client.wait(&operation.id).await?;
        let refreshed = ended.metadata.as_ref().and_then(|m| m.get("refreshed")).and_then(|r| r.as_bool());
        match refreshed.unwrap_or(false) {
            true => say!("Image refreshed successfully!"),
            false => say!("Image already up to date."),
        }
    }
    Ok(0)
}

/// `lxc image copy`.
#[derive(FromArgs, ArgsInfo)]
#[expect(dead_code, reason = "the copy itself is not there yet; its flags are taken")]
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

/// `lxc image copy`: the checks that LXD's client makes; the copy itself is between servers.
pub async fn copy(cx: &Context, args: Copy) -> Result<i32> {
    let (source, target) = (cx.target(&args.words[0])?, cx.target(&args.words[1])?);
    if !target.name.is_empty() {
        return Err(Error::invalid("Can't provide a name for the target image"));
    }
    let fingerprint = dereference(&source, args.vm).await?;
    let _: Value = source.client.get(&path(&["images", &fingerprint])).await?;
    if source.remote == target.remote && args.target_project.is_none() {
        return Err(Error::invalid("The source and target servers must be different"));
    }
    if source.client.server().await?.environment.addresses.is_empty() {
        return Err(Error::invalid("The source server isn't listening on the network"));
    }
    Err(Error::unsupported("Copying an image between servers or projects"))
}
