//! `dhcp-option`: what clients are told, as dnsmasq writes it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::BinEncodable;

/// What an option says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// As it is sent. Nothing: the option is left out.
    Bytes(Vec<u8>),
    /// Addresses; the unspecified one stands for the bridge's own.
    Addresses(Vec<IpAddr>),
}

impl Content {
    /// What is sent by a bridge with these addresses.
    pub fn bytes(&self, own4: Option<Ipv4Addr>, own6: Option<Ipv6Addr>) -> Vec<u8> {
        let octets = |address: &IpAddr| match address {
            IpAddr::V4(a) => own4.filter(|_| a.is_unspecified()).unwrap_or(*a).octets().to_vec(),
            IpAddr::V6(a) => own6.filter(|_| a.is_unspecified()).unwrap_or(*a).octets().to_vec(),
        };
        match self {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Addresses(list) => list.iter().flat_map(octets).collect(),
        }
    }
}

/// An option of either protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// DHCPv4: code and content.
    V4(u8, Content),
    /// DHCPv6: code and content.
    V6(u16, Content),
}

/// What the value of an option looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Addresses,
    /// A number of so many bytes.
    Number(usize),
    Text,
    /// Names of domains.
    Names,
    /// Networks and the routers to them (RFC 3442).
    Routes,
    /// Whatever the value looks like.
    Any,
}

use Form::{Addresses, Names, Number, Routes, Text};

/// Names of DHCPv4's options that dnsmasq knows, their codes (RFC 2132) and forms.
const V4: &[(&str, u8, Form)] = &[
    ("netmask", 1, Addresses),
    ("time-offset", 2, Number(4)),
    ("router", 3, Addresses),
    ("dns-server", 6, Addresses),
    ("log-server", 7, Addresses),
    ("lpr-server", 9, Addresses),
    ("boot-file-size", 13, Number(2)),
    ("domain-name", 15, Text),
    ("swap-server", 16, Addresses),
    ("root-path", 17, Text),
    ("extension-path", 18, Text),
    ("ip-forward-enable", 19, Number(1)),
    ("non-local-source-routing", 20, Number(1)),
    ("policy-filter", 21, Addresses),
    ("max-datagram-reassembly", 22, Number(2)),
    ("default-ttl", 23, Number(1)),
    ("mtu", 26, Number(2)),
    ("all-subnets-local", 27, Number(1)),
    ("broadcast", 28, Addresses),
    ("router-discovery", 31, Number(1)),
    ("router-solicitation", 32, Addresses),
    ("static-route", 33, Addresses),
    ("trailer-encapsulation", 34, Number(1)),
    ("arp-timeout", 35, Number(4)),
    ("ethernet-encap", 36, Number(1)),
    ("tcp-ttl", 37, Number(1)),
    ("tcp-keepalive", 38, Number(4)),
    ("nis-domain", 40, Text),
    ("nis-server", 41, Addresses),
    ("ntp-server", 42, Addresses),
    ("netbios-ns", 44, Addresses),
    ("netbios-dd", 45, Addresses),
    ("netbios-nodetype", 46, Number(1)),
    ("netbios-scope", 47, Text),
    ("x-windows-fs", 48, Addresses),
    ("x-windows-dm", 49, Addresses),
    ("vendor-class", 60, Text),
    ("nis+-domain", 64, Text),
    ("nis+-server", 65, Addresses),
    ("tftp-server", 66, Text),
    ("bootfile-name", 67, Text),
    ("mobile-ip-home", 68, Addresses),
    ("smtp-server", 69, Addresses),
    ("pop3-server", 70, Addresses),
    ("nntp-server", 71, Addresses),
    ("irc-server", 74, Addresses),
    ("posix-timezone", 100, Text),
    ("tzdb-timezone", 101, Text),
    ("ipv6-only", 108, Number(4)),
    ("domain-search", 119, Names),
    ("classless-static-route", 121, Routes),
];

/// The same of DHCPv6 (RFC 3319, 3646, 3898, 4075, 4833, 5970).
const V6: &[(&str, u16, Form)] = &[
    ("sip-server-domain", 21, Names),
    ("sip-server", 22, Addresses),
    ("dns-server", 23, Addresses),
    ("domain-search", 24, Names),
    ("nis-server", 27, Addresses),
    ("nis+-server", 28, Addresses),
    ("sntp-server", 31, Addresses),
    ("information-refresh-time", 32, Number(4)),
    ("posix-timezone", 41, Text),
    ("tzdb-timezone", 42, Text),
    ("bootfile-url", 59, Text),
];

/// Codes that are the protocol's own: the server says them, and nobody else.
const OWN4: &[u8] = &[50, 51, 52, 53, 54, 55, 57, 58, 59, 61, 80, 81, 82];
/// The same of DHCPv6: identifiers, addresses and statuses.
const OWN6: std::ops::RangeInclusive<u16> = 1..=20;

/// `CODE,VALUE…`, `option:NAME,VALUE…` or `option6:NAME_OR_CODE,VALUE…`; without a value the option is left out.
pub fn parse(text: &str) -> Option<Told> {
    let (which, values) = text.split_once(',').unwrap_or((text, ""));
    let which = which.trim();
    if let Some(which) = which.strip_prefix("option6:") {
        let known = V6.iter().find(|(name, code, _)| *name == which || code.to_string() == which);
        let (code, form) = match known {
            Some((_, code, form)) => (*code, *form),
            None => (which.parse().ok().filter(|code| !OWN6.contains(code) && *code > 0)?, Form::Any),
        };
        return Some(Told::V6(code, content(form, values, false)?));
    }
    let which = which.strip_prefix("option:").unwrap_or(which);
    let known = V4.iter().find(|(name, code, _)| *name == which || code.to_string() == which);
    let (code, form) = match known {
        Some((_, code, form)) => (*code, *form),
        None => (which.parse().ok().filter(|code| (1..255).contains(code) && !OWN4.contains(code))?, Form::Any),
    };
    let content = content(form, values, true)?;
    (content.bytes(None, None).len() <= 255).then_some(Told::V4(code, content))
}

