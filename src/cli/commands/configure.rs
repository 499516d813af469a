//! `lxc config get`, `set`, `unset`, `show`, `edit`: instances, snapshots and the server itself.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::args::OnMember;
use super::thing::Thing;
use crate::api::client::{path, with_query};
use crate::api::tree::readable;
use crate::api::types::{Instance, InstancePut, InstanceSnapshot, ServerPut};
use crate::cli::context::{Context, NO_CLUSTER, Target};
use crate::cli::input::settings;
use crate::cli::output::{emit, say, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};

/// `lxc config get` and `show`.
#[derive(FromArgs, ArgsInfo)]
pub struct Expanded {
    /// with what comes from profiles
    #[argh(switch)]
    expanded: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// The server's own path.
fn server_path(member: &Option<String>) -> String {
    with_query("/1.0", &[("target", member.as_deref().unwrap_or(""))])
}

/// What PUT takes of an instance.
pub fn changeable(instance: Instance) -> InstancePut {
    InstancePut {
        architecture: instance.architecture,
        config: instance.config,
        devices: instance.devices,
        ephemeral: instance.ephemeral,
        profiles: instance.profiles,
        restore: String::new(),
        stateful: instance.stateful,
        description: instance.description,
    }
}

/// `lxc config show`.
pub fn show(cx: &Context, args: Expanded) -> Result<i32> {
    let target = cx.server(&args.words)?;
    let value = match target.name.split_once('/') {
        None if target.name.is_empty() => {
            if args.expanded {
                return Err(Error::invalid("--expanded cannot be used with a server"));
            }
            if args.target.is_some() {
                target.clustered(NO_CLUSTER)?;
            }
            let server: Value = target.client.read(&server_path(&args.target))?;
            json!({ "config": server["config"] })
        }
        None => {
            let mut instance: Instance = target.client.read(&path(&["instances", &target.name]))?;
            if args.expanded {
                instance.config = std::mem::take(&mut instance.expanded_config);
                instance.devices = std::mem::take(&mut instance.expanded_devices);
            }
            json!(changeable(instance))
        }
        Some((instance, snapshot)) => {
            let address = path(&["instances", instance, "snapshots", snapshot]);
            let mut snapshot: InstanceSnapshot = target.client.read(&address)?;
            if args.expanded {
                snapshot.config = snapshot.expanded_config.clone();
                snapshot.devices = snapshot.expanded_devices.clone();
            }
            snapshot_document(&snapshot)
        }
    };
    emit(yaml(&value).as_bytes());
    Ok(0)
}

/// A snapshot in the order of its fields that LXD's client has.
fn snapshot_document(snapshot: &InstanceSnapshot) -> Value {
    let s = snapshot;
    json!({
        "expires_at": s.expires_at, "architecture": s.architecture, "config": s.config, "created_at": s.created_at,
        "devices": s.devices, "ephemeral": s.ephemeral, "expanded_config": s.expanded_config,
        "expanded_devices": s.expanded_devices, "last_used_at": s.last_used_at, "name": s.name,
        "profiles": s.profiles, "stateful": s.stateful, "size": s.size,
    })
}

/// `lxc config get`.
pub fn get(cx: &Context, args: Expanded) -> Result<i32> {
    let (target, key) = match &args.words[..] {
        [key] => (cx.target("")?, key),
        [target, key, ..] => (cx.target(target)?, key),
        [] => return Err(Error::invalid("Invalid number of arguments")),
    };
    let value = if target.name.is_empty() {
        if args.expanded {
            return Err(Error::invalid("--expanded cannot be used with a server"));
        }
        let server: Value = target.client.read(&server_path(&args.target))?;
        server["config"][key].clone()
    } else {
        let instance: Value = target.client.read(&path(&["instances", &target.name]))?;
        let of = if args.expanded { "expanded_config" } else { "config" };
        instance[of][key].clone()
    };
    match value {
        Value::Null => say!(""),
        Value::String(text) => say!("{text}"),
        other => say!("{other}"),
    }
    Ok(0)
}

/// `lxc config set`.
pub fn set(cx: &Context, args: OnMember) -> Result<i32> {
    let words = &args.words;
    // `key=value…` and `key value` mean the server, as does a bare `remote:`.
    let server = words[0].contains('=') || (words.len() == 2 && !words[1].contains('='));
    let (target, rest) = match server && !words[0].ends_with(':') {
        true => (cx.target("")?, &words[..]),
        false => (cx.target(&words[0])?, &words[1..]),
    };
    let keys = settings(rest)?;
    if target.name.is_empty() {
        return change_server(&target, &args.target, |config| {
            config.extend(keys.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))));
            Ok(())
        });
    }
    change_instance(&target, |put| {
        put.config.extend(keys.iter().map(|(key, value)| (key.clone(), value.clone())));
        Ok(())
    })
}

