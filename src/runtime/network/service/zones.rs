//! Zones of names and their records.

use super::{Networks, set};
use crate::api::config::{self, Site};
use crate::api::types::{
    EventRequestor, NetworkZone, NetworkZonePut, NetworkZoneRecord, NetworkZoneRecordPut, NetworkZoneRecordsPost,
    NetworkZonesPost,
};
use crate::runtime::network::{bridge::Bridge, zone};
use crate::runtime::url;
use crate::store::records::{ZoneEntriesRecord, ZoneRecord};
use crate::store::repo::network_zones as zones;
use crate::store::{Read, repo};
use crate::{Error, Result};

fn as_lxd(e: Error) -> Error {
    Site::NetworkPart.config(e)
}

fn record_url(zone: &str, name: &str, project: &str) -> String {
    // `@` stands as it is in LXD's URLs.
    url::of(&format!("network-zones/{}/records", url::encode(zone)), name, project).replace("%40", "@")
}

impl Networks {
    /// The zones of a project, by name.
    pub fn zones(&self, project: &str) -> Result<Vec<NetworkZone>> {
        let place = self.place(project)?;
        self.db.view(|v| {
            let all = zones::list(v)?.into_iter().filter(|z| z.project == place);
            all.map(|z| show(v, z)).collect()
        })
    }

    /// One zone.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub fn zone(&self, project: &str, name: &str) -> Result<NetworkZone> {
        let place = self.place(project)?;
        self.db.view(|v| show(v, zones::by_name(v, &place, name)?))
    }

    /// A new zone.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] when the name is taken, also in another project.
    pub async fn create_zone(&self, project: &str, post: NetworkZonesPost, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        zone::check_name(&post.name).map_err(as_lxd)?;
        config::network::check_zone(&post.config).map_err(|e| taken_first(&self.db, &post.name, as_lxd(e)))?;
        let record = ZoneRecord {
            id: 0,
            project: place,
            name: post.name.clone(),
            description: post.description,
            config: set(&post.config),
        };
        let made = self.db.transact(|tx| zones::insert(tx, record.clone())).await;
        made.map_err(|e| e.with_kind(crate::Kind::Invalid))?;
        self.events.announce(project, "network-zone-created", url::of("network-zones", &post.name, project), &by);
        Ok(())
    }

    /// Changes a zone; `decide` gets the present one and may run several times.
    pub async fn update_zone(
        &self,
        project: &str,
        name: &str,
        decide: impl Fn(&NetworkZone) -> Result<NetworkZonePut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let place = self.place(project)?;
        let updated = self.db.transact(|tx| {
            let before = zones::by_name(tx, &place, name)?;
            let put = decide(&plain(before.clone()))?;
            config::network::check_zone(&put.config).map_err(as_lxd)?;
            zones::update(tx, &ZoneRecord { description: put.description, config: set(&put.config), ..before })
        });
        updated.await?;
        self.events.announce(project, "network-zone-updated", url::of("network-zones", name, project), &by);
        Ok(())
    }

    /// Removes a zone that no network uses, with its records.
    ///
    /// # Errors
    /// As LXD, [`crate::Kind::Internal`] when it is in use.
    pub async fn delete_zone(&self, project: &str, name: &str, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        loop {
            let removed = self.db.transact(|tx| {
                let record = zones::by_name(tx, &place, name)?;
                if !used_by(tx, &record)?.is_empty() {
                    return Err(Error::internal("Cannot delete a zone that is in use"));
                }
                zones::remove(tx, &record)
            });
            if removed.await?.0 {
                break;
            }
        }
        self.events.announce(project, "network-zone-deleted", url::of("network-zones", name, project), &by);
        Ok(())
    }

    /// The records of a zone, by name.
    pub fn zone_records(&self, project: &str, zone: &str) -> Result<Vec<NetworkZoneRecord>> {
        let place = self.place(project)?;
        self.db.view(|v| {
            let zone = zones::by_name(v, &place, zone)?;
            Ok(zones::records(v, zone.id)?.into_iter().map(show_record).collect())
        })
    }

    /// One record of a zone.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub fn zone_record(&self, project: &str, zone: &str, name: &str) -> Result<NetworkZoneRecord> {
        let place = self.place(project)?;
        self.db.view(|v| {
            let zone = zones::by_name(v, &place, zone)?;
            zones::record(v, zone.id, name).map(show_record)
        })
    }

    /// A new record.
    ///
    /// # Errors
    /// As LXD, [`crate::Kind::Internal`] for what is wrong with it.
    pub async fn create_zone_record(
        &self,
        project: &str,
        zone: &str,
        post: NetworkZoneRecordsPost,
        by: EventRequestor,
    ) -> Result<()> {
        let place = self.place(project)?;
        let made = self.db.transact(|tx| {
            let zone = zones::by_name(tx, &place, zone)?;
            zone::check_record_name(&post.name).map_err(as_lxd)?;
            config::network::check_acl(&post.config).map_err(as_lxd)?;
            zone::check_entries(&post.entries).map_err(as_lxd)?;
            let record = ZoneEntriesRecord {
                zone: zone.id,
                name: post.name.clone(),
                description: post.description.clone(),
                config: set(&post.config),
                entries: post.entries.clone(),
            };
            zones::insert_record(tx, &record)
        });
        made.await?;
        let source = record_url(zone, &post.name, project);
        self.events.announce(project, "network-zone-record-created", source, &by);
        Ok(())
    }

    /// Changes a record; `decide` gets the present one and may run several times.
    pub async fn update_zone_record(
        &self,
        project: &str,
        (zone, name): (&str, &str),
        decide: impl Fn(&NetworkZoneRecord) -> Result<NetworkZoneRecordPut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let place = self.place(project)?;
        let updated = self.db.transact(|tx| {
            let zone = zones::by_name(tx, &place, zone)?;
            let before = zones::record(tx, zone.id, name)?;
            let put = decide(&show_record(before.clone()))?;
            config::network::check_acl(&put.config).map_err(as_lxd)?;
            zone::check_entries(&put.entries).map_err(as_lxd)?;
            let (description, config, entries) = (put.description, set(&put.config), put.entries);
            zones::update_record(tx, &ZoneEntriesRecord { description, config, entries, ..before })
        });
        updated.await?;
        self.events.announce(project, "network-zone-record-updated", record_url(zone, name, project), &by);
        Ok(())
    }

    /// Removes a record.
    pub async fn delete_zone_record(&self, project: &str, zone: &str, name: &str, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        let removed = self.db.transact(|tx| {
            let zone = zones::by_name(tx, &place, zone)?;
            zones::remove_record(tx, zone.id, name)
        });
        removed.await?;
        self.events.announce(project, "network-zone-record-deleted", record_url(zone, name, project), &by);
        Ok(())
    }
}

