//! Lines about names: records, and whole domains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use crate::runtime::network::dns::value;
use crate::runtime::network::zone::check_name;
use crate::runtime::spec::net::Domain;

/// A record of a name: its type, and its data as it is sent.
pub type Record = (String, u16, Vec<u8>);

fn is_name(text: &str) -> bool {
    check_name(text).is_ok() && text.parse::<IpAddr>().is_err() && text.parse::<u64>().is_err()
}

/// `ADDRESS[#PORT]`.
fn server(value: &str) -> Option<SocketAddr> {
    let (address, port) = value.split_once('#').unwrap_or((value, "53"));
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

/// Where questions go.
pub enum Servers {
    /// All of them, to this one.
    All(SocketAddr),
    /// Those about these domains.
    Of(Vec<Domain>),
}

/// `ADDRESS[#PORT]`, or `/DOMAIN/…/[ADDRESS[#PORT]]`: without an address nobody is asked about them.
pub fn servers(value: &str) -> Option<Servers> {
    let Some(list) = value.strip_prefix('/') else { return server(value).map(Servers::All) };
    let (domains, address) = list.rsplit_once('/')?;
    let servers = match address {
        "" => Vec::new(),
        address => vec![server(address)?],
    };
    let domain =
        |name: &str| Domain { name: name.to_ascii_lowercase(), servers: servers.clone(), addresses: Vec::new() };
    all(domains).map(|names| Servers::Of(names.into_iter().map(domain).collect()))
}

/// `/DOMAIN/…/[ADDRESS]`: the answer for everything in these domains. `#` is no address of either kind.
pub fn addresses(value: &str) -> Option<Vec<Domain>> {
    let (domains, address) = value.strip_prefix('/')?.rsplit_once('/')?;
    let addresses: Vec<IpAddr> = match address {
        "" => Vec::new(),
        "#" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        address => vec![address.parse().ok()?],
    };
    let domain =
        |name: &str| Domain { name: name.to_ascii_lowercase(), servers: Vec::new(), addresses: addresses.clone() };
    Some(all(domains)?.into_iter().map(domain).collect())
}

fn all(domains: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = domains.split('/').map(|d| d.trim_matches('.')).collect();
    names.iter().all(|name| is_name(name)).then_some(names)
}

/// `NAME[,NAME…],ADDRESS[,ADDRESS]`.
pub fn host_record(value: &str) -> Option<Vec<(String, IpAddr)>> {
    let items: Vec<&str> = value.split(',').map(str::trim).collect();
    let addresses: Vec<IpAddr> = items.iter().filter_map(|item| item.parse().ok()).collect();
    let names: Vec<&str> = items.iter().copied().filter(|item| item.parse::<IpAddr>().is_err()).collect();
    let good = !names.is_empty() && !addresses.is_empty() && names.iter().all(|name| is_name(name));
    good.then(|| names.iter().flat_map(|name| addresses.iter().map(|a| ((*name).to_owned(), *a))).collect())
}

/// `ALIAS[,ALIAS…],TARGET`.
pub fn cname(value: &str) -> Option<Vec<(String, String)>> {
    let names: Vec<&str> = value.split(',').map(str::trim).collect();
    let (target, aliases) = names.split_last()?;
    let good = !aliases.is_empty() && names.iter().all(|name| is_name(name));
    let lower = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    good.then(|| aliases.iter().map(|alias| (lower(alias), lower(target))).collect())
}

/// `NAME[,TEXT…]`.
pub fn txt(value: &str) -> Option<Record> {
    let (name, texts) = value.split_once(',').unwrap_or((value, ""));
    let quoted =
        |text: &str| format!("\"{}\"", text.trim().trim_matches('"').replace('\\', "\\\\").replace('"', "\\\""));
    let texts: Vec<String> = split(texts)?.into_iter().map(quoted).collect();
    record(name, RecordType::TXT, &texts.join(" "))
}

/// `NAME,TARGET`.
pub fn ptr(value: &str) -> Option<Record> {
    let (name, target) = value.split_once(',')?;
    record(name, RecordType::PTR, target)
}

/// `NAME,HOST[,PREFERENCE]`.
pub fn mx(value: &str) -> Option<Record> {
    let items: Vec<&str> = value.split(',').map(str::trim).collect();
    match items.as_slice() {
        [name, host] => record(name, RecordType::MX, &format!("1 {host}")),
        [name, host, preference] => record(name, RecordType::MX, &format!("{preference} {host}")),
        _ => None,
    }
}

/// `_SERVICE._PROTOCOL.NAME,TARGET[,PORT[,PRIORITY[,WEIGHT]]]`.
pub fn srv(value: &str) -> Option<Record> {
    let items: Vec<&str> = value.split(',').map(str::trim).collect();
    let number = |at: usize, default: &'static str| items.get(at).copied().unwrap_or(default);
    let target = items.get(1).filter(|_| items.len() <= 5)?;
    let text = format!("{} {} {} {target}", number(3, "0"), number(4, "0"), number(2, "1"));
    record(items[0], RecordType::SRV, &text)
}

fn record(name: &str, kind: RecordType, content: &str) -> Option<Record> {
    let name = name.trim().trim_end_matches('.');
    let data = value::parse(&kind.to_string(), content, &Name::root()).ok()?;
    is_name(name).then_some(())?;
    Some((name.to_ascii_lowercase(), kind.into(), data.to_bytes().ok()?))
}

/// Parts between commas that are not within quotes; none when quotes stay open.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        assert_eq!(txt("A.b,\"one, two\",three"), Some(("a.b".into(), 16, b"\x08one, two\x05three".to_vec())));
        assert_eq!(ptr("1.0.0.10.in-addr.arpa,c"), Some(("1.0.0.10.in-addr.arpa".into(), 12, b"\x01c\0".into())));
        assert_eq!(mx("d,m,5"), Some(("d".into(), 15, b"\0\x05\x01m\0".into())));
        assert_eq!(srv("_a._b.c,t,80,1,2"), Some(("_a._b.c".into(), 33, b"\0\x01\0\x02\0\x50\x01t\0".into())));
        assert_eq!(srv("_a._b.c,t,80,1,2,3"), None);
        assert_eq!(srv("_a._b.c"), None);
        assert_eq!(mx("d,m,x"), None);
        assert_eq!(txt("a b,x"), None);
        assert_eq!(cname("www, Mail.x,host.x").unwrap()[1], ("mail.x".into(), "host.x".into()));
        assert_eq!(cname("www"), None);
    }

    #[test]
    fn domains_are_read() {
        let domains = addresses("/a.example/.B/192.0.2.1").unwrap();
        assert_eq!((domains.len(), domains[1].name.as_str()), (2, "b"));
        assert_eq!(addresses("/a/#").unwrap()[0].addresses.len(), 2);
        assert!(addresses("/a/").unwrap()[0].addresses.is_empty());
        assert!(addresses("a/1.2.3.4").is_none() && addresses("/a/x").is_none() && addresses("//1.2.3.4").is_none());
        assert!(matches!(servers("192.0.2.1#54"), Some(Servers::All(at)) if at.port() == 54));
        assert!(matches!(servers("/x/y/192.0.2.1"), Some(Servers::Of(list)) if list.len() == 2));
        assert!(servers("/x/eth0").is_none() && servers("x").is_none());
    }
}
