//! The tables of `lxd`'s commands and flags, and the help made from them. The words are LXD 5.0's.

use crate::order::Order;
use std::fmt::Write;

/// What follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, or `=true` and `=false`.
    Switch,
    Text,
    Number,
}

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    pub long: &'static str,
    pub short: Option<char>,
    pub value: Value,
    pub help: &'static str,
}

/// One command.
#[derive(Debug)]
pub(super) struct Verb {
    pub name: &'static str,
    pub short: &'static str,
    pub long: &'static str,
    pub flags: &'static [Flag],
    /// Left out of the list of commands.
    pub hidden: bool,
}

const fn flag(long: &'static str, short: Option<char>, value: Value, help: &'static str) -> Flag {
    Flag { long, short, value, help }
}

/// Flags every command takes.
pub(super) const GLOBAL: &[Flag] = &[
    flag("debug", Some('d'), Value::Switch, "Log everything"),
    flag("help", Some('h'), Value::Switch, "Print this help"),
    flag("logfile", None, Value::Text, "File to log to"),
    flag("syslog", None, Value::Switch, "Log to syslog"),
    flag("trace", None, Value::Text, "Parts to trace, separated by commas"),
    flag("verbose", Some('v'), Value::Switch, "Log what happens, not only warnings"),
    flag("version", None, Value::Switch, "Print the version"),
];

/// Flags of the daemon alone.
pub(super) const DAEMON: &[Flag] = &[flag("group", None, Value::Text, "Group that may talk to the daemon")];

const INIT: &[Flag] = &[
    flag("auto", None, Value::Switch, "Take the defaults, ask nothing"),
    flag("dump", None, Value::Switch, "Print the present configuration as YAML"),
    flag("minimal", None, Value::Switch, "The least that works, ask nothing"),
    flag("network-address", None, Value::Text, "Address to listen on (default: none)"),
    flag("network-port", None, Value::Number, "Port to listen on (default: 8443) (default -1)"),
    flag("preseed", None, Value::Switch, "Read a configuration in YAML from standard input"),
    flag("storage-backend", None, Value::Text, "Storage driver (overlay or dir, default: overlay)"),
    flag("storage-create-device", None, Value::Text, "Block device to make the pool on"),
    flag("storage-create-loop", None, Value::Number, "Size in GB of the file to make the pool in (default -1)"),
    flag("storage-pool", None, Value::Text, "Pool to use or create"),
    flag("trust-password", None, Value::Text, "Password for adding clients"),
];

const SHUTDOWN: &[Flag] = &[
    flag("force", Some('f'), Value::Switch, "Don't wait for running operations"),
    flag("timeout", Some('t'), Value::Number, "Seconds to wait before giving up"),
];

const WAITREADY: &[Flag] = &[flag("timeout", Some('t'), Value::Number, "Seconds to wait before giving up")];

const fn verb(name: &'static str, short: &'static str, long: &'static str, flags: &'static [Flag]) -> Verb {
    Verb { name, short, long, flags, hidden: false }
}

/// A command of LXD that is known here and refused by name, or handled before the table is asked.
const fn hidden(name: &'static str) -> Verb {
    Verb { name, short: "", long: "", flags: &[], hidden: true }
}

