//! Repairs by hand: what statements have changed in the tables is brought into the store, or refused as a whole.
//!
//! What can be changed: configuration (of the server, of things, of their devices), and rows taken away: of instances,
//! snapshots, devices, profiles, images, aliases, volumes, certificates and warnings, and of networks and pools whose
//! creation never ended. Files stay where they are, as with LXD.

use std::collections::BTreeSet;

use rusqlite::types::Value;

use super::database::Content;
use super::fill::Row;
use super::tables::Table;
use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::order::{Gather, Order};
use crate::store::records::Phase;
use crate::store::{Tx, repo};
use crate::{Error, Kind, Result};

/// What has configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Acl,
    Instance,
    Network,
    Pool,
    Profile,
    Project,
    Snapshot,
    Volume,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Server,
    Config(Thing, u64),
    Device(Thing, u64, String),
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fix {
    /// Takes this value of a key away.
    Unset(Place, String, String),
    RemoveDevice(Thing, u64, String),
    Remove(Thing, u64),
    RemoveProfile(String, String),
    RemoveImage(String, String),
    RemoveAlias(String, String),
    RemoveCertificate(String),
    RemoveWarning(String),
    /// Gives a key that has none a value.
    Set(Place, String, String),
}

const CONFIGS: &[(&str, Thing)] = &[
    ("instances_config", Thing::Instance),
    ("instances_snapshots_config", Thing::Snapshot),
    ("networks_acls_config", Thing::Acl),
    ("networks_config", Thing::Network),
    ("profiles_config", Thing::Profile),
    ("projects_config", Thing::Project),
    ("storage_pools_config", Thing::Pool),
    ("storage_volumes_config", Thing::Volume),
];

/// Tables of devices; those of their configuration have `_config` behind.
const DEVICES: &[(&str, Thing)] = &[
    ("instances_devices", Thing::Instance),
    ("instances_snapshots_devices", Thing::Snapshot),
    ("profiles_devices", Thing::Profile),
];

const REMOVABLE: &[(&str, Thing)] = &[
    ("instances", Thing::Instance),
    ("instances_snapshots", Thing::Snapshot),
    ("networks", Thing::Network),
    ("storage_pools", Thing::Pool),
    ("storage_volumes", Thing::Volume),
];

fn refused(table: &str) -> Error {
    Error::unsupported(format!("Changing the table {table:?} in this way"))
}

/// What to do to the store so that it is as the tables have become.
///
/// # Errors
/// Names the table that can't be changed in this way.
pub(super) fn plan(tables: &'static [Table], before: &Content, after: &Content) -> Result<Vec<Fix>> {
    let mut planner = Planner { before, after, fixes: Vec::new() };
    for table in tables {
        let (old, new) = (&before[table.name], &after[table.name]);
        for id in old.keys().chain(new.keys()).gather::<BTreeSet<_>>() {
            let (old, new) = (old.get(id), new.get(id));
            if old != new && !planner.went_along(table, old, new) {
                planner.change(table, old, new)?;
            }
        }
    }
    // What is taken away first makes room for what is set.
    let mut fixes = planner.fixes;
    fixes.order_by_key(|fix| matches!(fix, Fix::Set(..)));
    Ok(fixes)
}

struct Planner<'a> {
    before: &'a Content,
    after: &'a Content,
    fixes: Vec<Fix>,
}

