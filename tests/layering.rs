//! Dependencies point one way: this reads every `crate::` path of the program and fails on one that points up.
//!
//! ```text
//! error, order, task, api::tree <- api::types <- api::config <- store, api::client, runtime::spec, runtime::sys
//!       <- drivers: devices, storage, network, images, instances::container; helper processes
//!       <- operations, events, auth <- services: instances <- runtime::daemon <- api::{routes, handlers, server} <- bin
//! ```
//!
//! Parts on one level may use each other, as long as no two do so mutually, also not through others.

mod source;

use source::{Source, is_word, words};
use std::collections::{BTreeMap, BTreeSet};

/// The parts of the program, lowest first: (level, path). The longest path that fits decides.
const PARTS: &[(u8, &str)] = &[
    (0, "error"),
    (0, "order"),
    (0, "task"),
    (0, "api::tree"),
    (1, "api::types"),
    (2, "api::extensions"),
    (2, "api::config"),
    (2, "api::tls"),
    // `runtime`'s own file has only what everything below it shares (`blocking`).
    (3, "runtime"),
    (3, "runtime::sys"),
    // A library over netlink alone, for daemon and helper processes.
    (3, "runtime::network::netlink"),
    (3, "runtime::spec"),
    (3, "store"),
    (3, "api::client"),
    (4, "runtime::helper"),
    (4, "runtime::host"),
    (4, "runtime::devices"),
    (4, "runtime::storage"),
    (4, "runtime::images"),
    (4, "runtime::network"),
    (4, "runtime::instances::container"),
    (4, "runtime::listen"),
    (4, "runtime::random"),
    // Helper processes that outlive the daemon, as it sees them.
    (3, "runtime::resident"),
    (4, "runtime::url"),
    (5, "runtime::leases"),
    (5, "runtime::operations"),
    (5, "runtime::events"),
    (5, "runtime::auth"),
    (6, "runtime::images::service"),
    (6, "runtime::network::service"),
    (6, "runtime::instances"),
    (6, "runtime::pools"),
    (6, "runtime::profiles"),
    (6, "runtime::projects"),
    (6, "runtime::certificates"),
    (5, "runtime::https"),
    (6, "runtime::server"),
    (6, "runtime::sql"),
    (6, "runtime::warnings"),
    (7, "runtime::daemon"),
    (8, "api::response"),
    (8, "api::request"),
    (8, "api::handlers"),
    (8, "api::routes"),
    (8, "api::server"),
    (8, "cli"),
    (9, "bin"),
];

/// Parts that may use less than what is below them: (path, what alone they use).
const NARROW: &[(&str, &[&str])] = &[
    // What runs in a re-executed process stays small and single-threaded.
    ("runtime::helper", &["error", "order", "api::tree", "runtime::network::netlink", "runtime::spec", "runtime::sys"]),
    ("runtime::network::netlink", &["error", "runtime::sys"]),
    // Plans are plain data, also for the calls that carry them out.
    ("runtime::sys", &["error", "order", "api::tree", "runtime::spec"]),
    ("runtime::spec", &["error", "api::tree"]),
    // The client sees the server only through the contract.
    (
        "cli",
        &[
            "error",
            "order",
            "task",
            "api::tree",
            "api::types",
            "api::config",
            "api::extensions",
            "api::client",
            "api::tls",
        ],
    ),
    ("api::client", &["error", "task", "api::tree", "api::types", "api::config", "api::extensions", "api::tls"]),
];

/// Uses that point up all the same: (from, to, why).
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

#[test]
fn dependencies_point_one_way() {
    let uses = all_uses();
    let known = |u: &Use| EXCEPTIONS.iter().any(|(from, to, _)| *from == u.from && *to == u.to);
    let broken: Vec<String> = uses.iter().filter(|u| !allowed(u) && !known(u)).map(Use::to_string).collect();
    assert!(broken.is_empty(), "these point the wrong way:\n{broken:#?}");
    let needed = |from: &str, to: &str| uses.iter().any(|u| u.from == from && u.to == to);
    let stale: Vec<_> = EXCEPTIONS.iter().filter(|(from, to, _)| !needed(from, to)).collect();
    assert!(stale.is_empty(), "exceptions that are not needed any more:\n{stale:#?}");
}

#[test]
fn no_parts_use_each_other_in_a_circle() {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let uses = all_uses();
    for u in &uses {
        graph.entry(u.from).or_default().insert(u.to);
    }
    // Taking away, again and again, what uses nothing that is left: what remains is in a circle or above one.
    loop {
        let left: BTreeSet<&str> = graph.keys().copied().collect();
        let done: Vec<&str> =
            graph.iter().filter(|(_, to)| to.iter().all(|t| !left.contains(t))).map(|(from, _)| *from).collect();
        if done.is_empty() {
            break;
        }
        done.iter().for_each(|d| drop(graph.remove(d)));
    }
    assert!(graph.is_empty(), "parts in a circle, or above one: {graph:#?}");
}

#[test]
fn every_module_has_a_level() {
    let lost: Vec<String> = source::below("src")
        .into_iter()
        .map(|s| module_of(&s.path))
        .filter(|m| !["", "api"].contains(&m.as_str()) && part(m).is_none())
        .collect();
    assert!(lost.is_empty(), "no level in PARTS for {lost:?}");
}