/// All commands.
pub(super) const VERBS: &[Verb] = &[
    verb(
        "activateifneeded",
        "Start the daemon if there is something for it to do",
        "Looks at what is on disk: instances to start, an address to listen on, snapshots to take. If there is any\n  \
         of these, the socket is touched, which makes the init system start the daemon.",
        &[],
    ),
    verb("cluster", "Repair of clusters", "Repair of clusters.", &[]),
    verb(
        "doctor",
        "Say what this host lacks",
        "Checks the kernel and the host for all that containers need, and says in plain words what is missing and\n  \
         what that means. The exit code is 1 when containers can't run.",
        &[],
    ),
    verb("help", "Help about any command", "Help about any command.", &[]),
    verb("import", "Replaced by \"lxd recover\"", "Replaced by \"lxd recover\".", &[]),
    verb(
        "init",
        "Set up the daemon",
        "Sets up storage, networks and the default profile, by dialogue or by flags.",
        INIT,
    ),
    verb(
        "recover",
        "Bring back instances and volumes that are only on disk",
        "Looks through storage pools for instances and volumes that the database does not know.",
        &[],
    ),
    verb(
        "shutdown",
        "Stop all instances and the daemon",
        "Stops all instances, each as cleanly as it allows, then the daemon. Returns when the daemon is gone.",
        SHUTDOWN,
    ),
    verb(
        "sql",
        "Ask the database by SQL",
        "Usage is \"lxd sql <local|global> <query>\". What the daemon keeps is shown as the tables that LXD has: the\n  \
         local database is this server's own, the global one has everything else. The query is one or more statements,\n  \
         \"-\" to read them from standard input, \".dump\" for the whole database as SQL, or \".schema\" for its tables.\n\n  \
         Values of configuration can be set, and rows of things that are in the way taken away, as a last resort:\n  \
         nothing is checked then, and nothing on disk is touched.",
        &[],
    ),
    verb("version", "Print the version", "Prints the version.", &[]),
    verb(
        "waitready",
        "Wait until the daemon answers",
        "Returns when the API answers and what starts with the daemon has been started.",
        WAITREADY,
    ),
    hidden("callhook"),
    hidden("forkconsole"),
    hidden("forkcoresched"),
    hidden("forkdns"),
    hidden("forkexec"),
    hidden("forkfile"),
    hidden("forklimits"),
    hidden("forkmigrate"),
    hidden("forkmount"),
    hidden("forknet"),
    hidden("forkproxy"),
    hidden("forkstart"),
    hidden("forksyscall"),
    hidden("forkuevent"),
    hidden("forkzfs"),
    hidden("manpage"),
    hidden("migratedumpsuccess"),
    hidden("netcat"),
];

/// The command of this name.
pub(super) fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

/// The help of a command, or of `lxd` itself for `None` and names there are none of.
pub fn help(name: Option<&str>) -> String {
    match name.and_then(find) {
        Some(verb) => verb_help(verb),
        None => root_help(),
    }
}

fn root_help() -> String {
    let mut text = String::from(
        "Description:\n  System containers: the daemon\n\n  Without a command this is the daemon, usually started by the \
         init system and\n  driven with `lxc`. The commands below need the daemon's own host.\n\nUsage:\n  lxd \
         [flags]\n  lxd [command]\n\nAvailable Commands:\n",
    );
    for verb in VERBS.iter().filter(|verb| !verb.hidden) {
        writeln!(text, "  {:<18} {}", verb.name, verb.short).ok();
    }
    let mut flags: Vec<&Flag> = GLOBAL.iter().chain(DAEMON).collect();
    flags.order_by_key(|flag| flag.long);
    text.push_str(&section("Flags", &flags));
    text.push_str("\nUse \"lxd [command] --help\" for more information about a command.\n");
    text
}

fn verb_help(verb: &Verb) -> String {
    let mut text = format!("Description:\n  {}\n\n", verb.short);
    if verb.long.trim_end_matches('.') != verb.short {
        writeln!(text, "  {}\n", verb.long).ok();
    }
    writeln!(text, "Usage:\n  lxd {} [flags]", verb.name).ok();
    if !verb.flags.is_empty() {
        text.push_str(&section("Flags", &verb.flags.iter().collect::<Vec<_>>()));
    }
    text.push_str(&section("Global Flags", &GLOBAL.iter().collect::<Vec<_>>()));
    text
}

fn section(title: &str, flags: &[&Flag]) -> String {
    let mut text = format!("\n{title}:\n");
    let width = flags.iter().map(|flag| flag.long.len()).max().unwrap_or(0);
    for flag in flags {
        let short = flag.short.map_or("    ".to_string(), |c| format!("-{c}, "));
        writeln!(text, "  {short}--{:<width$}   {}", flag.long, flag.help).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_shown_has_help() {
        let root = help(None);
        for verb in VERBS.iter().filter(|verb| !verb.hidden) {
            assert!(!verb.short.is_empty() && !verb.long.is_empty(), "{}", verb.name);
            assert!(root.contains(&format!("\n  {} ", verb.name)), "{}", verb.name);
            let text = help(Some(verb.name));
            assert!(verb.flags.iter().all(|flag| text.contains(&format!("--{}", flag.long))), "{}", verb.name);
        }
        assert!(!root.contains("forkstart"));
    }
}
