//! `lxc remote …`.

use serde_json::{Map, Value, json};

use super::args::{Format, Words};
use crate::cli::config::{Config, Remote};
use crate::cli::context::Context;
use crate::cli::output::{Rows, render, say, sort_rows};
use crate::cli::trusted::move_pin;
use crate::error::{Error, Kind, Result};

fn yes(flag: bool) -> String {
    if flag { "YES" } else { "NO" }.to_string()
}

/// `lxc remote list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let config = cx.config.borrow();
    let row = |(name, remote): (&String, &Remote)| {
        let protocol = if remote.protocol.is_empty() { "lxd" } else { &remote.protocol };
        let shown = if *name == config.default_remote { format!("{name} (current)") } else { name.clone() };
        let mut row = vec![shown, remote.addr.clone(), protocol.to_string(), auth(remote).to_string()];
        row.extend([remote.public, remote.fixed, remote.global].map(yes));
        row
    };
    let mut cells: Vec<Vec<String>> = config.remotes.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "URL", "PROTOCOL", "AUTH TYPE", "PUBLIC", "STATIC", "GLOBAL"].map(String::from).to_vec();
    let all = || match args.format.as_str() {
        "json" => capitalised(&config),
        _ => json!(config.remotes),
    };
    render(&args.format, &Rows { head, cells, raw: &all })?;
    Ok(0)
}

/// How one logs in to a server.
fn auth(remote: &Remote) -> &str {
    match remote.auth_type.as_str() {
        "" if remote.addr.starts_with("unix:") => "file access",
        "" if remote.protocol == "simplestreams" => "none",
        "" => "tls",
        kind => kind,
    }
}

/// The servers as JSON has them: LXD's client writes these members with capital letters.
fn capitalised(config: &Config) -> Value {
    let remotes = config.remotes.iter().map(|(name, r)| {
        let value = json!({
            "Addr": r.addr, "AuthType": r.auth_type, "Domain": r.domain, "Project": r.project,
            "Protocol": r.protocol, "Public": r.public, "Global": r.global, "Static": r.fixed,
        });
        (name.clone(), value)
    });
    Value::Object(remotes.collect::<Map<_, _>>())
}

/// `lxc remote get-default`.
pub fn get_default(cx: &Context, _args: Words) -> Result<i32> {
    say!("{}", cx.config.borrow().default_remote);
    Ok(0)
}

/// `lxc remote switch`.
pub fn switch(cx: &Context, args: Words) -> Result<i32> {
    let mut config = cx.config.borrow_mut();
    known(&config, &args.words[0])?;
    config.default_remote = args.words[0].clone();
    config.save()?;
    Ok(0)
}

fn known<'a>(config: &'a Config, name: &str) -> Result<&'a Remote> {
    config.remotes.get(name).ok_or_else(|| Error::not_found(format!("Remote {name} doesn't exist")))
}

/// A server of the user's own, which can be changed.
fn own<'a>(config: &'a Config, name: &str, verb: &str) -> Result<&'a Remote> {
    let remote = known(config, name)?;
    match (remote.fixed, remote.global) {
        (true, _) => Err(Error::new(Kind::Forbidden, format!("Remote {name} is static and cannot be modified"))),
        (_, true) => Err(Error::new(Kind::Forbidden, format!("Remote {name} is global and cannot be {verb}"))),
        _ => Ok(remote),
    }
}

fn free(config: &Config, name: &str) -> Result<()> {
    match config.remotes.contains_key(name) {
        true => Err(Error::new(Kind::Exists, format!("Remote {name} already exists"))),
        false => Ok(()),
    }
}

/// `lxc remote remove`.
pub fn remove(cx: &Context, args: Words) -> Result<i32> {
    let (mut config, name) = (cx.config.borrow_mut(), &args.words[0]);
    own(&config, name, "removed")?;
    if config.default_remote == *name {
        return Err(Error::invalid("Can't remove the default remote"));
    }
    config.remotes.remove(name);
    config.save()?;
    move_pin(&config, name, None)?;
    Ok(0)
}

/// `lxc remote rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let (mut config, old, new) = (cx.config.borrow_mut(), &args.words[0], &args.words[1]);
    let remote = own(&config, old, "modified")?.clone();
    free(&config, new)?;
    move_pin(&config, old, Some(new))?;
    config.remotes.remove(old);
    config.remotes.insert(new.clone(), remote);
    if config.default_remote == *old {
        config.default_remote = new.clone();
    }
    config.save()?;
    Ok(0)
}

/// `lxc remote set-url`.
pub fn set_url(cx: &Context, args: Words) -> Result<i32> {
    let mut config = cx.config.borrow_mut();
    let remote = Remote { addr: args.words[1].clone(), ..own(&config, &args.words[0], "modified")?.clone() };
    config.remotes.insert(args.words[0].clone(), remote);
    config.save()?;
    Ok(0)
}
