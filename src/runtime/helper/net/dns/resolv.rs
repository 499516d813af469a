//! The resolvers to forward to: the plan's, or those of the host's `/etc/resolv.conf` (resolv.conf(5)), read again when needed.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use super::PORT;
use crate::runtime::spec::net::NetPlan;

/// The host's list.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How long a reading of the list is good.
const FRESH: Duration = Duration::from_secs(2);
/// Bytes of the list that are read.
const MAX_FILE: u64 = 16 << 10;
/// Resolvers that are used, at most.
const MAX_RESOLVERS: usize = 6;

/// The resolvers as they were read last.
#[derive(Debug, Default)]
pub struct Resolvers {
    list: Vec<SocketAddr>,
    read: Option<Instant>,
}

impl Resolvers {
    /// The list, first choice first. Our own addresses are not in it: questions would go round in a circle.
    pub fn list(&mut self, plan: &NetPlan, now: Instant) -> &[SocketAddr] {
        let Some(dns) = &plan.dns else { return &[] };
        if self.read.is_none_or(|at| now.saturating_duration_since(at) >= FRESH) {
            self.read = Some(now);
            let path = dns.resolv_conf.as_deref().unwrap_or(Path::new(RESOLV_CONF));
            let found = if dns.upstream.is_empty() { read(path) } else { Some(dns.upstream.clone()) };
            // A list that can't be read at the moment is being replaced: the last one stays good.
            if let Some(found) = found {
                self.list =
                    found.into_iter().filter(|r| !plan.addresses.contains(&r.ip())).take(MAX_RESOLVERS).collect();
            }
        }
        &self.list
    }

    /// Forgets the list: the plan has changed.
    pub fn forget(&mut self) {
        *self = Resolvers::default();
    }
}

fn read(path: &Path) -> Option<Vec<SocketAddr>> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    Some(parse(&text))
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        // With a zone (fe80::1%eth0) it depends on an interface, whose number we can't ask for.
        if let Some(address) = words.next().and_then(|w| w.parse::<IpAddr>().ok()) {
            found.push(SocketAddr::new(address, PORT));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::spec::net::DnsPlan;

    #[test]
    fn resolvers_are_read_in_order_and_our_own_are_left_out() {
        let text = "# x\nsearch a b\nnameserver 10.0.0.1\n nameserver\t192.0.2.53 # c\nnameserver fe80::1%eth0\nnameserver ::1\nnameserverx 1.1.1.1\n";
        let path = std::env::temp_dir().join(format!("lxbox-resolv-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let dns = DnsPlan { resolv_conf: Some(path.clone()), ..DnsPlan::default() };
        let plan = NetPlan { dns: Some(dns), addresses: vec!["10.0.0.1".parse().unwrap()], ..NetPlan::default() };
        let mut resolvers = Resolvers::default();
        let now = Instant::now();
        let expected: Vec<SocketAddr> = vec!["192.0.2.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(resolvers.list(&plan, now), expected);
        std::fs::write(&path, "nameserver 192.0.2.54\n").unwrap();
        assert_eq!(resolvers.list(&plan, now), expected, "not read at each question");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(resolvers.list(&plan, now + FRESH), expected, "between two files");
        std::fs::write(&path, "nameserver 192.0.2.54\n").unwrap();
        assert_eq!(resolvers.list(&plan, now + FRESH * 2), ["192.0.2.54:53".parse::<SocketAddr>().unwrap()]);
        std::fs::remove_file(&path).unwrap();
    }
}
