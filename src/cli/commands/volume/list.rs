//! `lxc storage volume list`.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use crate::api::client::{path, with_query};
use crate::api::types::StorageVolume;
use crate::cli::commands::args::{fetch, objects};
use crate::cli::commands::image::list::letters;
use crate::cli::context::Context;
use crate::cli::output::{Rows, bytes_iec, render, sort_rows};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};

/// `lxc storage volume list`.
#[derive(FromArgs, ArgsInfo)]
pub struct List {
    /// of all projects
    #[argh(switch)]
    all_projects: bool,
    /// columns
    #[argh(option)]
    columns: String,
    /// output format
    #[argh(option)]
    format: String,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

const DEFAULT: &str = "etndcuL";

const LETTERS: &[(char, &str)] = &[
    ('c', "CONTENT-TYPE"),
    ('d', "DESCRIPTION"),
    ('e', "PROJECT"),
    ('L', "LOCATION"),
    ('n', "NAME"),
    ('t', "TYPE"),
    ('u', "USED BY"),
    ('U', "USAGE"),
];

/// Fields that the server can filter by.
const FILTERED: &[&str] = &["name", "type", "description", "content_type", "location", "project", "created_at"];

fn cell(letter: char, volume: &StorageVolume) -> String {
    match letter {
        'c' => volume.content_type.clone(),
        'd' => volume.description.clone(),
        'e' => volume.project.clone(),
        'L' => volume.location.clone(),
        'n' => volume.name.clone(),
        't' if volume.name.contains('/') => format!("{} (snapshot)", volume.kind),
        't' => volume.kind.clone(),
        'u' => volume.used_by.len().to_string(),
        _ => String::new(),
    }
}

/// `lxc storage volume list`.
pub fn list(cx: &Context, args: List) -> Result<i32> {
    let target = cx.named(&args.words[0], "pool name")?;
    let clustered = target.client.server().wait()?.environment.server_clustered;
    let clauses = args.words[1..].iter().filter_map(|word| word.split_once('='));
    let clauses: Vec<String> =
        clauses.filter(|(key, _)| FILTERED.contains(key)).map(|(key, value)| format!("{key} eq {value}")).collect();
    if args.all_projects {
        target.client.require("storage_volumes_all_projects").wait()?;
    }
    let all = if args.all_projects { "true" } else { "" };
    let query = [("recursion", "1"), ("filter", &clauses.join(" and ")), ("all-projects", all)];
    let address = with_query(&path(&["storage-pools", &target.name, "volumes"]), &query);
    let (raw, volumes) = fetch::<StorageVolume>(&target.client, &address)?;
    let mut columns = letters(&args.columns, LETTERS)?;
    if args.columns == DEFAULT {
        columns.retain(|c| (c.0 != 'e' || args.all_projects) && (c.0 != 'L' || clustered));
    } else if !clustered && columns.iter().any(|c| c.0 == 'L') {
        return Err(Error::invalid("Can't specify column L when not clustered"));
    }
    let mut cells = Vec::new();
    for volume in &volumes {
        let mut row = Vec::new();
        for (letter, _) in &columns {
            row.push(match letter {
                'U' => usage(&target.client, &target.name, volume),
                letter => cell(*letter, volume),
            });
        }
        cells.push(row);
    }
    sort(&mut cells);
    let head = columns.iter().map(|column| column.1.to_string()).collect();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &volumes) })?;
    Ok(0)
}

/// Sorts rows by the first word of their first cell and then by the others, so that snapshots follow their volume.
fn sort(cells: &mut [Vec<String>]) {
    for row in cells.iter_mut().filter(|row| !row.is_empty()) {
        let first = row[0].clone();
        row[0] = first.split(' ').next().unwrap_or_default().to_string();
        row.push(first);
    }
    sort_rows(cells);
    for row in cells.iter_mut() {
        if let Some(first) = row.pop().filter(|_| !row.is_empty()) {
            row[0] = first;
        }
    }
}

/// How much a volume takes, if its server can tell.
fn usage(client: &crate::api::client::Client, pool: &str, volume: &StorageVolume) -> String {
    if volume.name.contains('/') {
        return String::new();
    }
    let address = path(&["storage-pools", pool, "volumes", &volume.kind, &volume.name, "state"]);
    let address = with_query(&address, &[("project", &volume.project)]);
    let state: Result<Value> = client.read(&address);
    state.ok().and_then(|state| state["usage"]["used"].as_i64()).map_or(String::new(), |used| bytes_iec(used, 2))
}
