//! The columns of `lxc list`.

use crate::api::types::{InstanceFull, StatusCode};
use crate::cli::output::{bytes_iec, date};
use crate::error::{Error, Result};
use crate::order::Order;

/// A column.
pub enum Column {
    /// One of the letters.
    Letter(char, &'static str),
    /// A key of the configuration, or of a device.
    Key { device: Option<String>, key: String, head: String, width: Option<usize> },
}

/// Letters and heads.
const LETTERS: &[(char, &str)] = &[
    ('4', "IPV4"),
    ('6', "IPV6"),
    ('a', "ARCHITECTURE"),
    ('b', "STORAGE POOL"),
    ('c', "CREATED AT"),
    ('d', "DESCRIPTION"),
    ('D', "DISK USAGE"),
    ('e', "PROJECT"),
    ('f', "BASE IMAGE"),
    ('F', "BASE IMAGE"),
    ('l', "LAST USED AT"),
    ('L', "LOCATION"),
    ('m', "MEMORY USAGE"),
    ('M', "MEMORY USAGE%"),
    ('n', "NAME"),
    ('N', "PROCESSES"),
    ('p', "PID"),
    ('P', "PROFILES"),
    ('s', "STATE"),
    ('S', "SNAPSHOTS"),
    ('t', "TYPE"),
    ('u', "CPU USAGE"),
];

/// Whether a layout has a letter.
pub fn has(layout: &str, letter: char) -> bool {
    layout.split(',').any(|item| !item.contains('.') && !item.contains(':') && item.contains(letter))
}

/// Reads a layout such as `ns4,user.note:NOTE:10,devices:eth0.parent`.
pub fn parse(layout: &str) -> Result<Vec<Column>> {
    let mut out = Vec::new();
    for item in layout.split(',') {
        if item.is_empty() {
            let text = "Empty column entry (redundant, leading or trailing command) in";
            return Err(Error::invalid(format!("{text} '{layout}'")));
        }
        if item.contains(['.', ':']) {
            out.push(key(item)?);
            continue;
        }
        for letter in item.chars() {
            let row = LETTERS.iter().find(|row| row.0 == letter);
            let row =
                row.ok_or_else(|| Error::invalid(format!("Unknown column shorthand char '{letter}' in '{layout}'")))?;
            out.push(Column::Letter(letter, row.1));
        }
    }
    Ok(out)
}

/// Reads `[config:|devices:]key[:name][:width]`.
fn key(item: &str) -> Result<Column> {
    let mut parts: Vec<&str> = item.split(':').collect();
    let device = match parts[0] {
        "config" | "devices" if parts.len() > 1 => parts.remove(0) == "devices",
        _ => false,
    };
    if parts.len() > 3 {
        return Err(Error::invalid(format!("Invalid config key column format (too many fields): '{item}'")));
    }
    let (device, key) = match (device, parts[0].split_once('.')) {
        (false, _) => (None, parts[0]),
        (true, Some((device, key))) => (Some(device.to_string()), key),
        (true, None) => return Err(Error::invalid(format!("Invalid config key '{}' in '{item}'", parts[0]))),
    };
    if key.is_empty() {
        return Err(Error::invalid(format!("Invalid config key '{key}' in '{item}'")));
    }
    let head = parts.get(1).filter(|name| !name.is_empty()).unwrap_or(&parts[0]).to_string();
    let width = match parts.get(2) {
        None => None,
        Some(text) => match text.parse::<i64>() {
            Ok(-1) => None,
            Ok(0) => Some(head.chars().count()),
            Ok(width) if width > 0 => usize::try_from(width).ok(),
            _ => {
                let text = format!("Invalid max width (must be -1, 0 or a positive integer) {text:?} in '{item}'");
                return Err(Error::invalid(text));
            }
        },
    };
    Ok(Column::Key { device, key: key.to_string(), head, width })
}

impl Column {
    /// The head.
    pub fn head(&self) -> String {
        match self {
            Column::Letter(_, head) => head.to_string(),
            Column::Key { head, .. } => head.clone(),
        }
    }

    /// Whether it is the member of a cluster.
    pub fn is_location(&self) -> bool {
        matches!(self, Column::Letter('L', _))
    }

