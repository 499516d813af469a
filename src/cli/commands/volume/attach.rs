//! Volumes as disks of instances and profiles.

use serde_json::Value;

use super::volume;
use crate::api::client::path;
use crate::api::types::{DeviceMap as Device, Devices, ProfilePut, from_tree};
use crate::cli::commands::args::Words;
use crate::cli::commands::configure::change_instance;
use crate::cli::commands::thing::Thing;
use crate::cli::context::{Context, Target};
use crate::cli::wait::Read;
use crate::error::{Ctx, Error, Kind, Result};

/// A disk that shows a volume: its name and its keys.
struct Disk {
    holder: Target,
    name: String,
    device: Device,
}

/// Reads `pool volume holder [device] [path]`.
fn disk(cx: &Context, words: &[String], look: bool) -> Result<Disk> {
    let volume = volume(cx, &words[0], &words[1])?;
    if volume.kind != "custom" {
        return Err(Error::invalid("Only \"custom\" volumes can be attached to instances"));
    }
    let (name, place) = match &words[3..] {
        [] => (volume.name.clone(), None),
        [place] => (volume.name.clone(), Some(place)),
        [name, place, ..] => (name.clone(), Some(place)),
    };
    let mut block = false;
    if look {
        let found: Value = volume.target.client.read(&volume.address(&None))?;
        block = found["content_type"] == "block";
    }
    let mut device = Device::new();
    device.insert("type".into(), "disk".into());
    device.insert("pool".into(), volume.target.name.clone());
    device.insert("source".into(), volume.label());
    if !block {
        device.insert("path".into(), place.cloned().unwrap_or_default());
    }
    let holder = holder(cx, &volume.target.remote, &words[2])?;
    Ok(Disk { holder, name, device })
}

/// The instance or profile, which is on the volume's server.
fn holder(cx: &Context, remote: &str, word: &str) -> Result<Target> {
    cx.named(&format!("{remote}:{word}"), "name")
}

/// `lxc storage volume attach`.
pub fn attach(cx: &Context, args: Words) -> Result<i32> {
    let disk = disk(cx, &args.words, false)?;
    change_instance(&disk.holder, |put| add(&mut put.devices, &disk.name, &disk.device))
}

/// `lxc storage volume attach-profile`.
pub fn attach_profile(cx: &Context, args: Words) -> Result<i32> {
    let disk = disk(cx, &args.words, true)?;
    let thing = profile(disk.holder);
    thing.change::<ProfilePut>(|put| devices(put, |all| add(all, &disk.name, &disk.device)))
}

/// `lxc storage volume detach`.
pub fn detach(cx: &Context, args: Words) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    let holder = holder(cx, &volume.target.remote, &args.words[2])?;
    let wanted = (volume.target.name.as_str(), volume.label(), args.words.get(3));
    change_instance(&holder, |put| remove(&mut put.devices, wanted))
}

/// `lxc storage volume detach-profile`.
pub fn detach_profile(cx: &Context, args: Words) -> Result<i32> {
    let volume = volume(cx, &args.words[0], &args.words[1])?;
    let thing = profile(holder(cx, &volume.target.remote, &args.words[2])?);
    let wanted = (volume.target.name.as_str(), volume.label(), args.words.get(3));
    thing.change::<ProfilePut>(|put| devices(put, |all| remove(all, wanted)))
}

fn profile(holder: Target) -> Thing {
    Thing { address: path(&["profiles", &holder.name]), client: holder.client }
}

/// Changes the devices of a profile that is JSON.
fn devices(put: &mut Value, change: impl FnOnce(&mut Devices) -> Result<()>) -> Result<()> {
    let failed = || "Failed reading the devices of the profile";
    let mut all: Devices = from_tree(&put["devices"]).ctx(Kind::Internal, failed)?;
    change(&mut all)?;
    put["devices"] = serde_json::to_value(all).ctx(Kind::Internal, failed)?;
    Ok(())
}

fn add(all: &mut Devices, name: &str, device: &Device) -> Result<()> {
    if all.contains_key(name) {
        return Err(Error::new(Kind::Exists, format!("Device already exists: {name}")));
    }
    all.insert(name.to_string(), device.clone());
    Ok(())
}

/// Takes away the one device that shows the volume, or the one of the name given.
fn remove(all: &mut Devices, wanted: (&str, String, Option<&String>)) -> Result<()> {
    let (pool, source, name) = wanted;
    let name = match name {
        Some(name) if all.contains_key(name) => name.clone(),
        Some(_) => return Err(Error::not_found("The specified device doesn't exist")),
        None => {
            let value = |device: &Device, key: &str| device.get(key).map(String::from).unwrap_or_default();
            let shows = |device: &Device| {
                value(device, "type") == "disk" && value(device, "pool") == pool && value(device, "source") == source
            };
            let mut found = all.iter().filter(|(_, device)| shows(device)).map(|(name, _)| name.clone());
            let first = found.next().ok_or_else(|| Error::not_found("No device found for this storage volume"))?;
            if found.next().is_some() {
                return Err(Error::invalid("More than one device matches, specify the device name"));
            }
            first
        }
    };
    all.remove(&name);
    Ok(())
}
