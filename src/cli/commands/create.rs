//! `lxc launch` and `lxc init`.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::Value;

use super::exec::attach_console;
use crate::api::client::{path, with_query};
use crate::api::config::device;
use crate::api::types::{DeviceMap, Devices, InstancePut, InstanceStatePut, InstancesPost, Operation, Profile};
use crate::cli::context::{Context, Target};
use crate::cli::input::{overrides, piped};
use crate::cli::output::{note, say};
use crate::cli::wait::{Read, Wait};
use crate::cli::waiting::run;
use crate::cli::yaml_in::from_yaml;
use crate::error::{Error, Result};

macro_rules! creation {
    ($(#[$about:meta])* $name:ident { $($extra:tt)* }) => {
        $(#[$about])*
        #[derive(FromArgs, ArgsInfo)]
        pub struct $name {
            /// configuration
            #[argh(option)]
            config: Vec<String>,
            /// device configuration
            #[argh(option)]
            device: Vec<String>,
            /// without image
            #[argh(switch)]
            empty: bool,
            /// deleted when it stops
            #[argh(switch)]
            ephemeral: bool,
            /// network
            #[argh(option)]
            network: Option<String>,
            /// without profiles
            #[argh(switch)]
            no_profiles: bool,
            /// profiles
            #[argh(option)]
            profile: Vec<String>,
            /// storage pool
            #[argh(option)]
            storage: Option<String>,
            /// cluster member
            #[argh(option)]
            target: Option<String>,
            /// size
            #[argh(option, long = "type")]
            size: Option<String>,
            /// virtual machine
            #[argh(switch)]
            vm: bool,
            $($extra)*
            /// the words
            #[argh(positional)]
            words: Vec<String>,
        }
    };
}
creation!(
    /// `lxc init`.
    Init {}
);
creation!(
    /// `lxc launch`.
    Launch {
        /// attach to the console
        #[argh(option)]
        console: Option<String>,
    }
);

/// `lxc init`.
pub fn init(cx: &Context, args: Init) -> Result<i32> {
    if args.words.is_empty() && !args.empty {
        return cx.wordless();
    }
    create(cx, args)?;
    Ok(0)
}

/// `lxc launch`.
pub fn launch(cx: &Context, args: Launch) -> Result<i32> {
    if args.words.is_empty() && !args.empty {
        return cx.wrong_count(0);
    }
    let Launch { console, .. } = &args;
    let console = console.clone();
    let Launch { config, device, empty, ephemeral, network, no_profiles, profile, storage, target, size, vm, .. } =
        args;
    let words = args.words;
    let init =
        Init { config, device, empty, ephemeral, network, no_profiles, profile, storage, target, size, vm, words };
    let target = create(cx, init)?;
    if !cx.quiet {
        say!("Starting {}", target.name);
    }
    let put = InstanceStatePut { action: "start".into(), timeout: -1, force: false, stateful: false };
    let address = path(&["instances", &target.name, "state"]);
    run(cx, &target.client, (Method::PUT, &address, &put), "").map_err(|error| {
        let project = if target.client.project().is_empty() { "" } else { " --project=PROJECT" };
        let project = project.replace("PROJECT", target.client.project());
        let hint = format!("Try `lxc info --show-log {}:{}{project}` for more info", target.remote, target.name);
        Error::new(error.kind(), format!("{}\n{hint}", error.message()))
    })?;
    if let Some(kind) = console {
        attach_console(&target, &kind).wait()?;
    }
    Ok(0)
}

/// Creates an instance and returns it, with the name it has got.
fn create(cx: &Context, args: Init) -> Result<Target> {
    let (image, name) = images_and_name(&args)?;
    let mut target = cx.target(name)?;
    let read = match piped()? {
        Some(text) => from_yaml::<InstancePut>(&text)?,
        None => InstancePut::default(),
    };
    if !cx.quiet {
        match target.name.is_empty() {
            true => say!("Creating the instance"),
            false => say!("Creating {}", target.name),
        }
    }
    let mut post = request(&target, &args, read)?;
    match image {
        Some(image) => from_image(cx, &target, image, &mut post)?,
        None => post.source.kind = "none".into(),
    }
    let created = submit(cx, &target, &args, &post)?;
    let unnamed = target.name.is_empty();
    target.name = name_of(&created).ok_or_else(|| Error::internal("Failed to get instance name"))?;
    if unnamed {
        say!("Instance name is: {}", target.name);
    }
    advise_about_network(&target)?;
    Ok(target)
}

/// The image's word, and the instance's; an empty instance has no image.
fn images_and_name(args: &Init) -> Result<(Option<&str>, &str)> {
    let word = |at: usize| args.words.get(at).map_or("", String::as_str);
    match (args.empty, args.words.len()) {
        (true, ..=1) => Ok((None, word(0))),
        (true, _) => Err(Error::invalid("--empty cannot be combined with an image name")),
        (false, _) => Ok((Some(word(0)), word(1))),
    }
}

/// Everything but the image.
fn request(target: &Target, args: &Init, read: InstancePut) -> Result<InstancesPost> {
    let mut post = InstancesPost {
        name: target.name.clone(),
        config: read.config,
        devices: read.devices,
        description: read.description,
        ephemeral: args.ephemeral || read.ephemeral,
        instance_type: args.size.clone().unwrap_or_default(),
        kind: if args.vm { "virtual-machine" } else { "container" }.into(),
        profiles: (!read.profiles.is_empty()).then_some(read.profiles),
        ..InstancesPost::default()
    };
    if !args.profile.is_empty() {
        post.profiles = Some(args.profile.clone());
    } else if args.no_profiles {
        post.profiles = Some(Vec::new());
    }
    post.config.extend(overrides(&args.config)?);
    let devices = device_overrides(&args.device)?;
    let wanted = args.network.is_some() || args.storage.is_some() || !devices.is_empty();
    let inherited = if wanted { inherited(target, post.profiles.as_deref())? } else { Devices::new() };
    if let Some(network) = args.network.as_deref().filter(|n| !n.is_empty()) {
        let (name, device) = network_device(target, network, &inherited)?;
        post.devices.insert(name, device);
    }
    if let Some(pool) = args.storage.as_deref().filter(|p| !p.is_empty()) {
        let (name, device) = root_device(&post.devices, &inherited, pool);
        post.devices.insert(name, device);
    }
    for (name, keys) in devices {
        let device = post.devices.remove(&name).or_else(|| inherited.get(&name).cloned());
        let mut device = match device {
            Some(device) => device,
            None if keys.contains_key("type") => DeviceMap::new(),
            None => {
                return Err(Error::invalid(format!(
                    "Cannot override config for device {name:?}: Device not found in profile devices"
                )));
            }
        };
        device.extend(keys);
        post.devices.insert(name, device);
    }
    Ok(post)
}

/// `device,key=value` words, gathered by device.
pub fn device_overrides(words: &[String]) -> Result<Devices> {
    let mut out = Devices::new();
    for word in words {
        let bad = || Error::invalid(format!("Bad device override syntax, expecting <device>,<key>=<value>: {word}"));
        let (device, setting) = word.split_once(',').ok_or_else(bad)?;
        let (key, value) = setting.split_once('=').ok_or_else(bad)?;
        out.entry(device.into()).or_default().insert(key.into(), value.into());
    }
    Ok(out)
}

/// The devices that come from the profiles.
fn inherited(target: &Target, profiles: Option<&[String]>) -> Result<Devices> {
    let default = ["default".to_string()];
    let mut devices = Devices::new();
    for profile in profiles.unwrap_or(&default) {
        let profile: Profile = target.client.read(&path(&["profiles", profile]))?;
        devices.extend(profile.devices);
    }
    Ok(devices)
}

/// A device for `--network`, in place of the one the profiles have.
fn network_device(target: &Target, network: &str, inherited: &Devices) -> Result<(String, DeviceMap)> {
    let found: Value = target
        .client
        .read(&path(&["networks", network]))
        .map_err(|e| Error::new(e.kind(), format!("Failed loading network {network:?}: {}", e.message())))?;
    let mut device = DeviceMap::from([("type".into(), "nic".into()), ("name".into(), "eth0".into())]);
    if found["managed"] == true {
        device.insert("network".into(), network.into());
    } else {
        let kind = if found["type"] == "bridge" { "bridged" } else { "macvlan" };
        device.extend([("nictype".into(), kind.into()), ("parent".into(), network.into())]);
    }
    let replaced = inherited.iter().find(|(_, d)| {
        d.get("type").is_some_and(|t| t == "nic") && d.get("network").or(d.get("parent")).is_some_and(|n| n == network)
    });
    match replaced {
        Some((name, device)) => Ok((name.clone(), device.clone())),
        None => Ok(("eth0".into(), device)),
    }
}

/// The root disk, on another pool.
pub(super) fn root_device(own: &Devices, inherited: &Devices, pool: &str) -> (String, DeviceMap) {
    let Some((name, device)) = own.iter().chain(inherited).find(|(_, d)| device::is_root(d)) else {
        return ("root".into(), device::root(pool));
    };
    let mut device = device.clone();
    device.insert("pool".into(), pool.into());
    (name.clone(), device)
}

/// Finds the image and names it in the request.
fn from_image(cx: &Context, target: &Target, image: &str, post: &mut InstancesPost) -> Result<()> {
    let source = cx.target(image)?;
    if source.remote != target.remote {
        return Err(Error::unsupported("Creating an instance from an image on another server"));
    }
    let kind = if post.kind == "virtual-machine" { "virtual-machine" } else { "container" };
    let (fingerprint, image_kind) = resolve(&source, kind)?;
    if !image_kind.is_empty() && image_kind != post.kind {
        if kind == "virtual-machine" {
            return Err(Error::invalid(format!("Asked for a VM but image is of type {image_kind}")));
        }
        post.kind = image_kind;
    }
    post.source.kind = "image".into();
    post.source.fingerprint = fingerprint;
    Ok(())
}

/// The fingerprint and kind of an image given by alias, fingerprint or the beginning of one.
pub fn resolve(source: &Target, kind: &str) -> Result<(String, String)> {
    if source.name.is_empty() {
        return Err(Error::invalid("Image identifier missing"));
    }
    let alias: Result<Value> = source.client.read(&path(&["images", "aliases", &source.name]));
    let name = match alias {
        Ok(alias) => alias["target"].as_str().unwrap_or(&source.name).to_string(),
        Err(error) if error.kind() == crate::error::Kind::NotFound => source.name.clone(),
        Err(error) => return Err(error),
    };
    let image: Value = source.client.read(&path(&["images", &name]))?;
    let text = |key: &str| image[key].as_str().unwrap_or("").to_string();
    let (fingerprint, found) = (text("fingerprint"), text("type"));
    Ok((if fingerprint.is_empty() { name } else { fingerprint }, if found.is_empty() { kind.into() } else { found }))
}

fn submit(cx: &Context, target: &Target, args: &Init, post: &InstancesPost) -> Result<Operation> {
    let address = with_query("/1.0/instances", &[("target", args.target.as_deref().unwrap_or(""))]);
    let made = run(cx, &target.client, (Method::POST, &address, post), "Retrieving image: ")?;
    made.ok_or_else(|| Error::internal("The server answered without an operation"))
}

/// The instance an operation has made.
pub fn name_of(operation: &Operation) -> Option<String> {
    let resources = operation.resources.as_ref()?;
    let url = resources.get("instances").or_else(|| resources.get("containers"))?.first()?;
    let name = url.split('?').next()?.rsplit('/').next()?;
    Some(name.to_string())
}

/// An instance without network is rarely meant.
fn advise_about_network(target: &Target) -> Result<()> {
    let made: Value = target.client.read(&path(&["instances", &target.name]))?;
    let devices = made["expanded_devices"].as_object();
    if devices.is_some_and(|devices| devices.values().any(|device| device["type"] == "nic")) {
        return Ok(());
    }
    note!(
        "\nThe instance has no network.\n  Create one with: lxc network create\n  Attach it with: lxc network attach\n"
    );
    Ok(())
}
