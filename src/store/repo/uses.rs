//! Who uses a profile, a pool or a network: one row for each pair, kept with the record of the user.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::records::{self, ProfileRecord};
use super::super::{AsKey, Key, KeyBytes, Prefix, Read, Table, Tx};
use crate::api::tree::readable;
use crate::api::types::{DeviceMap, Devices};
use crate::order::Gather;
use crate::{Error, Result};

readable! {
    /// What uses something, by id.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum User {
        /// An instance.
        Instance(u64),
        /// A profile.
        Profile(u64),
        /// A volume.
        Volume(u64),
    }
}

/// What is used: a text, so that a guard covers one of them.
///
/// Pools go by name, which never changes: as in LXD, a profile may name a pool that is not there (yet). Networks go by
/// name too: a device may name a link of the host as well as one of ours, and names of links are global on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A profile.
    Profile(u64),
    /// A pool.
    Pool(String),
    /// A network, or a link of the host.
    Network(String),
}

impl AsKey for Target {
    fn append_to(&self, bytes: &mut KeyBytes) {
        match self {
            Target::Profile(id) => bytes.text(&format!("profile/{id}")),
            Target::Pool(name) => bytes.text(&format!("pool/{name}")),
            Target::Network(name) => bytes.text(&format!("network/{name}")),
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

/// The pools and networks that devices name.
pub(super) fn named_by(devices: &Devices) -> BTreeSet<Target> {
    let named = |device: &DeviceMap| {
        let value = |key: &str| device.get(key).filter(|name| !name.is_empty()).cloned();
        match device.get("type").map(String::as_str) {
            Some("disk") => value("pool").map(Target::Pool),
            Some("nic") => value("network").or_else(|| value("parent")).map(Target::Network),
            _ => None,
        }
    };
    devices.values().filter_map(named).gather()
}
