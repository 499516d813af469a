//! `lxc network …`: networks themselves; what belongs to them is in the files beside this one.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::args::{Format, OnMember, Words, fetch, objects};
use super::thing::Thing;
use crate::api::client::{path, with_query};
use crate::api::types::{ConfigMap, Network, NetworkLease, NetworkPut, NetworksPost, RenamePost};
use crate::cli::context::Context;
use crate::cli::input::settings;
use crate::cli::output::{Rows, bytes_iec, emit, fill, render, say, sort_rows, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};
use crate::order::{Gather, Order};

pub mod acl;
pub mod attach;
pub mod forward;
pub mod peer;
pub mod zone;

fn document(mut value: Value) -> Value {
    for network in value.as_array_mut().into_iter().flatten() {
        fill(network, &["locations"], json!([]));
    }
    if value.is_object() {
        fill(&mut value, &["locations"], json!([]));
    }
    value
}

/// `lxc network list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    if !target.name.is_empty() {
        return Err(Error::invalid("Filtering isn't supported yet"));
    }
    let (raw, networks) = fetch::<Network>(&target.client, "/1.0/networks?recursion=1")?;
    let row = |n: &Network| {
        let config = |key: &str| n.config.get(key).cloned().unwrap_or_default();
        let managed = if n.managed { "YES" } else { "NO" }.to_string();
        let (users, state) = (n.used_by.len().to_string(), n.status.to_uppercase());
        let (v4, v6) = (config("ipv4.address"), config("ipv6.address"));
        vec![n.name.clone(), n.kind.clone(), managed, v4, v6, n.description.clone(), users, state]
    };
    let shown = networks.iter().filter(|n| !matches!(n.kind.as_str(), "loopback" | "unknown"));
    let mut cells: Vec<Vec<String>> = shown.map(row).collect();
    sort_rows(&mut cells);
    let head = ["NAME", "TYPE", "MANAGED", "IPV4", "IPV6", "DESCRIPTION", "USED BY", "STATE"];
    let head = head.map(String::from).to_vec();
    let all = || match args.format.as_str() {
        "json" => objects(&args.format, &raw, &networks),
        _ => document(objects(&args.format, &raw, &networks)),
    };
    render(&args.format, &Rows { head, cells, raw: &all })?;
    Ok(0)
}

/// `lxc network show`.
pub fn show(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let mut network: Network = target.client.read(&address(&target.name, &[], &args.target))?;
    network.used_by.order();
    emit(yaml(&document(json!(network))).as_bytes());
    Ok(0)
}

fn address(name: &str, rest: &[&str], member: &Option<String>) -> String {
    let segments: Vec<&str> = ["networks", name].iter().chain(rest).copied().collect();
    with_query(&path(&segments), &[("target", member.as_deref().unwrap_or(""))])
}

/// `lxc network get`.
pub fn get(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let network: Network = target.client.read(&address(&target.name, &[], &args.target))?;
    if let Some(value) = network.config.get(&args.words[1]) {
        say!("{value}");
    }
    Ok(0)
}

/// `lxc network info`.
pub fn info(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let state: Value = target.client.read(&address(&target.name, &["state"], &args.target))?;
    let text = |key: &str| state[key].as_str().unwrap_or("").to_string();
    say!("Name: {}", target.name);
    say!("MAC address: {}", text("hwaddr"));
    say!("MTU: {}", state["mtu"].as_i64().unwrap_or(0));
    say!("State: {}", text("state"));
    say!("Type: {}", text("type"));
    let addresses = state["addresses"].as_array().filter(|list| !list.is_empty());
    if let Some(addresses) = addresses {
        say!("\nIP addresses:");
        for address in addresses {
            let text = |key: &str| address[key].as_str().unwrap_or("");
            say!("  {}\t{}/{} ({})", text("family"), text("address"), text("netmask"), text("scope"));
        }
    }
    if let Some(counters) = state["counters"].as_object() {
        let number = |key: &str| counters.get(key).and_then(Value::as_i64).unwrap_or(0);
        say!("\nNetwork usage:");
        say!("  Bytes received: {}", bytes_iec(number("bytes_received"), 2));
        say!("  Bytes sent: {}", bytes_iec(number("bytes_sent"), 2));
        say!("  Packets received: {}", number("packets_received"));
        say!("  Packets sent: {}", number("packets_sent"));
    }
    more(&state);
    Ok(0)
}

/// Labels, and the members they stand for.
type Labels = &'static [(&'static str, &'static str)];

