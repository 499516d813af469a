//! `lxc cluster group …`.

use serde::Serialize;
use serde_json::{Value, json};

use super::{MemberPut, clustered, member};
use crate::api::client::path;
use crate::api::tree::readable;
use crate::cli::commands::args::{Format, Words, fetch, objects};
use crate::cli::commands::thing::Thing;
use crate::cli::context::Context;
use crate::cli::output::{Rows, render, say, sort_rows};
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

readable! {
    /// A group of members.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct Group {
        description: String,
        members: Vec<String>,
        name: String,
    }

    /// What of a group can be changed.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct GroupPut {
        description: String,
        members: Vec<String>,
    }
}

fn group(cx: &Context, word: &str) -> Result<(Thing, String)> {
    let target = cx.named(word, "cluster group name")?;
    target.client.require("clustering_groups").wait()?;
    Ok((Thing { address: path(&["cluster", "groups", &target.name]), client: target.client }, target.name))
}

/// `lxc cluster group list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    clustered(&target)?;
    let (raw, groups) = fetch::<Group>(&target.client, "/1.0/cluster/groups?recursion=1")?;
    let row = |g: &Group| vec![g.name.clone(), g.description.clone(), g.members.len().to_string()];
    let mut cells: Vec<Vec<String>> = groups.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "DESCRIPTION", "MEMBERS"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &groups) })?;
    Ok(0)
}

/// `lxc cluster group show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    group(cx, &args.words[0])?.0.show::<Group>()
}

/// `lxc cluster group create`.
pub fn create(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "cluster group name")?;
    target.client.require("clustering_groups").wait()?;
    target.client.post("/1.0/cluster/groups", &json!({ "name": target.name, "members": [] })).wait()?;
    if !cx.quiet {
        say!("Cluster group {} created", target.name);
    }
    Ok(0)
}

/// `lxc cluster group delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let (thing, name) = group(cx, &args.words[0])?;
    thing.client.delete(&thing.address).wait()?;
    if !cx.quiet {
        say!("Cluster group {name} deleted");
    }
    Ok(0)
}

/// `lxc cluster group rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let ((thing, name), new) = (group(cx, &args.words[0])?, &args.words[1]);
    thing.client.post(&thing.address, &json!({ "name": new })).wait()?;
    if !cx.quiet {
        say!("Cluster group {name} renamed to {new}");
    }
    Ok(0)
}

/// `lxc cluster group edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    group(cx, &args.words[0])?.0.edit::<Group, GroupPut>("group of members", "description and members")
}

/// `lxc cluster group assign`.
pub fn assign(cx: &Context, args: Words) -> Result<i32> {
    let ((thing, name), words) = (member(cx, &args.words[0], "clustering")?, &args.words[1]);
    let groups: Vec<Value> = words.split(',').filter(|word| !word.is_empty()).map(Value::from).collect();
    thing.change::<MemberPut>(|put| {
        put["groups"] = Value::Array(groups);
        Ok(())
    })?;
    if !cx.quiet {
        say!("Cluster member {name} added to cluster groups {words}");
    }
    Ok(0)
}

/// `lxc cluster group remove`.
pub fn remove(cx: &Context, args: Words) -> Result<i32> {
    let ((thing, name), group) = (member(cx, &args.words[0], "clustering")?, &args.words[1]);
    thing.change::<MemberPut>(|put| {
        let groups = put["groups"].as_array_mut();
        let place = groups.as_ref().and_then(|all| all.iter().position(|one| one == group));
        match (groups, place) {
            (Some(groups), Some(at)) => _ = groups.remove(at),
            _ => {
                let text = format!("Cluster group {group} isn't currently applied to {name}");
                return Err(Error::not_found(text));
            }
        }
        Ok(())
    })?;
    if !cx.quiet {
        say!("Cluster group {group} removed from {name}");
    }
    Ok(0)
}
