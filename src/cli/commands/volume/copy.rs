//! `lxc storage volume copy` and `move`, on one server.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::{Value, json};

use super::{Volume, volume};
use crate::api::client::{path, with_query};
use crate::cli::commands::args::transfer_mode;
use crate::cli::context::{Context, Target};
use crate::cli::output::say;
use crate::cli::wait::Read;
use crate::cli::waiting::run;
use crate::error::{Error, Result};

/// `lxc storage volume copy`.
#[derive(FromArgs, ArgsInfo)]
pub struct Copy {
    /// cluster member
    #[argh(option)]
    destination_target: Option<String>,
    /// how data travels
    #[argh(option)]
    mode: String,
    /// bring up to date
    #[argh(switch)]
    refresh: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// project
    #[argh(option)]
    target_project: Option<String>,
    /// without snapshots
    #[argh(switch)]
    volume_only: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc storage volume move`.
#[derive(FromArgs, ArgsInfo)]
pub struct Move {
    /// cluster member
    #[argh(option)]
    destination_target: Option<String>,
    /// how data travels
    #[argh(option)]
    mode: String,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// project
    #[argh(option)]
    target_project: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// Where from and where to.
struct Way {
    from: Volume,
    to: Target,
    name: String,
}

/// Understands `[remote:]pool/volume` twice.
fn way(cx: &Context, words: &[String]) -> Result<Way> {
    let missing = |which: &str| Error::invalid(format!("No storage pool for {which} volume specified"));
    let split = |word: &str, which: &str| -> Result<(Target, String)> {
        let mut target = cx.target(word)?;
        let (pool, name) =
            target.name.split_once('/').filter(|(pool, _)| !pool.is_empty()).ok_or_else(|| missing(which))?;
        let (pool, name) = (pool.to_string(), name.to_string());
        target.name = pool;
        Ok((target, name))
    };
    let (source, name) = split(&words[0], "source")?;
    let from = volume(cx, &format!("{}:{}", source.remote, source.name), &name)?;
    let (to, name) = split(&words[1], "target")?;
    if to.remote != source.remote {
        return Err(Error::unsupported("Copying a storage volume to another server"));
    }
    Ok(Way { from, to, name })
}

/// `lxc storage volume copy`.
pub fn copy(cx: &Context, args: Copy) -> Result<i32> {
    transfer_mode(&args.mode)?;
    let Way { from, to, name } = way(cx, &args.words)?;
    let found: Value = from.target.client.read(&from.address(&args.target))?;
    let post = json!({
        "name": name, "type": "custom", "config": found["config"], "description": found["description"],
        "content_type": found["content_type"],
        "source": {
            "type": "copy", "name": from.label(), "pool": from.target.name, "volume_only": args.volume_only,
            "refresh": args.refresh, "project": from.target.project(),
            "location": args.target.as_deref().unwrap_or(""),
        },
    });
    let client = match &args.target_project {
        Some(project) => to.client.in_project(project),
        None => to.client,
    };
    let member = args.destination_target.as_deref().or(args.target.as_deref()).unwrap_or("");
    let address = with_query(&path(&["storage-pools", &to.name, "volumes", "custom"]), &[("target", member)]);
    run(cx, &client, (Method::POST, &address, &post), "Transferring storage volume: ")?;
    if !cx.quiet {
        say!("Storage volume copied successfully!");
    }
    Ok(0)
}

/// `lxc storage volume move`.
pub fn move_to(cx: &Context, args: Move) -> Result<i32> {
    transfer_mode(&args.mode)?;
    let Way { from, to, name } = way(cx, &args.words)?;
    if args.destination_target.is_some() {
        return Err(Error::unsupported("Moving a storage volume to another cluster member"));
    }
    let mut post = json!({ "name": name, "pool": to.name });
    if let Some(project) = &args.target_project {
        post["project"] = json!(project);
    }
    let request = (Method::POST, &*from.address(&args.target), &post);
    run(cx, &from.target.client, request, "Transferring storage volume: ")?;
    if !cx.quiet {
        say!("Storage volume moved successfully!");
    }
    Ok(0)
}
