//! What concerns the client itself: aliases, remotes, version, raw requests: rows of the command table.

use super::run;
use super::{Command, FORMAT, group, leaf, list, switch, text};
use crate::cli::commands::*;

/// `lxc alias`.
pub(super) const ALIAS: Command = group(
    "alias",
    "Keep short names for longer commands",
    &[
        leaf("add", "<alias> <target>", "Add an alias")
            .examples(
                "lxc alias add login 'exec @ARGS@ -- su -l'
    Let `lxc login c1` open a shell in c1; @ARGS@ is what follows the alias, @ARG1@ one word of it.",
            )
            .run(run!(alias::add, args::Words, 2..=2)),
        leaf("list", "", "List the aliases").aliases(&["ls"]).flags(&[FORMAT]).run(run!(
            alias::list,
            args::Format,
            0..=0
        )),
        leaf("remove", "<alias>", "Remove an alias").aliases(&["rm"]).run(run!(alias::remove, args::Words, 1..=1)),
        leaf("rename", "<old alias> <new alias>", "Rename an alias").aliases(&["mv"]).run(run!(
            alias::rename,
            args::Words,
            2..=2
        )),
    ],
);

/// `lxc remote`.
pub(super) const REMOTE: Command = group(
    "remote",
    "Look after the list of servers",
    &[
        leaf("add", "[<remote>] <IP|FQDN|URL|token>", "Add a server")
            .flags(&[
                switch("accept-certificate", "Trust the certificate of the server without asking"),
                text("auth-type", "How to log in (tls or candid)"),
                text("domain", "Candid domain to log in to"),
                text("password", "Password that lets new clients in"),
                text("project", "Project to work in on that server"),
                text("protocol", "What the server speaks (lxd or simplestreams)"),
                switch("public", "It is an image server open to everyone"),
            ])
            .run(run!(remote_add::add, remote_add::Add, 1..=2)),
        leaf("get-default", "", "Print the default server").run(run!(remote::get_default, args::Words, 0..=0)),
        leaf("list", "", "List the servers").aliases(&["ls"]).flags(&[FORMAT]).run(run!(
            remote::list,
            args::Format,
            0..=0
        )),
        leaf("remove", "<remote>", "Remove a server").aliases(&["rm"]).run(run!(remote::remove, args::Words, 1..=1)),
        leaf("rename", "<remote> <new-name>", "Rename a server").aliases(&["mv"]).run(run!(
            remote::rename,
            args::Words,
            2..=2
        )),
        leaf("set-url", "<remote> <URL>", "Change the address of a server").run(run!(
            remote::set_url,
            args::Words,
            2..=2
        )),
        leaf("switch", "<remote>", "Choose the default server").aliases(&["set-default"]).run(run!(
            remote::switch,
            args::Words,
            1..=1
        )),
    ],
);

/// `lxc manpage`.
pub(super) const MANPAGE: Command = leaf("manpage", "<target>", "Write manual pages of all commands")
    .flags(&[text("format", "Output format (man|md|rest|yaml)").short('f').default("man")])
    .hidden()
    .run(run!(manpage::manpage, args::Format, 1..=1));

/// `lxc completion`.
pub(super) const COMPLETION: Command =
    leaf("completion", "bash|zsh|fish", "Print a script that completes words in a shell")
        .examples(
            "eval \"$(lxc completion bash)\"
    Let this bash complete the words of lxc.",
        )
        .hidden()
        .run(run!(completion::completion, args::Words, 1..));

/// `lxc version`.
pub(super) const VERSION: Command = leaf("version", "[<remote>:]", "Print the versions of client and server")
    .run(run!(version::version, args::Words, 0..=1));

/// `lxc query`.
pub(super) const QUERY: Command = leaf("query", "[<remote>:]<API path>", "Send a request to the API as it is")
    .flags(&[
        text("data", "JSON to send").short('d'),
        switch("raw", "Print the answer as it came"),
        text("request", "HTTP method").short('X').default("GET"),
        switch("wait", "Wait for the operation to end"),
    ])
    .hidden()
    .examples(
        "lxc query -X DELETE --wait /1.0/instances/c1
    Delete the instance c1 and wait until that is done.",
    )
    .run(run!(query::query, query::Query, 1..=1));

/// `lxc monitor`.
pub(super) const MONITOR: Command = leaf("monitor", "[<remote>:]", "Print the events of a server as they happen")
    .flags(&[
        switch("all-projects", "Of all projects"),
        text("format", "Output format (json|pretty|yaml)").short('f').default("yaml"),
        text("loglevel", "Least level of log messages to show (only with the pretty format)"),
        switch("pretty", "Readable output (same as --format=pretty)"),
        list("type", "Kind of events (operation, lifecycle or logging)"),
    ])
    .hidden()
    .examples(
        "lxc monitor --type=lifecycle
    What happens to instances, images and the like.

lxc monitor --pretty --type=logging --loglevel=info
    The log of the server, without details.",
    )
    .run(run!(monitor::monitor, monitor::Monitor, 0..=1));
