//! Help texts, laid out as LXD's client lays them out, from the table.

use crate::order::Order;
use std::fmt::Write;

use super::table::{Command, Flag, GLOBAL, Kind};

/// How much help shows.
#[derive(Clone, Copy, Default)]
pub struct Depth {
    /// Hidden commands too.
    pub all: bool,
    /// The commands of commands too.
    pub nested: bool,
}

/// The usage of a group that LXD's client does nothing with but explain it.
pub const NO_WORDS: &str = "-";

/// All of it: description, usage, examples, commands, flags. `path` begins with `lxc`.
pub fn text(command: &Command, path: &[&str], depth: Depth) -> String {
    let mut out = String::from("Description:\n");
    for (at, paragraph) in [command.about, command.more].iter().filter(|text| !text.is_empty()).enumerate() {
        if at > 0 {
            out.push('\n');
        }
        indent(&mut out, paragraph);
    }
    out.push('\n');
    out + &usage(command, path, depth)
}

/// Everything but the description.
pub fn usage(command: &Command, path: &[&str], depth: Depth) -> String {
    let (words, group) = (path.join(" "), !command.commands.is_empty());
    let mut out = String::from("Usage:\n");
    if path.len() > 1 && command.usage != NO_WORDS {
        _ = writeln!(out, "  {}", usage_line(command, path));
    }
    if group {
        _ = writeln!(out, "  {words} [command]");
    }
    if !command.aliases.is_empty() {
        _ = writeln!(out, "\nAliases:\n  {}, {}", command.name, command.aliases.join(", "));
    }
    if !command.examples.is_empty() {
        out.push_str("\nExamples:\n");
        indent(&mut out, command.examples);
    }
    if group {
        out.push_str("\nAvailable Commands:\n");
        commands(&mut out, command, depth, 0);
    }
    if path.len() == 1 {
        let mut flags: Vec<&Flag> = command.flags.iter().chain(GLOBAL).collect();
        flags.order_by_key(|f| f.long);
        section(&mut out, "Flags", &flags);
    } else {
        section(&mut out, "Flags", &command.flags.iter().collect::<Vec<_>>());
        let own = |flag: &&Flag| command.flags.iter().any(|own| own.long == flag.long);
        section(&mut out, "Global Flags", &GLOBAL.iter().filter(|flag| !own(flag)).collect::<Vec<_>>());
    }
    if group {
        _ = writeln!(out, "\nUse \"{words} [command] --help\" for more information about a command.");
    }
    out
}

/// The line that says how a command is written.
pub fn usage_line(command: &Command, path: &[&str]) -> String {
    let flags = if command.usage.contains("[flags]") { "" } else { " [flags]" };
    let space = if command.usage.is_empty() { "" } else { " " };
    format!("{}{space}{}{flags}", path.join(" "), command.usage)
}

fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        _ = writeln!(out, "{}{line}", if line.is_empty() { "" } else { "  " });
    }
}

fn commands(out: &mut String, command: &Command, depth: Depth, level: usize) {
    let shown = || command.commands.iter().filter(|c| depth.all || !c.hidden);
    let width = shown().map(|c| c.name.len()).max().unwrap_or(0).max(11);
    for sub in shown() {
        _ = writeln!(out, "{:indent$}{:width$} {}", "", sub.name, sub.about, indent = 2 + 2 * level);
        if depth.nested {
            commands(out, sub, depth, level + 1);
        }
    }
}

/// Flags in two columns, the sentences one below the other.
fn section(out: &mut String, title: &str, flags: &[&Flag]) {
    if flags.is_empty() {
        return;
    }
    _ = writeln!(out, "\n{title}:");
    out.push_str(&flag_lines(flags));
}

/// Flags one below the other, with their sentences.
pub fn flag_lines(flags: &[&Flag]) -> String {
    let mut out = String::new();
    let heads: Vec<String> = flags.iter().map(|flag| head(flag)).collect();
    let width = heads.iter().map(|head| head.len()).max().unwrap_or(0);
    for (flag, head) in flags.iter().zip(heads) {
        let default = match flag.kind {
            Kind::Text if !flag.default.is_empty() => format!(" (default {:?})", flag.default),
            Kind::Signed => format!(" (default {})", flag.default),
            _ => String::new(),
        };
        _ = writeln!(out, "{head:width$}   {}{default}", flag.about);
    }
    out
}

fn head(flag: &Flag) -> String {
    let short = flag.short.map_or("      ".to_string(), |letter| format!("  -{letter}, "));
    let value = match flag.kind {
        Kind::Optional => format!("[={:?}]", flag.default),
        _ if flag.word.is_empty() => String::new(),
        _ => format!(" {}", flag.word),
    };
    format!("{short}--{}{value}", flag.long)
}
