//! Manual pages of the commands, in the formats of LXD's client, from the table.

use crate::order::Order;
use std::fmt::Write;

use super::help::{flag_lines, usage_line};
use super::table::{Command, Flag, GLOBAL, Kind, ROOT};

/// A format of `lxc manpage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For man(1).
    Man,
    /// Markdown.
    Markdown,
    /// reStructuredText.
    Rest,
    /// YAML.
    Yaml,
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Format> {
        match name {
            "man" => Some(Format::Man),
            "md" => Some(Format::Markdown),
            "rest" => Some(Format::Rest),
            "yaml" => Some(Format::Yaml),
            _ => None,
        }
    }

    fn file(self, path: &[&str]) -> String {
        match self {
            Format::Man => path.join(".") + ".1",
            Format::Markdown => path.join("_") + ".md",
            Format::Rest => path.join("_") + ".rst",
            Format::Yaml => path.join("_") + ".yaml",
        }
    }
}

/// All pages: names of files and what is in them. Hidden commands have none.
pub fn pages(format: Format) -> Vec<(String, String)> {
    let mut out = Vec::new();
    collect(&ROOT, vec!["lxc"], format, &mut out);
    out
}

fn collect(command: &'static Command, path: Vec<&'static str>, format: Format, out: &mut Vec<(String, String)>) {
    let page = Page { command, path: &path };
    let text = match format {
        Format::Man => page.man(),
        Format::Markdown => page.markdown(),
        Format::Rest => page.rest(),
        Format::Yaml => page.yaml(),
    };
    for sub in shown(command) {
        collect(sub, [&path[..], &[sub.name]].concat(), format, out);
    }
    out.push((format.file(&path), text));
}

/// The commands of a group that have pages; `help` explains itself.
fn shown(command: &'static Command) -> impl Iterator<Item = &'static Command> {
    command.commands.iter().filter(|sub| !sub.hidden && sub.name != "help")
}

struct Page<'a> {
    command: &'static Command,
    path: &'a [&'static str],
}