    /// Whether the server has to find out the state, snapshots or backups for it.
    pub fn needs_state(&self) -> bool {
        matches!(self, Column::Letter('4' | '6' | 'D' | 'm' | 'M' | 'N' | 'p' | 'S' | 'u', _))
    }

    /// The cell of an instance.
    pub fn cell(&self, full: &InstanceFull) -> String {
        match self {
            Column::Letter(letter, _) => letter_cell(*letter, full),
            Column::Key { device, key, width, .. } => {
                let i = &full.instance;
                let value = match device {
                    None => i.config.get(key).or_else(|| i.expanded_config.get(key)),
                    Some(device) => i.expanded_devices.get(device).and_then(|device| device.get(key)),
                };
                let value = value.map_or("", String::as_str);
                width.map_or(value.to_string(), |width| value.chars().take(width).collect())
            }
        }
    }
}

fn letter_cell(letter: char, full: &InstanceFull) -> String {
    let i = &full.instance;
    let image = || i.expanded_config.get("volatile.base_image").map_or("", String::as_str);
    match letter {
        '4' => addresses(full, "inet"),
        '6' => addresses(full, "inet6"),
        'a' => i.architecture.clone(),
        'b' => root(full).and_then(|device| device.get("pool").cloned()).unwrap_or_default(),
        'c' => date(i.created_at),
        'd' => i.description.clone(),
        'e' => i.project.clone(),
        'f' => image().chars().take(12).collect(),
        'F' => image().to_string(),
        'l' => date(i.last_used_at),
        'L' => i.location.clone(),
        'n' => i.name.clone(),
        'P' => i.profiles.join("\n"),
        's' => i.status.to_uppercase(),
        'S' => full.snapshots.as_ref().map_or(0, Vec::len).to_string(),
        't' => {
            let kind = if i.kind.is_empty() { "container" } else { &i.kind };
            format!("{}{}", kind.to_uppercase(), if i.ephemeral { " (EPHEMERAL)" } else { "" })
        }
        letter => state_cell(letter, full).unwrap_or_default(),
    }
}

fn root(full: &InstanceFull) -> Option<&crate::api::types::DeviceMap> {
    let is =
        |device: &crate::api::types::DeviceMap, key: &str, value: &str| device.get(key).is_some_and(|v| v == value);
    full.instance.expanded_devices.values().find(|device| is(device, "type", "disk") && is(device, "path", "/"))
}

/// What only a running instance has.
fn state_cell(letter: char, full: &InstanceFull) -> Option<String> {
    let state = full.state.as_ref()?;
    if letter == 'D' {
        let usage = state.disk.as_ref()?.get("root")?.usage;
        return (usage > 0).then(|| bytes_iec(usage, 2));
    }
    if matches!(full.instance.status_code, StatusCode::Stopped | StatusCode::Error) {
        return None;
    }
    match letter {
        'm' => (state.memory.usage > 0).then(|| bytes_iec(state.memory.usage, 2)),
        'M' => {
            let limit = full.instance.expanded_config.get("limits.memory")?;
            let limit = crate::cli::output::parse_size(limit)?;
            (limit > 0).then(|| format!("{:.1}%", state.memory.usage as f64 / limit as f64 * 100.0))
        }
        'N' => (state.processes > 0).then(|| state.processes.to_string()),
        'p' => (state.pid > 0).then(|| state.pid.to_string()),
        'u' => (state.cpu.usage >= 0).then(|| format!("{}s", state.cpu.usage / 1_000_000_000)),
        _ => None,
    }
}

/// The addresses others can use, with their interfaces.
fn addresses(full: &InstanceFull, family: &str) -> String {
    let networks = full.state.iter().flat_map(|state| state.network.iter().flatten());
    let mut out = Vec::new();
    for (name, network) in networks.filter(|(_, network)| network.kind != "loopback") {
        for address in &network.addresses {
            if address.family == family && !matches!(address.scope.as_str(), "link" | "local") {
                out.push(format!("{} ({name})", address.address));
            }
        }
    }
    out.order();
    out.reverse();
    out.join("\n")
}
