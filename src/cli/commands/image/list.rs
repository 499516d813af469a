//! `lxc image list`.

use crate::api::types::Image;
use crate::cli::commands::args::{Columns, fetch, objects};
use crate::cli::commands::list::filter::{abbreviates, expression};
use crate::cli::context::Context;
use crate::cli::output::{Rows, long_date, render, sort_rows};
use crate::error::{Error, Result};

const LETTERS: &[(char, &str)] = &[
    ('a', "ARCHITECTURE"),
    ('d', "DESCRIPTION"),
    ('f', "FINGERPRINT"),
    ('F', "FINGERPRINT"),
    ('l', "ALIAS"),
    ('L', "ALIASES"),
    ('p', "PUBLIC"),
    ('s', "SIZE"),
    ('t', "TYPE"),
    ('u', "UPLOAD DATE"),
];

/// `lxc image list`.
pub fn list(cx: &Context, args: Columns) -> Result<i32> {
    let mut filters: Vec<String> = args.words.clone();
    let target = match filters.first().filter(|word| word.contains(':') && !word.contains('=')).cloned() {
        None => cx.target("")?,
        Some(word) => {
            let target = cx.target(&word)?;
            filters.remove(0);
            if !target.name.is_empty() {
                filters.insert(0, target.name.clone());
            }
            target
        }
    };
    let columns = letters(&args.columns, LETTERS)?;
    let (raw, images) = fetch::<Image>(&target.client, "/1.0/images?recursion=1")?;
    let passing = raw.into_iter().zip(images).filter(|(_, image)| filters.iter().all(|f| takes(f, image)));
    let (raw, images): (Vec<_>, Vec<_>) = passing.unzip();
    let mut cells: Vec<Vec<String>> =
        images.iter().map(|image| columns.iter().map(|column| cell(column.0, image)).collect()).collect();
    sort_rows(&mut cells);
    let head = columns.iter().map(|column| column.1.to_string()).collect();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &images) })?;
    Ok(0)
}

/// Reads a layout of letters; commas between them are optional.
pub fn letters(layout: &str, known: &'static [(char, &'static str)]) -> Result<Vec<(char, &'static str)>> {
    let mut out = Vec::new();
    for item in layout.split(',') {
        if item.is_empty() {
            let text = "Empty column entry (redundant, leading or trailing command) in";
            return Err(Error::invalid(format!("{text} '{layout}'")));
        }
        for letter in item.chars() {
            let row = known.iter().find(|row| row.0 == letter);
            out.push(
                *row.ok_or_else(|| Error::invalid(format!("Unknown column shorthand char '{letter}' in '{layout}'")))?,
            );
        }
    }
    Ok(out)
}

fn takes(filter: &str, image: &Image) -> bool {
    let Some((key, value)) = filter.split_once('=') else {
        return image.fingerprint.contains(filter) || image.aliases.iter().any(|alias| alias.name.contains(filter));
    };
    // Fields of the image itself; other keys are properties.
    let field = match key {
        "type" => Some(image.kind.clone()),
        "architecture" => Some(image.architecture.clone()),
        "public" => Some(image.public.to_string()),
        "cached" => Some(image.cached.to_string()),
        "auto_update" => Some(image.auto_update.to_string()),
        "fingerprint" => Some(image.fingerprint.clone()),
        _ => None,
    };
    if let Some(field) = field {
        return field == value;
    }
    let expression = expression(value);
    image.properties.iter().any(|(k, v)| {
        abbreviates(key, k) && expression.as_ref().map_or(v == value, |expression| expression.is_match(v))
    })
}

/// The size of an image, always in MB, which here are 2^20 bytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.2}MB", bytes as f64 / 1024.0 / 1024.0)
}

fn cell(letter: char, image: &Image) -> String {
    match letter {
        'a' => image.architecture.clone(),
        'd' => image.properties.get("description").cloned().unwrap_or_default(),
        'f' => image.fingerprint.chars().take(12).collect(),
        'F' => image.fingerprint.clone(),
        'l' => {
            let shortest = image.aliases.iter().map(|alias| alias.name.as_str()).min_by_key(|name| name.len());
            match (shortest, image.aliases.len()) {
                (Some(name), ..=1) => name.to_string(),
                (Some(name), n) => format!("{name} ({} more)", n - 1),
                (None, _) => String::new(),
            }
        }
        'L' => image.aliases.iter().map(|alias| alias.name.as_str()).collect::<Vec<_>>().join("\n"),
        'p' => if image.public { "yes" } else { "no" }.to_string(),
        's' => megabytes(image.size),
        't' => {
            if image.kind.is_empty() {
                "CONTAINER".to_string()
            } else {
                image.kind.to_uppercase()
            }
        }
        'u' => long_date(image.uploaded_at.to_utc()),
        _ => String::new(),
    }
}