impl Planner<'_> {
    /// Whether a row is gone because that is which it belongs to. Snapshots of volumes go with those of instances.
    fn went_along(&self, table: &Table, old: Option<&Row>, new: Option<&Row>) -> bool {
        let (Some(old), None) = (old, new) else { return false };
        let gone = |parent: &str, id: &Value| match id {
            Value::Integer(id) => self.before[parent].contains_key(id) && !self.after[parent].contains_key(id),
            _ => false,
        };
        table.columns().zip(old).any(|(column, cell)| column.parent.is_some_and(|parent| gone(parent, cell)))
            || table.name == "storage_volumes_snapshots" && gone("instances_snapshots", &old[0])
    }

    fn change(&mut self, table: &'static Table, old: Option<&Row>, new: Option<&Row>) -> Result<()> {
        let of = |known: &[(&str, Thing)], name: &str| known.iter().find(|(t, _)| *t == name).map(|(_, thing)| *thing);
        if table.name == "config" {
            return self.value(table, old, new, |_| Ok(Place::Server));
        }
        if let Some(thing) = of(CONFIGS, table.name) {
            return self.value(table, old, new, |row| Ok(Place::Config(thing, number(row, 1)?)));
        }
        if let Some((devices, thing)) = table.name.strip_suffix("_config").and_then(|d| Some((d, of(DEVICES, d)?))) {
            let (before, after) = (&self.before[devices], &self.after[devices]);
            return self.value(table, old, new, |row| {
                let id = number(row, 1)? as i64;
                let device = before.get(&id).or(after.get(&id)).ok_or_else(|| refused(devices))?;
                Ok(Place::Device(thing, number(device, 1)?, text(device, 2)))
            });
        }
        let (Some(row), None) = (old, new) else { return Err(refused(table.name)) };
        let fix = match of(REMOVABLE, table.name) {
            Some(thing) => Fix::Remove(thing, number(row, 0)?),
            None => match (of(DEVICES, table.name), table.name) {
                (Some(thing), _) => Fix::RemoveDevice(thing, number(row, 1)?, text(row, 2)),
                (_, "profiles") => Fix::RemoveProfile(self.project(table, row), named(table, row, "name")),
                (_, "images") => Fix::RemoveImage(self.project(table, row), named(table, row, "fingerprint")),
                (_, "images_aliases") => Fix::RemoveAlias(self.project(table, row), named(table, row, "name")),
                (_, "certificates") => Fix::RemoveCertificate(named(table, row, "fingerprint")),
                (_, "warnings") => Fix::RemoveWarning(named(table, row, "uuid")),
                (_, name) => return Err(refused(name)),
            },
        };
        self.fixes.push(fix);
        Ok(())
    }

    /// The last two cells are a key and its value.
    fn value(
        &mut self,
        table: &Table,
        old: Option<&Row>,
        new: Option<&Row>,
        place: impl Fn(&Row) -> Result<Place>,
    ) -> Result<()> {
        let key = table.columns().count() - 2;
        if let Some(row) = old {
            self.fixes.push(Fix::Unset(place(row)?, text(row, key), text(row, key + 1)));
        }
        if let Some(row) = new {
            self.fixes.push(Fix::Set(place(row)?, text(row, key), text(row, key + 1)));
        }
        Ok(())
    }

    /// The name of the project that a row is of.
    fn project(&self, table: &Table, row: &Row) -> String {
        let id = named(table, row, "project_id").parse();
        id.ok().and_then(|id: i64| self.before["projects"].get(&id)).map_or_else(String::new, |row| text(row, 1))
    }
}

/// The cell of this column.
fn named(table: &Table, row: &Row, column: &str) -> String {
    table.columns().zip(row).find(|(c, _)| c.name == column).map_or_else(String::new, |(_, cell)| word(cell))
}

fn number(row: &Row, at: usize) -> Result<u64> {
    match row.get(at) {
        Some(Value::Integer(number)) => u64::try_from(*number).map_err(|_| Error::invalid("Ids are positive numbers")),
        _ => Err(Error::invalid("Ids are positive numbers")),
    }
}

fn text(row: &Row, at: usize) -> String {
    row.get(at).map_or_else(String::new, word)
}

