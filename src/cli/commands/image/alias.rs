//! `lxc image alias …`.

use hyper::Method;

use crate::api::client::path;
use crate::api::types::{ImageAliasesEntry, RenamePost};
use crate::cli::commands::args::{Format, Words, fetch, objects};
use crate::cli::context::{Context, Target};
use crate::cli::output::{Rows, render, sort_rows};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Kind, Result};

/// `lxc image alias create`.
pub fn create(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "alias name")?;
    post(&target, &target.name, &args.words[1])?;
    Ok(0)
}

fn post(target: &Target, name: &str, fingerprint: &str) -> Result<()> {
    let post = serde_json::json!({"description": "", "target": fingerprint, "type": "", "name": name});
    target.client.post("/1.0/images/aliases", &post).wait()
}

/// Gives an image a name, taking it from another image if need be.
pub fn ensure(target: &Target, name: &str, fingerprint: &str) -> Result<()> {
    match target.client.delete(&path(&["images", "aliases", name])).wait() {
        Err(error) if error.kind() != Kind::NotFound => Err(error),
        _ => post(target, name, fingerprint),
    }
}

/// `lxc image alias delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "alias name")?;
    target.client.delete(&path(&["images", "aliases", &target.name])).wait()?;
    Ok(0)
}

/// `lxc image alias rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "alias name")?;
    let post = RenamePost { name: args.words[1].clone() };
    target.client.send(Method::POST, &path(&["images", "aliases", &target.name]), &post).wait()?;
    Ok(0)
}

/// `lxc image alias list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let mut filters = args.words.clone();
    let target = match filters.first().filter(|word| word.contains(':')).cloned() {
        None => cx.target("")?,
        Some(word) => {
            let target = cx.target(&word)?;
            filters.remove(0);
            filters.extend(Some(target.name.clone()).filter(|name| !name.is_empty()));
            target
        }
    };
    let (raw, aliases) = fetch::<ImageAliasesEntry>(&target.client, "/1.0/images/aliases?recursion=1")?;
    let passes = |alias: &ImageAliasesEntry| {
        filters.iter().all(|f| alias.name.contains(f.as_str()) || alias.target.contains(f.as_str()))
    };
    let (raw, aliases): (Vec<_>, Vec<_>) = raw.into_iter().zip(aliases).filter(|(_, alias)| passes(alias)).unzip();
    let mut cells: Vec<Vec<String>> = aliases.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["ALIAS", "FINGERPRINT", "TYPE", "DESCRIPTION"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &aliases) })?;
    Ok(0)
}

fn row(alias: &ImageAliasesEntry) -> Vec<String> {
    let kind = if alias.kind.is_empty() { "container" } else { &alias.kind };
    let fingerprint = alias.target.chars().take(12).collect();
    vec![alias.name.clone(), fingerprint, kind.to_uppercase(), alias.description.clone()]
}

/// The fingerprint an image is known by: of an alias its target, otherwise the word itself. With `vm`, aliases of
/// containers don't count.
pub fn dereference(target: &Target, vm: bool) -> Result<String> {
    if target.name.is_empty() {
        return Err(Error::invalid("Image identifier missing"));
    }
    let found: Result<ImageAliasesEntry> = target.client.read(&path(&["images", "aliases", &target.name]));
    match found {
        Ok(alias) if vm && alias.kind != "virtual-machine" => Ok(target.name.clone()),
        Ok(alias) => Ok(alias.target),
        Err(error) if error.kind() == Kind::NotFound => Ok(target.name.clone()),
        Err(error) => Err(error),
    }
}
