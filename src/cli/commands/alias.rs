//! `lxc alias …`.

use serde_json::json;

use super::args::{Format, Words};
use crate::cli::context::Context;
use crate::cli::output::{Rows, render, sort_rows};
use crate::error::{Error, Kind, Result};

fn missing(name: &str) -> Error {
    Error::not_found(format!("Alias {name} doesn't exist"))
}

fn taken(name: &str) -> Error {
    Error::new(Kind::Exists, format!("Alias {name} already exists"))
}

/// `lxc alias add`.
pub fn add(cx: &Context, args: Words) -> Result<i32> {
    let (mut config, name) = (cx.config.borrow_mut(), &args.words[0]);
    if config.aliases.contains_key(name) {
        return Err(taken(name));
    }
    config.aliases.insert(name.clone(), args.words[1].clone());
    config.save()?;
    Ok(0)
}

/// `lxc alias list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let config = cx.config.borrow();
    let mut cells: Vec<Vec<String>> =
        config.aliases.iter().map(|(name, target)| vec![name.clone(), target.clone()]).collect();
    sort_rows(&mut cells);
    let head = ["ALIAS", "TARGET"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| json!(config.aliases) })?;
    Ok(0)
}

/// `lxc alias rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let (mut config, old, new) = (cx.config.borrow_mut(), &args.words[0], &args.words[1]);
    let target = config.aliases.get(old).cloned().ok_or_else(|| missing(old))?;
    if config.aliases.contains_key(new) {
        return Err(taken(new));
    }
    config.aliases.insert(new.clone(), target);
    config.aliases.remove(old);
    config.save()?;
    Ok(0)
}

/// `lxc alias remove`.
pub fn remove(cx: &Context, args: Words) -> Result<i32> {
    let (mut config, name) = (cx.config.borrow_mut(), &args.words[0]);
    config.aliases.remove(name).ok_or_else(|| missing(name))?;
    config.save()?;
    Ok(0)
}
