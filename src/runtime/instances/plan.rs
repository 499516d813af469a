//! What a start needs: the plan of the container, and the records and places around it.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::create::{pool_of, volume_of};
use super::expand::{Expanded, expand};
use super::leftovers::check_complete;
use super::{Instances, confine, container, doors, equipment, ids, logs, nvidia, start_log, templates};
use crate::api::config::device;
use crate::api::config::instance::Config;
use crate::api::types::{self, ConfigMap, Timestamp};
use crate::order::Gather;
use crate::runtime::blocking;
use crate::runtime::devices::nic;
use crate::runtime::spec::intercept::{Intercept, Mounts};
use crate::runtime::spec::{ContainerSpec, Idmap, Limits, Mount, RootSource, Shift};
use crate::runtime::storage::{PlainDirectory, Root};
use crate::runtime::sys::fault;
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
        let (record, expanded, pool) = self.facts(id)?;
        check_complete(&record)?;
        let _alone = self.turns.evict(id).await;
        let driver = self.pools.driver(&pool)?;
        let checking = driver.clone();
        blocking(move || checking.check()).await?;
        let running = self.launch_with(id, &record, &expanded).await;
        if let Err(e) = &running {
            self.forget_nics(id).await;
            let logs = self.places.logs(&record.project, &record.name);
            if let Err(e) = start_log::write_failure(&logs, &record.name, e) {
                tracing::warn!(id, "Failed keeping why a start failed: {}", e.chain());
            }
        }
        running
    }

    async fn launch_with(&self, id: u64, record: &InstanceRecord, expanded: &Expanded) -> Result<container::Running> {
        let nics = self.choose_nics(id).await?;
        if !nics.is_empty() {
            // Before the guest asks for its address.
            self.networks.tell(&record.project, [&expanded.devices]).await;
        }
        confine::load_modules(Config(&expanded.config)).await?;
        self.check_tpms(expanded).await?;
        let mut spec = self.plan_of(id).await?;
        spec.hold = !nics.is_empty();
        let running = match self.make_places(record, &spec).and(self.follow_plan(id, &spec).await) {
            Ok(()) => self.run(id, &spec, nics).await,
            Err(e) => Err(e),
        };
        if running.is_err() {
            self.close_door(id).await;
            self.unload_label(id).await;
        }
        running
    }

    async fn run(&self, id: u64, spec: &ContainerSpec, nics: Vec<nic::Plan>) -> Result<container::Running> {
        let starting = container::begin(spec, &self.run_directory(id)).await?;
        if let Some(pid) = starting.pid() {
            if let Err(e) = self.plug_all(id, pid, nics).await {
                starting.abandon().await?;
                return Err(e);
            }
            fault("daemon.start.plugged");
        }
        let running = match starting.finish().await {
            Ok(running) => self.complete(id, running).await,
            failed => failed,
        };
        if running.is_err() {
            self.unplug_all(id).await;
        }
        running
    }

    /// What a guest gets once it runs. One that can't have it is brought down again.
    async fn complete(&self, id: u64, running: container::Running) -> Result<container::Running> {
        let expanded = self.facts(id)?.1;
        let done = match self.equipped(id, &running).await {
            Ok(()) => self.fit_out(id, &running, &expanded).await,
            failed => failed,
        };
        let Err(e) = done else { return Ok(running) };
        running.kill().await?;
        while running.wait_exit().await? == container::Ended::Reboot {
            running.decline_reboot().await?;
        }
        self.forget_equipment(id);
        container::forget(&self.run_directory(id)).await?;
        Err(e)
    }

    /// What takes a process of the host's that belongs to the guest's, and so couldn't be planned.
    pub(super) async fn fit_out(&self, id: u64, running: &container::Running, expanded: &Expanded) -> Result<()> {
        if self.change_tpms(id, running, expanded).await? {
            self.change_equipment(id, running, expanded).await?;
        }
        self.change_proxies(id, running, expanded).await
    }

    /// The same for a guest that has rebooted, by the configuration of now.
    pub(super) async fn fit_out_again(&self, id: u64, running: &container::Running) -> Result<()> {
        let expanded = self.facts(id)?.1;
        self.fit_out(id, running, &expanded).await
    }

    /// Ends the processes of a guest that is down.
    pub(super) async fn end_helpers(&self, id: u64) {
        self.end_proxies(id).await;
        self.end_tpms(id).await;
    }

    /// The plan by the configuration of now.
    pub(super) async fn plan_of(&self, id: u64) -> Result<ContainerSpec> {
        let (record, expanded, pool) = self.facts(id)?;
        device::check_root(&expanded.devices)?;
        if std::env::var_os("LXD_UNPRIVILEGED_ONLY").is_some() && is_privileged(&expanded.config) {
            return Err(Error::invalid("LXD was configured to only allow unprivileged containers"));
        }
        let driver = self.pools.driver(&pool)?;
        let volume = volume_of(&record)?;
        let place = driver.paths().volume(&volume);
        let owner = self.map_of(&record, &expanded.config)?.root().0;
        let (for_files, with_profiles) = (record.clone(), expanded.clone());
        let meanwhile = self.places.root.join("containers");
        let nesting = Config(&expanded.config).bool("security.nesting");
        let (root, lock, files, plain, mounter) = blocking(move || {
            let mounter = nvidia::mounter(&with_profiles, &meanwhile)?;
            let files = templates::files(&place, &for_files, &with_profiles)?;
            driver.paths().set_owner(&volume, owner)?;
            let plain = driver.layered().map(|layered| layered.plain(&volume, nesting)).transpose()?;
            Ok((driver.root(&volume)?, driver.lock_path(&volume), files, plain.unwrap_or_default(), mounter))
        })
        .await?;
        self.limit_root(id).await?;
        let mut spec = self.confined(&record, &expanded, root_source(root))?;
        spec.lock = Some(lock);
        spec.mounter = mounter;
        let native = self.host.architectures.first() == Some(&record.architecture);
        spec.linux32 = !native;
        confine::add_syscalls(&mut spec, Config(&expanded.config), native)?;
        spec.limits = self.limits(id, &expanded.config)?;
        let (fitted, device_rules) = self.equip(id, &expanded).await?;
        // Devices may be mounted in them.
        spec.mounts = plain.into_iter().map(plain_mount).chain(equipment::mounts(&fitted)).collect();
        spec.device_rules = device_rules;
        if let Some(raw) = Config(&expanded.config).get("raw.lxc") {
            confine::add_raw_lxc(&mut spec, raw)?;
        }
        if doors::wanted(&expanded.config) {
            spec.mounts.push(self.door_mount(id));
        }
        spec.files = files;
        spec.view = self.view.ensure().await;
        let protected = Config(&expanded.config).bool("security.protection.shift");
        self.settle_ids(&record, &mut spec, protected).await?;
        // The last thing that can fail: what is loaded goes with the guest.
        spec.apparmor = self.load_label(&record, &expanded.config).await?;
        Ok(spec)
    }

    /// The plan as far as it says where the root is, how its ids are mapped, and its lock: what it takes to mount it.
    pub(super) async fn root_of(&self, id: u64) -> Result<ContainerSpec> {
        let (record, expanded, pool) = self.facts(id)?;
        let driver = self.pools.driver(&pool)?;
        let volume = volume_of(&record)?;
        let (root, lock) = blocking(move || {
            driver.check()?;
            Ok((driver.root(&volume)?, driver.lock_path(&volume)))
        })
        .await?;
        let mut spec = self.confined(&record, &expanded, root_source(root))?;
        spec.lock = Some(lock);
        let protected = Config(&expanded.config).bool("security.protection.shift");
        self.settle_ids(&record, &mut spec, protected).await?;
        Ok(spec)
    }

    /// Sees to the guest's ids on disk: its own, which are mapped as they are mounted, or where this host can't do that
    /// the host's, to which they are shifted now. May take as long as the tree is large.
    async fn settle_ids(&self, record: &InstanceRecord, spec: &mut ContainerSpec, protected: bool) -> Result<()> {
        const KEY: &str = "volatile.last_state.idmap";
        let place = match &spec.root {
            RootSource::Dir { path } => path.clone(),
            RootSource::Overlay { upper, .. } => upper.clone(),
            RootSource::Layers { lowers } => lowers.first().cloned().unwrap_or_default(),
        };
        let looking = place.clone();
        let mapped = spec.privileged() || blocking(move || container::shift::can_mount(&looking)).await?;
        let wanted = if mapped { Idmap::default() } else { spec.idmap.clone() };
        spec.shift = if mapped { Shift::Mount } else { Shift::OnDisk };
        let on_disk = record.config.get(KEY).map_or("[]", String::as_str);
        let on_disk: Idmap = types::from_slice(on_disk.as_bytes())
            .map_err(|e| Error::internal(format!("Failed reading \"{KEY}\" of the instance: {e}")))?;
        if !mapped && matches!(spec.root, RootSource::Overlay { .. }) {
            return Err(Error::unsupported("An unprivileged container in an overlay pool without idmapped mounts"));
        }
        if on_disk == wanted {
            return Ok(());
        }
        if protected {
            return Err(Error::internal("Container is protected against filesystem shifting"));
        }
        container::shift::on_disk(&place, &on_disk, &wanted).await?;
        let wanted = serde_json::to_string(&wanted).unwrap_or_default();
        self.db
            .transact(|tx| {
                repo::instances::modify(tx, record.id, |r| {
                    r.config.insert(KEY.into(), wanted.clone());
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    /// The plan as far as the configuration alone says it.
    fn confined(&self, record: &InstanceRecord, expanded: &Expanded, root: RootSource) -> Result<ContainerSpec> {
        let config = Config(&expanded.config);
        let privileged = is_privileged(&expanded.config);
        Ok(ContainerSpec {
            version: ContainerSpec::current_version(),
            id: record.id,
            name: record.name.clone(),
            project: record.project.clone(),
            root,
            lock: None,
            idmap: self.map_of(record, &expanded.config)?,
            shift: Shift::Mount,
            nesting: config.bool("security.nesting"),
            hostname: record.name.clone(),
            environment: environment(expanded),
            init: vec![container::plan::INIT.into()],
            limits: Limits::default(),
            rlimits: confine::rlimits(config),
            sysctls: confine::sysctls(config),
            mounts: Vec::new(),
            files: Vec::new(),
            drop_capabilities: container::plan::dropped_capabilities(privileged)?,
            seccomp: String::new(),
            intercept: Intercept::default(),
            intercepted_mounts: Mounts::default(),
            apparmor: String::new(),
            no_new_privs: false,
            linux32: false,
            group_files: Vec::new(),
            device_rules: Vec::new(),
            cgroups: self.host.cgroups.clone(),
            console_log: self.places.logs(&record.project, &record.name).join("console.log"),
            hold: false,
            view: None,
            mounter: None,
            fault: None,
        })
    }

    pub(super) fn facts(&self, id: u64) -> Result<(InstanceRecord, Expanded, PoolRecord)> {
        self.db.view(|v| {
            let record = repo::instances::by_id(v, id)?;
            let expanded = expand(v, &record)?;
            let pool = pool_of(v, &record)?;
            Ok((record, expanded, pool))
        })
    }

    /// Where the shim of an instance keeps its socket and records.
    pub(super) fn run_directory(&self, id: u64) -> container::RunDirs {
        container::RunDirs { run: self.places.run(id) }
    }

    /// Records that an instance is up or down; the one durable commit of a start or stop.
    pub(super) async fn record_power(&self, id: u64, up: bool) -> Result<()> {
        let for_host = self.host_stops.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
        let power = if up || for_host { "RUNNING" } else { "STOPPED" };
        self.db
            .transact(|tx| {
                let mut record = repo::instances::by_id(tx, id)?;
                record.config.insert("volatile.last_state.power".into(), power.into());
                self.note_nics(id, &mut record.config, up);
                if up {
                    record.last_used_at = Timestamp::now();
                    record.config.remove("volatile.apply_template");
                    let current = ids::text(&self.map_of(&record, &expand(tx, &record)?.config)?);
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
        self.balance.forget(id);
        self.unplug_all(id).await;
        self.forget_equipment(id);
        self.end_helpers(id).await;
        self.close_door(id).await;
        self.end_visits(id).await;
        self.unload_label(id).await;
        if let Err(e) = container::forget(&self.run_directory(id)).await {
            tracing::warn!(id, "Failed removing a run directory: {}", e.chain());
        }
        self.rebalance().await;
        self.release_view();
    }

    /// Announces what a guest did by itself.
    pub(super) fn announce_by_itself(&self, id: u64, action: &str) -> Result<()> {
        let record = self.db.view(|v| repo::instances::by_id(v, id))?;
        self.announce(&record.project, &record.name, action, None);
        Ok(())
    }

    /// Makes the places that a start writes to.
    pub(super) fn make_places(&self, record: &InstanceRecord, spec: &ContainerSpec) -> Result<()> {
        let directory = self.places.logs(&record.project, &record.name);
        logs::make_directory(&directory)?;
        if let Err(e) = start_log::write_plan(&directory, spec) {
            tracing::warn!(instance = %record.name, "Failed keeping the plan of a start: {}", e.chain());
        }
        Ok(())
    }
}

fn root_source(root: Root) -> RootSource {
    match root {
        Root::Dir { path } => RootSource::Dir { path },
        Root::Overlay { lowers, upper, work } => RootSource::Overlay { lowers, upper, work },
        Root::Layers { lowers } => RootSource::Layers { lowers },
    }
}

fn plain_mount(PlainDirectory { source, target }: PlainDirectory) -> Mount {
    Mount { source, target, shift: true, ..Mount::default() }
}

/// The variables of every program in a guest: `environment.*` over those that tell what it has.
pub(super) fn environment(expanded: &Expanded) -> Vec<(String, String)> {
    let own = Config(&expanded.config).below("environment.").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut variables: BTreeMap<String, String> = nvidia::environment(expanded).into_iter().gather();
    variables.extend(own);
    variables.into_iter().collect()
}
