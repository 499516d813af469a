//! `lxc storage volume snapshot` and `restore`.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::volume;
use crate::cli::commands::args::OnMember;
use crate::cli::commands::snapshot::take;
use crate::cli::context::Context;
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};

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
pub fn snapshot(cx: &Context, args: Snapshot) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    if volume.kind != "custom" {
        return Err(Error::invalid("Only \"custom\" volumes can be snapshotted"));
    }
    let client = &volume.target.client;
    let _: Value = client.read(&volume.address(&args.target))?;
    let post = json!({ "name": args.words.get(2).map_or("", String::as_str) });
    take(cx, client, post, (args.reuse, args.no_expiry), |rest| volume.below(rest, &args.target))
}

/// `lxc storage volume restore`.
pub fn restore(cx: &Context, args: OnMember) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    let address = volume.address(&args.target);
    let (found, etag): (Value, String) = volume.target.client.read_with_etag(&address)?;
    let put = json!({ "config": found["config"], "description": found["description"], "restore": args.words[2] });
    volume.target.client.put(&address, &put, &etag).wait()?;
    Ok(0)
}
