//! What the helper process of a bridge serves: addresses, router advertisements, names. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bridge::{Bridge, Family};
use super::dnsmasq::{self, options::Content};
use super::plan::{BridgePlan, Facts};
use super::subnet::Subnet;
use crate::runtime::spec;
use crate::runtime::spec::net::{DnsMode, DnsPlan, Extra, Host, Mac, NetPlan, V4Plan, V6Mode, V6Plan};

/// How long leases last when nothing is said, in seconds.
const EXPIRY: u32 = 3600;

/// The plan for a bridge that has the number `ifindex` on the host; none where it has no address to serve on.
pub fn plan(facts: &Facts, bridge: &BridgePlan, ifindex: u32) -> Option<NetPlan> {
    if bridge.addresses.is_empty() {
        return None;
    }
    let config = Bridge(&facts.network.config);
    let domain = config.text("dns.domain").unwrap_or("lxd").trim_matches('.').to_owned();
    let addresses: Vec<IpAddr> = bridge.addresses.iter().map(|s| s.address).collect();
    // What can't be honoured was refused when it was set.
    let raw = dnsmasq::parse(config.text("raw.dnsmasq").unwrap_or_default()).unwrap_or_default();
    let gateway = addresses.iter().map(|address| (format!("_gateway.{domain}"), *address));
    let dns = DnsPlan {
        mode: match config.text("dns.mode") {
            Some("none") => DnsMode::None,
            Some("dynamic") => DnsMode::Dynamic,
            _ => DnsMode::Managed,
        },
        search: config.list("dns.search").into_iter().map(str::to_owned).collect(),
        // As LXD's does, so that guests can name their way out.
        records: gateway.chain(raw.records).collect(),
        upstream: raw.upstream,
        domain,
        resolv_conf: None,
        aliases: raw.aliases,
        data: raw.data,
        domains: raw.domains,
        whole_names: raw.whole_names,
        private_stays: raw.private_stays,
        ttl: raw.ttl,
    };
    let own6 = addresses.iter().find_map(|a| if let IpAddr::V6(a) = a { Some(*a) } else { None });
    let extra = Extra {
        options6: raw.options6.iter().map(|(code, content)| (*code, content.bytes(None, own6))).collect(),
        boot: raw.boot,
        leases: raw.leases,
    };
    Some(NetPlan {
        version: spec::VERSION,
        network: facts.network.name.clone(),
        bridge: bridge.name.clone(),
        ifindex,
        mac: Mac(bridge.mac.0),
        addresses,
        v4: v4(config, &raw.options),
        v6: v6(config),
        dns: Some(dns),
        hosts: hosts(facts).into_iter().chain(raw.hosts).collect(),
        mtu: (bridge.mtu != 1500).then_some(bridge.mtu),
        extra,
    })
}

fn v4(config: Bridge<'_>, options: &[(u8, Content)]) -> Option<V4Plan> {
    let subnet = config.subnet(Family::V4).filter(|_| config.dhcp(Family::V4))?;
    let IpAddr::V4(address) = subnet.address else { return None };
    Some(V4Plan {
        address,
        prefix: subnet.prefix,
        ranges: ranges4(config, subnet),
        expiry: config.text("ipv4.dhcp.expiry").and_then(seconds).unwrap_or(EXPIRY),
        gateway: config.text("ipv4.dhcp.gateway").and_then(|g| g.parse().ok()),
        routes: Vec::new(),
        options: options.iter().map(|(code, content)| (*code, content.bytes(Some(address), None))).collect(),
    })
}

/// The addresses that are given out, when nothing is kept.
pub fn ranges4(config: Bridge<'_>, subnet: Subnet) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let said: Vec<_> = config.list("ipv4.dhcp.ranges").into_iter().filter_map(ends).collect();
    if !said.is_empty() {
        return said;
    }
    match (subnet.first(), subnet.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) if subnet.prefix <= 30 => {
            let (from, to) = (u32::from(first) + 1, u32::from(last) - 1);
            // LXD leaves out the first address too, which the bridge usually has.
            let from = if from < to { from + 1 } else { from };
            vec![(from.into(), to.into())]
        }
        _ => Vec::new(),
    }
}

fn v6(config: Bridge<'_>) -> Option<V6Plan> {
    let subnet = config.subnet(Family::V6)?;
    let IpAddr::V6(address) = subnet.address else { return None };
    let mode = if !config.dhcp(Family::V6) {
        V6Mode::Slaac
    } else if config.on("ipv6.dhcp.stateful", false) {
        let expiry = config.text("ipv6.dhcp.expiry").and_then(seconds).unwrap_or(EXPIRY);
        V6Mode::Stateful { ranges: ranges6(config, subnet), expiry }
    } else {
        V6Mode::Stateless
    };
    Some(V6Plan { address, prefix: subnet.prefix, mode, router: config.on("ipv6.routing", true) })
}

fn ranges6(config: Bridge<'_>, subnet: Subnet) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    let said: Vec<_> = config.list("ipv6.dhcp.ranges").into_iter().filter_map(ends).collect();
    if !said.is_empty() {
        return said;
    }
    match (subnet.first(), subnet.last()) {
        (IpAddr::V6(first), IpAddr::V6(last)) if subnet.prefix <= 126 => {
            vec![((u128::from(first) + 2).into(), last)]
        }
        _ => Vec::new(),
    }
}

