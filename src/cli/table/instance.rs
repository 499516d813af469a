//! Instances and their files: rows of the command table.

use super::run;
use super::{Command, FORMAT, TARGET, group, leaf, list, optional, signed, switch, text, unsigned};
use crate::cli::commands::*;

/// `lxc console`.
pub(super) const CONSOLE: Command = leaf("console", "[<remote>:]<instance>", "Attach to the console of an instance")
    .flags(&[
        switch("show-log", "Print the log"),
        text("type", "Kind of console: console for text, vga for graphics").short('t').default("console"),
    ])
    .more("To leave the console, type ctrl-a and then q.")
    .run(run!(exec::console, exec::Console, 1..=1));

/// `lxc copy`.
pub(super) const COPY: Command = leaf(
    "copy",
    "[<remote>:]<source>[/<snapshot>] [[<remote>:]<destination>]",
    "Copy instances, on one server or between servers",
)
.aliases(&["cp"])
.flags(&[
    switch("allow-inconsistent", "Go on when files change while they are read"),
    list("config", "Configuration as key=value").short('c'),
    list("device", "Device configuration as device,key=value").short('d'),
    switch("ephemeral", "Delete it when it stops").short('e'),
    switch("instance-only", "Leave the snapshots out"),
    text("mode", "How the data travels: pull, push or relay").default("pull"),
    switch("no-profiles", "Use no profiles"),
    list("profile", "Profile to use").short('p'),
    switch("refresh", "Bring an existing copy up to date"),
    switch("stateless", "Leave the running state out"),
    text("storage", "Storage pool to use").short('s'),
    TARGET,
    text("target-project", "Project to put it in"),
])
.run(run!(copy::copy, copy::Copy, 1..=2));

/// `lxc delete`.
pub(super) const DELETE: Command = leaf(
    "delete",
    "[<remote>:]<instance>[/<snapshot>] [[<remote>:]<instance>[/<snapshot>]...]",
    "Delete instances and snapshots",
)
.aliases(&["rm"])
.flags(&[
    switch("force", "Delete running instances too").short('f'),
    switch("interactive", "Ask before each").short('i'),
])
.run(run!(delete::delete, delete::Delete, 1..));

/// `lxc exec`.
pub(super) const EXEC: Command = leaf(
    "exec",
    "[<remote>:]<instance> [flags] [--] <command line>",
    "Run a command in an instance",
)
.flags(&[
    text("cwd", "Directory to run it in (default /root)"),
    switch("disable-stdin", "Give the command no input").short('n'),
    list("env", "Environment variable as name=value"),
    switch("force-interactive", "Give the command a terminal").short('t'),
    switch("force-noninteractive", "Give the command no terminal").short('T'),
    unsigned("group", "Group id to run it as (default 0)"),
    text("mode", "Terminal mode (auto, interactive or non-interactive)").default("auto"),
    unsigned("user", "User id to run it as (default 0)"),
])
.more(
    r#"The command is started directly, not by a shell: for patterns, variables or several commands run a shell, as in
  lxc exec c1 -- sh -c "cd /tmp && ls *.log"

The command gets a terminal when both input and output of lxc are terminals, unless a flag says otherwise. The exit
code is that of the command."#,
)
.examples(
    "lxc exec c1 -- apt-get update
lxc exec c1 -T -- tar -c /etc > etc.tar",
)
.run(run!(exec::exec, exec::Exec, 2..));

/// `lxc export`.
pub(super) const EXPORT: Command = leaf(
    "export",
    "[<remote>:]<instance> [target] [--instance-only] [--optimized-storage]",
    "Write a backup of an instance to a file",
)
.flags(&[
    text("compression", "How to compress (none for not at all)"),
    switch("instance-only", "Leave the snapshots out"),
    switch(
        "optimized-storage",
        "Use the storage driver's own format (it can be restored only to a pool of the same kind)",
    ),
])
.run(run!(backup::export, backup::Export, 1..=2));

