//! Devices of running guests beside their network: mounts and device nodes, brought to what configuration and host say now.
//!
//! ```text
//! start, reboot: the plan has them ──▶ noted ─┐
//! change, or something came or went: what is wanted now ─ what is noted ─▶ taken away, added ──▶ noted
//! the next daemon: reads the note ────────────┘
//! ```

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use super::expand::{Expanded, expand};
use super::{Instances, confine};
use crate::api::config::instance::Config;
use crate::api::tree::readable;
use crate::api::types;
use crate::order::{Gather, Order};
use crate::runtime::blocking;
use crate::runtime::devices::{self, Awaited, Fitted};
use crate::runtime::instances::container::Running;
use crate::runtime::spec::Mount;
use crate::runtime::spec::throttle::Throttle;
use crate::runtime::sys::fault;
use crate::runtime::sys::notice::{Names, Uevents};
use crate::store::repo;
use crate::task::spawn;
use crate::{Ctx, Error, Kind, Result};

/// The note in a guest's run directory.
const NOTE: &str = "devices.json";
/// What comes at once is looked at once.
const PAUSE: Duration = Duration::from_millis(20);

/// What guests have.
#[derive(Default)]
pub(super) struct Equipment {
    guests: Mutex<HashMap<u64, Noted>>,
    /// What the plans that were made last have, and the guests' own device rules.
    planned: Mutex<HashMap<u64, (Fitted, Vec<String>)>>,
    /// What they wait for; those that are looked at soon.
    awaited: Mutex<HashMap<u64, Awaited>>,
    due: Mutex<BTreeSet<u64>>,
    changed: Arc<Notify>,
}

readable! {
    /// What one guest has.
    #[derive(Clone, Debug, Default, Serialize)]
    struct Noted {
        /// How often it had rebooted.
        reboots: u32,
        /// As it was started: what it has after a reboot that no daemon answered.
        planned: Fitted,
        /// What it has now.
        now: Fitted,
        /// Its device rules beside those of devices; earlier daemons noted none.
        #[serde(default)]
        own_rules: Option<Vec<String>>,
    }
}

impl Equipment {
    fn guests(&self) -> MutexGuard<'_, HashMap<u64, Noted>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn awaited(&self) -> MutexGuard<'_, HashMap<u64, Awaited>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn planned(&self) -> MutexGuard<'_, HashMap<u64, (Fitted, Vec<String>)>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a guest waits for.
    fn wait_for(&self, id: u64, what: Awaited) {
        let before = match what.is_empty() {
            true => self.awaited().remove(&id),
            false => self.awaited().insert(id, what.clone()),
        };
        if before.unwrap_or_default() != what {
            self.changed.notify_one();
        }
    }
}

/// Mounts in the order in which they are made: one below another one has to come after it.
pub(super) fn mounts(fitted: &Fitted) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = fitted.values().flat_map(|fitting| fitting.mounts.clone()).collect();
    mounts.order_by_key(|m| m.target.components().count());
    mounts
}

/// The device rules of a guest that has these, beside its `own` ([`confine::device_rules`]).
fn rules(own: &[String], fitted: &Fitted) -> Vec<String> {
    let mut rules = own.to_vec();
    if own.is_empty() {
        return rules;
    }
    for rule in fitted.values().flat_map(|fitting| &fitting.rules) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    rules
}

fn throttles(fitted: &Fitted) -> Vec<Throttle> {
    fitted.values().flat_map(|fitting| fitting.throttles.clone()).collect()
}

impl Instances {
    /// What an instance's devices are now, and its device rules with them. Remembered for when a guest runs by a plan that has them.
    pub(super) async fn equip(&self, id: u64, expanded: &Expanded) -> Result<(Fitted, Vec<String>)> {
        let fitted = self.fit(id, expanded).await?;
        let own = confine::device_rules(Config(&expanded.config))?;
        let all = rules(&own, &fitted);
        self.equipment.planned().insert(id, (fitted.clone(), own));
        Ok((fitted, all))
    }

    async fn fit(&self, id: u64, expanded: &Expanded) -> Result<Fitted> {
        let (devices, root) = (expanded.devices.clone(), self.places.root.clone());
        // What was chosen for devices may be newer than what they are to be.
        let config = self.db.view(|v| Ok(repo::instances::by_id(v, id)?.config))?;
        let chips = self.chips(id).await?;
        blocking(move || devices::fit(&devices, &config, &chips, &root)).await
    }

