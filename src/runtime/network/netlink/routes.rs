//! Routes (rtnetlink(7), `RTM_*ROUTE`).

use std::net::IpAddr;

use super::addresses::family;
use super::socket::{CREATE, EXCL, Message, REPLACE};
use super::wire::{self, Attributes};
use super::{Netlink, V4, V6};
use crate::error::{Ctx, Kind, Result};

const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
/// Bytes of `struct rtmsg`.
const HEAD: usize = 12;
/// The table that is looked at when no rule says another.
pub const TABLE_MAIN: u32 = 254;
/// The kernel's own table of this host's addresses.
pub const TABLE_LOCAL: u32 = 255;

/// How far an address or a route is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Universe,
    /// On the link.
    Link,
    /// On this host.
    Host,
    /// Others have no name here.
    Other(u8),
}

impl From<Scope> for u8 {
    fn from(scope: Scope) -> u8 {
        match scope {
            Scope::Universe => 0,
            Scope::Link => 253,
            Scope::Host => 254,
            Scope::Other(number) => number,
        }
    }
}

impl From<u8> for Scope {
    fn from(number: u8) -> Scope {
        match number {
            0 => Scope::Universe,
            253 => Scope::Link,
            254 => Scope::Host,
            number => Scope::Other(number),
        }
    }
}

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// They go on.
    Unicast,
    /// They are for this host.
    Local,
    /// They are thrown away.
    Blackhole,
    /// Others have no name here (`RTN_*`).
    Other(u8),
}

impl From<RouteKind> for u8 {
    fn from(kind: RouteKind) -> u8 {
        match kind {
            RouteKind::Unicast => 1,
            RouteKind::Local => 2,
            RouteKind::Blackhole => 6,
            RouteKind::Other(number) => number,
        }
    }
}

impl From<u8> for RouteKind {
    fn from(number: u8) -> RouteKind {
        match number {
            1 => RouteKind::Unicast,
            2 => RouteKind::Local,
            6 => RouteKind::Blackhole,
            number => RouteKind::Other(number),
        }
    }
}

/// A route; its family is the destination's (`0.0.0.0/0` and `::/0` are the default routes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where packets are to go.
    pub destination: IpAddr,
    /// Length of its prefix.
    pub prefix: u8,
    /// The router they are given to.
    pub gateway: Option<IpAddr>,
    /// Number of the link they leave through.
    pub index: Option<u32>,
    /// The address they are from when nobody said another.
    pub source: Option<IpAddr>,
    /// The table it is in.
    pub table: u32,
    /// Who made it (`RTPROT_*`): 2 the kernel, 3 `ip route` when not told, 4 an administrator.
    pub protocol: u8,
    /// Which of several counts: the lowest. The kernel's choice when none is said.
    pub metric: Option<u32>,
    /// How far it is valid.
    pub scope: Scope,
    /// What becomes of packets.
    pub kind: RouteKind,
}

impl Route {
    /// A route through a link without a router, as `ip route add DESTINATION dev LINK` makes it.
    pub fn through(index: u32, destination: IpAddr, prefix: u8) -> Route {
        let scope = if destination.is_ipv4() { Scope::Link } else { Scope::Universe };
        Route {
            destination,
            prefix,
            gateway: None,
            index: Some(index),
            source: None,
            table: TABLE_MAIN,
            protocol: 3,
            metric: None,
            scope,
            kind: RouteKind::Unicast,
        }
    }

    /// A route to a router.
    pub fn by(gateway: IpAddr, destination: IpAddr, prefix: u8) -> Route {
        let route = Route::through(0, destination, prefix);
        Route { gateway: Some(gateway), index: None, scope: Scope::Universe, ..route }
    }

    fn message(&self) -> Attributes {
        // Numbers that don't fit stand in the attribute alone (RT_TABLE_UNSPEC).
        let table = u8::try_from(self.table).unwrap_or(0);
        let destination = [family(self.destination), self.prefix, 0, 0];
        let mut message = head(destination, [table, self.protocol, self.scope.into(), self.kind.into()]);
        message
            .put(libc::RTA_DST, (self.prefix != 0).then_some(self.destination))
            .put(libc::RTA_GATEWAY, self.gateway)
            .put(libc::RTA_OIF, self.index)
            .put(libc::RTA_PREFSRC, self.source)
            .put(libc::RTA_PRIORITY, self.metric)
            .put(libc::RTA_TABLE, self.table);
        message
    }