/// `lxc file`.
pub(super) const FILE: Command = group(
    "file",
    "Look after files inside instances",
    &[
        leaf("delete", "[<remote>:]<instance>/<path> [[<remote>:]<instance>/<path>...]", "Delete files in instances")
            .aliases(&["rm"])
            .run(run!(file::delete, args::Words, 1..)),
        leaf("edit", "[<remote>:]<instance>/<path>", "Edit a file in an instance").run(run!(
            file::edit,
            args::Words,
            1..=1
        )),
        leaf("mount", "[<remote>:]<instance>[/<path>] [<target path>]", "Mount the files of an instance here")
            .flags(&[
                text("auth-user", "User name that the SSH SFTP listener wants").word("string"),
                text("listen", "Serve SSH SFTP at address:port instead of mounting").word("string"),
                switch("no-auth", "Let anyone use the SSH SFTP listener"),
            ])
            .run(run!(file::mount, file::Mount, 1..=2)),
        leaf(
            "pull",
            "[<remote>:]<instance>/<path> [[<remote>:]<instance>/<path>...] <target path>",
            "Fetch files from instances",
        )
        .flags(&[
            switch("create-dirs", "Create the directories that are missing").short('p'),
            switch("recursive", "Take directories with what is in them").short('r'),
        ])
        .run(run!(file::pull, file::Pull, 2..)),
        leaf("push", "<source path>... [<remote>:]<instance>/<path>", "Send files into instances")
            .flags(&[
                switch("create-dirs", "Create the directories that are missing").short('p'),
                signed("gid", "Owning group of the file").default("-1"),
                text("mode", "Permissions of the file"),
                switch("recursive", "Take directories with what is in them").short('r'),
                signed("uid", "Owner of the file").default("-1"),
            ])
            .run(run!(file::push, file::Push, 2..)),
    ],
);

/// `lxc import`.
pub(super) const IMPORT: Command =
    leaf("import", "[<remote>:] <backup file> [<instance name>]", "Restore an instance from a backup file")
        .flags(&[text("storage", "Storage pool to use").short('s')])
        .run(run!(backup::import, backup::Import, 1..=3));

/// `lxc info`.
pub(super) const INFO: Command = leaf("info", "[<remote>:][<instance>]", "Show an instance or the server")
    .flags(&[
        switch("resources", "Show what hardware there is"),
        switch("show-log", "Print the end of the instance's log"),
        TARGET,
    ])
    .examples(
        "lxc info c1
    An instance: state, resources, snapshots.

lxc info
    The server.",
    )
    .run(run!(info::info, info::Info, 0..=1));

