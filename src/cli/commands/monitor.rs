//! `lxc monitor`.

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use crate::api::types::Timestamp;
use crate::cli::context::Context;
use crate::cli::output::{emit, json_compact, note, say, sorted, yaml_untyped};
use crate::cli::wait::Wait;
use crate::error::{Error, Result};
use crate::order::Order;

/// `lxc monitor`.
#[derive(FromArgs, ArgsInfo)]
pub struct Monitor {
    /// all projects
    #[argh(switch)]
    all_projects: bool,
    /// output format
    #[argh(option)]
    format: String,
    /// least level
    #[argh(option)]
    loglevel: Option<String>,
    /// readable
    #[argh(switch)]
    pretty: bool,
    /// kinds
    #[argh(option, long = "type")]
    kinds: Vec<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// Levels of log messages, the worst first.
const LEVELS: &[&str] = &["panic", "fatal", "error", "warning", "info", "debug", "trace"];

/// `lxc monitor`.
pub fn monitor(cx: &Context, args: Monitor) -> Result<i32> {
    let format = if args.pretty { "pretty" } else { args.format.as_str() };
    if !matches!(format, "json" | "yaml" | "pretty") {
        return Err(Error::invalid(format!("Invalid format: {format}")));
    }
    if args.all_projects && cx.project.is_some() {
        return Err(Error::invalid("Can't specify --project with --all-projects"));
    }
    let rank = |level: &str| LEVELS.iter().position(|l| *l == level || (level == "warn" && *l == "warning"));
    let least = match &args.loglevel {
        Some(_) if format != "pretty" => {
            return Err(Error::invalid("Log level filtering can only be used with pretty formatting"));
        }
        Some(level) => rank(level).ok_or_else(|| Error::invalid(format!("not a valid logrus Level: {level:?}")))?,
        None => LEVELS.len(),
    };
    let kinds = match (format, args.kinds.is_empty()) {
        ("pretty", true) => "operation,lifecycle,logging".to_string(),
        _ => args.kinds.join(","),
    };
    let target = cx.server(&args.words)?;
    let mut events = target.client.events(&kinds, args.all_projects).wait()?;
    while let Some(text) = events.next_raw().wait()? {
        let Ok(event) = serde_json::from_str::<Value>(&text) else { continue };
        match format {
            "json" => say!("{}\n", json_compact(&sorted(&event))),
            "yaml" => say!("{}\n", yaml_untyped(&event)),
            _ => pretty(&event, |level| rank(level).is_none_or(|rank| rank <= least)),
        }
    }
    Ok(0)
}

/// A member of an operation as Go spells values of its kind.
fn spelled(key: &str, value: &Value) -> String {
    match value {
        Value::Null if matches!(key, "metadata" | "resources") => "map[]".into(),
        Value::String(text) if key.ends_with("_at") => {
            text.replacen('T', " ", 1).strip_suffix('Z').map_or(text.clone(), |t| format!("{t} +0000 UTC"))
        }
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(|v| spelled("", v)).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut members: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", spelled("", v))).collect();
            members.order();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}

/// One line, as log files have it.
fn pretty(event: &Value, takes: impl Fn(&str) -> bool) {
    let text = |value: &Value| value.as_str().unwrap_or("").to_string();
    let metadata = &event["metadata"];
    let (level, message, context) = match event["type"].as_str() {
        Some("logging") => (text(&metadata["level"]), text(&metadata["message"]), metadata["context"].clone()),
        Some("lifecycle") => {
            let mut context = metadata["context"].clone();
            for value in context.as_object_mut().into_iter().flatten().map(|(_, value)| value) {
                *value = Value::String(spelled("", value));
            }
            let mut message = format!("Action: {}, Source: {}", text(&metadata["action"]), text(&metadata["source"]));
            let by = &metadata["requestor"];
            if by.is_object() {
                let [protocol, name, address] = ["protocol", "username", "address"].map(|key| text(&by[key]));
                message += &format!(", Requestor: {protocol}/{name} ({address})");
            }
            ("info".to_string(), message, context)
        }
        Some("operation") => {
            let [id, class, description] = ["id", "class", "description"].map(|key| text(&metadata[key]));
            let names = [
                ("CreatedAt", "created_at"),
                ("Err", "err"),
                ("Location", "location"),
                ("MayCancel", "may_cancel"),
                ("Metadata", "metadata"),
                ("Resources", "resources"),
                ("Status", "status"),
                ("StatusCode", "status"),
                ("UpdatedAt", "updated_at"),
            ];
            let context = names.map(|(name, key)| (name.to_string(), Value::String(spelled(key, &metadata[key]))));
            let message = format!("ID: {id}, Class: {class}, Description: {description}");
            ("info".to_string(), message, Value::Object(context.into_iter().collect()))
        }
        _ => return note!("Unknown event type: {}", text(&event["type"])),
    };
    if !takes(&level) {
        return;
    }
    let time = Timestamp::parse(&text(&event["timestamp"])).unwrap_or_default();
    let seconds = Timestamp::from_unix(time.unix());
    let mut line = format!("time=\"{seconds}\" level={level} msg={message:?}");
    for (key, value) in context.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), String::from);
        let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-._/@^+".contains(c));
        line += &if plain { format!(" {key}={value}") } else { format!(" {key}={value:?}") };
    }
    emit((line + "\n").as_bytes());
}