/// A name that is taken is told before what is wrong with the rest.
fn taken_first(db: &crate::store::Db, name: &str, e: Error) -> Error {
    match db.view(|v| Ok(zones::list(v)?.iter().any(|z| z.name == name))) {
        Ok(true) => Error::invalid("The network zone already exists"),
        _ => e,
    }
}

/// URLs of the networks whose names are in a zone.
fn used_by(r: &impl Read, zone: &ZoneRecord) -> Result<Vec<String>> {
    let networks = repo::networks::list(r, Some(&zone.project))?.into_iter();
    let using = networks.filter(|n| Bridge(&n.config).zones().iter().any(|(_, name)| *name == zone.name));
    Ok(using.map(|n| url::of("networks", &n.name, &n.project)).collect())
}

fn show(r: &impl Read, z: ZoneRecord) -> Result<NetworkZone> {
    Ok(NetworkZone { used_by: used_by(r, &z)?, ..plain(z) })
}

fn plain(z: ZoneRecord) -> NetworkZone {
    NetworkZone { description: z.description, config: z.config, name: z.name, used_by: Vec::new() }
}

fn show_record(e: ZoneEntriesRecord) -> NetworkZoneRecord {
    NetworkZoneRecord { description: e.description, entries: e.entries, config: e.config, name: e.name }
}
