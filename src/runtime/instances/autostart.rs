//! Starting what is meant to run, when the daemon starts.
//!
//! The highest `boot.autostart.priority` first; those of one priority together, unless one asks for a rest after it:
//!
//! ```text
//! priority 9: a b c   ── all at once ──  priority 5: d(delay 3)  ── 3 s ──  e f
//! ```

use std::time::Duration;

use futures_util::StreamExt;

use super::Instances;
use super::boot::AT_ONCE;
use crate::Result;
use crate::api::config::instance::Config;
use crate::order::Order;
use crate::runtime::url;
use crate::runtime::warnings::Warnings;
use crate::store::records::{InstanceRecord, Severity};

/// How often a start is tried, and what is waited in between, as LXD does it.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// An instance that is to be started.
struct Wish<T> {
    priority: i64,
    name: String,
    /// What is waited after it.
    delay: Duration,
    what: T,
}

impl Instances {
    /// Starts what is meant to run: by `boot.autostart`, or because it ran before the host went down.
    pub async fn autostart(&self, warnings: &Warnings) -> Result<()> {
        let mut wishes = Vec::new();
        for (record, expanded) in self.all_expanded()? {
            let config = Config(&expanded.config);
            let ran = record.config.get("volatile.last_state.power").is_some_and(|p| p == "RUNNING");
            let wants = config.bool_set("boot.autostart").unwrap_or(ran);
            if wants && !self.actor(record.id).live().state.is_up() {
                let delay = config.integer("boot.autostart.delay").and_then(|d| u64::try_from(d).ok()).unwrap_or(0);
                let priority = config.integer("boot.autostart.priority").unwrap_or(0);
                let (name, delay) = (record.name.clone(), Duration::from_secs(delay));
                wishes.push(Wish { priority, name, delay, what: record });
            }
        }
        for (batch, rest) in batches(wishes) {
            let starts = batch.iter().map(|record| self.start_patiently(record, warnings));
            futures_util::stream::iter(starts).for_each_concurrent(AT_ONCE, |one| one).await;
            tokio::time::sleep(rest).await;
        }
        Ok(())
    }

    /// Starts an instance, trying again after a while; what fails to the end becomes a warning.
    async fn start_patiently(&self, record: &InstanceRecord, warnings: &Warnings) {
        let mut tries = 0;
        let failed = loop {
            let Err(e) = self.start(record).await else {
                self.announce(&record.project, &record.name, "instance-started", None);
                return;
            };
            // Somebody else was quicker, or has deleted it.
            let known = self.record(&record.project, &record.name).is_ok_and(|now| now.id == record.id);
            if !known || self.actor(record.id).live().state.is_up() {
                return;
            }
            tries += 1;
            tracing::warn!(instance = %record.name, tries, "Failed starting an instance: {}", e.chain());
            if tries == TRIES {
                break e;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let about = (record.project.as_str(), url::of("instances", &record.name, &record.project));
        let text = failed.to_string();
        if let Err(e) = warnings.raise_about(about, "Failed to autostart instance", Severity::Low, &text).await {
            tracing::warn!("Failed raising a warning: {}", e.chain());
        }
    }
}

/// What is started together, in order, and what is waited after each.
fn batches<T>(mut wishes: Vec<Wish<T>>) -> Vec<(Vec<T>, Duration)> {
    // Highest priority first; names decide between equals.
    wishes.order_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    let mut batches: Vec<(Vec<T>, Duration)> = Vec::new();
    let mut last = None;
    for wish in wishes {
        let joins = last == Some(wish.priority);
        last = Some(wish.priority);
        match batches.last_mut().filter(|(_, rest)| joins && rest.is_zero()) {
            Some((batch, rest)) => {
                batch.push(wish.what);
                *rest = wish.delay;
            }
            None => batches.push((vec![wish.what], wish.delay)),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_priority_start_together_until_one_wants_a_rest() {
        let wish = |priority, name: &str, delay| Wish {
            priority,
            name: name.into(),
            delay: Duration::from_secs(delay),
            what: name.to_owned(),
        };
        let wishes =
            vec![wish(0, "z", 1), wish(9, "b", 0), wish(9, "a", 0), wish(0, "c", 3), wish(0, "d", 0), wish(5, "e", 0)];
        let told: Vec<(String, u64)> =
            batches(wishes).into_iter().map(|(b, rest)| (b.join(" "), rest.as_secs())).collect();
        let wanted = [("a b", 0), ("e", 0), ("c", 3), ("d z", 1)];
        assert_eq!(told, wanted.map(|(names, rest)| (names.to_owned(), rest)));
        assert!(batches::<()>(Vec::new()).is_empty());
    }
}
