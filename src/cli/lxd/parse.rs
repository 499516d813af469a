//! Words into a [`Call`]: flags anywhere, in the spellings cobra takes (`--x=v`, `--x v`, `-t5`, `-dv`).

use super::init::InitFlags;
use super::words::{self, DAEMON, Flag, GLOBAL, Value, Verb};
use crate::error::{Error, Result};

/// A whole command line of `lxd`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Flags every command takes.
    pub global: GlobalFlags,
    /// What to do.
    pub command: Command,
}

/// Flags every command takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalFlags {
    /// Log everything (`-d`).
    pub debug: bool,
    /// Log what happens (`-v`).
    pub verbose: bool,
    /// File to log to.
    pub logfile: Option<String>,
    /// Log to syslog.
    pub syslog: bool,
    /// Parts to trace.
    pub trace: Vec<String>,
}

/// Flags of the daemon alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonFlags {
    /// Group of the socket.
    pub group: Option<String>,
}

/// What `lxd` is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Be the daemon, in the foreground.
    Daemon(DaemonFlags),
    /// `lxd init`.
    Init(InitFlags),
    /// `lxd recover`.
    Recover,
    /// `lxd waitready`; seconds, `None` waits for ever.
    WaitReady {
        /// Seconds.
        timeout: Option<u64>,
    },
    /// `lxd shutdown`; seconds, `None` waits for ever.
    Shutdown {
        /// Seconds.
        timeout: Option<u64>,
        /// Don't wait for running operations.
        force: bool,
    },
    /// `lxd sql`.
    Sql {
        /// `global` or `local`.
        database: String,
        /// Statements, `.dump`, `.schema` or `-`.
        query: String,
    },
    /// `lxd activateifneeded`.
    ActivateIfNeeded,
    /// `lxd version` and `--version`.
    Version,
    /// `lxd doctor`.
    Doctor,
    /// Print this help.
    Help(String),
}

/// Reads the words after the program's name. Empty words count for nothing, as scripts rely on.
///
/// # Errors
/// `Invalid` with cobra's texts for words that are wrong; `Unsupported` for LXD's commands that are not there yet.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Call> {
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let (name, rest) = split_command(words);
    let verb = match name.as_deref() {
        None => None,
        Some("help") => return help_call(&rest),
        Some(name) => Some(words::find(name).ok_or_else(|| unknown_command(name))?),
    };
    let (given, positional) = flags(rest, verb)?;
    let command = if given.on("help") {
        Command::Help(words::help(verb.map(|verb| verb.name)))
    } else if given.on("version") {
        Command::Version
    } else {
        command(verb, &given, positional)?
    };
    Ok(Call { global: global(&given), command })
}

fn unknown_command(name: &str) -> Error {
    Error::invalid(format!("unknown command {name:?} for \"lxd\""))
}

fn help_call(rest: &[String]) -> Result<Call> {
    let topic = rest.iter().find(|word| !word.starts_with('-'));
    if let Some(topic) = topic.filter(|topic| words::find(topic).is_none()) {
        return Err(Error::invalid(format!("Unknown help topic {topic:?}")));
    }
    let text = words::help(topic.map(String::as_str));
    Ok(Call { global: GlobalFlags::default(), command: Command::Help(text) })
}

fn command(verb: Option<&'static Verb>, given: &Given, words: Vec<String>) -> Result<Command> {
    let Some(verb) = verb else { return Ok(Command::Daemon(DaemonFlags { group: given.text("group") })) };
    Ok(match verb.name {
        "activateifneeded" => Command::ActivateIfNeeded,
        "doctor" => Command::Doctor,
        "import" => return Err(Error::invalid("Command has been replaced with \"lxd recover\"")),
        "init" => Command::Init(init_flags(given)),
        "recover" => Command::Recover,
        "shutdown" => Command::Shutdown { timeout: given.seconds("timeout"), force: given.on("force") },
        "sql" => sql(words)?,
        "version" => Command::Version,
        "waitready" => Command::WaitReady { timeout: given.seconds("timeout") },
        name => return Err(Error::unsupported(format!("The command \"lxd {name}\""))),
    })
}

/// As LXD does: without words the help, with too few the help and an error.
fn sql(words: Vec<String>) -> Result<Command> {
    if words.is_empty() {
        return Ok(Command::Help(words::help(Some("sql"))));
    }
    let [database, query]: [String; 2] = words.try_into().map_err(|_| Error::invalid("Missing required arguments"))?;
    match database.as_str() {
        "global" | "local" => Ok(Command::Sql { database, query }),
        _ => Err(Error::invalid("Invalid database type")),
    }
}

