//! Who uses a profile or a pool: one row for each pair, kept with the record of the user.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::records::{self, ProfileRecord};
use super::super::{AsKey, Key, KeyBytes, Prefix, Read, Table, Tx};
use crate::api::types::Devices;
use crate::{Error, Result};

/// What uses something, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum User {
    /// An instance.
    Instance(u64),
    /// A profile.
    Profile(u64),
    /// A volume.
    Volume(u64),
}

/// What is used: a text, so that a guard covers one of them.
///
/// Pools go by name, which never changes: as in LXD, a profile may name a pool that is not there (yet).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A profile.
    Profile(u64),
    /// A pool.
    Pool(String),
}

impl AsKey for Target {
    fn append_to(&self, bytes: &mut KeyBytes) {
        match self {
            Target::Profile(id) => bytes.text(&format!("profile/{id}")),
            Target::Pool(name) => bytes.text(&format!("pool/{name}")),
        }
    }
}

impl AsKey for User {
    fn append_to(&self, bytes: &mut KeyBytes) {
        let (tag, id) = match *self {
            User::Instance(id) => (b'i', id),
            User::Profile(id) => (b'f', id),
            User::Volume(id) => (b'v', id),
        };
        bytes.0.push(tag);
        bytes.number(id);
    }
}

/// Everybody who uses `target`.
pub(super) fn of(r: &impl Read, target: &Target) -> Result<Vec<User>> {
    r.rows(&Prefix::of(Table::UsedBy, target))?.iter().map(|(_, value)| records::parse(value)).collect()
}

/// Brings what `user` uses from `before` to `after`. A profile that is used newly has to exist, until the commit.
pub(super) fn change(tx: &mut Tx, user: User, before: &BTreeSet<Target>, after: &BTreeSet<Target>) -> Result<()> {
    let key = |target: &Target| Key::new(Table::UsedBy, &(target.clone(), user));
    for target in before.difference(after) {
        tx.delete_row(key(target))?;
    }
    for target in after.difference(before) {
        if let Target::Profile(id) = target
            && !tx.exists::<ProfileRecord>(id)?
        {
            return Err(Error::not_found("Profile not found"));
        }
        tx.write_row(key(target), &user)?;
    }
    Ok(())
}

/// The pools that devices name.
pub(super) fn pools_of(devices: &Devices) -> BTreeSet<Target> {
    let disks = devices.values().filter(|device| device.get("type").is_some_and(|kind| kind == "disk"));
    let names = disks.filter_map(|disk| disk.get("pool")).filter(|name| !name.is_empty());
    names.cloned().map(Target::Pool).collect()
}
