//! How far the bytes of an operation are, as clients show it: `84% (117.31MB/s)`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Handle;

/// How often is told how far a backup is.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tells listeners at each hundredth, or at each mebibyte when nobody knows how many there are; of backups after each second only, since
/// LXD's client puts what it is told into what it writes to standard output. Dropped, it takes back what it has told.
pub struct Progress {
    handle: Handle,
    stage: Stage,
    total: Option<u64>,
    done: u64,
    told: u64,
    begun: Instant,
    last: Instant,
}

/// What is under way: how clients find its progress, and what they call it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An image comes over the network.
    Download,
    /// An image is made of an instance.
    Pack,
    /// A backup is written.
    Backup,
}

impl Stage {
    /// The name in the metadata, before `_progress`; and words before the numbers.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Stage::Download => ("download", ""),
            Stage::Pack => ("create_image_from_container_pack", "Image pack: "),
            Stage::Backup => ("create_backup", ""),
        }
    }
}

impl Progress {
    /// Of `total` bytes, if that is known.
    pub fn new(handle: &Handle, stage: Stage, total: Option<u64>) -> Progress {
        let total = total.filter(|total| *total > 0);
        let begun = Instant::now();
        Progress { handle: handle.clone(), stage, total, done: 0, told: 0, begun, last: begun }
    }

    /// So many bytes more are through.
    pub fn more(&mut self, bytes: u64) {
        self.reach(self.done + bytes);
    }

    /// So many bytes are through by now.
    pub fn reach(&mut self, done: u64) {
        self.done = done;
        let step = match self.total {
            Some(total) => (self.done.min(total) as u128 * 100 / u128::from(total)) as u64,
            None if self.stage == Stage::Backup && self.last.elapsed() < INTERVAL => self.told,
            None => self.done >> 20,
        };
        if step > self.told {
            (self.told, self.last) = (step, Instant::now());
            self.tell();
        }
    }

    fn tell(&self) {
        let speed = (self.done as f64 / self.begun.elapsed().as_secs_f64().max(0.001)) as u64;
        let far = match self.total {
            Some(_) => format!("{}%", self.told),
            None => size(self.done),
        };
        let (name, words) = self.stage.names();
        let text = format!("{words}{far} ({}/s)", size(speed));
        let mut told = vec![(format!("{name}_progress"), Value::from(text))];
        if self.stage == Stage::Pack {
            let (done, speed) = (self.done.to_string(), speed.to_string());
            told.push(("progress".into(), json!({"processed": done, "speed": speed, "stage": name})));
        }
        self.handle.change(|metadata| metadata.extend(told));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told > 0 {
            let name = format!("{}_progress", self.stage.names().0);
            self.handle.quietly(|metadata| {
                metadata.remove(&name);
                metadata.remove("progress");
            });
        }
    }
}

/// Bytes as LXD writes them.
fn size(bytes: u64) -> String {
    const UNITS: &[&str] = &["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1000.0, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    format!("{value:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_written_as_lxd_does() {
        let sizes: Vec<_> = [999, 1000, 12_465_390, 5_000_000_000].into_iter().map(super::size).collect();
        assert_eq!(sizes, ["999B", "1.00kB", "12.47MB", "5.00GB"]);
    }
}
