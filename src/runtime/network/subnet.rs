//! Subnets: reading, comparing, and choosing free ones for `auto`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    /// An address in it, as it was written.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

/// A text that is no subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSubnet;

impl FromStr for Subnet {
    type Err = NotSubnet;

    fn from_str(text: &str) -> Result<Subnet, NotSubnet> {
        let (address, prefix) = text.split_once('/').ok_or(NotSubnet)?;
        let address: IpAddr = address.parse().map_err(|_| NotSubnet)?;
        let plain = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|p| plain && *p <= width(address)).ok_or(NotSubnet)?;
        Ok(Subnet { address, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

impl Subnet {
    /// A single address.
    pub fn single(address: IpAddr) -> Subnet {
        Subnet { address, prefix: width(address) }
    }

    /// The bits behind the prefix.
    fn host_mask(self) -> u128 {
        match width(self.address) - self.prefix {
            128 => u128::MAX,
            n => (1 << n) - 1,
        }
    }

    /// Its first address.
    pub fn first(self) -> IpAddr {
        self.with(bits(self.address) & !self.host_mask())
    }

    /// Its last address.
    pub fn last(self) -> IpAddr {
        self.with(bits(self.address) | self.host_mask())
    }

    /// The network: its first address and its prefix.
    pub fn network(self) -> Subnet {
        Subnet { address: self.first(), prefix: self.prefix }
    }

    fn with(self, bits: u128) -> IpAddr {
        match self.address {
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(0)).into(),
            IpAddr::V6(_) => Ipv6Addr::from(bits).into(),
        }
    }

    /// Whether the address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && (self.first()..=self.last()).contains(&address)
    }

    /// Whether they have an address in common.
    pub fn overlaps(self, other: Subnet) -> bool {
        self.contains(other.first()) || other.contains(self.first())
    }

    /// Whether it is one of IPv4.
    pub fn is_ipv4(self) -> bool {
        self.address.is_ipv4()
    }
}

/// How often a free subnet is looked for.
const TRIES: usize = 500;

/// `10.X.Y.1/24` that overlaps none of `taken`, as LXD chooses; nothing on the network is asked, so this can't hang.
pub fn choose4(taken: &[Subnet], random: impl Fn() -> [u8; 2]) -> Option<Subnet> {
    choose(taken, || {
        let [x, y] = random();
        (x != 0 && x != 255 && y != 0 && y != 255).then_some(Ipv4Addr::new(10, x, y, 1).into())
    })
    .map(|address| Subnet { address, prefix: 24 })
}

/// `fd42:X:X:X::1/64` likewise (RFC 4193 has random local networks in fd00::/8).
pub fn choose6(taken: &[Subnet], random: impl Fn() -> [u8; 6]) -> Option<Subnet> {
    choose(taken, || {
        let r = random();
        let word = |n: usize| u16::from_be_bytes([r[n], r[n + 1]]);
        Some(Ipv6Addr::new(0xfd42, word(0), word(2), word(4), 0, 0, 0, 1).into())
    })
    .map(|address| Subnet { address, prefix: 64 })
}

fn choose(taken: &[Subnet], next: impl Fn() -> Option<IpAddr>) -> Option<IpAddr> {
    let free = |address: &IpAddr| {
        let net = Subnet { address: *address, prefix: if address.is_ipv4() { 24 } else { 64 } };
        !taken.iter().any(|t| t.overlaps(net))
    };
    (0..TRIES).filter_map(|_| next()).find(free)
}

/// Where the host sends packets by itself: the networks of `/proc/net/route` and `/proc/net/ipv6_route`, without the
/// default routes, which would overlap everything.
pub fn host_routes(route: &str, ipv6_route: &str) -> Vec<Subnet> {
    let four = route.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let word = |n: usize| u32::from_str_radix(fields.get(n)?, 16).ok().map(u32::swap_bytes);
        let (network, mask) = (word(1)?, word(7)?);
        (mask != 0).then_some(Subnet {
            address: Ipv4Addr::from(network).into(),
            prefix: u8::try_from(mask.leading_ones()).unwrap_or(32),
        })
    });
    let six = ipv6_route.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let network = u128::from_str_radix(fields.first()?, 16).ok()?;
        let prefix = u8::from_str_radix(fields.get(1)?, 16).ok().filter(|p| (1..=128).contains(p))?;
        Some(Subnet { address: Ipv6Addr::from(network).into(), prefix })
    });
    four.chain(six).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_are_read_and_compared() {
        assert_eq!(net("10.1.2.3/24").network().to_string(), "10.1.2.0/24");
        assert_eq!(net("10.1.2.3/24").last().to_string(), "10.1.2.255");
        assert_eq!(net("fd42::5/64").last().to_string(), "fd42::ffff:ffff:ffff:ffff");
        assert!(net("0.0.0.0/0").contains("255.255.255.255".parse().unwrap()));
        assert!(net("::/0").contains("ffff::1".parse().unwrap()));
        assert!(net("10.1.0.0/16").overlaps(net("10.1.2.0/24")) && net("10.1.2.0/24").overlaps(net("10.1.0.0/16")));
        assert!(!net("10.1.2.0/25").overlaps(net("10.1.2.128/25")));
        assert!(!net("0.0.0.0/0").overlaps(net("::/0")));
        for wrong in ["", "10.0.0.1", "10.0.0.1/33", "10.0.0.1/+4", "::/129", "x/8", "10.0.0.1/"] {
            assert_eq!(wrong.parse::<Subnet>(), Err(NotSubnet), "{wrong:?}");
        }
    }

    #[test]
    fn a_chosen_subnet_is_free() {
        let counter = std::cell::Cell::new(0_u8);
        let next = || {
            counter.set(counter.get().wrapping_add(1));
            [7, counter.get()]
        };
        assert_eq!(choose4(&[net("10.7.1.0/24"), net("10.7.2.128/25")], next).unwrap().to_string(), "10.7.3.1/24");
        assert_eq!(choose4(&[net("10.0.0.0/8")], next), None);
        assert_eq!(choose6(&[], || [1, 2, 3, 4, 5, 6]).unwrap().to_string(), "fd42:102:304:506::1/64");
    }

    #[test]
    fn routes_of_the_host_are_read() {
        let four = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            br0\t00002C0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let six = "fd420044000000000000000000000000 40 00000000000000000000000000000000 00 0 0 0 0 00000001 br0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 0 0 0 0 00000001 lo\n";
        let found: Vec<String> = host_routes(four, six).iter().map(Subnet::to_string).collect();
        assert_eq!(found, ["10.44.0.0/24", "fd42:44::/64"]);
        assert!(host_routes("garbage\nx y z\n", "zz\n").is_empty());
    }
}
