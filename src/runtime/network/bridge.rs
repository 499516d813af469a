//! The configuration of a bridge, read into types; what is filled in at creation, and what keys say about each other.
//!
//! Pure. The table of keys has checked each value by itself already.

use std::net::IpAddr;

use super::dnsmasq;
use super::subnet::{self, Subnet};
use crate::api::config::is_true;
use crate::api::types::ConfigMap;
use crate::{Error, Result};

/// IPv4 or IPv6: keys come in pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `ipv4.*`
    V4,
    /// `ipv6.*`
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The key of this family.
    pub fn key(self, rest: &str) -> String {
        match self {
            Family::V4 => format!("ipv4.{rest}"),
            Family::V6 => format!("ipv6.{rest}"),
        }
    }
}

/// Typed access to a bridge's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Bridge<'a>(pub &'a ConfigMap);

impl<'a> Bridge<'a> {
    /// A value that is set.
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// A boolean with its default.
    pub fn on(self, key: &str, default: bool) -> bool {
        self.text(key).map_or(default, is_true)
    }

    /// A list with commas between its items.
    pub fn list(self, key: &str) -> Vec<&'a str> {
        let items = self.text(key).unwrap_or_default().split(',');
        items.map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    /// The bridge's own address of a family.
    pub fn subnet(self, family: Family) -> Option<Subnet> {
        self.text(&family.key("address"))?.parse().ok()
    }

    /// Whether addresses of a family are given out (`ipv4.dhcp`).
    pub fn dhcp(self, family: Family) -> bool {
        self.subnet(family).is_some() && self.on(&family.key("dhcp"), true)
    }

    /// Whether addresses of a family are translated on the way out.
    pub fn nat(self, family: Family) -> bool {
        self.subnet(family).is_some() && self.on(&family.key("nat"), false)
    }

    /// `security.acls`.
    pub fn acls(self) -> Vec<&'a str> {
        self.list("security.acls")
    }

    /// Names of the tunnels that are configured.
    pub fn tunnels(self) -> Vec<&'a str> {
        let names = self.0.keys().filter_map(|k| k.strip_prefix("tunnel.")?.rsplit_once('.').map(|(name, _)| name));
        let mut names: Vec<&str> = names.collect();
        names.dedup();
        names
    }

    /// The zones its names belong to, by key.
    pub fn zones(self) -> Vec<(&'static str, &'a str)> {
        let keys = ["dns.zone.forward", "dns.zone.reverse.ipv4", "dns.zone.reverse.ipv6"];
        keys.into_iter().filter_map(|key| Some((key, self.text(key)?))).collect()
    }
}

/// The longest name an interface can have.
const LONGEST_NAME: usize = 15;

/// What can be said about a bridge's configuration by itself.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) with LXD's texts; Unsupported by name.
pub fn validate(name: &str, config: &ConfigMap) -> Result<()> {
    let bridge = Bridge(config);
    for tunnel in bridge.tunnels() {
        let link = tunnel_link(name, tunnel);
        if link.len() > LONGEST_NAME {
            return Err(Error::invalid(format!("Network name too long for tunnel interface: {link}")));
        }
    }
    for (key, only) in [("bridge.driver", "native"), ("bridge.mode", "standard")] {
        if let Some(value) = bridge.text(key).filter(|value| *value != only) {
            return Err(Error::unsupported(format_args!("Configuration key {key:?} with value {value:?}")));
        }
    }
    dnsmasq::parse(bridge.text("raw.dnsmasq").unwrap_or_default()).map_err(|refused| {
        let dnsmasq::Refused { line, text } = refused;
        Error::invalid(format!(
            "Failed reading \"raw.dnsmasq\" of network {name:?}: line {line} can't be honoured: {text:?}"
        ))
    })?;
    Family::BOTH.into_iter().try_for_each(|family| within(bridge, family))
}

/// Addresses that are given out must be the bridge's own.
fn within(bridge: Bridge<'_>, family: Family) -> Result<()> {
    let Some(subnet) = bridge.subnet(family) else { return Ok(()) };
    let key = family.key("dhcp.ranges");
    for range in bridge.list(&key) {
        let ends = range.split('-').filter_map(|end| end.trim().parse::<IpAddr>().ok());
        if let Some(outside) = ends.into_iter().find(|end| !subnet.contains(*end)) {
            return Err(Error::invalid(format!("Address \"{outside}\" of {key:?} is not within \"{subnet}\"")));
        }
    }
    Ok(())
}

