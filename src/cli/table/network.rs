//! `lxc network`: rows of the command table.

use super::run;
use super::{Command, FORMAT, TARGET, group, leaf, switch, text, unsigned};
use crate::cli::commands::*;

/// `lxc network`.
pub(super) const NETWORK: Command = group("network", "Look after networks and connect instances to them", &[
group("acl", "Look after access control lists", &[
leaf("create", "[<remote>:]<ACL> [key=value...]", "Create an ACL").run(run!(network::acl::create, args::Words, 1..)),
leaf("delete", "[<remote>:]<ACL>", "Delete an ACL").aliases(&["rm"]).run(run!(network::acl::delete, args::Words, 1..=1)),
leaf("edit", "[<remote>:]<ACL>", "Edit an ACL as YAML").run(run!(network::acl::edit, args::Words, 1..=1)),
leaf("get", "[<remote>:]<ACL> <key>", "Print a configuration value of an ACL").run(run!(network::acl::get, args::Words, 2..=2)),
leaf("list", "[<remote>:]", "List the ACLs").aliases(&["ls"]).flags(&[FORMAT]).run(run!(network::acl::list, args::Format, 0..=1)),
leaf("rename", "[<remote>:]<ACL> <new-name>", "Rename an ACL").aliases(&["mv"]).run(run!(network::acl::rename, args::Words, 2..=2)),
group("rule", "Look after the rules of an ACL", &[
leaf("add", "[<remote>:]<ACL> <direction> <key>=<value>...", "Add a rule to an ACL").run(run!(network::acl::add_rule, args::Words, 3..)),
leaf("remove", "[<remote>:]<ACL> <direction> <key>=<value>...", "Remove rules from an ACL").flags(&[switch("force", "Remove all that match")]).run(run!(network::acl::remove_rule, network::acl::RemoveRule, 2..)),]).explained(),
leaf("set", "[<remote>:]<ACL> <key>=<value>...", "Set configuration keys of an ACL").run(run!(network::acl::set, args::Words, 2..)),
leaf("show", "[<remote>:]<ACL>", "Show an ACL").run(run!(network::acl::show, args::Words, 1..=1)),
leaf("show-log", "[<remote>:]<ACL>", "Show the log of an ACL").run(run!(network::acl::show_log, args::Words, 1..=1)),
leaf("unset", "[<remote>:]<ACL> <key>", "Unset a configuration key of an ACL").run(run!(network::acl::unset, args::Words, 2..=2)),]),
leaf("attach", "[<remote>:]<network> <instance> [<device name>] [<interface name>]", "Connect an instance to a network").run(run!(network::attach::attach, args::Words, 2..=4)),
leaf("attach-profile", "[<remote>:]<network> <profile> [<device name>] [<interface name>]", "Connect a profile to a network").run(run!(network::attach::attach_profile, args::Words, 2..=4)),
leaf("create", "[<remote>:]<network> [key=value...]", "Create a network").flags(&[TARGET, text("type", "Kind of network").short('t')]).run(run!(network::create, network::Create, 1..)),
leaf("delete", "[<remote>:]<network>", "Delete a network").aliases(&["rm"]).run(run!(network::delete, args::Words, 1..=1)),
leaf("detach", "[<remote>:]<network> <instance> [<device name>]", "Disconnect an instance from a network").run(run!(network::attach::detach, args::Words, 2..=3)),
leaf("detach-profile", "[<remote>:]<network> <profile> [<device name>]", "Disconnect a profile from a network").run(run!(network::attach::detach_profile, args::Words, 2..=3)),
leaf("edit", "[<remote>:]<network>", "Edit a network as YAML").run(run!(network::edit, args::Words, 1..=1)),
group("forward", "Look after address forwards", &[
leaf("create", "[<remote>:]<network> <listen_address> [key=value...]", "Create an address forward").flags(&[TARGET]).run(run!(network::forward::create, args::OnMember, 2..)),
leaf("delete", "[<remote>:]<network> <listen_address>", "Delete an address forward").aliases(&["rm"]).flags(&[TARGET]).run(run!(network::forward::delete, args::OnMember, 2..=2)),
leaf("edit", "[<remote>:]<network> <listen_address>", "Edit an address forward as YAML").flags(&[TARGET]).run(run!(network::forward::edit, args::OnMember, 2..=2)),
leaf("get", "[<remote>:]<network> <listen_address> <key>", "Print a configuration value of an address forward").run(run!(network::forward::get, args::Words, 3..=3)),
leaf("list", "[<remote>:]<network>", "List the address forwards of a network").aliases(&["ls"]).flags(&[FORMAT]).run(run!(network::forward::list, args::Format, 1..=1)),
group("port", "Look after the ports of address forwards", &[
leaf("add", "[<remote>:]<network> <listen_address> <protocol> <listen_port(s)> <target_address> [<target_port(s)>]", "Add ports to an address forward").flags(&[TARGET]).run(run!(network::forward::add_port, args::OnMember, 5..=6)),
leaf("remove", "[<remote>:]<network> <listen_address> [<protocol>] [<listen_port(s)>]", "Remove ports from an address forward").flags(&[switch("force", "Remove all that match"), TARGET]).run(run!(network::forward::remove_port, network::forward::RemovePort, 2..=4)),]).explained(),
leaf("set", "[<remote>:]<network> <listen_address> <key>=<value>...", "Set keys of an address forward").flags(&[TARGET]).run(run!(network::forward::set, args::OnMember, 3..)),
leaf("show", "[<remote>:]<network> <listen_address>", "Show an address forward").flags(&[TARGET]).run(run!(network::forward::show, args::OnMember, 2..=2)),
leaf("unset", "[<remote>:]<network> <listen_address> <key>", "Unset a key of an address forward").run(run!(network::forward::unset, args::Words, 3..=3)),]),
leaf("get", "[<remote>:]<network> <key>", "Print a configuration value of a network").flags(&[TARGET]).run(run!(network::get, args::OnMember, 2..=2)),
leaf("info", "[<remote>:]<network>", "Show the state of a network").flags(&[TARGET]).run(run!(network::info, args::OnMember, 1..=1)),
leaf("list", "[<remote>:]", "List the networks").aliases(&["ls"]).flags(&[FORMAT]).run(run!(network::list, args::Format, 0..=1)),
leaf("list-leases", "[<remote>:]<network>", "List the DHCP leases of a network").flags(&[FORMAT]).run(run!(network::list_leases, args::Format, 1..=1)),
group("peer", "Look after network peerings", &[
leaf("create", "[<remote>:]<network> <peer_name> <[target project/]target_network> [key=value...]", "Create a network peering").run(run!(network::peer::create, args::Words, 3..)),
leaf("delete", "[<remote>:]<network> <peer_name>", "Delete a network peering").aliases(&["rm"]).run(run!(network::peer::delete, args::Words, 2..=2)),
leaf("edit", "[<remote>:]<network> <peer_name>", "Edit a network peering as YAML").run(run!(network::peer::edit, args::Words, 2..=2)),
leaf("get", "[<remote>:]<network> <peer_name> <key>", "Print a configuration value of a network peering").run(run!(network::peer::get, args::Words, 3..=3)),
leaf("list", "[<remote>:]<network>", "List the peerings of a network").aliases(&["ls"]).flags(&[FORMAT]).run(run!(network::peer::list, args::Format, 1..=1)),
leaf("set", "[<remote>:]<network> <peer_name> <key>=<value>...", "Set keys of a network peering").run(run!(network::peer::set, args::Words, 3..)),
leaf("show", "[<remote>:]<network> <peer name>", "Show a network peering").run(run!(network::peer::show, args::Words, 2..=2)),
leaf("unset", "[<remote>:]<network> <peer_name> <key>", "Unset a key of a network peering").run(run!(network::peer::unset, args::Words, 3..=3)),]),
leaf("rename", "[<remote>:]<network> <new-name>", "Rename a network").aliases(&["mv"]).run(run!(network::rename, args::Words, 2..=2)),
leaf("set", "[<remote>:]<network> <key>=<value>...", "Set configuration keys of a network").flags(&[TARGET]).run(run!(network::set, args::OnMember, 2..)),
leaf("show", "[<remote>:]<network>", "Show a network").flags(&[TARGET]).run(run!(network::show, args::OnMember, 1..=1)),
leaf("unset", "[<remote>:]<network> <key>", "Unset a configuration key of a network").flags(&[TARGET]).run(run!(network::unset, args::OnMember, 2..=2)),
group("zone", "Look after DNS zones", &[
leaf("create", "[<remote>:]<Zone> [key=value...]", "Create a DNS zone").run(run!(network::zone::create, args::Words, 1..)),
leaf("delete", "[<remote>:]<Zone>", "Delete a DNS zone").aliases(&["rm"]).run(run!(network::zone::delete, args::Words, 1..=1)),
leaf("edit", "[<remote>:]<Zone>", "Edit a DNS zone as YAML").run(run!(network::zone::edit, args::Words, 1..=1)),
leaf("get", "[<remote>:]<Zone> <key>", "Print a configuration value of a DNS zone").run(run!(network::zone::get, args::Words, 2..=2)),
leaf("list", "[<remote>:]", "List the DNS zones").aliases(&["ls"]).flags(&[FORMAT]).run(run!(network::zone::list, args::Format, 0..=1)),
group("record", "Look after the records of DNS zones", &[
leaf("create", "[<remote>:]<zone> <record> [key=value...]", "Create a DNS record").run(run!(network::zone::create_record, args::Words, 2..)),
leaf("delete", "[<remote>:]<zone> <record>", "Delete a DNS record").aliases(&["rm"]).run(run!(network::zone::delete_record, args::Words, 2..=2)),
leaf("edit", "[<remote>:]<zone> <record>", "Edit a DNS record as YAML").run(run!(network::zone::edit_record, args::Words, 2..=2)),
group("entry", "Look after the entries of DNS records", &[
leaf("add", "[<remote>:]<zone> <record> <type> <value>", "Add an entry to a DNS record").flags(&[unsigned("ttl", "Time to live of the entry, in seconds")]).run(run!(network::zone::add_entry, network::zone::AddEntry, 4..=4)),
leaf("remove", "[<remote>:]<zone> <record> <type> <value>", "Remove an entry from a DNS record").run(run!(network::zone::remove_entry, args::Words, 4..=4)),]).explained(),
leaf("get", "[<remote>:]<zone> <record> <key>", "Print a configuration value of a DNS record").run(run!(network::zone::get_record, args::Words, 3..=3)),
leaf("list", "[<remote>:]<zone>", "List the records of a DNS zone").aliases(&["ls"]).flags(&[FORMAT]).run(run!(network::zone::list_records, args::Format, 1..=1)),
leaf("set", "[<remote>:]<zone> <record> <key>=<value>...", "Set configuration keys of a DNS record").run(run!(network::zone::set_record, args::Words, 3..)),
leaf("show", "[<remote>:]<zone> <record>", "Show a DNS record").run(run!(network::zone::show_record, args::Words, 2..=2)),
leaf("unset", "[<remote>:]<zone> <record> <key>", "Unset a configuration key of a DNS record").run(run!(network::zone::unset_record, args::Words, 3..=3)),]),
leaf("set", "[<remote>:]<Zone> <key>=<value>...", "Set configuration keys of a DNS zone").run(run!(network::zone::set, args::Words, 2..)),
leaf("show", "[<remote>:]<Zone>", "Show a DNS zone").run(run!(network::zone::show, args::Words, 1..=1)),
leaf("unset", "[<remote>:]<Zone> <key>", "Unset a configuration key of a DNS zone").run(run!(network::zone::unset, args::Words, 2..=2)),]),]);
