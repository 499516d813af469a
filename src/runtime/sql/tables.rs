//! The tables, with the names that LXD 5.0's have, and the SQL that makes them.
//!
//! A column is a word: `name` is a text, `size:int` a number, `heartbeat:date` a time as text, `project_id>projects` the
//! id of a row of another table, which takes this one along when it goes. With `?` at its end it may be NULL.

use std::fmt::Write;

/// Version of LXD 5.0.2's global schema, and of its local one.
pub(super) const VERSIONS: [i64; 2] = [60, 42];

/// One table.
pub(super) struct Table {
    pub name: &'static str,
    pub columns: &'static str,
    /// Columns that are different in each row, taken together.
    pub unique: &'static str,
}

/// One column of a table.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub name: &'static str,
    sort: &'static str,
    /// The table whose ids it has.
    pub parent: Option<&'static str>,
    optional: bool,
}

const fn table(name: &'static str, columns: &'static str, unique: &'static str) -> Table {
    Table { name, columns, unique }
}

/// What LXD calls the local database: this member's own.
pub(super) static LOCAL: &[Table] = &[
    table("schema", "id version:int updated_at:date", "version"),
    table("certificates", "id fingerprint type:int name certificate", "fingerprint"),
    table("config", "id key value?", "key"),
    table("patches", "id name applied_at:date", "name"),
    table("raft_nodes", "id address role:int name", "address"),
];

/// What LXD calls the global database. Of what isn't there yet (clusters, OVN) there are the tables, without rows.
pub(super) static GLOBAL: &[Table] = &[
    table("schema", "id version:int updated_at:date", "version"),
    table("certificates", "id fingerprint type:int name certificate restricted:int", "fingerprint"),
    table("certificates_projects", "certificate_id>certificates project_id>projects", "certificate_id, project_id"),
    table("cluster_groups", "id name description", "name"),
    table("config", "id key value?", "key"),
    table(
        "images",
        "id fingerprint filename size:int public:int architecture:int creation_date:date? expiry_date:date? \
         upload_date:date cached:int last_use_date:date? auto_update:int project_id>projects type:int",
        "project_id, fingerprint",
    ),
    table("images_aliases", "id name image_id>images description project_id>projects", "project_id, name"),
    table("images_nodes", "id image_id>images node_id>nodes", "image_id, node_id"),
    table("images_profiles", "image_id>images profile_id>profiles", "image_id, profile_id"),
    table("images_properties", "id image_id>images type:int key value?", ""),
    table("images_source", "id image_id>images server protocol:int certificate alias", ""),
    table(
        "instances",
        "id node_id>nodes name architecture:int type:int ephemeral:int creation_date:date stateful:int \
         last_use_date:date? description project_id>projects expiry_date:date?",
        "project_id, name",
    ),
    table(
        "instances_backups",
        "id instance_id>instances name creation_date:date? expiry_date:date? container_only:int optimized_storage:int",
        "instance_id, name",
    ),
    table("instances_config", "id instance_id>instances key value?", "instance_id, key"),
    table("instances_devices", "id instance_id>instances name type:int", "instance_id, name"),
    table("instances_devices_config", "id instance_device_id>instances_devices key value?", "instance_device_id, key"),
    table(
        "instances_profiles",
        "id instance_id>instances profile_id>profiles apply_order:int",
        "instance_id, profile_id",
    ),
    table(
        "instances_snapshots",
        "id instance_id>instances name creation_date:date stateful:int description expiry_date:date?",
        "instance_id, name",
    ),
    table(
        "instances_snapshots_config",
        "id instance_snapshot_id>instances_snapshots key value?",
        "instance_snapshot_id, key",
    ),
    table(
        "instances_snapshots_devices",
        "id instance_snapshot_id>instances_snapshots name type:int",
        "instance_snapshot_id, name",
    ),
    table(
        "instances_snapshots_devices_config",
        "id instance_snapshot_device_id>instances_snapshots_devices key value?",
        "instance_snapshot_device_id, key",
    ),
    table("networks", "id project_id>projects name description state:int type:int", "project_id, name"),
    table("networks_acls", "id project_id>projects name description ingress egress", "project_id, name"),
    table("networks_acls_config", "id network_acl_id>networks_acls key value?", "network_acl_id, key"),
    table("networks_config", "id network_id>networks node_id>nodes? key value?", "network_id, node_id, key"),
    table(
        "networks_forwards",
        "id network_id>networks node_id>nodes? listen_address description ports",
        "network_id, node_id, listen_address",
    ),
    table("networks_forwards_config", "id network_forward_id>networks_forwards key value?", "network_forward_id, key"),
    table("networks_nodes", "id network_id>networks node_id>nodes state:int", "network_id, node_id"),
    table(
        "networks_peers",
        "id network_id>networks name description target_network_project? target_network_name? target_network_id:int?",
        "network_id, name",
    ),
    table("networks_peers_config", "id network_peer_id>networks_peers key value?", "network_peer_id, key"),
    table("networks_zones", "id project_id>projects name description", "name"),
    table("networks_zones_config", "id network_zone_id>networks_zones key value?", "network_zone_id, key"),
    table("networks_zones_records", "id network_zone_id>networks_zones name description entries", ""),
    table(
        "networks_zones_records_config",
        "id network_zone_record_id>networks_zones_records key value?",
        "network_zone_record_id, key",
    ),
    table(
        "nodes",
        "id name description address schema:int api_extensions:int heartbeat:date? state:int arch:int \
         failure_domain_id>nodes_failure_domains?",
        "name",
    ),
    table("nodes_cluster_groups", "node_id>nodes group_id>cluster_groups", "node_id, group_id"),
    table("nodes_config", "id node_id>nodes key value?", "node_id, key"),
    table("nodes_failure_domains", "id name", "name"),
    table("nodes_roles", "node_id>nodes role:int", "node_id, role"),
    table("operations", "id uuid node_id>nodes type:int project_id>projects?", "uuid"),
    table("profiles", "id name description project_id>projects", "project_id, name"),
    table("profiles_config", "id profile_id>profiles key value?", "profile_id, key"),
    table("profiles_devices", "id profile_id>profiles name type:int", "profile_id, name"),
    table("profiles_devices_config", "id profile_device_id>profiles_devices key value?", "profile_device_id, key"),
    table("projects", "id name description", "name"),
    table("projects_config", "id project_id>projects key value?", "project_id, key"),
    table("storage_pools", "id name driver description state:int", "name"),
    table(
        "storage_pools_config",
        "id storage_pool_id>storage_pools node_id>nodes? key value?",
        "storage_pool_id, node_id, key",
    ),
    table(
        "storage_pools_nodes",
        "id storage_pool_id>storage_pools node_id>nodes state:int",
        "storage_pool_id, node_id",
    ),
    table(
        "storage_volumes",
        "id name storage_pool_id>storage_pools node_id>nodes? type:int description project_id>projects content_type:int",
        "storage_pool_id, node_id, project_id, name, type",
    ),
    table(
        "storage_volumes_backups",
        "id storage_volume_id>storage_volumes name creation_date:date? expiry_date:date? volume_only:int optimized_storage:int",
        "storage_volume_id, name",
    ),
    table("storage_volumes_config", "id storage_volume_id>storage_volumes key value?", "storage_volume_id, key"),
    table(
        "storage_volumes_snapshots",
        "id storage_volume_id>storage_volumes name description expiry_date:date?",
        "storage_volume_id, name",
    ),
    table(
        "storage_volumes_snapshots_config",
        "id storage_volume_snapshot_id>storage_volumes_snapshots key value?",
        "storage_volume_snapshot_id, key",
    ),
    table(
        "warnings",
        "id node_id>nodes? project_id>projects? entity_type_code:int? entity_id:int? uuid type_code:int status:int \
         first_seen_date:date last_seen_date:date updated_date:date? last_message count:int",
        "uuid",
    ),
];

