//! Words for completions: names of keys, and values where a key takes few.

use super::device;
use super::instance::{self, Target};
use super::key::{Key, Support};
use super::{network, pool, project, server, table, volume};
use crate::order::Order;

/// What a key is to be completed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The server.
    Server,
    /// An instance or profile.
    Instance(Target),
    /// A project.
    Project,
    /// A device of this type and type within it.
    Device(&'a str, &'a str),
    /// A network of this type.
    Network(&'a str),
    /// A pool of this driver.
    Pool(&'a str),
    /// A volume in a pool of this driver.
    Volume(&'a str),
}

/// Names of keys that begin with `start` and are acted on; of a free name space the prefix.
pub fn names(subject: Subject<'_>, start: &str) -> Vec<String> {
    let rows = rows(subject);
    let fitting = rows.iter().filter(|row| !matches!(row.support, Support::Later(_)) && !row.name.contains("NAME"));
    let mut names: Vec<String> = fitting.map(|row| row.name.trim_end_matches('*').to_owned()).collect();
    names.retain(|name| name.starts_with(start));
    names.order();
    names.dedup();
    names
}

/// Values that begin with `start`, for keys with few.
pub fn values(subject: Subject<'_>, name: &str, start: &str) -> Vec<&'static str> {
    let words = row(subject, name).map_or(&[][..], |row| row.kind.words());
    words.iter().copied().filter(|word| word.starts_with(start)).collect()
}

fn rows(subject: Subject<'_>) -> Vec<&'static Key> {
    let of = |list: &'static [(&'static str, &'static [Key])], name: &str| {
        list.iter().find(|row| row.0 == name).map_or(&[][..], |row| row.1)
    };
    let tables: Vec<&'static [Key]> = match subject {
        Subject::Server => vec![table::server::ROWS],
        Subject::Instance(target) => {
            let rows = table::instance::ROWS.iter();
            return rows.filter(|row| instance::takes(target, row)).collect();
        }
        Subject::Project => vec![table::project::ROWS],
        Subject::Device(name, sub) => {
            let kind = device::types().into_iter().find(|kind| kind.name == name && kind.sub == sub);
            vec![kind.map_or(&[][..], |kind| kind.keys), table::device::COMMON]
        }
        Subject::Network(kind) => vec![of(table::network::TYPES, kind), table::network::COMMON],
        Subject::Pool(driver) => vec![of(table::pool::DRIVERS, driver), table::pool::COMMON],
        Subject::Volume(driver) => vec![of(table::volume::DRIVERS, driver), table::volume::COMMON],
    };
    tables.into_iter().flatten().collect()
}

fn row(subject: Subject<'_>, name: &str) -> Option<&'static Key> {
    match subject {
        Subject::Server => server::key(name),
        Subject::Instance(_) => instance::key(name),
        Subject::Project => project::key(name),
        Subject::Network(kind) => network::key(kind, name),
        Subject::Pool(driver) => pool::key(driver, name),
        Subject::Volume(driver) => volume::key(driver, name),
        Subject::Device(..) => rows(subject).into_iter().find(|row| row.matches(name)),
    }
}