fn ends<T: std::str::FromStr>(range: &str) -> Option<(T, T)> {
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

/// How long a lease lasts, as dnsmasq writes it: `45`, `45m`, `1h`, `2d`, `1w`, `infinite`.
pub fn seconds(text: &str) -> Option<u32> {
    if text == "infinite" {
        return Some(u32::MAX);
    }
    let (number, unit) = match text.char_indices().next_back()? {
        (at, letter) if letter.is_ascii_alphabetic() => (&text[..at], letter),
        _ => (text, 's'),
    };
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        'w' => 7 * 86400,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor).filter(|s| *s > 0)
}

/// The devices of instances that have a hardware address by now.
pub fn hosts(facts: &Facts) -> Vec<Host> {
    let host = |nic: &super::plan::Nic| {
        Some(Host {
            mac: nic.hwaddr.as_deref()?.to_ascii_lowercase().parse().ok()?,
            name: nic.instance.clone(),
            v4: nic.ipv4.as_deref().and_then(|a| a.parse().ok()),
            v6: nic.ipv6.as_deref().and_then(|a| a.parse().ok()),
        })
    };
    facts.nics.iter().filter_map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::{self, Nic};
    use super::*;
    use crate::store::records::NetworkRecord;

    fn planned(pairs: &[(&str, &str)]) -> Option<NetPlan> {
        let config = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let hwaddr = "00:16:3e:01:02:03".into();
        let network = NetworkRecord { name: "br0".into(), config, hwaddr, ..Default::default() };
        let nic = Nic {
            instance: "c1".into(),
            hwaddr: Some("00:16:3E:00:00:09".into()),
            ipv4: Some("10.1.2.9".into()),
            ..Nic::default()
        };
        let facts = Facts { network, nics: vec![nic, Nic::default()], ..Facts::default() };
        super::plan(&facts, &plan::bridge(&facts).unwrap(), 7)
    }

    #[test]
    fn a_bridge_with_addresses_is_served() {
        let plan = planned(&[("ipv4.address", "10.1.2.1/24"), ("ipv6.address", "fd42::1/64")]).unwrap();
        let v4 = plan.v4.unwrap();
        assert_eq!(v4.ranges, [("10.1.2.2".parse().unwrap(), "10.1.2.254".parse().unwrap())]);
        assert_eq!((v4.expiry, v4.gateway), (3600, None));
        assert_eq!(plan.v6.unwrap().mode, V6Mode::Stateless);
        assert_eq!(plan.dns.unwrap().records.len(), 2);
        assert_eq!((plan.hosts.len(), plan.hosts[0].v4), (1, Some("10.1.2.9".parse().unwrap())));
        assert_eq!(plan.mtu, None);
        assert_eq!(planned(&[("ipv4.address", "none")]), None);
    }

    #[test]
    fn keys_decide_what_is_served() {
        let plan = planned(&[
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.dhcp.ranges", "10.1.2.50-10.1.2.60,10.1.2.70-10.1.2.80"),
            ("ipv4.dhcp.expiry", "2d"),
            ("ipv4.dhcp.gateway", "10.1.2.254"),
            ("ipv6.address", "fd42::1/64"),
            ("ipv6.dhcp.stateful", "true"),
            ("ipv6.routing", "false"),
            ("dns.mode", "none"),
            ("dns.domain", "example.net"),
            ("dns.search", "a.net, b.net"),
            ("bridge.mtu", "1400"),
        ])
        .unwrap();
        let v4 = plan.v4.unwrap();
        assert_eq!((v4.ranges.len(), v4.expiry, v4.gateway), (2, 172_800, Some("10.1.2.254".parse().unwrap())));
        let v6 = plan.v6.unwrap();
        let all = vec![("fd42::2".parse().unwrap(), "fd42::ffff:ffff:ffff:ffff".parse().unwrap())];
        assert_eq!((v6.mode, v6.router), (V6Mode::Stateful { ranges: all, expiry: 3600 }, false));
        let dns = plan.dns.unwrap();
        assert_eq!((dns.mode, dns.domain.as_str(), dns.search.len()), (DnsMode::None, "example.net", 2));
        assert_eq!(plan.mtu, Some(1400));
        let plan = planned(&[
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.dhcp", "false"),
            ("ipv6.address", "fd42::1/64"),
            ("ipv6.dhcp", "false"),
        ]);
        let plan = plan.unwrap();
        assert_eq!((plan.v4, plan.v6.unwrap().mode), (None, V6Mode::Slaac));
    }

    #[test]
    fn spans_of_time_are_read() {
        let want = [("45", Some(45)), ("1h", Some(3600)), ("1w", Some(604_800)), ("infinite", Some(u32::MAX))];
        for (text, seconds_of) in want.into_iter().chain(["", "h", "x", "0", "9999999w", "1y", "-1"].map(|t| (t, None)))
        {
            assert_eq!(seconds(text), seconds_of, "{text:?}");
        }
    }
}
