//! Rules of access lists: what they may say, and their normal form. Pure; errors have LXD's texts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::subnet::Subnet;
use crate::api::config::Kind as Value;
use crate::api::types::NetworkAclRule;
use crate::order::Gather;
use crate::{Error, Result};

/// The most rules in one direction: each becomes rules of the firewall.
const MAX_RULES: usize = 1000;

/// Which way the traffic of a rule goes, seen from the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the instance.
    Ingress,
    /// Out of it.
    Egress,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

/// Checks the name of an access list.
pub fn check_name(name: &str) -> Result<()> {
    let wrong = |text: &str| Err(Error::invalid(text));
    match name.bytes().next() {
        None => return wrong("Name is required"),
        Some(b'@' | b'#') => {
            return Err(Error::invalid(format!("Name cannot start with reserved character '{}'", &name[..1])));
        }
        _ => {}
    }
    if name.chars().count() > 63 {
        return wrong("Name must be 1-63 characters long");
    }
    if name.starts_with('-') {
        return wrong("Name must not start with \"-\" character");
    }
    if name.ends_with('-') {
        return wrong("Name must not end with \"-\" character");
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return wrong("Name must not start with a number");
    }
    match name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        true => Ok(()),
        false => wrong("Name can only contain alphanumeric and hyphen characters"),
    }
}

/// Takes blanks out of rules that a client sent.
pub fn normalise(rules: &mut [NetworkAclRule]) {
    for rule in rules {
        let plain = [&mut rule.action, &mut rule.protocol, &mut rule.icmp_type, &mut rule.icmp_code];
        for field in plain.into_iter().chain([&mut rule.description, &mut rule.state]) {
            *field = field.trim().to_owned();
        }
        let lists = [&mut rule.source, &mut rule.destination, &mut rule.source_port, &mut rule.destination_port];
        for list in lists {
            *list = list.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        }
    }
}

/// Checks normal rules of one direction; `lists` are the names of the access lists there are.
pub fn check(rules: &[NetworkAclRule], direction: Direction, lists: &BTreeSet<String>) -> Result<()> {
    if rules.len() > MAX_RULES {
        return Err(Error::invalid(format!("More than {MAX_RULES} {} rules", direction.word())));
    }
    for (n, rule) in rules.iter().enumerate() {
        let dressed = |why: String| Error::invalid(format!("Invalid {} rule {n}: {why}", direction.word()));
        check_rule(rule, direction, lists).map_err(dressed)?;
        if let Some(same) = rules[..n].iter().position(|earlier| earlier == rule) {
            return Err(Error::invalid(format!("Duplicate of {} rule {same}", direction.word())));
        }
    }
    Ok(())
}

type Checked<T = ()> = std::result::Result<T, String>;

fn check_rule(rule: &NetworkAclRule, direction: Direction, lists: &BTreeSet<String>) -> Checked {
    let one_of = |what: &str, value: &str, words: &[&str]| match words.contains(&value) {
        true => Ok(()),
        false => Err(format!("{what} must be one of: {}", words.join(", "))),
    };
    one_of("Action", &rule.action, &["allow", "drop", "reject"])?;
    one_of("State", &rule.state, &["enabled", "disabled", "logged"])?;
    let named = |of: Direction| (of == direction).then_some(lists);
    let source = subjects(&rule.source, "Source", direction, named(Direction::Ingress))?;
    let destination = subjects(&rule.destination, "Destination", direction, named(Direction::Egress))?;
    if source.excludes(destination) {
        return Err("Conflicting IP family types used for Source and Destination".into());
    }
    match rule.protocol.as_str() {
        "" => without_protocol(rule),
        "tcp" | "udp" => with_ports(rule),
        "icmp4" | "icmp6" => with_icmp(rule, source, destination),
        other => one_of("Protocol", other, &["icmp4", "icmp6", "tcp", "udp"]),
    }
}

/// Which kinds of subjects a list has.
#[derive(Clone, Copy, Debug, Default)]
struct Subjects {
    v4: bool,
    v6: bool,
    named: bool,
}

