//! Network devices of guests: plugged in while a start is held, taken out when the guest is down, changed while it runs.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Instances;
use super::expand::{Expanded, expand};
use crate::api::types::ConfigMap;
use crate::order::Gather;
use crate::runtime::blocking;
use crate::runtime::devices::nic::{self, Owner, Parents, Plan, Plugged};
use crate::runtime::sys::fault;
use crate::store::records::InstanceRecord;
use crate::store::repo;
use crate::{Ctx, Kind, Result};

/// The network devices of all guests that run.
#[derive(Default)]
pub(super) struct Nics {
    wired: Mutex<HashMap<u64, Wired>>,
    /// What they share on the host.
    parents: Arc<Parents>,
    /// Held while an interface is chosen.
    pub(super) choosing: tokio::sync::Mutex<()>,
}

/// Those of one guest.
#[derive(Clone)]
struct Wired {
    /// Kept open, so that it outlives the guest until physical interfaces are out of it.
    namespace: Arc<OwnedFd>,
    /// As they were plugged in, with what is remembered of each.
    devices: Vec<(Plan, Plugged)>,
}

impl Wired {
    /// Takes out what is no more or is different, changes what can be changed in place, and plugs in what is new. Also when
    /// it fails in the middle, `devices` are those that are plugged in.
    fn rewire(&mut self, plans: &[Plan], parents: &Parents) -> Result<()> {
        let stays = |plan: &Plan| plans.iter().any(|next| next.device == plan.device && plan.can_become(next));
        while let Some(at) = self.devices.iter().rposition(|(plan, _)| !stays(plan)) {
            let (plan, plugged) = &self.devices[at];
            nic::unplug(plan, Some(self.namespace.as_fd()), parents, |key| value(plugged, key))?;
            self.devices.remove(at);
        }
        for plan in plans {
            match self.devices.iter_mut().find(|(old, _)| old.device == plan.device) {
                Some((old, plugged)) => {
                    nic::change(old, plan, value(plugged, "host_name").as_deref())?;
                    *old = plan.clone();
                }
                None => {
                    let plugged =
                        nic::plug(plan, self.namespace.as_fd(), parents).map_err(|e| started(&plan.device, e))?;
                    self.devices.push((plan.clone(), plugged));
                }
            }
        }
        Ok(())
    }
}

impl Nics {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Wired>> {
        self.wired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, id: u64) -> Option<Wired> {
        self.all().get(&id).cloned()
    }

    /// The links of the host that the interfaces of a guest are on, by their names in the guest: the other end of a cable, the wire.
    pub(super) fn host_names(&self, id: u64) -> HashMap<String, String> {
        let wired = self.of(id).into_iter().flat_map(|w| w.devices);
        let links = wired.filter_map(|(plan, plugged)| match plan.kind {
            nic::Kind::Macvlan | nic::Kind::Ipvlan => Some((plan.name, plan.parent.to_string())),
            // It is the guest's.
            nic::Kind::Physical | nic::Kind::Sriov | nic::Kind::Infiniband => None,
            nic::Kind::Bridged | nic::Kind::P2p | nic::Kind::Routed => Some((plan.name, value(&plugged, "host_name")?)),
        });
        links.collect()
    }

    /// The bridge ports that a guest is behind, by the names of its devices.
    pub(super) fn bridge_ports(&self, id: u64) -> HashMap<String, String> {
        let wired = self.of(id).into_iter().flat_map(|w| w.devices);
        let bridged = wired.filter(|(plan, _)| plan.kind == nic::Kind::Bridged);
        bridged.filter_map(|(plan, plugged)| Some((plan.device, value(&plugged, "host_name")?))).collect()
    }

    /// The volatile keys of what is plugged in.
    fn volatile(&self, id: u64) -> ConfigMap {
        let wired = self.of(id).into_iter().flat_map(|w| w.devices);
        let keys = wired.flat_map(|(plan, plugged)| {
            plugged.into_iter().map(move |(key, value)| (format!("volatile.{}.{key}", plan.device), value))
        });
        keys.gather()
    }
}

/// What of the volatile keys of a network device holds only while it is plugged in.
const WHILE_PLUGGED: &[&str] = &[
    "host_name",
    "last_state.created",
    "last_state.hwaddr",
    "last_state.mtu",
    "last_state.pci.slot.name",
    "last_state.vf.hwaddr",
    "last_state.vf.id",
    "last_state.vf.parent",
    "last_state.vf.spoofcheck",
    "last_state.vf.vlan",
];

impl Instances {
    /// The network devices of an instance. What the configuration leaves open is chosen and recorded first.
    pub(super) async fn choose_nics(&self, id: u64) -> Result<Vec<Plan>> {
        self.choose_infiniband(id).await?;
        let (record, expanded) = self.db.view(|v| {
            let record = repo::instances::by_id(v, id)?;
            let expanded = expand(v, &record)?;
            Ok((record, expanded))
        })?;
        let mut devices = self.networks.resolve(&record.project, &expanded.devices)?;
        let mut config = record.config.clone();
        nic::fill(&mut config, &devices);
        let _chosen = self.networks.address(&record, &mut devices, &mut config).await?;
        if config != record.config {
            let chosen = self.db.transact(|tx| {
                repo::instances::modify(tx, id, |record| {
                    take_over(&mut record.config, &config);
                    Ok(())
                })
            });
            chosen.await?;
        }
        nic::plans(Owner { project: &record.project, instance: &record.name }, &devices, &config)
    }

