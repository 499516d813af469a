//! `lxc profile`, which is `lxc config profile` too: rows of the command table.

use super::run;
use super::{Command, FORMAT, group, leaf, text};
use crate::cli::commands::*;

/// The commands below `lxc profile`.
pub(super) const COMMANDS: &[Command] = &[
leaf("add", "[<remote>:]<instance> <profile>", "Add a profile to an instance").run(run!(profile::add, args::Words, 2..=2)),
leaf("assign", "[<remote>:]<instance> <profiles>", "Choose the profiles of an instance").aliases(&["apply"]).examples("lxc profile assign c1 default,p1
    Let c1 use the profiles default and p1, in this order.

lxc profile assign c1 ''
    Let c1 use no profile.").run(run!(profile::assign, args::Words, 2..=2)),
leaf("copy", "[<remote>:]<profile> [<remote>:]<profile>", "Copy a profile").aliases(&["cp"]).flags(&[text("target-project", "Project to put it in")]).run(run!(profile::copy, profile::Copy, 2..=2)),
leaf("create", "[<remote>:]<profile>", "Create a profile").run(run!(profile::create, args::Words, 1..=1)),
leaf("delete", "[<remote>:]<profile>", "Delete a profile").aliases(&["rm"]).run(run!(profile::delete, args::Words, 1..=1)),
group("device", "Look after the devices of profiles", &[
leaf("add", "[<remote>:]<profile> <device> <type> [key=value...]", "Add a device to a profile").examples("lxc profile device add p1 share disk source=/srv/share path=/srv
    Show the host's /srv/share as /srv in the instances that use p1.").run(run!(device::profile::add, args::Words, 3..)),
leaf("get", "[<remote>:]<profile> <device> <key>", "Print a value of a device").run(run!(device::profile::get, args::Words, 3..=3)),
leaf("list", "[<remote>:]<profile>", "List the devices of a profile").aliases(&["ls"]).run(run!(device::profile::list, args::Words, 1..=1)),
leaf("remove", "[<remote>:]<profile> <name>...", "Remove devices from a profile").aliases(&["rm"]).run(run!(device::profile::remove, args::Words, 2..)),
leaf("set", "[<remote>:]<profile> <device> <key>=<value>...", "Set keys of a device").more("One key may also be set in the old form: lxc profile device set [<remote>:]<profile> <device> <key> <value>").run(run!(device::profile::set, args::Words, 3..)),
leaf("show", "[<remote>:]<profile>", "Show the devices of a profile in full").run(run!(device::profile::show, args::Words, 1..=1)),
leaf("unset", "[<remote>:]<profile> <device> <key>", "Unset a key of a device").run(run!(device::profile::unset, args::Words, 3..=3)),]),
leaf("edit", "[<remote>:]<profile>", "Edit a profile as YAML").examples("lxc profile edit p1 < p1.yaml
    Replace a profile by that of a file.").run(run!(profile::edit, args::Words, 1..=1)),
leaf("get", "[<remote>:]<profile> <key>", "Print a configuration value of a profile").run(run!(profile::get, args::Words, 2..=2)),
leaf("list", "[<remote>:]", "List the profiles").aliases(&["ls"]).flags(&[FORMAT]).run(run!(profile::list, args::Format, 0..=1)),
leaf("remove", "[<remote>:]<instance> <profile>", "Take a profile from an instance").run(run!(profile::remove, args::Words, 2..=2)),
leaf("rename", "[<remote>:]<profile> <new-name>", "Rename a profile").aliases(&["mv"]).run(run!(profile::rename, args::Words, 2..=2)),
leaf("set", "[<remote>:]<profile> <key><value>...", "Set configuration keys of a profile").more("One key may also be set in the old form: lxc profile set [<remote>:]<profile> <key> <value>").run(run!(profile::set, args::Words, 2..)),
leaf("show", "[<remote>:]<profile>", "Show a profile").run(run!(profile::show, args::Words, 1..=1)),
leaf("unset", "[<remote>:]<profile> <key>", "Unset a configuration key of a profile").run(run!(profile::unset, args::Words, 2..=2)),];

/// `lxc profile`.
pub(super) const PROFILE: Command = group("profile", "Look after profiles", COMMANDS);
