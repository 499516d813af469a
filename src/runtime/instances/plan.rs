//! What a start needs: the plan of the container, and the records and places around it.

use std::path::Path;

use super::create::{root_pool, volume_of};
use super::expand::{Expanded, expand};
use super::{Instances, container, logs};
use crate::api::config::device;
use crate::api::config::instance::Config;
use crate::api::types::{ConfigMap, Timestamp};
use crate::runtime::spec::{ContainerSpec, FileWrite, Idmap, Mount, RootSource};
use crate::runtime::storage::Root;
use crate::runtime::{blocking, devices, images};
use crate::store::records::{InstanceRecord, PoolRecord};
use crate::store::repo;
use crate::{Error, Result};

/// Whether a configuration asks for a container without a user namespace.
pub fn is_privileged(config: &ConfigMap) -> bool {
    Config(config).bool("security.privileged")
}

impl Instances {
    /// Starts the guest of an instance.
    pub(super) async fn launch(&self, id: u64) -> Result<container::Running> {
        let (record, _, pool) = self.facts(id)?;
        let driver = self.pools.driver(&pool)?;
        let checking = driver.clone();
        blocking(move || checking.check()).await?;
        let spec = self.plan_of(id).await?;
        container::start(&spec, &self.run_directories(&record)).await
    }

    /// The plan by the configuration of now.
    pub(super) async fn plan_of(&self, id: u64) -> Result<ContainerSpec> {
        let (record, expanded, pool) = self.facts(id)?;
        if std::env::var_os("LXD_UNPRIVILEGED_ONLY").is_some() && is_privileged(&expanded.config) {
            return Err(Error::invalid("LXD was configured to only allow unprivileged containers"));
        }
        let driver = self.pools.driver(&pool)?;
        let volume = volume_of(&record)?;
        let place = driver.paths().volume(&volume);
        let (for_files, config, devices) = (record.clone(), expanded.config.clone(), expanded.devices.clone());
        let (root, lock, files) = blocking(move || {
            let files = files(&place, &for_files, config, devices)?;
            Ok((driver.root(&volume)?, driver.lock_path(&volume), files))
        })
        .await?;
        let mut spec = container::plan(container::Wish {
            id: record.id,
            name: record.name.clone(),
            project: record.project.clone(),
            root: root_source(root),
            lock: Some(lock),
            idmap: if is_privileged(&expanded.config) { Idmap::default() } else { self.host.idmap.clone() },
            nesting: Config(&expanded.config).bool("security.nesting"),
            deny_default: Config(&expanded.config).bool("security.syscalls.deny_default"),
            cgroups: self.host.cgroups.clone(),
            console_log: self.places.logs(&record.project, &record.name).join("console.log"),
        })?;
        spec.environment = environment(&expanded.config);
        spec.limits = self.limits(id, &expanded.config)?;
        spec.mounts = mounts(&expanded, &self.places.root)?;
        spec.files = files;
        Ok(spec)
    }

    fn facts(&self, id: u64) -> Result<(InstanceRecord, Expanded, PoolRecord)> {
        self.db.view(|v| {
            let record = repo::instances::by_id(v, id)?;
            let expanded = expand(v, &record)?;
            let pool = root_pool(v, &expanded)?;
            Ok((record, expanded, pool))
        })
    }

    fn run_directories(&self, record: &InstanceRecord) -> container::RunDirs {
        let logs = self.places.logs(&record.project, &record.name);
        container::RunDirs { run: self.places.run(record.id), logs }
    }

    /// Records that an instance is up or down; the one durable commit of a start or stop.
    pub(super) async fn record_power(&self, id: u64, up: bool) -> Result<()> {
        let idmap = serde_json::to_string(&self.host.idmap).unwrap_or_default();
        let power = if up { "RUNNING" } else { "STOPPED" };
        self.db
            .transact(|tx| {
                let mut record = repo::instances::by_id(tx, id)?;
                record.config.insert("volatile.last_state.power".into(), power.into());
                if up {
                    record.last_used_at = Timestamp::now();
                    record.config.remove("volatile.apply_template");
                    let privileged = is_privileged(&expand(tx, &record)?.config);
                    let current = if privileged { "[]".to_owned() } else { idmap.clone() };
                    record.config.insert("volatile.idmap.current".into(), current.clone());
                    record.config.insert("volatile.idmap.next".into(), current);
                }
                repo::instances::update(tx, &record)
            })
            .await?;
        Ok(())
    }

    /// Gives back what a guest that is down had.
    pub(super) async fn stopped(&self, id: u64) {
        self.balance.take_back(id);
        self.rebalance().await;
    }

    /// Announces what a guest did by itself.
    pub(super) fn announce_by_itself(&self, id: u64, action: &str) -> Result<()> {
        let record = self.db.view(|v| repo::instances::by_id(v, id))?;
        self.announce(&record.project, &record.name, action, None);
        Ok(())
    }

    /// Makes the places that a start writes to.
    pub(super) fn make_places(&self, record: &InstanceRecord) -> Result<()> {
        logs::make_directory(&self.places.logs(&record.project, &record.name))
    }
}

fn root_source(root: Root) -> RootSource {
    match root {
        Root::Dir { path } => RootSource::Dir { path },
        Root::Overlay { lowers, upper, work } => RootSource::Overlay { lowers, upper, work },
    }
}

fn environment(config: &ConfigMap) -> Vec<(String, String)> {
    Config(config).below("environment.").map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn mounts(expanded: &Expanded, lxd_dir: &Path) -> Result<Vec<Mount>> {
    let disks = expanded.devices.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "disk") && !device::is_root(d));
    let mut mounts = disks.map(|(name, disk)| devices::disk::mount(name, disk, lxd_dir)).collect::<Result<Vec<_>>>()?;
    // A mount below another one has to come after it.
    mounts.sort_by_key(|m| m.target.components().count());
    Ok(mounts)
}

/// The files that the image's templates make for this start.
fn files(
    place: &Path,
    record: &InstanceRecord,
    config: ConfigMap,
    devices: crate::api::types::Devices,
) -> Result<Vec<FileWrite>> {
    let instance = images::template::Instance {
        name: record.name.clone(),
        kind: record.kind.as_str().into(),
        architecture: record.architecture.clone(),
        privileged: is_privileged(&config),
        ephemeral: record.ephemeral,
        config,
        devices,
    };
    let first = record.config.get("volatile.apply_template").map(String::as_str);
    let mut files = Vec::new();
    for trigger in first.into_iter().chain(["start"]) {
        let rendered = images::template::render_all(place, trigger, &instance)?;
        files.extend(rendered.into_iter().map(|f| FileWrite {
            path: f.path,
            content: f.content,
            mode: 0o644,
            create_only: f.create_only,
        }));
    }
    Ok(files)
}
