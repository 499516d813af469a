//! Processors of a container: which ones it sees, and what it has used of them.

use std::path::Path;

use super::groups::Groups;
use super::read::{self, keyed, number};

/// Processors in a list, at most: more than Linux can have.
const MOST: u32 = 8192;
/// Clock ticks a second in the files of `/proc`, as all architectures have it.
pub(super) const TICKS: u64 = 100;
/// Nanoseconds of one.
const TICK: u64 = 1_000_000_000 / TICKS;

/// The processors a container sees: those of its set, as many of them as its quota is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cpus(Vec<u32>);

impl Cpus {
    /// Of these groups; `online` is what the host has.
    pub(super) fn of(groups: &Groups, online: &str) -> Cpus {
        let set = groups.with("cpuset").and_then(|group| {
            let names: &[&str] = match group.unified {
                true => &["cpuset.cpus.effective"],
                false => &["cpuset.effective_cpus", "cpuset.cpus"],
            };
            let mut texts = names.iter().filter_map(|name| read::file(&group.directory, name));
            texts.find_map(|text| parse(&text).filter(|set| !set.is_empty()))
        });
        let mut set = set.or_else(|| parse(online)).unwrap_or_else(|| vec![0]);
        if let Some(group) = groups.with("cpu")
            && let Some(count) = group.up().filter_map(|dir| quota(dir, group.unified)).min()
        {
            set.truncate(count.max(1));
        }
        Cpus(set)
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0.len().max(1) as u64
    }

    /// `/sys/devices/system/cpu/online`.
    pub(super) fn list(&self) -> String {
        let mut text = String::new();
        let mut rest = self.0.as_slice();
        while let [first, ..] = rest {
            let run = rest.iter().zip(*first..).take_while(|(number, next)| *number == next).count();
            let comma = if text.is_empty() { "" } else { "," };
            let last = rest[run - 1];
            text += &if last == *first { format!("{comma}{first}") } else { format!("{comma}{first}-{last}") };
            rest = &rest[run..];
        }
        text + "\n"
    }

    /// `/proc/cpuinfo`: the host's paragraphs of these processors, numbered from 0.
    pub(super) fn cpuinfo(&self, host: &str) -> String {
        let mut text = String::with_capacity(host.len());
        let mut next = 0;
        for paragraph in host.split_inclusive("\n\n") {
            let number = paragraph.strip_prefix("processor").and_then(|rest| rest.lines().next());
            let number = number.and_then(|rest| rest.trim_start_matches([' ', '\t', ':']).trim().parse::<u32>().ok());
            match number {
                Some(number) if self.0.contains(&number) => {
                    let (_, rest) = paragraph.split_once('\n').unwrap_or_default();
                    text += &format!("processor\t: {next}\n{rest}");
                    next += 1;
                }
                Some(_) => {}
                // What stands before or behind them, on other architectures.
                None => text += paragraph,
            }
        }
        text
    }
}

/// How many processors a quota is worth, rounded up.
fn quota(group: &Path, unified: bool) -> Option<usize> {
    let (quota, period) = if unified {
        let text = read::file(group, "cpu.max")?;
        let (quota, period) = text.trim().split_once(' ')?;
        (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?)
    } else {
        (number(group, "cpu.cfs_quota_us")?, number(group, "cpu.cfs_period_us")?)
    };
    (period > 0).then(|| usize::try_from(quota.div_ceil(period)).unwrap_or(usize::MAX))
}

/// Reads a list of processors: `0-2,5`.
fn parse(list: &str) -> Option<Vec<u32>> {
    let mut set = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if last >= MOST || set.len() >= MOST as usize {
            return None;
        }
        set.extend(first..=last);
    }
    Some(set)
}

/// Time that a container's processes have had, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// In user and kernel mode.
    pub(super) total: (u64, u64),
    /// By number of the processor; none where that isn't counted (v2).
    pub(super) each: Vec<(u32, u64, u64)>,
}

