//! THE table of `lxc`'s commands: words, aliases, flags and what runs them.
//!
//! Parser (`cli::argv`), help (`cli::help`) and dispatch (`cli::main`) know nothing but these rows. All commands of
//! LXD 5.0's client are here, so that help lists what exists; a row without [`Command::run`] answers that it is not
//! supported yet. Words, flags, defaults and their order are LXD's; the sentences are ours.

use crate::cli::context::Context;
use crate::error::Result;

mod client;
mod cluster;
mod config;
mod image;
mod instance;
mod network;
mod profile;
mod server;
mod storage;

/// A command or a group of commands.
#[derive(Clone, Copy)]
pub struct Command {
    /// Its word.
    pub name: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// What follows the word, as help shows it.
    pub usage: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// More paragraphs, or empty.
    pub more: &'static str,
    /// Examples, or empty.
    pub examples: &'static str,
    /// Whether help lists it only with `--all`.
    pub hidden: bool,
    /// Its flags, sorted by name.
    pub flags: &'static [Flag],
    /// The commands of a group.
    pub commands: &'static [Command],
    /// What runs it; none for groups and for what is not there yet.
    pub run: Option<Runner>,
}

/// What runs a command.
#[derive(Clone, Copy)]
pub struct Runner {
    /// The fewest and the most words it takes.
    pub words: (usize, usize),
    /// Runs it, given its flags and words in argh's form; its result is the exit code.
    pub start: fn(&'static Context, &[&str]) -> Result<i32>,
    /// What argh knows of it; a test compares that with the row.
    #[cfg(test)]
    pub info: fn() -> argh::CommandInfoWithArgs,
}

/// A flag.
#[derive(Clone, Copy)]
pub struct Flag {
    /// Its long name.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// One sentence.
    pub about: &'static str,
    /// What value it takes.
    pub kind: Kind,
    /// The value when it is not given; empty for none.
    pub default: &'static str,
    /// A word for the value that help shows; usually empty.
    pub word: &'static str,
}

/// What value a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None, or true and false after `=`.
    Switch,
    /// Text.
    Text,
    /// Text, several times.
    List,
    /// A number.
    Signed,
    /// A number from 0.
    Unsigned,
    /// Text after `=`; without it the default.
    Optional,
}

const fn flag(long: &'static str, about: &'static str, kind: Kind) -> Flag {
    Flag { long, short: None, about, kind, default: "", word: "" }
}
const fn switch(long: &'static str, about: &'static str) -> Flag {
    flag(long, about, Kind::Switch)
}
const fn text(long: &'static str, about: &'static str) -> Flag {
    flag(long, about, Kind::Text)
}
const fn list(long: &'static str, about: &'static str) -> Flag {
    flag(long, about, Kind::List)
}
const fn signed(long: &'static str, about: &'static str) -> Flag {
    flag(long, about, Kind::Signed)
}
const fn unsigned(long: &'static str, about: &'static str) -> Flag {
    flag(long, about, Kind::Unsigned)
}
const fn optional(long: &'static str, about: &'static str) -> Flag {
    flag(long, about, Kind::Optional).default("console")
}

impl Flag {
    const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }
    const fn default(mut self, value: &'static str) -> Flag {
        self.default = value;
        self
    }
    const fn word(mut self, word: &'static str) -> Flag {
        self.word = word;
        self
    }
}

const FORMAT: Flag = text("format", "Output format (csv|json|table|yaml|compact)").short('f').default("table");
const TARGET: Flag = text("target", "Cluster member to work on");

const fn leaf(name: &'static str, usage: &'static str, about: &'static str) -> Command {
    Command {
        name,
        aliases: &[],
        usage,
        about,
        more: "",
        examples: "",
        hidden: false,
        flags: &[],
        commands: &[],
        run: None,
    }
}
const fn group(name: &'static str, about: &'static str, commands: &'static [Command]) -> Command {
    let mut group = leaf(name, "", about);
    group.commands = commands;
    group
}

impl Command {
    const fn aliases(mut self, words: &'static [&'static str]) -> Command {
        self.aliases = words;
        self
    }
    const fn flags(mut self, flags: &'static [Flag]) -> Command {
        self.flags = flags;
        self
    }
    const fn more(mut self, text: &'static str) -> Command {
        self.more = text;
        self
    }
    const fn examples(mut self, text: &'static str) -> Command {
        self.examples = text;
        self
    }
    const fn explained(mut self) -> Command {
        self.usage = crate::cli::help::NO_WORDS;
        self
    }
    const fn hidden(mut self) -> Command {
        self.hidden = true;
        self
    }
    const fn run(mut self, runner: Runner) -> Command {
        self.run = Some(runner);
        self
    }

    /// The command of a group that goes by this word.
    pub fn find(&self, word: &str) -> Option<&'static Command> {
        let commands: &'static [Command] = self.commands;
        commands.iter().find(|c| c.name == word || c.aliases.contains(&word))
    }
}

/// Makes a [`Runner`] of a function, its argh type and the numbers of words it takes.
macro_rules! run {
    ($run:path, $args:ty, $min:literal ..) => {
        run!($run, $args, $min, usize::MAX)
    };
    ($run:path, $args:ty, $min:literal ..= $max:literal) => {
        run!($run, $args, $min, $max)
    };
    ($run:path, $args:ty, $min:expr, $max:expr) => {
        $crate::cli::table::Runner {
            words: ($min, $max),
            start: |cx, words| $run(cx, $crate::cli::argv::typed::<$args>(words)?),
            #[cfg(test)]
            info: <$args as argh::ArgsInfo>::get_args_info,
        }
    };
}
use run;

/// Flags that every command takes.
pub const GLOBAL: &[Flag] = &[
    switch("debug", "Say what is asked of servers and what they answer"),
    switch("force-local", "Use the unix socket of this host whatever else is set"),
    switch("help", "Print help").short('h'),
    text("project", "Project to work in"),
    switch("quiet", "Show no progress").short('q'),
    switch("sub-commands", "Let help show the commands of commands too"),
    switch("verbose", "Say more of what is done").short('v'),
    switch("version", "Print the version"),
];

/// `lxc` itself.
pub static ROOT: Command = {
    let mut root = group("lxc", "Work with LXD servers from the command line", COMMANDS);
    root.more = "Every command below explains itself when called with --help.";
    root.flags = &[switch("all", "Show less common commands too")];
    root
};

/// `lxc help`, which the parser handles by itself.
pub const HELP: Command =
    leaf("help", "[command]", "Explain a command").flags(&[switch("all", "Show less common commands too")]);

/// The commands of `lxc`, sorted.
const COMMANDS: &[Command] = &[
    client::ALIAS,
    cluster::CLUSTER,
    client::COMPLETION,
    config::CONFIG,
    instance::CONSOLE,
    instance::COPY,
    instance::DELETE,
    instance::EXEC,
    instance::EXPORT,
    instance::FILE,
    HELP,
    image::IMAGE,
    instance::IMPORT,
    instance::INFO,
    instance::INIT,
    instance::LAUNCH,
    instance::LIST,
    client::MANPAGE,
    client::MONITOR,
    instance::MOVE,
    network::NETWORK,
    server::OPERATION,
    instance::PAUSE,
    profile::PROFILE,
    server::PROJECT,
    instance::PUBLISH,
    client::QUERY,
    client::REMOTE,
    instance::RENAME,
    instance::RESTART,
    instance::RESTORE,
    instance::SNAPSHOT,
    instance::START,
    instance::STOP,
    storage::STORAGE,
    client::VERSION,
    server::WARNING,
];
