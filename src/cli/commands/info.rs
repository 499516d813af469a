//! `lxc info`.

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use crate::api::client::{path, with_query};
use crate::api::types::{InstanceFull, InstanceState, InstanceStateNetwork, Server};
use crate::cli::context::{Context, NO_CLUSTER, Target};
use crate::cli::output::{Rows, bytes_iec, emit, local_date, render, say, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};

/// `lxc info`.
#[derive(FromArgs, ArgsInfo)]
pub struct Info {
    /// hardware
    #[argh(switch)]
    resources: bool,
    /// log
    #[argh(switch)]
    show_log: bool,
    /// cluster member
    #[argh(option)]
    target: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc info`.
pub fn info(cx: &Context, args: Info) -> Result<i32> {
    let target = cx.server(&args.words)?;
    if !target.name.is_empty() {
        if args.target.is_some() {
            return Err(Error::invalid("--target cannot be used with instances"));
        }
        instance(&target, args.show_log)?;
        return Ok(0);
    }
    let member = args.target.as_deref().unwrap_or("");
    if !member.is_empty() {
        target.clustered(NO_CLUSTER)?;
    }
    if args.resources {
        super::resources::show(&target.client, member)?;
        return Ok(0);
    }
    let server: Server = target.client.read(&with_query("/1.0", &[("target", member)]))?;
    emit(yaml(&json!(server)).as_bytes());
    Ok(0)
}

fn instance(target: &Target, show_log: bool) -> Result<()> {
    let full: InstanceFull =
        target.client.read(&with_query(&path(&["instances", &target.name]), &[("recursion", "1")]))?;
    let i = &full.instance;
    say!("Name: {}", i.name);
    say!("Status: {}", i.status.to_uppercase());
    let kind = if i.kind.is_empty() { "container" } else { &i.kind };
    say!("Type: {kind}{}", if i.ephemeral { " (ephemeral)" } else { "" });
    say!("Architecture: {}", i.architecture);
    if !matches!(i.location.as_str(), "" | "none") {
        say!("Location: {}", i.location);
    }
    let state = full.state.as_ref().filter(|state| state.pid != 0);
    if let Some(state) = state {
        say!("PID: {}", state.pid);
    }
    if i.created_at.is_set() {
        say!("Created: {}", local_date(i.created_at));
    }
    if i.last_used_at.is_set() {
        say!("Last Used: {}", local_date(i.last_used_at));
    }
    if let Some(state) = state {
        resources(state);
    }
    snapshots(&full)?;
    backups(&full)?;
    if show_log {
        log(target)?;
    }
    Ok(())
}

fn resources(state: &InstanceState) {
    say!("\nResources:\n  Processes: {}", state.processes);
    let disks = state.disk.iter().flatten().filter(|(_, disk)| disk.usage != 0);
    section("Disk usage", disks.map(|(name, disk)| format!("{name}: {}", bytes_iec(disk.usage, 2))).collect());
    let cpu = (state.cpu.usage != 0).then(|| format!("CPU usage (in seconds): {}", state.cpu.usage / 1_000_000_000));
    section("CPU usage", cpu.into_iter().collect());
    let memory = &state.memory;
    let rows = [
        ("Memory (current)", memory.usage),
        ("Memory (peak)", memory.usage_peak),
        ("Swap (current)", memory.swap_usage),
        ("Swap (peak)", memory.swap_usage_peak),
    ];
    let rows = rows.into_iter().filter(|(_, bytes)| *bytes != 0);
    section("Memory usage", rows.map(|(name, bytes)| format!("{name}: {}", bytes_iec(bytes, 2))).collect());
    let networks: Vec<String> =
        state.network.iter().flatten().flat_map(|(name, network)| interface(name, network)).collect();
    section("Network usage", networks);
}

fn section(title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        say!("  {title}:");
        lines.iter().for_each(|line| say!("    {line}"));
    }
}

fn interface(name: &str, network: &InstanceStateNetwork) -> Vec<String> {
    let mut lines = vec![format!("{name}:"), format!("  Type: {}", network.kind)];
    lines.push(format!("  State: {}", network.state.to_uppercase()));
    if !network.host_name.is_empty() {
        lines.push(format!("  Host interface: {}", network.host_name));
    }
    if !network.hwaddr.is_empty() {
        lines.push(format!("  MAC address: {}", network.hwaddr));
    }
    if network.mtu != 0 {
        lines.push(format!("  MTU: {}", network.mtu));
    }
    let counters = &network.counters;
    lines.push(format!("  Bytes received: {}", bytes_iec(counters.bytes_received, 2)));
    lines.push(format!("  Bytes sent: {}", bytes_iec(counters.bytes_sent, 2)));
    lines.push(format!("  Packets received: {}", counters.packets_received));
    lines.push(format!("  Packets sent: {}", counters.packets_sent));
    lines.push("  IP addresses:".into());
    for address in &network.addresses {
        let family = format!("{}:", address.family);
        lines.push(format!("    {family:6} {}/{} ({})", address.address, address.netmask, address.scope));
    }
    lines
}

fn snapshots(full: &InstanceFull) -> Result<()> {
    let Some(snapshots) = full.snapshots.as_ref().filter(|list| !list.is_empty()) else { return Ok(()) };
    let name = |name: &str| name.rsplit('/').next().unwrap_or(name).to_string();
    let yes = |flag| if flag { "YES" } else { "NO" }.to_string();
    let row = |s: &crate::api::types::InstanceSnapshot| {
        vec![name(&s.name), local_date(s.created_at), local_date(s.expires_at), yes(s.stateful)]
    };
    let cells: Vec<Vec<String>> = snapshots.iter().map(row).collect();
    say!("\nSnapshots:");
    let head = ["NAME", "TAKEN AT", "EXPIRES AT", "STATEFUL"].map(String::from).to_vec();
    render("table", &Rows { head, cells, raw: &|| serde_json::Value::Null })
}

fn backups(full: &InstanceFull) -> Result<()> {
    let Some(backups) = full.backups.as_ref().filter(|list| !list.is_empty()) else { return Ok(()) };
    let yes = |flag| if flag { "YES" } else { "NO" }.to_string();
    let row = |b: &crate::api::types::InstanceBackup| {
        let name = b.name.rsplit('/').next().unwrap_or_default().to_string();
        vec![name, local_date(b.created_at), local_date(b.expires_at), yes(b.instance_only), yes(b.optimized_storage)]
    };
    let cells: Vec<Vec<String>> = backups.iter().map(row).collect();
    say!("\nBackups:");
    let head = ["NAME", "TAKEN AT", "EXPIRES AT", "INSTANCE ONLY", "OPTIMIZED STORAGE"].map(String::from).to_vec();
    render("table", &Rows { head, cells, raw: &|| serde_json::Value::Null })
}

fn log(target: &Target) -> Result<()> {
    let log = target.client.text(&path(&["instances", &target.name, "logs", "lxc.log"])).wait()?;
    say!("\nLog:\n");
    emit(&log);
    say!("");
    Ok(())
}