    /// Notes what a guest has that was just started by the last plan, and limits it.
    pub(super) async fn equipped(&self, id: u64, running: &Running) -> Result<()> {
        let (planned, own_rules) = self.equipment.planned().remove(&id).unwrap_or_default();
        let noted = Noted { reboots: running.reboots(), now: planned.clone(), planned, own_rules: Some(own_rules) };
        running.throttle(Vec::new(), throttles(&noted.now)).await?;
        self.note_equipment(id, noted).await?;
        let expanded = self.db.view(|v| expand(v, &repo::instances::by_id(v, id)?))?;
        self.equipment.wait_for(id, Awaited::of(&expanded.devices));
        Ok(())
    }

    /// Brings what a guest has to what it is to have.
    ///
    /// # Errors
    /// What can't be added; then it has what it had before, as far as that is possible.
    pub(super) async fn change_equipment(&self, id: u64, running: &Running, becomes: &Expanded) -> Result<()> {
        let wanted = self.fit(id, becomes).await?;
        let had = self.equipment.guests().get(&id).map(|noted| noted.now.clone()).unwrap_or_default();
        let done = self.exchange(id, running, &wanted).await;
        if done.is_err()
            && let Err(e) = self.exchange(id, running, &had).await
        {
            tracing::warn!(id, "Failed bringing devices back: {}", e.chain());
        }
        if done.is_ok() {
            self.equipment.wait_for(id, Awaited::of(&becomes.devices));
        }
        done
    }

    /// Takes away what isn't wanted and adds what is.
    async fn exchange(&self, id: u64, running: &Running, wanted: &Fitted) -> Result<()> {
        let mut noted = self.equipment.guests().get(&id).cloned().unwrap_or_default();
        let had = noted.now.clone();
        if had == *wanted {
            return Ok(());
        }
        let own = noted.own_rules.as_deref().unwrap_or_default();
        let (rules_before, rules_after) = (rules(own, &had), rules(own, wanted));
        running.throttle(throttles(&had), throttles(wanted)).await?;
        noted.now.retain(|name, fitting| wanted.get(name) == Some(fitting));
        let gone: Fitted = had.into_iter().filter(|(name, _)| !noted.now.contains_key(name)).gather();
        for mount in mounts(&gone).iter().rev() {
            running.detach_mount(&mount.target).await?;
        }
        announce(running, "remove", &gone).await;
        self.note_equipment(id, noted.clone()).await?;
        fault("daemon.devices.detached");
        if rules_before != rules_after {
            running.change_device_rules(rules_before, rules_after).await?;
        }
        let new: Fitted = wanted.clone().into_iter().filter(|(name, _)| !noted.now.contains_key(name)).gather();
        let mut added: Vec<PathBuf> = Vec::new();
        for mount in mounts(&new) {
            if let Err(e) = running.attach_mount(&mount).await {
                for target in added.iter().rev() {
                    let _ = running.detach_mount(target).await;
                }
                let of = |fitting: &devices::Fitting| fitting.mounts.contains(&mount);
                let name = new.iter().find(|(_, fitting)| of(fitting)).map_or("", |(name, _)| name.as_str());
                return Err(Error::new(e.kind(), format!("Failed to start device {name:?}: {e}")));
            }
            added.push(mount.target);
        }
        announce(running, "add", &new).await;
        fault("daemon.devices.attached");
        noted.now.extend(new);
        self.note_equipment(id, noted).await
    }

    /// Takes over what a guest has that an earlier daemon started.
    pub(super) async fn adopt_equipment(&self, id: u64, running: &Running, expanded: &Expanded) -> Result<()> {
        // Their nodes are looked for below.
        if let Err(e) = self.change_tpms(id, running, expanded).await {
            tracing::warn!(id, "Failed bringing TPMs back: {}", e.chain());
        }
        let path = self.run_directory(id).run.join(NOTE);
        let noted = blocking(move || read(&path)).await?;
        let mut noted = match noted {
            Some(noted) => noted,
            // The daemon died before it wrote one: right after the start.
            None => Noted { now: self.fit(id, expanded).await?, ..Noted::default() },
        };
        if noted.own_rules.is_none() {
            noted.own_rules = Some(confine::device_rules(Config(&expanded.config))?);
        }
        if noted.reboots != running.reboots() {
            (noted.reboots, noted.now) = (running.reboots(), noted.planned.clone());
        }
        self.equipment.guests().insert(id, noted.clone());
        self.equipment.wait_for(id, Awaited::of(&expanded.devices));
        let wanted = self.fit(id, expanded).await?;
        let lacking: Fitted =
            wanted.into_iter().filter(|(name, fitting)| noted.now.get(name) != Some(fitting)).gather();
        for mount in mounts(&lacking).iter().rev() {
            // It may have it all the same, when the daemon died between the deed and the note.
            running.detach_mount(&mount.target).await?;
        }
        self.change_equipment(id, running, expanded).await
    }