impl Spent {
    /// Of these groups.
    pub(super) fn of(groups: &Groups) -> Spent {
        // v2 counts it without any controller.
        let Some(group) = groups.with("cpuacct") else { return Spent::default() };
        if group.unified {
            let text = read::file(&group.directory, "cpu.stat").unwrap_or_default();
            let of = |key: &str| keyed(&text, key).unwrap_or(0).saturating_mul(1000);
            return Spent { total: (of("user_usec"), of("system_usec")), each: Vec::new() };
        }
        let text = read::text(group.directory.join("cpuacct.usage_all"), read::LARGE).unwrap_or_default();
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        let row = |line: &str| {
            let mut words = line.split(' ');
            let cpu = u32::try_from(number(words.next())?).ok()?;
            Some((cpu, number(words.next())?, number(words.next())?))
        };
        let each: Vec<_> = text.lines().filter_map(row).collect();
        let total = each
            .iter()
            .fold((0u64, 0u64), |(user, system), row| (user.saturating_add(row.1), system.saturating_add(row.2)));
        Spent { total, each }
    }

    /// All of it.
    pub(super) fn sum(&self) -> u64 {
        self.total.0.saturating_add(self.total.1)
    }

    /// What is shown of one of the processors that are seen, in ticks: its own share where that is known and all are seen that
    /// were used, else an equal part of the whole.
    fn shown(&self, number: u32, cpus: &Cpus) -> (u64, u64) {
        let all_seen =
            self.each.iter().all(|(cpu, user, system)| user.saturating_add(*system) < TICK || cpus.0.contains(cpu));
        let own = self.each.iter().find(|row| row.0 == number).filter(|_| all_seen);
        let (user, system) = own.map_or((self.total.0 / cpus.count(), self.total.1 / cpus.count()), |r| (r.1, r.2));
        (user / TICK, system / TICK)
    }

    /// `/proc/stat`: the container's time since it was started, `age` in ticks, and the host's counters of other things.
    pub(super) fn stat(&self, cpus: &Cpus, age: u64, host: &str) -> String {
        let rows: Vec<_> = cpus.0.iter().map(|number| (*number, self.shown(*number, cpus))).collect();
        let idle = |(user, system): (u64, u64)| age.saturating_sub(user).saturating_sub(system);
        let sum =
            rows.iter().fold([0u64; 3], |sum, (_, spent)| [sum[0] + spent.0, sum[1] + spent.1, sum[2] + idle(*spent)]);
        let mut text = format!("cpu  {} 0 {} {} 0 0 0 0 0 0\n", sum[0], sum[1], sum[2]);
        for (number, spent) in rows {
            text += &format!("cpu{number} {} 0 {} {} 0 0 0 0 0 0\n", spent.0, spent.1, idle(spent));
        }
        for line in host.lines().filter(|line| !line.starts_with("cpu")) {
            // Thousands of numbers, one for each line of the host's interrupt controllers: of those the sum.
            let end = if line.starts_with("intr ") { line.match_indices(' ').nth(1).map(|(at, _)| at) } else { None };
            text += &line[..end.unwrap_or(line.len())];
            text.push('\n');
        }
        text
    }

    /// `/proc/uptime`: seconds since the start, and those in which a processor of it had nothing to do, summed up.
    pub(super) fn uptime(&self, cpus: &Cpus, age: u64) -> String {
        let idle = (age * cpus.count()).saturating_sub(self.sum() / TICK);
        let seconds = |ticks: u64| format!("{}.{:02}", ticks / TICKS, ticks % TICKS);
        format!("{} {}\n", seconds(age), seconds(idle))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Made, golden};
    use super::*;

    const CPUINFO: &str = include_str!("fixtures/cpuinfo.host");
    const STAT: &str = include_str!("fixtures/stat.host");

    fn seen(made: &Made) -> String {
        Cpus::of(&made.groups(), "0-3\n").list()
    }

    fn listed(list: &str) -> Cpus {
        Cpus(parse(list).unwrap())
    }