fn content(form: Form, values: &str, four: bool) -> Option<Content> {
    let text = values.trim();
    if text.is_empty() {
        return Some(Content::Bytes(Vec::new()));
    }
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    match form {
        Form::Addresses => addresses(&items, four),
        Form::Number(bytes) => match items.as_slice() {
            [one] => number(one, bytes).map(Content::Bytes),
            _ => None,
        },
        Form::Text => Some(Content::Bytes(unquoted(text).into())),
        Form::Names => names(&items).map(Content::Bytes),
        Form::Routes => routes(&items).map(Content::Bytes),
        Form::Any => addresses(&items, four).or_else(|| any(text, &items).map(Content::Bytes)),
    }
}

/// What an option that has no known form says: bytes in hex, or a text. A bare number could be of any width.
fn any(text: &str, items: &[&str]) -> Option<Vec<u8>> {
    let hex: Option<Vec<u8>> =
        text.split(':').map(|b| u8::from_str_radix(b, 16).ok().filter(|_| b.len() <= 2)).collect();
    if let Some(bytes) = hex.filter(|_| text.contains(':')) {
        return Some(bytes);
    }
    for (letter, bytes) in [('b', 1), ('s', 2), ('i', 4)] {
        if let Some(value) = text.strip_suffix(letter).filter(|digits| digits.parse::<u32>().is_ok()) {
            return number(value, bytes);
        }
    }
    let [one] = items else { return None };
    one.parse::<u64>().is_err().then(|| unquoted(one).into())
}

fn addresses(items: &[&str], four: bool) -> Option<Content> {
    let bare = |item: &&str| -> Option<IpAddr> {
        let inside = item.strip_prefix('[').and_then(|i| i.strip_suffix(']')).unwrap_or(item);
        inside.parse().ok().filter(|address: &IpAddr| address.is_ipv4() == four)
    };
    items.iter().map(bare).collect::<Option<_>>().map(Content::Addresses)
}

/// A decimal number, also a negative one (the offset of a time zone), in so many bytes.
fn number(text: &str, bytes: usize) -> Option<Vec<u8>> {
    let value: i64 = text.parse().ok()?;
    let (least, most) = (-(1i64 << (bytes * 8 - 1)), (1i64 << (bytes * 8)) - 1);
    (least..=most).contains(&value).then(|| value.to_be_bytes()[8 - bytes..].to_vec())
}

fn names(items: &[&str]) -> Option<Vec<u8>> {
    let name = |item: &&str| Name::from_ascii(format!("{}.", item.trim_end_matches('.'))).ok()?.to_bytes().ok();
    Some(items.iter().map(name).collect::<Option<Vec<_>>>()?.concat())
}

/// `NETWORK/PREFIX,ROUTER`, several times.
fn routes(items: &[&str]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for pair in items.chunks(2) {
        let [network, router] = pair else { return None };
        let (network, prefix) = network.split_once('/')?;
        let (network, router): (Ipv4Addr, Ipv4Addr) = (network.parse().ok()?, router.parse().ok()?);
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32)?;
        bytes.push(prefix);
        bytes.extend(&network.octets()[..usize::from(prefix.div_ceil(8))]);
        bytes.extend(router.octets());
    }
    Some(bytes)
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_dnsmasq_reads_them() {
        let four = |code, bytes: &[u8]| Some(Told::V4(code, Content::Bytes(bytes.to_vec())));
        let own: Ipv4Addr = "10.0.0.1".parse().unwrap();
        for (text, want) in [
            ("option:mtu,1400", four(26, &[5, 120])),
            ("26,1400", four(26, &[5, 120])),
            ("option:time-offset,-3600", four(2, &[255, 255, 241, 240])),
            ("3", four(3, &[])),
            ("option:domain-name,\"example.net\"", four(15, b"example.net")),
            ("option:domain-search,a.b,c", four(119, b"\x01a\x01b\0\x01c\0")),
            ("121,10.0.0.0/8,10.1.2.3", four(121, &[8, 10, 10, 1, 2, 3])),
            ("224,01:02:ff", four(224, &[1, 2, 255])),
            ("224,5b", four(224, &[5])),
            ("224,some text", four(224, b"some text")),
            ("option6:domain-search,a", Some(Told::V6(24, Content::Bytes(b"\x01a\0".to_vec())))),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
        let Some(Told::V4(42, ntp)) = parse("option:ntp-server,0.0.0.0,192.0.2.4") else { panic!() };
        assert_eq!(ntp.bytes(Some(own), None), [10, 0, 0, 1, 192, 0, 2, 4]);
        let Some(Told::V6(23, dns)) = parse("option6:dns-server,[::],[fd00::1]") else { panic!() };
        assert_eq!(dns.bytes(None, Some("fd42::1".parse().unwrap())).len(), 32);
        assert_eq!(dns.bytes(None, Some("fd42::1".parse().unwrap()))[..2], [0xfd, 0x42]);
    }

    #[test]
    fn what_nobody_can_tell_is_refused() {
        for wrong in [
            "300,x",
            "option:nope,x",
            "224,5",
            "26,70000",
            "51,10",
            "option:server-ip-address,1.2.3.4",
            "3,fd00::1",
            "option6:1,01:02",
            "option6:dns-server,10.0.0.1",
            "121,10.0.0.0/8",
            "option:mtu,1400,1500",
            "tag:x,6,192.0.2.1",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
