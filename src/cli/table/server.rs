//! Operations, projects and warnings of a server: rows of the command table.

use super::run;
use super::{Command, FORMAT, group, leaf, list, switch, text};
use crate::cli::commands::*;

/// `lxc operation`.
pub(super) const OPERATION: Command = group(
    "operation",
    "Look after what the server does in the background",
    &[
        leaf("delete", "[<remote>:]<operation>", "Cancel an operation").aliases(&["cancel", "rm"]).run(run!(
            operation::delete,
            args::Words,
            1..=1
        )),
        leaf("list", "[<remote>:]", "List the operations").aliases(&["ls"]).flags(&[FORMAT]).run(run!(
            operation::list,
            args::Format,
            0..=1
        )),
        leaf("show", "[<remote>:]<operation>", "Show an operation")
            .examples("lxc operation show 344a79e4-d88a-45bf-9c39-c72c26f6ab8a")
            .run(run!(operation::show, args::Words, 1..=1)),
    ],
);

/// `lxc project`.
pub(super) const PROJECT: Command =
    group(
        "project",
        "Look after projects",
        &[
            leaf("create", "[<remote>:]<project>", "Create a project")
                .flags(&[list("config", "Configuration as key=value").short('c')])
                .run(run!(project::create, project::Create, 1..=1)),
            leaf("delete", "[<remote>:]<project>", "Delete a project").aliases(&["rm"]).run(run!(
                project::delete,
                args::Words,
                1..=1
            )),
            leaf("edit", "[<remote>:]<project>", "Edit a project as YAML").run(run!(project::edit, args::Words, 1..=1)),
            leaf("get", "[<remote>:]<project> <key>", "Print a configuration value of a project").run(run!(
                project::get,
                args::Words,
                2..=2
            )),
            leaf("info", "[<remote>:]<project> <key>", "Show limits and usage of a project")
                .flags(&[FORMAT])
                .run(run!(project::info, args::Format, 1..=1)),
            leaf("list", "[<remote>:]", "List the projects").aliases(&["ls"]).flags(&[FORMAT]).run(run!(
                project::list,
                args::Format,
                0..=1
            )),
            leaf("rename", "[<remote>:]<project> <new-name>", "Rename a project").aliases(&["mv"]).run(run!(
                project::rename,
                args::Words,
                2..=2
            )),
            leaf("set", "[<remote>:]<project> <key>=<value>...", "Set configuration keys of a project").run(run!(
                project::set,
                args::Words,
                2..
            )),
            leaf("show", "[<remote>:]<project>", "Show a project").run(run!(project::show, args::Words, 1..=1)),
            leaf("switch", "[<remote>:]<project>", "Choose the project that commands work in").run(run!(
                project::switch,
                args::Words,
                1..=1
            )),
            leaf("unset", "[<remote>:]<project> <key>", "Unset a configuration key of a project").run(run!(
                project::unset,
                args::Words,
                2..=2
            )),
        ],
    );

/// `lxc warning`.
pub(super) const WARNING: Command = group(
    "warning",
    "Look after the warnings of a server",
    &[
        leaf("acknowledge", "[<remote>:]<warning-uuid>", "Acknowledge a warning").aliases(&["ack"]).run(run!(
            warning::acknowledge,
            args::Words,
            1..=1
        )),
        leaf("delete", "[<remote>:]<warning-uuid>", "Delete a warning")
            .aliases(&["rm"])
            .flags(&[switch("all", "Delete all warnings").short('a')])
            .run(run!(warning::delete, warning::Delete, 0..=1)),
        leaf("list", "[<remote>:]", "List the warnings")
            .aliases(&["ls"])
            .flags(&[
                switch("all", "List resolved and acknowledged warnings too").short('a'),
                text("columns", "Columns to show").short('c').default("utSscpLl"),
                FORMAT,
            ])
            .more(
                "Columns are letters:
  u id          s severity    p project       L member
  t type        c count       l last seen
  S status      f first seen",
            )
            .run(run!(warning::list, warning::List, 0..=1)),
        leaf("show", "[<remote>:]<warning-uuid>", "Show a warning").run(run!(warning::show, args::Words, 1..=1)),
    ],
);