impl Page<'_> {
    fn own(&self) -> Vec<&'static Flag> {
        let global: &[Flag] = if self.path.len() == 1 { GLOBAL } else { &[] };
        let mut flags: Vec<&Flag> = self.command.flags.iter().chain(global).collect();
        flags.order_by_key(|flag| flag.long);
        flags
    }

    fn inherited(&self) -> Vec<&'static Flag> {
        let own = |flag: &&Flag| self.command.flags.iter().any(|own| own.long == flag.long);
        if self.path.len() == 1 { Vec::new() } else { GLOBAL.iter().filter(|flag| !own(flag)).collect() }
    }

    /// The group it is in, and the commands in it, as paths with sentences.
    fn related(&self) -> Vec<(Vec<&'static str>, &'static str)> {
        let mut out = Vec::new();
        if let Some((_, parent)) = self.path.split_last().filter(|(_, parent)| !parent.is_empty()) {
            let mut group = &ROOT;
            for name in &parent[1..] {
                group = group.find(name).unwrap_or(group);
            }
            out.push((parent.to_vec(), group.about));
        }
        out.extend(shown(self.command).map(|sub| ([self.path, &[sub.name]].concat(), sub.about)));
        out
    }

    fn man(&self) -> String {
        let c = self.command;
        let mut out = format!(".nh\n.TH \"{}\" \"1\" \"\" \"lxbox\" \"\"\n", self.path.join("-").to_uppercase());
        _ = writeln!(out, ".SH NAME\n{} \\- {}", roff(&self.path.join("-")), roff(c.about));
        _ = writeln!(out, ".SH SYNOPSIS\n\\fB{}\\fP", roff(&usage_line(c, self.path)));
        _ = writeln!(out, ".SH DESCRIPTION\n{}.", roff(c.about));
        if !c.more.is_empty() {
            _ = writeln!(out, ".PP\n.nf\n{}\n.fi", roff(c.more));
        }
        if !c.aliases.is_empty() {
            _ = writeln!(out, ".PP\nOther words for it: {}.", c.aliases.join(", "));
        }
        for (title, flags) in [("OPTIONS", self.own()), ("OPTIONS OF ALL COMMANDS", self.inherited())] {
            if !flags.is_empty() {
                _ = writeln!(out, ".SH {title}");
            }
            for flag in flags {
                let short = flag.short.map_or(String::new(), |letter| format!("\\fB\\-{letter}\\fP, "));
                let value = match (flag.kind, flag.default) {
                    (Kind::Switch, _) => String::new(),
                    (Kind::Optional, default) => format!("[={default}]"),
                    (_, "") => " \\fIvalue\\fP".into(),
                    (_, default) => format!(" \\fIvalue\\fP (default {})", roff(default)),
                };
                _ = writeln!(out, ".TP\n{short}\\fB\\-\\-{}\\fP{value}\n{}", roff(flag.long), roff(flag.about));
            }
        }
        if !c.examples.is_empty() {
            _ = writeln!(out, ".SH EXAMPLES\n.nf\n{}\n.fi", roff(c.examples));
        }
        let related: Vec<String> =
            self.related().iter().map(|(path, _)| format!("\\fB{}\\fP(1)", roff(&path.join("-")))).collect();
        out + &format!(".SH SEE ALSO\n{}\n", related.join(",\n"))
    }

    fn markdown(&self) -> String {
        let c = self.command;
        let mut out = format!("## {}\n\n{}\n\n", self.path.join(" "), c.about);
        if !c.more.is_empty() {
            _ = write!(out, "### Synopsis\n\n{}\n\n", c.more);
        }
        _ = write!(out, "```\n{}\n```\n", usage_line(c, self.path));
        if !c.examples.is_empty() {
            _ = write!(out, "\n### Examples\n\n```\n{}\n```\n", c.examples);
        }
        for (title, flags) in [("Options", self.own()), ("Options of all commands", self.inherited())] {
            if !flags.is_empty() {
                _ = write!(out, "\n### {title}\n\n```\n{}```\n", flag_lines(&flags));
            }
        }
        out.push_str("\n### See also\n\n");
        for (path, about) in self.related() {
            _ = writeln!(out, "* [{}]({}) - {about}", path.join(" "), Format::Markdown.file(&path));
        }
        out
    }

    fn rest(&self) -> String {
        let (c, title) = (self.command, self.path.join(" "));
        let mut out = format!(".. _{}:\n\n{title}\n{}\n\n{}\n", self.path.join("_"), "-".repeat(title.len()), c.about);
        if !c.more.is_empty() {
            _ = write!(out, "\nSynopsis\n~~~~~~~~\n\n{}\n", c.more);
        }
        _ = write!(out, "\n::\n\n  {}\n", usage_line(c, self.path));
        let block = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
        if !c.examples.is_empty() {
            _ = write!(out, "\nExamples\n~~~~~~~~\n\n::\n\n{}", block(c.examples));
        }
        for (title, flags) in [("Options", self.own()), ("Options of all commands", self.inherited())] {
            if !flags.is_empty() {
                _ = write!(out, "\n{title}\n{}\n\n::\n\n{}", "~".repeat(title.len()), block(&flag_lines(&flags)));
            }
        }
        out.push_str("\nSee also\n~~~~~~~~\n\n");
        for (path, about) in self.related() {
            _ = writeln!(out, "* `{} <{}>`_ - {about}", path.join(" "), Format::Rest.file(&path));
        }
        out
    }

    fn yaml(&self) -> String {
        let c = self.command;
        let option = |flag: &&Flag| {
            let mut one = serde_json::json!({ "name": flag.long });
            if let Some(letter) = flag.short {
                one["shorthand"] = letter.to_string().into();
            }
            match (flag.kind, flag.default) {
                (Kind::Switch, _) => one["default_value"] = "false".into(),
                (_, "") => {}
                (_, default) => one["default_value"] = default.into(),
            }
            one["usage"] = flag.about.into();
            one
        };
        let mut all = serde_json::json!({
            "name": self.path.join(" "), "synopsis": c.about, "description": c.more,
            "usage": usage_line(c, self.path), "options": self.own().iter().map(option).collect::<Vec<_>>(),
            "inherited_options": self.inherited().iter().map(option).collect::<Vec<_>>(),
        });
        if !c.examples.is_empty() {
            all["example"] = c.examples.into();
        }
        let related = self.related().into_iter().map(|(path, about)| format!("{} - {about}", path.join(" ")));
        all["see_also"] = related.collect::<Vec<_>>().into();
        super::output::yaml(&all)
    }
}

/// Text for troff: nothing in it is a request or an escape.
fn roff(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if !out.is_empty() {
            out.push('\n');
        }
        if line.starts_with(['.', '\'']) {
            out.push_str("\\&");
        }
        for c in line.chars() {
            match c {
                '\\' => out.push_str("\\e"),
                '-' => out.push_str("\\-"),
                c => out.push(c),
            }
        }
    }
    out
}