    fn name(&self) -> String {
        format!("route to \"{}/{}\"", self.destination, self.prefix)
    }
}

/// `struct rtmsg` (rtnetlink(7)): first family, length of the prefix to and from, type of service; then table, maker,
/// scope and kind; no flags.
fn head(destination: [u8; 4], route: [u8; 4]) -> Attributes {
    Attributes::behind([destination, route, [0; 4]].concat())
}

impl Netlink {
    /// All routes of all tables, or those through one link.
    pub fn routes(&mut self, index: Option<u32>) -> Result<Vec<Route>> {
        let answers = self.list(GET_ROUTE, &head([0; 4], [0; 4]), "listing routes")?;
        Ok(answers.iter().filter_map(route).filter(|r| index.is_none() || r.index == index).collect())
    }

    /// Adds a route.
    ///
    /// # Errors
    /// EEXIST when there is one to the same place with the same metric.
    pub fn add_route(&mut self, route: &Route) -> Result<()> {
        self.tell(NEW_ROUTE, CREATE | EXCL, &route.message(), || format!("adding {}", route.name()))
    }

    /// Adds a route unless it is there: by the same link and the same maker.
    ///
    /// # Errors
    /// [`Kind::Internal`] when there is another one to the same place, which stays.
    pub fn hold_route(&mut self, route: &Route) -> Result<()> {
        let what = |r: &Route| (r.destination, r.prefix, r.gateway, r.index, r.table, r.protocol);
        match self.add_route(route) {
            Err(e) if e.errno() != Some(libc::EEXIST) => Err(e),
            Err(_) if self.routes(route.index)?.iter().any(|there| what(there) == what(route)) => Ok(()),
            other => other,
        }
    }

    /// Adds a route in place of one to the same place with the same metric.
    pub fn replace_route(&mut self, route: &Route) -> Result<()> {
        self.tell(NEW_ROUTE, CREATE | REPLACE, &route.message(), || format!("setting {}", route.name()))
    }

    /// Deletes a route; false when there was none.
    pub fn delete_route(&mut self, route: &Route) -> Result<bool> {
        match self.socket.ask(DELETE_ROUTE, 0, route.message().as_bytes()) {
            Ok(_) => Ok(true),
            Err(refusal) if matches!(refusal.errno(), libc::ESRCH | libc::ENODEV) => Ok(false),
            Err(refusal) => Err(refusal).ctx(Kind::Internal, || format!("Failed deleting {}", route.name())),
        }
    }
}

fn route(answer: &Message) -> Option<Route> {
    if answer.kind != NEW_ROUTE {
        return None;
    }
    let (&[family, prefix, _, _, table, protocol, scope, kind, ..], attributes) =
        answer.body.split_first_chunk::<HEAD>()?;
    let nowhere = match family {
        V4 => IpAddr::from([0u8; 4]),
        V6 => IpAddr::from([0u8; 16]),
        _ => return None,
    };
    let mut route = Route::through(0, nowhere, prefix);
    (route.index, route.table, route.protocol) = (None, table.into(), protocol);
    (route.scope, route.kind) = (scope.into(), kind.into());
    for (kind, value) in wire::attributes(attributes) {
        let word = wire::word(value);
        let address = wire::address(value).filter(|address| address.is_ipv4() == nowhere.is_ipv4());
        match kind {
            libc::RTA_DST => route.destination = address.unwrap_or(route.destination),
            libc::RTA_GATEWAY => route.gateway = address.or(route.gateway),
            libc::RTA_PREFSRC => route.source = address.or(route.source),
            libc::RTA_OIF => route.index = word.or(route.index),
            libc::RTA_PRIORITY => route.metric = word.or(route.metric),
            libc::RTA_TABLE => route.table = word.unwrap_or(route.table),
            _ => {}
        }
    }
    Some(route)
}
