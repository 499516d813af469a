//! `lxc cluster`: rows of the command table.

use super::{Command, FORMAT, group, leaf, switch, text};

/// `lxc cluster`.
pub(super) const CLUSTER: Command = group(
    "cluster",
    "Look after the members of a cluster",
    &[
        leaf("add", "[[<remote>:]<member>]", "Get a token that lets a new member join")
            .flags(&[text("name", "Name to give it")]),
        leaf("edit", "[<remote>:]<cluster member>", "Edit a member's configuration as YAML"),
        leaf("enable", "[<remote>:] <name>", "Turn a server that stands alone into the first member of a cluster"),
        leaf("evacuate", "[<remote>:]<member>", "Move the instances of a member elsewhere")
            .aliases(&["evac"])
            .flags(&[switch("force", "Do it by force")]),
        leaf("get", "[<remote>:]<member> <key>", "Print a configuration value of a member"),
        group(
            "group",
            "Look after groups of members",
            &[
                leaf("assign", "[<remote>:]<member> <group>", "Choose the groups a member is in").aliases(&["apply"]),
                leaf("create", "[<remote>:]<group>", "Create a group of members"),
                leaf("delete", "[<remote>:]<group>", "Delete a group of members").aliases(&["rm"]),
                leaf("edit", "[<remote>:]<group>", "Edit a group of members as YAML"),
                leaf("list", "[<remote>:]", "List the groups of members").aliases(&["ls"]).flags(&[FORMAT]),
                leaf("remove", "[<remote>:]<member> <group>", "Take a member out of a group"),
                leaf("rename", "[<remote>:]<group> <new-name>", "Rename a group of members").aliases(&["mv"]),
                leaf("show", "[<remote>:]<group>", "Show a group of members"),
            ],
        ),
        leaf("list", "[<remote>:]", "List the members").aliases(&["ls"]).flags(&[FORMAT]),
        leaf("list-tokens", "[<remote>:]", "List the join tokens that are still valid").flags(&[FORMAT]),
        leaf("remove", "[<remote>:]<member>", "Take a member out of the cluster").aliases(&["rm"]).flags(&[
            switch("force", "Remove it even if it cannot be reached").short('f'),
            switch("yes", "Do not ask when forced"),
        ]),
        leaf("rename", "[<remote>:]<member> <new-name>", "Rename a member").aliases(&["mv"]),
        leaf("restore", "[<remote>:]<member>", "Bring the instances back to an evacuated member")
            .flags(&[switch("force", "Do it by force")]),
        leaf("revoke-token", "[<remote>:]<member>", "Make a join token invalid"),
        group(
            "role",
            "Look after the roles of members",
            &[
                leaf("add", "[<remote>:]<member> <role[,role...]>", "Give roles to a member"),
                leaf("remove", "[<remote>:]<member> <role[,role...]>", "Take roles from a member"),
            ],
        ),
        leaf("set", "[<remote>:]<member> <key>=<value>...", "Set configuration keys of a member"),
        leaf("show", "[<remote>:]<member>", "Show a member"),
        leaf("unset", "[<remote>:]<member> <key>", "Unset a configuration key of a member"),
        leaf("update-certificate", "[<remote>:] <cert.crt> <cert.key>", "Replace the certificate of the cluster")
            .aliases(&["update-cert"]),
    ],
);