/// `lxc init`.
pub(super) const INIT: Command = leaf("init", "[<remote>:]<image> [<remote>:][<name>]", "Create an instance from an image").flags(&[list("config", "Configuration as key=value").short('c'), list("device", "Device configuration as device,key=value").short('d'), switch("empty", "Create it without an image"), switch("ephemeral", "Delete it when it stops").short('e'), text("network", "Network to connect it to").short('n'), switch("no-profiles", "Use no profiles"), list("profile", "Profile to use").short('p'), text("storage", "Storage pool to use").short('s'), TARGET, text("type", "Size of the instance, as cloud providers name it").short('t'), switch("vm", "Create a virtual machine")]).hidden().more("A document on standard input can give configuration, devices, profiles and description as `lxc config show` prints them.").examples("lxc init debian c1 -c limits.cpu=2
    Create c1 from the image with the alias debian, with two processors.").run(run!(create::init, create::Init, 0..=2));

/// `lxc launch`.
pub(super) const LAUNCH: Command = leaf("launch", "[<remote>:]<image> [<remote>:][<name>]", "Create an instance from an image and start it").flags(&[list("config", "Configuration as key=value").short('c'), optional("console", "Attach to the console at once"), list("device", "Device configuration as device,key=value").short('d'), switch("empty", "Create it without an image"), switch("ephemeral", "Delete it when it stops").short('e'), text("network", "Network to connect it to").short('n'), switch("no-profiles", "Use no profiles"), list("profile", "Profile to use").short('p'), text("storage", "Storage pool to use").short('s'), TARGET, text("type", "Size of the instance, as cloud providers name it").short('t'), switch("vm", "Create a virtual machine")]).more("A document on standard input can give configuration, devices, profiles and description as `lxc config show` prints them.").examples("lxc launch debian c1
    Create and start c1 from the image with the alias debian.

lxc launch debian c2 -c limits.memory=1GiB -d root,size=10GiB < c2.yaml
    The same with limits, and with more configuration from a file.").run(run!(create::launch, create::Launch, 0..=2));

/// `lxc list`.
pub(super) const LIST: Command = leaf("list", "[<remote>:] [<filter>...]", "List instances").aliases(&["ls"]).flags(&[switch("all-projects", "Of all projects"), text("columns", "Columns to show").short('c').default("ns46tSL"), switch("fast", "Only what is quick to find out (columns nsacPt)"), FORMAT]).more("Words after the command filter; an instance has to pass all of them. A word is the beginning of a name or a regular
expression for the whole name; key=value looks at the configuration, with the parts of the key as short as one likes
(u.x for user.x) and the value a regular expression. These keys are shorthands and take several values with commas:
type, status, architecture, location, ipv4, ipv6 (address or network).

Columns are letters, or keys as [config:|devices:]KEY[:NAME[:WIDTH]], with commas between keys:
  4 IPv4 address         F image, in full    p process id of init
  6 IPv6 address         l last used         P profiles
  a architecture         L member            s state
  b storage pool         m memory            S number of snapshots
  c created              M memory in %       t type
  d description          n name              u processor time
  D disk usage           N processes
  e project              f image").examples("lxc list -c nFs46,volatile.eth0.hwaddr:MAC,devices:eth0.parent:BRIDGE
    Names, images, states, addresses, MAC addresses and bridges.

lxc list type=container status=running ipv4=10.0.0.0/8 -f json
    Running containers with an address in a network, as JSON.").run(run!(list::list, list::List, 0..));

/// `lxc move`.
pub(super) const MOVE: Command = leaf(
    "move",
    "[<remote>:]<instance>[/<snapshot>] [<remote>:][<instance>[/<snapshot>]]",
    "Move instances, on one server or between servers",
)
.aliases(&["mv"])
.flags(&[
    switch("allow-inconsistent", "Go on when files change while they are read"),
    list("config", "Configuration as key=value").short('c'),
    list("device", "Device configuration as device,key=value").short('d'),
    switch("instance-only", "Leave the snapshots out"),
    text("mode", "How the data travels: pull, push or relay").default("pull"),
    switch("no-profiles", "Use no profiles"),
    list("profile", "Profile to use").short('p'),
    switch("stateless", "Leave the running state out"),
    text("storage", "Storage pool to use").short('s'),
    TARGET,
    text("target-project", "Project to put it in"),
])
.run(run!(copy::move_to, copy::Move, 1..=2));

/// `lxc pause`.
pub(super) const PAUSE: Command = leaf("pause", "[<remote>:]<instance> [[<remote>:]<instance>...]", "Freeze instances")
    .flags(&[switch("all", "Do it to all instances")])
    .hidden()
    .run(run!(state::pause, state::Pause, 0..));

/// `lxc publish`.
pub(super) const PUBLISH: Command = leaf(
    "publish",
    "[<remote>:]<instance>[/<snapshot>] [<remote>:] [flags] [key=value...]",
    "Make an image of an instance",
)
.flags(&[
    list("alias", "Name to give the image"),
    text("compression", "How to compress (none for not at all)").word("none"),
    text("expire", "When the image may go (RFC 3339)"),
    switch("force", "Stop the instance for it if it runs").short('f'),
    switch("public", "Make the image public"),
])
.run(run!(publish::publish, publish::Publish, 1..));

/// `lxc rename`.
pub(super) const RENAME: Command =
    leaf("rename", "[<remote>:]<instance>[/<snapshot>] <instance>[/<snapshot>]", "Rename an instance or snapshot")
        .run(run!(copy::rename, args::Words, 2..=2));

/// `lxc restart`.
pub(super) const RESTART: Command =
    leaf("restart", "[<remote>:]<instance> [[<remote>:]<instance>...]", "Restart instances")
        .flags(&[
            switch("all", "Do it to all instances"),
            optional("console", "Attach to the console at once"),
            switch("force", "Stop it by force").short('f'),
            signed("timeout", "Seconds to wait for a clean stop").default("-1"),
        ])
        .more("What `lxc pause` froze goes on with `lxc start`.")
        .run(run!(state::restart, state::Restart, 0..));

/// `lxc restore`.
pub(super) const RESTORE: Command =
    leaf("restore", "[<remote>:]<instance> <snapshot>", "Go back to a snapshot of an instance")
        .flags(&[switch("stateful", "Keep the running state too")])
        .examples("lxc restore c1 before-upgrade")
        .run(run!(snapshot::restore, snapshot::Restore, 2..=2));

/// `lxc snapshot`.
pub(super) const SNAPSHOT: Command =
    leaf("snapshot", "[<remote>:]<instance> [<snapshot name>]", "Take a snapshot of an instance")
        .flags(&[
            switch("no-expiry", "Keep it until it is deleted"),
            switch("reuse", "Replace a snapshot of the same name"),
            switch("stateful", "Keep the running state too"),
        ])
        .examples("lxc snapshot c1 before-upgrade")
        .run(run!(snapshot::snapshot, snapshot::Snapshot, 1..=2));

/// `lxc start`.
pub(super) const START: Command = leaf("start", "[<remote>:]<instance> [[<remote>:]<instance>...]", "Start instances")
    .flags(&[
        switch("all", "Do it to all instances"),
        optional("console", "Attach to the console at once"),
        switch("stateless", "Leave the running state out"),
    ])
    .run(run!(state::start, state::Start, 0..));

/// `lxc stop`.
pub(super) const STOP: Command = leaf("stop", "[<remote>:]<instance> [[<remote>:]<instance>...]", "Stop instances")
    .flags(&[
        switch("all", "Do it to all instances"),
        optional("console", "Attach to the console at once"),
        switch("force", "Stop it by force").short('f'),
        switch("stateful", "Keep the running state too"),
        signed("timeout", "Seconds to wait for a clean stop").default("-1"),
    ])
    .run(run!(state::stop, state::Stop, 0..));
