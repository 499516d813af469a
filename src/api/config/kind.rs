//! The kinds of values keys take: what is valid, LXD's text when it isn't, and an example of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cpu::{Allowance, Cpu};
use super::units::{self, Memory, strconv};
use super::{schedule, syntax};

/// Which values a key takes. An empty value always means "not set" and is checked nowhere here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Anything.
    Text,
    /// Anything without line breaks, as environment variables are.
    Line,
    /// `true`, `1`, `yes`, `on` and their opposites, in any case.
    Bool,
    /// A signed 64 bit number.
    Integer,
    /// 0 to 255.
    Uint8,
    /// 0 to 4294967295.
    Uint32,
    /// 0 to 10.
    Priority,
    /// Bytes, with a suffix.
    Size,
    /// Bits, with a suffix. LXD 5.0 looks at these only when they are used.
    Bits,
    /// Bytes, with a suffix, or a number with the suffix `iops`. LXD 5.0 looks at these only when they are used.
    Throughput,
    /// Bytes or a percentage of the host's memory.
    Memory,
    /// A number of CPUs or a set of them.
    Cpu,
    /// A percentage or `RUNms/PERIODms`.
    Allowance,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, or a value of that kind.
    Or(&'static [&'static str], &'static Kind),
    /// Values of that kind with commas between them.
    List(&'static Kind),
    /// Spans of time like `1d 2H`.
    Expiry,
    /// A cron line or names like `@daily`.
    Schedule,
    /// A YAML mapping.
    Yaml,
    /// The same where it begins with the line `#cloud-config`, else any text.
    CloudConfig,
    /// `SOFT:HARD`, each a number or `unlimited`.
    Rlimit,
    /// A fragment of LXC configuration.
    RawLxc,
    /// A UUID.
    Uuid,
    /// An Ethernet address.
    Mac,
    /// An InfiniBand address, 8 or 20 bytes.
    InfinibandMac,
    /// 1280 to 16384.
    Mtu,
    /// 0 to 4094.
    Vlan,
    /// VLAN ids and ranges of them, with commas between them.
    VlanRanges,
    /// The name of a network interface.
    Interface,
    /// An IP address.
    Ip,
    /// An IPv4 address.
    Ip4,
    /// An IPv6 address.
    Ip6,
    /// An IPv4 address with its prefix length.
    Cidr4,
    /// An IPv6 address with its prefix length.
    Cidr6,
    /// An IPv4 address with or without its prefix length.
    IpOrCidr4,
    /// An IPv6 address with or without its prefix length.
    IpOrCidr6,
    /// An IPv4 network with its prefix length.
    Net4,
    /// An IPv6 network with its prefix length.
    Net6,
    /// `FIRST-LAST`.
    Range4,
    /// `FIRST-LAST`.
    Range6,
    /// `auto` or `none`.
    Gateway,
    /// A host address to listen on, with or without a port.
    Address,
    /// Four lower case hexadecimal digits.
    DeviceId,
    /// A PCI address.
    Pci,
    /// A uid or gid.
    UnixId,
    /// A major or minor number.
    DeviceNumber,
    /// Four octal digits.
    Mode,
    /// A path below /dev.
    DevPath,
    /// `TYPE:ADDRESS[:PORTS]`.
    ProxyAddress,
    /// `POOL/VOLUME`.
    PoolVolume,
    /// The name of a compressor with its options: `gzip`, `bzip2 -9`...
    Compression,
    /// An odd number from 3 on.
    Voters,
    /// 0 to 5.
    Standby,
    /// A port of TCP or UDP, or 0.
    Port,
    /// A path from the root.
    AbsPath,
    /// A number or `FIRST-LAST`.
    IdRange,
    /// `NETWORK:SUBNET`, with commas between them.
    UplinkSubnets,
    /// A number within these bounds.
    Within(i64, i64),
}

/// The words for a boolean.
const BOOLS: &[&str] = &["true", "1", "yes", "on", "false", "0", "no", "off"];

/// What a boolean says; anything that is none is false, as in LXD.
pub fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