/// The name of the interface of a tunnel.
pub fn tunnel_link(network: &str, tunnel: &str) -> String {
    format!("{network}-{tunnel}")
}

/// What LXD fills in at creation: addresses are chosen, and what was chosen is translated.
pub fn fill(config: &mut ConfigMap, ipv6_off: bool) {
    for family in Family::BOTH {
        let address = config.entry(family.key("address")).or_default();
        if address.is_empty() {
            *address = if family == Family::V6 && ipv6_off { "none" } else { "auto" }.into();
        }
        if address == "auto" {
            let nat = config.entry(family.key("nat")).or_default();
            if nat.is_empty() {
                *nat = "true".into();
            }
        }
    }
}

/// Puts free subnets in the place of `auto`; `random` gives random bytes.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) when none is free.
pub fn choose(config: &mut ConfigMap, taken: &[Subnet], random: impl Fn() -> [u8; 6]) -> Result<()> {
    for family in Family::BOTH {
        let Some(address) = config.get_mut(&family.key("address")).filter(|a| *a == "auto") else { continue };
        let chosen = match family {
            Family::V4 => subnet::choose4(taken, || {
                let [x, y, ..] = random();
                [x, y]
            }),
            Family::V6 => subnet::choose6(taken, &random),
        };
        let none = || Error::invalid("Failed to automatically find an unused subnet, manual configuration required");
        *address = chosen.ok_or_else(none)?.to_string();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn what_is_missing_is_chosen_and_translated() {
        let mut config = ConfigMap::new();
        fill(&mut config, false);
        choose(&mut config, &[], || [1, 2, 3, 4, 5, 6]).unwrap();
        let want = [
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.nat", "true"),
            ("ipv6.address", "fd42:102:304:506::1/64"),
            ("ipv6.nat", "true"),
        ];
        assert_eq!(config, map(&want));
        let mut config = map(&[("ipv4.address", "auto"), ("ipv4.nat", "false"), ("ipv6.address", "fd00::1/64")]);
        fill(&mut config, false);
        assert_eq!(config["ipv4.nat"], "false");
        assert!(!config.contains_key("ipv6.nat"));
        let mut config = ConfigMap::new();
        fill(&mut config, true);
        assert_eq!(config["ipv6.address"], "none");
        assert!(choose(&mut map(&[("ipv4.address", "auto")]), &["10.0.0.0/8".parse().unwrap()], || [1; 6]).is_err());
    }

    #[test]
    fn configurations_are_checked_as_a_whole() {
        let wrong = |pairs: &[(&str, &str)]| validate("lxdbr0", &map(pairs)).unwrap_err().message().to_owned();
        assert_eq!(
            wrong(&[("tunnel.averylongone.protocol", "vxlan")]),
            "Network name too long for tunnel interface: lxdbr0-averylongone"
        );
        assert_eq!(
            wrong(&[("bridge.driver", "openvswitch")]),
            "Configuration key \"bridge.driver\" with value \"openvswitch\" is not supported yet"
        );
        assert!(wrong(&[("raw.dnsmasq", "# fine\n\nnonsense=1\n")]).contains("line 3 can't be honoured"));
        assert_eq!(
            wrong(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.dhcp.ranges", "10.1.2.2-10.1.2.9, 10.1.3.4-10.1.3.5")]),
            "Address \"10.1.3.4\" of \"ipv4.dhcp.ranges\" is not within \"10.1.2.1/24\""
        );
        validate("lxdbr0", &map(&[("bridge.driver", "native"), ("raw.dnsmasq", "# none")])).unwrap();
    }

    #[test]
    fn values_are_read() {
        let config = map(&[
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.dhcp", "false"),
            ("ipv6.address", "none"),
            ("tunnel.a.protocol", "gre"),
            ("tunnel.a.local", "1.2.3.4"),
            ("security.acls", "web, ssh"),
        ]);
        let bridge = Bridge(&config);
        assert!(!bridge.dhcp(Family::V4) && !bridge.dhcp(Family::V6) && !bridge.nat(Family::V4));
        assert_eq!(bridge.tunnels(), ["a"]);
        assert_eq!(bridge.acls(), ["web", "ssh"]);
        assert_eq!(bridge.subnet(Family::V6), None);
    }
}
