//! `lxc network attach`, `detach`, and the same of profiles.

use super::super::args::Words;
use super::super::configure::change_instance;
use crate::api::client::path;
use crate::api::types::{DeviceMap, Devices, Network, Profile, ProfilePut};
use crate::cli::context::{Context, Target};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Kind, Result};

/// What is attached to the network, and where.
struct Ends<'a> {
    target: Target,
    holder: &'a str,
    device: Option<&'a String>,
    interface: Option<&'a String>,
}

fn words<'a>(cx: &Context, words: &'a [String]) -> Result<Ends<'a>> {
    let target = cx.named(&words[0], "network name")?;
    Ok(Ends { target, holder: &words[1], device: words.get(2), interface: words.get(3) })
}

impl Ends<'_> {
    /// A device on the network. LXD's client names the network only for instances.
    fn device(&self, named: bool) -> Result<DeviceMap> {
        let network: Network = self.target.client.read(&path(&["networks", &self.target.name]))?;
        let mut device = DeviceMap::from([("type".to_owned(), "nic".to_owned())]);
        if named && network.managed {
            device.insert("network".into(), network.name);
        } else {
            let kind = if network.kind == "bridge" { "bridged" } else { "macvlan" };
            device.insert("nictype".into(), kind.into());
            device.insert("parent".into(), network.name);
        }
        if let Some(interface) = self.interface {
            device.insert("name".into(), interface.clone());
        }
        Ok(device)
    }

    fn add(&self, devices: &mut Devices, device: DeviceMap) -> Result<()> {
        let name = self.device.unwrap_or(&self.target.name);
        match devices.contains_key(name) {
            true => Err(Error::new(Kind::Exists, format!("Device already exists: {name}"))),
            false => {
                devices.insert(name.clone(), device);
                Ok(())
            }
        }
    }

    fn remove(&self, devices: &mut Devices) -> Result<()> {
        let here = |d: &DeviceMap| {
            let is = |key: &str| d.get(key).is_some_and(|v| *v == self.target.name);
            d.get("type").is_some_and(|t| t == "nic") && (is("parent") || is("network"))
        };
        let name = match self.device {
            Some(name) => name.clone(),
            None => {
                let mut fitting = devices.iter().filter(|(_, d)| here(d)).map(|(name, _)| name.clone());
                let first = fitting.next();
                if fitting.next().is_some() {
                    return Err(Error::invalid("More than one device matches, specify the device name"));
                }
                first.ok_or_else(|| Error::not_found("No device found for this network"))?
            }
        };
        let device = devices.get(&name).ok_or_else(|| Error::not_found("The specified device doesn't exist"))?;
        if !here(device) {
            return Err(Error::invalid("The specified device doesn't match the network"));
        }
        devices.remove(&name);
        Ok(())
    }

    /// The instance, on the network's server.
    fn instance(&self, cx: &Context, word: &str) -> Result<Target> {
        let mut instance = cx.named(word, "network name")?;
        instance.name = self.holder.to_owned();
        Ok(instance)
    }

    fn profile(&self, change: impl FnOnce(&mut Devices) -> Result<()>) -> Result<i32> {
        let address = path(&["profiles", self.holder]);
        let (profile, etag): (Profile, String) = self.target.client.read_with_etag(&address)?;
        let Profile { config, description, devices, .. } = profile;
        let mut put = ProfilePut { config, description, devices };
        change(&mut put.devices)?;
        self.target.client.put(&address, &put, &etag).wait()?;
        Ok(0)
    }
}

/// `lxc network attach`.
pub fn attach(cx: &Context, args: Words) -> Result<i32> {
    let words = words(cx, &args.words)?;
    let device = words.device(true)?;
    change_instance(&words.instance(cx, &args.words[0])?, |put| words.add(&mut put.devices, device))?;
    Ok(0)
}

/// `lxc network attach-profile`.
pub fn attach_profile(cx: &Context, args: Words) -> Result<i32> {
    let words = words(cx, &args.words)?;
    let device = words.device(false)?;
    words.profile(|devices| words.add(devices, device))
}

/// `lxc network detach`.
pub fn detach(cx: &Context, args: Words) -> Result<i32> {
    let words = words(cx, &args.words)?;
    change_instance(&words.instance(cx, &args.words[0])?, |put| words.remove(&mut put.devices))?;
    Ok(0)
}

/// `lxc network detach-profile`.
pub fn detach_profile(cx: &Context, args: Words) -> Result<i32> {
    let words = words(cx, &args.words)?;
    words.profile(|devices| words.remove(devices))
}