    /// Forgets what a guest had that is down.
    pub(super) fn forget_equipment(&self, id: u64) {
        self.equipment.guests().remove(&id);
        self.equipment.wait_for(id, Awaited::default());
    }

    async fn note_equipment(&self, id: u64, noted: Noted) -> Result<()> {
        let path = self.run_directory(id).run.join(NOTE);
        let text = serde_json::to_vec(&noted).ctx(Kind::Internal, || "Failed noting the devices of a guest")?;
        self.equipment.guests().insert(id, noted);
        blocking(move || write(&path, &text)).await
    }

    /// Has guests follow what comes and goes on the host, for as long as the daemon lives.
    pub(super) fn follow_host(&self) {
        let this = self.clone();
        spawn(async move {
            loop {
                let all: Vec<(u64, Awaited)> =
                    this.equipment.awaited().iter().map(|(id, a)| (*id, a.clone())).collect();
                let mut awaited = Awaited::default();
                all.iter().for_each(|(_, a)| awaited.extend(a));
                let names =
                    Names::of(awaited.files).map_err(|e| tracing::warn!("Failed watching for devices: {e}")).ok();
                let events = awaited.events.then(Uevents::open).transpose();
                let events = events.map_err(|e| tracing::warn!("Failed hearing of devices: {e}")).ok().flatten();
                // After the watches are set: what came before is seen now.
                all.iter().for_each(|(id, _)| this.reconsider(*id));
                tokio::select! {
                    () = this.equipment.changed.notified() => {}
                    () = change(names) => {}
                    () = event(events) => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// Looks soon whether a guest has what it is to have.
    fn reconsider(&self, id: u64) {
        if !self.equipment.due().insert(id) {
            return;
        }
        let this = self.clone();
        spawn(async move {
            if let Err(e) = this.follow_devices(id).await
                && e.kind() != Kind::NotFound
            {
                tracing::warn!(id, "Failed following the devices of the host: {}", e.chain());
            }
        });
    }

    async fn follow_devices(&self, id: u64) -> Result<()> {
        let record = self.db.view(|v| repo::instances::by_id(v, id));
        let lease = match &record {
            Ok(record) => Some(self.leases.take(self.exclusive(&record.project, &record.name)).await),
            Err(_) => None,
        };
        self.equipment.due().remove(&id);
        let (_lease, record) = (lease, record?);
        let Some(running) = self.actor(id).live().running else { return Ok(()) };
        let expanded = self.db.view(|v| expand(v, &record))?;
        self.change_equipment(id, &running, &expanded).await
    }
}

/// Tells a guest's system what has come or gone. One that isn't told finds out otherwise, so that is no failure.
async fn announce(running: &Running, action: &str, fitted: &Fitted) {
    let devices: Vec<String> = fitted.values().flat_map(|fitting| fitting.announced.clone()).collect();
    if !devices.is_empty()
        && let Err(e) = running.announce(action, devices).await
    {
        tracing::warn!("Failed telling a guest of a device: {}", e.chain());
    }
}

async fn change(names: Option<Names>) {
    match names {
        Some(names) => drop(names.change().await),
        None => std::future::pending().await,
    }
}

async fn event(events: Option<Uevents>) {
    match events {
        Some(events) => drop(events.change().await),
        None => std::future::pending().await,
    }
}

fn read(path: &Path) -> Result<Option<Noted>> {
    match fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        text => Ok(types::from_slice(&text.ctx(Kind::Internal, || format!("Failed reading {path:?}"))?).ok()),
    }
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    written.ctx(Kind::Internal, || format!("Failed writing {path:?}"))
}
