//! Where other machines reach a server.

use std::net::{IpAddr, SocketAddr};

use super::PORT;
use crate::runtime::listen::parse;

/// Where others reach a server that listens so; `own` are the addresses of the host.
///
/// A listener on all addresses is reached at those that others can have a route to (Go's IsGlobalUnicast).
pub(super) fn reachable(text: &str, own: &[IpAddr]) -> Vec<String> {
    let Some(at) = parse(text, PORT) else { return Vec::new() };
    let global = |ip: &IpAddr| {
        let local = match ip {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unicast_link_local() || at.is_ipv4(),
        };
        !local && !ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified()
    };
    match at.ip().is_unspecified() {
        true => own.iter().filter(|ip| global(ip)).map(|ip| SocketAddr::new(*ip, at.port()).to_string()).collect(),
        false if text.starts_with("localhost") => vec![format!("localhost:{}", at.port())],
        false => vec![at.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_come_in_at_global_addresses() {
        let own: Vec<IpAddr> =
            ["127.0.0.1", "::1", "10.1.2.3", "fe80::1", "fd00::1", "169.254.1.1"].map(|t| t.parse().unwrap()).into();
        assert_eq!(reachable("[::]", &own), ["10.1.2.3:8443", "[fd00::1]:8443"]);
        assert_eq!(reachable("0.0.0.0:1", &own), ["10.1.2.3:1"]);
        assert_eq!(reachable("::1", &own), ["[::1]:8443"]);
        assert_eq!(reachable("localhost", &own), ["localhost:8443"]);
    }
}
