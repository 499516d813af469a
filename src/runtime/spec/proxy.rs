//! The plan of a `proxy` device's helper: where it listens, and where what comes goes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Serialize;

use super::shim::Process;
use crate::api::tree::readable;

/// Places that one device listens at, at most: each is a descriptor.
pub const MAX_PLACES: usize = 1024;
/// The socket system calls' path has this many bytes at most (unix(7)).
const MAX_PATH: usize = 107;

readable! {
    /// What the helper is told.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct ProxyPlan {
        /// [`super::VERSION`].
        pub version: u32,
        /// The device's name.
        pub device: String,
        /// Process 1 of the guest: with its end the helper's comes.
        pub init: Process,
        /// Whether the guest has a user namespace of its own.
        pub unprivileged: bool,
        /// Whether it listens in the guest and connects on the host; else the other way round.
        pub in_guest: bool,
        /// Where it listens.
        pub listen: Vec<Place>,
        /// Where it connects to: one for each that it listens at, or one for all.
        pub connect: Vec<Place>,
        /// Owner and group of unix sockets that it listens at.
        pub owner: (u32, u32),
        /// Permission bits of those.
        pub mode: u32,
        /// User and group that it connects as.
        pub user: (u32, u32),
        /// Whether the target is told who connects.
        pub header: bool,
    }

    /// What the helper gets.
    #[derive(Debug, Serialize)]
    pub struct ProxyLaunch {
        /// Its plan.
        pub plan: ProxyPlan,
        /// Its system call filter.
        pub seccomp: String,
    }

    /// One end.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Place {
        /// TCP.
        Tcp(SocketAddr),
        /// UDP.
        Udp(SocketAddr),
        /// A unix socket: a path, or behind an `@` an abstract name.
        Unix(String),
    }
}

impl Place {
    /// All places of an address as LXD writes it: `tcp:1.2.3.4:80-90,99`, `tcp::80`, `unix:/run/x`, `unix:@name`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn all(text: &str) -> Result<Vec<Place>, String> {
        let wrong = || format!("Invalid proxy address {text:?}");
        let (protocol, rest) = text.split_once(':').ok_or_else(wrong)?;
        if protocol == "unix" {
            return match rest.len() {
                1..=MAX_PATH => Ok(vec![Place::Unix(rest.to_owned())]),
                _ => Err(wrong()),
            };
        }
        let (host, ports) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let ip = match host {
            "" => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            _ => host.parse().map_err(|_| wrong())?,
        };
        let mut places = Vec::new();
        for part in ports.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u16, u16) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
            for port in first..=last {
                let address = SocketAddr::new(ip, port);
                places.push(if protocol == "udp" { Place::Udp(address) } else { Place::Tcp(address) });
                if places.len() > MAX_PLACES {
                    return Err(format!("More than {MAX_PLACES} ports in {text:?}"));
                }
            }
        }
        Ok(places)
    }

    /// Whether it is of packets.
    pub fn is_udp(&self) -> bool {
        matches!(self, Place::Udp(_))
    }

    /// The path of a unix socket that has one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Place::Unix(path) if !path.starts_with('@') => Some(path),
            _ => None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(address) | Place::Udp(address) => address.fmt(f),
            Place::Unix(path) => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_lxds() {
        let one = |text: &str| Place::all(text).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(one("tcp:127.0.0.1:80"), ["127.0.0.1:80"]);
        assert_eq!(one("udp:[::1]:53,60-61"), ["[::1]:53", "[::1]:60", "[::1]:61"]);
        assert_eq!(one("tcp::53"), ["0.0.0.0:53"]);
        assert_eq!(one("unix:@x"), ["@x"]);
        assert_eq!(Place::all("unix:/run/x").unwrap()[0].path(), Some("/run/x"));
        assert_eq!(Place::all("unix:@x").unwrap()[0].path(), None);
    }

    #[test]
    fn wrong_ones_are_refused() {
        let long = format!("unix:/{}", "x".repeat(200));
        for text in ["", "tcp", "tcp:1.2.3.4", "tcp:x:80", "unix:", "tcp:1.2.3.4:1-65535", "tcp:1.2.3.4:a", &long] {
            assert!(Place::all(text).is_err(), "{text}");
        }
    }
}
