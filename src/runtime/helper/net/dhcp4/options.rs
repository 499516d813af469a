//! What clients are told beside their address (RFC 2132).

use std::net::Ipv4Addr;

use dhcproto::Name;
use dhcproto::v4::{DhcpOption, DhcpOptions, MessageType, OptionCode, UnknownOption};

use super::{Context, Request};
use crate::runtime::helper::net::names;
use crate::runtime::spec::net::DnsMode;

/// The options of an answer. The small ones are always told; the rest when the client asks for it, or doesn't say what it wants.
pub(super) fn options(
    context: &Context<'_>,
    request: &Request,
    kind: MessageType,
    address: Option<Ipv4Addr>,
) -> DhcpOptions {
    let v4 = context.v4;
    let mut options = DhcpOptions::new();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(v4.address));
    if let Some(DhcpOption::ClientIdentifier(id)) = request.message.opts().get(OptionCode::ClientIdentifier) {
        options.insert(DhcpOption::ClientIdentifier(id.clone()));
    }
    if kind == MessageType::Nak {
        options.insert(DhcpOption::Message("address not available".into()));
        return options;
    }
    if address.is_some() {
        times(&mut options, request.seconds(v4));
        if request.has(OptionCode::RapidCommit) && kind == MessageType::Ack {
            options.insert(DhcpOption::RapidCommit);
        }
    }
    let mask = u32::MAX.checked_shl(32 - u32::from(v4.prefix.min(32))).unwrap_or(0);
    options.insert(DhcpOption::SubnetMask(Ipv4Addr::from_bits(mask)));
    options.insert(DhcpOption::BroadcastAddr(Ipv4Addr::from_bits(v4.address.to_bits() | !mask)));
    if wants(request, OptionCode::Router) || v4.gateway.is_some() {
        options.insert(DhcpOption::Router(vec![v4.gateway.unwrap_or(v4.address)]));
    }
    resolver(context, request, &mut options);
    if let Some(mtu) = context.plan.mtu.and_then(|mtu| u16::try_from(mtu).ok()) {
        options.insert(DhcpOption::InterfaceMtu(mtu));
    }
    if !v4.routes.is_empty() {
        options.insert(raw(OptionCode::ClasslessStaticRoute, routes(v4)));
    }
    for (code, content) in &v4.options {
        let code = OptionCode::from(*code);
        if content.is_empty() {
            options.remove(code);
        } else {
            options.insert(raw(code, content.clone()));
        }
    }
    options
}

/// How long the lease lasts, and when to renew it (RFC 2131, 4.4.5).
fn times(options: &mut DhcpOptions, seconds: u32) {
    options.insert(DhcpOption::AddressLeaseTime(seconds));
    if seconds != u32::MAX {
        options.insert(DhcpOption::Renewal(seconds / 2));
        options.insert(DhcpOption::Rebinding((u64::from(seconds) * 7 / 8) as u32));
    }
}

fn resolver(context: &Context<'_>, request: &Request, options: &mut DhcpOptions) {
    let Some(dns) = &context.plan.dns else { return };
    if wants(request, OptionCode::DomainNameServer) {
        options.insert(DhcpOption::DomainNameServer(vec![context.v4.address]));
    }
    if dns.mode != DnsMode::None && !dns.domain.is_empty() && wants(request, OptionCode::DomainName) {
        options.insert(DhcpOption::DomainName(dns.domain.clone()));
    }
    let list: Vec<Name> = dns.search.iter().filter_map(|d| Name::from_ascii(d).ok()).collect();
    if !list.is_empty() {
        options.insert(DhcpOption::DomainSearch(list));
    }
    let name = names::name_for(context.plan, Some(request.mac), None);
    if let Some(name) = name.filter(|_| asks(request, OptionCode::Hostname)) {
        options.insert(DhcpOption::Hostname(name));
    }
}

/// Routes, most significant octets of each network only (RFC 3442). A client that reads them ignores the router option, so the
/// default route is among them.
fn routes(v4: &crate::runtime::spec::net::V4Plan) -> Vec<u8> {
    let default = (Ipv4Addr::UNSPECIFIED, 0, v4.gateway.unwrap_or(v4.address));
    let mut bytes = Vec::new();
    for (network, prefix, router) in v4.routes.iter().chain([&default]) {
        bytes.push(*prefix);
        bytes.extend(&network.octets()[..usize::from(prefix.div_ceil(8)).min(4)]);
        bytes.extend(router.octets());
    }
    bytes
}

fn raw(code: OptionCode, content: Vec<u8>) -> DhcpOption {
    DhcpOption::Unknown(UnknownOption::new(code, content))
}

fn asks(request: &Request, code: OptionCode) -> bool {
    match request.message.opts().get(OptionCode::ParameterRequestList) {
        Some(DhcpOption::ParameterRequestList(list)) => list.contains(&code),
        _ => false,
    }
}

fn wants(request: &Request, code: OptionCode) -> bool {
    asks(request, code) || !request.has(OptionCode::ParameterRequestList)
}
