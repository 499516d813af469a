//! What is read of processes: their groups, the process 1 of a container, and how many of its tasks run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::groups::{Group, Groups};
use super::read;

/// Containers whose process 1 is remembered.
const KNOWN: usize = 256;
/// Processes that are looked at in search of one.
const CANDIDATES: usize = 256;
/// Tasks that are looked at to see how many run.
const TASKS: usize = 4096;
/// Directories of a container's tree that are looked for tasks in.
const DIRECTORIES: usize = 512;

/// `/proc/PID/cgroup`; of a thread too.
pub(super) fn cgroup(pid: u32) -> Option<String> {
    read::text(format!("/proc/{pid}/cgroup"), read::SMALL)
}

/// The ids of a process in the nested process namespaces it is in, the outermost first.
pub(super) fn ids(pid: u32) -> Vec<u32> {
    let status = read::text(format!("/proc/{pid}/status"), read::SMALL).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or("");
    line.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// State and start (in clock ticks since the host's) of a task.
fn stat(pid: u32) -> Option<(u8, u64)> {
    let stat = read::text(format!("/proc/{pid}/stat"), read::SMALL)?;
    let mut tail = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some((*tail.next()?.as_bytes().first()?, tail.nth(18)?.parse().ok()?))
}

/// Process 1 of containers, as found before.
#[derive(Default)]
pub(super) struct Firsts(BTreeMap<PathBuf, (u32, u64)>);

impl Firsts {
    /// When process 1 of these groups was started, in clock ticks since the host was; `None` when there is none to be found.
    pub(super) fn start(&mut self, groups: &Groups) -> Option<u64> {
        if let Some((pid, start)) = self.0.get(groups.key())
            && stat(*pid).is_some_and(|(_, now)| now == *start)
        {
            return Some(*start);
        }
        let found = groups.all().find_map(|group| first_of(&group.directory))?;
        let start = stat(found)?.1;
        if self.0.len() >= KNOWN {
            self.0.clear();
        }
        self.0.insert(groups.key().to_owned(), (found, start));
        Some(start)
    }
}

/// The process in this group, or in systemd's own below it, that is number 1 in its namespace; the outermost of several, as there are
/// when a program of the guest makes namespaces too.
fn first_of(directory: &Path) -> Option<u32> {
    let lists = [directory.join("cgroup.procs"), directory.join("init.scope/cgroup.procs")];
    let texts: Vec<String> = lists.into_iter().filter_map(|path| read::text(path, read::SMALL)).collect();
    let pids = texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.parse().ok());
    let levels = pids.take(CANDIDATES).filter_map(|pid: u32| {
        let ids = ids(pid);
        (ids.last() == Some(&1)).then_some((ids.len(), pid))
    });
    levels.min().map(|(_, pid)| pid)
}

/// Tasks of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tasks {
    /// All of them.
    pub(super) total: u64,
    /// Those that run or could.
    pub(super) running: u64,
    /// Those that wait for a disk or the like.
    pub(super) waiting: u64,
}

impl Tasks {
    /// Counts them. Of very many a part is looked at, and taken for the rest.
    pub(super) fn of(groups: &Groups) -> Tasks {
        let Some(group) = groups.with("freezer") else { return Tasks::default() };
        let mut tasks = Tasks::default();
        for pid in list(group) {
            let Some((state, _)) = stat(pid) else { continue };
            tasks.total += 1;
            tasks.running += u64::from(state == b'R');
            tasks.waiting += u64::from(state == b'D');
        }
        let counted = groups.with("pids").and_then(|group| read::number(&group.directory, "pids.current"));
        tasks.scale(counted.unwrap_or(tasks.total))
    }

    fn scale(self, total: u64) -> Tasks {
        if total <= self.total || self.total < TASKS as u64 {
            return self;
        }
        let part = |n: u64| n.saturating_mul(total) / self.total;
        Tasks { total, running: part(self.running), waiting: part(self.waiting) }
    }
}

/// Ids of the tasks in a group and those below it.
fn list(group: &Group) -> Vec<u32> {
    let name = if group.unified { "cgroup.threads" } else { "tasks" };
    let (mut found, mut rest, mut seen) = (Vec::new(), vec![group.directory.clone()], 0);
    while let Some(directory) = rest.pop()
        && found.len() < TASKS
    {
        let text = read::file(&directory, name).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).take(TASKS - found.len()));
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if seen < DIRECTORIES && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                seen += 1;
                rest.push(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Made;
    use super::*;

    #[test]
    fn we_are_seen_as_running_and_have_one_id() {
        let me = std::process::id();
        assert_eq!(ids(me).first(), Some(&me));
        assert!(cgroup(me).is_some_and(|text| text.contains(":/")));
        assert!(cgroup(u32::MAX).is_none() && ids(u32::MAX).is_empty() && stat(u32::MAX).is_none());
        let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let text = format!("{thread}\n4294967295\nx\n");
        let made = Made::v2(&[("inner/cgroup.threads", &text)]);
        assert_eq!(Tasks::of(&made.groups()), Tasks { total: 1, running: 1, waiting: 0 });
    }

    #[test]
    fn a_container_without_a_process_1_has_no_start() {
        let me = std::process::id().to_string();
        let made = Made::v2(&[("cgroup.procs", &me)]);
        if ids(std::process::id()).last() != Some(&1) {
            assert_eq!(Firsts::default().start(&made.groups()), None);
        }
    }

    #[test]
    fn a_part_stands_for_all() {
        let seen = Tasks { total: 4096, running: 1024, waiting: 4 };
        assert_eq!(seen.scale(40_960), Tasks { total: 40_960, running: 10_240, waiting: 40 });
        assert_eq!(seen.scale(0), seen);
    }
}
