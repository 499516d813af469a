//! `lxc`: the command line client.
//!
//! The way of a command: `aliases` replaces the user's short names, `argv` reads the words against the rows of
//! `table`, the row's function below `commands` gets them as a typed argh struct, asks `api::client` and prints with
//! `output`. Commands are plain functions, which wait for the client's answers by `wait`. Nothing here reaches into the
//! daemon: a stock LXD server is served the same way.

mod aliases;
mod argv;
mod commands;
mod complete;
mod config;
mod context;
mod edit;
mod help;
mod input;
pub mod lxd;
mod manual;
mod output;
mod table;
mod terminal;
mod transfer;
mod trusted;
mod wait;
mod waiting;
mod welcome;
mod yaml_in;

use argv::Parsed;
use context::Context;
use output::{complain, emit, say};

use crate::error::{Error, Result};

/// The version of LXD whose client this is.
const VERSION: &str = "5.0.2";

/// Runs `lxc`; `args` begins with the program's name. Returns the exit code. Starts an async runtime of its own.
pub fn main(args: Vec<String>) -> i32 {
    match run(args.get(1..).unwrap_or_default()) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("Error: {}\n", error.message()));
            1
        }
    }
}

fn run(args: &[String]) -> Result<i32> {
    let config = config::Config::load();
    let args = match &config {
        Ok(config) => aliases::expand(args, &config.aliases)?,
        Err(_) => args.to_vec(),
    };
    let parsed = argv::parse(&args)?;
    if let Some(code) = without_command(&parsed)? {
        return Ok(code);
    }
    let Some(runner) = parsed.command.run else {
        return Err(Error::unsupported(format!("The command \"{}\"", parsed.path.join(" "))));
    };
    if parsed.switch("debug") {
        let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false);
        lines.with_max_level(tracing::Level::DEBUG).init();
    }
    let context = Context {
        config: config?.into(),
        project: parsed.value("project").map(String::from),
        force_local: parsed.switch("force-local"),
        quiet: parsed.switch("quiet"),
        command: (parsed.command, parsed.path.clone()),
    };
    // One context a process, used until its end by whatever the command has started.
    let context: &'static Context = Box::leak(Box::new(context));
    let _entered = wait::enter();
    welcome::first_time(context, &parsed);
    let words = parsed.words.len();
    if words < runner.words.0 || words > runner.words.1 {
        return context.wrong_count(words);
    }
    let words = parsed.canonical();
    (runner.start)(context, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Help, the version, and groups called without a command.
fn without_command(parsed: &Parsed) -> Result<Option<i32>> {
    let depth = help::Depth { all: parsed.switch("all"), nested: parsed.switch("sub-commands") };
    let (command, path) = (parsed.command, &parsed.path[..]);
    if path == ["lxc", "help"] && !parsed.switch("help") {
        let topic = argv::parse(&parsed.words)?;
        match topic.words.is_empty() {
            true => emit(help::text(topic.command, &topic.path, depth).as_bytes()),
            false => {
                let words: Vec<String> = parsed.words.iter().map(|word| format!("`{word}`")).collect();
                let root = argv::parse(&[])?;
                complain(&format!("Unknown help topic [{}]\n", words.join(" ")));
                complain(&help::usage(root.command, &root.path, depth));
            }
        }
        return Ok(Some(0));
    }
    if parsed.switch("help") && (path.len() != 1 || parsed.words.is_empty()) {
        if path.get(..3) == Some(&["lxc", "config", "profile"]) && !command.commands.is_empty() {
            complain("Command \"profile\" is deprecated, please use `lxc profile`\n");
        }
        emit(help::text(command, path, depth).as_bytes());
        return Ok(Some(0));
    }
    if command.commands.is_empty() {
        return Ok(None);
    }
    if let Some(word) = parsed.words.first() {
        let near = if path.len() == 1 { suggestion(command, word) } else { String::new() };
        return Err(Error::invalid(format!("unknown command {word:?} for {:?}{near}", path.join(" "))));
    }
    match path.len() {
        1 if parsed.switch("version") => say!("{VERSION}"),
        1 => emit(help::text(command, path, depth).as_bytes()),
        _ if command.usage == help::NO_WORDS => emit(help::text(command, path, depth).as_bytes()),
        _ => complain(&help::usage(command, path, depth)),
    }
    Ok(Some(0))
}

/// "Did you mean this?" for words that are nearly commands.
fn suggestion(command: &table::Command, word: &str) -> String {
    let near = |name: &str| distance(&name.to_lowercase(), &word.to_lowercase()) <= 2 || name.starts_with(word);
    let names: Vec<&str> = command.commands.iter().filter(|c| !c.hidden).map(|c| c.name).filter(|n| near(n)).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("\n\nDid you mean this?\n\t{}\n", names.join("\n\t")),
    }
}

/// How many letters differ (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
