//! `lxc image info`, `show`, `edit`, `delete` and the properties.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::alias::dereference;
use super::list::megabytes;
use crate::api::client::path;
use crate::api::tree::readable;
use crate::api::types::{Image, ImagePut, Timestamp};
use crate::cli::commands::args::{Vm, Words};
use crate::cli::context::{Context, Target};
use crate::cli::edit::edit as in_editor;
use crate::cli::input::piped;
use crate::cli::output::{date, emit, say, yaml};
use crate::cli::wait::{Read, Wait};
use crate::cli::yaml_in::from_yaml;
use crate::error::{Error, Result};

/// An image by name, its path, and its ETag.
fn find(cx: &Context, word: &str, vm: bool) -> Result<(Target, String, Image, String)> {
    let target = cx.target(word)?;
    let address = path(&["images", &dereference(&target, vm)?]);
    let (image, etag) = target.client.read_with_etag(&address)?;
    Ok((target, address, image, etag))
}

fn changeable(image: Image) -> ImagePut {
    ImagePut {
        auto_update: image.auto_update,
        properties: image.properties,
        public: image.public,
        expires_at: image.expires_at,
        profiles: Some(image.profiles),
    }
}

fn document(put: &ImagePut) -> String {
    yaml(&serde_json::to_value(put).unwrap_or_default())
}

/// `lxc image show`.
pub fn show(cx: &Context, args: Vm) -> Result<i32> {
    let (_, _, image, _) = find(cx, &args.words[0], args.vm)?;
    emit(document(&changeable(image)).as_bytes());
    Ok(0)
}

/// `lxc image delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    for word in &args.words {
        let target = cx.target(word)?;
        let fingerprint = dereference(&target, false)?;
        target.client.delete(&path(&["images", &fingerprint])).wait()?;
    }
    Ok(0)
}

/// `lxc image edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    let (target, address, image, etag) = find(cx, &args.words[0], false)?;
    let put = |text: &str, etag: &str| target.client.put(&address, &from_yaml::<Edited>(text)?, etag).wait();
    match piped()? {
        Some(text) => put(&text, "")?,
        None => {
            let help = "### The properties of an image. Lines that begin with # are left out.\n\n";
            in_editor(&format!("{help}{}", document(&changeable(image))), &mut |text| put(text, &etag))?;
        }
    }
    Ok(0)
}

readable! {
    /// An image as people write it: profiles they don't mention stay as they are.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct Edited {
        auto_update: bool,
        properties: BTreeMap<String, String>,
        public: bool,
        expires_at: Timestamp,
        profiles: Option<Vec<String>>,
    }
}

/// `lxc image get-property`.
pub fn get_property(cx: &Context, args: Words) -> Result<i32> {
    let (_, _, image, _) = find(cx, &args.words[0], false)?;
    let value = image.properties.get(&args.words[1]).ok_or_else(|| Error::not_found("Property not found"))?;
    say!("{value}");
    Ok(0)
}

/// `lxc image set-property`.
pub fn set_property(cx: &Context, args: Words) -> Result<i32> {
    let (target, address, image, etag) = find(cx, &args.words[0], false)?;
    let mut put = changeable(image);
    put.properties.insert(args.words[1].clone(), args.words[2].clone());
    target.client.put(&address, &json!(put), &etag).wait()?;
    Ok(0)
}

/// `lxc image unset-property`.
pub fn unset_property(cx: &Context, args: Words) -> Result<i32> {
    let (target, address, image, etag) = find(cx, &args.words[0], false)?;
    let mut put = changeable(image);
    put.properties.remove(&args.words[1]);
    target.client.put(&address, &json!(put), &etag).wait()?;
    Ok(0)
}

/// `lxc image info`.
pub fn info(cx: &Context, args: Vm) -> Result<i32> {
    let (_, _, image, _) = find(cx, &args.words[0], args.vm)?;
    let yes = |flag| if flag { "yes" } else { "no" };
    let or_never = |time: Timestamp| if time.is_set() { date(time) } else { "never".to_string() };
    say!("Fingerprint: {}", image.fingerprint);
    say!("Size: {}", megabytes(image.size));
    say!("Architecture: {}", image.architecture);
    say!("Type: {}", if image.kind.is_empty() { "container" } else { &image.kind });
    say!("Public: {}", yes(image.public));
    say!("Timestamps:");
    if image.created_at.is_set() {
        say!("    Created: {}", date(image.created_at));
    }
    say!("    Uploaded: {}", date(image.uploaded_at));
    say!("    Expires: {}", or_never(image.expires_at));
    say!("    Last used: {}", or_never(image.last_used_at));
    say!("Properties:");
    for (key, value) in &image.properties {
        say!("    {key}: {value}");
    }
    say!("Aliases:");
    for alias in &image.aliases {
        match alias.description.is_empty() {
            true => say!("    - {}", alias.name),
            false => say!("    - {} ({})", alias.name, alias.description),
        }
    }
    say!("Cached: {}", yes(image.cached));
    say!("Auto update: {}", if image.auto_update { "enabled" } else { "disabled" });
    if let Some(source) = &image.update_source {
        say!("Source:");
        say!("    Server: {}", source.server);
        say!("    Protocol: {}", source.protocol);
        say!("    Alias: {}", source.alias);
    }
    match image.profiles.is_empty() {
        true => say!("Profiles: []"),
        false => say!("Profiles:"),
    }
    image.profiles.iter().for_each(|profile| say!("    - {profile}"));
    Ok(0)
}
