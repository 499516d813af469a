//! Networks and their forwards.

use super::super::records::{ForwardRecord, NetworkRecord};
use super::super::{Key, Prefix, Read, Table, Tx};
use super::uses::{self, Target, User};
use super::{index, projects};
use crate::{Error, Kind, Result};

fn name_key(project: &str, name: &str) -> Key {
    Key::new(Table::NetworkNames, &(project, name))
}

fn not_found() -> Error {
    Error::not_found("Network not found")
}

fn forward_not_found() -> Error {
    Error::not_found("Network forward not found")
}

/// The networks of a project, or all, by project and name.
pub fn list(r: &impl Read, project: Option<&str>) -> Result<Vec<NetworkRecord>> {
    index::records(r, &super::names_of(Table::NetworkNames, project))
}

/// The network of this name.
pub fn by_name(r: &impl Read, project: &str, name: &str) -> Result<NetworkRecord> {
    index::record(r, &name_key(project, name))?.ok_or_else(not_found)
}

/// The network of this id.
pub fn by_id(r: &impl Read, id: u64) -> Result<NetworkRecord> {
    r.get(&id)?.ok_or_else(not_found)
}

/// Adds a network; its id is chosen here.
pub fn insert(tx: &mut Tx, mut network: NetworkRecord) -> Result<NetworkRecord> {
    projects::require(tx, &network.project)?;
    network.id = tx.next_id()?;
    let taken = || Error::new(Kind::Exists, "The network already exists");
    index::claim(tx, name_key(&network.project, &network.name), network.id, taken)?;
    tx.put(&network)?;
    Ok(network)
}

/// Changes everything but the name; the record has to come from this very transaction.
pub fn update(tx: &mut Tx, network: &NetworkRecord) -> Result<()> {
    let old = by_id(tx, network.id)?;
    super::same_place(&(&old.project, &old.name), &(&network.project, &network.name))?;
    tx.put(network)
}

/// Renames a network that nothing uses.
pub fn rename(tx: &mut Tx, id: u64, new_name: &str) -> Result<NetworkRecord> {
    let mut network = by_id(tx, id)?;
    let taken = || Error::new(Kind::Exists, format!("Network {new_name:?} already exists"));
    index::claim(tx, name_key(&network.project, new_name), id, taken)?;
    tx.delete_row(name_key(&network.project, &network.name))?;
    network.name = new_name.into();
    tx.put(&network)?;
    Ok(network)
}

/// Removes a network with its forwards.
pub fn remove(tx: &mut Tx, id: u64) -> Result<()> {
    let network = by_id(tx, id)?;
    for forward in forwards(tx, id)? {
        remove_forward(tx, id, &forward.listen_address)?;
    }
    tx.delete_row(name_key(&network.project, &network.name))?;
    tx.delete::<NetworkRecord>(&id)
}

/// The instances and profiles with a device on the network or link of this name.
pub fn used_by(r: &impl Read, name: &str) -> Result<Vec<User>> {
    uses::of(r, &Target::Network(name.into()))
}

/// The forwards of a network, by address.
pub fn forwards(r: &impl Read, network: u64) -> Result<Vec<ForwardRecord>> {
    r.scan(&Prefix::of(Table::NetworkForwards, &network.to_string()))
}

/// The forward of this address, which is written as it is shown.
pub fn forward(r: &impl Read, network: u64, address: &str) -> Result<ForwardRecord> {
    r.get(&(network.to_string(), address.into()))?.ok_or_else(forward_not_found)
}

/// Adds a forward.
pub fn insert_forward(tx: &mut Tx, forward: &ForwardRecord) -> Result<()> {
    by_id(tx, forward.network)?;
    if tx.exists::<ForwardRecord>(&(forward.network.to_string(), forward.listen_address.clone()))? {
        return Err(Error::new(Kind::Exists, "A forward for that listen address already exists"));
    }
    tx.put(forward)
}

/// Changes everything but the address.
pub fn update_forward(tx: &mut Tx, record: &ForwardRecord) -> Result<()> {
    forward(tx, record.network, &record.listen_address)?;
    tx.put(record)
}

/// Removes a forward.
pub fn remove_forward(tx: &mut Tx, network: u64, address: &str) -> Result<()> {
    forward(tx, network, address)?;
    tx.delete::<ForwardRecord>(&(network.to_string(), address.into()))
}
