//! `lxc warning …`.

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::args::{Words, fetch, objects};
use super::image::list::letters;
use crate::api::client::path;
use crate::api::types::{Warning, WarningPut};
use crate::cli::context::Context;
use crate::cli::output::{Rows, emit, long_date, render, sort_rows, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::Result;

/// `lxc warning list`.
#[derive(FromArgs, ArgsInfo)]
pub struct List {
    /// all of them
    #[argh(switch)]
    all: bool,
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

/// `lxc warning delete`.
#[derive(FromArgs, ArgsInfo)]
pub struct Delete {
    /// all of them
    #[argh(switch)]
    all: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

const LETTERS: &[(char, &str)] = &[
    ('c', "COUNT"),
    ('f', "FIRST SEEN"),
    ('l', "LAST SEEN"),
    ('L', "LOCATION"),
    ('p', "PROJECT"),
    ('s', "SEVERITY"),
    ('S', "STATUS"),
    ('t', "TYPE"),
    ('u', "UUID"),
];

fn cell(letter: char, warning: &Warning) -> String {
    match letter {
        'c' => warning.count.to_string(),
        'f' => long_date(warning.first_seen_at.to_utc()),
        'l' => long_date(warning.last_seen_at.to_utc()),
        'L' => warning.location.clone(),
        'p' => warning.project.clone(),
        's' => warning.severity.to_uppercase(),
        'S' => warning.status.to_uppercase(),
        't' => warning.kind.clone(),
        'u' => warning.uuid.clone(),
        _ => String::new(),
    }
}

/// `lxc warning list`.
pub fn list(cx: &Context, args: List) -> Result<i32> {
    let target = cx.server(&args.words)?;
    let (raw, warnings) = fetch::<Warning>(&target.client, "/1.0/warnings?recursion=1")?;
    let shown = raw.into_iter().zip(warnings).filter(|(_, warning)| args.all || warning.status == "new");
    let (raw, warnings): (Vec<_>, Vec<_>) = shown.unzip();
    let clustered = warnings.iter().any(|warning| !matches!(warning.location.as_str(), "" | "none"));
    let mut columns = letters(&args.columns, LETTERS)?;
    columns.retain(|column| clustered || column.0 != 'L');
    let mut cells: Vec<Vec<String>> =
        warnings.iter().map(|warning| columns.iter().map(|column| cell(column.0, warning)).collect()).collect();
    sort_rows(&mut cells);
    let head = columns.iter().map(|column| column.1.to_string()).collect();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &warnings) })?;
    Ok(0)
}

/// `lxc warning show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "warning")?;
    let warning: Warning = target.client.read(&path(&["warnings", &target.name]))?;
    emit(yaml(&json!(warning)).as_bytes());
    Ok(0)
}

/// `lxc warning acknowledge`.
pub fn acknowledge(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "warning")?;
    let put = WarningPut { status: "acknowledged".into() };
    target.client.put(&path(&["warnings", &target.name]), &put, "").wait()?;
    Ok(0)
}

/// `lxc warning delete`.
pub fn delete(cx: &Context, args: Delete) -> Result<i32> {
    let target = cx.server(&args.words)?;
    match (args.all, target.name.is_empty()) {
        (false, true) => cx.wrong_count(args.words.len()),
        (_, false) => {
            target.client.delete(&path(&["warnings", &target.name])).wait()?;
            Ok(0)
        }
        (true, true) => {
            let (_, warnings) = fetch::<Warning>(&target.client, "/1.0/warnings?recursion=1")?;
            for warning in warnings {
                target.client.delete(&path(&["warnings", &warning.uuid])).wait()?;
            }
            Ok(0)
        }
    }
}
