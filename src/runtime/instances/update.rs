//! Changing an instance: one commit, then what a running guest takes at once.

use super::container::Running;
use super::create::{stays_in_pool, target_of};
use super::expand::{Expanded, expand};
use super::{Instances, cloud_init, confine, ids, live, nvidia, profile_ids};
use crate::api::config::{Live, Site, device, drop_unset, instance};
use crate::api::types::{ConfigMap, EventRequestor, Instance, InstancePut, Operation};
use crate::runtime::devices::{self, nic};
use crate::runtime::leases::{Class, Want};
use crate::runtime::network::service::nics;
use crate::store::records::InstanceRecord;
use crate::store::{Read, repo};
use crate::{Error, Kind, Result};

/// An instance before and after a change.
struct Change {
    before: InstanceRecord,
    was: Expanded,
    becomes: Expanded,
}

impl Instances {
    /// [`Instances::update`], in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn update_operation(
        &self,
        project: &str,
        name: &str,
        decide: impl Fn(&Instance) -> Result<InstancePut> + Send + Sync + 'static,
        by: EventRequestor,
    ) -> Result<Operation> {
        let (this, project, name) = (self.clone(), project.to_owned(), name.to_owned());
        let new = self.operation_on("Updating instance", &project, &name, by.clone());
        Ok(self.operations.start(new, move |_| async move { this.update(&project, &name, decide, by).await }))
    }

    /// Changes an instance; `decide` gets the present one and may run several times.
    ///
    /// # Errors
    /// Those of `decide`; [`Kind::Internal`] with LXD's texts for wrong values; what a running guest refuses, after
    /// which everything is as before.
    pub async fn update(
        &self,
        project: &str,
        name: &str,
        decide: impl Fn(&Instance) -> Result<InstancePut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let mut wants = self.exclusive(project, name);
        wants
            .extend(self.record(project, name)?.profiles.iter().map(|id| Want::shared(Class::Profile, id.to_string())));
        let _lease = self.leases.take(wants).await;
        let alone = self.choosing_ids().await;
        let (change, _) = self
            .db
            .transact(|tx| {
                let before = repo::instances::by_name(tx, project, name)?;
                let put = decide(&self.show(tx, &before)?)?;
                let mut after = changed(tx, &before, put)?;
                let (was, becomes) = (expand(tx, &before)?, expand(tx, &after)?);
                nic::forget(&mut after.config, &was.devices, &becomes.devices);
                nic::fill(&mut after.config, &becomes.devices);
                self.check(tx, &after, &before, &becomes)?;
                if cloud_init::changed(&was, &becomes) {
                    cloud_init::renew(&mut after.config);
                }
                if ids::differ(&was.config, &becomes.config) {
                    self.choose_ids(&mut after, &becomes.config)?;
                }
                repo::instances::update(tx, &after)?;
                Ok(Change { before, was, becomes })
            })
            .await?;
        drop(alone);
        if let Err(e) = self.apply(change.before.id, &change.was, &change.becomes).await {
            self.take_back(&change.before).await;
            return Err(e);
        }
        self.networks.tell(project, [&change.was.devices, &change.becomes.devices]).await;
        self.announce(project, name, "instance-updated", Some(&by));
        Ok(())
    }

    fn check(&self, r: &impl Read, after: &InstanceRecord, before: &InstanceRecord, becomes: &Expanded) -> Result<()> {
        self.check_by_itself(after, becomes)?;
        stays_in_pool(r, before, becomes)?;
        for disk in becomes.devices.values() {
            if let Some(pool) = disk.get("pool") {
                repo::pools::by_name(r, pool)?;
            }
        }
        if !self.host.architectures.contains(&after.architecture) {
            return Err(Error::internal(format!("Architecture isn't supported: {}", after.architecture)));
        }
        keeps_idmap(&before.config, &after.config)?;
        fixed(&before.config, &after.config)
    }

    /// Checks what an instance is to be, whatever it was.
    pub(super) fn check_by_itself(&self, after: &InstanceRecord, becomes: &Expanded) -> Result<()> {
        let (site, target) = (Site::InstanceUpdate, target_of(after.kind));
        instance::validate(&after.config, target).map_err(|e| site.config(e))?;
        device::validate(&after.devices, target).map_err(|e| site.devices(e))?;
        // It looks at all instances, which a transaction can't guard; what two changes at once put there twice stays.
        self.db.view(|v| nics::check(v, (&after.project, &after.name), &after.devices))?;
        device::check_roots(&becomes.devices).map_err(|e| site.expanded_devices(e))?;
        devices::check(&becomes.devices).map_err(|e| site.expanded_devices(e))
    }

    /// Brings a running guest to its new configuration, as far as that can be done while it runs.
    pub(super) async fn apply(&self, id: u64, was: &Expanded, becomes: &Expanded) -> Result<()> {
        self.check_label(id, &was.config, &becomes.config).await?;
        self.change_size(id, was, becomes).await?;
        let Some(running) = self.actor(id).live().running else { return self.forget_tpms(id, was, becomes).await };
        if instance::changed(&was.config, &becomes.config).contains(&"linux.kernel_modules") {
            confine::load_modules(instance::Config(&becomes.config)).await?;
        }
        self.change_door(id, &running, &was.config, &becomes.config).await?;
        self.change_nics(id, running.pid(), was, becomes).await?;
        if live::limits_change(was, becomes) {
            let limits = self.limits(id, &becomes.config)?;
            if let Err(e) = running.set_limits(&limits).await {
                // Some of them may hold by now.
                if let Err(e) = running.set_limits(&self.limits(id, &was.config)?).await {
                    tracing::warn!(id, "Failed bringing limits back: {}", e.chain());
                }
                return Err(e);
            }
            self.rebalance().await;
        }
        if let Err(e) = self.change_devices(id, &running, (was, becomes)).await {
            let back = self.change_tpms(id, &running, was).await;
            if let Err(e) = back.and(self.change_equipment(id, &running, was).await) {
                tracing::warn!(id, "Failed bringing devices back: {}", e.chain());
            }
            return Err(e);
        }
        self.forget_tpms(id, was, becomes).await?;
        if !running.is_privileged() {
            running.allow_mounts(confine::intercepted_mounts(instance::Config(&becomes.config))?).await?;
        }
        self.tell_guest(id, was, becomes);
        Ok(())
    }

    /// Brings the devices to the new configuration that aren't of the network, and then the label.
    async fn change_devices(&self, id: u64, running: &Running, (was, becomes): (&Expanded, &Expanded)) -> Result<()> {
        nvidia::check_change(was, becomes)?;
        self.change_tpms(id, running, becomes).await?;
        self.change_equipment(id, running, becomes).await?;
        self.change_proxies(id, running, becomes).await?;
        self.change_label(id, &was.config, &becomes.config).await
    }

    async fn take_back(&self, before: &InstanceRecord) {
        let written = self.db.transact(|tx| repo::instances::update(tx, before)).await;
        // A network device that was brought back has a cable of another name.
        if let Err(e) = written.and(self.record_nics(before.id).await).and(self.limit_root(before.id).await) {
            tracing::warn!(instance = %before.name, "Failed undoing an update: {}", e.chain());
        }
    }
}

