//! Rules as the kernel's small instructions: load a field into a register, compare the register, act
//! (`linux/netfilter/nf_tables.h`). The instructions are those the nft program makes, so it lists our rules as its own.

use std::net::IpAddr;

use super::model::{Action, Family, IcmpVersion, Match, Protocol, Reject, Rule, Side, Span};
use super::sets::{Values, common_prefix};
use crate::runtime::network::netlink::wire::Attributes;

/// The register everything is compared in.
const REGISTER: u32 = 1;
/// Bytes a link's name has in a comparison.
const NAME: usize = 16;
/// In a list, one of it.
const ELEMENT: u16 = 1;

/// nft's numbers for the types of addresses of IPv4 and IPv6.
const ADDRESSES: [u32; 2] = [7, 8];

/// ETH_P_IP and the like.
const ETHER_IP: u16 = 0x0800;
const ETHER_ARP: u16 = 0x0806;
const ETHER_IP6: u16 = 0x86dd;

/// Where a field is counted from.
#[derive(Clone, Copy)]
enum Layer {
    Link = 0,
    Network = 1,
    Transport = 2,
}

/// What a field is, for those who list sets of it (nft's numbers of types), and how long it is.
#[derive(Clone, Copy)]
struct Field {
    layer: Layer,
    offset: u32,
    length: u32,
    kind: u32,
}

/// A set without a name, used by one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// What its values are (nft's numbers of types).
    pub kind: u32,
    /// How long one is, in bytes.
    pub length: u32,
    /// Its values.
    pub values: Values,
}

/// A rule's instructions.
#[derive(Clone, Debug, Default)]
pub(super) struct Encoded {
    /// The list of instructions.
    pub expressions: Attributes,
    /// The sets they look into; the first has the number `first_set`, the others the next ones.
    pub sets: Vec<Set>,
    first_set: u32,
    family: Option<Family>,
    network: Option<u16>,
    transport: Option<u8>,
}

/// A rule's instructions in a table of `family`; its sets get the numbers from `first_set` on.
pub(super) fn rule(family: Family, rule: &Rule, first_set: u32) -> Encoded {
    let network = match family {
        Family::Ip => Some(ETHER_IP),
        Family::Ip6 => Some(ETHER_IP6),
        Family::Inet | Family::Bridge => None,
    };
    let mut encoded = Encoded { first_set, family: Some(family), network, ..Encoded::default() };
    rule.matches.iter().for_each(|m| encoded.condition(m));
    rule.actions.iter().for_each(|a| encoded.action(a));
    encoded
}

