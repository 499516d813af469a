//! What a bridge is to be on the host: everything decided, nothing done. Pure.

use std::net::IpAddr;

use super::bridge::{Bridge, Family, tunnel_link};
use super::firewall;
use super::netlink::{MacAddr, Tunnel, Vxlan};
use super::nft::Chain;
use super::subnet::Subnet;
use crate::api::types::ConfigMap;
use crate::store::records::{AclRecord, ForwardRecord, NetworkRecord};
use crate::{Error, Result};

/// A bridge on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgePlan {
    /// The link's name.
    pub name: String,
    /// Its hardware address.
    pub mac: MacAddr,
    /// The longest packet, in bytes.
    pub mtu: u32,
    /// Its own addresses.
    pub addresses: Vec<Subnet>,
    /// Further networks that are reached through it.
    pub routes: Vec<Subnet>,
    /// Whether packets of a family are to be passed on at all.
    pub forwarding: Vec<Family>,
    /// Links of the host that are ports of it.
    pub external: Vec<String>,
    /// Tunnels that are ports of it.
    pub tunnels: Vec<TunnelPlan>,
    /// Its chains of the packet filter.
    pub chains: Vec<Chain>,
}

/// A tunnel to another host.
#[derive(Clone, Debug, PartialEq)]
pub struct TunnelPlan {
    /// The link's name.
    pub link: String,
    /// What it is.
    pub kind: TunnelKind,
    /// The link of the host whose packets carry a multicast group; chosen by the default route when not said.
    pub device: Option<String>,
}

/// The kinds of tunnels.
#[derive(Clone, Debug, PartialEq)]
pub enum TunnelKind {
    /// Ethernet in UDP.
    Vxlan(Vxlan),
    /// Ethernet in GRE.
    Gretap(Tunnel),
}

/// What plans are made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The network.
    pub network: NetworkRecord,
    /// Its forwards.
    pub forwards: Vec<ForwardRecord>,
    /// Its access lists, in the order it names them.
    pub acls: Vec<AclRecord>,
    /// The devices of instances on it.
    pub nics: Vec<Nic>,
}

/// A network device of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// The instance.
    pub instance: String,
    /// Its project.
    pub project: String,
    /// The device's name.
    pub device: String,
    /// Its Ethernet address, once it has one.
    pub hwaddr: Option<String>,
    /// The IPv4 address it is to have.
    pub ipv4: Option<String>,
    /// The IPv6 address it is to have.
    pub ipv6: Option<String>,
    /// The VLAN of its packets without a tag, when it isn't the bridge's default.
    pub vlan: Option<String>,
}

/// The MTU of a bridge with tunnels: room is left for their heads.
const TUNNELLED_MTU: u32 = 1400;

/// Plans a bridge.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) for what the table of keys can't see.
pub fn bridge(facts: &Facts) -> Result<BridgePlan> {
    let network = &facts.network;
    let bridge = Bridge(&network.config);
    let tunnels = bridge.tunnels().into_iter().map(|t| tunnel(&network.name, &network.config, t));
    let tunnels = tunnels.collect::<Result<Vec<_>>>()?;
    let usual = if tunnels.is_empty() { 1500 } else { TUNNELLED_MTU };
    let families: Vec<Family> = Family::BOTH.into_iter().filter(|f| bridge.subnet(*f).is_some()).collect();
    let routes = families.iter().flat_map(|f| bridge.list(&f.key("routes")));
    Ok(BridgePlan {
        name: network.name.clone(),
        mac: bridge.text("bridge.hwaddr").unwrap_or(&network.hwaddr).parse()?,
        mtu: bridge.text("bridge.mtu").and_then(|m| m.parse().ok()).unwrap_or(usual),
        addresses: families.iter().filter_map(|f| bridge.subnet(*f)).collect(),
        routes: routes.filter_map(|r| r.parse().ok()).collect(),
        forwarding: families.into_iter().filter(|f| bridge.on(&f.key("routing"), true)).collect(),
        external: bridge.list("bridge.external_interfaces").into_iter().map(str::to_owned).collect(),
        tunnels,
        chains: firewall::chains(&network.name, bridge, &facts.acls, &facts.forwards),
    })
}

fn tunnel(network: &str, config: &ConfigMap, name: &str) -> Result<TunnelPlan> {
    let bridge = Bridge(config);
    let value = |key: &str| bridge.text(&format!("tunnel.{name}.{key}"));
    let address = |key: &str| value(key).and_then(|a| a.parse::<IpAddr>().ok());
    let number = |key: &str, usual: u32| value(key).and_then(|n| n.parse().ok()).unwrap_or(usual);
    let (local, remote) = (address("local"), address("remote"));
    let missing = |what: &str| Error::invalid(format!("Tunnel {name:?} of network {network:?} needs {what}"));
    let ttl = u8::try_from(number("ttl", 1)).unwrap_or(1);
    let kind = match value("protocol") {
        Some("gre") => TunnelKind::Gretap(Tunnel {
            local: local.ok_or_else(|| missing("\"local\""))?,
            remote: remote.ok_or_else(|| missing("\"remote\""))?,
            ttl,
        }),
        Some("vxlan") => {
            let group = address("group").unwrap_or(IpAddr::V4([239, 0, 0, 1].into()));
            let one = local.is_some() && remote.is_some();
            TunnelKind::Vxlan(Vxlan {
                id: number("id", 1),
                remote: if one { remote } else { Some(group) },
                local: if one { local } else { None },
                port: u16::try_from(number("port", 0)).unwrap_or(0),
                ttl,
                device: None,
            })
        }
        _ => return Err(missing("\"protocol\"")),
    };
    Ok(TunnelPlan { link: tunnel_link(network, name), kind, device: value("interface").map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pairs: &[(&str, &str)]) -> Facts {
        let config = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let hwaddr = "00:16:3e:01:02:03".into();
        Facts {
            network: NetworkRecord { name: "br0".into(), config, hwaddr, ..Default::default() },
            ..Facts::default()
        }
    }

    #[test]
    fn a_bridge_is_planned() {
        let plan = bridge(&facts(&[
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.routes", "10.7.0.0/24, 10.8.0.0/24"),
            ("ipv6.address", "none"),
            ("ipv6.routes", "fd77::/64"),
            ("bridge.external_interfaces", "eth1,eth2"),
        ]))
        .unwrap();
        assert_eq!((plan.mtu, plan.mac.to_string().as_str()), (1500, "00:16:3e:01:02:03"));
        assert_eq!((plan.addresses.len(), plan.routes.len(), plan.external.len()), (1, 2, 2));
        assert_eq!(plan.forwarding, [Family::V4]);
    }

    #[test]
    fn tunnels_are_planned() {
        let plan = bridge(&facts(&[
            ("tunnel.a.protocol", "gre"),
            ("tunnel.a.local", "192.0.2.1"),
            ("tunnel.a.remote", "192.0.2.2"),
            ("tunnel.b.protocol", "vxlan"),
            ("tunnel.b.id", "7"),
            ("tunnel.b.interface", "eth0"),
        ]))
        .unwrap();
        assert_eq!(plan.mtu, TUNNELLED_MTU);
        assert_eq!((plan.tunnels[0].link.as_str(), plan.tunnels[1].device.as_deref()), ("br0-a", Some("eth0")));
        let error = bridge(&facts(&[("tunnel.a.protocol", "gre")])).unwrap_err();
        assert_eq!(error.message(), "Tunnel \"a\" of network \"br0\" needs \"local\"");
    }
}
