//! What concerns the client itself: aliases, remotes, version, raw requests: rows of the command table.

use super::{Command, FORMAT, group, leaf, list, switch, text};

/// `lxc alias`.
pub(super) const ALIAS: Command = group(
    "alias",
    "Keep short names for longer commands",
    &[
        leaf("add", "<alias> <target>", "Add an alias"),
        leaf("list", "", "List the aliases").aliases(&["ls"]).flags(&[FORMAT]),
        leaf("remove", "<alias>", "Remove an alias").aliases(&["rm"]),
        leaf("rename", "<old alias> <new alias>", "Rename an alias").aliases(&["mv"]),
    ],
);

/// `lxc remote`.
pub(super) const REMOTE: Command = group(
    "remote",
    "Look after the list of servers",
    &[
        leaf("add", "[<remote>] <IP|FQDN|URL|token>", "Add a server").flags(&[
            switch("accept-certificate", "Trust the certificate of the server without asking"),
            text("auth-type", "How to log in (tls or candid)"),
            text("domain", "Candid domain to log in to"),
            text("password", "Password that lets new clients in"),
            text("project", "Project to work in on that server"),
            text("protocol", "What the server speaks (lxd or simplestreams)"),
            switch("public", "It is an image server open to everyone"),
        ]),
        leaf("get-default", "", "Print the default server"),
        leaf("list", "", "List the servers").aliases(&["ls"]).flags(&[FORMAT]),
        leaf("remove", "<remote>", "Remove a server").aliases(&["rm"]),
        leaf("rename", "<remote> <new-name>", "Rename a server").aliases(&["mv"]),
        leaf("set-url", "<remote> <URL>", "Change the address of a server"),
        leaf("switch", "<remote>", "Choose the default server").aliases(&["set-default"]),
    ],
);

/// `lxc manpage`.
pub(super) const MANPAGE: Command = leaf("manpage", "<target>", "Write manual pages of all commands")
    .flags(&[text("format", "Output format (man|md|rest|yaml)").short('f').default("man")])
    .hidden();

/// `lxc version`.
pub(super) const VERSION: Command = leaf("version", "[<remote>:]", "Print the versions of client and server");

/// `lxc query`.
pub(super) const QUERY: Command = leaf("query", "[<remote>:]<API path>", "Send a request to the API as it is")
    .flags(&[
        text("data", "JSON to send").short('d'),
        switch("raw", "Print the answer as it came"),
        text("request", "HTTP method").short('X').default("GET"),
        switch("wait", "Wait for the operation to end"),
    ])
    .hidden();

/// `lxc monitor`.
pub(super) const MONITOR: Command = leaf("monitor", "[<remote>:]", "Print the events of a server as they happen")
    .flags(&[
        switch("all-projects", "Of all projects"),
        text("format", "Output format (json|pretty|yaml)").short('f').default("yaml"),
        text("loglevel", "Least level of log messages to show (only with the pretty format)"),
        switch("pretty", "Readable output (same as --format=pretty)"),
        list("type", "Kind of events (operation, lifecycle or logging)"),
    ])
    .hidden();
