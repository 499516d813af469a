//! `lxc copy`, `move` and `rename`, on one server.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::Value;

use super::args::{Words, transfer_mode};
use super::create::{device_overrides, root_device};
use crate::api::client::{path, with_query};
use crate::api::types::{ConfigMap, Devices, InstanceSource, InstancesPost, from_json};
use crate::cli::context::{Context, NO_CLUSTER, Target};
use crate::cli::input::overrides;
use crate::cli::wait::{Read, Wait};
use crate::cli::waiting::run;
use crate::error::{Ctx, Error, Kind, Result};

/// `lxc copy`.
#[derive(FromArgs, ArgsInfo)]
pub struct Copy {
    /// changing files are no errors
    #[argh(switch)]
    allow_inconsistent: bool,
    /// configuration
    #[argh(option)]
    config: Vec<String>,
    /// device configuration
    #[argh(option)]
    device: Vec<String>,
    /// deleted when it stops
    #[argh(switch)]
    ephemeral: bool,
    /// without snapshots
    #[argh(switch)]
    instance_only: bool,
    /// how data travels
    #[argh(option)]
    mode: String,
    /// without profiles
    #[argh(switch)]
    no_profiles: bool,
    /// profiles
    #[argh(option)]
    profile: Vec<String>,
    /// bring up to date
    #[argh(switch)]
    refresh: bool,
    /// without running state
    #[argh(switch)]
    stateless: bool,
    /// storage pool
    #[argh(option)]
    storage: Option<String>,
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

/// `lxc move`.
#[derive(FromArgs, ArgsInfo)]
pub struct Move {
    /// changing files are no errors
    #[argh(switch)]
    allow_inconsistent: bool,
    /// configuration
    #[argh(option)]
    config: Vec<String>,
    /// device configuration
    #[argh(option)]
    device: Vec<String>,
    /// without snapshots
    #[argh(switch)]
    instance_only: bool,
    /// how data travels
    #[argh(option)]
    mode: String,
    /// without profiles
    #[argh(switch)]
    no_profiles: bool,
    /// profiles
    #[argh(option)]
    profile: Vec<String>,
    /// without running state
    #[argh(switch)]
    stateless: bool,
    /// storage pool
    #[argh(option)]
    storage: Option<String>,
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

/// `lxc copy`.
pub fn copy(cx: &Context, args: Copy) -> Result<i32> {
    transfer_mode(&args.mode)?;
    let source = cx.named(&args.words[0], "source instance name")?;
    match source.name.contains('/') {
        true if args.instance_only => {
            return Err(Error::invalid("--instance-only can't be passed when the source is a snapshot"));
        }
        true if args.refresh => return Err(Error::invalid("--refresh can only be used with instances")),
        _ => {}
    }
    let default = format!("{}:", source.remote);
    let mut target = cx.target(args.words.get(1).unwrap_or(&default))?;
    if target.remote != source.remote {
        return Err(Error::unsupported("Copying an instance to another server"));
    }
    if target.name.is_empty() {
        target.name = source.name.split('/').next().unwrap_or_default().to_string();
    }
    if args.target.is_some() {
        target.clustered(NO_CLUSTER)?;
    }
    let post = copied(&source, &target.name, &args)?;
    if let Some(project) = &args.target_project {
        target.client = target.client.in_project(project);
    }
    let address = with_query("/1.0/instances", &[("target", args.target.as_deref().unwrap_or(""))]);
    run(cx, &target.client, (Method::POST, &address, &post), "Transferring instance: ")?;
    Ok(0)
}

/// The request that makes a copy of an instance, or of a snapshot given as `instance/snapshot`.
fn copied(source: &Target, name: &str, args: &Copy) -> Result<InstancesPost> {
    let found: Value = match source.name.split_once('/') {
        Some((instance, snapshot)) => source.client.read(&path(&["instances", instance, "snapshots", snapshot]))?,
        None => source.client.read(&path(&["instances", &source.name]))?,
    };
    let part = |key: &str| found[key].to_string().into_bytes();
    let failed = || format!("Failed reading the instance {:?}", source.name);
    let mut config: ConfigMap = from_json(&part("config")).ctx(Kind::Internal, failed)?;
    let mut devices: Devices = from_json(&part("devices")).ctx(Kind::Internal, failed)?;
    let profiles: Vec<String> = from_json(&part("profiles")).ctx(Kind::Internal, failed)?;
    // Which image it was made of and how its files are shifted stays true of the copy; other volatile keys do not.
    let kept = |key: &str| matches!(key, "volatile.base_image" | "volatile.last_state.idmap");
    config.retain(|key, _| !key.starts_with("volatile.") || kept(key));
    let base_image = config.get("volatile.base_image").cloned().unwrap_or_default();
    config.extend(overrides(&args.config)?);
    let inherited: Devices = from_json(&part("expanded_devices")).ctx(Kind::Internal, failed)?;
    override_devices(&mut devices, &inherited, args)?;
    Ok(InstancesPost {
        architecture: found["architecture"].as_str().unwrap_or("").into(),
        config,
        devices,
        ephemeral: args.ephemeral,
        profiles: Some(match (args.no_profiles, args.profile.is_empty()) {
            (true, _) => Vec::new(),
            (_, false) => args.profile.clone(),
            _ => profiles,
        }),
        stateful: found["stateful"] == true && !args.stateless,
        description: found["description"].as_str().unwrap_or("").into(),
        name: name.to_string(),
        source: InstanceSource {
            kind: "copy".into(),
            source: source.name.clone(),
            base_image,
            instance_only: args.instance_only,
            container_only: args.instance_only,
            refresh: args.refresh,
            // Said in any case: without it the server takes the project of the copy.
            project: source.project().into(),
            allow_inconsistent: args.allow_inconsistent,
            ..InstanceSource::default()
        },
        kind: found["type"].as_str().unwrap_or("container").into(),
        ..InstancesPost::default()
    })
}

/// Lays what `--device` and `--storage` say over the devices of the copy; `inherited` are those with the profiles'.
fn override_devices(devices: &mut Devices, inherited: &Devices, args: &Copy) -> Result<()> {
    for (name, keys) in device_overrides(&args.device)? {
        let mut device = devices.remove(&name).or_else(|| inherited.get(&name).cloned()).unwrap_or_default();
        device.extend(keys);
        devices.insert(name, device);
    }
    if let Some(pool) = args.storage.as_deref() {
        devices.extend([root_device(devices, inherited, pool)]);
    }
    Ok(())
}

/// `lxc rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let source = cx.named(&args.words[0], "instance name")?;
    if args.words[1].contains(':') {
        let target = cx.target(&args.words[1])?;
        if target.remote != source.remote {
            return Err(Error::invalid("Can't specify a different remote for rename"));
        }
    }
    rename_to(&source, args.words[1].rsplit(':').next().unwrap_or_default())
}

fn rename_to(source: &Target, new: &str) -> Result<i32> {
    let (address, new) = match source.name.split_once('/') {
        None => (path(&["instances", &source.name]), new),
        Some((instance, snapshot)) => {
            let new = new.split_once('/').filter(|(parent, _)| *parent == instance);
            let wrong = "Invalid new snapshot name, parent must be the same as source";
            let (_, new) = new.ok_or_else(|| Error::invalid(wrong))?;
            (path(&["instances", instance, "snapshots", snapshot]), new)
        }
    };
    source.client.post(&address, &serde_json::json!({ "name": new })).wait()?;
    Ok(0)
}

/// `lxc move`: a new name, another pool, project or member of a cluster, on the same server.
pub fn move_to(cx: &Context, args: Move) -> Result<i32> {
    transfer_mode(&args.mode)?;
    let changes = !args.config.is_empty() || !args.device.is_empty() || !args.profile.is_empty() || args.no_profiles;
    let elsewhere = args.storage.is_some() || args.target.is_some() || args.target_project.is_some();
    if args.words.len() < 2 && !elsewhere {
        return cx.wrong_count(args.words.len());
    }
    let source = cx.named(&args.words[0], "instance name")?;
    let mut target = match args.words.get(1) {
        Some(word) => cx.target(word)?,
        None => cx.target(&format!("{}:", source.remote))?,
    };
    if target.remote != source.remote {
        return Err(Error::unsupported("Moving an instance to another server"));
    }
    if changes && !elsewhere {
        return Err(Error::invalid("Can't override configuration or profiles in local rename"));
    }
    if args.storage.is_some() && args.target.is_some() {
        return Err(Error::invalid("The --storage flag can't be used with --target"));
    }
    if target.name.is_empty() {
        target.name = source.name.clone();
    }
    if !elsewhere {
        return rename_to(&source, &target.name);
    }
    if args.target.is_some() {
        source.clustered("The source LXD server is not clustered")?;
    }
    migrate(cx, &source, &target.name, &args)
}

/// Has the server move an instance to another pool, project or member. It can change nothing else on the way: what the
/// flags say of configuration, devices and profiles is left out, as LXD's client does.
fn migrate(cx: &Context, source: &Target, name: &str, args: &Move) -> Result<i32> {
    let address = path(&["instances", &source.name]);
    let failed = |what: &str, e: Error| Error::new(e.kind(), format!("Migration {what} failure: {}", e.message()));
    let found: Result<Value> = source.client.read(&address);
    let found = found.map_err(|e| failed("API", e))?;
    let post = serde_json::json!({
        "name": name, "migration": true, "pool": args.storage.as_deref().unwrap_or(""),
        "project": args.target_project.as_deref().unwrap_or(""), "instance_only": args.instance_only,
        "container_only": args.instance_only, "allow_inconsistent": args.allow_inconsistent,
        "live": found["status_code"] == 103 && !args.stateless,
    });
    let address = with_query(&address, &[("target", args.target.as_deref().unwrap_or(""))]);
    let moved = run(cx, &source.client, (Method::POST, &address, &post), "Transferring instance: ");
    moved.map_err(|e| failed("operation", e))?;
    Ok(0)
}
