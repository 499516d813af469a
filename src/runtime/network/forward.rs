//! Forwards of a network: what they may say. Pure; errors have LXD's texts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::acl::ports;
use super::bridge::{Bridge, Family};
use crate::api::config;
use crate::api::types::{ConfigMap, NetworkForwardPort};
use crate::{Error, Result};

/// The most ports and ranges of one forward.
const MAX_PORTS: usize = 1000;

/// Reads the address of a forward.
pub fn listen_address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| {
        let length = if text.contains(':') { 128 } else { 32 };
        Error::invalid(format!(
            "Failed parsing address forward listen address {text:?}: invalid CIDR address: {text}/{length}"
        ))
    })
}

/// Checks a forward of the network with this configuration.
pub fn check(network: Bridge<'_>, listen: IpAddr, config: &ConfigMap, ports: &[NetworkForwardPort]) -> Result<()> {
    config::network::check_forward(config)?;
    let family = if listen.is_ipv4() { Family::V4 } else { Family::V6 };
    let subnet = network.subnet(family);
    let inside = |address: IpAddr| subnet.is_some_and(|subnet| subnet.contains(address));
    if let Some(target) = config.get("target_address").filter(|t| !t.is_empty()) {
        let target: IpAddr = target.parse().map_err(|_| Error::invalid("Invalid default target address"))?;
        if target.is_ipv4() != listen.is_ipv4() {
            return Err(Error::invalid("Cannot mix IP versions in listen address and default target address"));
        }
        if !inside(target) {
            return Err(Error::invalid("Default target address is not within the network subnet"));
        }
    }
    if ports.len() > MAX_PORTS {
        return Err(Error::invalid(format!("More than {MAX_PORTS} port specifications")));
    }
    let mut taken = BTreeSet::new();
    for (n, port) in ports.iter().enumerate() {
        check_port(port, listen, &inside, &mut taken, n).map_err(Error::invalid)?;
    }
    Ok(())
}

fn check_port(
    port: &NetworkForwardPort,
    listen: IpAddr,
    inside: &impl Fn(IpAddr) -> bool,
    taken: &mut BTreeSet<(String, u16)>,
    n: usize,
) -> std::result::Result<(), String> {
    let place = format!("in port specification {n}");
    if !matches!(port.protocol.as_str(), "tcp" | "udp") {
        return Err(format!("Invalid port protocol {place}, protocol must be one of: tcp, udp"));
    }
    let target: IpAddr = port.target_address.parse().map_err(|_| format!("Invalid target address {place}"))?;
    if target.is_ipv4() != listen.is_ipv4() {
        return Err(format!("Cannot mix IP versions in listen address and target address {place}"));
    }
    if !inside(target) {
        return Err(format!("Target address is not within the network subnet {place}"));
    }
    if port.listen_port.trim().is_empty() {
        return Err(format!("Missing listen port {place}"));
    }
    let listens = port_list(&port.listen_port).map_err(|why| format!("Invalid listen port {place}: {why}"))?;
    let targets = port_list(&port.target_port).map_err(|why| format!("Invalid target port {place}: {why}"))?;
    let protocol = &port.protocol;
    if let Some(twice) = listens.iter().find(|p| !taken.insert((protocol.clone(), **p))) {
        return Err(format!("Duplicate listen port {twice} for protocol {protocol:?} {place}"));
    }
    match targets.len() <= 1 || targets.len() == listens.len() {
        true => Ok(()),
        false => Err(format!("Mismatch of listen port(s) and target port(s) count {place}")),
    }
}

/// Each port of a list like `80,90-92`; none when it is empty.
pub fn port_list(list: &str) -> std::result::Result<Vec<u16>, String> {
    let mut found = Vec::new();
    for range in list.split(',').map(str::trim).filter(|_| !list.trim().is_empty()) {
        let (first, last) = ports(range)?;
        found.extend(first..=last);
        if found.len() > usize::from(u16::MAX) + 1 {
            return Err("Too many ports".into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> ConfigMap {
        [("ipv4.address", "10.1.2.1/24"), ("ipv6.address", "fd42::1/64")].map(|(k, v)| (k.into(), v.into())).into()
    }

    fn port(listen: &str, target: &str, address: &str) -> NetworkForwardPort {
        NetworkForwardPort {
            protocol: "tcp".into(),
            listen_port: listen.into(),
            target_port: target.into(),
            target_address: address.into(),
            ..NetworkForwardPort::default()
        }
    }

    fn checked(listen: &str, target: &str, ports: &[NetworkForwardPort]) -> String {
        let network = network();
        let config = ConfigMap::from([("target_address".to_owned(), target.to_owned())]);
        match check(Bridge(&network), listen_address(listen).unwrap(), &config, ports) {
            Ok(()) => "ok".into(),
            Err(e) => e.message().to_owned(),
        }
    }

    #[test]
    fn forwards_are_checked() {
        assert_eq!(checked("192.0.2.1", "10.1.2.5", &[port("80,90-92", "8080", "10.1.2.6")]), "ok");
        assert_eq!(checked("2001:db8::1", "fd42::5", &[]), "ok");
        assert_eq!(
            checked("192.0.2.1", "", &[port("80", "", "fd42::5")]),
            "Cannot mix IP versions in listen address and target address in port specification 0"
        );
        assert_eq!(
            checked("192.0.2.1", "", &[port("80-82", "1,2", "10.1.2.6")]),
            "Mismatch of listen port(s) and target port(s) count in port specification 0"
        );
        assert_eq!(
            checked("192.0.2.1", "", &[port("x", "", "10.1.2.6")]),
            "Invalid listen port in port specification 0: Invalid port number \"x\""
        );
        let twice = [port("80", "", "10.1.2.6"), port("79-81", "", "10.1.2.6")];
        assert_eq!(
            checked("192.0.2.1", "", &twice),
            "Duplicate listen port 80 for protocol \"tcp\" in port specification 1"
        );
        assert_eq!(checked("192.0.2.1", "10.9.9.9", &[]), "Default target address is not within the network subnet");
        let many = port(&"1-65535,".repeat(100), "", "10.1.2.6");
        assert!(checked("192.0.2.1", "", &[many]).contains("Too many ports"));
        assert!(listen_address("fd42::x").unwrap_err().message().ends_with("fd42::x/128"));
    }
}
