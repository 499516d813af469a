//! The filters of `lxc list`: beginnings of names, regular expressions, configuration, shorthands.

use std::net::IpAddr;

use regex_lite::Regex;

use crate::api::types::InstanceFull;
use crate::error::Result;

/// Filters; an instance has to pass all.
pub struct Filters(Vec<Filter>);

enum Filter {
    /// The beginning of a name, or an expression for all of it.
    Name(String, Option<Regex>),
    /// One of these values of a property.
    Property(Property, Vec<String>),
    /// A configuration key, shortened, and a value or an expression.
    Config(String, String, Option<Regex>),
}

#[derive(Clone, Copy)]
enum Property {
    Type,
    Status,
    Architecture,
    Location,
    Address(&'static str),
}

/// An expression that stands for the whole text unless it says where it begins or ends.
pub fn expression(text: &str) -> Option<Regex> {
    match text.contains(['^', '$']) {
        true => Regex::new(text).ok(),
        false => Regex::new(&format!("^{text}$")).ok(),
    }
}

/// Whether a key is meant by a shortened one: as many parts, each a beginning (`u.x` is `user.x`).
pub fn abbreviates(short: &str, key: &str) -> bool {
    let (short, key): (Vec<&str>, Vec<&str>) = (short.split('.').collect(), key.split('.').collect());
    short.len() == key.len() && short.iter().zip(&key).all(|(s, k)| k.starts_with(s))
}

/// What the server can filter by: the properties of an instance.
const PROPERTIES: &[&str] = &[
    "architecture",
    "config",
    "created_at",
    "description",
    "devices",
    "ephemeral",
    "expanded_config",
    "expanded_devices",
    "last_used_at",
    "location",
    "name",
    "profiles",
    "project",
    "stateful",
    "status",
    "status_code",
    "type",
];

/// Splits filters into the server's part, as it wants it, and those that are left.
pub fn split<'a>(words: &[&'a str]) -> (String, Vec<&'a str>) {
    let (mut server, mut left) = (Vec::new(), Vec::new());
    for word in words {
        match word.split_once('=') {
            // A list of values is nothing the server knows.
            Some((key, value)) if PROPERTIES.contains(&key) && !value.contains(',') => {
                server.push(format!("{key} eq {value}"));
            }
            _ => left.push(*word),
        }
    }
    (server.join(" and "), left)
}

impl Filters {
    /// Reads filters.
    pub fn parse(words: &[&str]) -> Result<Filters> {
        Ok(Filters(words.iter().map(|word| Filter::parse(word)).collect()))
    }

    /// Whether an instance passes.
    pub fn take(&self, instance: &InstanceFull) -> bool {
        self.0.iter().all(|filter| filter.takes(instance))
    }
}

impl Filter {
    fn parse(word: &str) -> Filter {
        let Some((key, value)) = word.split_once('=') else {
            return Filter::Name(word.to_string(), expression(word));
        };
        let property = match key {
            "type" => Property::Type,
            "status" => Property::Status,
            "architecture" => Property::Architecture,
            "location" => Property::Location,
            "ipv4" => Property::Address("inet"),
            "ipv6" => Property::Address("inet6"),
            _ => return Filter::Config(key.to_string(), value.to_string(), expression(value)),
        };
        Filter::Property(property, value.split(',').map(String::from).collect())
    }

    fn takes(&self, full: &InstanceFull) -> bool {
        let i = &full.instance;
        match self {
            Filter::Name(start, expression) => {
                expression.as_ref().is_some_and(|e| e.is_match(&i.name)) || i.name.starts_with(start)
            }
            Filter::Config(key, value, expression) => {
                // A key that is not there is as good as an empty one.
                i.expanded_config.get(key).map_or("", String::as_str) == value
                    || i.expanded_config.iter().any(|(k, v)| {
                        abbreviates(key, k)
                            && expression.as_ref().map_or(v == value, |expression| expression.is_match(v))
                    })
            }
            Filter::Property(property, values) => values.iter().any(|value| match property {
                Property::Type => i.kind.eq_ignore_ascii_case(value),
                Property::Status => i.status.eq_ignore_ascii_case(value),
                Property::Architecture => i.architecture.eq_ignore_ascii_case(value),
                Property::Location => i.location.eq_ignore_ascii_case(value),
                Property::Address(family) => has_address(full, family, value),
            }),
        }
    }
}

/// Whether an instance has an address, or one in a network `address/bits`.
fn has_address(full: &InstanceFull, family: &str, wanted: &str) -> bool {
    let networks = full.state.iter().flat_map(|state| state.network.iter().flatten());
    let mut addresses = networks.flat_map(|(_, network)| &network.addresses).filter(|a| a.family == family);
    let Some((network, bits)) = wanted.split_once('/') else {
        return addresses.any(|address| address.address == wanted);
    };
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    addresses.any(|address| address.address.parse().is_ok_and(|address| within(address, network, bits)))
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (address, network, size) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    let shift = u32::saturating_sub(size, bits);
    bits <= size && address.checked_shr(shift).unwrap_or(0) == network.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shortened_part_by_part() {
        assert!(abbreviates("s.privileged", "security.privileged"));
        assert!(abbreviates("u.b", "user.blah"));
        assert!(!abbreviates("user", "user.blah"));
    }

    #[test]
    fn the_server_filters_by_properties_of_one_value() {
        let words = ["c", "name=c1", "user.x=1", "status=stopped", "type=a,b", "ipv4=1.2.3.4", "=", "config.a=b"];
        let (server, left) = split(&words);
        assert_eq!(server, "name eq c1 and status eq stopped");
        assert_eq!(left, ["c", "user.x=1", "type=a,b", "ipv4=1.2.3.4", "=", "config.a=b"]);
    }

    #[test]
    fn networks_hold_their_addresses() {
        let is = |a: &str, n: &str, bits| within(a.parse().unwrap(), n.parse().unwrap(), bits);
        assert!(is("10.1.2.3", "10.1.0.0", 16) && !is("10.2.2.3", "10.1.0.0", 16));
        assert!(is("fd00::1", "fd00::", 8) && is("1.2.3.4", "9.9.9.9", 0) && !is("1.2.3.4", "1.2.3.4", 33));
    }
}
