//! `lxc config`: rows of the command table.

use super::run;
use super::{Command, FORMAT, TARGET, group, leaf, switch, text};
use crate::cli::commands::*;

/// `lxc config`.
pub(super) const CONFIG: Command = group("config", "Configure instances and the server", &[
group("device", "Look after the devices of instances", &[
leaf("add", "[<remote>:]<instance> <device> <type> [key=value...]", "Add a device to an instance").examples("lxc config device add c1 share disk source=/srv/share path=/srv
    Show the host's /srv/share as /srv in c1.").run(run!(device::instance::add, args::Words, 3..)),
leaf("get", "[<remote>:]<instance> <device> <key>", "Print a value of a device").run(run!(device::instance::get, args::Words, 3..=3)),
leaf("list", "[<remote>:]<instance>", "List the devices of an instance").aliases(&["ls"]).run(run!(device::instance::list, args::Words, 1..=1)),
leaf("override", "[<remote>:]<instance> <device> [key=value...]", "Take a device over from the profiles and change it").run(run!(device::override_device, args::Words, 2..)),
leaf("remove", "[<remote>:]<instance> <name>...", "Remove devices from an instance").aliases(&["rm"]).run(run!(device::instance::remove, args::Words, 2..)),
leaf("set", "[<remote>:]<instance> <device> <key>=<value>...", "Set keys of a device").more("One key may also be set in the old form: lxc config device set [<remote>:]<instance> <device> <key> <value>").run(run!(device::instance::set, args::Words, 3..)),
leaf("show", "[<remote>:]<instance>", "Show the devices of an instance in full").run(run!(device::instance::show, args::Words, 1..=1)),
leaf("unset", "[<remote>:]<instance> <device> <key>", "Unset a key of a device").run(run!(device::instance::unset, args::Words, 3..=3)),]),
leaf("edit", "[<remote>:][<instance>[/<snapshot>]]", "Edit the configuration of an instance or the server as YAML").flags(&[TARGET]).examples("lxc config edit c1 < c1.yaml
    Replace the configuration of c1 by that of a file.").run(run!(configure::edit, args::OnMember, 0..=1)),
leaf("get", "[<remote>:][<instance>] <key>", "Print a configuration value of an instance or the server").flags(&[switch("expanded", "Count in what comes from profiles").short('e'), TARGET]).run(run!(configure::get, configure::Expanded, 1..=2)),
group("metadata", "Look after the image metadata of instances", &[
leaf("edit", "[<remote>:]<instance>", "Edit the image metadata of an instance").run(run!(metadata::edit, args::Words, 1..=1)),
leaf("show", "[<remote>:]<instance>", "Show the image metadata of an instance").run(run!(metadata::show, args::Words, 1..=1)),]),
group("profile", "Look after profiles", super::profile::COMMANDS).hidden(),
leaf("set", "[<remote>:][<instance>] <key>=<value>...", "Set configuration keys of an instance or the server").flags(&[TARGET]).more("One key may also be set in the old form: lxc config set [<remote>:][<instance>] <key> <value>").examples("lxc config set c1 limits.cpu=2 limits.memory=1GiB
lxc config set core.https_address=[::]:8443").run(run!(configure::set, args::OnMember, 1..)),
leaf("show", "[<remote>:][<instance>[/<snapshot>]]", "Show the configuration of an instance or the server").flags(&[switch("expanded", "Count in what comes from profiles").short('e'), TARGET]).run(run!(configure::show, configure::Expanded, 0..=1)),
group("template", "Look after the file templates of instances", &[
leaf("create", "[<remote>:]<instance> <template>", "Create a file template").run(run!(metadata::create_template, args::Words, 2..=2)),
leaf("delete", "[<remote>:]<instance> <template>", "Delete a file template").aliases(&["rm"]).run(run!(metadata::delete_template, args::Words, 2..=2)),
leaf("edit", "[<remote>:]<instance> <template>", "Edit a file template").run(run!(metadata::edit_template, args::Words, 2..=2)),
leaf("list", "[<remote>:]<instance>", "List the file templates of an instance").flags(&[FORMAT]).run(run!(metadata::list_templates, args::Format, 1..=1)),
leaf("show", "[<remote>:]<instance> <template>", "Print a file template").run(run!(metadata::show_template, args::Words, 2..=2)),]),
group("trust", "Look after the clients that are trusted", &[
leaf("add", "[<remote>:] [<cert>]", "Trust a client").flags(&[text("name", "Name to give it"), text("projects", "Projects the client may use, separated by commas"), switch("restricted", "Let the client use only some projects"), text("type", "Kind of certificate (client or metrics)").default("client")]).run(run!(trust::add, trust::Add, 0..=2)),
leaf("edit", "[<remote>:]<fingerprint>", "Edit what a trusted client may do as YAML").run(run!(trust::edit, args::Words, 1..=1)),
leaf("list", "[<remote>:]", "List the trusted clients").aliases(&["ls"]).flags(&[FORMAT]).run(run!(trust::list, args::Format, 0..=1)),
leaf("list-tokens", "[<remote>:]", "List the client tokens that are still valid").flags(&[FORMAT]).run(run!(trust::list_tokens, args::Format, 0..=1)),
leaf("remove", "[<remote>:]<fingerprint>", "Stop trusting a client").aliases(&["rm"]).run(run!(trust::remove, args::Words, 1..=1)),
leaf("revoke-token", "[<remote>:] <name>", "Make a client token invalid").run(run!(trust::revoke_token, args::Words, 1..=1)),
leaf("show", "[<remote>:]<fingerprint>", "Show a trusted client").run(run!(trust::show, args::Words, 1..=1)),]),
leaf("unset", "[<remote>:][<instance>] <key>", "Unset a configuration key of an instance or the server").flags(&[TARGET]).run(run!(configure::unset, args::OnMember, 1..=2)),]);
