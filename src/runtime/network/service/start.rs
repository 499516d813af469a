//! The daemon's start as networks see it: the host is brought to what the records say, whatever a crash, a reboot or
//! somebody else has left there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Before, Networks, facts};
use crate::runtime::blocking;
use crate::runtime::leases::{Class, Want};
use crate::runtime::network::nft::{ForeignDrop, Nft};
use crate::runtime::network::rules;
use crate::runtime::warnings::Warnings;
use crate::store::records::{NetworkRecord, Phase, Severity};
use crate::store::repo;
use crate::{Ctx, Kind, Result};

/// How long until a network that could not be brought up is tried again.
const AGAIN: Duration = Duration::from_secs(60);

impl Networks {
    /// Brings up all networks, and removes what was left half done. One that fails doesn't keep the others from it.
    ///
    /// Called once, before instances are adopted or started.
    pub async fn converge(&self) -> Result<()> {
        let records = self.db.view(|v| repo::networks::list(v, None))?;
        for record in &records {
            let done = match record.phase {
                Phase::Created => self.bring_back(record).await,
                Phase::Creating | Phase::Deleting => self.finish_delete(record).await,
            };
            if let Err(e) = done {
                tracing::warn!(network = %record.name, "Failed bringing up a network: {}", e.chain());
                self.down().insert(record.id, e.to_string());
            }
        }
        let known = records.into_iter().filter(|r| r.phase == Phase::Created).map(|r| r.name).collect();
        self.sweep_folders(known).await
    }

    async fn bring_back(&self, record: &NetworkRecord) -> Result<()> {
        let all = self.db.view(|v| facts(v, record))?;
        self.bring_up(all, Before::default()).await
    }

    /// Removes folders of no network: those of the old name, after a renaming that was cut short.
    async fn sweep_folders(&self, known: BTreeSet<String>) -> Result<()> {
        let root = self.lxd_dir.join("networks");
        blocking(move || {
            for entry in std::fs::read_dir(&root).into_iter().flatten().flatten() {
                let ours = entry.file_name().to_str().is_some_and(|name| known.contains(name));
                if !ours && entry.file_type().is_ok_and(|t| t.is_dir()) {
                    let path = entry.path();
                    std::fs::remove_dir_all(&path).ctx(Kind::Internal, || format!("Failed removing {path:?}"))?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Warns of networks that are down, and tries them again every minute; warns of firewalls that cut bridges off.
    /// Never returns.
    pub async fn watch(&self, warnings: Warnings) {
        let mut told = Vec::new();
        loop {
            self.foreign(&mut told, &warnings).await;
            let down: Vec<(u64, String)> = self.down().iter().map(|(id, why)| (*id, why.clone())).collect();
            for (id, why) in down {
                self.try_again(id, &why, &warnings).await;
            }
            self.watch_dns().await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Warns once of each set of chains that drop what passes the host, when there is a bridge to be cut off.
    async fn foreign(&self, told: &mut Vec<ForeignDrop>, warnings: &Warnings) {
        let bridges = self.db.view(|v| repo::networks::list(v, None)).unwrap_or_default();
        if !bridges.iter().any(|n| n.kind == "bridge") {
            return;
        }
        let found = blocking(|| Nft::open()?.foreign_drops(rules::TABLE)).await.unwrap_or_default();
        if found == *told {
            return;
        }
        told.clone_from(&found);
        for drop in &found {
            let text = format!(
                "Chain {:?} of table {} {:?} drops what passes this host: bridges may be cut off from the outside",
                drop.chain,
                drop.family.name(),
                drop.table
            );
            if let Err(e) = warnings.raise("Firewall drops forwarded packets", Severity::Moderate, &text).await {
                tracing::warn!("Failed raising a warning: {}", e.chain());
            }
        }
    }

    async fn try_again(&self, id: u64, why: &str, warnings: &Warnings) {
        let Ok(record) = self.db.view(|v| repo::networks::by_id(v, id)) else {
            self.down().remove(&id);
            return;
        };
        let text = format!("Network {:?} could not be brought up: {why}", record.name);
        if let Err(e) = warnings.raise("Network unavailable", Severity::High, &text).await {
            tracing::warn!("Failed raising a warning: {}", e.chain());
        }
        let _lease = self.leases.take(vec![Want::exclusive(Class::Network, &record.name)]).await;
        if let Err(e) = self.bring_back(&record).await {
            tracing::warn!(network = %record.name, "Failed bringing up a network: {}", e.chain());
        }
    }
}
