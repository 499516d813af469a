//! `lxc network list`, `show`, `get`, `info`.

use serde_json::{Value, json};

use super::args::{Format, OnMember, fetch, objects};
use crate::api::client::{path, with_query};
use crate::api::types::Network;
use crate::cli::context::Context;
use crate::cli::output::{Rows, bytes_iec, emit, fill, render, say, sort_rows, yaml};
use crate::error::{Error, Result};

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
pub async fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    if !target.name.is_empty() {
        return Err(Error::invalid("Filtering isn't supported yet"));
    }
    let (raw, networks) = fetch::<Network>(&target.client, "/1.0/networks?recursion=1").await?;
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
pub async fn show(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let mut network: Network = target.client.get(&address(&target.name, &[], &args.target)).await?;
    network.used_by.sort();
    emit(yaml(&document(json!(network))).as_bytes());
    Ok(0)
}

fn address(name: &str, rest: &[&str], member: &Option<String>) -> String {
    let segments: Vec<&str> = ["networks", name].iter().chain(rest).copied().collect();
    with_query(&path(&segments), &[("target", member.as_deref().unwrap_or(""))])
}

/// `lxc network get`.
pub async fn get(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let network: Network = target.client.get(&address(&target.name, &[], &args.target)).await?;
    if let Some(value) = network.config.get(&args.words[1]) {
        say!("{value}");
    }
    Ok(0)
}

/// `lxc network info`.
pub async fn info(cx: &Context, args: OnMember) -> Result<i32> {
    let target = cx.named(&args.words[0], "network name")?;
    let state: Value = target.client.get(&address(&target.name, &["state"], &args.target)).await?;
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
    Ok(0)
}