fn init_flags(given: &Given) -> InitFlags {
    InitFlags {
        auto: given.on("auto"),
        minimal: given.on("minimal"),
        preseed: given.on("preseed"),
        dump: given.on("dump"),
        network_address: given.text("network-address"),
        network_port: given.number("network-port").filter(|n| *n != -1),
        storage_backend: given.text("storage-backend"),
        storage_create_device: given.text("storage-create-device"),
        storage_create_loop: given.number("storage-create-loop").filter(|n| *n != -1),
        storage_pool: given.text("storage-pool"),
        trust_password: given.text("trust-password"),
    }
}

fn global(given: &Given) -> GlobalFlags {
    let trace = given.text("trace").unwrap_or_default();
    GlobalFlags {
        debug: given.on("debug"),
        verbose: given.on("verbose"),
        logfile: given.text("logfile"),
        syslog: given.on("syslog"),
        trace: trace.split(',').filter(|part| !part.is_empty()).map(str::to_string).collect(),
    }
}

/// The first word that is neither a flag nor a flag's value, and all others.
fn split_command(words: Vec<String>) -> (Option<String>, Vec<String>) {
    let mut rest = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word);
            break;
        }
        if !word.starts_with('-') {
            rest.extend(words);
            return (Some(word), rest);
        }
        let takes_next = wants_next(&word);
        rest.push(word);
        if takes_next {
            rest.extend(words.next());
        }
    }
    rest.extend(words);
    (None, rest)
}

/// Whether a flag's value is the next word, for flags of any command.
fn wants_next(word: &str) -> bool {
    let known = || GLOBAL.iter().chain(DAEMON).chain(words::VERBS.iter().flat_map(|verb| verb.flags));
    match word.strip_prefix("--") {
        Some(name) => !name.contains('=') && known().any(|flag| flag.long == name && flag.value != Value::Switch),
        None => {
            let short = word.chars().nth(1).filter(|_| word.chars().count() == 2);
            short.is_some_and(|c| known().any(|flag| flag.short == Some(c) && flag.value != Value::Switch))
        }
    }
}

/// Flags as given, the last of each counts.
#[derive(Default)]
struct Given(Vec<(&'static str, String)>);

impl Given {
    fn text(&self, name: &str) -> Option<String> {
        let last = self.0.iter().rev().find(|(known, _)| *known == name);
        last.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    fn on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value == "true")
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// A number of seconds; 0 and below mean no limit, as in LXD.
    fn seconds(&self, name: &str) -> Option<u64> {
        self.number(name).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0)
    }
}

/// Reads flags of `verb` (or of the daemon) from among `words`; gives these and the words that are none.
fn flags(words: Vec<String>, verb: Option<&'static Verb>) -> Result<(Given, Vec<String>)> {
    let own = verb.map_or(DAEMON, |verb| verb.flags);
    let known: Vec<&'static Flag> = GLOBAL.iter().chain(own).collect();
    let mut given = Given::default();
    let mut positional = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            positional.extend(words.by_ref());
        } else if let Some(long) = word.strip_prefix("--") {
            given.0.push(long_flag(long, &known, &mut words)?);
        } else if word.len() > 1 && word.starts_with('-') {
            short_flags(&word, &known, &mut words, &mut given)?;
        } else {
            positional.push(word);
        }
    }
    Ok((given, positional))
}

type Words = std::vec::IntoIter<String>;

fn long_flag(text: &str, known: &[&'static Flag], words: &mut Words) -> Result<(&'static str, String)> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_string())));
    let flag = known.iter().find(|flag| flag.long == name);
    let flag = flag.ok_or_else(|| Error::invalid(format!("unknown flag: --{name}")))?;
    let value = match (value, flag.value) {
        (Some(value), _) => value,
        (None, Value::Switch) => "true".to_string(),
        (None, _) => words.next().ok_or_else(|| Error::invalid(format!("flag needs an argument: --{name}")))?,
    };
    Ok((flag.long, checked(flag, value)?))
}

