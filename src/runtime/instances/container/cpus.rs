//! Sets of processors, and the balancer that turns `limits.cpu` counts into sets (pure).

use crate::order::{Gather, Order};
use std::collections::{BTreeMap, BTreeSet};

/// Processors by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u32>);

/// The highest processor number taken seriously (the kernel's own limit is 8192).
const MAX_CPU: u32 = 8191;

impl CpuSet {
    /// Reads a list as the kernel writes them (`0-2,5`); `None` when it isn't one.
    pub fn parse(text: &str) -> Option<CpuSet> {
        let mut set = BTreeSet::new();
        for part in text.trim().split(',').filter(|p| !p.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last > MAX_CPU {
                return None;
            }
            set.extend(first..=last);
        }
        Some(CpuSet(set))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> CpuSet {
        CpuSet(numbers.into_iter().collect())
    }
}

impl std::fmt::Display for CpuSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut numbers = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while numbers.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// What one running container asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Any that many processors (`limits.cpu=2`).
    Count(u32),
    /// Exactly these (`limits.cpu=0-2`).
    Pinned(CpuSet),
}

/// Gives each container its set. Pinned ones get what they name (of those online); counted ones the least used
/// processors, so that the load is spread. A count beyond what is online means all. Same input, same answer.
pub fn balance<K: Clone + Ord>(online: &CpuSet, demands: &BTreeMap<K, Demand>) -> BTreeMap<K, CpuSet> {
    let mut load: BTreeMap<u32, u32> = online.iter().map(|cpu| (cpu, 0)).gather();
    let mut sets = BTreeMap::new();
    let mut take = |key: &K, set: CpuSet, load: &mut BTreeMap<u32, u32>| {
        set.iter().for_each(|cpu| *load.entry(cpu).or_default() += 1);
        sets.insert(key.clone(), set);
    };
    for (key, demand) in demands {
        if let Demand::Pinned(wanted) = demand {
            take(key, wanted.iter().filter(|cpu| online.0.contains(cpu)).collect(), &mut load);
        }
    }
    for (key, demand) in demands {
        if let Demand::Count(count) = demand {
            let mut free: Vec<(u32, u32)> = load.iter().map(|(cpu, used)| (*used, *cpu)).collect();
            free.order();
            take(key, free.into_iter().take(*count as usize).map(|(_, cpu)| cpu).collect(), &mut load);
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_and_print_as_the_kernels() {
        for text in ["0", "0-3", "0-2,5", "1,3,5-6"] {
            assert_eq!(CpuSet::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(CpuSet::parse("2,1,0,1\n").unwrap().to_string(), "0-2");
        assert!(
            CpuSet::parse("3-1").is_none() && CpuSet::parse("x").is_none() && CpuSet::parse("0-4294967295").is_none()
        );
        assert!(CpuSet::parse("").unwrap().is_empty());
    }

    #[test]
    fn counts_are_spread_around_what_is_pinned() {
        let online = CpuSet::parse("0-3").unwrap();
        let demands = BTreeMap::from([
            ("a", Demand::Count(1)),
            ("b", Demand::Count(2)),
            ("c", Demand::Pinned(CpuSet::parse("0,9").unwrap())),
            ("d", Demand::Count(99)),
        ]);
        let sets = balance(&online, &demands);
        let text: Vec<String> = sets.values().map(CpuSet::to_string).collect();
        assert_eq!(text, ["1", "2-3", "0", "0-3"]);
        assert_eq!(balance(&online, &demands), sets);
    }
}
