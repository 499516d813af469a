//! An example of a value of each kind, and of none: for documentation, and for tests that walk the table.

use super::kind::Kind;

impl Kind {
    /// A value of each kind, and one that is none where there is such a thing.
    pub fn examples(self) -> (String, Option<&'static str>) {
        let (good, bad) = match self {
            Kind::Text => ("anything", None),
            Kind::Line => ("a b", Some("a\nb")),
            Kind::Bool => ("Yes", Some("maybe")),
            Kind::Integer => ("-3", Some("1.5")),
            Kind::Uint8 => ("255", Some("256")),
            Kind::Uint32 => ("7", Some("-1")),
            Kind::Priority => ("10", Some("11")),
            Kind::Size => ("10GiB", Some("10 GB")),
            Kind::Bits => ("10Mbit", Some("10MB")),
            Kind::Throughput => ("30iops", Some("fast")),
            Kind::Memory => ("25%", Some("abc")),
            Kind::Cpu => ("0-3,7", Some("x")),
            Kind::Allowance => ("25ms/100ms", Some("x")),
            Kind::OneOf(words) => (words[0], Some("no such word")),
            Kind::Or(_, inner) => return inner.examples(),
            Kind::List(inner) => {
                let (good, bad) = inner.examples();
                return (format!("{good},{good}"), bad);
            }
            Kind::Expiry => ("1d 2H", Some("1d 1d")),
            Kind::Schedule => ("@daily, 0 6 * * mon", Some("x")),
            Kind::Yaml => ("version: 1", Some("- a")),
            Kind::CloudConfig => ("#cloud-config\na: 1", Some("#cloud-config\n- a")),
            Kind::Rlimit => ("1000:unlimited", Some("x")),
            Kind::RawLxc => ("lxc.mount.auto = proc:rw", Some("x")),
            Kind::Within(low, high) => return (high.to_string(), Some(if low > 0 { "0" } else { "-1" })),
            _ => return self.examples_of_hosts(),
        };
        (good.to_owned(), bad)
    }

    /// Addresses and things of a host.
    fn examples_of_hosts(self) -> (String, Option<&'static str>) {
        let (good, bad) = match self {
            Kind::Uuid => ("c904725f-0d7d-4afd-9ad7-e12ee4b853e1", Some("x")),
            Kind::Mac => ("00:16:3e:aa:bb:cc", Some("00:16:3e")),
            Kind::InfinibandMac => ("00:16:3e:aa:bb:cc:dd:ee", Some("00:16:3e:aa:bb:cc")),
            Kind::Mtu => ("1500", Some("5")),
            Kind::Vlan => ("5", Some("-1")),
            Kind::VlanRanges => ("5-7,9", Some("-1")),
            Kind::Interface => ("eth0", Some("a/b")),
            Kind::Ip | Kind::Ip4 => ("10.0.0.1", Some("x")),
            Kind::Ip6 => ("fd00::1", Some("10.0.0.1")),
            Kind::IpOrCidr4 => return Kind::Ip4.examples(),
            Kind::IpOrCidr6 => return Kind::Ip6.examples(),
            Kind::Cidr4 => ("10.0.0.1/24", Some("10.0.0.1")),
            Kind::Cidr6 => ("fd00::1/64", Some("fd00::1")),
            Kind::Net4 => ("10.0.0.0/24", Some("10.0.0.1/24")),
            Kind::Net6 => ("fd00::/64", Some("fd00::1/64")),
            Kind::Range4 => ("10.0.0.1-10.0.0.9", Some("10.0.0.1")),
            Kind::Range6 => ("fd00::1-fd00::9", Some("fd00::1")),
            Kind::Gateway => ("none", Some("x")),
            Kind::Address => ("[::]:8443", Some("a b")),
            Kind::DeviceId => ("1d6b", Some("1D6B")),
            Kind::Pci => ("0000:00:1f.2", Some("x")),
            Kind::UnixId | Kind::DeviceNumber => ("1000", Some("-1")),
            Kind::Mode => ("0660", Some("9")),
            Kind::DevPath => ("/dev/null", Some("/etc/passwd")),
            Kind::ProxyAddress => ("tcp:127.0.0.1:80-90", Some("x")),
            Kind::PoolVolume => ("default/backups", Some("default")),
            Kind::AbsPath => ("/srv", Some("srv")),
            Kind::IdRange => ("1000-2000", Some("x")),
            Kind::UplinkSubnets => ("lxdbr0:10.0.0.0/24", Some("x")),
            Kind::Compression => ("gzip -9", Some("rm")),
            Kind::Voters => ("3", Some("4")),
            Kind::Standby => ("2", Some("6")),
            Kind::Port => ("8472", Some("1.5")),
            _ => ("anything", None),
        };
        (good.to_owned(), bad)
    }
}
