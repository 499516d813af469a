//! Words that can stand where the user is typing: commands, flags and keys from the tables, names from the server.
//!
//! The shells' scripts (`commands/completion`) know nothing of `lxc`; they ask here each time, so that what they offer is
//! what this file takes.

use std::time::Duration;

use serde_json::Value;

use super::commands::operation::flattened;
use super::context::{Context, Target};
use super::table::{Command, Flag, GLOBAL, Kind, ROOT};
use super::wait::Wait;
use crate::api::client::path;
use crate::api::config::device::kind_of;
use crate::api::config::instance::Target as Of;
use crate::api::config::{Subject, completions, value_completions};
use crate::api::types::{DeviceMap, from_tree};
use crate::order::{Gather, Order};

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
pub fn candidates(cx: &Context, line: &[String]) -> Vec<Candidate> {
    let Some((current, before)) = line.split_last() else { return Vec::new() };
    let place = place(before);
    let mut found = match place.flag {
        Some(flag) => value(cx, flag, current),
        None if current.starts_with('-') && !place.only_words => options(cx, place.command, current),
        None if !place.command.commands.is_empty() && place.words.is_empty() => commands(place.command),
        None => words(cx, &place, current),
    };
    found.retain(|(word, _)| word.starts_with(current.as_str()));
    found
}

fn commands(command: &'static Command) -> Vec<Candidate> {
    let shown = command.commands.iter().filter(|c| !c.hidden);
    shown.map(|c| (c.name.to_string(), c.about.to_string())).collect()
}

/// Flags, or values of the flag before the `=`.
fn options(cx: &Context, command: &'static Command, current: &str) -> Vec<Candidate> {
    if let Some((name, start)) = current.strip_prefix("--").and_then(|body| body.split_once('=')) {
        let Some(flag) = flags(command).find(|flag| flag.long == name) else { return Vec::new() };
        let found = value(cx, flag, start);
        return found.into_iter().map(|(word, about)| (format!("--{name}={word}"), about)).collect();
    }
    let mut all: Vec<Candidate> =
        flags(command).map(|flag| (format!("--{}", flag.long), flag.about.to_string())).collect();
    all.order();
    all
}

/// Values of a flag.
fn value(cx: &Context, flag: &'static Flag, start: &str) -> Vec<Candidate> {
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
        "storage" => names(cx, start, "/1.0/storage-pools"),
        "profile" => names(cx, start, "/1.0/profiles"),
        "network" => names(cx, start, "/1.0/networks"),
        "project" | "target-project" | "projects" => names(cx, start, "/1.0/projects"),
        "target" | "destination-target" => names(cx, start, "/1.0/cluster/members"),
        "config" => keys(Subject::Instance(Of::Profile), start),
        _ => Vec::new(),
    }
}

