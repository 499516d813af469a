//! `lxc list`.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use super::args::fetch;
use crate::api::client::with_query;
use crate::api::types::InstanceFull;
use crate::cli::context::Context;
use crate::cli::output::{Rows, fill, render, sort_rows};
use crate::cli::wait::Wait;
use crate::error::{Error, Result};

mod columns;
pub mod filter;

/// `lxc list`.
#[derive(FromArgs, ArgsInfo)]
pub struct List {
    /// all projects
    #[argh(switch)]
    all_projects: bool,
    /// columns
    #[argh(option)]
    columns: String,
    /// quick columns
    #[argh(switch)]
    fast: bool,
    /// output format
    #[argh(option)]
    format: String,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// The columns without `--columns`.
const DEFAULT: &str = "ns46tSL";

/// `lxc list`.
pub fn list(cx: &Context, args: List) -> Result<i32> {
    let mut filters: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let target = match filters.first().filter(|word| word.contains(':') && !word.contains('=')) {
        Some(word) => cx.target(word)?,
        None => cx.target("")?,
    };
    if args.words.first().is_some_and(|word| word.contains(':') && !word.contains('=')) {
        match target.name.is_empty() {
            true => _ = filters.remove(0),
            false => filters[0] = &target.name,
        }
    }
    if args.all_projects && cx.project.is_some() {
        return Err(Error::invalid("Can't specify --project with --all-projects"));
    }
    let layout = match (args.fast, args.columns.as_str()) {
        (true, DEFAULT) => "nsacPt",
        (true, _) => return Err(Error::invalid("Can't specify --fast with --columns")),
        (false, columns) => columns,
    };
    let explicit = args.columns != DEFAULT;
    if explicit && columns::has(layout, 'L') && !target.client.server().wait()?.environment.server_clustered {
        return Err(Error::invalid("Can't specify column L when not clustered"));
    }
    let layout = match args.all_projects && !explicit && !args.fast {
        true => format!("e{layout}"),
        false => layout.to_string(),
    };
    let mut columns = columns::parse(&layout)?;
    let recursion = if columns.iter().any(columns::Column::needs_state) || args.format != "table" { "2" } else { "1" };
    let all = if args.all_projects { "true" } else { "" };
    let (filter, filters) = filter::split(&filters);
    let query = [("recursion", recursion), ("all-projects", all), ("filter", filter.as_str())];
    let address = with_query("/1.0/instances", &query);
    let (raw, instances) = fetch::<InstanceFull>(&target.client, &address)?;
    let clustered = instances.iter().any(|i| !matches!(i.instance.location.as_str(), "" | "none"));
    columns.retain(|column| clustered || !column.is_location());
    let filters = filter::Filters::parse(&filters)?;
    let shown: Vec<usize> = (0..instances.len()).filter(|at| filters.take(&instances[*at])).collect();
    let mut cells: Vec<Vec<String>> =
        shown.iter().map(|at| columns.iter().map(|column| column.cell(&instances[*at])).collect()).collect();
    sort_rows(&mut cells);
    let json = args.format == "json";
    let objects = || {
        let objects = shown.iter().map(|at| match json {
            true => raw[*at].clone(),
            false => complete(&instances[*at]),
        });
        Value::Array(objects.collect())
    };
    let head = columns.iter().map(|column| column.head()).collect();
    render(&args.format, &Rows { head, cells, raw: &objects })?;
    Ok(0)
}

/// An instance as YAML shows it: lists and maps that are not there are empty.
fn complete(instance: &InstanceFull) -> Value {
    let mut value = serde_json::to_value(instance).unwrap_or_default();
    fill(&mut value, &["backups", "snapshots"], Value::Array(Vec::new()));
    if let Some(state) = value.get_mut("state").filter(|state| !state.is_null()) {
        fill(state, &["disk", "network"], Value::Object(serde_json::Map::new()));
    }
    value
}
