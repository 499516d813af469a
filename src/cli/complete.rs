//! Words that can stand where the user is typing: commands, flags and keys from the tables, names from the server.
//!
//! The shells' scripts (`commands/completion`) know nothing of `lxc`; they ask here each time, so that what they offer is
//! what this file takes.

use std::time::Duration;

use super::context::Context;
use super::table::{Command, Flag, GLOBAL, Kind, ROOT};
use crate::api::config::instance::Target as Of;
use crate::api::config::{Subject, completions, value_completions};

/// How long a server may take to say names.
const PATIENCE: Duration = Duration::from_secs(2);

/// A word, and a sentence about it, which may be empty.
pub type Candidate = (String, String);

/// Where in a command line the user is.
struct Place<'a> {
    command: &'static Command,
    /// The words so far that are neither commands nor flags.
    words: Vec<&'a str>,
    /// The flag whose value comes next.
    flag: Option<&'static Flag>,
    /// Whether `--` stands before.
    only_words: bool,
}

fn place<'a>(line: &'a [String]) -> Place<'a> {
    let mut place = Place { command: &ROOT, words: Vec::new(), flag: None, only_words: false };
    for word in line {
        if place.flag.take().is_some() {
            continue;
        }
        match word.as_str() {
            word if place.only_words => place.words.push(word),
            "--" => place.only_words = true,
            word if word.len() > 1 && word.starts_with('-') => place.flag = waits(place.command, word),
            word => match place.command.find(word).filter(|_| place.words.is_empty()) {
                Some(next) => place.command = next,
                None => place.words.push(word),
            },
        }
    }
    place
}