    /// Records what interfaces of the host are, before a guest gets them: whoever comes after a crash brings them back so.
    async fn remember(&self, id: u64, plans: Vec<Plan>) -> Result<()> {
        let looked = blocking(move || {
            let mut keys = ConfigMap::new();
            for plan in &plans {
                let known = nic::before(plan)?.into_iter();
                keys.extend(known.map(|(key, value)| (format!("volatile.{}.{key}", plan.device), value)));
            }
            Ok(keys)
        });
        let keys = looked.await?;
        if keys.is_empty() {
            return Ok(());
        }
        let write = self.db.transact(|tx| {
            repo::instances::modify(tx, id, |record| {
                record.config.extend(keys.clone());
                Ok(())
            })
        });
        write.await?;
        fault("daemon.nics.remembered");
        Ok(())
    }

    /// Records that nothing is plugged in after all. What fails is logged: the next start records anew.
    pub(super) async fn forget_nics(&self, id: u64) {
        if let Err(e) = self.record_nics(id).await
            && e.kind() != Kind::NotFound
        {
            tracing::warn!(id, "Failed forgetting network devices: {}", e.chain());
        }
    }

    /// Plugs devices into a guest that is being started, all or none.
    pub(super) async fn plug_all(&self, id: u64, pid: i32, plans: Vec<Plan>) -> Result<()> {
        self.remember(id, plans.clone()).await?;
        let parents = self.nics.parents.clone();
        let wired = blocking(move || {
            let namespace = namespace_of(pid)?;
            let mut devices: Vec<(Plan, Plugged)> = Vec::new();
            for plan in plans {
                match nic::plug(&plan, namespace.as_fd(), &parents) {
                    Ok(plugged) => devices.push((plan, plugged)),
                    Err(e) => {
                        let done = Wired { namespace: Arc::new(namespace), devices };
                        unplug(&done, &parents);
                        return Err(started(&plan.device, e));
                    }
                }
            }
            let wired = Wired { namespace: Arc::new(namespace), devices };
            if let Err(e) = nic::raise(wired.devices.iter().map(|(plan, _)| plan), wired.namespace.as_fd()) {
                unplug(&wired, &parents);
                return Err(e);
            }
            Ok(wired)
        });
        let wired = wired.await?;
        self.nics.all().insert(id, wired);
        Ok(())
    }

    /// Takes out all devices of a guest that is down.
    pub(super) async fn unplug_all(&self, id: u64) {
        let Some(wired) = self.nics.all().remove(&id) else { return };
        let parents = self.nics.parents.clone();
        let _ = blocking(move || {
            unplug(&wired, &parents);
            Ok(())
        })
        .await;
        fault("daemon.nics.unplugged");
    }

    /// Clears up on the host after a guest that went down, or never came up, while there was no daemon: its namespace is
    /// gone, and with it most of its devices. What fails is logged.
    pub(super) async fn clear_nics(&self, record: &InstanceRecord) {
        let plans = self.db.view(|v| expand(v, record)).and_then(|expanded| {
            let mut devices = self.networks.resolve(&record.project, &expanded.devices)?;
            self.networks.remember(&record.config, &mut devices);
            nic::plans(Owner { project: &record.project, instance: &record.name }, &devices, &record.config)
        });
        let plans = plans.unwrap_or_else(|e| {
            tracing::warn!(instance = %record.name, "Failed reading network devices: {}", e.chain());
            Vec::new()
        });
        let (config, parents) = (record.config.clone(), self.nics.parents.clone());
        let _ = blocking(move || {
            for plan in plans.iter().rev() {
                let known = remembered(plan, &config);
                if let Err(e) = nic::unplug(plan, None, &parents, |key| value(&known, key)) {
                    tracing::warn!(device = %plan.device, "Failed taking out a network device: {}", e.chain());
                }
            }
            Ok(())
        })
        .await;
        self.forget_nics(record.id).await;
    }

    /// Finds the devices of a guest that runs already; one that is missing, after a reboot without a daemon, is plugged in.
    pub(super) async fn adopt_nics(&self, id: u64, pid: i32) -> Result<()> {
        let plans = self.choose_nics(id).await?;
        if plans.is_empty() {
            return Ok(());
        }
        let config = self.db.view(|v| Ok(repo::instances::by_id(v, id)?.config))?;
        let parents = self.nics.parents.clone();
        let wired = blocking(move || {
            let namespace = namespace_of(pid)?;
            let mut devices = Vec::new();
            for plan in plans {
                let known = remembered(&plan, &config);
                let plugged = match nic::found(&plan, namespace.as_fd(), &parents, |key| value(&known, key))? {
                    Some(seen) => [seen, known].concat(),
                    None => nic::plug(&plan, namespace.as_fd(), &parents).map_err(|e| started(&plan.device, e))?,
                };
                devices.push((plan, plugged));
            }
            Ok(Wired { namespace: Arc::new(namespace), devices })
        });
        let wired = wired.await?;
        self.nics.all().insert(id, wired);
        self.record_nics(id).await
    }

