//! `lxc network peer …`: of OVN networks, which only servers of LXD's own have.

use serde_json::{Value, json};

use super::super::args::{Format, Words, fetch, objects};
use super::pairs;
use crate::api::client::path;
use crate::api::tree::readable;
use crate::cli::commands::thing::Thing;
use crate::cli::context::Context;
use crate::cli::input::settings;
use crate::cli::output::{Rows, render, sort_rows};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};

const NAME: &str = "network name";

readable! {
    /// What can be changed of a peering.
    #[derive(Clone, Debug, Default, serde::Serialize)]
    #[serde(default)]
    struct PeerPut {
        description: String,
        config: crate::api::types::ConfigMap,
    }
}

fn thing(cx: &Context, words: &[String]) -> Result<Thing> {
    let target = cx.named(&words[0], NAME)?;
    if words[1].is_empty() {
        return Err(Error::invalid("Missing peer name"));
    }
    let address = path(&["networks", &target.name, "peers", &words[1]]);
    Ok(Thing { client: target.client, address })
}

/// `lxc network peer list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let address = format!("{}?recursion=1", path(&["networks", &target.name, "peers"]));
    let (raw, peers) = fetch::<Value>(&target.client, &address)?;
    let row = |p: &Value| {
        let text = |key: &str| p[key].as_str().unwrap_or("").to_owned();
        let peer = match (text("target_project"), text("target_network")) {
            (project, network) if project.is_empty() && network.is_empty() => "Unknown".into(),
            (project, network) => format!("{project}/{network}"),
        };
        vec![text("name"), text("description"), peer, text("status").to_uppercase()]
    };
    let mut cells: Vec<Vec<String>> = peers.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "DESCRIPTION", "PEER", "STATE"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &peers) })?;
    Ok(0)
}

/// `lxc network peer create`.
pub fn create(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], NAME)?;
    let (project, network) = args.words[2].split_once('/').unwrap_or(("", args.words[2].as_str()));
    let post = json!({
        "name": args.words[1], "description": "", "config": pairs(&args.words[3..])?,
        "target_project": project, "target_network": network,
    });
    target.client.post(&path(&["networks", &target.name, "peers"]), &post).wait()?;
    let peer: Value = target.client.read(&path(&["networks", &target.name, "peers", &args.words[1]]))?;
    match peer["status"].as_str() {
        Some("Created") => cx.tell(&format!("Network peer {} created", args.words[1])),
        Some("Pending") => {
            cx.tell(&format!(
                "Network peer {} pending (please complete mutual peering on peer network)",
                args.words[1]
            ));
        }
        _ => cx.tell(&format!("Network peer {} is in unexpected state {}", args.words[1], peer["status"])),
    }
    Ok(0)
}

/// `lxc network peer delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let thing = thing(cx, &args.words)?;
    thing.client.delete(&thing.address).wait()?;
    cx.tell(&format!("Network peer {} deleted", args.words[1]));
    Ok(0)
}

/// `lxc network peer show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words)?.show::<Value>()
}

/// `lxc network peer get`.
pub fn get(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words)?.get(&args.words[2])
}

/// `lxc network peer set`.
pub fn set(cx: &Context, args: Words) -> Result<i32> {
    let keys = settings(&args.words[2..])?;
    thing(cx, &args.words)?.set::<PeerPut>(keys)
}

/// `lxc network peer unset`.
pub fn unset(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words)?.set::<PeerPut>([(args.words[2].clone(), String::new())].into())
}

/// `lxc network peer edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words)?.edit::<Value, PeerPut>("network peer", "config and description")
}
