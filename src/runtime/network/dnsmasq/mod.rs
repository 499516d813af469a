//! `raw.dnsmasq`: the lines of dnsmasq's configuration (dnsmasq(8)) that our own server can honour. Pure.
//!
//! What asks for something that it can't do, or is about dnsmasq as a program (files, users, logs), is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use self::options::{Content, Told};
use crate::runtime::spec::net::{Boot, Domain, Host, Mac};

mod names;
pub mod options;

/// What the lines ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// Further options for DHCPv4 clients: code and content.
    pub options: Vec<(u8, Content)>,
    /// The same of DHCPv6.
    pub options6: Vec<(u16, Content)>,
    /// What clients that boot from the network are told.
    pub boot: Option<Boot>,
    /// Interfaces with addresses or names of their own.
    pub hosts: Vec<Host>,
    /// Leases at most.
    pub leases: Option<usize>,
    /// Names and their addresses.
    pub records: Vec<(String, IpAddr)>,
    /// Other names and what they stand for.
    pub aliases: Vec<(String, String)>,
    /// Records of other types.
    pub data: Vec<names::Record>,
    /// What is answered for whole domains, or who is asked about them.
    pub domains: Vec<Domain>,
    /// Resolvers to forward to in place of the host's.
    pub upstream: Vec<SocketAddr>,
    /// Whether nobody is asked about names without a dot.
    pub whole_names: bool,
    /// Whether nobody is asked about addresses of private networks.
    pub private_stays: bool,
    /// Seconds that our names may be remembered.
    pub ttl: u32,
}

/// A line that can't be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its number, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// What is so in any case: addresses are given out with authority and at once where clients know how, `/etc/hosts` is
/// not looked at, names have the domain, servers are asked in their order, and nothing is written to a log.
const SO_ANYWAY: &[&str] = &[
    "dhcp-authoritative",
    "dhcp-rapid-commit",
    "enable-ra",
    "expand-hosts",
    "localise-queries",
    "no-hosts",
    "no-negcache",
    "quiet-dhcp",
    "quiet-dhcp6",
    "quiet-ra",
    "strict-order",
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
        let (word, value) = line.split_once('=').map_or((line, None), |(w, v)| (w.trim(), Some(v.trim())));
        let before = raw.upstream.len();
        match (word, value) {
            ("no-resolv", None) => alone = true,
            (word, None) => flag(&mut raw, word).ok_or_else(refused)?,
            (word, Some(value)) => key(&mut raw, word, value).ok_or_else(refused)?,
        }
        if raw.upstream.len() > before {
            servers.get_or_insert_with(refused);
        }
    }
    match servers {
        // Beside the host's resolvers, dnsmasq would ask those too: here it is one or the other.
        Some(first) if !alone => Err(first),
        _ => Ok(raw),
    }
}

/// A line of one word.
fn flag(raw: &mut Raw, word: &str) -> Option<()> {
    match word {
        "domain-needed" => raw.whole_names = true,
        "bogus-priv" => raw.private_stays = true,
        word if SO_ANYWAY.contains(&word) => {}
        _ => return None,
    }
    Some(())
}

/// A line with a value.
fn key(raw: &mut Raw, word: &str, value: &str) -> Option<()> {
    match word {
        "server" | "local" => match names::servers(value)? {
            // `local` without a domain would be no name at all.
            names::Servers::All(server) if word == "server" => raw.upstream.push(server),
            names::Servers::All(_) => return None,
            names::Servers::Of(domains) => raw.domains.extend(domains),
        },
        "address" => raw.domains.extend(names::addresses(value)?),
        "host-record" => raw.records.extend(names::host_record(value)?),
        "cname" => raw.aliases.extend(names::cname(value)?),
        "txt-record" => raw.data.push(names::txt(value)?),
        "ptr-record" => raw.data.push(names::ptr(value)?),
        "mx-host" => raw.data.push(names::mx(value)?),
        "srv-host" => raw.data.push(names::srv(value)?),
        "local-ttl" => raw.ttl = value.parse().ok().filter(|ttl| *ttl <= 86400)?,
        // Nothing is remembered of what others answer.
        "cache-size" if value == "0" => {}
        "dhcp-option" | "dhcp-option-force" => match options::parse(value)? {
            Told::V4(code, content) => raw.options.push((code, content)),
            Told::V6(code, content) => raw.options6.push((code, content)),
        },
        "dhcp-boot" => raw.boot = Some(boot(value)?),
        "dhcp-host" => raw.hosts.push(host(value)?),
        "dhcp-lease-max" => raw.leases = Some(value.parse().ok()?),
        _ => return None,
    }
    Some(())
}