impl Subjects {
    /// Whether no packet can be from one and to the other.
    fn excludes(self, other: Subjects) -> bool {
        let any = |s: Subjects| s.named || (!s.v4 && !s.v6);
        let common = (self.v4 && other.v4) || (self.v6 && other.v6);
        !(any(self) || any(other) || common)
    }
}

fn subjects(list: &str, what: &str, direction: Direction, lists: Option<&BTreeSet<String>>) -> Checked<Subjects> {
    let mut found = Subjects::default();
    for subject in list.split(',').filter(|_| !list.is_empty()) {
        match family(subject) {
            Some(true) => found.v4 = true,
            Some(false) => found.v6 = true,
            None => {
                let reserved = subject.starts_with('@') || matches!(subject, "#internal" | "#external");
                let name = reserved || check_name(subject).is_ok();
                match lists {
                    Some(lists) if reserved || lists.contains(subject) => found.named = true,
                    None if name => {
                        let word = direction.word();
                        return Err(format!(
                            "Invalid {what}: Named subjects not allowed in {what:?} for {word:?} rules"
                        ));
                    }
                    _ => return Err(format!("Invalid {what}: Invalid subject {subject:?}")),
                }
            }
        }
    }
    Ok(found)
}

/// Whether an address, network or range is of IPv4; `None` when it is none of these.
pub fn family(subject: &str) -> Option<bool> {
    if let Ok(address) = subject.parse::<IpAddr>() {
        return Some(address.is_ipv4());
    }
    if let Ok(subnet) = subject.parse::<Subnet>() {
        return Some(subnet.is_ipv4());
    }
    let (first, last) = subject.split_once('-')?;
    let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(first.is_ipv4())
}

fn without_protocol(rule: &NetworkAclRule) -> Checked {
    let fields = [
        (&rule.icmp_type, "ICMP type"),
        (&rule.icmp_code, "ICMP code"),
        (&rule.source_port, "Source port"),
        (&rule.destination_port, "Destination port"),
    ];
    match fields.into_iter().find(|(value, _)| !value.is_empty()) {
        Some((_, what)) => Err(format!("{what} cannot be used without specifying protocol")),
        None => Ok(()),
    }
}

fn with_ports(rule: &NetworkAclRule) -> Checked {
    for (value, what) in [(&rule.icmp_type, "ICMP type"), (&rule.icmp_code, "ICMP code")] {
        if !value.is_empty() {
            return Err(format!("{what} cannot be used with non-ICMP protocol"));
        }
    }
    for (list, what) in [(&rule.source_port, "Source port"), (&rule.destination_port, "Destination port")] {
        for range in list.split(',').filter(|_| !list.is_empty()) {
            ports(range).map_err(|why| format!("Invalid {what}: {why}"))?;
        }
    }
    Ok(())
}

/// `80` or `80-90`: first and last.
pub fn ports(range: &str) -> Checked<(u16, u16)> {
    let port = |text: &str| {
        let plain = !text.starts_with('+');
        text.parse::<u16>().ok().filter(|_| plain).ok_or_else(|| format!("Invalid port number {text:?}"))
    };
    let Some((first, last)) = range.split_once('-') else {
        let port = port(range)?;
        return Ok((port, port));
    };
    let (first, last) = (port(first)?, port(last)?);
    match first < last {
        true => Ok((first, last)),
        false => Err(format!("Start port {first} must be lower than end port {last}")),
    }
}

fn with_icmp(rule: &NetworkAclRule, source: Subjects, destination: Subjects) -> Checked {
    let protocol = &rule.protocol;
    for (value, what) in [(&rule.source_port, "Source port"), (&rule.destination_port, "Destination port")] {
        if !value.is_empty() {
            return Err(format!("{what} cannot be used with {protocol:?} protocol"));
        }
    }
    for (found, what) in [(source, "source"), (destination, "destination")] {
        let (foreign, version) = if protocol == "icmp4" { (found.v6, "IPv6") } else { (found.v4, "IPv4") };
        if foreign {
            return Err(format!("Cannot use {version} {what} addresses with {protocol:?} protocol"));
        }
    }
    for (value, what) in [(&rule.icmp_type, "ICMP type"), (&rule.icmp_code, "ICMP code")] {
        Value::Uint8.check(value).map_err(|why| format!("Invalid {what}: {why}"))?;
    }
    Ok(())
}

