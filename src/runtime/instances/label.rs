//! The AppArmor label of a guest, by its configuration ([`container::apparmor`]).

use std::collections::BTreeSet;

use super::Instances;
use super::container::apparmor::{Confinement, Variant};
use super::plan::is_privileged;
use crate::api::config::instance::{self, Config};
use crate::api::config::read_raw_lxc;
use crate::api::types::ConfigMap;
use crate::order::Gather;
use crate::runtime::blocking;
use crate::runtime::server::instance_directory;
use crate::runtime::warnings::Warnings;
use crate::store::records::{InstanceRecord, Severity};
use crate::store::repo;
use crate::{Error, Result};

const KEY: &str = "raw.apparmor";
/// What LXD calls the warning.
const WARNING: &str = "AppArmor support has been disabled";

impl Instances {
    /// Loads what confines a guest that is about to start; gives its label. Empty: it isn't confined by AppArmor.
    pub(super) async fn load_label(&self, record: &InstanceRecord, config: &ConfigMap) -> Result<String> {
        let (own, apparmor) = (Own::of(record, config)?, self.apparmor.clone());
        blocking(move || match own.profile.as_deref() {
            Some("unconfined" | "unchanged") => Ok(String::new()),
            Some(named) => match apparmor.missing() {
                Some(reason) => Err(Error::invalid(format!("No AppArmor profile {named:?} for raw.lxc: {reason}"))),
                None => Ok(named.to_owned()),
            },
            None => Ok(apparmor.load(&own.confinement())?.unwrap_or_default()),
        })
        .await
    }

    /// Checks `raw.apparmor` where it has changed.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] with the parser's words.
    pub(super) async fn check_label(&self, id: u64, was: &ConfigMap, becomes: &ConfigMap) -> Result<()> {
        if !instance::changed(was, becomes).contains(&KEY) {
            return Ok(());
        }
        let (own, apparmor) =
            (Own::of(&self.db.view(|v| repo::instances::by_id(v, id))?, becomes)?, self.apparmor.clone());
        blocking(move || apparmor.check(&own.confinement())).await
    }

    /// Puts the profile of a running guest in the place of the one it has, where `raw.apparmor` has changed.
    pub(super) async fn change_label(&self, id: u64, was: &ConfigMap, becomes: &ConfigMap) -> Result<()> {
        if !instance::changed(was, becomes).contains(&KEY) {
            return Ok(());
        }
        let record = self.db.view(|v| repo::instances::by_id(v, id))?;
        // What else decides about the profile is applied at the next start.
        let mut now = was.clone();
        now.remove(KEY);
        now.extend(becomes.get(KEY).map(|lines| (KEY.to_owned(), lines.clone())));
        self.load_label(&record, &now).await.map(drop)
    }

    /// Unloads what a guest had that is down.
    pub(super) async fn unload_label(&self, id: u64) {
        let unloaded = match self.db.view(|v| repo::instances::by_id(v, id)) {
            Ok(record) => {
                let apparmor = self.apparmor.clone();
                blocking(move || apparmor.unload(&instance_directory(&record.project, &record.name))).await
            }
            Err(e) => Err(e),
        };
        if let Err(e) = unloaded {
            tracing::warn!(id, "Failed unloading an AppArmor profile: {}", e.chain());
        }
    }

    /// Unloads what an earlier daemon has left of guests that are down.
    pub(super) async fn sweep_labels(&self) {
        let swept = match self.db.view(|v| repo::instances::list(v, None)) {
            Ok(records) => {
                // One that could not be adopted may still run: a profile that is unloaded sets its processes free.
                let may_run = |r: &&InstanceRecord| self.places.run(r.id).exists();
                let keep: BTreeSet<String> =
                    records.iter().filter(may_run).map(|r| instance_directory(&r.project, &r.name)).gather();
                let apparmor = self.apparmor.clone();
                blocking(move || apparmor.sweep(&keep)).await
            }
            Err(e) => Err(e),
        };
        if let Err(e) = swept {
            tracing::warn!("Failed looking for AppArmor profiles that nothing needs: {}", e.chain());
        }
    }

    /// Warns of a host on which guests aren't confined by AppArmor, as LXD does.
    pub async fn watch_apparmor(&self, warnings: &Warnings) {
        let apparmor = self.apparmor.clone();
        let told = match blocking(move || Ok(apparmor.missing())).await {
            Ok(Some(reason)) => warnings.raise(WARNING, Severity::Low, &reason).await,
            Ok(None) => warnings.resolve(WARNING).await,
            Err(e) => Err(e),
        };
        if let Err(e) = told {
            tracing::warn!("Failed raising a warning: {}", e.chain());
        }
    }
}

/// What the configuration of an instance says of its profile.
struct Own {
    id: u64,
    guest: String,
    variant: Variant,
    lines: String,
    /// `lxc.apparmor.profile` of `raw.lxc`.
    profile: Option<String>,
}

impl Own {
    fn of(record: &InstanceRecord, config: &ConfigMap) -> Result<Own> {
        let values = Config(config);
        let raw = values.get("raw.lxc").map(read_raw_lxc).transpose()?.unwrap_or_default();
        Ok(Own {
            id: record.id,
            guest: instance_directory(&record.project, &record.name),
            variant: Variant { privileged: is_privileged(config), nesting: values.bool("security.nesting") },
            lines: values.get(KEY).unwrap_or_default().to_owned(),
            profile: raw.apparmor,
        })
    }

    fn confinement(&self) -> Confinement<'_> {
        Confinement { id: self.id, guest: &self.guest, variant: self.variant, own: &self.lines }
    }
}