/// `FILE[,SERVER NAME[,ADDRESS]]`.
fn boot(value: &str) -> Option<Boot> {
    let items: Vec<&str> = value.split(',').map(str::trim).collect();
    let plain = |text: &str, longest| text.is_ascii() && text.len() <= longest && !text.contains([':', '"']);
    let (file, name, server) = match items.as_slice() {
        [file] => (*file, "", None),
        [file, name] => (*file, *name, None),
        [file, name, server] => (*file, *name, Some(server.parse().ok()?)),
        _ => return None,
    };
    // The fields of a message without their end (RFC 2131 section 2).
    let good = !file.is_empty() && file.is_ascii() && file.len() < 128 && plain(name, 63);
    (good && !file.starts_with("tag:")).then(|| Boot { file: file.into(), server_name: name.into(), server })
}

/// `HARDWARE ADDRESS[,NAME][,IPv4][,[IPv6]]`, with at least one of them.
fn host(value: &str) -> Option<Host> {
    let mut items = value.split(',').map(str::trim);
    let mut host = Host { mac: items.next()?.to_ascii_lowercase().parse::<Mac>().ok()?, ..Host::default() };
    for item in items {
        let six = item.strip_prefix('[').and_then(|i| i.strip_suffix(']'));
        if let (Ok(address), None) = (item.parse::<Ipv4Addr>(), host.v4) {
            host.v4 = Some(address);
        } else if let (Some(Ok(address)), None) = (six.map(str::parse::<Ipv6Addr>), host.v6) {
            host.v6 = Some(address);
        } else if host.name.is_empty() && is_label(item) {
            host.name = item.to_ascii_lowercase();
        } else {
            return None;
        }
    }
    (host.v4.is_some() || host.v6.is_some() || !host.name.is_empty()).then_some(host)
}

/// A name of a host, and neither a time that a lease lasts nor `ignore`.
fn is_label(item: &str) -> bool {
    let good = item.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let edge = item.starts_with('-') || item.ends_with('-') || item.is_empty() || item.len() > 63;
    good && !edge && item != "ignore" && super::serve::seconds(item).is_none() && item.parse::<u64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_maps_is_read() {
        let text = "# ours\nno-resolv\nserver=192.0.2.53\nserver=192.0.2.54#5353\nserver=/corp/192.0.2.55\n\
            host-record=a.example,b,192.0.2.1,2001:db8::1\naddress=/ads.example/0.0.0.0\nlocal=/home.arpa/\n\
            dhcp-option=42,192.0.2.3,192.0.2.4\n\n dhcp-option=option:domain-name,\"example.net\" \n\
            dhcp-option=option6:dns-server,[fd00::1]\ndomain-needed\nbogus-priv\nno-hosts\ncache-size=0\n\
            dhcp-host=00:16:3E:00:00:07,printer,10.0.0.7,[fd42::7]\ndhcp-lease-max=50\ncname=www,a.example\n\
            dhcp-boot=pxe.0,boot,192.0.2.9\nlocal-ttl=30\ntxt-record=t,\"x\"\n";
        let raw = parse(text).unwrap();
        assert_eq!(raw.upstream, ["192.0.2.53:53".parse().unwrap(), "192.0.2.54:5353".parse().unwrap()]);
        assert_eq!((raw.records.len(), raw.domains.len(), raw.aliases.len(), raw.data.len()), (4, 3, 1, 1));
        assert_eq!((raw.options.len(), raw.options6.len(), raw.leases, raw.ttl), (2, 1, Some(50), 30));
        assert!(raw.whole_names && raw.private_stays);
        let host = &raw.hosts[0];
        assert_eq!((host.name.as_str(), host.mac.to_string().as_str()), ("printer", "00:16:3e:00:00:07"));
        assert!(host.v4.is_some() && host.v6.is_some());
        let server = Some("192.0.2.9".parse().unwrap());
        assert_eq!(raw.boot, Some(Boot { file: "pxe.0".into(), server_name: "boot".into(), server }));
    }

    #[test]
    fn what_does_not_map_is_named_by_its_line() {
        for wrong in [
            "nonsense=1",
            "nonsense",
            "server=192.0.2.53",
            "local=192.0.2.53\nno-resolv",
            "host-record=192.0.2.1",
            "no-hosts=1",
            "domain-needed=1",
            "cache-size=150",
            "log-queries",
            "conf-file=/etc/x",
            "addn-hosts=/etc/x",
            "dhcp-script=/bin/sh",
            "dhcp-option=tag:x,6,192.0.2.1",
            "dhcp-option=300,x",
            "dhcp-boot=tag:x,file",
            "dhcp-host=00:16:3e:00:00:07",
            "dhcp-host=00:16:3e:00:00:07,ignore",
            "dhcp-host=00:16:3e:00:00:07,10.0.0.7,12h",
            "dhcp-host=id:x,10.0.0.7",
            "dhcp-lease-max=x",
            "local-ttl=x",
        ] {
            let refused = parse(&format!("# first\n\n{wrong}")).unwrap_err();
            assert_eq!(refused.line, 3, "{wrong}");
        }
        let long = format!("dhcp-option=67,{}", "x".repeat(300));
        assert!(parse(&long).is_err());
    }
}
