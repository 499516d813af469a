//! Lists of instances, and one with its state.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::backup::Shelf;
use super::expand::expand_next;
use super::show::render;
use super::snapshots::show_all;
use super::{Depth, Instances, Scope};
use crate::Result;
use crate::api::types::{
    Instance, InstanceFull, InstanceSnapshot, InstanceState, InstanceStateCpu, InstanceStateMemory, StatusCode,
};
use crate::runtime::blocking;
use crate::store::records::{InstanceRecord, Phase};
use crate::store::repo;

/// Instances whose states one thread reads at least: for fewer, another isn't worth it.
const SHARE: usize = 8;
/// Threads that read states for one list.
const SHARES: usize = 4;

/// An instance by its id, with its snapshots.
type Shown = (u64, Instance, Option<Vec<InstanceSnapshot>>);

impl Instances {
    /// The instances of a scope, by project and name.
    pub fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        Ok(self.shown(scope)?.into_iter().map(|(_, instance)| instance).collect())
    }

    fn shown(&self, scope: &Scope) -> Result<Vec<(u64, Instance)>> {
        let wanted = |i: &InstanceRecord| scope.kind.as_deref().is_none_or(|kind| i.kind.as_str() == kind);
        let mut known = BTreeMap::new();
        self.db.view(|v| {
            let records = repo::instances::list(v, scope.project.as_deref())?;
            let records = records.into_iter().filter(|i| i.phase != Phase::Deleting && wanted(i));
            let show = |record: InstanceRecord| {
                let (id, expanded) = (record.id, expand_next(v, &record, &mut known)?);
                Ok((id, render(record, expanded, self.status_of(id))))
            };
            records.map(show).collect()
        })
    }

    /// The same with their states; those of running instances are read on several threads.
    pub async fn list_full(&self, scope: &Scope) -> Result<Vec<InstanceFull>> {
        let mut shown = self.shown(scope)?;
        let mut snapshots = self.snapshots_of(scope)?;
        let with_backups = Arc::new(Shelf::owners(&self.places.backups()));
        let share = shown.len().div_ceil(SHARES).max(SHARE);
        let mut shares = Vec::new();
        while !shown.is_empty() {
            let rest = shown.split_off(share.min(shown.len()));
            let mine = std::mem::replace(&mut shown, rest).into_iter().map(|(id, i)| (id, i, snapshots.remove(&id)));
            let (this, with_backups, mine) = (self.clone(), with_backups.clone(), mine.collect::<Vec<_>>());
            let full = move |one: Shown| this.full(with_backups.contains(&one.0), one);
            shares.push(blocking(move || Ok(mine.into_iter().map(full).collect::<Vec<_>>())));
        }
        Ok(try_join_all(shares).await?.into_iter().flatten().collect())
    }

    /// The snapshots of the instances of a scope that have some.
    fn snapshots_of(&self, scope: &Scope) -> Result<BTreeMap<u64, Vec<InstanceSnapshot>>> {
        let mut shown = BTreeMap::new();
        self.db.view(|v| {
            for (id, snapshots) in repo::snapshots::all(v)? {
                let instance = repo::instances::by_id(v, id)?;
                if scope.project.as_ref().is_none_or(|project| *project == instance.project) {
                    shown.insert(id, show_all(v, &instance, &snapshots)?);
                }
            }
            Ok(shown)
        })
    }

    fn full(&self, with_backups: bool, (id, instance, snapshots): Shown) -> InstanceFull {
        let state = Some(self.state(id, instance.status_code));
        let backups = with_backups.then(|| self.backups_of(id)).transpose().unwrap_or_else(|e| {
            tracing::warn!(instance = %instance.name, "Failed listing backups: {}", e.chain());
            None
        });
        let backups = backups.flatten();
        InstanceFull { state, instance, backups, snapshots: snapshots.filter(|s| !s.is_empty()) }
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
        if depth == Depth::Plain {
            return Ok(InstanceFull { instance, backups: None, state: None, snapshots: None });
        }
        let snapshots = Some(self.snapshots(project, name)?).filter(|s| !s.is_empty());
        let (this, status) = (self.clone(), instance.status_code);
        let (backups, state) = blocking(move || Ok((this.backups_of(id)?, this.state(id, status)))).await?;
        Ok(InstanceFull { instance, backups, state: Some(state), snapshots })
    }

    /// Reads small files of the kernel.
    fn state(&self, id: u64, status: StatusCode) -> InstanceState {
        let running = match status {
            StatusCode::Stopped => None,
            _ => self.actor(id).live().running,
        };
        let disk = Some(self.disks(id));
        let Some(running) = running else { return InstanceState { disk, ..stopped() } };
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
            disk,
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