/// Names that rules speak of, other lists among them.
pub fn names<'a>(rules: impl Iterator<Item = &'a NetworkAclRule>) -> BTreeSet<&'a str> {
    let lists = rules.flat_map(|rule| [rule.source.as_str(), rule.destination.as_str()]);
    lists.flat_map(|list| list.split(',')).filter(|s| !s.is_empty() && family(s).is_none()).gather()
}

/// Refuses, as LXD does on a bridge, rules with subjects that only OVN networks have.
pub fn check_for_bridge<'a>(rules: impl Iterator<Item = &'a NetworkAclRule>) -> Result<()> {
    match names(rules.filter(|rule| rule.state != "disabled")).first() {
        Some(name) => Err(Error::invalid(format!("Unsupported nftables subject {name:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pairs: &[(&str, &str)]) -> NetworkAclRule {
        let mut json = serde_json::json!({"action": "allow", "state": "enabled"});
        for (key, value) in pairs {
            json[*key] = (*value).into();
        }
        crate::api::types::from_tree(&json).unwrap()
    }

    fn ingress(pairs: &[(&str, &str)]) -> String {
        let lists = BTreeSet::from(["web".to_owned()]);
        match check(&[rule(pairs)], Direction::Ingress, &lists) {
            Ok(()) => "ok".into(),
            Err(e) => e.message().trim_start_matches("Invalid ingress rule 0: ").to_owned(),
        }
    }

    #[test]
    fn rules_are_checked() {
        for good in [
            &[][..],
            &[("source", "web,10.0.0.1,fd42::/64,10.0.0.1-10.0.0.9,@internal")],
            &[("protocol", "tcp"), ("destination_port", "22,80-90")],
            &[("protocol", "icmp6"), ("icmp_type", "128"), ("source", "fd42::1")],
            &[("source", "web"), ("destination", "fd42::1")],
        ] {
            assert_eq!(ingress(good), "ok");
        }
        assert_eq!(ingress(&[("source", "nope")]), "Invalid Source: Invalid subject \"nope\"");
        assert_eq!(
            ingress(&[("destination", "web")]),
            "Invalid Destination: Named subjects not allowed in \"Destination\" for \"ingress\" rules"
        );
        assert_eq!(
            ingress(&[("source", "10.0.0.1"), ("destination", "fd42::1")]),
            "Conflicting IP family types used for Source and Destination"
        );
        assert_eq!(
            ingress(&[("protocol", "tcp"), ("source_port", "70000")]),
            "Invalid Source port: Invalid port number \"70000\""
        );
        assert_eq!(ingress(&[("icmp_code", "1")]), "ICMP code cannot be used without specifying protocol");
        let twice = [rule(&[]), rule(&[])];
        let error = check(&twice, Direction::Egress, &BTreeSet::new()).unwrap_err();
        assert_eq!(error.message(), "Duplicate of egress rule 0");
        assert!(check(&vec![rule(&[]); MAX_RULES + 1], Direction::Egress, &BTreeSet::new()).is_err());
    }

    #[test]
    fn names_of_lists_are_checked() {
        check_name("web-1").unwrap();
        for wrong in ["", "1a", "-a", "a-", "a.b", "ä", "@x", "#x", "a b", &"x".repeat(64)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rules_lose_their_blanks() {
        let mut rules = [rule(&[("source", " 10.0.0.0/24 , web "), ("description", " d ")])];
        normalise(&mut rules);
        assert_eq!((rules[0].source.as_str(), rules[0].description.as_str()), ("10.0.0.0/24,web", "d"));
        assert_eq!(names(rules.iter()), ["web"].into());
        assert!(check_for_bridge(rules.iter()).is_err());
        rules[0].state = "disabled".into();
        check_for_bridge(rules.iter()).unwrap();
    }
}
