//! Turns the words of a command line, in the forms LXD's client takes, into a row of the table and argh's words.
//!
//! Those forms are cobra's and pflag's: flags anywhere, `--flag=value`, `--flag value`, `-fvalue`, `-f=value`, `-ab`,
//! `--switch=false`, `--` before words that look like flags. Its error texts are matched by scripts and kept.

use argh::FromArgs;

use super::table::{Command, Flag, GLOBAL, Kind, ROOT};
use crate::error::{Error, Result};

/// A command line, understood.
pub struct Parsed {
    /// The row.
    pub command: &'static Command,
    /// The words that lead to it, `lxc` first.
    pub path: Vec<&'static str>,
    /// The flags that were given, in order.
    pub given: Vec<(&'static Flag, String)>,
    /// What is left.
    pub words: Vec<String>,
}

/// Reads a command line without its first word.
pub fn parse(args: &[String]) -> Result<Parsed> {
    let mut rest: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mut command, mut path) = (&ROOT, vec!["lxc"]);
    while let Some(at) = first_word(&rest, command) {
        let Some(next) = command.find(rest[at]) else { break };
        command = next;
        path.push(next.name);
        rest.remove(at);
    }
    let mut parsed = Parsed { command, path, given: Vec::new(), words: Vec::new() };
    parsed.read(&rest)?;
    Ok(parsed)
}

/// The place of the first word that is neither a flag nor the value of one.
fn first_word(args: &[&str], command: &Command) -> Option<usize> {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let valueless = |flag: Option<&Flag>| flag.is_some_and(|f| matches!(f.kind, Kind::Switch | Kind::Optional));
        let takes_next = match arg.strip_prefix("--") {
            Some("") => return None,
            Some(long) => !arg.contains('=') && !valueless(by_long(command, long)),
            None if arg.len() > 1 && arg.starts_with('-') => {
                let letter = arg.chars().nth(1).unwrap_or('-');
                arg.chars().count() == 2 && !valueless(by_short(command, letter))
            }
            None => return Some(at),
        };
        at += if takes_next { 2 } else { 1 };
    }
    None
}

fn by_long(command: &Command, long: &str) -> Option<&'static Flag> {
    command.flags.iter().chain(GLOBAL).find(|f| f.long == long)
}

fn by_short(command: &Command, letter: char) -> Option<&'static Flag> {
    command.flags.iter().chain(GLOBAL).find(|f| f.short == Some(letter))
}

impl Parsed {
    fn read(&mut self, args: &[&str]) -> Result<()> {
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            match arg.strip_prefix("--") {
                Some("") => self.words.extend(args.by_ref().map(String::from)),
                Some(body) => self.long(body, &mut args)?,
                None if arg.len() > 1 && arg.starts_with('-') => self.cluster(arg, &mut args)?,
                None => self.words.push(arg.to_string()),
            }
        }
        Ok(())
    }

    /// `--flag`, `--flag=value`, `--flag value`.
    fn long<'a>(&mut self, body: &str, rest: &mut impl Iterator<Item = &'a str>) -> Result<()> {
        let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
        let flag = by_long(self.command, name).ok_or_else(|| Error::invalid(format!("unknown flag: --{name}")))?;
        let value = match (value, flag.kind) {
            (Some(value), _) => value,
            (None, Kind::Switch) => "true",
            (None, Kind::Optional) => flag.default,
            (None, _) => rest.next().ok_or_else(|| Error::invalid(format!("flag needs an argument: --{name}")))?,
        };
        self.give(flag, value)
    }

    /// `-f`, `-fvalue`, `-f=value`, `-f value`, `-ab`.
    fn cluster<'a>(&mut self, arg: &str, rest: &mut impl Iterator<Item = &'a str>) -> Result<()> {
        for (at, letter) in arg[1..].char_indices() {
            let unknown = || Error::invalid(format!("unknown shorthand flag: {letter:?} in {arg}"));
            let flag = by_short(self.command, letter).ok_or_else(unknown)?;
            let tail = &arg[1 + at + letter.len_utf8()..];
            match (tail.strip_prefix('='), flag.kind) {
                (Some(value), _) => return self.give(flag, value),
                (None, Kind::Switch) => self.give(flag, "true")?,
                (None, Kind::Optional) => self.give(flag, flag.default)?,
                (None, _) if !tail.is_empty() => return self.give(flag, tail),
                (None, _) => {
                    let missing = || Error::invalid(format!("flag needs an argument: {letter:?} in {arg}"));
                    return self.give(flag, rest.next().ok_or_else(missing)?);
                }
            }
        }
        Ok(())
    }

    /// Takes a flag after looking at its value.
    fn give(&mut self, flag: &'static Flag, value: &str) -> Result<()> {
        let parser = match flag.kind {
            Kind::Switch if truth(value).is_none() => "ParseBool",
            Kind::Signed if value.parse::<i64>().is_err() => "ParseInt",
            Kind::Unsigned if value.parse::<u32>().is_err() => "ParseUint",
            _ => {
                self.given.push((flag, value.to_string()));
                return Ok(());
            }
        };
        let names = flag.short.map_or(String::new(), |letter| format!("-{letter}, ")) + "--" + flag.long;
        let reason = format!("strconv.{parser}: parsing {value:?}: invalid syntax");
        Err(Error::invalid(format!("invalid argument {value:?} for {names:?} flag: {reason}")))
    }

    /// Whether a switch was given, the last time counting.
    pub fn switch(&self, long: &str) -> bool {
        self.value(long).and_then(truth).unwrap_or(false)
    }

    /// The value of a flag that was given.
    pub fn value(&self, long: &str) -> Option<&str> {
        self.given.iter().rev().find(|(flag, _)| flag.long == long).map(|(_, value)| value.as_str())
    }

    /// The command's own flags and its words in the one form argh takes: `--flag value`, `--switch`, `--`, words.
    pub fn canonical(&self) -> Vec<String> {
        let mut out = Vec::new();
        for flag in self.command.flags {
            let long = format!("--{}", flag.long);
            match flag.kind {
                Kind::Switch if self.switch(flag.long) => out.push(long),
                Kind::Switch => {}
                Kind::List => {
                    for (_, value) in self.given.iter().filter(|(given, _)| given.long == flag.long) {
                        out.extend([long.clone(), value.clone()]);
                    }
                }
                // What was not given has its default from the table, so that it stands in one place.
                Kind::Optional => out.extend(self.value(flag.long).into_iter().flat_map(|v| [long.clone(), v.into()])),
                _ => {
                    let default = Some(flag.default).filter(|default| !default.is_empty());
                    let value = self.value(flag.long).or(default);
                    out.extend(value.into_iter().flat_map(|v| [long.clone(), v.into()]));
                }
            }
        }
        out.push("--".into());
        out.extend(self.words.iter().cloned());
        out
    }
}

