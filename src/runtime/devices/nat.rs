//! `proxy` with `nat=true`: the firewall changes the addresses of packets, without a process in between. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::{is, proxy};
use crate::api::types::{DeviceMap, Devices};
use crate::runtime::network::nft::Protocol;
use crate::runtime::network::rules::NatProxy;
use crate::runtime::spec::proxy::Place;
use crate::{Error, Result};

/// What a device wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub device: String,
    /// What the firewall is to do.
    pub rules: NatProxy,
    /// The port of the bridge that the guest is behind.
    pub port: String,
    /// Whether packets are of IPv4.
    pub four: bool,
}

/// The plans of an instance's proxies, for a guest with these bridge ports, by the names of its network devices.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming the device, when it would lead to an address that isn't the guest's own.
pub fn plans(expanded: &Devices, ports: &HashMap<String, String>) -> Result<Vec<Plan>> {
    let proxies = expanded.iter().filter(|(_, device)| is(device, "proxy") && proxy::by_nat(device));
    let plan = |(name, device): (&String, &DeviceMap)| {
        plan((name, device), expanded, ports)
            .map_err(|why| Error::invalid(format!("Failed to start device {name:?}: {why}")))
    };
    proxies.map(plan).collect()
}

fn plan(
    (name, device): (&str, &DeviceMap),
    expanded: &Devices,
    ports: &HashMap<String, String>,
) -> Result<Plan, String> {
    let (listen, connect) = proxy::places(device)?;
    let (Some(first), Some(target)) = (listen.first(), connect.first().and_then(address)) else {
        return Err("Only addresses of the network can be translated".into());
    };
    let four = target.is_ipv4();
    let wanted = (!target.ip().is_unspecified()).then_some(target.ip());
    let (ip, port) = own_address(expanded, ports, four, wanted)?;
    let addresses = listen.iter().filter_map(address);
    let target_of = |at: usize| connect.get(at).or(connect.first()).and_then(address).map_or(0, |place| place.port());
    let pairs = addresses.enumerate().map(|(at, from)| (from, SocketAddr::new(ip, target_of(at)))).collect();
    let protocol = if first.is_udp() { Protocol::Udp } else { Protocol::Tcp };
    Ok(Plan { device: name.to_owned(), rules: NatProxy { protocol, pairs }, port, four })
}

fn address(place: &Place) -> Option<SocketAddr> {
    match place {
        Place::Tcp(address) | Place::Udp(address) => Some(*address),
        Place::Unix(_) => None,
    }
}

/// The address the configuration gives the guest on a bridge, the wanted one or the first, and the bridge's port for it.
fn own_address(
    expanded: &Devices,
    ports: &HashMap<String, String>,
    four: bool,
    wanted: Option<IpAddr>,
) -> Result<(IpAddr, String), String> {
    let key = if four { "ipv4.address" } else { "ipv6.address" };
    let own = expanded.iter().filter(|(_, device)| is(device, "nic")).find_map(|(name, device)| {
        let address: IpAddr = device.get(key)?.parse().ok()?;
        let port = ports.get(name)?;
        wanted.is_none_or(|wanted| wanted == address).then(|| (address, port.clone()))
    });
    let version = if four { 4 } else { 6 };
    own.ok_or_else(|| match wanted {
        None => format!("Instance has no static IPv{version} address assigned to be used as the connect IP"),
        Some(wanted) => {
            format!("Connect IP \"{wanted}\" must be one of the instance's static IPv{version} addresses")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(listen: &str, connect: &str) -> Result<Plan, String> {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<DeviceMap>();
        let nic = map(&[("type", "nic"), ("nictype", "bridged"), ("ipv4.address", "10.0.0.9")]);
        let proxy = map(&[("type", "proxy"), ("nat", "true"), ("listen", listen), ("connect", connect)]);
        let all: Devices = [("eth0".to_owned(), nic), ("p".to_owned(), proxy)].into();
        let made = plans(&all, &[("eth0".to_owned(), "veth1".to_owned())].into());
        made.map(|mut plans| plans.remove(0)).map_err(|e| e.to_string())
    }

    #[test]
    fn packets_go_to_the_guests_own_address() {
        let plan = of("udp:10.1.1.1:53-54", "udp:0.0.0.0:53").unwrap();
        let pairs: Vec<String> = plan.rules.pairs.iter().map(|(from, to)| format!("{from} {to}")).collect();
        assert_eq!(pairs, ["10.1.1.1:53 10.0.0.9:53", "10.1.1.1:54 10.0.0.9:53"]);
        assert_eq!((plan.port.as_str(), plan.rules.protocol, plan.four), ("veth1", Protocol::Udp, true));
        let many = of("tcp:10.1.1.1:80-81", "tcp:10.0.0.9:90-91").unwrap();
        assert_eq!(many.rules.pairs[1].1.port(), 91);
    }

    #[test]
    fn nobody_elses_address_is_taken() {
        assert!(of("tcp:10.1.1.1:80", "tcp:10.0.0.8:80").unwrap_err().contains("one of the instance's static IPv4"));
        assert!(of("tcp:[fd00::1]:80", "tcp:[::]:80").unwrap_err().contains("no static IPv6 address"));
    }
}