fn flags(command: &'static Command) -> impl Iterator<Item = &'static Flag> {
    command.flags.iter().chain(GLOBAL)
}

fn has_value(flag: &Flag) -> bool {
    !matches!(flag.kind, Kind::Switch | Kind::Optional)
}

/// The flag that takes the next word as its value.
fn waits(command: &'static Command, word: &str) -> Option<&'static Flag> {
    let flag = match word.strip_prefix("--") {
        Some(long) => flags(command).find(|flag| flag.long == long),
        // Of a cluster the last letter can wait for a value.
        None => flags(command).find(|flag| flag.short.is_some() && flag.short == word.chars().last()),
    };
    flag.filter(|flag| has_value(flag))
}

/// What can stand in place of the last word of a command line, which begins after `lxc`.
pub async fn candidates(cx: &Context, line: &[String]) -> Vec<Candidate> {
    let Some((current, before)) = line.split_last() else { return Vec::new() };
    let place = place(before);
    let mut found = match place.flag {
        Some(flag) => value(cx, flag, current).await,
        None if current.starts_with('-') && !place.only_words => options(cx, place.command, current).await,
        None if !place.command.commands.is_empty() && place.words.is_empty() => commands(place.command),
        None => words(cx, &place, current).await,
    };
    found.retain(|(word, _)| word.starts_with(current.as_str()));
    found
}

fn commands(command: &'static Command) -> Vec<Candidate> {
    let shown = command.commands.iter().filter(|c| !c.hidden);
    shown.map(|c| (c.name.to_string(), c.about.to_string())).collect()
}

/// Flags, or values of the flag before the `=`.
async fn options(cx: &Context, command: &'static Command, current: &str) -> Vec<Candidate> {
    if let Some((name, start)) = current.strip_prefix("--").and_then(|body| body.split_once('=')) {
        let Some(flag) = flags(command).find(|flag| flag.long == name) else { return Vec::new() };
        let found = value(cx, flag, start).await;
        return found.into_iter().map(|(word, about)| (format!("--{name}={word}"), about)).collect();
    }
    let mut all: Vec<Candidate> =
        flags(command).map(|flag| (format!("--{}", flag.long), flag.about.to_string())).collect();
    all.sort();
    all
}

/// Values of a flag.
async fn value(cx: &Context, flag: &'static Flag, start: &str) -> Vec<Candidate> {
    let choice = |words: &[&str]| words.iter().map(|word| (word.to_string(), String::new())).collect();
    match flag.long {
        // The sentence about a format says which there are.
        "format" => {
            let list = flag.about.split(['(', ')']).nth(1).unwrap_or_default();
            choice(&list.split('|').collect::<Vec<_>>())
        }
        "mode" if flag.about.starts_with("How the data") => choice(&["pull", "push", "relay"]),
        "mode" if flag.about.starts_with("Terminal") => choice(&["auto", "interactive", "non-interactive"]),
        "compression" => choice(&["none", "gzip", "bzip2", "lzma", "xz", "zstd"]),
        "console" => choice(&["console", "vga"]),
        "protocol" => choice(&["lxd", "simplestreams"]),
        "storage" => names(cx, start, &["/1.0/storage-pools"]).await,
        "profile" => names(cx, start, &["/1.0/profiles"]).await,
        "network" => names(cx, start, &["/1.0/networks"]).await,
        "project" | "target-project" | "projects" => names(cx, start, &["/1.0/projects"]).await,
        "target" | "destination-target" => names(cx, start, &["/1.0/cluster/members"]).await,
        "config" => keys(Subject::Instance(Of::Profile), start),
        _ => Vec::new(),
    }
}

/// Words of a command, by the place they have in its usage.
async fn words(cx: &Context, place: &Place<'_>, current: &str) -> Vec<Candidate> {
    let holders: Vec<&str> = place.command.usage.split_whitespace().filter(|word| *word != "[flags]").collect();
    let at = place.words.len();
    let Some(holder) = holders.get(at).or(holders.last().filter(|last| last.contains("..."))) else {
        return Vec::new();
    };
    let has = |part: &str| holder.to_lowercase().contains(part);
    let first = place.words.first().copied().unwrap_or_default();
    let lists: &[&str] = match () {
        () if has("key>") => return subject(place).map_or(Vec::new(), |subject| keys(subject, current)),
        () if has("<instance>") || has("<source>") || has("<destination>") => &["/1.0/instances"],
        () if has("<image>") => &["/1.0/images/aliases"],
        () if has("<alias>") && place.command.usage.contains("<remote>") => &["/1.0/images/aliases"],
        () if has("<alias>") || has("<old alias>") => return aliases(cx),
        () if has("<profile>") || has("<profiles>") => &["/1.0/profiles"],
        () if has("<pool>") => &["/1.0/storage-pools"],
        () if has("<network>") => &["/1.0/networks"],
        () if has("<acl>") => &["/1.0/network-acls"],
        () if has("<zone>") => &["/1.0/network-zones"],
        () if has("<project>") => &["/1.0/projects"],
        () if has("<operation>") => &["/1.0/operations"],
        () if has("<warning-uuid>") => &["/1.0/warnings"],
        () if has("<member>") || has("<cluster") => &["/1.0/cluster/members"],
        () if has("<group>") => &["/1.0/cluster/groups"],
        () if has("<fingerprint>") => &["/1.0/certificates"],
        () if has("<volume>") => return volumes(cx, first).await,
        () if *holder == "<snapshot>" => return below(cx, first, &["instances", "snapshots"], current).await,
        () if holder.starts_with("[<remote>:]") => return remotes(cx, ":"),
        () if has("<remote>") => return remotes(cx, ""),
        () => return Vec::new(),
    };
    names(cx, current, lists).await
}

/// What the keys of a command are keys of.
fn subject(place: &Place<'_>) -> Option<Subject<'static>> {
    let usage = place.command.usage;
    let known = [
        ("<instance>] <key", Subject::Instance(Of::Profile)),
        ("<profile> <key", Subject::Instance(Of::Profile)),
        ("<project> <key", Subject::Project),
        ("<network> <key", Subject::Network("bridge")),
        ("<pool> <key", Subject::Pool("dir")),
        ("<volume> <key", Subject::Volume("dir")),
    ];
    known.into_iter().find(|(part, _)| usage.contains(part)).map(|(_, subject)| subject)
}

/// Keys, and after `=` values of one.
fn keys(subject: Subject<'static>, current: &str) -> Vec<Candidate> {
    let plain = |word: String| (word, String::new());
    match current.split_once('=') {
        None => completions(subject, current).into_iter().map(plain).collect(),
        Some((key, start)) => {
            let values = value_completions(subject, key, start);
            values.into_iter().map(|value| plain(format!("{key}={value}"))).collect()
        }
    }
}

/// Names on a server, as they are written on the command line: with `remote:` where the user wrote one.
async fn names(cx: &Context, current: &str, lists: &[&str]) -> Vec<Candidate> {
    let (prefix, remote) = match current.split_once(':') {
        Some((remote, _)) => (format!("{remote}:"), remote),
        None => (String::new(), ""),
    };
    let mut found = Vec::new();
    for list in lists {
        found.extend(listed(cx, remote, list).await.into_iter().map(|name| (format!("{prefix}{name}"), String::new())));
    }
    if prefix.is_empty() && !current.is_empty() {
        found.extend(remotes(cx, ":"));
    }
    found
}

/// The last parts of the URLs of a list; none when the server does not say.
async fn listed(cx: &Context, remote: &str, list: &str) -> Vec<String> {
    let Ok(target) = cx.target(&if remote.is_empty() { String::new() } else { format!("{remote}:") }) else {
        return Vec::new();
    };
    let urls = tokio::time::timeout(PATIENCE, target.client.get::<serde_json::Value>(list)).await;
    let Ok(Ok(urls)) = urls else { return Vec::new() };
    // Operations come in lists by their state.
    let all: Vec<&serde_json::Value> = match &urls {
        serde_json::Value::Object(map) => map.values().filter_map(|list| list.as_array()).flatten().collect(),
        other => other.as_array().into_iter().flatten().collect(),
    };
    let last = |url: &str| Some(url.split('?').next()?.rsplit('/').next()?.to_string());
    all.iter().filter_map(|url| last(url.as_str()?)).filter(|name| !name.contains(char::is_control)).collect()
}

/// Snapshots of an instance.
async fn below(cx: &Context, holder: &str, kind: &[&str; 2], _current: &str) -> Vec<Candidate> {
    let (remote, name) = holder.split_once(':').unwrap_or(("", holder));
    let address = crate::api::client::path(&[kind[0], name, kind[1]]);
    listed(cx, remote, &address).await.into_iter().map(|name| (name, String::new())).collect()
}

/// The custom volumes of a pool.
async fn volumes(cx: &Context, pool: &str) -> Vec<Candidate> {
    let (remote, pool) = pool.split_once(':').unwrap_or(("", pool));
    let address = crate::api::client::path(&["storage-pools", pool, "volumes", "custom"]);
    listed(cx, remote, &address).await.into_iter().map(|name| (name, String::new())).collect()
}

fn remotes(cx: &Context, end: &str) -> Vec<Candidate> {
    let config = cx.config.borrow();
    config.remotes.iter().map(|(name, remote)| (format!("{name}{end}"), remote.addr.clone())).collect()
}

fn aliases(cx: &Context) -> Vec<Candidate> {
    let config = cx.config.borrow();
    config.aliases.iter().map(|(name, target)| (name.clone(), target.clone())).collect()
}
