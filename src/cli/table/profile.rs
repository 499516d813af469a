//! `lxc profile`, which is `lxc config profile` too: rows of the command table.

use super::{Command, FORMAT, group, leaf, text};

/// The commands below `lxc profile`.
pub(super) const COMMANDS: &[Command] = &[
    leaf("add", "[<remote>:]<instance> <profile>", "Add a profile to an instance"),
    leaf("assign", "[<remote>:]<instance> <profiles>", "Choose the profiles of an instance").aliases(&["apply"]),
    leaf("copy", "[<remote>:]<profile> [<remote>:]<profile>", "Copy a profile")
        .aliases(&["cp"])
        .flags(&[text("target-project", "Project to put it in")]),
    leaf("create", "[<remote>:]<profile>", "Create a profile"),
    leaf("delete", "[<remote>:]<profile>", "Delete a profile").aliases(&["rm"]),
    group(
        "device",
        "Look after the devices of profiles",
        &[
            leaf("add", "[<remote>:]<profile> <device> <type> [key=value...]", "Add a device to a profile"),
            leaf("get", "[<remote>:]<profile> <device> <key>", "Print a value of a device"),
            leaf("list", "[<remote>:]<profile>", "List the devices of a profile").aliases(&["ls"]),
            leaf("remove", "[<remote>:]<profile> <name>...", "Remove devices from a profile").aliases(&["rm"]),
            leaf("set", "[<remote>:]<profile> <device> <key>=<value>...", "Set keys of a device"),
            leaf("show", "[<remote>:]<profile>", "Show the devices of a profile in full"),
            leaf("unset", "[<remote>:]<profile> <device> <key>", "Unset a key of a device"),
        ],
    ),
    leaf("edit", "[<remote>:]<profile>", "Edit a profile as YAML"),
    leaf("get", "[<remote>:]<profile> <key>", "Print a configuration value of a profile"),
    leaf("list", "[<remote>:]", "List the profiles").aliases(&["ls"]).flags(&[FORMAT]),
    leaf("remove", "[<remote>:]<instance> <profile>", "Take a profile from an instance"),
    leaf("rename", "[<remote>:]<profile> <new-name>", "Rename a profile").aliases(&["mv"]),
    leaf("set", "[<remote>:]<profile> <key><value>...", "Set configuration keys of a profile"),
    leaf("show", "[<remote>:]<profile>", "Show a profile"),
    leaf("unset", "[<remote>:]<profile> <key>", "Unset a configuration key of a profile"),
];

/// `lxc profile`.
pub(super) const PROFILE: Command = group("profile", "Look after profiles", COMMANDS);
