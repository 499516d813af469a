//! `lxc network`: rows of the command table.

use super::run;
use super::{Command, FORMAT, TARGET, group, leaf, switch, text, unsigned};
use crate::cli::commands::*;

/// `lxc network`.
pub(super) const NETWORK: Command = group("network", "Look after networks and connect instances to them", &[
group("acl", "Look after access control lists", &[
leaf("create", "[<remote>:]<ACL> [key=value...]", "Create an ACL"),
leaf("delete", "[<remote>:]<ACL>", "Delete an ACL").aliases(&["rm"]),
leaf("edit", "[<remote>:]<ACL>", "Edit an ACL as YAML"),
leaf("get", "[<remote>:]<ACL> <key>", "Print a configuration value of an ACL"),
leaf("list", "[<remote>:]", "List the ACLs").aliases(&["ls"]).flags(&[FORMAT]),
leaf("rename", "[<remote>:]<ACL> <new-name>", "Rename an ACL").aliases(&["mv"]),
group("rule", "Look after the rules of an ACL", &[
leaf("add", "[<remote>:]<ACL> <direction> <key>=<value>...", "Add a rule to an ACL"),
leaf("remove", "[<remote>:]<ACL> <direction> <key>=<value>...", "Remove rules from an ACL").flags(&[switch("force", "Do it by force")]),]),
leaf("set", "[<remote>:]<ACL> <key>=<value>...", "Set configuration keys of an ACL"),
leaf("show", "[<remote>:]<ACL>", "Show an ACL"),
leaf("show-log", "[<remote>:]<ACL>", "Show the log of an ACL"),
leaf("unset", "[<remote>:]<ACL> <key>", "Unset a configuration key of an ACL"),]),
leaf("attach", "[<remote>:]<network> <instance> [<device name>] [<interface name>]", "Connect an instance to a network"),
leaf("attach-profile", "[<remote>:]<network> <profile> [<device name>] [<interface name>]", "Connect a profile to a network"),
leaf("create", "[<remote>:]<network> [key=value...]", "Create a network").flags(&[TARGET, text("type", "Kind of network").short('t')]),
leaf("delete", "[<remote>:]<network>", "Delete a network").aliases(&["rm"]),
leaf("detach", "[<remote>:]<network> <instance> [<device name>]", "Disconnect an instance from a network"),
leaf("detach-profile", "[<remote>:]<network> <profile> [<device name>]", "Disconnect a profile from a network"),
leaf("edit", "[<remote>:]<network>", "Edit a network as YAML"),
group("forward", "Look after address forwards", &[
leaf("create", "[<remote>:]<network> <listen_address> [key=value...]", "Create an address forward").flags(&[TARGET]),
leaf("delete", "[<remote>:]<network> <listen_address>", "Delete an address forward").aliases(&["rm"]).flags(&[TARGET]),
leaf("edit", "[<remote>:]<network> <listen_address>", "Edit an address forward as YAML").flags(&[TARGET]),
leaf("get", "[<remote>:]<network> <listen_address> <key>", "Print a configuration value of an address forward"),
leaf("list", "[<remote>:]<network>", "List the address forwards of a network").aliases(&["ls"]).flags(&[FORMAT]),
group("port", "Look after the ports of address forwards", &[
leaf("add", "[<remote>:]<network> <listen_address> <protocol> <listen_port(s)> <target_address> [<target_port(s)>]", "Add ports to an address forward").flags(&[TARGET]),
leaf("remove", "[<remote>:]<network> <listen_address> [<protocol>] [<listen_port(s)>]", "Remove ports from an address forward").flags(&[switch("force", "Do it by force"), TARGET]),]),
leaf("set", "[<remote>:]<network> <listen_address> <key>=<value>...", "Set keys of an address forward").flags(&[TARGET]),
leaf("show", "[<remote>:]<network> <listen_address>", "Show an address forward").flags(&[TARGET]),
leaf("unset", "[<remote>:]<network> <listen_address> <key>", "Unset a key of an address forward"),]),
leaf("get", "[<remote>:]<network> <key>", "Print a configuration value of a network").flags(&[TARGET]).run(run!(network::get, args::OnMember, 2..=2)),
leaf("info", "[<remote>:]<network>", "Show the state of a network").flags(&[TARGET]).run(run!(network::info, args::OnMember, 1..=1)),
leaf("list", "[<remote>:]", "List the networks").aliases(&["ls"]).flags(&[FORMAT]).run(run!(network::list, args::Format, 0..=1)),
leaf("list-leases", "[<remote>:]<network>", "List the DHCP leases of a network").flags(&[FORMAT]),
group("peer", "Look after network peerings", &[
leaf("create", "[<remote>:]<network> <peer_name> <[target project/]target_network> [key=value...]", "Create a network peering"),
leaf("delete", "[<remote>:]<network> <peer_name>", "Delete a network peering").aliases(&["rm"]),
leaf("edit", "[<remote>:]<network> <peer_name>", "Edit a network peering as YAML"),
leaf("get", "[<remote>:]<network> <peer_name> <key>", "Print a configuration value of a network peering"),
leaf("list", "[<remote>:]<network>", "List the peerings of a network").aliases(&["ls"]).flags(&[FORMAT]),
leaf("set", "[<remote>:]<network> <peer_name> <key>=<value>...", "Set keys of a network peering"),
leaf("show", "[<remote>:]<network> <peer name>", "Show a network peering"),
leaf("unset", "[<remote>:]<network> <peer_name> <key>", "Unset a key of a network peering"),]),
leaf("rename", "[<remote>:]<network> <new-name>", "Rename a network").aliases(&["mv"]),
leaf("set", "[<remote>:]<network> <key>=<value>...", "Set configuration keys of a network").flags(&[TARGET]),
leaf("show", "[<remote>:]<network>", "Show a network").flags(&[TARGET]).run(run!(network::show, args::OnMember, 1..=1)),
leaf("unset", "[<remote>:]<network> <key>", "Unset a configuration key of a network").flags(&[TARGET]),
group("zone", "Look after DNS zones", &[
leaf("create", "[<remote>:]<Zone> [key=value...]", "Create a DNS zone"),
leaf("delete", "[<remote>:]<Zone>", "Delete a DNS zone").aliases(&["rm"]),
leaf("edit", "[<remote>:]<Zone>", "Edit a DNS zone as YAML"),
leaf("get", "[<remote>:]<Zone> <key>", "Print a configuration value of a DNS zone"),
leaf("list", "[<remote>:]", "List the DNS zones").aliases(&["ls"]).flags(&[FORMAT]),
group("record", "Look after the records of DNS zones", &[
leaf("create", "[<remote>:]<zone> <record> [key=value...]", "Create a DNS record"),
leaf("delete", "[<remote>:]<zone> <record>", "Delete a DNS record").aliases(&["rm"]),
leaf("edit", "[<remote>:]<zone> <record>", "Edit a DNS record as YAML"),
group("entry", "Look after the entries of DNS records", &[
leaf("add", "[<remote>:]<zone> <record> <type> <value>", "Add an entry to a DNS record").flags(&[unsigned("ttl", "Time to live of the entry, in seconds")]),
leaf("remove", "[<remote>:]<zone> <record> <type> <value>", "Remove an entry from a DNS record"),]),
leaf("get", "[<remote>:]<zone> <record> <key>", "Print a configuration value of a DNS record"),
leaf("list", "[<remote>:]<zone>", "List the records of a DNS zone").aliases(&["ls"]).flags(&[FORMAT]),
leaf("set", "[<remote>:]<zone> <record> <key>=<value>...", "Set configuration keys of a DNS record"),
leaf("show", "[<remote>:]<zone> <record>", "Show a DNS record"),
leaf("unset", "[<remote>:]<zone> <record> <key>", "Unset a configuration key of a DNS record"),]),
leaf("set", "[<remote>:]<Zone> <key>=<value>...", "Set configuration keys of a DNS zone"),
leaf("show", "[<remote>:]<Zone>", "Show a DNS zone"),
leaf("unset", "[<remote>:]<Zone> <key>", "Unset a configuration key of a DNS zone"),]),]);
