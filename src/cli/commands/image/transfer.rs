//! `lxc image export` and `refresh`.

use std::path::PathBuf;

use hyper::Method;

use super::alias::dereference;
use crate::api::client::{ExportTarget, path};
use crate::cli::commands::args::{Vm, Words};
use crate::cli::context::Context;
use crate::cli::output::say;
use crate::error::Result;

/// `lxc image export`.
pub async fn export(cx: &Context, args: Vm) -> Result<i32> {
    let target = cx.target(&args.words[0])?;
    let fingerprint = dereference(&target, args.vm).await?;
    let to = match args.words.get(1).map(PathBuf::from) {
        None => ExportTarget::Directory(".".into()),
        Some(path) if path.is_dir() => ExportTarget::Directory(path),
        Some(path) => ExportTarget::File(path),
    };
    target.client.export_image(&fingerprint, &to).await?;
    say!("Image exported successfully!");
    Ok(0)
}

/// `lxc image refresh`.
pub async fn refresh(cx: &Context, args: Words) -> Result<i32> {
    for word in &args.words {
        let target = cx.target(word)?;
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
