//! What is in the tables: rows made of the records in one view of the store.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::Value;

use super::codes;
use super::tables::VERSIONS;
use crate::api::extensions;
use crate::api::types::{ConfigMap, Devices, InstanceBackup, Operation, Timestamp};
use crate::store::records::{ImageRecord, InstanceRecord, NetworkRecord, Phase, PoolRecord, ZoneRecord};
use crate::store::{View, repo};
use crate::{Ctx, Kind, Result};

/// The only member there is.
const NODE: i64 = 1;

/// One row.
pub(super) type Row = Vec<Value>;

/// Rows by table.
#[derive(Default)]
pub(super) struct Rows(pub BTreeMap<&'static str, Vec<Row>>);

/// What isn't in the store.
pub(super) struct Hot {
    /// Operations that are known.
    pub operations: Vec<Operation>,
    /// Backups by the instance's id.
    pub backups: HashMap<u64, Vec<InstanceBackup>>,
}

/// A cell's value.
trait Cell {
    fn cell(self) -> Value;
}

impl Cell for i64 {
    fn cell(self) -> Value {
        Value::Integer(self)
    }
}

impl Cell for u64 {
    fn cell(self) -> Value {
        Value::Integer(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Cell for bool {
    fn cell(self) -> Value {
        Value::Integer(self.into())
    }
}

impl Cell for &str {
    fn cell(self) -> Value {
        Value::Text(self.into())
    }
}

impl Cell for &String {
    fn cell(self) -> Value {
        Value::Text(self.clone())
    }
}

impl Cell for Timestamp {
    fn cell(self) -> Value {
        Value::Text(self.to_string())
    }
}

impl<T: Cell> Cell for Option<T> {
    fn cell(self) -> Value {
        self.map_or(Value::Null, Cell::cell)
    }
}

macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$(Cell::cell($cell)),*] };
}

impl Rows {
    fn add(&mut self, table: &'static str, row: Row) {
        self.0.entry(table).or_default().push(row);
    }

    /// The next id in a table of things that have none in the store.
    fn next(&self, table: &'static str) -> i64 {
        self.0.get(table).map_or(1, |rows| rows.len() as i64 + 1)
    }

    fn config(&mut self, table: &'static str, owner: u64, config: &ConfigMap) {
        for (key, value) in config {
            self.add(table, row![self.next(table), owner, key, value]);
        }
    }

    /// Configuration that has a column for the member, for keys that each has for itself.
    fn member_config(&mut self, table: &'static str, owner: u64, config: &ConfigMap) {
        for (key, value) in config {
            let node = codes::of_member(key).then_some(NODE);
            self.add(table, row![self.next(table), owner, node, key, value]);
        }
    }

    fn devices(&mut self, [table, config]: [&'static str; 2], owner: u64, devices: &Devices) {
        for (name, device) in devices {
            let id = self.next(table);
            let kind = device.get("type").map_or(0, |kind| codes::of(codes::DEVICES, kind));
            self.add(table, row![id, owner, name, kind]);
            self.config(config, id as u64, device);
        }
    }
}

/// The local database.
pub(super) fn local(view: &View) -> Result<Rows> {
    let mut rows = Rows::default();
    rows.add("schema", row![1_i64, VERSIONS[1], Timestamp::now()]);
    server_config(&mut rows, view, true)?;
    Ok(rows)
}

/// The global database.
pub(super) fn global(view: &View, hot: &Hot) -> Result<Rows> {
    let mut rows = Rows::default();
    let mut projects = HashMap::new();
    node(&mut rows);
    server_config(&mut rows, view, false)?;
    for project in repo::projects::list(view)? {
        rows.add("projects", row![project.id, &project.name, &project.description]);
        rows.config("projects_config", project.id, &project.config);
        projects.insert(project.name, project.id);
    }
    for profile in repo::profiles::list(view, None)? {
        let project = projects.get(&profile.project).copied();
        rows.add("profiles", row![profile.id, &profile.name, &profile.description, project]);
        rows.config("profiles_config", profile.id, &profile.config);
        rows.devices(["profiles_devices", "profiles_devices_config"], profile.id, &profile.devices);
    }
    let mut filler = Filler { rows, view, projects };
    filler.certificates()?;
    filler.images()?;
    filler.pools_and_volumes()?;
    filler.instances(hot)?;
    filler.networks()?;
    filler.warnings()?;
    filler.operations(hot);
    Ok(filler.rows)
}

fn node(rows: &mut Rows) {
    let now = Timestamp::from_unix(Timestamp::now().unix());
    let known = extensions::EXTENSIONS.len() as u64;
    let arch = codes::of(codes::ARCHITECTURES, std::env::consts::ARCH);
    rows.add("schema", row![1_i64, VERSIONS[0], now]);
    rows.add("cluster_groups", row![1_i64, "default", "Default cluster group"]);
    rows.add("nodes", row![NODE, "none", "", "0.0.0.0", VERSIONS[0], known, now, 0_i64, arch, None::<i64>]);
    rows.add("nodes_cluster_groups", row![NODE, 1_i64]);
}

fn server_config(rows: &mut Rows, view: &View, local: bool) -> Result<()> {
    for (key, value) in repo::server::config(view)? {
        if codes::is_local(&key) == local {
            rows.add("config", row![rows.next("config"), &key, &value]);
        }
    }
    Ok(())
}

fn state(phase: Phase) -> i64 {
    i64::from(phase == Phase::Created)
}

struct Filler<'a> {
    rows: Rows,
    view: &'a View,
    projects: HashMap<String, u64>,
}

impl Filler<'_> {
    fn project(&self, name: &str) -> Option<u64> {
        self.projects.get(name).copied()
    }

    fn certificates(&mut self) -> Result<()> {
        for (id, c) in (1_i64..).zip(repo::certificates::list(self.view)?) {
            let kind = codes::of(codes::CERTIFICATES, &c.kind);
            self.rows.add("certificates", row![id, &c.fingerprint, kind, &c.name, &c.certificate, c.restricted]);
            let projects: Vec<u64> = c.projects.iter().filter_map(|name| self.project(name)).collect();
            for project in projects {
                self.rows.add("certificates_projects", row![id, project]);
            }
        }
        Ok(())
    }

    fn images(&mut self) -> Result<()> {
        let mut ids = HashMap::new();
        for (id, image) in (1_i64..).zip(repo::images::list(self.view, None)?) {
            self.image(id, &image)?;
            ids.insert((image.project, image.fingerprint), id);
        }
        for (id, alias) in (1_i64..).zip(repo::images::aliases(self.view, None)?) {
            let image = ids.get(&(alias.project.clone(), alias.target)).copied();
            let project = self.project(&alias.project);
            self.rows.add("images_aliases", row![id, &alias.name, image, &alias.description, project]);
        }
        Ok(())
    }

    fn image(&mut self, id: i64, i: &ImageRecord) -> Result<()> {
        let (arch, kind) =
            (codes::of(codes::ARCHITECTURES, &i.architecture), codes::of(codes::INSTANCES, i.kind.as_str()));
        let project = self.project(&i.project);
        let rows = &mut self.rows;
        let row = row![
            id,
            &i.fingerprint,
            &i.filename,
            i.size,
            i.public,
            arch,
            i.created_at,
            i.expires_at,
            i.uploaded_at,
            i.cached,
            i.last_used_at,
            i.auto_update,
            project,
            kind
        ];
        rows.add("images", row);
        rows.add("images_nodes", row![id, id, NODE]);
        for (key, value) in &i.properties {
            rows.add("images_properties", row![rows.next("images_properties"), id, 0_i64, key, value]);
        }
        for profile in &i.profiles {
            if repo::profiles::by_id(self.view, *profile).is_ok() {
                rows.add("images_profiles", row![id, *profile]);
            }
        }
        if let Some(source) = &i.source {
            let protocol = codes::of(codes::PROTOCOLS, &source.protocol);
            let row =
                row![rows.next("images_source"), id, &source.server, protocol, &source.certificate, &source.alias];
            rows.add("images_source", row);
        }
        Ok(())
    }

    fn pools_and_volumes(&mut self) -> Result<()> {
        for (number, pool) in (1_i64..).zip(repo::pools::list(self.view)?) {
            let PoolRecord { id, name, driver, description, config, phase } = &pool;
            self.rows.add("storage_pools", row![*id, name, driver, description, state(*phase)]);
            self.rows.add("storage_pools_nodes", row![number, *id, NODE, state(*phase)]);
            self.rows.member_config("storage_pools_config", *id, config);
        }
        for v in repo::volumes::list(self.view, None)? {
            let (kind, content) =
                (codes::of(codes::VOLUMES, v.kind.as_str()), codes::of(codes::CONTENTS, v.content.as_str()));
            let row = row![v.id, &v.name, v.pool, NODE, kind, &v.description, self.project(&v.project), content];
            self.rows.add("storage_volumes", row);
            self.rows.config("storage_volumes_config", v.id, &v.config);
        }
        Ok(())
    }

    fn instances(&mut self, hot: &Hot) -> Result<()> {
        let mut volumes = HashMap::new();
        for v in repo::volumes::list(self.view, None)? {
            volumes.insert((v.project, codes::of(codes::VOLUMES, v.kind.as_str()), v.name), v.id);
        }
        for i in repo::instances::list(self.view, None)? {
            let kind = codes::of(codes::VOLUMES, i.kind.as_str());
            let volume = volumes.get(&(i.project.clone(), kind, i.name.clone())).copied();
            self.instance(&i, volume)?;
            for b in hot.backups.get(&i.id).into_iter().flatten() {
                let name = b.name.rsplit('/').next().unwrap_or_default();
                let id = self.rows.next("instances_backups");
                let row = row![id, i.id, name, b.created_at, b.expires_at, b.instance_only, b.optimized_storage];
                self.rows.add("instances_backups", row);
            }
        }
        Ok(())
    }

    fn instance(&mut self, i: &InstanceRecord, volume: Option<u64>) -> Result<()> {
        let (arch, kind) =
            (codes::of(codes::ARCHITECTURES, &i.architecture), codes::of(codes::INSTANCES, i.kind.as_str()));
        let project = self.project(&i.project);
        let rows = &mut self.rows;
        let row = row![
            i.id,
            NODE,
            &i.name,
            arch,
            kind,
            i.ephemeral,
            i.created_at,
            i.stateful,
            i.last_used_at,
            &i.description,
            project,
            Timestamp::ZERO
        ];
        rows.add("instances", row);
        rows.config("instances_config", i.id, &i.config);
        rows.devices(["instances_devices", "instances_devices_config"], i.id, &i.devices);
        for (order, profile) in (1_i64..).zip(&i.profiles) {
            rows.add("instances_profiles", row![rows.next("instances_profiles"), i.id, *profile, order]);
        }
        for s in repo::snapshots::list(self.view, i.id)? {
            let row = row![s.id, i.id, &s.name, s.created_at, s.stateful, &s.description, s.expires_at];
            rows.add("instances_snapshots", row);
            rows.config("instances_snapshots_config", s.id, &s.config);
            let tables = ["instances_snapshots_devices", "instances_snapshots_devices_config"];
            rows.devices(tables, s.id, &s.devices);
            if let Some(volume) = volume {
                rows.add("storage_volumes_snapshots", row![s.id, volume, &s.name, &s.description, s.expires_at]);
            }
        }
        Ok(())
    }

    fn networks(&mut self) -> Result<()> {
        for (number, network) in (1_i64..).zip(repo::networks::list(self.view, None)?) {
            let NetworkRecord { id, project, name, kind, description, config, phase, .. } = &network;
            let row =
                row![*id, self.project(project), name, description, state(*phase), codes::of(codes::NETWORKS, kind)];
            self.rows.add("networks", row);
            self.rows.add("networks_nodes", row![number, *id, NODE, state(*phase)]);
            self.rows.member_config("networks_config", *id, config);
            for f in repo::networks::forwards(self.view, *id)? {
                let number = self.rows.next("networks_forwards");
                let row = row![number, *id, NODE, &f.listen_address, &f.description, &json(&f.ports)?];
                self.rows.add("networks_forwards", row);
                self.rows.config("networks_forwards_config", number as u64, &f.config);
            }
        }
        for a in repo::network_acls::list(self.view, None)? {
            let (ingress, egress) = (json(&a.ingress)?, json(&a.egress)?);
            let row = row![a.id, self.project(&a.project), &a.name, &a.description, &ingress, &egress];
            self.rows.add("networks_acls", row);
            self.rows.config("networks_acls_config", a.id, &a.config);
        }
        repo::network_zones::list(self.view)?.iter().try_for_each(|zone| self.zone(zone))
    }

    fn zone(&mut self, zone: &ZoneRecord) -> Result<()> {
        self.rows.add("networks_zones", row![zone.id, self.project(&zone.project), &zone.name, &zone.description]);
        self.rows.config("networks_zones_config", zone.id, &zone.config);
        for r in repo::network_zones::records(self.view, zone.id)? {
            let number = self.rows.next("networks_zones_records");
            let row = row![number, zone.id, &r.name, &r.description, &json(&r.entries)?];
            self.rows.add("networks_zones_records", row);
            self.rows.config("networks_zones_records_config", number as u64, &r.config);
        }
        Ok(())
    }

    fn warnings(&mut self) -> Result<()> {
        for (id, w) in (1_i64..).zip(repo::warnings::list(self.view, None)?) {
            let (kind, status) = (codes::of(codes::WARNINGS, &w.kind), codes::of(codes::STATUSES, w.status.as_str()));
            let project = self.project(&w.project);
            let row = row![
                id,
                NODE,
                project,
                -1_i64,
                -1_i64,
                &w.uuid,
                kind,
                status,
                w.first_seen_at,
                w.last_seen_at,
                w.updated_at,
                &w.last_message,
                w.count
            ];
            self.rows.add("warnings", row);
        }
        Ok(())
    }

    fn operations(&mut self, hot: &Hot) {
        for (id, operation) in (1_i64..).zip(&hot.operations) {
            let kind = codes::of(codes::OPERATIONS, &operation.description);
            // All are of the one project there is, or of none, which LXD shows the same way.
            self.rows.add("operations", row![id, &operation.id, NODE, kind, self.project(repo::DEFAULT)]);
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).ctx(Kind::Internal, || "Failed rendering JSON")
}
