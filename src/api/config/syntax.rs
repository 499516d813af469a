//! The readers behind kinds whose syntax takes more than a line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kind::require;
use crate::api::types;

/// `ADDRESS/LENGTH`, of IPv4 or IPv6; a `network` has no bits behind its length.
pub(super) fn cidr(text: &str, v4: bool, network: bool) -> Result<(), String> {
    let wrong = || format!("invalid CIDR address: {text}");
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = !length.is_empty() && length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
    let length: u32 = length.parse().ok().filter(|n| digits && *n <= most).ok_or_else(wrong)?;
    let name = if v4 { "IPv4" } else { "IPv6" };
    require(address.is_ipv4() == v4, || {
        let what = if network { "network" } else { "address" };
        format!("Not an {name} {what} {text:?}")
    })?;
    let host_bits = match address {
        IpAddr::V4(a) => u128::from(u32::from(a)) & mask(32 - length),
        IpAddr::V6(a) => u128::from(a) & mask(128 - length),
    };
    require(!network || host_bits == 0, || format!("Not an {name} network address {text:?}"))?;
    // LXD calls the first address of a network unusable, also that of one with a single address.
    require(network || host_bits != 0, || format!("Not a usable {name} address {text:?}"))
}

/// The lowest `bits` bits.
fn mask(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// `FIRST-LAST`.
pub(super) fn range(text: &str, v4: bool) -> Result<(), String> {
    let (first, last) =
        text.split_once('-').ok_or_else(|| "IP range must contain start and end IP addresses".to_owned())?;
    let check = |end: &str, address: &str| {
        let good = if v4 { address.parse::<Ipv4Addr>().is_ok() } else { address.parse::<Ipv6Addr>().is_ok() };
        require(good, || format!("{end} not a valid IP address {address:?}"))
    };
    check("Start", first)?;
    check("End", last)?;
    let ordered = match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
        (Ok(first), Ok(last)) => first <= last,
        _ => false,
    };
    require(ordered, || "Start IP must be less than end IP".into())
}

/// `12` or `10-20`.
pub(super) fn vlan_range(text: &str) -> Result<(), String> {
    let wrong = || format!("Invalid VLAN range input: {text}");
    let (first, last) = match text.split_once('-') {
        Some(("", last)) => return Err(format!("Invalid VLAN range boundary. start:, end:{last}")),
        Some((first, "")) => return Err(format!("Invalid VLAN range boundary. start:{first}, end:")),
        Some(ends) => ends,
        None => (text, text),
    };
    let id = |t: &str| t.parse::<u16>().ok().filter(|n| *n <= 4094);
    let (first, last) = (id(first).ok_or_else(wrong)?, id(last).ok_or_else(wrong)?);
    require(first <= last, wrong)
}

/// The name of an interface (kernel: 15 bytes, no slash, no white space); LXD wants two characters at least.
pub(super) fn interface(text: &str) -> Result<(), String> {
    require(text.len() >= 2, || "Network interface is too short (minimum 2 characters)".into())?;
    require(text.len() <= 15, || "Network interface is too long (maximum 15 characters)".into())?;
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    require(good && text != "..", || "Network interface contains invalid characters".into())
}

