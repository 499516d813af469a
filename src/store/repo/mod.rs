//! Small typed functions over records: look up, list, insert, update, rename, remove, who uses what.
//!
//! They keep the indexes (names, uses) in the same transaction and return [`Kind::NotFound`](crate::Kind::NotFound)
//! and [`Kind::Exists`](crate::Kind::Exists) with LXD's texts, [`Kind::Conflict`](crate::Kind::Conflict) for what is in
//! use, [`Kind::Forbidden`](crate::Kind::Forbidden) for what `default` doesn't allow. What configuration means is
//! none of their business.
//!
//! `modify` is the way to change a record: an `update` with one that was read before the transaction would undo what
//! others changed in between.
//!
//! Functions that only read take any [`Read`](super::Read), so they serve views and transactions; inside a
//! transaction lists have to be of one project.

mod index;
mod uses;

pub mod certificates;
pub mod images;
pub mod instances;
pub mod network_acls;
pub mod network_zones;
pub mod networks;
pub mod pools;
pub mod profiles;
pub mod projects;
pub mod server;
pub mod snapshots;
pub mod volumes;
pub mod warnings;

pub use uses::User;

use super::records::{ProfileRecord, ProjectRecord};
use super::{Prefix, Table, Tx};
use crate::order::Gather;
use crate::{Error, Result};

/// The name of the project and of the profile that are always there.
pub const DEFAULT: &str = "default";

/// What a new database starts with: the project and the profile `default`, as LXD 5.0 describes them.
pub(super) fn first_rows(tx: &mut Tx) -> Result<()> {
    let features = ["features.images", "features.networks", "features.profiles", "features.storage.volumes"];
    projects::insert(
        tx,
        ProjectRecord {
            name: DEFAULT.into(),
            description: "Default LXD project".into(),
            config: features.iter().map(|key| ((*key).into(), "true".into())).gather(),
            ..Default::default()
        },
    )?;
    profiles::insert(
        tx,
        ProfileRecord {
            project: DEFAULT.into(),
            name: DEFAULT.into(),
            description: "Default LXD profile".into(),
            ..Default::default()
        },
    )?;
    Ok(())
}

/// The rows of a project in a table whose keys begin with one, or all.
fn names_of(table: Table, project: Option<&str>) -> Prefix {
    match project {
        Some(project) => Prefix::of(table, &project),
        None => Prefix::table(table),
    }
}

/// An update must not rename: that would leave the index behind.
fn same_place<T: PartialEq + std::fmt::Debug>(old: &T, new: &T) -> Result<()> {
    match old == new {
        true => Ok(()),
        false => Err(Error::internal(format!("Failed updating {old:?}: it is another place than {new:?}"))),
    }
}