    #[test]
    fn sets_and_quotas_count_in_both_versions() {
        let v1 = |cpus: &str, quota: &str| {
            seen(&Made::v1(&[("cpuset.cpus", cpus), ("cpu.cfs_quota_us", quota), ("cpu.cfs_period_us", "100000\n")]))
        };
        assert_eq!(v1("1,3\n", "-1\n"), "1,3\n");
        assert_eq!(v1("0-3\n", "150000\n"), "0-1\n");
        assert_eq!(v1("2\n", "400000\n"), "2\n");
        assert_eq!(v1("0-3\n", "1000\n"), "0\n");
        let v2 = |cpus: &str, own: &str, outer: &str| {
            seen(&Made::v2(&[("cpuset.cpus.effective", cpus), ("cpu.max", own), ("../cpu.max", outer)]))
        };
        assert_eq!(v2("0-3\n", "max 100000\n", "max 100000\n"), "0-3\n");
        assert_eq!(v2("0-3\n", "max 100000\n", "250000 100000\n"), "0-2\n");
        assert_eq!(v2("1-2\n", "50000 100000\n", "max 100000\n"), "1\n");
        assert_eq!(seen(&Made::v2(&[("cpu.max", "max 100000\n")])), "0-3\n");
        assert_eq!(v2("0-3\n", "5 0\n", "junk"), "0-3\n");
    }

    #[test]
    fn lists_are_read_and_written() {
        for list in ["0\n", "0-3\n", "0,2-3,7\n", "1-2,4-5\n"] {
            assert_eq!(listed(list).list(), list);
        }
        for bad in ["x", "3-", "0-4294967295", "0-99999"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("3-1"), Some(vec![]));
    }

    #[test]
    fn cpuinfo_has_only_what_is_seen() {
        golden("cpuinfo.one", &listed("1").cpuinfo(CPUINFO));
        assert_eq!(listed("0-1").cpuinfo(CPUINFO), CPUINFO);
        let arm = "processor\t: 0\nBogoMIPS\t: 1\n\nprocessor\t: 1\nBogoMIPS\t: 1\n\nHardware\t: x\n";
        assert_eq!(listed("1").cpuinfo(arm), "processor\t: 0\nBogoMIPS\t: 1\n\nHardware\t: x\n");
    }

    #[test]
    fn stat_and_uptime_of_v1() {
        let usage = "cpu user system\n0 155404737 7525634\n1 1387843845 132717223\n2 0 0\n3 9 9\n";
        let made = Made::v1(&[("cpuacct.usage_all", usage), ("cpuset.cpus", "0-1")]);
        let (spent, cpus) = (Spent::of(&made.groups()), Cpus::of(&made.groups(), "0-3"));
        golden("stat.v1", &spent.stat(&cpus, 12_345, STAT));
        assert_eq!(spent.uptime(&cpus, 12_345), "123.45 245.22\n");
    }

    #[test]
    fn stat_and_uptime_of_v2() {
        let made = Made::v2(&[
            ("cpu.stat", "usage_usec 2000000\nuser_usec 1500000\nsystem_usec 500000\n"),
            ("cpuset.cpus.effective", "2-3"),
        ]);
        let (spent, cpus) = (Spent::of(&made.groups()), Cpus::of(&made.groups(), "0-3"));
        golden("stat.v2", &spent.stat(&cpus, 12_345, STAT));
        assert_eq!(spent.uptime(&cpus, 12_345), "123.45 244.90\n");
    }

    #[test]
    fn time_on_processors_that_are_not_seen_any_more_is_spread() {
        let usage = "cpu user system\n0 4000000000 0\n1 0 0\n2 0 2000000000\n";
        let made = Made::v1(&[("cpuacct.usage_all", usage), ("cpuset.cpus", "1-2")]);
        let (spent, cpus) = (Spent::of(&made.groups()), Cpus::of(&made.groups(), "0-3"));
        let text = spent.stat(&cpus, 1000, STAT);
        assert_eq!(text.lines().nth(1), Some("cpu1 200 0 100 700 0 0 0 0 0 0"));
        assert_eq!(spent.uptime(&cpus, 10), "0.10 0.00\n");
    }
}