/// Where the words of a usage come from.
enum Source {
    /// Keys of what the words before name.
    Keys,
    /// A list on the server.
    List(&'static str),
    /// A list below what the first word names.
    Below(&'static [&'static str]),
    /// The user's short names.
    Aliases,
    /// Names of remotes, with what follows them.
    Remotes(&'static str),
}

/// The sources by what stands in the usage; of several the first counts.
const SOURCES: &[(&str, Source)] = &[
    ("key", Source::Keys),
    ("<instance>", Source::List("/1.0/instances")),
    ("<source>", Source::List("/1.0/instances")),
    ("<destination>", Source::List("/1.0/instances")),
    ("<image>", Source::List("/1.0/images/aliases")),
    ("<remote>:]<alias>", Source::List("/1.0/images/aliases")),
    ("<alias>", Source::Aliases),
    ("<old alias>", Source::Aliases),
    ("<profile", Source::List("/1.0/profiles")),
    ("<pool>", Source::List("/1.0/storage-pools")),
    ("<network>", Source::List("/1.0/networks")),
    ("<acl>", Source::List("/1.0/network-acls")),
    ("<zone>", Source::List("/1.0/network-zones")),
    ("<project>", Source::List("/1.0/projects")),
    ("<operation>", Source::List("/1.0/operations")),
    ("<warning-uuid>", Source::List("/1.0/warnings")),
    ("<member>", Source::List("/1.0/cluster/members")),
    ("<cluster", Source::List("/1.0/cluster/members")),
    ("<group>", Source::List("/1.0/cluster/groups")),
    ("<remote>:]<fingerprint>", Source::List("/1.0/certificates")),
    ("<fingerprint>", Source::List("/1.0/images")),
    ("<volume>", Source::Below(&["volumes", "custom"])),
    ("<snapshot>", Source::Below(&["snapshots"])),
    ("<remote>:", Source::Remotes(":")),
    ("<remote>", Source::Remotes("")),
];

/// The words of a usage; within brackets spaces are no ends.
fn holders(usage: &str) -> Vec<String> {
    let (mut out, mut depth) = (vec![String::new()], 0);
    for letter in usage.chars() {
        depth += i32::from(matches!(letter, '<' | '[')) - i32::from(matches!(letter, '>' | ']'));
        match out.last_mut() {
            Some(last) if letter != ' ' || depth > 0 => last.extend(letter.to_lowercase()),
            _ => out.push(String::new()),
        }
    }
    out.retain(|word| !matches!(word.as_str(), "" | "[flags]"));
    out
}

/// Words of a command, by the place they have in its usage.
fn words(cx: &Context, place: &Place<'_>, current: &str) -> Vec<Candidate> {
    let (holders, at) = (holders(place.command.usage), place.words.len());
    let Some(holder) = holders.get(at).or(holders.last().filter(|last| last.contains("..."))) else {
        return Vec::new();
    };
    let source = SOURCES.iter().find(|(part, _)| holder.contains(part));
    let mut found = match source.map(|(_, source)| source) {
        Some(Source::Keys) => own_keys(cx, place, current),
        Some(Source::List(list)) => names(cx, current, list),
        Some(Source::Below(list)) => below(cx, place, list),
        Some(Source::Aliases) => aliases(cx),
        Some(Source::Remotes(end)) => remotes(cx, end),
        None => Vec::new(),
    };
    // The keys of no instance are the server's.
    if holder.contains("[<instance>]") && holders.get(at + 1).is_some_and(|next| next.contains("key")) {
        found.extend(keys(Subject::Server, current));
    }
    found
}

/// Keys of what the words so far name.
fn own_keys(cx: &Context, place: &Place<'_>, current: &str) -> Vec<Candidate> {
    let usage = place.command.usage;
    let word = |at: usize| place.words.get(at).copied().unwrap_or_default();
    if usage.contains("<device>") {
        return match device(cx, place).as_ref().map(kind_of) {
            Some(Ok(kind)) => keys(Subject::Device(kind.name, kind.sub), current),
            _ => Vec::new(),
        };
    }
    let instance = match word(0).ends_with(':') || word(0).contains('=') {
        true => Subject::Server,
        false => Subject::Instance(Of::Profile),
    };
    let known = [
        ("<driver>", Subject::Pool(word(1))),
        ("<volume>", Subject::Volume("dir")),
        ("<pool>", Subject::Pool("dir")),
        ("<instance>] <key", instance),
        ("<profile> <key", Subject::Instance(Of::Profile)),
        ("<project> <key", Subject::Project),
        ("<network> <key", Subject::Network("bridge")),
        ("<network> [key", Subject::Network("bridge")),
    ];
    let subject = known.into_iter().find(|(part, _)| usage.contains(part));
    subject.map_or(Vec::new(), |(_, subject)| keys(subject, current))
}

/// The device that the words name: the server's, or one that is being added.
fn device(cx: &Context, place: &Place<'_>) -> Option<DeviceMap> {
    let [holder, name, rest @ ..] = &place.words[..] else { return None };
    if let (true, [kind, rest @ ..]) = (place.command.usage.contains("<type>"), rest) {
        let pairs = rest.iter().filter_map(|word| word.split_once('='));
        return Some(pairs.chain([("type", *kind)]).map(|(key, value)| (key.into(), value.into())).gather());
    }
    let target = cx.target(holder).ok()?;
    let list = if place.command.usage.contains("<profile>") { "profiles" } else { "instances" };
    let found = ask(&target, &path(&[list, &target.name]))?;
    ["devices", "expanded_devices"].iter().find_map(|of| from_tree(found.get(of)?.get(name)?).ok())
}

/// Keys, and after `=` values of one.
fn keys(subject: Subject<'_>, current: &str) -> Vec<Candidate> {
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
fn names(cx: &Context, current: &str, list: &str) -> Vec<Candidate> {
    let remote = current.split_once(':').map_or(String::new(), |(remote, _)| format!("{remote}:"));
    let mut found = match cx.target(&remote) {
        Ok(target) => listed(&target, list),
        Err(_) => Vec::new(),
    };
    found.iter_mut().for_each(|(name, _)| name.insert_str(0, &remote));
    if remote.is_empty() && !current.is_empty() {
        found.extend(remotes(cx, ":"));
    }
    found
}

/// What a server says; none when it does not say it soon.
fn ask(target: &Target, address: &str) -> Option<Value> {
    tokio::time::timeout(PATIENCE, target.client.get(address)).wait().ok()?.ok()
}

/// The last parts of the URLs of a list.
fn listed(target: &Target, list: &str) -> Vec<Candidate> {
    let urls = ask(target, list).unwrap_or_default();
    let last = |url: &str| Some(url.split('?').next()?.rsplit('/').next()?.to_string());
    let names = flattened(&urls).filter_map(|url| last(url.as_str()?));
    names.filter(|name| !name.contains(char::is_control)).map(|name| (name, String::new())).collect()
}

/// Names in a list below the instance, or pool and volume, of the first words.
fn below(cx: &Context, place: &Place<'_>, list: &[&str]) -> Vec<Candidate> {
    let [first, rest @ ..] = &place.words[..] else { return Vec::new() };
    let Ok(target) = cx.target(first) else { return Vec::new() };
    let address = match rest {
        [volume, ..] => path(&[&["storage-pools", &target.name, "volumes", "custom", volume], list].concat()),
        [] if place.command.usage.contains("<pool>") => path(&[&["storage-pools", &target.name], list].concat()),
        [] => path(&[&["instances", &target.name], list].concat()),
    };
    listed(&target, &address)
}

fn remotes(cx: &Context, end: &str) -> Vec<Candidate> {
    let config = cx.config.borrow();
    config.remotes.iter().map(|(name, remote)| (format!("{name}{end}"), remote.addr.clone())).collect()
}

fn aliases(cx: &Context) -> Vec<Candidate> {
    let config = cx.config.borrow();
    config.aliases.iter().map(|(name, target)| (name.clone(), target.clone())).collect()
}
