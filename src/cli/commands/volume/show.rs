//! One volume: made, shown, changed, renamed, deleted.

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use serde_json::{Value, json};

use super::{VolumeSnapshot, volume};
use crate::api::client::{path, with_query};
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, StorageVolume, Timestamp};
use crate::cli::commands::args::{OnMember, fetch};
use crate::cli::commands::thing::Thing;
use crate::cli::context::Context;
use crate::cli::input::{settings, storage_overrides};
use crate::cli::output::{Rows, bytes_iec, local_date, render, say, sort_rows};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};

/// `lxc storage volume create`.
#[derive(FromArgs, ArgsInfo)]
pub struct Create {
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// kind of content
    #[argh(option, long = "type")]
    kind: String,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

readable! {
    /// What of a volume can be changed.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct VolumePut {
        config: ConfigMap,
        description: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        restore: String,
    }

    /// What of a snapshot can be changed.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct SnapshotPut {
        description: String,
        expires_at: Option<Timestamp>,
    }
}

/// `lxc storage volume create`.
pub fn create(cx: &Context, args: Create) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    let (kind, name) = super::typed(&args.words[1]);
    let config = storage_overrides(&args.words[2..])?;
    let post = json!({ "name": name, "type": kind, "content_type": args.kind, "config": config });
    let member = args.target.as_deref().unwrap_or("");
    let address = with_query(&path(&["storage-pools", &target.name, "volumes", kind]), &[("target", member)]);
    target.client.post(&address, &post).wait()?;
    if !cx.quiet {
        say!("Storage volume {} created", args.words[1]);
    }
    Ok(0)
}

/// `lxc storage volume delete`.
pub fn delete(cx: &Context, args: OnMember) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    volume.ready()?;
    volume.target.client.delete(&volume.address(&args.target)).wait()?;
    if !cx.quiet {
        say!("Storage volume {} deleted", args.words[1]);
    }
    Ok(0)
}

/// `lxc storage volume show`.
pub fn show(cx: &Context, args: OnMember) -> Result<i32> {
    let (thing, snapshot) = thing(cx, &args)?;
    match snapshot {
        true => thing.show::<VolumeSnapshot>(),
        false => thing.show::<StorageVolume>(),
    }
}

/// The volume or snapshot of the first two words, and whether it is a snapshot.
fn thing(cx: &Context, args: &OnMember) -> Result<(Thing, bool)> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    volume.ready()?;
    let address = volume.address(&args.target);
    Ok((Thing { client: volume.target.client, address }, volume.snapshot.is_some()))
}

/// `lxc storage volume get`.
pub fn get(cx: &Context, args: OnMember) -> Result<i32> {
    thing(cx, &args)?.0.get(&args.words[2])
}

/// `lxc storage volume set`.
pub fn set(cx: &Context, args: OnMember) -> Result<i32> {
    let keys = settings(&args.words[2..])?;
    change(cx, &args, keys)
}

/// `lxc storage volume unset`.
pub fn unset(cx: &Context, args: OnMember) -> Result<i32> {
    change(cx, &args, [(args.words[2].clone(), String::new())].into())
}

fn change(cx: &Context, args: &OnMember, keys: ConfigMap) -> Result<i32> {
    match thing(cx, args)? {
        (_, true) => Err(Error::invalid("The configuration of a snapshot can't be changed")),
        (thing, false) => thing.set::<VolumePut>(keys),
    }
}

/// `lxc storage volume edit`.
pub fn edit(cx: &Context, args: OnMember) -> Result<i32> {
    match thing(cx, &args)? {
        (thing, true) => {
            let changeable = "description and expires_at";
            thing.edit::<VolumeSnapshot, SnapshotPut>("snapshot of a storage volume", changeable)
        }
        (thing, false) => thing.edit::<StorageVolume, VolumePut>("storage volume", "config and description"),
    }
}

/// `lxc storage volume rename`.
pub fn rename(cx: &Context, args: OnMember) -> Result<i32> {
    let old = volume(cx, &args.words[0], &args.words[1])?;
    let new = volume(cx, &args.words[0], &args.words[2])?;
    let name = match (&old.snapshot, new.snapshot) {
        (None, None) => new.name,
        (None, Some(snapshot)) => format!("{}/{snapshot}", new.name),
        (Some(_), Some(snapshot)) if new.name == old.name => snapshot,
        _ => return Err(Error::invalid("Invalid new snapshot name, parent volume must be the same as source")),
    };
    old.ready()?;
    if old.snapshot.is_none() {
        old.target.client.require("storage_api_volume_rename").wait()?;
    }
    old.target.client.post(&old.address(&args.target), &json!({ "name": name })).wait()?;
    say!("Renamed storage volume from {:?} to {name:?}", old.label());
    Ok(0)
}

/// `lxc storage volume info`.
pub fn info(cx: &Context, args: OnMember) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    let found: StorageVolume = volume.target.client.read(&volume.address(&args.target))?;
    let state: Value = volume.target.client.read(&volume.below(&["state"], &args.target))?;
    let snapshots = with_query(&volume.below(&["snapshots"], &args.target), &[("recursion", "1")]);
    let (_, snapshots) = fetch::<VolumeSnapshot>(&volume.target.client, &snapshots)?;
    say!("Name: {}", found.name);
    if !found.description.is_empty() {
        say!("Description: {}", found.description);
    }
    say!("Type: {}\nContent type: {}", found.kind, found.content_type);
    if !matches!(found.location.as_str(), "" | "none") {
        say!("Location: {}", found.location);
    }
    if let Some(used) = state["usage"]["used"].as_i64() {
        say!("Usage: {}", bytes_iec(used, 2));
    }
    if let Some(total) = state["usage"]["total"].as_i64().filter(|total| *total > 0) {
        say!("Total: {}", bytes_iec(total, 2));
    }
    if found.created_at.is_set() {
        say!("Created: {}", local_date(found.created_at));
    }
    if snapshots.is_empty() {
        return Ok(0);
    }
    say!("\nSnapshots:");
    let name = |name: &str| name.rsplit('/').next().unwrap_or(name).to_string();
    let row = |s: &VolumeSnapshot| vec![name(&s.name), s.description.clone(), local_date(s.expires_at)];
    let mut cells: Vec<Vec<String>> = snapshots.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "DESCRIPTION", "EXPIRES AT"].map(String::from).to_vec();
    render("table", &Rows { head, cells, raw: &|| Value::Null })?;
    Ok(0)
}