    /// Changes the devices of a running guest: those that are no more or are different go, then the new ones come.
    pub(super) async fn change_nics(&self, id: u64, pid: i32, was: &Expanded, becomes: &Expanded) -> Result<()> {
        if nic::interfaces(&was.devices).eq(nic::interfaces(&becomes.devices)) {
            return Ok(());
        }
        let plans = self.choose_nics(id).await?;
        let (current, parents) = (self.nics.of(id), self.nics.parents.clone());
        let there =
            |plan: &Plan| current.iter().any(|wired| wired.devices.iter().any(|(old, _)| old.device == plan.device));
        self.remember(id, plans.iter().filter(|plan| !there(plan)).cloned().collect()).await?;
        let rewiring = blocking(move || {
            let mut wired = match current {
                Some(current) => current,
                None => Wired { namespace: Arc::new(namespace_of(pid)?), devices: Vec::new() },
            };
            let before: Vec<Plan> = wired.devices.iter().map(|(plan, _)| plan.clone()).collect();
            let done = wired.rewire(&plans, &parents);
            if done.is_err()
                && let Err(e) = wired.rewire(&before, &parents)
            {
                tracing::warn!(id, "Failed bringing network devices back: {}", e.chain());
            }
            Ok((wired, done))
        });
        let (wired, done) = rewiring.await?;
        fault("daemon.nics.rewired");
        self.nics.all().insert(id, wired);
        self.record_nics(id).await?;
        done
    }

    /// Records what is remembered of the devices that are plugged in.
    pub(super) async fn record_nics(&self, id: u64) -> Result<()> {
        let volatile = self.nics.volatile(id);
        let record = self.db.view(|v| repo::instances::by_id(v, id))?;
        let mut config = record.config.clone();
        note(&mut config, &volatile, true);
        if config == record.config {
            return Ok(());
        }
        let write = self.db.transact(|tx| {
            repo::instances::modify(tx, id, |record| {
                note(&mut record.config, &volatile, true);
                Ok(())
            })
        });
        write.await.map(drop)
    }

    /// Brings the volatile keys of network devices to what is so: for a guest that is up or down.
    pub(super) fn note_nics(&self, id: u64, config: &mut ConfigMap, up: bool) {
        note(config, &self.nics.volatile(id), up);
    }
}

/// Brings the volatile keys of devices to those that were chosen.
fn take_over(config: &mut ConfigMap, chosen: &ConfigMap) {
    let of_device = |key: &str| matches!(of_device(key), Some("hwaddr" | "name" | "last_state.ip_addresses"));
    config.retain(|key, _| !of_device(key) || chosen.contains_key(key));
    config.extend(chosen.iter().filter(|(key, _)| of_device(key)).map(|(k, v)| (k.clone(), v.clone())));
}

fn note(config: &mut ConfigMap, volatile: &ConfigMap, up: bool) {
    let fleeting = |key: &str| of_device(key).is_some_and(|key| WHILE_PLUGGED.contains(&key));
    config.retain(|key, _| !fleeting(key));
    if up {
        config.extend(volatile.clone());
    }
}

/// What is behind the device in a volatile key.
fn of_device(key: &str) -> Option<&str> {
    key.strip_prefix("volatile.")?.split_once('.').map(|(_, key)| key)
}

/// Takes out all; what fails is logged, and the rest goes all the same.
fn unplug(wired: &Wired, parents: &Parents) {
    for (plan, plugged) in wired.devices.iter().rev() {
        if let Err(e) = nic::unplug(plan, Some(wired.namespace.as_fd()), parents, |key| value(plugged, key)) {
            tracing::warn!(device = %plan.device, "Failed taking out a network device: {}", e.chain());
        }
    }
}

fn value(plugged: &Plugged, key: &str) -> Option<String> {
    plugged.iter().find(|(k, _)| *k == key).map(|(_, value)| value.clone())
}

/// What the record remembers of a device.
fn remembered(plan: &Plan, config: &ConfigMap) -> Plugged {
    let known = WHILE_PLUGGED.iter();
    known.filter_map(|key| Some((*key, config.get(&format!("volatile.{}.{key}", plan.device))?.clone()))).collect()
}

fn namespace_of(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/net");
    Ok(File::open(&path).ctx(Kind::Internal, || format!("Failed opening {path:?}"))?.into())
}

pub(super) fn started(device: &str, error: crate::Error) -> crate::Error {
    crate::Error::new(error.kind(), format!("Failed to start device {device:?}: {error}"))
}