fn word(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Carries a change out.
///
/// # Errors
/// [`Kind::Conflict`] when somebody else has changed the same meanwhile; what the store's functions refuse.
pub(super) fn apply(tx: &mut Tx, fix: &Fix) -> Result<()> {
    match fix {
        Fix::Unset(place, key, value) => edit(tx, place, key, Some(value), None),
        Fix::Set(place, key, value) => edit(tx, place, key, None, Some(value)),
        Fix::RemoveDevice(thing, id, name) => {
            devices(tx, *thing, *id, &mut |devices| devices.remove(name).map(drop).ok_or_else(changed))
        }
        Fix::Remove(thing, id) => remove(tx, *thing, *id),
        Fix::RemoveProfile(project, name) => repo::profiles::remove(tx, project, name),
        Fix::RemoveImage(project, fingerprint) => repo::images::remove(tx, project, fingerprint).map(drop),
        Fix::RemoveAlias(project, name) => repo::images::remove_alias(tx, project, name).map(drop),
        Fix::RemoveCertificate(fingerprint) => repo::certificates::remove(tx, fingerprint),
        Fix::RemoveWarning(uuid) => repo::warnings::remove(tx, uuid),
    }
}

fn changed() -> Error {
    Error::new(Kind::Conflict, "What was to be changed has been changed meanwhile")
}

fn edit(tx: &mut Tx, place: &Place, key: &str, was: Option<&str>, becomes: Option<&str>) -> Result<()> {
    let mut set = |map: &mut ConfigMap| {
        if map.get(key).map(String::as_str) != was {
            return Err(changed());
        }
        match becomes {
            Some(value) => map.insert(key.into(), value.into()),
            None => map.remove(key),
        };
        Ok(())
    };
    match place {
        Place::Server if repo::server::get(tx, key)?.as_deref() != was => Err(changed()),
        Place::Server => repo::server::set(tx, key, becomes),
        Place::Config(thing, id) => config(tx, *thing, *id, &mut set),
        Place::Device(thing, id, name) => devices(tx, *thing, *id, &mut |devices| {
            let device: &mut DeviceMap = devices.get_mut(name).ok_or_else(changed)?;
            set(device)
        }),
    }
}

type Edit<'a, T> = &'a mut dyn FnMut(&mut T) -> Result<()>;

fn config(tx: &mut Tx, thing: Thing, id: u64, edit: Edit<ConfigMap>) -> Result<()> {
    match thing {
        Thing::Instance => repo::instances::modify(tx, id, |r| edit(&mut r.config)).map(drop),
        Thing::Snapshot => repo::snapshots::modify(tx, id, |r| edit(&mut r.config)).map(drop),
        Thing::Profile => repo::profiles::modify(tx, id, |r| edit(&mut r.config)).map(drop),
        Thing::Project => repo::projects::modify(tx, id, |r| edit(&mut r.config)).map(drop),
        Thing::Pool => repo::pools::modify(tx, id, |r| edit(&mut r.config)).map(drop),
        Thing::Volume => repo::volumes::modify(tx, id, |r| edit(&mut r.config)).map(drop),
        Thing::Network => {
            let mut network = repo::networks::by_id(tx, id)?;
            edit(&mut network.config)?;
            repo::networks::update(tx, &network)
        }
        Thing::Acl => {
            let mut acl = repo::network_acls::by_id(tx, id)?;
            edit(&mut acl.config)?;
            repo::network_acls::update(tx, &acl)
        }
    }
}

fn devices(tx: &mut Tx, thing: Thing, id: u64, edit: Edit<Devices>) -> Result<()> {
    match thing {
        Thing::Instance => repo::instances::modify(tx, id, |r| edit(&mut r.devices)).map(drop),
        Thing::Snapshot => repo::snapshots::modify(tx, id, |r| edit(&mut r.devices)).map(drop),
        _ => repo::profiles::modify(tx, id, |r| edit(&mut r.devices)).map(drop),
    }
}

fn remove(tx: &mut Tx, thing: Thing, id: u64) -> Result<()> {
    let stuck = |phase: Phase, what: &str| match phase {
        Phase::Created => Err(Error::unsupported(format!("Taking away a {what} that is in order by hand"))),
        _ => Ok(()),
    };
    match thing {
        Thing::Instance => {
            for snapshot in repo::snapshots::list(tx, id)? {
                repo::snapshots::remove(tx, snapshot.id)?;
            }
            repo::instances::remove(tx, id)
        }
        Thing::Snapshot => repo::snapshots::remove(tx, id),
        Thing::Volume => repo::volumes::remove(tx, id),
        Thing::Network => {
            stuck(repo::networks::by_id(tx, id)?.phase, "network")?;
            repo::networks::remove(tx, id)
        }
        Thing::Pool => {
            stuck(repo::pools::by_id(tx, id)?.phase, "storage pool")?;
            repo::pools::remove(tx, id)
        }
        Thing::Acl | Thing::Profile | Thing::Project => Err(refused("projects")),
    }
}
