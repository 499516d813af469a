//! The catalogue of tables: what is kept, how lasting it is, and how scans of it are guarded.

use super::key::{Key, KeyBytes};

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// What wrote the database: schema and record versions.
    Schema,
    /// The sequence of ids.
    Sequences,
    /// Guard keys.
    Guards,
    /// Who uses a profile, a pool or a network: target, user.
    UsedBy,
    /// Projects by id.
    Projects,
    /// Ids of projects by name.
    ProjectNames,
    /// Profiles by id.
    Profiles,
    /// Ids of profiles by project and name.
    ProfileNames,
    /// Instances by id.
    Instances,
    /// Ids of instances by project and name.
    InstanceNames,
    /// Images by project and fingerprint.
    Images,
    /// Image aliases by project and name.
    Aliases,
    /// Names of aliases by project and fingerprint.
    AliasTargets,
    /// Pools by id.
    Pools,
    /// Ids of pools by name.
    PoolNames,
    /// Volumes by id.
    Volumes,
    /// Ids of volumes by project, pool, kind and name.
    VolumeNames,
    /// Warnings by UUID.
    Warnings,
    /// UUIDs of warnings by project, kind and thing.
    WarningPlaces,
    /// Server configuration by key.
    ServerConfig,
    /// Networks by id.
    Networks,
    /// Ids of networks by project and name.
    NetworkNames,
    /// Forwards by network and address.
    NetworkForwards,
    /// Access lists by id.
    NetworkAcls,
    /// Ids of access lists by project and name.
    NetworkAclNames,
    /// Zones by id.
    NetworkZones,
    /// Ids of zones by name.
    NetworkZoneNames,
    /// Records of zones by zone and name.
    NetworkZoneRecords,
    /// Certificates of trusted clients by fingerprint.
    Certificates,
    /// Snapshots of instances by id.
    InstanceSnapshots,
    /// Ids of snapshots by the instance's id, as a text, and name.
    InstanceSnapshotNames,
}

/// Which part of a key names the collection that a row belongs to.
///
/// Creating or deleting a row bumps the guard of its collection; a transaction that scans the collection compares it.
/// That way a row that appears behind a scan makes the scanning transaction run again, while creations among
/// themselves never conflict (they bump without comparing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Not scanned inside transactions.
    None,
    /// The whole table is one collection.
    Whole,
    /// The first part, a text (the project, or what is used).
    Text,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct TableInfo {
    /// The table.
    pub table: Table,
    /// Its name on disk.
    pub name: &'static str,
    /// Whether a change is on the disk before it is answered; otherwise it may be lost in a crash (but never out of order).
    pub durable: bool,
    /// How scans are guarded.
    pub guard: Guard,
    /// Whether it is an index. Any change of an index bumps its guard, so a scan need not compare row by row, which
    /// would soon be more than a transaction may compare.
    pub index: bool,
}

const fn row(table: Table, name: &'static str, durable: bool, guard: Guard) -> TableInfo {
    TableInfo { table, name, durable, guard, index: false }
}

const fn index(table: Table, name: &'static str, durable: bool, guard: Guard) -> TableInfo {
    TableInfo { table, name, durable, guard, index: true }
}

/// Every table, in the order of [`Table`].
pub const TABLES: &[TableInfo] = &[
    row(Table::Schema, "schema", true, Guard::None),
    row(Table::Sequences, "sequences", true, Guard::None),
    // A guard lasts as long as the rows it was bumped for.
    row(Table::Guards, "guards", false, Guard::None),
    index(Table::UsedBy, "used-by", true, Guard::Text),
    row(Table::Projects, "projects", true, Guard::Whole),
    index(Table::ProjectNames, "project-names", true, Guard::Whole),
    row(Table::Profiles, "profiles", true, Guard::None),
    index(Table::ProfileNames, "profile-names", true, Guard::Text),
    row(Table::Instances, "instances", true, Guard::None),
    index(Table::InstanceNames, "instance-names", true, Guard::Text),
    row(Table::Images, "images", true, Guard::Text),
    row(Table::Aliases, "aliases", true, Guard::Text),
    index(Table::AliasTargets, "alias-targets", true, Guard::Text),
    row(Table::Pools, "pools", true, Guard::None),
    index(Table::PoolNames, "pool-names", true, Guard::Whole),
    row(Table::Volumes, "volumes", true, Guard::None),
    index(Table::VolumeNames, "volume-names", true, Guard::Text),
    row(Table::Warnings, "warnings", false, Guard::None),
    index(Table::WarningPlaces, "warning-places", false, Guard::None),
    row(Table::ServerConfig, "server-config", true, Guard::Whole),
    row(Table::Networks, "networks", true, Guard::None),
    index(Table::NetworkNames, "network-names", true, Guard::Text),
    row(Table::NetworkForwards, "network-forwards", true, Guard::Text),
    row(Table::NetworkAcls, "network-acls", true, Guard::None),
    index(Table::NetworkAclNames, "network-acl-names", true, Guard::Text),
    row(Table::NetworkZones, "network-zones", true, Guard::None),
    index(Table::NetworkZoneNames, "network-zone-names", true, Guard::Whole),
    row(Table::NetworkZoneRecords, "network-zone-records", true, Guard::Text),
    row(Table::Certificates, "certificates", true, Guard::Whole),
    row(Table::InstanceSnapshots, "instance-snapshots", true, Guard::None),
    index(Table::InstanceSnapshotNames, "instance-snapshot-names", true, Guard::Text),
];

impl Table {
    /// The table's row in the catalogue.
    pub fn info(self) -> &'static TableInfo {
        &TABLES[self as usize]
    }

    /// The table of this name.
    pub fn by_name(name: &str) -> Option<Table> {
        TABLES.iter().find(|row| row.name == name).map(|row| row.table)
    }

    /// The guard of the collection that keys beginning with `bytes` belong to; none if they span several.
    pub fn guard_key(self, bytes: &[u8]) -> Option<Key> {
        let scope = match self.info().guard {
            Guard::None => return None,
            Guard::Whole => 0,
            Guard::Text => bytes.windows(2).position(|pair| pair == KeyBytes::END)? + 2,
        };
        let mut key = KeyBytes::default();
        key.text(self.info().name);
        key.0.extend(bytes.get(..scope)?);
        Some(Key { table: Table::Guards, bytes: key.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_in_the_order_of_the_enum() {
        for (index, row) in TABLES.iter().enumerate() {
            assert_eq!(row.table as usize, index, "{}", row.name);
            assert_eq!(Table::by_name(row.name), Some(row.table));
        }
        assert_eq!(TABLES.len(), Table::InstanceSnapshotNames as usize + 1);
    }

    #[test]
    fn a_guard_belongs_to_one_collection() {
        let guard = |bytes: &[u8]| Table::InstanceNames.guard_key(bytes);
        let a = KeyBytes::of(&("a", "c1")).0;
        let b = KeyBytes::of(&("b", "c1")).0;
        assert_eq!(guard(&a), guard(&KeyBytes::of(&"a").0));
        assert_ne!(guard(&a), guard(&b));
        assert_eq!(guard(b""), None);
        assert_eq!(Table::Schema.guard_key(&a), None);
    }
}
