//! `raw.dnsmasq`: the lines of dnsmasq's configuration (dnsmasq(8)) that our own server can honour. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What the lines ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// Further options for DHCPv4 clients: code and content.
    pub options: Vec<(u8, Vec<u8>)>,
    /// Names and their addresses.
    pub records: Vec<(String, IpAddr)>,
    /// Resolvers to forward to in place of the host's.
    pub upstream: Vec<SocketAddr>,
}

/// A line that can't be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its number, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// Options with names, and their codes (RFC 2132).
const OPTIONS: &[(&str, u8)] = &[
    ("netmask", 1),
    ("router", 3),
    ("dns-server", 6),
    ("log-server", 7),
    ("domain-name", 15),
    ("mtu", 26),
    ("broadcast", 28),
    ("ntp-server", 42),
    ("netbios-ns", 44),
    ("tftp-server", 66),
    ("bootfile-name", 67),
];

/// Reads the lines.
///
/// # Errors
/// The first line that can't be honoured.
pub fn parse(text: &str) -> Result<Raw, Refused> {
    let mut raw = Raw::default();
    let (mut servers, mut alone) = (None, false);
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refused = || Refused { line: n + 1, text: line.chars().take(200).collect() };
        let (word, value) = line.split_once('=').unwrap_or((line, ""));
        match word.trim() {
            "no-resolv" if value.is_empty() => alone = true,
            "server" => {
                raw.upstream.push(server(value.trim()).ok_or_else(refused)?);
                servers.get_or_insert_with(refused);
            }
            "host-record" => raw.records.extend(record(value).ok_or_else(refused)?),
            "dhcp-option" | "dhcp-option-force" => raw.options.push(option(value).ok_or_else(refused)?),
            "dhcp-authoritative" | "dhcp-rapid-commit" if value.is_empty() => {}
            _ => return Err(refused()),
        }
    }
    match servers {
        // Beside the host's resolvers, dnsmasq would ask those too: here it is one or the other.
        Some(first) if !alone => Err(first),
        _ => Ok(raw),
    }
}

/// `ADDRESS[#PORT]`; servers for single domains are not told apart here.
fn server(value: &str) -> Option<SocketAddr> {
    let (address, port) = value.split_once('#').unwrap_or((value, "53"));
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

/// `NAME[,NAME…],ADDRESS[,ADDRESS]`.
fn record(value: &str) -> Option<Vec<(String, IpAddr)>> {
    let items: Vec<&str> = value.split(',').map(str::trim).collect();
    let addresses: Vec<IpAddr> = items.iter().filter_map(|item| item.parse().ok()).collect();
    let names: Vec<&str> = items.iter().copied().filter(|item| item.parse::<IpAddr>().is_err()).collect();
    let good = names.iter().all(|name| super::zone::check_name(name).is_ok() && name.parse::<u32>().is_err());
    (good && !names.is_empty() && !addresses.is_empty())
        .then(|| names.iter().flat_map(|name| addresses.iter().map(|address| ((*name).to_owned(), *address))).collect())
}

/// `CODE,VALUE…` or `option:NAME,VALUE…`.
fn option(value: &str) -> Option<(u8, Vec<u8>)> {
    let (which, values) = value.split_once(',')?;
    let which = which.trim();
    let code = match which.strip_prefix("option:") {
        Some(name) => OPTIONS.iter().find(|(known, _)| *known == name)?.1,
        None => which.parse().ok().filter(|code| (1..255).contains(code))?,
    };
    let values: Vec<&str> = values.split(',').map(str::trim).collect();
    let addresses: Option<Vec<Ipv4Addr>> = values.iter().map(|v| v.parse().ok()).collect();
    let content = match (code, addresses, values.as_slice()) {
        (26, _, [mtu]) => mtu.parse::<u16>().ok()?.to_be_bytes().to_vec(),
        (_, Some(addresses), _) => addresses.iter().flat_map(|a| a.octets()).collect(),
        // A number could be of any width: only what is a text is taken as one.
        (_, None, [text]) if text.parse::<u64>().is_err() && !text.is_empty() => text.trim_matches('"').into(),
        _ => return None,
    };
    (content.len() <= 255).then_some((code, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_maps_is_read() {
        let text = "# ours\nno-resolv\nserver=192.0.2.53\nserver=192.0.2.54#5353\nhost-record=a.example,b,192.0.2.1,2001:db8::1\n\
            dhcp-option=42,192.0.2.3,192.0.2.4\n\n dhcp-option=option:domain-name,\"example.net\" \ndhcp-option=option:mtu,1400\n";
        let raw = parse(text).unwrap();
        assert_eq!(raw.upstream, ["192.0.2.53:53".parse().unwrap(), "192.0.2.54:5353".parse().unwrap()]);
        assert_eq!(raw.records.len(), 4);
        assert_eq!(raw.options[0], (42, vec![192, 0, 2, 3, 192, 0, 2, 4]));
        assert_eq!(raw.options[1], (15, b"example.net".to_vec()));
        assert_eq!(raw.options[2], (26, vec![5, 120]));
    }

    #[test]
    fn what_does_not_map_is_named_by_its_line() {
        for wrong in [
            "nonsense=1",
            "server=192.0.2.53",
            "server=/example.net/192.0.2.53\nno-resolv",
            "address=/example.net/192.0.2.1",
            "host-record=192.0.2.1",
            "dhcp-option=tag:x,6,192.0.2.1",
            "dhcp-option=300,x",
            "dhcp-option=option:nope,x",
            "dhcp-option=77,5",
        ] {
            let refused = parse(&format!("# first\n\n{wrong}")).unwrap_err();
            assert_eq!(refused.line, 3, "{wrong}");
        }
        let long = format!("dhcp-option=67,{}", "x".repeat(300));
        assert!(parse(&long).is_err());
    }
}
