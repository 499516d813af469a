//! The host's own network interfaces, as `GET /1.0/networks` shows what LXD does not manage.
//!
//! Interfaces of this network namespace are read from `/sys/class/net`, their addresses over rtnetlink.

use std::net::IpAddr;

use super::tree::Tree;
use crate::api::types::{
    Network, NetworkState, NetworkStateAddress, NetworkStateBond, NetworkStateBridge, NetworkStateCounters,
    NetworkStateVlan,
};
use crate::error::{Error, Result};
use crate::order::Order;
use crate::runtime::network::netlink::{Address, Netlink};

const IFF_UP: u32 = 0x1;
const IFF_BROADCAST: u32 = 0x2;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_POINTOPOINT: u32 = 0x10;

/// The longest name an interface can have (IFNAMSIZ without the final zero).
const LONGEST_NAME: usize = 15;

/// All interfaces that LXD lists, in the order of their numbers. Ends of veth pairs are left out by name, as LXD does.
pub fn list(tree: &Tree) -> Vec<Network> {
    let mut names: Vec<(u64, String)> = tree
        .list("sys/class/net")
        .into_iter()
        .filter(|name| !name.starts_with("veth") && is_interface(tree, name))
        .map(|name| (tree.count(file(&name, "ifindex")), name))
        .collect();
    names.order();
    names.into_iter().map(|(_, name)| network(tree, name)).collect()
}

/// One interface.
///
/// # Errors
/// `NotFound` when there is none of that name, or it is left out of the list.
pub fn get(tree: &Tree, name: &str) -> Result<Network> {
    if name.starts_with("veth") || !is_interface(tree, name) {
        return Err(Error::not_found("Network not found"));
    }
    Ok(network(tree, name.to_string()))
}

/// What an interface has and does now; those left out of the list are served too, as LXD does.
///
/// # Errors
/// `NotFound` when there is none of that name.
pub fn state(tree: &Tree, name: &str) -> Result<NetworkState> {
    state_with(tree, name, &Netlink::open()?.addresses(None)?)
}

fn state_with(tree: &Tree, name: &str, addresses: &[Address]) -> Result<NetworkState> {
    if !is_interface(tree, name) {
        return Err(Error::not_found(format!("Network interface {name:?} not found")));
    }
    let flags = flags(tree, name);
    let index = tree.count(file(name, "ifindex"));
    let own = addresses.iter().filter(|a| u64::from(a.index) == index);
    Ok(NetworkState {
        addresses: own.map(address).collect(),
        counters: counters(tree, name),
        hwaddr: hwaddr(tree, name),
        mtu: signed(tree.count(file(name, "mtu"))),
        state: if flags & IFF_UP != 0 { "up" } else { "down" }.to_string(),
        kind: link_type(flags).to_string(),
        bond: bond(tree, name),
        bridge: bridge(tree, name),
        vlan: vlan(tree, name),
        ovn: None,
    })
}

fn network(tree: &Tree, name: String) -> Network {
    Network { kind: kind(tree, &name).to_string(), name, ..Network::default() }
}

/// The type LXD shows: of what it does not know (tunnels, macvlan, tap, …) it says `unknown`.
fn kind(tree: &Tree, name: &str) -> &'static str {
    if flags(tree, name) & IFF_LOOPBACK != 0 {
        "loopback"
    } else if tree.exists(file(name, "bridge")) {
        "bridge"
    } else if tree.exists(format!("proc/net/vlan/{name}")) {
        "vlan"
    } else if tree.exists(file(name, "device")) {
        "physical"
    } else if tree.exists(file(name, "bonding")) {
        "bond"
    } else {
        "unknown"
    }
}

/// Whether `name`, which may come from a request, is an interface. `bonding_masters` in the same directory is a file.
fn is_interface(tree: &Tree, name: &str) -> bool {
    let plain = !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains('/') && name != "." && name != "..";
    plain && tree.exists(file(name, "ifindex"))
}

fn file(name: &str, file: &str) -> String {
    format!("sys/class/net/{name}/{file}")
}

fn flags(tree: &Tree, name: &str) -> u32 {
    let text = tree.text(file(name, "flags")).unwrap_or_default();
    u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

fn link_type(flags: u32) -> &'static str {
    if flags & IFF_LOOPBACK != 0 {
        "loopback"
    } else if flags & IFF_POINTOPOINT != 0 {
        "point-to-point"
    } else if flags & IFF_BROADCAST != 0 {
        "broadcast"
    } else {
        "unknown"
    }
}

/// The hardware address; interfaces that have none (loopback, tunnels) show zeros or other things in `/sys`.
fn hwaddr(tree: &Tree, name: &str) -> String {
    let text = tree.text(file(name, "address")).unwrap_or_default();
    let none = text.split(':').all(|byte| byte == "00") || flags(tree, name) & IFF_LOOPBACK != 0;
    if none { String::new() } else { text }
}