/// What only some kinds of interfaces have.
fn more(state: &Value) {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    let sections: [(&str, &str, Labels); 3] = [
        (
            "bond",
            "Bond",
            &[
                ("Mode", "mode"),
                ("Transmit policy", "transmit_policy"),
                ("Up delay", "up_delay"),
                ("Down delay", "down_delay"),
                ("MII Frequency", "mii_frequency"),
                ("MII state", "mii_state"),
                ("Lower devices", "lower_devices"),
            ],
        ),
        (
            "bridge",
            "Bridge",
            &[
                ("ID", "id"),
                ("STP", "stp"),
                ("Forward delay", "forward_delay"),
                ("Default VLAN ID", "vlan_default"),
                ("VLAN filtering", "vlan_filtering"),
                ("Upper devices", "upper_devices"),
            ],
        ),
        ("vlan", "VLAN", &[("Lower device", "lower_device"), ("VLAN ID", "vid")]),
    ];
    for (key, title, rows) in sections {
        if state[key].is_object() {
            say!("\n{title}:");
            for (label, field) in rows {
                say!("  {label}: {}", shown(&state[key][*field]));
            }
        }
    }
}

/// `lxc network create`.
#[derive(FromArgs, ArgsInfo)]
pub struct Create {
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// kind of network
    #[argh(option, long = "type", short = 't')]
    kind: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `KEY=VALUE` words.
fn pairs(words: &[String]) -> Result<ConfigMap> {
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').ok_or_else(|| Error::invalid(format!("Bad key/value pair: {word}")))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    words.iter().map(pair).try_gather()
}

/// `lxc network create`.
pub fn create(cx: &Context, args: Create) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let config = pairs(&args.words[1..])?;
    let kind = args.kind.unwrap_or_default();
    let post = NetworksPost { config, name: target.name.clone(), kind, ..NetworksPost::default() };
    let member = args.target.as_deref().unwrap_or("");
    target.client.post(&with_query("/1.0/networks", &[("target", member)]), &post).wait()?;
    match member {
        "" => cx.tell(&format!("Network {} created", target.name)),
        member => cx.tell(&format!("Network {} pending on member {member}", target.name)),
    }
    Ok(0)
}

/// `lxc network delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    target.client.delete(&address(&target.name, &[], &None)).wait()?;
    cx.tell(&format!("Network {} deleted", target.name));
    Ok(0)
}

/// `lxc network rename`.
pub fn rename(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    target.client.post(&address(&target.name, &[], &None), &RenamePost { name: args.words[1].clone() }).wait()?;
    cx.tell(&format!("Network {} renamed to {}", target.name, args.words[1]));
    Ok(0)
}

fn thing(cx: &Context, word: &str, member: &Option<String>) -> Result<Thing> {
    let target = cx.named(word, "network name")?;
    let address = address(&target.name, &[], member);
    Ok(Thing { client: target.client, address })
}

/// `lxc network edit`.
pub fn edit(cx: &Context, args: Words) -> Result<i32> {
    thing(cx, &args.words[0], &None)?.edit::<Network, NetworkPut>("network", "config and description")
}

/// `lxc network set`.
pub fn set(cx: &Context, args: OnMember) -> Result<i32> {
    let keys = settings(&args.words[1..])?;
    change(cx, &args, |config| config.extend(keys))
}

/// `lxc network unset`.
pub fn unset(cx: &Context, args: OnMember) -> Result<i32> {
    change(cx, &args, |config| _ = config.insert(args.words[1].clone(), String::new()))
}

fn change(cx: &Context, args: &OnMember, edit: impl FnOnce(&mut ConfigMap)) -> Result<i32> {
    let thing = thing(cx, &args.words[0], &args.target)?;
    let (network, etag): (Network, String) = thing.client.read_with_etag(&thing.address)?;
    if !network.managed {
        return Err(Error::invalid("Only managed networks can be modified"));
    }
    let mut put = NetworkPut { config: network.config, description: network.description };
    edit(&mut put.config);
    thing.client.put(&thing.address, &put, &etag).wait()?;
    Ok(0)
}

/// `lxc network list-leases`.
pub fn list_leases(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let (raw, leases) = fetch::<NetworkLease>(&target.client, &address(&target.name, &["leases"], &None))?;
    let row = |l: &NetworkLease| vec![l.hostname.clone(), l.hwaddr.clone(), l.address.clone(), l.kind.to_uppercase()];
    let mut cells: Vec<Vec<String>> = leases.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["HOSTNAME", "MAC ADDRESS", "IP ADDRESS", "TYPE"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &|| objects(&args.format, &raw, &leases) })?;
    Ok(0)
}
