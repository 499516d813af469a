//! Load averages of containers. The kernel has none of a group: those that somebody has read are counted every five seconds from then on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::groups::Groups;
use super::processes::Tasks;

/// Time between two counts, as the kernel has it.
const EVERY: Duration = Duration::from_secs(5);
/// How long a container is counted after the last time somebody asked.
const KEPT: Duration = Duration::from_secs(20 * 60);
/// Containers that are counted. When there are more, the one that was asked for longest ago goes.
const MOST: usize = 128;
/// Seconds of the three averages.
const SPANS: [f64; 3] = [60.0, 300.0, 900.0];

struct Load {
    groups: Groups,
    averages: [f64; 3],
    tasks: Tasks,
    counted: Instant,
    asked: Instant,
}

/// Of all containers that have been asked for.
#[derive(Default)]
pub(super) struct Loads(BTreeMap<PathBuf, Load>);

impl Loads {
    /// `/proc/loadavg`. Before the first count it is `before`, the processors that were in use on an average so far; `last` is the id that
    /// was given last.
    pub(super) fn loadavg(&mut self, groups: &Groups, before: f64, last: u32, now: Instant) -> String {
        if !self.0.contains_key(groups.key()) && self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, load)| load.asked).map(|(key, _)| key.clone());
            oldest.map(|key| self.0.remove(&key));
        }
        let load = self.0.entry(groups.key().to_owned()).or_insert_with(|| Load {
            groups: groups.clone(),
            averages: [before; 3],
            tasks: Tasks::of(groups),
            counted: now,
            asked: now,
        });
        load.asked = now;
        let ([a, b, c], tasks) = (load.averages, load.tasks);
        format!("{a:.2} {b:.2} {c:.2} {}/{} {last}\n", tasks.running, tasks.total)
    }

    /// When the next count is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().map(|load| load.counted + EVERY).min()
    }

    /// Counts one container that is due.
    pub(super) fn tick(&mut self, now: Instant) {
        self.0.retain(|_, load| now.saturating_duration_since(load.asked) < KEPT);
        let Some((key, load)) = self.0.iter_mut().find(|(_, load)| now >= load.counted + EVERY) else { return };
        load.tasks = Tasks::of(&load.groups);
        if load.tasks.total == 0 {
            // It is gone.
            let key = key.clone();
            self.0.remove(&key);
            return;
        }
        let active = (load.tasks.running + load.tasks.waiting) as f64;
        let passed = now.saturating_duration_since(load.counted).as_secs_f64();
        for (average, span) in load.averages.iter_mut().zip(SPANS) {
            *average = decayed(*average, active, passed / span);
        }
        load.counted = now;
    }
}

/// An average that had this value, after a time (in parts of its span) with so many active.
fn decayed(average: f64, active: f64, part: f64) -> f64 {
    let keep = (-part).exp();
    average * keep + active * (1.0 - keep)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Made;
    use super::*;

    #[test]
    fn an_average_goes_to_what_is_active() {
        let mut average = 0.0;
        for _ in 0..12 {
            average = decayed(average, 2.0, 5.0 / 60.0);
        }
        // After its span an average has come as near as 1/e.
        assert!((average - 2.0 * (1.0 - (-1.0f64).exp())).abs() < 1e-9);
        assert!((decayed(3.0, 3.0, 0.1) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_container_is_counted_from_its_first_reading_on_until_it_is_gone() {
        let thread = rustix::thread::gettid().as_raw_nonzero().get().to_string();
        let made = Made::v2(&[("cgroup.threads", &thread)]);
        let groups = made.groups();
        let (mut loads, start) = (Loads::default(), Instant::now());
        assert_eq!(loads.due(), None);
        assert_eq!(loads.loadavg(&groups, 0.5, 7, start), "0.50 0.50 0.50 1/1 7\n");
        assert_eq!(loads.due(), Some(start + EVERY));
        loads.tick(start + Duration::from_secs(4));
        assert_eq!(loads.loadavg(&groups, 9.0, 8, start), "0.50 0.50 0.50 1/1 8\n");
        loads.tick(start + EVERY);
        assert_eq!(loads.loadavg(&groups, 9.0, 8, start), "0.54 0.51 0.50 1/1 8\n");
        drop(made);
        loads.tick(start + EVERY * 2);
        assert_eq!(loads.due(), None);
    }

    #[test]
    fn nothing_grows_and_what_nobody_asks_for_is_forgotten() {
        let made: Vec<_> = (0..MOST + 3).map(|_| Made::v2(&[("cgroup.threads", "")])).collect();
        let (mut loads, start) = (Loads::default(), Instant::now());
        for one in &made {
            loads.loadavg(&one.groups(), 0.0, 1, start);
        }
        assert_eq!(loads.0.len(), MOST);
        loads.tick(start + KEPT);
        assert_eq!(loads.0.len(), 0);
    }
}