fn address(a: &Address) -> NetworkStateAddress {
    let (family, scope) = match a.address {
        IpAddr::V4(ip) if ip.is_loopback() => ("inet", "local"),
        IpAddr::V4(ip) if ip.is_link_local() => ("inet", "link"),
        IpAddr::V4(_) => ("inet", "global"),
        IpAddr::V6(ip) if ip.is_loopback() => ("inet6", "local"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => ("inet6", "link"),
        IpAddr::V6(_) => ("inet6", "global"),
    };
    NetworkStateAddress {
        family: family.to_string(),
        address: a.address.to_string(),
        netmask: a.prefix.to_string(),
        scope: scope.to_string(),
    }
}

fn counters(tree: &Tree, name: &str) -> NetworkStateCounters {
    let read = |counter: &str| signed(tree.count(file(name, &format!("statistics/{counter}"))));
    NetworkStateCounters {
        bytes_received: read("rx_bytes"),
        bytes_sent: read("tx_bytes"),
        packets_received: read("rx_packets"),
        packets_sent: read("tx_packets"),
    }
}

fn bridge(tree: &Tree, name: &str) -> Option<NetworkStateBridge> {
    if !tree.exists(file(name, "bridge")) {
        return None;
    }
    let number = |what: &str| tree.count(file(name, &format!("bridge/{what}")));
    // A kernel built without VLAN filtering has neither file; LXD shows 0 and false then.
    Some(NetworkStateBridge {
        id: tree.text(file(name, "bridge/bridge_id")).unwrap_or_default(),
        stp: number("stp_state") != 0,
        forward_delay: number("forward_delay"),
        vlan_default: number("default_pvid"),
        vlan_filtering: number("vlan_filtering") != 0,
        upper_devices: tree.list(file(name, "brif")),
    })
}

fn bond(tree: &Tree, name: &str) -> Option<NetworkStateBond> {
    if !tree.exists(file(name, "bonding")) {
        return None;
    }
    let text = |what: &str| tree.text(file(name, &format!("bonding/{what}"))).unwrap_or_default();
    // "802.3ad 4": the name, then the number.
    let word = |what: &str| text(what).split_whitespace().next().unwrap_or_default().to_string();
    let number = |what: &str| text(what).parse().unwrap_or(0);
    Some(NetworkStateBond {
        mode: word("mode"),
        transmit_policy: word("xmit_hash_policy"),
        up_delay: number("updelay"),
        down_delay: number("downdelay"),
        mii_frequency: number("miimon"),
        mii_state: text("mii_status"),
        lower_devices: text("slaves").split_whitespace().map(str::to_string).collect(),
    })
}

/// `/proc/net/vlan/NAME` begins with `NAME  VID: 10  REORDER_HDR: …` and has a line `Device: eth0`.
fn vlan(tree: &Tree, name: &str) -> Option<NetworkStateVlan> {
    let text = tree.text(format!("proc/net/vlan/{name}"))?;
    let mut words = text.split_whitespace();
    let mut after = |label: &str| words.by_ref().skip_while(|word| *word != label).nth(1);
    let vid = after("VID:")?.parse().ok()?;
    Some(NetworkStateVlan { lower_device: after("Device:").unwrap_or_default().to_string(), vid })
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::runtime::network::netlink::Scope;

    fn interface(host: &Fixture, index: u32, name: &str, flags: &str) {
        host.write(&file(name, "ifindex"), &index.to_string())
            .write(&file(name, "flags"), flags)
            .write(&file(name, "mtu"), "1500\n")
            .write(&file(name, "address"), "c6:dd:5a:2d:59:8c\n");
    }

    fn host() -> Fixture {
        let host = Fixture::new();
        interface(&host, 1, "lo", "0x9");
        interface(&host, 10, "br0", "0x1003");
        interface(&host, 3, "veth12", "0x1003");
        interface(&host, 2, "eth0", "0x1002");
        interface(&host, 4, "bond0", "0x1003");
        interface(&host, 5, "eth0.10", "0x1003");
        interface(&host, 6, "tun0", "0x1091");
        host.write("sys/class/net/lo/address", "00:00:00:00:00:00\n")
            .write("sys/class/net/bonding_masters", "bond0\n")
            .write("sys/class/net/br0/bridge/bridge_id", "8000.c6dd5a2d598c\n")
            .write("sys/class/net/br0/bridge/stp_state", "1\n")
            .write("sys/class/net/br0/bridge/forward_delay", "1500\n")
            .write("sys/class/net/br0/bridge/default_pvid", "1\n")
            .write("sys/class/net/br0/brif/veth12/x", "")
            .write("sys/class/net/eth0/device/vendor", "0x1af4\n")
            .write("sys/class/net/eth0/statistics/rx_bytes", "123\n")
            .write("sys/class/net/bond0/bonding/mode", "802.3ad 4\n")
            .write("sys/class/net/bond0/bonding/miimon", "100\n")
            .write("sys/class/net/bond0/bonding/slaves", "eth1 eth2\n")
            .write(
                "proc/net/vlan/eth0.10",
                "eth0.10  VID: 10\t REORDER_HDR: 1\n total frames  0\nDevice: eth0\nx: 0\n",
            );
        host
    }

    #[test]
    fn lists_interfaces_by_number_with_their_types() {
        let host = host();
        let all: Vec<_> = list(&host.tree()).into_iter().map(|n| (n.name, n.kind)).collect();
        let want = [
            ("lo", "loopback"),
            ("eth0", "physical"),
            ("bond0", "bond"),
            ("eth0.10", "vlan"),
            ("tun0", "unknown"),
            ("br0", "bridge"),
        ];
        assert_eq!(all, want.map(|(name, kind)| (name.to_string(), kind.to_string())));
    }

    #[test]
    fn names_from_requests_stay_in_the_directory() {
        let host = host();
        let tree = host.tree();
        for name in ["", ".", "..", "../../etc", "lo/../lo", "bonding_masters", "nope", "much-too-long-for-one"] {
            assert_eq!(get(&tree, name).unwrap_err().message(), "Network not found", "{name:?}");
        }
        assert_eq!(get(&tree, "veth12").unwrap_err().message(), "Network not found");
        assert!(state_with(&tree, "veth12", &[]).is_ok());
        let error = state_with(&tree, "nope", &[]).unwrap_err();
        assert_eq!(error.message(), "Network interface \"nope\" not found");
    }

    /// Compares with a real LXD in this network namespace: `LXBOX_ORACLE=SOCKET cargo test -- --ignored networks_equal`.
    #[test]
    #[ignore = "needs a real LXD"]
    fn networks_equal_those_of_lxd() {
        let api = crate::cli::lxd::SocketApi::new(std::env::var("LXBOX_ORACLE").unwrap());
        let theirs = |path: &str| crate::cli::lxd::Api::get(&api, path).unwrap().metadata;
        let tree = Tree::host();
        let mut list = theirs("/1.0/networks?recursion=1");
        // LXD gives null where it has looked for users and found none.
        list.as_array_mut().unwrap().iter_mut().for_each(|network| network["used_by"] = serde_json::json!([]));
        assert_eq!(serde_json::to_value(super::list(&tree)).unwrap(), list);
        for name in tree.list("sys/class/net") {
            let state = serde_json::to_value(state(&tree, &name).unwrap()).unwrap();
            assert_eq!(state.to_string(), theirs(&format!("/1.0/networks/{name}/state")).to_string());
        }
    }

    #[test]
    fn state_of_each_kind() {
        let host = host();
        let tree = host.tree();
        let at = |index, text: &str, prefix| Address {
            index,
            address: text.parse().unwrap(),
            prefix,
            scope: Scope::Universe,
            permanent: true,
            tentative: false,
        };
        let addresses =
            [at(1, "127.0.0.1", 8), at(10, "10.9.8.1", 24), at(10, "fe80::1", 64), at(10, "169.254.3.4", 16)];
        let br0 = state_with(&tree, "br0", &addresses).unwrap();
        let scopes: Vec<_> = br0.addresses.iter().map(|a| (a.address.as_str(), a.scope.as_str())).collect();
        assert_eq!(scopes, [("10.9.8.1", "global"), ("fe80::1", "link"), ("169.254.3.4", "link")]);
        let bridge = br0.bridge.unwrap();
        assert!(bridge.stp && !bridge.vlan_filtering);
        assert_eq!(
            (bridge.forward_delay, bridge.vlan_default, bridge.upper_devices.as_slice()),
            (1500, 1, &["veth12".to_string()][..])
        );
        let lo = state_with(&tree, "lo", &addresses).unwrap();
        assert_eq!((lo.hwaddr.as_str(), lo.state.as_str(), lo.kind.as_str()), ("", "up", "loopback"));
        let eth0 = state_with(&tree, "eth0", &addresses).unwrap();
        assert_eq!((eth0.state.as_str(), eth0.kind.as_str(), eth0.counters.bytes_received), ("down", "broadcast", 123));
        let vlan = state_with(&tree, "eth0.10", &[]).unwrap().vlan.unwrap();
        assert_eq!((vlan.vid, vlan.lower_device.as_str()), (10, "eth0"));
        let bond = state_with(&tree, "bond0", &[]).unwrap().bond.unwrap();
        assert_eq!((bond.mode.as_str(), bond.mii_frequency, bond.lower_devices.len()), ("802.3ad", 100, 2));
        assert_eq!(state_with(&tree, "tun0", &[]).unwrap().kind, "point-to-point");
    }
}
