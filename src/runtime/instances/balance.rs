//! One balancer owns the processors: instances with a count (`limits.cpu=2`) get the least used ones.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Instances;
use crate::Result;
use crate::api::config::Cpu;
use crate::api::config::instance::Config;
use crate::api::types::ConfigMap;
use crate::runtime::spec::Limits;
use crate::store::repo;

/// Which processors each running instance was given.
pub struct Balance {
    cpus: Vec<u32>,
    given: Mutex<BTreeMap<u64, Vec<u32>>>,
}

impl Balance {
    /// Over these processors.
    pub fn new(cpus: &[u32]) -> Balance {
        Balance { cpus: cpus.to_vec(), given: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<u32>>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an instance the processors its limit asks for; none without a limit.
    fn give(&self, id: u64, limit: Option<Cpu>) -> Option<Vec<u32>> {
        let mut given = self.lock();
        given.remove(&id);
        let chosen = match limit? {
            Cpu::Set(set) => set.numbers().iter().copied().filter(|cpu| self.cpus.contains(cpu)).collect(),
            Cpu::Count(count) => least_used(&self.cpus, given.values(), usize::try_from(count).unwrap_or(usize::MAX)),
        };
        given.insert(id, chosen);
        given.get(&id).cloned()
    }

    /// Takes back what a stopped instance had.
    pub fn take_back(&self, id: u64) {
        self.lock().remove(&id);
    }
}

/// The `count` processors that the fewest instances were given; ties go to the lower number. Pure.
fn least_used<'a>(cpus: &[u32], given: impl Iterator<Item = &'a Vec<u32>>, count: usize) -> Vec<u32> {
    let mut load: BTreeMap<u32, usize> = cpus.iter().map(|cpu| (*cpu, 0)).collect();
    for cpu in given.flatten() {
        load.entry(*cpu).and_modify(|n| *n += 1);
    }
    let mut order: Vec<(usize, u32)> = load.into_iter().map(|(cpu, n)| (n, cpu)).collect();
    order.sort_unstable();
    let mut chosen: Vec<u32> = order.into_iter().take(count.max(1)).map(|(_, cpu)| cpu).collect();
    chosen.sort_unstable();
    chosen
}

impl Instances {
    /// The limits of an instance, with processors chosen for it.
    pub(super) fn limits(&self, id: u64, config: &ConfigMap) -> Result<Limits> {
        let config = Config(config);
        let list = self.balance.give(id, config.cpu());
        let soft = config.get("limits.memory.enforce") == Some("soft");
        Ok(Limits {
            cpuset: list.map(|cpus| cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
            memory: config.memory(self.host.memory),
            memory_soft: soft,
            processes: config.integer("limits.processes").and_then(|n| u64::try_from(n).ok()),
            ..Limits::default()
        })
    }

    /// Spreads the counted instances over the processors again, after one of them changed or went.
    pub(super) async fn rebalance(&self) {
        let counted: Vec<u64> = self.balance.lock().keys().copied().collect();
        for id in counted {
            if let Err(e) = self.rebalance_one(id).await {
                tracing::debug!(id, "Failed moving an instance to other processors: {}", e.chain());
            }
        }
    }

    async fn rebalance_one(&self, id: u64) -> Result<()> {
        let Some(running) = self.actor(id).live().running else { return Ok(()) };
        let expanded = self.db.view(|v| super::expand::expand(v, &repo::instances::by_id(v, id)?))?;
        match Config(&expanded.config).cpu() {
            Some(Cpu::Count(_)) => running.set_limits(&self.limits(id, &expanded.config)?).await,
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_to_the_least_used_processors() {
        let balance = Balance::new(&[0, 1, 2, 3]);
        assert_eq!(balance.give(1, Some(Cpu::Count(2))), Some(vec![0, 1]));
        assert_eq!(balance.give(2, Some(Cpu::Count(2))), Some(vec![2, 3]));
        assert_eq!(balance.give(3, Some(Cpu::Count(9))), Some(vec![0, 1, 2, 3]));
        assert_eq!(balance.give(1, None), None);
        assert_eq!(balance.give(4, Some(Cpu::Count(1))), Some(vec![0]));
        balance.take_back(3);
        assert_eq!(balance.give(4, Some(Cpu::Count(2))), Some(vec![0, 1]));
    }
}