fn changed(r: &impl Read, before: &InstanceRecord, put: InstancePut) -> Result<InstanceRecord> {
    let mut after = before.clone();
    after.profiles = profile_ids(r, &before.project, &put.profiles)?;
    instance::check_names(&put.config, target_of(before.kind)).map_err(|e| Site::InstanceUpdate.config(e))?;
    device::check_names(&put.devices).map_err(|e| Site::InstanceUpdate.devices(e))?;
    (after.config, after.devices) = (put.config, put.devices);
    drop_unset(&mut after.config, &mut after.devices);
    after.ephemeral = put.ephemeral;
    after.description = put.description;
    if !put.architecture.is_empty() {
        after.architecture = put.architecture;
    }
    Ok(after)
}

/// What the map of the files on disk is, only the server may say.
fn keeps_idmap(before: &ConfigMap, after: &ConfigMap) -> Result<()> {
    let keys = ["volatile.idmap.base", "volatile.idmap.current", "volatile.idmap.next", "volatile.last_state.idmap"];
    match keys.iter().any(|key| before.contains_key(*key) && !after.contains_key(*key)) {
        true => Err(Error::internal("Volatile idmap keys can't be deleted by the user")),
        false => Ok(()),
    }
}

/// Refuses changes of values that are fixed when the instance is made.
fn fixed(before: &ConfigMap, after: &ConfigMap) -> Result<()> {
    let changed = instance::changed(before, after);
    match changed.into_iter().find(|key| instance::live(key) == Some(Live::Fixed)) {
        Some(key) => Err(Error::new(Kind::Internal, format!("Configuration key {key:?} can't be changed"))),
        None => Ok(()),
    }
}
