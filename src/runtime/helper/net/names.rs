//! Who has which name: what the plan says of instances, what clients call themselves, and which names are addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::leases::{Entry, Leases};
use crate::runtime::spec::net::{DnsMode, Host, Mac, NetPlan};

/// Bytes of a label, at most (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// The plan's host with this hardware address.
pub fn host(plan: &NetPlan, mac: Mac) -> Option<&Host> {
    plan.hosts.iter().find(|h| h.mac == mac)
}

/// A client's name as it may be used: one label of letters, digits and hyphens, in lower case; the domain behind it is dropped.
pub fn host_name(text: &[u8]) -> Option<String> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let label = text.split(|b| *b == b'.').next()?;
    let good = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
    let fits = !label.is_empty() && label.len() <= MAX_LABEL && label.iter().all(good);
    if !fits || label[0] == b'-' || label[label.len() - 1] == b'-' {
        return None;
    }
    String::from_utf8(label.to_ascii_lowercase()).ok()
}

/// The name that a client gets. One that the plan knows has the plan's name; others have what they call themselves, unless that is
/// the name of an instance, or of the gateway: nobody takes another's name.
pub fn name_for(plan: &NetPlan, mac: Option<Mac>, asked: Option<&[u8]>) -> Option<String> {
    let mode = plan.dns.as_ref().map_or(DnsMode::Managed, |dns| dns.mode);
    let known = mac.and_then(|mac| host(plan, mac)).filter(|host| !host.name.is_empty());
    let asked = asked.and_then(host_name);
    match (mode, known) {
        (DnsMode::None, _) => None,
        (DnsMode::Managed, Some(host)) => host_name(host.name.as_bytes()),
        (DnsMode::Managed, None) => asked.filter(|name| !is_taken(plan, name)),
        (DnsMode::Dynamic, _) => asked.filter(|name| name != GATEWAY),
    }
}

/// The name of the bridge itself.
pub const GATEWAY: &str = "_gateway";

fn is_taken(plan: &NetPlan, name: &str) -> bool {
    name == GATEWAY || plan.hosts.iter().any(|h| h.name.eq_ignore_ascii_case(name))
}

/// The names that leases have after a change of the plan.
pub fn rename(plan: &NetPlan, leases: &mut Leases) {
    leases.rename(|e: &Entry| {
        let own = e.name.as_deref().map(str::as_bytes);
        name_for(plan, e.mac, own)
    });
}

/// The addresses of a name of the domain (without the domain, in lower case); empty when nobody has it.
///
/// `seen` says which of the addresses that interfaces give themselves answer (see [`super::slaac`]).
pub fn addresses(plan: &NetPlan, leases: &Leases, seen: impl Fn(Mac) -> Option<Ipv6Addr>, name: &str) -> Vec<IpAddr> {
    if name == GATEWAY {
        return plan.addresses.clone();
    }
    let mut found: Vec<IpAddr> = Vec::new();
    let mut add = |address: IpAddr| {
        if !found.contains(&address) {
            found.push(address);
        }
    };
    for entry in leases.iter().filter(|e| e.name.as_deref() == Some(name)) {
        add(entry.address);
        if let (IpAddr::V4(_), Some(address)) = (entry.address, entry.mac.and_then(&seen)) {
            add(address.into());
        }
    }
    let managed = plan.dns.as_ref().is_some_and(|dns| dns.mode == DnsMode::Managed);
    for host in plan.hosts.iter().filter(|h| managed && h.name.eq_ignore_ascii_case(name)) {
        let fixed = [host.v4.map(IpAddr::from), host.v6.map(IpAddr::from), seen(host.mac).map(IpAddr::from)];
        fixed.into_iter().flatten().for_each(&mut add);
    }
    found
}