/// Volumes and snapshots of volumes in one list.
pub(super) const VIEW: &str = "CREATE VIEW storage_volumes_all AS
    SELECT id, name, storage_pool_id, node_id, type, description, project_id, content_type FROM storage_volumes
    UNION ALL SELECT s.id, v.name || '/' || s.name, storage_pool_id, node_id, type, s.description, project_id, content_type
    FROM storage_volumes v JOIN storage_volumes_snapshots s ON s.storage_volume_id = v.id";

impl Table {
    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.columns.split_whitespace().map(|word| {
            let (word, optional) = word.strip_suffix('?').map_or((word, false), |word| (word, true));
            if let Some((name, parent)) = word.split_once('>') {
                return Column { name, sort: "INTEGER", parent: Some(parent), optional };
            }
            let (name, sort) = match word.split_once(':') {
                _ if word == "id" => (word, "INTEGER PRIMARY KEY"),
                Some((name, "int")) => (name, "INTEGER"),
                Some((name, _)) => (name, "DATETIME"),
                None => (word, "TEXT"),
            };
            Column { name, sort, parent: None, optional }
        })
    }

    /// The statement that makes it.
    pub(super) fn sql(&self) -> String {
        let mut text = format!("CREATE TABLE {} (", self.name);
        for (i, column) in self.columns().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let null = if column.optional { "" } else { " NOT NULL" };
            write!(text, "{comma}\n    {} {}{null}", column.name, column.sort).ok();
            if let Some(parent) = column.parent {
                write!(text, " REFERENCES {parent} (id) ON DELETE CASCADE").ok();
            }
        }
        if !self.unique.is_empty() {
            write!(text, ",\n    UNIQUE ({})", self.unique).ok();
        }
        text + "\n)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_sql() {
        let config = GLOBAL.iter().find(|t| t.name == "networks_config").unwrap();
        let want = "CREATE TABLE networks_config (\n    id INTEGER PRIMARY KEY NOT NULL,\n    network_id INTEGER NOT NULL \
            REFERENCES networks (id) ON DELETE CASCADE,\n    node_id INTEGER REFERENCES nodes (id) ON DELETE CASCADE,\n    \
            key TEXT NOT NULL,\n    value TEXT,\n    UNIQUE (network_id, node_id, key)\n)";
        assert_eq!(config.sql(), want);
    }

    #[test]
    fn every_parent_is_a_table() {
        for column in GLOBAL.iter().flat_map(Table::columns) {
            assert!(column.parent.is_none_or(|p| GLOBAL.iter().any(|t| t.name == p)), "{}", column.name);
        }
    }
}