/// The words for true and false that Go's `strconv.ParseBool` takes.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Hands canonical words to argh.
pub fn typed<T: FromArgs>(words: &[&str]) -> Result<T> {
    T::from_args(&["lxc"], words).map_err(|exit| Error::invalid(exit.output.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Parsed> {
        parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_stand_anywhere_and_in_every_form() {
        for text in [
            "launch img c1 --config=a=b -e --project p",
            "--project=p launch -ca=b img -e c1",
            "launch -ec a=b --project p -- img c1",
            "--project p launch --ephemeral=true -c=a=b img c1",
        ] {
            let parsed = line(text).unwrap();
            assert_eq!(parsed.path, ["lxc", "launch"], "{text}");
            assert_eq!(parsed.words, ["img", "c1"], "{text}");
            assert!(parsed.switch("ephemeral"), "{text}");
            assert_eq!((parsed.value("config"), parsed.value("project")), (Some("a=b"), Some("p")), "{text}");
        }
        assert_eq!(line("exec c1 -- ls -l -- x").unwrap().words, ["c1", "ls", "-l", "--", "x"]);
        assert_eq!(line("image import -").unwrap().words, ["-"]);
    }

    #[test]
    fn aliases_and_groups_are_found() {
        assert_eq!(line("image alias ls").unwrap().path, ["lxc", "image", "alias", "list"]);
        assert_eq!(line("config profile apply c p").unwrap().path, ["lxc", "config", "profile", "assign"]);
        assert_eq!(line("-f csv list").unwrap().value("format"), Some("csv"));
    }

    #[test]
    fn errors_have_the_texts_of_pflag() {
        let says = |text: &str| line(text).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(says("launch --bogus x"), "unknown flag: --bogus");
        assert_eq!(says("launch -Z"), "unknown shorthand flag: 'Z' in -Z");
        assert_eq!(says("list --project"), "flag needs an argument: --project");
        assert_eq!(says("launch -p"), "flag needs an argument: 'p' in -p");
        assert_eq!(
            says("stop --timeout=x"),
            "invalid argument \"x\" for \"--timeout\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert_eq!(
            says("stop --force=maybe c"),
            "invalid argument \"maybe\" for \"-f, --force\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"
        );
    }

    fn each(command: &Command, visit: &mut dyn FnMut(&Command)) {
        visit(command);
        command.commands.iter().for_each(|c| each(c, visit));
    }

    #[test]
    fn argh_takes_the_flags_of_each_row_and_no_others() {
        each(&ROOT, &mut |command| {
            let Some(run) = &command.run else { return };
            let mut known: Vec<String> = (run.info)().flags.iter().map(|f| f.long.replace("--", "")).collect();
            known.retain(|long| long != "help");
            known.sort();
            let rows: Vec<&str> = command.flags.iter().map(|f| f.long).collect();
            assert_eq!(known, rows, "flags of {}", command.name);
        });
    }

    #[test]
    fn rows_are_sorted_and_unambiguous() {
        let (mut leaves, mut visible) = (0, 0);
        each(&ROOT, &mut |command| {
            let words = |c: &'static Command| std::iter::once(c.name).chain(c.aliases.iter().copied());
            let mut all: Vec<&str> = command.commands.iter().flat_map(words).collect();
            assert!(command.commands.is_sorted_by_key(|c| c.name), "commands of {}", command.name);
            assert!(command.flags.is_sorted_by_key(|f| f.long), "flags of {}", command.name);
            all.sort();
            assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "a word stands twice in {}", command.name);
            leaves += usize::from(command.commands.is_empty());
            visible += usize::from(!command.hidden);
            assert!(!command.about.is_empty() && !command.about.ends_with('.'), "{}", command.about);
        });
        // 237 of LXD 5.0.2, the 20 old spellings below `config profile`, `help`, and `completion`, which is ours.
        assert_eq!(leaves, 237 + 20 + 2);
        assert!(visible < leaves + 40);
    }
}