/// The name behind an address, without the domain.
pub fn name_of(
    plan: &NetPlan,
    leases: &Leases,
    seen: impl Fn(Mac) -> Option<Ipv6Addr>,
    address: IpAddr,
) -> Option<String> {
    if plan.addresses.contains(&address) {
        return Some(GATEWAY.to_owned());
    }
    if let Some(name) = leases.at(address).and_then(|e| e.name.clone()) {
        return Some(name);
    }
    let managed = plan.dns.as_ref().is_some_and(|dns| dns.mode == DnsMode::Managed);
    let is = |h: &&Host| h.v4.map(IpAddr::from) == Some(address) || h.v6.map(IpAddr::from) == Some(address);
    if managed && let Some(host) = plan.hosts.iter().find(is) {
        return host_name(host.name.as_bytes());
    }
    let IpAddr::V6(six) = address else { return None };
    let mac = Mac::of_interface_id(six.to_bits() as u64)?;
    (seen(mac) == Some(six))
        .then(|| leases.iter().find(|e| e.mac == Some(mac) && e.name.is_some()))?
        .and_then(|e| e.name.clone())
}

/// Whether an address is in one of the bridge's own subnets.
pub fn is_local(plan: &NetPlan, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => plan.v4.as_ref().is_some_and(|v4| in_subnet4(v4.address, v4.prefix, a)),
        IpAddr::V6(a) => plan.v6.as_ref().is_some_and(|v6| in_subnet6(v6.address, v6.prefix, a)),
    }
}

/// Whether two IPv4 addresses share this prefix.
pub fn in_subnet4(a: Ipv4Addr, prefix: u8, b: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    a.to_bits() & mask == b.to_bits() & mask
}

/// Whether two IPv6 addresses share this prefix.
pub fn in_subnet6(a: Ipv6Addr, prefix: u8, b: Ipv6Addr) -> bool {
    network6(a, prefix) == network6(b, prefix)
}

/// The first address of a subnet.
pub fn network6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::spec::net::DnsPlan;

    const MAC: Mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);

    fn plan(mode: DnsMode) -> NetPlan {
        let host = Host { mac: MAC, name: "c1".into(), v4: Some(Ipv4Addr::new(10, 0, 0, 9)), v6: None };
        let dns = DnsPlan { domain: "lxd".into(), mode, ..DnsPlan::default() };
        NetPlan { dns: Some(dns), hosts: vec![host], ..NetPlan::default() }
    }

    #[test]
    fn names_of_clients_are_one_clean_label() {
        assert_eq!(host_name(b"C1.example.com\0").as_deref(), Some("c1"));
        let long = [b'a'; 64];
        for bad in [&b""[..], b".lxd", b"a b", b"-a", b"a-", b"a\xff", b"*", &long] {
            assert_eq!(host_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn nobody_takes_the_name_of_an_instance() {
        let managed = plan(DnsMode::Managed);
        let other = Some(Mac([2; 6]));
        assert_eq!(name_for(&managed, Some(MAC), Some(b"mine")).as_deref(), Some("c1"));
        assert_eq!(name_for(&managed, other, Some(b"C1")), None);
        assert_eq!(name_for(&managed, other, Some(b"_gateway")), None);
        assert_eq!(name_for(&managed, other, Some(b"guest")).as_deref(), Some("guest"));
        assert_eq!(name_for(&plan(DnsMode::Dynamic), Some(MAC), Some(b"mine")).as_deref(), Some("mine"));
        assert_eq!(name_for(&plan(DnsMode::None), Some(MAC), Some(b"mine")), None);
    }

    #[test]
    fn a_fixed_address_has_its_name_in_both_directions() {
        let plan = plan(DnsMode::Managed);
        let leases = Leases::default();
        let six: Ipv6Addr = "fd42::216:3eff:fe00:1".parse().unwrap();
        let seen = |mac| (mac == MAC).then_some(six);
        let found = addresses(&plan, &leases, seen, "c1");
        assert_eq!(found, ["10.0.0.9".parse::<IpAddr>().unwrap(), six.into()]);
        assert_eq!(name_of(&plan, &leases, seen, found[0]).as_deref(), Some("c1"));
        assert!(addresses(&plan, &leases, seen, "c2").is_empty());
    }

    #[test]
    fn subnets_of_all_sizes() {
        let (a, b) = (Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(10, 1, 3, 3));
        assert!(in_subnet4(a, 0, b) && in_subnet4(a, 23, b) && !in_subnet4(a, 24, b) && !in_subnet4(a, 32, b));
        let six: Ipv6Addr = "fd42:1:2:3::9".parse().unwrap();
        assert_eq!(network6(six, 64).to_string(), "fd42:1:2:3::");
        assert_eq!((network6(six, 0).to_bits(), network6(six, 128)), (0, six));
    }
}