impl Encoded {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Attributes)) {
        self.expressions.nest(ELEMENT, |expression| {
            expression.text(1, name).nest(2, fill);
        });
    }

    fn condition(&mut self, condition: &Match) {
        match condition {
            Match::In(name) => self.link(6, name),
            Match::Out(name) => self.link(7, name),
            Match::InIndex(index) => {
                self.load_meta(4);
                self.compare(true, &index.to_ne_bytes());
            }
            Match::Version(version) => self.version(*version),
            Match::Address(side, spans) => self.addresses(*side, spans, true),
            Match::NotAddress(side, spans) => self.addresses(*side, spans, false),
            Match::Carries(protocol) => self.need_transport(protocol.number()),
            Match::Field(version, protocol) => self.protocol_field(*version, *protocol),
            Match::Port(protocol, side, spans) => self.ports(*protocol, *side, spans),
            Match::IcmpType(version, types) => {
                let spans: Vec<_> = types.iter().copied().map(Span::one).collect();
                self.icmp(*version, 0, &spans);
            }
            Match::IcmpCode(version, code) => self.icmp(*version, 1, &[Span::one(*code)]),
            Match::Connection(states) => self.connection(*states),
            Match::NoWayBack => self.no_way_back(),
            other => self.frame_condition(other),
        }
    }

    /// Conditions on frames and on bytes at a place.
    fn frame_condition(&mut self, condition: &Match) {
        match condition {
            Match::NotEtherSource(mac) => {
                self.load(Layer::Link, 6, 6);
                self.compare(false, &mac.0);
            }
            Match::EtherType(kind) => self.need_frame(*kind),
            Match::NotEtherType(kinds) => {
                let spans: Vec<_> = kinds.iter().copied().map(Span::one).collect();
                let field = Field { layer: Layer::Link, offset: 12, length: 2, kind: 10 };
                self.field(field, &Values::new(&spans, |k: u16| k.to_be_bytes().to_vec()), false);
            }
            Match::NotArpEther(mac) => {
                self.need_frame(ETHER_ARP);
                self.load(Layer::Network, 8, 6);
                self.compare(false, &mac.0);
            }
            Match::ArpAddress(span) => {
                self.need_frame(ETHER_ARP);
                let field = Field { layer: Layer::Network, offset: 14, length: 4, kind: 7 };
                self.field(field, &Values::new(&[*span], address_bytes), true);
            }
            Match::AdvertisedAddress(span) => {
                // Behind 40 bytes of IPv6 and 8 of ICMP (RFC 4861 section 4.4).
                let field = Field { layer: Layer::Network, offset: 48, length: 16, kind: 8 };
                self.field(field, &Values::new(&[*span], address_bytes), true);
            }
            Match::Network(offset, bytes, so) => {
                self.load(Layer::Network, *offset, u32::try_from(bytes.len()).unwrap_or(0));
                self.compare(*so, bytes);
            }
            _ => {}
        }
    }

    fn load_meta(&mut self, key: u32) {
        self.expression("meta", |a| {
            a.network_word(2, key).network_word(1, REGISTER);
        });
    }

    fn load(&mut self, layer: Layer, offset: u32, length: u32) {
        self.expression("payload", |a| {
            a.network_word(1, REGISTER).network_word(2, layer as u32).network_word(3, offset).network_word(4, length);
        });
    }

    fn compare(&mut self, equal: bool, value: &[u8]) {
        self.compare_how(if equal { 0 } else { 1 }, value);
    }

    /// `NFT_CMP_*`: 0 equal, 1 not equal, 3 at most, 5 at least.
    fn compare_how(&mut self, how: u32, value: &[u8]) {
        self.expression("cmp", |a| {
            a.network_word(1, REGISTER).network_word(2, how).nest(3, |value_of| {
                value_of.bytes(1, value);
            });
        });
    }

    fn mask(&mut self, mask: &[u8]) {
        self.expression("bitwise", |a| {
            let length = u32::try_from(mask.len()).unwrap_or(0);
            a.network_word(1, REGISTER).network_word(2, REGISTER).network_word(3, length);
            a.nest(4, |m| {
                m.bytes(1, mask);
            });
            a.nest(5, |x| {
                x.bytes(1, &vec![0; mask.len()]);
            });
        });
    }

    fn link(&mut self, key: u32, name: &str) {
        self.load_meta(key);
        let mut padded = name.as_bytes().to_vec();
        padded.resize(NAME, 0);
        self.compare(true, &padded);
    }

    /// Asks what IP version a packet is, unless that is known. nft(8) asks a bridge's packets in another way.
    fn need_network(&mut self, kind: u16) {
        if self.network == Some(kind) {
            return;
        }
        if self.family == Some(Family::Bridge) {
            self.load_meta(1);
            self.compare(true, &kind.to_be_bytes());
        } else {
            self.load_meta(15);
            self.compare(true, &[if kind == ETHER_IP { 2 } else { 10 }]);
        }
        self.network = Some(kind);
    }

    /// Asks what a frame carries by its own field.
    fn need_frame(&mut self, kind: u16) {
        if self.network != Some(kind) {
            self.load(Layer::Link, 12, 2);
            self.compare(true, &kind.to_be_bytes());
            self.network = Some(kind);
        }
    }

    fn need_transport(&mut self, protocol: u8) {
        if self.transport != Some(protocol) {
            self.load_meta(16);
            self.compare(true, &[protocol]);
            self.transport = Some(protocol);
        }
    }

    fn version(&mut self, version: u8) {
        self.need_network(if version == 4 { ETHER_IP } else { ETHER_IP6 });
        self.load(Layer::Network, 0, 1);
        self.mask(&[0xf0]);
        self.compare(true, &[version << 4]);
    }

    fn addresses(&mut self, side: Side, spans: &[Span<IpAddr>], so: bool) {
        let v4 = spans.first().is_some_and(|s| s.from.is_ipv4());
        let (kind, source, length, type_of) = if v4 { (ETHER_IP, 12, 4, 7) } else { (ETHER_IP6, 8, 16, 8) };
        self.need_network(kind);
        let offset = if side == Side::Source { source } else { source + length };
        let field = Field { layer: Layer::Network, offset, length, kind: type_of };
        self.field(field, &Values::new(spans, address_bytes), so);
    }

    fn protocol_field(&mut self, version: IcmpVersion, protocol: Protocol) {
        let (kind, offset) = match version {
            IcmpVersion::V4 => (ETHER_IP, 9),
            IcmpVersion::V6 => (ETHER_IP6, 6),
        };
        self.need_network(kind);
        self.load(Layer::Network, offset, 1);
        self.compare(true, &[protocol.number()]);
        self.transport = Some(protocol.number());
    }

    fn ports(&mut self, protocol: Protocol, side: Side, spans: &[Span<u16>]) {
        self.need_transport(protocol.number());
        let offset = if side == Side::Source { 0 } else { 2 };
        let field = Field { layer: Layer::Transport, offset, length: 2, kind: 13 };
        self.field(field, &Values::new(spans, |port: u16| port.to_be_bytes().to_vec()), true);
    }

    fn icmp(&mut self, version: IcmpVersion, offset: u32, spans: &[Span<u8>]) {
        let (network, protocol, kinds) = match version {
            IcmpVersion::V4 => (ETHER_IP, Protocol::Icmp, [14, 33]),
            IcmpVersion::V6 => (ETHER_IP6, Protocol::Icmpv6, [29, 34]),
        };
        if self.family == Some(Family::Bridge) {
            self.need_frame(network);
        } else {
            self.need_network(network);
        }
        self.need_transport(protocol.number());
        let kind = kinds[usize::from(offset != 0)];
        let field = Field { layer: Layer::Transport, offset, length: 1, kind };
        self.field(field, &Values::new(spans, |value: u8| vec![value]), true);
    }

    fn connection(&mut self, states: u32) {
        self.expression("ct", |a| {
            // NFT_CT_STATE
            a.network_word(2, 0).network_word(1, REGISTER);
        });
        self.mask(&states.to_ne_bytes());
        self.compare(false, &[0; 4]);
    }

    fn no_way_back(&mut self) {
        // NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT, and NFT_FIB_RESULT_OIF.
        self.expression("fib", |a| {
            a.network_word(3, 1 | 8 | 32).network_word(2, 1).network_word(1, REGISTER);
        });
        self.compare(true, &[0; 4]);
    }

    /// Compares a field with one value, one span, or several.
    fn field(&mut self, field: Field, values: &Values, so: bool) {
        if values.several {
            self.load(field.layer, field.offset, field.length);
            return self.look_up(field, values, so);
        }
        // No value at all: nothing holds, and everything holds not.
        let Some((from, to)) = values.spans.first() else {
            return self.look_up(field, values, so);
        };
        // Only addresses have prefixes; spans of ports that look like one are spans.
        let prefix = if from == to || ADDRESSES.contains(&field.kind) { common_prefix(from, to) } else { None };
        match prefix {
            Some(bits) if bits != 0 && bits.is_multiple_of(8) => {
                self.load(field.layer, field.offset, u32::try_from(bits / 8).unwrap_or(0));
                self.compare(so, &from[..bits / 8]);
            }
            Some(_) => {
                self.load(field.layer, field.offset, field.length);
                let mask: Vec<u8> = from.iter().zip(to).map(|(a, b)| !(a ^ b)).collect();
                self.mask(&mask);
                self.compare(so, from);
            }
            None => {
                self.load(field.layer, field.offset, field.length);
                self.span(from, to, so);
            }
        }
    }

    fn span(&mut self, from: &[u8], to: &[u8], so: bool) {
        if so {
            self.compare_how(5, from);
            return self.compare_how(3, to);
        }
        self.expression("range", |a| {
            a.network_word(1, REGISTER).network_word(2, 1);
            a.nest(3, |v| {
                v.bytes(1, from);
            });
            a.nest(4, |v| {
                v.bytes(1, to);
            });
        });
    }

    fn look_up(&mut self, field: Field, values: &Values, so: bool) {
        let id = self.first_set + u32::try_from(self.sets.len()).unwrap_or(0);
        self.sets.push(Set { kind: field.kind, length: field.length, values: values.clone() });
        self.expression("lookup", |a| {
            a.text(1, "__set%d").network_word(2, REGISTER).network_word(4, id);
            if !so {
                a.network_word(5, 1);
            }
        });
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Accept => self.verdict(1, None),
            Action::Drop => self.verdict(0, None),
            Action::Return => self.verdict(-5, None),
            Action::Jump(chain) => self.verdict(-3, Some(chain)),
            Action::Reject(how) => {
                let (kind, code) = match how {
                    Reject::V4 => (0, 3),
                    Reject::V6 => (0, 4),
                    Reject::Any => (2, 1),
                };
                self.expression("reject", |a| {
                    a.network_word(1, kind).byte(2, code);
                });
            }
            Action::Log(prefix) => self.expression("log", |a| {
                a.text(2, prefix);
            }),
            Action::Counter => self.expression("counter", |a| {
                a.bytes(1, &[0; 8]).bytes(2, &[0; 8]);
            }),
            Action::Masquerade => self.expression("masq", |_| {}),
            Action::SourceNat(address) => self.translate(0, *address, None),
            Action::DestinationNat(address, port) => self.translate(1, *address, *port),
        }
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        self.expression("immediate", |a| {
            a.network_word(1, 0).nest(2, |value| {
                value.nest(2, |verdict| {
                    verdict.bytes(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        verdict.text(2, chain);
                    }
                });
            });
        });
    }

    fn immediate(&mut self, register: u32, value: &[u8]) {
        self.expression("immediate", |a| {
            a.network_word(1, register).nest(2, |data| {
                data.bytes(1, value);
            });
        });
    }

    /// `NFT_NAT_SNAT` or `NFT_NAT_DNAT`.
    fn translate(&mut self, kind: u32, address: IpAddr, port: Option<u16>) {
        self.need_network(if address.is_ipv4() { ETHER_IP } else { ETHER_IP6 });
        self.immediate(1, &address_bytes(address));
        if let Some(port) = port {
            self.immediate(2, &port.to_be_bytes());
        }
        self.expression("nat", |a| {
            a.network_word(1, kind).network_word(2, if address.is_ipv4() { 2 } else { 10 }).network_word(3, 1);
            if port.is_some() {
                // NF_NAT_RANGE_PROTO_SPECIFIED
                a.network_word(5, 2).network_word(7, 2);
            }
        });
    }
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
