//! `lxc config device …` and `lxc profile device …`: the same verbs on instances and profiles.

use serde_json::json;

use super::args::Words;
use super::configure::changeable;
use crate::api::client::path;
use crate::api::types::{DeviceMap, Devices, Instance, InstancePut, Profile, ProfilePut};
use crate::cli::context::{Context, Target};
use crate::cli::input::settings;
use crate::cli::output::{emit, say, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Kind, Result};

/// Something with devices, read to be changed and written back.
struct Holder {
    target: Target,
    address: String,
    etag: String,
    /// Those the profiles give it; none for profiles.
    inherited: Devices,
    body: Body,
}

enum Body {
    Instance(InstancePut),
    Profile(ProfilePut),
}

/// What it is that has devices.
#[derive(Clone, Copy)]
enum Of {
    Instance,
    Profile,
}

impl Holder {
    fn read(cx: &Context, of: Of, word: &str) -> Result<Holder> {
        let target = cx.named(word, "name")?;
        match of {
            Of::Instance => {
                let address = path(&["instances", &target.name]);
                let (mut instance, etag): (Instance, String) = target.client.read_with_etag(&address)?;
                let inherited = std::mem::take(&mut instance.expanded_devices);
                Ok(Holder { target, address, etag, inherited, body: Body::Instance(changeable(instance)) })
            }
            Of::Profile => {
                let address = path(&["profiles", &target.name]);
                let (profile, etag): (Profile, String) = target.client.read_with_etag(&address)?;
                let Profile { config, description, devices, .. } = profile;
                let body = Body::Profile(ProfilePut { config, description, devices });
                Ok(Holder { target, address, etag, inherited: Devices::new(), body })
            }
        }
    }

    fn devices(&mut self) -> &mut Devices {
        match &mut self.body {
            Body::Instance(put) => &mut put.devices,
            Body::Profile(put) => &mut put.devices,
        }
    }

    /// The device, or why there is none to change; `what` is done to it.
    fn device(&mut self, name: &str, what: &str, advice: &str) -> Result<&mut DeviceMap> {
        let from_profile = self.inherited.contains_key(name);
        self.devices().get_mut(name).ok_or_else(|| match from_profile {
            true => Error::new(
                Kind::Conflict,
                format!("Device from profile(s) cannot be {what} individual instance{advice}"),
            ),
            false => Error::not_found("Device doesn't exist"),
        })
    }

    fn write(&self) -> Result<()> {
        match &self.body {
            Body::Instance(put) => self.target.client.put(&self.address, put, &self.etag).wait(),
            Body::Profile(put) => self.target.client.put(&self.address, put, &self.etag).wait(),
        }
    }
}

const ADVICE: &str = ". Override device or modify profile instead";

fn add(cx: &Context, of: Of, words: &[String]) -> Result<i32> {
    let mut device = DeviceMap::from([("type".to_string(), words[2].clone())]);
    for word in &words[3..] {
        let (key, value) = word.split_once('=').ok_or_else(|| Error::invalid(format!("No value found in {word:?}")))?;
        device.insert(key.into(), value.into());
    }
    let mut holder = Holder::read(cx, of, &words[0])?;
    if holder.devices().contains_key(&words[1]) {
        return Err(Error::new(Kind::Exists, "The device already exists"));
    }
    holder.devices().insert(words[1].clone(), device);
    holder.write()?;
    cx.tell(&format!("Device {} added to {}", words[1], holder.target.name));
    Ok(0)
}

fn get(cx: &Context, of: Of, words: &[String]) -> Result<i32> {
    let mut holder = Holder::read(cx, of, &words[0])?;
    let device = holder.device(&words[1], "retrieved for", "")?;
    say!("{}", device.get(&words[2]).map_or("", String::as_str));
    Ok(0)
}

fn list(cx: &Context, of: Of, words: &[String]) -> Result<i32> {
    let mut holder = Holder::read(cx, of, &words[0])?;
    let names: Vec<&str> = holder.devices().keys().map(String::as_str).collect();
    say!("{}", names.join("\n"));
    Ok(0)
}

fn show(cx: &Context, of: Of, words: &[String]) -> Result<i32> {
    let mut holder = Holder::read(cx, of, &words[0])?;
    // The writer knows the members of `devices` as maps; what is below is printed alone.
    let text = yaml(&json!({ "devices": holder.devices() }));
    match text.strip_prefix("devices:\n") {
        Some(below) => {
            emit(below.lines().map(|l| format!("{}\n", l.get(2..).unwrap_or(""))).collect::<String>().as_bytes())
        }
        None => say!("{{}}"),
    }
    Ok(0)
}

fn remove(cx: &Context, of: Of, words: &[String]) -> Result<i32> {
    let mut holder = Holder::read(cx, of, &words[0])?;
    for name in &words[1..] {
        let advice = if matches!(of, Of::Instance) { ADVICE } else { "" };
        holder.device(name, "removed from", advice)?;
        holder.devices().remove(name);
    }
    holder.write()?;
    cx.tell(&format!("Device {} removed from {}", words[1..].join(", "), holder.target.name));
    Ok(0)
}

fn set(cx: &Context, of: Of, words: &[String]) -> Result<i32> {
    let keys = settings(&words[2..])?;
    let mut holder = Holder::read(cx, of, &words[0])?;
    let device = holder.device(&words[1], "modified for", ADVICE)?;
    for (key, value) in keys {
        match value.is_empty() {
            true => _ = device.remove(&key),
            false => _ = device.insert(key, value),
        }
    }
    holder.write()?;
    Ok(0)
}

fn unset(cx: &Context, of: Of, words: &[String]) -> Result<i32> {
    let mut holder = Holder::read(cx, of, &words[0])?;
    holder.device(&words[1], "modified for", ADVICE)?.remove(&words[2]);
    holder.write()?;
    Ok(0)
}

/// `lxc config device override`.
pub fn override_device(cx: &Context, args: Words) -> Result<i32> {
    let words = &args.words;
    let mut holder = Holder::read(cx, Of::Instance, &words[0])?;
    if holder.devices().contains_key(&words[1]) {
        return Err(Error::new(Kind::Exists, "The device already exists"));
    }
    let device = holder.inherited.get(&words[1]).cloned();
    let mut device = device.ok_or_else(|| Error::not_found("The profile device doesn't exist"))?;
    for word in &words[2..] {
        let (key, value) = word.split_once('=').ok_or_else(|| Error::invalid(format!("No value found in {word:?}")))?;
        device.insert(key.into(), value.into());
    }
    holder.devices().insert(words[1].clone(), device);
    holder.write()?;
    cx.tell(&format!("Device {} overridden for {}", words[1], holder.target.name));
    Ok(0)
}

macro_rules! both {
    ($($verb:ident)*) => {
        /// `lxc config device …`.
        pub mod instance {
            use super::*;
            $(
                /// The verb, on an instance.
                pub fn $verb(cx: &Context, args: Words) -> Result<i32> {
                    super::$verb(cx, Of::Instance, &args.words)
                }
            )*
        }
        /// `lxc profile device …`.
        pub mod profile {
            use super::*;
            $(
                /// The verb, on a profile.
                pub fn $verb(cx: &Context, args: Words) -> Result<i32> {
                    super::$verb(cx, Of::Profile, &args.words)
                }
            )*
        }
    };
}
both!(add get list show remove set unset);
