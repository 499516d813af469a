//! `lxc project …`.

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use serde_json::{Value, json};

use super::args::{Format, Words, fetch, objects};
use super::thing::Thing;
use crate::api::client::path;
use crate::api::tree::readable;
use crate::api::types::{ConfigMap, Project};
use crate::cli::context::Context;
use crate::cli::input::{overrides, settings};
use crate::cli::output::{Rows, bytes_iec, emit, render, say, sort_rows, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::Result;

/// `lxc project list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    let (raw, projects) = fetch::<Project>(&target.client, "/1.0/projects?recursion=1")?;
    let current = target.project();
    let row = |p: &Project| {
        let has = |feature: &str| match p.config.get(feature).is_some_and(|v| v == "true") {
            true => "YES".to_string(),
            false => "NO".to_string(),
        };
        let name = if p.name == current { format!("{} (current)", p.name) } else { p.name.clone() };
        let mut row = vec![name];
        row.extend(["images", "profiles", "storage.volumes", "networks"].map(|f| has(&format!("features.{f}"))));
        row.extend([p.description.clone(), p.used_by.len().to_string()]);
        row
    };
    let mut cells: Vec<Vec<String>> = projects.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "IMAGES", "PROFILES", "STORAGE VOLUMES", "NETWORKS", "DESCRIPTION", "USED BY"];
    let head = head.map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &projects) })?;
    Ok(0)
}

/// `lxc project show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "project name")?;
    let project: Project = target.client.read(&path(&["projects", &target.name]))?;
    emit(yaml(&json!(project)).as_bytes());
    Ok(0)
}

/// `lxc project get`.
pub fn get(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "project name")?;
    let project: Project = target.client.read(&path(&["projects", &target.name]))?;
    say!("{}", project.config.get(&args.words[1]).map_or("", String::as_str));
    Ok(0)
}

/// `lxc project info`.
pub fn info(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.named(&args.words[0], "project name")?;
    target.client.require("project_usage").wait()?;
    let state: Value = target.client.read(&path(&["projects", &target.name, "state"]))?;
    let sized = |kind: &str| matches!(kind, "disk" | "memory");
    let mut cells = Vec::new();
    for (kind, usage) in state["resources"].as_object().into_iter().flatten() {
        let shown = |value: &Value| match value.as_i64().unwrap_or(0) {
            n if n < 0 => "UNLIMITED".to_string(),
            n if sized(kind) => bytes_iec(n, 2),
            n => n.to_string(),
        };
        cells.push(vec![kind.to_uppercase(), shown(&usage["Limit"]), shown(&usage["Usage"])]);
    }
    sort_rows(&mut cells);
    let head = ["RESOURCE", "LIMIT", "USAGE"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| state.clone() })?;
    Ok(0)
}

/// `lxc project switch`.
pub fn switch(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "project name")?;
    let _: Value = target.client.read(&path(&["projects", &target.name]))?;
    let mut config = cx.config.borrow_mut();
    if let Some(remote) = config.remotes.get_mut(&target.remote) {
        remote.project = target.name;
    }
    config.save()?;
    Ok(0)
}

/// `lxc project create`.
#[derive(FromArgs, ArgsInfo)]
pub struct Create {
    /// configuration
    #[argh(option)]
    config: Vec<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

readable! {
    /// What of a project can be changed.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct ProjectPut {
        config: ConfigMap,
        description: String,
    }
}

fn thing(cx: &Context, word: &str) -> Result<Thing> {
    let target = cx.named(word, "project name")?;
    Ok(Thing { address: path(&["projects", &target.name]), client: target.client })
}

/// `lxc project create`.
pub fn create(cx: &Context, args: Create) -> Result<i32> {
    let target = cx.named(&args.words[0], "project name")?;
    target.client.post("/1.0/projects", &json!({ "name": target.name, "config": overrides(&args.config)? })).wait()?;
    if !cx.quiet {
        say!("Project {} created", target.name);
    }
    Ok(0)
}

/// `lxc project delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "project name")?;
    // Asked from outside the project, which may be the one this remote works in.
    let client = target.client.in_project("");
    client.delete(&path(&["projects", &target.name])).wait()?;
    if !cx.quiet {
        say!("Project {} deleted", target.name);
    }
    let mut config = cx.config.borrow_mut();
    if let Some(remote) = config.remotes.get_mut(&target.remote).filter(|remote| remote.project == target.name) {
        remote.project = String::new();
        config.save()?;
    }
    Ok(0)
}

/// `lxc project rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "project name")?;
    let new = &args.words[1];
    target.client.post(&path(&["projects", &target.name]), &json!({ "name": new })).wait()?;
    if !cx.quiet {
        say!("Project {} renamed to {new}", target.name);
    }
    Ok(0)
}

/// `lxc project edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0])?.edit::<Project, ProjectPut>("project", "all but name and used_by")
}

/// `lxc project set`.
pub fn set(cx: &Context, args: Words) -> Result<i32> {
    let thing = thing(cx, &args.words[0])?;
    let found: Result<Value> = thing.client.read(&thing.address);
    found?;
    thing.set::<ProjectPut>(settings(&args.words[1..])?)
}

/// `lxc project unset`.
pub fn unset(cx: &Context, args: Words) -> Result<i32> {
    let keys = [(args.words[1].clone(), String::new())].into();
    thing(cx, &args.words[0])?.set::<ProjectPut>(keys)
}
