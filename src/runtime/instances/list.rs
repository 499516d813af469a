//! Lists of instances, and one with its state.

use std::collections::BTreeMap;

use futures_util::StreamExt;

use super::{Depth, Instances, Scope};
use crate::Result;
use crate::api::types::{Instance, InstanceFull, InstanceState, InstanceStateCpu, InstanceStateMemory, StatusCode};
use crate::store::records::{InstanceRecord, Phase};
use crate::store::repo;

/// Instances whose state is read at the same time.
const AT_ONCE: usize = 8;

impl Instances {
    /// The instances of a scope, by project and name.
    pub fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        Ok(self.shown(scope)?.into_iter().map(|(_, instance)| instance).collect())
    }

    fn shown(&self, scope: &Scope) -> Result<Vec<(InstanceRecord, Instance)>> {
        let wanted = |i: &InstanceRecord| scope.kind.as_deref().is_none_or(|kind| i.kind.as_str() == kind);
        self.db.view(|v| {
            let records = repo::instances::list(v, scope.project.as_deref())?;
            let records = records.into_iter().filter(|i| i.phase != Phase::Deleting && wanted(i));
            records.map(|record| Ok((record.clone(), self.show(v, &record)?))).collect()
        })
    }

    /// The same with their states; those of running instances are read a few at a time.
    pub async fn list_full(&self, scope: &Scope) -> Result<Vec<InstanceFull>> {
        let states = self.shown(scope)?.into_iter().map(|(record, instance)| async move {
            InstanceFull {
                state: Some(self.state(record.id, instance.status_code).await),
                instance,
                backups: None,
                snapshots: None,
            }
        });
        Ok(futures_util::stream::iter(states).buffered(AT_ONCE).collect().await)
    }

    /// One instance; with its state when `depth` asks for it.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub async fn get(&self, project: &str, name: &str, depth: Depth) -> Result<InstanceFull> {
        let (id, instance) = self.db.view(|v| {
            let record = repo::instances::by_name(v, project, name)?;
            Ok((record.id, self.show(v, &record)?))
        })?;
        let state = match depth {
            Depth::Plain => None,
            Depth::Full => Some(self.state(id, instance.status_code).await),
        };
        Ok(InstanceFull { instance, backups: None, state, snapshots: None })
    }

    async fn state(&self, id: u64, status: StatusCode) -> InstanceState {
        let running = match status {
            StatusCode::Stopped => None,
            _ => self.actor(id).live().running,
        };
        let Some(running) = running else { return stopped() };
        let usage = running.usage();
        let mut network = running.network_state().unwrap_or_default();
        for (name, host_name) in self.nics.host_names(id) {
            if let Some(state) = network.get_mut(&name) {
                state.host_name = host_name;
            }
        }
        InstanceState {
            status: status.name().into(),
            status_code: status,
            disk: Some(BTreeMap::new()),
            memory: InstanceStateMemory {
                usage: amount(usage.memory),
                usage_peak: amount(usage.memory_peak),
                swap_usage: amount(usage.swap),
                swap_usage_peak: amount(usage.swap_peak),
            },
            network: Some(network),
            pid: i64::from(running.pid()),
            processes: amount(usage.processes),
            cpu: InstanceStateCpu { usage: amount(usage.cpu_ns) },
        }
    }
}

/// LXD shows -1 for what it doesn't know.
fn amount(n: Option<u64>) -> i64 {
    n.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX))
}

fn stopped() -> InstanceState {
    InstanceState {
        status: StatusCode::Stopped.name().into(),
        status_code: StatusCode::Stopped,
        disk: Some(BTreeMap::new()),
        memory: InstanceStateMemory::default(),
        network: None,
        pid: 0,
        processes: 0,
        cpu: InstanceStateCpu::default(),
    }
}
