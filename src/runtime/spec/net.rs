//! What the daemon and the helper process of a managed bridge (`lxbox net`) say to each other, and the plan it serves by.
//!
//! Messages are one JSON object a packet on a `SOCK_SEQPACKET` unix socket, [`SOCKET`] in the run directory. Any number of daemons may
//! be connected; each request gets its answer on its own connection.
//!
//! ```text
//! daemon                        net
//!   | -- spawn(launch, socket) -> |
//!   | <- ready | failed --------- |   sockets are open, privileges are gone, the record is written
//!   | -- hello ------------------ |   by a later daemon
//!   | <- ready ------------------ |
//!   | -- set_plan [plan] -------> |
//!   | <- done | restart --------- |   restart: what changed needs privileges, or is newer than this helper
//!   | -- leases ----------------> |
//!   | <- leases (more)* leases -- |
//!   | -- release ---------------> |
//!   | <- done ------------------- |
//!   | -- stop ------------------> |
//!   | <- done ------------------- |   it ends
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::api::tree::{FromTree, Tree, Wrong, readable};
use serde::Serialize;

/// The helper's socket below the run directory.
pub const SOCKET: &str = "net.sock";
/// The helper's record below the run directory ([`super::resident::Record`]).
pub const RECORD: &str = "net.json";
/// Bytes of one message to the helper, at most: they are all short, and it is small.
pub const MAX_REQUEST: usize = 1024;
/// Leases in one message of the helper, at most.
pub const LEASES_A_MESSAGE: usize = 128;

/// The hardware address of an Ethernet interface; text is lower case with colons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// A text that is no hardware address.
#[derive(Debug, PartialEq, Eq)]
pub struct NotMac;

impl Mac {
    /// The low 64 bits of an address that an interface gives itself (modified EUI-64, RFC 4291, appendix A).
    pub fn interface_id(self) -> u64 {
        let m = self.0;
        u64::from_be_bytes([m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]])
    }

    /// The hardware address behind such an interface id.
    pub fn of_interface_id(id: u64) -> Option<Mac> {
        let b = id.to_be_bytes();
        (b[3] == 0xff && b[4] == 0xfe).then_some(Mac([b[0] ^ 2, b[1], b[2], b[5], b[6], b[7]]))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5])
    }
}

impl FromStr for Mac {
    type Err = NotMac;

    fn from_str(text: &str) -> Result<Mac, NotMac> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part =
                parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(NotMac)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| NotMac)?;
        }
        if parts.next().is_some() { Err(NotMac) } else { Ok(Mac(mac)) }
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromTree for Mac {
    fn of(tree: Tree) -> Result<Mac, Wrong> {
        String::of(tree)?.parse().map_err(|NotMac| Wrong::new("not a hardware address"))
    }

    fn blank() -> Mac {
        Mac::default()
    }
}

readable! {
    /// All that one bridge's helper serves.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct NetPlan {
        /// [`super::VERSION`] of who wrote it.
        pub version: u32,
        /// The network's name.
        pub network: String,
        /// The bridge's interface.
        pub bridge: String,
        /// Its index: a bridge that was made again has another one, and needs another helper.
        pub ifindex: u32,
        /// The bridge's hardware address.
        pub mac: Mac,
        /// The bridge's own addresses, on which names are resolved.
        pub addresses: Vec<IpAddr>,
        /// What DHCPv4 and names need of the IPv4 subnet; `None`: no DHCPv4.
        pub v4: Option<V4Plan>,
        /// IPv6: router advertisements and DHCPv6; `None`: neither.
        pub v6: Option<V6Plan>,
        /// Names; `None`: no DNS server at all.
        pub dns: Option<DnsPlan>,
        /// The interfaces of instances on this bridge.
        #[serde(default)]
        pub hosts: Vec<Host>,
        /// The MTU that clients are told, when it isn't the usual one.
        #[serde(default)]
        pub mtu: Option<u32>,
        /// What people add beyond keys.
        #[serde(default)]
        pub extra: Extra,
    }

    /// What people add to DHCP beyond keys (`raw.dnsmasq`).
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(default)]
    pub struct Extra {
        /// Further options every DHCPv6 client is told: code and content. They replace what would be told otherwise; without
        /// content they only take it away.
        pub options6: Vec<(u16, Vec<u8>)>,
        /// What clients that boot from the network are told.
        pub boot: Option<Boot>,
        /// Leases at most.
        pub leases: Option<usize>,
    }

    /// What clients that boot from the network are told (RFC 2131 section 2).
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Boot {
        /// The file, at most 127 bytes.
        pub file: String,
        /// The name of the server that has it, at most 63 bytes; may be empty.
        pub server_name: String,
        /// Its address; this one when there is none.
        pub server: Option<Ipv4Addr>,
    }

    /// DHCPv4 of a bridge.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct V4Plan {
        /// The bridge's own address, in its subnet: the server's identity, and the resolver clients are told.
        pub address: Ipv4Addr,
        /// Bits of the subnet's prefix.
        pub prefix: u8,
        /// Addresses given out, in the order they are tried: first and last of each range.
        pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
        /// How long leases last, in seconds; `u32::MAX` is for ever.
        pub expiry: u32,
        /// The router clients are told, when it isn't the bridge (`ipv4.dhcp.gateway`).
        #[serde(default)]
        pub gateway: Option<Ipv4Addr>,
        /// Routes clients are told (option 121): network, prefix, router.
        #[serde(default)]
        pub routes: Vec<(Ipv4Addr, u8, Ipv4Addr)>,
        /// Further options every client is told: code and content. They replace what would be told otherwise; without content
        /// they only take it away.
        #[serde(default)]
        pub options: Vec<(u8, Vec<u8>)>,
    }

    /// How clients get IPv6 addresses.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "mode", rename_all = "snake_case")]
    pub enum V6Mode {
        /// By themselves; no DHCPv6 (`ipv6.dhcp=false`).
        Slaac,
        /// By themselves, the rest by DHCPv6.
        Stateless,
        /// By DHCPv6 (`ipv6.dhcp.stateful`).
        Stateful {
            /// Addresses given out, in the order they are tried.
            ranges: Vec<(Ipv6Addr, Ipv6Addr)>,
            /// How long leases last, in seconds; `u32::MAX` is for ever.
            expiry: u32,
        },
    }

    /// Router advertisements and DHCPv6 of a bridge.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(default)]
    pub struct V6Plan {
        /// The bridge's own address: the resolver clients are told.
        pub address: Ipv6Addr,
        /// Bits of the subnet's prefix.
        pub prefix: u8,
        /// How clients get addresses.
        #[serde(flatten)]
        pub mode: V6Mode,
        /// Whether the bridge routes: else it doesn't offer itself as the default router.
        pub router: bool,
    }
}