/// `lxc config unset`.
pub fn unset(cx: &Context, args: OnMember) -> Result<i32> {
    let (target, key) = match &args.words[..] {
        [key] => (cx.target("")?, key),
        [target, key, ..] => (cx.target(target)?, key),
        [] => return Err(Error::invalid("Invalid number of arguments")),
    };
    if target.name.is_empty() {
        return change_server(&target, &args.target, |config| {
            config.insert(key.clone(), "".into());
            Ok(())
        });
    }
    change_instance(&target, |put| {
        let missing = || Error::not_found(format!("Can't unset key '{key}', it's not currently set"));
        put.config.remove(key).map(drop).ok_or_else(missing)
    })
}

type ServerConfig = std::collections::BTreeMap<String, Value>;

fn change_server(
    target: &Target,
    member: &Option<String>,
    change: impl FnOnce(&mut ServerConfig) -> Result<()>,
) -> Result<i32> {
    let address = server_path(member);
    let (mut put, etag): (ServerPut, String) = target.client.read_with_etag(&address)?;
    change(&mut put.config)?;
    target.client.put(&address, &put, &etag).wait()?;
    Ok(0)
}

/// Reads an instance, changes it and writes it back, unless someone else has changed it meanwhile.
pub fn change_instance(target: &Target, change: impl FnOnce(&mut InstancePut) -> Result<()>) -> Result<i32> {
    let (mut put, etag) = read_instance(target)?;
    change(&mut put)?;
    write_instance(target, &put, &etag)
}

fn read_instance(target: &Target) -> Result<(InstancePut, String)> {
    let (instance, etag): (Instance, String) = target.client.read_with_etag(&path(&["instances", &target.name]))?;
    Ok((changeable(instance), etag))
}

fn write_instance(target: &Target, put: &InstancePut, etag: &str) -> Result<i32> {
    target.client.put(&path(&["instances", &target.name]), put, etag).wait()?;
    Ok(0)
}

/// `lxc config edit`.
pub fn edit(cx: &Context, args: OnMember) -> Result<i32> {
    let Target { name, client, .. } = cx.server(&args.words)?;
    let thing = |address| Thing { client, address };
    match name.split_once('/') {
        None if name.is_empty() => thing(server_path(&args.target)).edit::<ServerPut, ServerPut>("server", "config"),
        None => {
            let thing = thing(path(&["instances", &name]));
            thing.edit::<InstancePut, InstancePut>("container or virtual machine", "all of it")
        }
        Some((instance, snapshot)) => {
            let thing = thing(path(&["instances", instance, "snapshots", snapshot]));
            thing.edit::<SnapshotPut, SnapshotPut>("snapshot", "when it may go")
        }
    }
}

readable! {
    /// What PUT takes of a snapshot.
    #[derive(Default, serde::Serialize)]
    #[serde(default)]
    struct SnapshotPut {
        expires_at: crate::api::types::Timestamp,
    }
}