/// Bytes in hexadecimal with colons between them, one of `counts` many.
pub(super) fn hex_bytes(text: &str, counts: &[usize]) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    counts.contains(&bytes.len()) && bytes.iter().all(|b| b.len() == 2 && b.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// `8-4-4-4-12` hexadecimal digits.
pub(super) fn uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// `[DDDD:]BB:SS.F` in hexadecimal.
pub(super) fn pci(text: &str) -> bool {
    let hex = |t: &str, n: usize| t.len() == n && t.bytes().all(|b| b.is_ascii_hexdigit());
    let Some((place, function)) = text.rsplit_once('.') else { return false };
    let parts: Vec<&str> = place.split(':').collect();
    let place = match parts.as_slice() {
        [domain, bus, slot] => hex(domain, 4) && hex(bus, 2) && hex(slot, 2),
        [bus, slot] => hex(bus, 2) && hex(slot, 2),
        _ => false,
    };
    place && hex(function, 1)
}

/// `SOFT:HARD` or one value for both, each a number or `unlimited`.
pub(super) fn rlimit(text: &str) -> Result<(), String> {
    let number = |t: &str| t == "unlimited" || (!t.starts_with('+') && t.parse::<u64>().is_ok());
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    require(number(soft) && number(hard), || format!("Invalid resource limit {text:?}"))
}

/// A YAML mapping, as cloud-init's network configuration is one. A key may be there twice.
pub(super) fn yaml(text: &str) -> Result<(), String> {
    match types::is_yaml_map(text) {
        Ok(true) => Ok(()),
        Ok(false) => Err("yaml: unmarshal errors:\n  line 1: not a mapping".into()),
        Err(e) => Err(format!("yaml: {e}")),
    }
}

/// An address to listen on: `HOST`, `HOST:PORT`, `:PORT`, `[IPV6]:PORT`.
///
/// LXD asks the resolver about host names; here only addresses and the name `localhost` are taken.
pub(super) fn address(text: &str) -> Result<(), String> {
    let unresolved = |host: &str| format!("Couldn't resolve {host:?}");
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let (host, port) = match text.rsplit_once(':') {
        // The colons of a bare address in brackets.
        _ if text.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if let Some(port) = port.filter(|port| !port.is_empty()) {
        require(!port.starts_with('+') && port.parse::<u16>().is_ok(), || {
            format!("Invalid port {port:?} in {text:?}")
        })?;
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let known = matches!(bare, "localhost") || (bare.is_empty() && port.is_some()) || bare.parse::<IpAddr>().is_ok();
    require(known, || unresolved(bare))
}

/// `tcp:HOST:PORTS`, `udp:HOST:PORTS` or `unix:PATH`; no host means every one of this machine, and its own.
pub(super) fn proxy_address(text: &str) -> Result<(), String> {
    let (protocol, rest) = text.split_once(':').unwrap_or((text, ""));
    match protocol {
        "unix" => require(!rest.is_empty(), || format!("Invalid unix address {text:?}")),
        "tcp" | "udp" => {
            let (host, ports) = rest.rsplit_once(':').ok_or_else(|| format!("Invalid address {text:?}"))?;
            let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
            require(bare.is_some() || !host.contains(':'), || format!("address {rest}: too many colons in address"))?;
            let bare = bare.unwrap_or(host);
            require(host.is_empty() || bare.parse::<IpAddr>().is_ok(), || format!("Not an IP address {bare:?}"))?;
            ports.split(',').try_for_each(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let port = |t: &str| t.parse::<u16>().ok();
                let good = matches!((port(first), port(last)), (Some(first), Some(last)) if first <= last);
                require(good, || format!("Invalid port number {part:?}"))
            })
        }
        _ => Err(format!("Unknown protocol type {protocol:?}")),
    }
}

/// The name of a compressor with its options.
pub(super) fn compression(text: &str) -> Result<(), String> {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or("");
    let known = matches!(name, "none" | "bzip2" | "gzip" | "lzma" | "squashfs" | "xz" | "zstd");
    require(known, || format!("Invalid compression algorithm {name:?}"))?;
    let option = |w: &str| {
        w.strip_prefix('-').is_some_and(|o| !o.is_empty() && o.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    require(words.all(option), || format!("Invalid compression options in {text:?}"))
}

/// `1000` or `1000-2000`.
pub(super) fn id_range(text: &str) -> Result<(), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |t: &str| {
        let plain = !t.starts_with('+');
        t.parse::<u32>().ok().filter(|_| plain).ok_or_else(|| format!("Invalid number {t:?}"))
    };
    let (first, last) = (number(first)?, number(last)?);
    require(first <= last, || format!("Invalid range {text:?}"))
}

/// `NETWORK:SUBNET`.
pub(super) fn uplink_subnet(text: &str) -> Result<(), String> {
    let subnet = text.split_once(':').filter(|(network, _)| !network.is_empty()).map(|(_, subnet)| subnet);
    let good = subnet.is_some_and(|s| cidr(s, true, true).is_ok() || cidr(s, false, true).is_ok());
    require(good, || format!("Subnet {text:?} invalid, must be in the format of \"<uplink network>:<subnet>\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks() {
        assert!(cidr("10.1.2.3/24", true, false).is_ok());
        assert_eq!(cidr("10.1.2.3/24", true, true), Err("Not an IPv4 network address \"10.1.2.3/24\"".into()));
        assert!(cidr("10.1.2.0/24", true, true).is_ok());
        assert_eq!(cidr("10.1.2.0/24", true, false), Err("Not a usable IPv4 address \"10.1.2.0/24\"".into()));
        assert!(cidr("fd00::/64", false, true).is_ok());
        assert!(cidr("0.0.0.0/0", true, true).is_ok());
        assert!(cidr("::/0", false, true).is_ok());
        for wrong in ["?x", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/+1", "1.2.3.4/", "::/129"] {
            assert_eq!(cidr(wrong, true, false), Err(format!("invalid CIDR address: {wrong}")));
        }
        assert!(range("10.0.0.2-10.0.0.9", true).is_ok());
        assert!(range("10.0.0.9-10.0.0.2", true).is_err());
        assert!(address("127.0.0.1:8443").is_ok() && address("[::]:8443").is_ok() && address(":8443").is_ok());
        assert!(address("[::]").is_ok() && address("127.0.0.1:").is_ok() && address("[::1").is_err());
        assert_eq!(address("a b"), Err("Couldn't resolve \"a b\"".into()));
    }

    #[test]
    fn things_of_the_host() {
        assert!(pci("0000:00:1f.2") && pci("00:1f.2"));
        assert!(!pci("x") && !pci("0000:00:1f") && !pci(""));
        assert!(uuid("c904725f-0d7d-4afd-9ad7-e12ee4b853e1") && !uuid("x"));
        assert!(hex_bytes("00:16:3e:aa:bb:cc", &[6]) && !hex_bytes("00:16:3e:aa:bb:cg", &[6]));
        assert!(
            interface("eth0").is_ok()
                && interface("a/b").is_err()
                && interface("a:b").is_err()
                && interface("x").is_err()
        );
        assert!(proxy_address("tcp:127.0.0.1:80-90,443").is_ok() && proxy_address("tcp:[::1]:80").is_ok());
        assert_eq!(proxy_address("x"), Err("Unknown protocol type \"x\"".into()));
        assert!(rlimit("1000:unlimited").is_ok() && rlimit("x").is_err());
    }
}