impl Default for V6Plan {
    fn default() -> V6Plan {
        V6Plan { address: Ipv6Addr::UNSPECIFIED, prefix: 64, mode: V6Mode::Slaac, router: true }
    }
}

readable! {
    /// `dns.mode`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum DnsMode {
        /// Instances have the names that the plan says; others may have what they call themselves.
        #[default]
        Managed,
        /// Clients have the names they call themselves.
        Dynamic,
        /// No names: questions are only forwarded.
        None,
    }

    /// Names of a bridge.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct DnsPlan {
        /// The domain answered for (`dns.domain`).
        pub domain: String,
        /// Where names come from.
        #[serde(default)]
        pub mode: DnsMode,
        /// The search list clients are told; the domain when empty.
        #[serde(default)]
        pub search: Vec<String>,
        /// Resolvers to forward to, first choice first; when empty those of `resolv_conf`.
        #[serde(default)]
        pub upstream: Vec<SocketAddr>,
        /// The host's list of resolvers, read again when it changes. `None`: `/etc/resolv.conf`.
        #[serde(default)]
        pub resolv_conf: Option<PathBuf>,
        /// Further names, absolute, and their addresses.
        #[serde(default)]
        pub records: Vec<(String, IpAddr)>,
        /// Other names, absolute and in lower case, and the names they stand for.
        #[serde(default)]
        pub aliases: Vec<(String, String)>,
        /// Records of other types: absolute name in lower case, type, and data as it is sent.
        #[serde(default)]
        pub data: Vec<(String, u16, Vec<u8>)>,
        /// What is done with questions about whole domains; the longest name that fits decides.
        #[serde(default)]
        pub domains: Vec<Domain>,
        /// Whether nobody is asked about names without a dot.
        #[serde(default)]
        pub whole_names: bool,
        /// Whether nobody is asked about addresses of private networks.
        #[serde(default)]
        pub private_stays: bool,
        /// Seconds that our names may be remembered.
        #[serde(default)]
        pub ttl: u32,
    }

    /// A domain, with all names in it that nobody here has.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Domain {
        /// Its name, in lower case.
        pub name: String,
        /// Whom to ask.
        #[serde(default)]
        pub servers: Vec<SocketAddr>,
        /// What to answer, when nobody is asked; without addresses there are no such names.
        #[serde(default)]
        pub addresses: Vec<IpAddr>,
    }

    /// A network interface of an instance.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Host {
        /// Its hardware address.
        pub mac: Mac,
        /// The instance's name in DNS.
        pub name: String,
        /// The IPv4 address that is kept for it.
        #[serde(default)]
        pub v4: Option<Ipv4Addr>,
        /// The IPv6 address that is kept for it.
        #[serde(default)]
        pub v6: Option<Ipv6Addr>,
    }

    /// What a helper is started with.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct NetLaunch {
        /// The first plan.
        pub plan: NetPlan,
        /// The user and group it becomes once its sockets are open; `None`: it stays who it is (tests without root).
        pub user: Option<u32>,
        /// The seccomp filter ([`crate::runtime::sys::seccomp`]'s hex).
        pub seccomp: String,
    }

    /// Messages of the daemon.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "do", rename_all = "snake_case")]
    pub enum ToNet {
        /// A daemon is here: answer `ready`.
        Hello {
            /// Its version of the protocol.
            version: u32,
        },
        /// Serve by this plan (a memfd with a [`NetPlan`]) from now on.
        SetPlan,
        /// Say all leases.
        Leases,
        /// Forget the leases of an interface.
        Release {
            /// Its hardware address.
            mac: Mac,
        },
        /// End.
        Stop,
    }

    /// Messages of the helper.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum FromNet {
        /// It serves.
        Ready {
            /// Its version of the protocol.
            version: u32,
            /// What it can't do at the moment, in words: a port that something else has.
            #[serde(default)]
            lacking: Vec<String>,
        },
        /// It could not start; it ends.
        Failed {
            /// The system's error number; 0 when there was none.
            errno: i32,
            /// What was being done.
            what: String,
        },
        /// The request is carried out.
        Done,
        /// The plan needs another helper: stop this one. It goes on by its old plan.
        Restart,
        /// Leases.
        Leases {
            /// Some of them.
            leases: Vec<Lease>,
            /// Whether another message follows.
            more: bool,
        },
        /// The request was not understood (by an older helper), or this message isn't (by an older daemon).
        #[serde(other)]
        Unknown,
    }

    /// A lease.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Lease {
        /// The client's name; empty when it has none.
        pub hostname: String,
        /// The client's hardware address, as far as it is known (DHCPv6 doesn't say it).
        pub mac: Option<Mac>,
        /// The address.
        pub address: IpAddr,
        /// Whether the plan keeps the address for it.
        pub fixed: bool,
        /// When it ends, in seconds since 1970; 0 is never.
        pub expires: u64,
    }
}

