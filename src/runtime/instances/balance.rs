//! One balancer owns the processors: what each running instance asks for, and the sets that follow from all of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Instances;
use super::container::cpus::{CpuSet, Demand, balance};
use crate::Result;
use crate::api::config::instance::Config;
use crate::api::config::{Allowance, Cpu};
use crate::api::types::ConfigMap;
use crate::runtime::spec::Limits;
use crate::runtime::spec::limits::HUGE_PAGES;
use crate::store::repo;

/// What each running instance asks for.
pub struct Balance {
    online: CpuSet,
    demands: Mutex<BTreeMap<u64, Demand>>,
}

impl Balance {
    /// Over these processors.
    pub fn new(online: CpuSet) -> Balance {
        Balance { online, demands: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Demand>> {
        self.demands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an instance asks for now, and answers with its set; none without a limit.
    fn ask(&self, id: u64, limit: Option<Cpu>) -> Option<CpuSet> {
        let mut demands = self.lock();
        match limit {
            None => drop(demands.remove(&id)),
            Some(Cpu::Count(count)) => drop(demands.insert(id, Demand::Count(count))),
            Some(Cpu::Set(set)) => drop(demands.insert(id, Demand::Pinned(set.numbers().iter().copied().collect()))),
        }
        balance(&self.online, &demands).remove(&id)
    }

    /// Forgets an instance that stopped.
    pub fn forget(&self, id: u64) {
        self.lock().remove(&id);
    }
}

impl Instances {
    /// The limits of an instance, with processors chosen for it.
    pub(super) fn limits(&self, id: u64, config: &ConfigMap) -> Result<Limits> {
        let config = Config(config);
        // Without a limit it gets all of them back, if it had fewer.
        let set = self.balance.ask(id, config.cpu()).unwrap_or_else(|| self.host.cpus.clone());
        let (share, cpu_quota) = match config.allowance() {
            None => (100, None),
            Some(Allowance::Percent(percent)) => (unsigned(percent), None),
            Some(Allowance::Quota { run, period }) => (100, Some((unsigned(run) * 1000, unsigned(period) * 1000))),
        };
        // 1024 is the normal weight; a priority tells those apart whose shares are the same.
        let behind = 10 - config.integer("limits.cpu.priority").map_or(10, unsigned).min(10);
        let cpu_shares = Some((share * 1024 / 100).saturating_sub(behind)).filter(|shares| *shares != 1024);
        let priority = |key: &str| config.get(key).and_then(|text| text.parse::<u64>().ok());
        Ok(Limits {
            cpu_shares,
            cpu_quota,
            cpuset: Some(set.to_string()),
            memory: config.memory(self.host.memory),
            memory_soft: config.get("limits.memory.enforce") == Some("soft"),
            swap: config.bool_set("limits.memory.swap"),
            swappiness: priority("limits.memory.swap.priority").map(|priority| 70 - priority.min(10)),
            io_weight: priority("limits.disk.priority").map(|priority| (priority * 100).max(10)),
            huge_pages: HUGE_PAGES.map(|size| config.size(&format!("limits.hugepages.{size}"))),
            processes: config.integer("limits.processes").and_then(|n| u64::try_from(n).ok()),
        })
    }

    /// Spreads the counted instances over the processors again, after one of them changed or went.
    pub(super) async fn rebalance(&self) {
        let counted = |demand: &Demand| matches!(demand, Demand::Count(_));
        let ids: Vec<u64> = self.balance.lock().iter().filter(|(_, d)| counted(d)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Err(e) = self.rebalance_one(id).await {
                tracing::debug!(id, "Failed moving an instance to other processors: {}", e.chain());
            }
        }
    }

    async fn rebalance_one(&self, id: u64) -> Result<()> {
        let Some(running) = self.actor(id).live().running else { return Ok(()) };
        let expanded = self.db.view(|v| super::expand::expand(v, &repo::instances::by_id(v, id)?))?;
        running.set_limits(&self.limits(id, &expanded.config)?).await
    }
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_stops_gives_its_processors_back() {
        let balance = Balance::new((0..4).collect());
        let ask = |id, count| balance.ask(id, Some(Cpu::Count(count))).unwrap().to_string();
        assert_eq!((ask(1, 2), ask(2, 2)), ("0-1".to_owned(), "2-3".to_owned()));
        balance.forget(1);
        assert_eq!(ask(2, 2), "0-1");
        assert_eq!(balance.ask(2, None), None);
    }
}
