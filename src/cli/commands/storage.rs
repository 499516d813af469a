//! `lxc storage …` but volumes.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Map, Value, json};

use super::args::{Format, OnMember, Words, fetch, objects};
use super::thing::Thing;
use crate::api::client::{path, with_query};
use crate::api::types::{ResourcesStoragePool, StoragePool, StoragePoolPut, StoragePoolsPost};
use crate::cli::context::{Context, Target};
use crate::cli::input::{settings, storage_overrides};
use crate::cli::output::{Rows, bytes_iec, emit, render, sort_rows, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::Result;
use crate::order::Order;

/// `lxc storage info`.
#[derive(FromArgs, ArgsInfo)]
pub struct Info {
    /// in bytes
    #[argh(switch)]
    bytes: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc storage show`.
#[derive(FromArgs, ArgsInfo)]
pub struct Show {
    /// how full it is
    #[argh(switch)]
    resources: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

fn address(target: &Target, rest: &[&str], member: &Option<String>) -> String {
    let segments: Vec<&str> = ["storage-pools", &target.name].iter().chain(rest).copied().collect();
    with_query(&path(&segments), &[("target", member.as_deref().unwrap_or(""))])
}

fn thing(target: Target, member: &Option<String>) -> Thing {
    Thing { address: address(&target, &[], member), client: target.client }
}

/// `lxc storage list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    let (raw, pools) = fetch::<StoragePool>(&target.client, "/1.0/storage-pools?recursion=1")?;
    // In a cluster each member has a source of its own.
    let clustered = pools.iter().any(|pool| pool.locations.iter().any(|location| location != "none"));
    let row = |pool: &StoragePool| {
        let source = pool.config.get("source").cloned().unwrap_or_default();
        let (users, state) = (pool.used_by.len().to_string(), pool.status.to_uppercase());
        let mut row = vec![pool.name.clone(), pool.driver.clone()];
        row.extend((!clustered).then_some(source));
        row.extend([pool.description.clone(), users, state]);
        row
    };
    let mut cells: Vec<Vec<String>> = pools.iter().map(row).collect();
    sort_rows(&mut cells);
    let mut head = ["NAME", "DRIVER", "SOURCE", "DESCRIPTION", "USED BY", "STATE"].map(String::from).to_vec();
    head.retain(|name| !clustered || name != "SOURCE");
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &pools) })?;
    Ok(0)
}

/// `lxc storage create`.
pub fn create(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    let mut post = StoragePoolsPost { name: target.name.clone(), ..StoragePoolsPost::default() };
    post.driver = args.words[1].clone();
    post.config = storage_overrides(&args.words[2..])?;
    let member = args.target.as_deref().unwrap_or("");
    target.client.post(&with_query("/1.0/storage-pools", &[("target", member)]), &post).wait()?;
    match member {
        "" => cx.tell(&format!("Storage pool {} created", target.name)),
        member => cx.tell(&format!("Storage pool {} pending on member {member}", target.name)),
    }
    Ok(0)
}

/// `lxc storage delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    target.client.delete(&address(&target, &[], &None)).wait()?;
    cx.tell(&format!("Storage pool {} deleted", target.name));
    Ok(0)
}

/// `lxc storage show`.
pub fn show(cx: &Context, args: Show) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    if !args.resources {
        return thing(target, &args.target).show::<StoragePool>();
    }
    let address = address(&target, &["resources"], &args.target);
    emit(yaml(&json!(target.client.read::<ResourcesStoragePool>(&address)?)).as_bytes());
    Ok(0)
}

/// `lxc storage info`.
pub fn info(cx: &Context, args: Info) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    let pool: StoragePool = target.client.read(&address(&target, &[], &args.target))?;
    let usage: ResourcesStoragePool = target.client.read(&address(&target, &["resources"], &args.target))?;
    let size = |bytes: u64| match args.bytes {
        true => bytes.to_string(),
        false => bytes_iec(i64::try_from(bytes).unwrap_or(i64::MAX), 2),
    };
    let (used, total) = (size(usage.space.used), size(usage.space.total));
    let about = json!({
        "info": { "description": pool.description, "driver": pool.driver, "name": pool.name,
                  "space used": used, "total space": total }
    });
    emit(yaml(&about).as_bytes());
    emit(yaml(&json!({ "used by": users(&pool.used_by) })).as_bytes());
    Ok(0)
}

/// The users of a pool by kind, from their URLs.
fn users(urls: &[String]) -> Value {
    let mut kinds = std::collections::BTreeMap::<String, Vec<String>>::new();
    for url in urls {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let parts: Vec<&str> = path.trim_start_matches("/1.0/").split('/').collect();
        let (kind, name) = match parts[..] {
            ["storage-pools", _, "volumes", _, name, ..] => ("volumes", name),
            ["storage-pools", _, kind, name, ..] => (kind, name),
            [kind, name, ..] => (kind, name),
            _ => ("unrecognized", path),
        };
        let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        let notes: Vec<String> = ["project", "target"]
            .iter()
            .filter_map(|key| Some(format!("{} {:?}", key.replace("target", "location"), value(key)?)))
            .collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        kinds.entry(kind.to_string()).or_default().push(format!("{name}{notes}"));
    }
    let sorted = kinds.into_iter().map(|(kind, mut names)| {
        names.order();
        (kind, json!(names))
    });
    Value::Object(sorted.collect::<Map<_, _>>())
}

/// `lxc storage edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    let thing = thing(target, &None);
    thing.edit::<StoragePool, StoragePoolPut>("storage pool", "config and description")
}

/// `lxc storage get`.
pub fn get(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    thing(target, &args.target).get(&args.words[1])
}

/// `lxc storage set`.
pub fn set(cx: &Context, args: OnMember) -> Result<i32> {
    let keys = settings(&args.words[1..])?;
    change(cx, &args, |put| put.config.extend(keys))
}

/// `lxc storage unset`.
pub fn unset(cx: &Context, args: OnMember) -> Result<i32> {
    change(cx, &args, |put| _ = put.config.insert(args.words[1].clone(), String::new()))
}

fn change(cx: &Context, args: &OnMember, change: impl FnOnce(&mut StoragePoolPut)) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    let address = address(&target, &[], &args.target);
    let (pool, etag): (StoragePool, String) = target.client.read_with_etag(&address)?;
    let mut put = StoragePoolPut { config: pool.config, description: pool.description };
    change(&mut put);
    target.client.put(&address, &put, &etag).wait()?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_a_pool_are_gathered_by_kind() {
        let urls = [
            "/1.0/instances/c1",
            "/1.0/instances/c1/snapshots/s0",
            "/1.0/instances/c2?project=p",
            "/1.0/storage-pools/default/volumes/custom/v",
        ];
        let found = users(&urls.map(String::from));
        assert_eq!(found, json!({"instances": ["c1", "c1", "c2 (project \"p\")"], "volumes": ["v"]}));
    }
}
