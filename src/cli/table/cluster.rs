//! `lxc cluster`: rows of the command table.

use super::run;
use super::{Command, FORMAT, group, leaf, switch, text};
use crate::cli::commands::*;

/// `lxc cluster`.
pub(super) const CLUSTER: Command = group(
    "cluster",
    "Look after the members of a cluster",
    &[
        leaf("add", "[[<remote>:]<member>]", "Get a token that lets a new member join")
            .flags(&[text("name", "Name to give it")])
            .run(run!(cluster::add, cluster::Add, 0..=1)),
        leaf("edit", "[<remote>:]<cluster member>", "Edit a member's configuration as YAML").run(run!(
            cluster::edit,
            args::Words,
            1..=1
        )),
        leaf("enable", "[<remote>:] <name>", "Turn a server that stands alone into the first member of a cluster")
            .run(run!(cluster::enable, args::Words, 1..=2)),
        leaf("evacuate", "[<remote>:]<member>", "Move the instances of a member elsewhere")
            .aliases(&["evac"])
            .flags(&[switch("force", "Do not ask")])
            .run(run!(cluster::evacuate, cluster::Force, 1..=1)),
        leaf("get", "[<remote>:]<member> <key>", "Print a configuration value of a member").run(run!(
            cluster::get,
            args::Words,
            2..=2
        )),
        group(
            "group",
            "Look after groups of members",
            &[
                leaf("assign", "[<remote>:]<member> <group>", "Choose the groups a member is in")
                    .aliases(&["apply"])
                    .run(run!(cluster::group::assign, args::Words, 2..=2)),
                leaf("create", "[<remote>:]<group>", "Create a group of members").run(run!(
                    cluster::group::create,
                    args::Words,
                    1..=1
                )),
                leaf("delete", "[<remote>:]<group>", "Delete a group of members").aliases(&["rm"]).run(run!(
                    cluster::group::delete,
                    args::Words,
                    1..=1
                )),
                leaf("edit", "[<remote>:]<group>", "Edit a group of members as YAML").run(run!(
                    cluster::group::edit,
                    args::Words,
                    1..=1
                )),
                leaf("list", "[<remote>:]", "List the groups of members").aliases(&["ls"]).flags(&[FORMAT]).run(run!(
                    cluster::group::list,
                    args::Format,
                    0..=1
                )),
                leaf("remove", "[<remote>:]<member> <group>", "Take a member out of a group").run(run!(
                    cluster::group::remove,
                    args::Words,
                    2..=2
                )),
                leaf("rename", "[<remote>:]<group> <new-name>", "Rename a group of members")
                    .aliases(&["mv"])
                    .run(run!(cluster::group::rename, args::Words, 2..=2)),
                leaf("show", "[<remote>:]<group>", "Show a group of members").run(run!(
                    cluster::group::show,
                    args::Words,
                    1..=1
                )),
            ],
        )
        .explained(),
        leaf("list", "[<remote>:]", "List the members").aliases(&["ls"]).flags(&[FORMAT]).run(run!(
            cluster::list,
            args::Format,
            0..=1
        )),
        leaf("list-tokens", "[<remote>:]", "List the join tokens that are still valid").flags(&[FORMAT]).run(run!(
            cluster::list_tokens,
            args::Format,
            0..=1
        )),
        leaf("remove", "[<remote>:]<member>", "Take a member out of the cluster")
            .aliases(&["rm"])
            .flags(&[
                switch("force", "Remove it even if it cannot be reached").short('f'),
                switch("yes", "Do not ask when forced"),
            ])
            .run(run!(cluster::remove, cluster::Remove, 1..=1)),
        leaf("rename", "[<remote>:]<member> <new-name>", "Rename a member").aliases(&["mv"]).run(run!(
            cluster::rename,
            args::Words,
            2..=2
        )),
        leaf("restore", "[<remote>:]<member>", "Bring the instances back to an evacuated member")
            .flags(&[switch("force", "Do not ask")])
            .run(run!(cluster::restore, cluster::Force, 1..=1)),
        leaf("revoke-token", "[<remote>:]<member>", "Make a join token invalid").run(run!(
            cluster::revoke_token,
            args::Words,
            1..=1
        )),
        group(
            "role",
            "Look after the roles of members",
            &[
                leaf("add", "[<remote>:]<member> <role[,role...]>", "Give roles to a member").run(run!(
                    cluster::role_add,
                    args::Words,
                    2..=2
                )),
                leaf("remove", "[<remote>:]<member> <role[,role...]>", "Take roles from a member").run(run!(
                    cluster::role_remove,
                    args::Words,
                    2..=2
                )),
            ],
        ),
        leaf("set", "[<remote>:]<member> <key>=<value>...", "Set configuration keys of a member").run(run!(
            cluster::set,
            args::Words,
            2..
        )),
        leaf("show", "[<remote>:]<member>", "Show a member").run(run!(cluster::show, args::Words, 1..=1)),
        leaf("unset", "[<remote>:]<member> <key>", "Unset a configuration key of a member").run(run!(
            cluster::unset,
            args::Words,
            2..=2
        )),
        leaf("update-certificate", "[<remote>:] <cert.crt> <cert.key>", "Replace the certificate of the cluster")
            .aliases(&["update-cert"])
            .run(run!(cluster::update_certificate, args::Words, 2..=3)),
    ],
);
