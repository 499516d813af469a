//! `lxc profile …` but its devices.

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::args::{Format, Words, fetch, objects};
use super::configure::change_instance;
use super::thing::Thing;
use crate::api::client::path;
use crate::api::types::{Profile, ProfilePut, ProfilesPost, RenamePost};
use crate::cli::context::{Context, Target};
use crate::cli::input::settings;
use crate::cli::output::{Rows, emit, render, say, sort_rows, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Kind, Result};

/// `lxc profile copy`.
#[derive(FromArgs, ArgsInfo)]
pub struct Copy {
    /// project
    #[argh(option)]
    target_project: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

fn read(cx: &Context, word: &str) -> Result<(Target, String, Profile, String)> {
    let target = cx.named(word, "profile name")?;
    let address = path(&["profiles", &target.name]);
    let (profile, etag) = target.client.read_with_etag(&address)?;
    Ok((target, address, profile, etag))
}

fn changeable(profile: Profile) -> ProfilePut {
    ProfilePut { config: profile.config, description: profile.description, devices: profile.devices }
}

/// `lxc profile list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    let (raw, profiles) = fetch::<Profile>(&target.client, "/1.0/profiles?recursion=1")?;
    let row = |p: &Profile| vec![p.name.clone(), p.description.clone(), p.used_by.len().to_string()];
    let mut cells: Vec<Vec<String>> = profiles.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "DESCRIPTION", "USED BY"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &profiles) })?;
    Ok(0)
}

/// `lxc profile show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    let (_, _, profile, _) = read(cx, &args.words[0])?;
    emit(yaml(&json!(profile)).as_bytes());
    Ok(0)
}

/// `lxc profile create`.
pub fn create(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "profile name")?;
    target
        .client
        .post("/1.0/profiles", &ProfilesPost { name: target.name.clone(), ..ProfilesPost::default() })
        .wait()?;
    cx.tell(&format!("Profile {} created", target.name));
    Ok(0)
}

/// `lxc profile delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "profile name")?;
    target.client.delete(&path(&["profiles", &target.name])).wait()?;
    cx.tell(&format!("Profile {} deleted", target.name));
    Ok(0)
}

/// `lxc profile rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "profile name")?;
    let post = RenamePost { name: args.words[1].clone() };
    target.client.post(&path(&["profiles", &target.name]), &post).wait()?;
    cx.tell(&format!("Profile {} renamed to {}", target.name, args.words[1]));
    Ok(0)
}

/// `lxc profile copy`.
pub fn copy(cx: &Context, args: Copy) -> Result<i32> {
    let (source, _, profile, _) = read(cx, &args.words[0])?;
    let mut target = cx.target(&args.words[1])?;
    if target.name.is_empty() {
        target.name = source.name;
    }
    let client = match args.target_project.as_deref() {
        Some(project) => target.client.in_project(project),
        None => target.client,
    };
    let ProfilePut { config, description, devices } = changeable(profile);
    client.post("/1.0/profiles", &ProfilesPost { config, description, devices, name: target.name }).wait()?;
    Ok(0)
}

/// `lxc profile edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "profile name")?;
    let thing = Thing { address: path(&["profiles", &target.name]), client: target.client };
    thing.edit::<Profile, ProfilePut>("profile", "all but name and used_by")
}

/// `lxc profile get`.
pub fn get(cx: &Context, args: Words) -> Result<i32> {
    let (_, _, profile, _) = read(cx, &args.words[0])?;
    say!("{}", profile.config.get(&args.words[1]).map_or("", String::as_str));
    Ok(0)
}

/// `lxc profile set`.
pub fn set(cx: &Context, args: Words) -> Result<i32> {
    let keys = settings(&args.words[1..])?;
    let (target, address, profile, etag) = read(cx, &args.words[0])?;
    let mut put = changeable(profile);
    put.config.extend(keys);
    target.client.put(&address, &put, &etag).wait()?;
    Ok(0)
}

/// `lxc profile unset`.
pub fn unset(cx: &Context, args: Words) -> Result<i32> {
    let (target, address, profile, etag) = read(cx, &args.words[0])?;
    let mut put = changeable(profile);
    put.config.remove(&args.words[1]);
    target.client.put(&address, &put, &etag).wait()?;
    Ok(0)
}

/// `lxc profile add`.
pub fn add(cx: &Context, args: Words) -> Result<i32> {
    let (target, profile) = (cx.named(&args.words[0], "instance name")?, &args.words[1]);
    change_instance(&target, |put| {
        put.profiles.push(profile.clone());
        Ok(())
    })?;
    cx.tell(&format!("Profile {profile} added to {}", target.name));
    Ok(0)
}

/// `lxc profile remove`.
pub fn remove(cx: &Context, args: Words) -> Result<i32> {
    let (target, profile) = (cx.named(&args.words[0], "instance name")?, &args.words[1]);
    change_instance(&target, |put| {
        let before = put.profiles.len();
        put.profiles.retain(|name| name != profile);
        if put.profiles.len() == before {
            let text = format!("Profile {profile} isn't currently applied to {}", target.name);
            return Err(Error::new(Kind::NotFound, text));
        }
        Ok(())
    })?;
    cx.tell(&format!("Profile {profile} removed from {}", target.name));
    Ok(0)
}

/// `lxc profile assign`.
pub fn assign(cx: &Context, args: Words) -> Result<i32> {
    let (target, words) = (cx.named(&args.words[0], "instance name")?, &args.words[1]);
    let profiles: Vec<String> = words.split(',').filter(|name| !name.is_empty()).map(String::from).collect();
    change_instance(&target, |put| {
        put.profiles = profiles;
        Ok(())
    })?;
    cx.tell(&format!("Profiles {} applied to {}", if words.is_empty() { "(none)" } else { words }, target.name));
    Ok(0)
}