fn short_flags(word: &str, known: &[&'static Flag], words: &mut Words, given: &mut Given) -> Result<()> {
    let mut rest = &word[1..];
    while let Some(c) = rest.chars().next() {
        let text = std::mem::take(&mut rest);
        let flag = known.iter().find(|flag| flag.short == Some(c));
        let flag = flag.ok_or_else(|| Error::invalid(format!("unknown shorthand flag: '{c}' in -{text}")))?;
        let after = &text[c.len_utf8()..];
        let value = match (flag.value, after.strip_prefix('=')) {
            (_, Some(value)) => value.to_string(),
            (Value::Switch, None) => {
                rest = after;
                "true".to_string()
            }
            (_, None) if !after.is_empty() => after.to_string(),
            (_, None) => {
                words.next().ok_or_else(|| Error::invalid(format!("flag needs an argument: '{c}' in -{text}")))?
            }
        };
        given.0.push((flag.long, checked(flag, value)?));
    }
    Ok(())
}

/// The value, if it is of the flag's kind.
fn checked(flag: &Flag, value: String) -> Result<String> {
    let (valid, reader) = match flag.value {
        Value::Text => return Ok(value),
        Value::Number => (value.parse::<i64>().ok().map(|n| n.to_string()), "ParseInt"),
        Value::Switch => (switch(&value).map(|on| on.to_string()), "ParseBool"),
    };
    valid.ok_or_else(|| {
        let short = flag.short.map_or(String::new(), |c| format!("-{c}, "));
        let name = flag.long;
        Error::invalid(format!(
            "invalid argument {value:?} for \"{short}--{name}\" flag: strconv.{reader}: parsing {value:?}: invalid syntax"
        ))
    })
}

/// What Go's ParseBool takes.
fn switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Result<Call> {
        parse(line.split(' ').map(str::to_string))
    }

    fn error(line: &str) -> String {
        call(line).unwrap_err().message().to_string()
    }

    #[test]
    fn without_a_command_it_is_the_daemon() {
        let call = call("--group lxd -dv --logfile=/x  --syslog --trace a,b").unwrap();
        assert_eq!(call.command, Command::Daemon(DaemonFlags { group: Some("lxd".to_string()) }));
        let global = call.global;
        assert!(global.debug && global.verbose && global.syslog);
        assert_eq!((global.logfile.as_deref(), global.trace.len()), (Some("/x"), 2));
        assert_eq!(parse([String::new()]).unwrap().command, Command::Daemon(DaemonFlags::default()));
    }

    #[test]
    fn flags_stand_anywhere() {
        let want = Command::WaitReady { timeout: Some(5) };
        for line in [
            "waitready -t5",
            "waitready --timeout=5",
            "-d waitready -t 5",
            "waitready --timeout 5 -d",
            "-t 5 waitready",
        ] {
            assert_eq!(call(line).unwrap().command, want, "{line}");
        }
        assert_eq!(call("shutdown -f").unwrap().command, Command::Shutdown { timeout: None, force: true });
        let line = "shutdown --force=false -t 0";
        assert_eq!(call(line).unwrap().command, Command::Shutdown { timeout: None, force: false });
        let sql = Command::Sql { database: "local".into(), query: "-".into() };
        assert_eq!(call("sql -d local -").unwrap().command, sql);
        assert!(matches!(call("sql").unwrap().command, Command::Help(_)));
        assert_eq!(error("sql global"), "Missing required arguments");
        assert_eq!(error("sql x y"), "Invalid database type");
        assert_eq!(call("waitready --version").unwrap().command, Command::Version);
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(error("bogus"), "unknown command \"bogus\" for \"lxd\"");
        assert_eq!(error("--nope"), "unknown flag: --nope");
        assert_eq!(error("waitready --group x"), "unknown flag: --group");
        assert_eq!(error("-dx"), "unknown shorthand flag: 'x' in -x");
        assert_eq!(error("waitready -t"), "flag needs an argument: 't' in -t");
        assert_eq!(error("waitready --timeout"), "flag needs an argument: --timeout");
        let text = "invalid argument \"x\" for \"-t, --timeout\" flag: strconv.ParseInt: parsing \"x\": invalid syntax";
        assert_eq!(error("waitready --timeout=x"), text);
        assert_eq!(error("cluster show"), "The command \"lxd cluster\" is not supported yet");
        assert_eq!(error("import x"), "Command has been replaced with \"lxd recover\"");
    }

    #[test]
    fn help_of_each_command() {
        for verb in words::VERBS {
            assert!(
                matches!(call(&format!("{} --help", verb.name)).unwrap().command, Command::Help(_)),
                "{}",
                verb.name
            );
        }
        assert_eq!(call("help init").unwrap(), call("init --help").unwrap());
        assert_eq!(error("help nope"), "Unknown help topic \"nope\"");
    }

    #[test]
    fn init_takes_its_flags() {
        let Command::Init(flags) = call("init --auto --storage-backend dir --network-port=-1").unwrap().command else {
            panic!("not init")
        };
        assert!(flags.auto && !flags.dump);
        assert_eq!((flags.storage_backend.as_deref(), flags.network_port), (Some("dir"), None));
    }
}
