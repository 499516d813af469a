//! Addresses to listen on, as people write them, and as other machines reach them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port where none is said.
const PORT: u16 = 8443;

/// `HOST`, `HOST:PORT` or `:PORT`; the host is an address or `localhost`, as the table of keys has checked.
pub(super) fn parse(text: &str) -> Option<SocketAddr> {
    let bare = |host: &str| host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).to_owned();
    if let Ok(ip) = bare(text).parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, "")) => (host, PORT),
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, PORT),
    };
    let ip = match bare(host).as_str() {
        // Both families.
        "" => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::from(Ipv4Addr::LOCALHOST),
        host => host.parse().ok()?,
    };
    Some(SocketAddr::new(ip, port))
}

/// Where others reach a server that listens so; `own` are the addresses of the host.
///
/// A listener on all addresses is reached at those that others can have a route to (Go's IsGlobalUnicast).
pub(super) fn reachable(text: &str, own: &[IpAddr]) -> Vec<String> {
    let Some(at) = parse(text) else { return Vec::new() };
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
    fn addresses_are_read() {
        for (text, want) in [
            ("[::]", "[::]:8443"),
            (":8443", "[::]:8443"),
            ("127.0.0.1", "127.0.0.1:8443"),
            ("127.0.0.1:", "127.0.0.1:8443"),
            ("127.0.0.1:9443", "127.0.0.1:9443"),
            ("::1", "[::1]:8443"),
            ("[::1]", "[::1]:8443"),
            ("[::1]:9443", "[::1]:9443"),
            ("localhost:9000", "127.0.0.1:9000"),
            ("localhost", "127.0.0.1:8443"),
        ] {
            assert_eq!(parse(text).map(|a| a.to_string()).as_deref(), Some(want));
        }
        assert_eq!(parse("nope"), None);
    }

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