impl NetPlan {
    /// Whether a helper that was started with this plan can serve by `next`: it has no privileges any more, so it can open no
    /// socket that needs them.
    pub fn can_become(&self, next: &NetPlan) -> bool {
        next.version <= super::VERSION
            && (&self.bridge, self.ifindex, self.mac) == (&next.bridge, next.ifindex, next.mac)
            && self.addresses == next.addresses
            && self.v4.is_some() == next.v4.is_some()
            && self.v6.is_some() == next.v6.is_some()
            && self.dns.is_some() == next.dns.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tree::from_slice;

    #[test]
    fn hardware_addresses_are_read_as_they_are_written() {
        let mac: Mac = "00:16:3E:ec:0a:9e".parse().unwrap();
        assert_eq!(mac.to_string(), "00:16:3e:ec:0a:9e");
        for wrong in ["", "00:16:3e:ec:0a", "00:16:3e:ec:0a:9e:00", "00:16:3e:ec:0a:+e", "0016:3e:ec:0a:9e"] {
            assert_eq!(wrong.parse::<Mac>(), Err(NotMac), "{wrong}");
        }
        assert_eq!(from_slice::<Mac>(b"\"00:16:3e:ec:0a:9e\"").unwrap(), mac);
    }

    #[test]
    fn interface_ids_are_those_the_kernel_makes() {
        let mac: Mac = "00:16:3e:ec:0a:9e".parse().unwrap();
        assert_eq!(mac.interface_id(), 0x0216_3eff_feec_0a9e);
        assert_eq!(Mac::of_interface_id(mac.interface_id()), Some(mac));
        assert_eq!(Mac::of_interface_id(1), None);
    }

    #[test]
    fn a_plan_that_needs_other_sockets_needs_another_helper() {
        let plan = NetPlan { version: super::super::VERSION, ifindex: 3, ..NetPlan::default() };
        let more = NetPlan { hosts: vec![Host::default()], mtu: Some(1400), ..plan.clone() };
        assert!(plan.can_become(&more));
        assert!(!plan.can_become(&NetPlan { ifindex: 4, ..plan.clone() }));
        assert!(!plan.can_become(&NetPlan { dns: Some(DnsPlan::default()), ..plan.clone() }));
        assert!(!plan.can_become(&NetPlan { version: super::super::VERSION + 1, ..plan.clone() }));
    }

    #[test]
    fn plans_are_flat_and_older_ones_are_read() {
        let text =
            r#"{"address":"fd42::1","prefix":64,"mode":"stateful","ranges":[["fd42::2","fd42::9"]],"expiry":60}"#;
        let plan: V6Plan = from_slice(text.as_bytes()).unwrap();
        assert!(plan.router);
        assert!(matches!(plan.mode, V6Mode::Stateful { expiry: 60, .. }));
        assert_eq!(from_slice::<FromNet>(br#"{"say":"later"}"#).unwrap(), FromNet::Unknown);
    }
}
