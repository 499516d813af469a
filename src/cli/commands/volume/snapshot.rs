//! `lxc storage volume snapshot` and `restore`.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::{Value, json};

use super::volume;
use crate::cli::commands::args::OnMember;
use crate::cli::context::Context;
use crate::cli::waiting::run;
use crate::error::{Error, Kind, Result};

/// `lxc storage volume snapshot`.
#[derive(FromArgs, ArgsInfo)]
pub struct Snapshot {
    /// keep it
    #[argh(switch)]
    no_expiry: bool,
    /// replace one
    #[argh(switch)]
    reuse: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc storage volume snapshot`.
pub async fn snapshot(cx: &Context, args: Snapshot) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    if volume.kind != "custom" {
        return Err(Error::invalid("Only \"custom\" volumes can be snapshotted"));
    }
    let client = &volume.target.client;
    let _: Value = client.get(&volume.address(&args.target)).await?;
    let name = args.words.get(2).map_or("", String::as_str);
    if args.reuse && !name.is_empty() {
        match client.delete(&volume.below(&["snapshots", name], &args.target)).await {
            Err(error) if error.kind() != Kind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut post = json!({ "name": name });
    if args.no_expiry {
        post["expires_at"] = "0001-01-01T00:00:00Z".into();
    }
    run(cx, client, (Method::POST, &volume.below(&["snapshots"], &args.target), &post), "").await?;
    Ok(0)
}

/// `lxc storage volume restore`.
pub async fn restore(cx: &Context, args: OnMember) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    let address = volume.address(&args.target);
    let (found, etag): (Value, String) = volume.target.client.get_with_etag(&address).await?;
    let put = json!({ "config": found["config"], "description": found["description"], "restore": args.words[2] });
    volume.target.client.put(&address, &put, &etag).await?;
    Ok(0)
}
