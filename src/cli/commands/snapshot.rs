//! `lxc snapshot` and `lxc restore`.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::{Value, json};

use crate::api::client::{Client, path};
use crate::api::types::InstancePut;
use crate::cli::context::Context;
use crate::cli::wait::Wait;
use crate::cli::waiting::run;
use crate::error::{Kind, Result};

/// `lxc snapshot`.
#[derive(FromArgs, ArgsInfo)]
pub struct Snapshot {
    /// keep it
    #[argh(switch)]
    no_expiry: bool,
    /// replace one
    #[argh(switch)]
    reuse: bool,
    /// with running state
    #[argh(switch)]
    stateful: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc restore`.
#[derive(FromArgs, ArgsInfo)]
pub struct Restore {
    /// with running state
    #[argh(switch)]
    stateful: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc snapshot`.
pub fn snapshot(cx: &Context, args: Snapshot) -> Result<i32> {
    let target = cx.named(&args.words[0], "instance name")?;
    let address = |rest: &[&str]| path(&[&["instances", &target.name], rest].concat());
    let name = args.words.get(1).map_or("", String::as_str);
    let post = json!({ "name": name, "stateful": args.stateful });
    take(cx, &target.client, post, (args.reuse, args.no_expiry), address)
}

/// Makes a snapshot in place of one that may be there (`how.0`), and to be kept (`how.1`); `address` makes URLs below
/// what it is of.
pub fn take(
    cx: &Context,
    client: &Client,
    mut post: Value,
    how: (bool, bool),
    address: impl Fn(&[&str]) -> String,
) -> Result<i32> {
    let (reuse, keep) = how;
    if let Some(name) = post["name"].as_str().filter(|name| reuse && !name.is_empty()) {
        match client.delete(&address(&["snapshots", name])).wait() {
            Err(error) if error.kind() != Kind::NotFound => return Err(error),
            _ => {}
        }
    }
    if keep {
        post["expires_at"] = "0001-01-01T00:00:00Z".into();
    }
    run(cx, client, (Method::POST, &address(&["snapshots"]), &post), "")?;
    Ok(0)
}

/// `lxc restore`.
pub fn restore(cx: &Context, args: Restore) -> Result<i32> {
    let target = cx.named(&args.words[0], "instance name")?;
    let name = args.words[1].rsplit('/').next().unwrap_or_default();
    let instance = path(&["instances", &target.name]);
    let restore = format!("{}/{name}", target.name);
    let put = InstancePut { restore, stateful: args.stateful, ..InstancePut::default() };
    target.client.put(&instance, &put, "").wait()?;
    Ok(0)
}