/// The reader must understand the ways a path can be written.
#[test]
fn the_reader_sees_every_way_to_write_a_path() {
    let text = "use crate::{error::Error, store::{self, repo::profiles}, api::{types::Image, client}};\n\
                use super::super::helper::x; // crate::cli\n\
                pub(crate) fn f() { crate::runtime::daemon::stop(\"crate::bin\"); }\n\
                #[cfg(test)]\nmod tests { use crate::api::server; }\n";
    let s = Source::new("src/runtime/storage/dir.rs".into(), text.into());
    let seen: Vec<&str> = uses_of(&s).into_iter().map(|u| u.to).collect();
    assert_eq!(seen, ["error", "store", "store", "api::types", "api::client", "runtime::helper", "runtime::daemon"]);
    let up = Use { file: String::new(), line: 1, from: "store", to: "runtime::daemon" };
    assert!(!allowed(&up));
    let narrow = Use { file: String::new(), line: 1, from: "runtime::helper", to: "store" };
    assert!(!allowed(&narrow));
}

#[derive(Debug)]
struct Use {
    file: String,
    line: usize,
    from: &'static str,
    to: &'static str,
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {} uses {}", self.file, self.line, self.from, self.to)
    }
}

fn allowed(u: &Use) -> bool {
    let narrow = NARROW.iter().find(|(part, _)| *part == u.from);
    match narrow {
        Some((_, only)) => only.contains(&u.to),
        None => level(u.to) <= level(u.from),
    }
}

fn level(name: &str) -> u8 {
    PARTS.iter().find(|(_, p)| *p == name).map_or(9, |(level, _)| *level)
}

/// The part that a path belongs to: the longest that it begins with.
fn part(path: &str) -> Option<&'static str> {
    let fits = |p: &str| path == p || path.strip_prefix(p).is_some_and(|rest| rest.starts_with("::"));
    PARTS.iter().map(|(_, p)| *p).filter(|p| fits(p)).max_by_key(|p| p.len())
}

fn all_uses() -> Vec<Use> {
    source::below("src").iter().flat_map(uses_of).collect()
}

/// The uses of other parts in what is not a unit test.
fn uses_of(s: &Source) -> Vec<Use> {
    let module = module_of(&s.path);
    let Some(from) = part(&module) else { return Vec::new() };
    let mut found = Vec::new();
    for (at, path) in paths(&s.product, &module) {
        // `crate::Error` and the like are the names that lib.rs gives to `error`'s items.
        let reexported = path.starts_with(|c: char| c.is_uppercase());
        let to = if reexported { Some("error") } else { part(&path) };
        let Some(to) = to else { continue };
        if to != from {
            found.push(Use { file: s.path.clone(), line: s.line(at), from, to });
        }
    }
    found
}

/// `src/store/repo/mod.rs` -> `store::repo`; everything below `src/bin` is `bin`.
fn module_of(path: &str) -> String {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => String::new(),
        p if p.starts_with("bin/") => "bin".into(),
        p => p.replace('/', "::"),
    }
}

/// Every path from the crate's root in `code`, written `crate::`, `lxbox::` or with `super::`, without the root.
fn paths(code: &str, module: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate", "lxbox"] {
        for at in words(code, root) {
            if let Some(rest) = code[at + root.len()..].strip_prefix("::") {
                expand(rest, "", &mut |path| found.push((at, path)));
            }
        }
    }
    for at in words(code, "super") {
        let before = code[..at].trim_end();
        let Some(mut rest) = code[at + 5..].strip_prefix("::").filter(|_| !before.ends_with("::")) else { continue };
        let mut up = 1;
        while let Some(more) = rest.strip_prefix("super::") {
            (rest, up) = (more, up + 1);
        }
        let names: Vec<&str> = module.split("::").collect();
        // A file `a/b.rs` is the module `a::b`; inside inline modules `super` counts from there, which this ignores.
        let keep = names.len().saturating_sub(up);
        expand(rest, &names[..keep].join("::"), &mut |path| found.push((at, path)));
    }
    found.sort_by_key(|(at, _)| *at);
    found
}

/// Resolves `a::{b, c::{d}}` into one path each.
fn expand(rest: &str, prefix: &str, found: &mut dyn FnMut(String)) {
    let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    if let Some(group) = rest.strip_prefix('{') {
        let inside = &group[..source::closing(rest, 0) - 1];
        for one in split_group(inside) {
            expand(one.trim(), prefix, found);
        }
        return;
    }
    let word: String = rest.chars().take_while(|c| c.is_ascii() && is_word(*c as u8)).collect();
    if word.is_empty() || word == "self" {
        return found(prefix.to_owned());
    }
    match rest[word.len()..].strip_prefix("::") {
        Some(more) => expand(more, &join(&word), found),
        None => found(join(&word)),
    }
}

/// Splits at the commas that are not inside braces.
fn split_group(inside: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (i, b) in inside.bytes().enumerate() {
        match b {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(&inside[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    found.push(&inside[from..]);
    found.retain(|one| !one.trim().is_empty());
    found
}