impl Kind {
    /// Whether `text` is a value of this kind; the error is LXD's text. An empty text is.
    pub fn check(self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        match self {
            Kind::Or(words, kind) => {
                if words.contains(&text) {
                    return Ok(());
                }
                kind.check(text)
            }
            Kind::List(kind) => text.split(',').map(str::trim).try_for_each(|item| {
                let checked = if item.is_empty() { Err("Required value".to_owned()) } else { kind.check(item) };
                checked.map_err(|e| format!("Item {item:?}: {e}"))
            }),
            _ => self.check_plain(text),
        }
    }

    /// Numbers, words and what has a reader of its own; the rest is in the two functions below.
    fn check_plain(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Bool => require(BOOLS.contains(&text.to_ascii_lowercase().as_str()), || {
                format!("Invalid value for a boolean {text:?}")
            }),
            Kind::Integer => integer(text).map(drop),
            Kind::Uint8 => require(unsigned::<u8>(text), || {
                format!("Invalid value for an integer {text:?}. Must be between 0 and 255")
            }),
            Kind::Uint32 => uint32(text),
            Kind::Priority => require((0..=10).contains(&integer(text)?), || {
                format!("Invalid value for a limit {text:?}. Must be between 0 and 10")
            }),
            Kind::Within(low, high) => require((low..=high).contains(&integer(text)?), || {
                format!("Value isn't within valid range. Must be between {low} and {high}")
            }),
            Kind::Standby => require((0..=5).contains(&integer(text)?), || "Value must be between 0 and 5".into()),
            Kind::Port => require(unsigned::<u16>(text), || match text.parse::<i64>() {
                Ok(_) => format!("Out of port number range (0-65535) {text:?}"),
                Err(_) => format!("Invalid value for an integer: {text}"),
            }),
            Kind::Voters => integer(text).and_then(|n| {
                require(n >= 3 && n % 2 == 1, || "Value must be an odd number equal to or higher than 3".into())
            }),
            Kind::Size => units::bytes(text).map(drop),
            Kind::Bits => units::bits(text).map(drop),
            Kind::Throughput => match text.strip_suffix("iops") {
                Some(n) => integer(n).map(drop),
                None => units::bytes(text).map(drop),
            },
            Kind::Memory => Memory::parse(text).map(drop),
            Kind::Cpu => Cpu::parse(text).map(drop),
            Kind::Allowance => Allowance::parse(text).map(drop),
            Kind::OneOf(words) => {
                require(words.contains(&text), || format!("Invalid value {text:?} (not one of [{}])", words.join(" ")))
            }
            Kind::Expiry => schedule::expiry(text),
            Kind::Schedule => schedule::check(text),
            Kind::Rlimit => syntax::rlimit(text),
            Kind::RawLxc => super::raw_lxc::check(text),
            Kind::Yaml => syntax::yaml(text),
            Kind::CloudConfig => match text.split('\n').next() {
                Some("#cloud-config") => syntax::yaml(text),
                _ => Ok(()),
            },
            Kind::Line => {
                let broken = text.contains('\n') || text.contains('\0');
                require(!broken, || "Environment variables cannot contain line breaks".into())
            }
            _ => self.check_network(text),
        }
    }

    /// Addresses.
    fn check_network(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Ip => require(text.parse::<IpAddr>().is_ok(), || format!("Not an IP address {text:?}")),
            Kind::Ip4 => require(text.parse::<Ipv4Addr>().is_ok(), || format!("Not an IPv4 address {text:?}")),
            Kind::Ip6 => require(text.parse::<Ipv6Addr>().is_ok(), || format!("Not an IPv6 address {text:?}")),
            Kind::Cidr4 => syntax::cidr(text, true, false),
            Kind::Cidr6 => syntax::cidr(text, false, false),
            Kind::IpOrCidr4 => Kind::Cidr4.check(text).or_else(|_| Kind::Ip4.check(text)),
            Kind::IpOrCidr6 => Kind::Cidr6.check(text).or_else(|_| Kind::Ip6.check(text)),
            Kind::Net4 => syntax::cidr(text, true, true),
            Kind::Net6 => syntax::cidr(text, false, true),
            Kind::Range4 => syntax::range(text, true),
            Kind::Range6 => syntax::range(text, false),
            Kind::Gateway => require(matches!(text, "auto" | "none"), || format!("Invalid gateway: {text}")),
            Kind::Address => syntax::address(text),
            Kind::Mac => require(syntax::hex_bytes(text, &[6]), || {
                "Invalid MAC address, must be 6 bytes of hex separated by colons".into()
            }),
            Kind::InfinibandMac => require(syntax::hex_bytes(text, &[8, 20]), || {
                "Invalid value, must be either 8 or 20 bytes of hex separated by colons".into()
            }),
            Kind::Mtu => {
                let mtu = text.parse::<u32>().ok().filter(|_| !text.starts_with('+'));
                let mtu = mtu.ok_or_else(|| format!("Invalid MTU {text:?}"))?;
                require((1280..=16384).contains(&mtu), || format!("Out of MTU range (1280-16384) {text:?}"))
            }
            Kind::Vlan => {
                let vlan = text.parse::<i64>().map_err(|_| format!("Invalid VLAN ID {text:?}"))?;
                require((0..=4094).contains(&vlan), || format!("Out of VLAN ID range (0-4094) {text:?}"))
            }
            Kind::VlanRanges => text.split(',').map(str::trim).try_for_each(syntax::vlan_range),
            Kind::Interface => syntax::interface(text),
            Kind::ProxyAddress => syntax::proxy_address(text),
            _ => self.check_host(text),
        }
    }

    /// Things of the host.
    fn check_host(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Uuid => require(syntax::uuid(text), || "Invalid UUID".into()),
            Kind::DeviceId => {
                require(text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), || {
                    "Invalid value, must be four lower case hex characters".into()
                })
            }
            Kind::Pci => require(syntax::pci(text), || "Invalid PCI address".into()),
            Kind::UnixId => require(unsigned::<u32>(text), || "Invalid value for a UNIX ID".into()),
            Kind::DeviceNumber => require(unsigned::<u32>(text), || "Invalid value for a UNIX device number".into()),
            Kind::Mode => require(text.len() <= 7 && text.bytes().all(|b| matches!(b, b'0'..=b'7')), || {
                "Invalid value for an octal file mode".into()
            }),
            Kind::DevPath => {
                require(text.starts_with("/dev/") && !text.contains("/../"), || "Path needs to be in /dev".into())
            }
            Kind::PoolVolume => {
                require(text.split('/').count() == 2 && !text.starts_with('/') && !text.ends_with('/'), || {
                    "Invalid syntax for volume, must be <pool>/<volume>".into()
                })
            }
            Kind::AbsPath => require(text.starts_with('/'), || "Must be absolute file path".into()),
            Kind::IdRange => syntax::id_range(text),
            Kind::UplinkSubnets => text.split(',').map(str::trim).try_for_each(syntax::uplink_subnet),
            Kind::Compression => syntax::compression(text),
            _ => Ok(()),
        }
    }

    /// The name of the kind in `GET /1.0/metadata/configuration`.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Integer
            | Kind::Uint8
            | Kind::Uint32
            | Kind::Priority
            | Kind::Mtu
            | Kind::Vlan
            | Kind::UnixId
            | Kind::DeviceNumber
            | Kind::Voters
            | Kind::Standby
            | Kind::Port
            | Kind::Within(..) => "integer",
            Kind::Yaml | Kind::CloudConfig | Kind::RawLxc => "blob",
            _ => "string",
        }
    }

    /// The words among which a completion can choose.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Kind::Bool => &["false", "true"],
            Kind::OneOf(words) | Kind::Or(words, _) => words,
            Kind::Gateway => &["auto", "none"],
            _ => &[],
        }
    }
}

/// `Ok` when `holds`, else the text.
pub(super) fn require(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}

fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("Invalid value for an integer {text:?}"))
}

/// Whether `text` is such a number; a sign is not taken.
fn unsigned<T: std::str::FromStr>(text: &str) -> bool {
    !text.starts_with('+') && text.parse::<T>().is_ok()
}

fn uint32(text: &str) -> Result<(), String> {
    let wrong =
        |e: &std::num::ParseIntError| format!("Invalid value for uint32 {text:?}: {}", strconv("ParseUint", text, e));
    // Go takes no sign here, Rust takes a plus: such a text is read as the error of one without digits.
    let digits = if text.starts_with('+') { "+" } else { text };
    digits.parse::<u32>().map(drop).map_err(|e| wrong(&e))
}
