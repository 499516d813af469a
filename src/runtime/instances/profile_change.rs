//! What a changed profile means for the instances that use it: checked before the commit, applied after it by a
//! bounded fan-out.

use futures_util::StreamExt;

use super::create::stays_in_pool;
use super::expand::{Expanded, expand, over};
use super::{Instances, cloud_init, ids};
use crate::runtime::devices::nic;
use crate::runtime::network::service::nics;
use crate::store::records::{InstanceRecord, ProfileRecord};
use crate::store::repo::{self, User};
use crate::store::{Read, View};
use crate::{Error, Result};

/// Instances that are changed at the same time.
const AT_ONCE: usize = 8;

impl Instances {
    /// Refuses a change that would leave an instance without its root disk, or move it.
    pub fn check_profile_change(&self, before: &ProfileRecord, after: &ProfileRecord) -> Result<()> {
        self.db.view(|v| {
            for record in users(v, before)? {
                let (was, becomes) = (expanded_with(v, &record, before)?, expanded_with(v, &record, after)?);
                let moved = stays_in_pool(v, &record, &becomes);
                if was.root().is_none() {
                    moved?;
                } else if becomes.root().is_none() || moved.is_err() {
                    return Err(Error::internal("At least one instance relies on this profile's root disk device"));
                }
            }
            Ok(())
        })
    }

    /// Brings the running instances that use a profile to its new state.
    ///
    /// # Errors
    /// [`crate::Kind::Internal`] naming every instance that could not be changed; the others are.
    pub async fn apply_profile_change(&self, before: &ProfileRecord, after: &ProfileRecord) -> Result<()> {
        let changes = self.db.view(|v| {
            let users = users(v, after)?.into_iter();
            users
                .map(|record| {
                    let (was, becomes) = (expanded_with(v, &record, before)?, expanded_with(v, &record, after)?);
                    Ok((record, was, becomes))
                })
                .collect::<Result<Vec<_>>>()
        })?;
        let applied = changes.into_iter().map(|(record, was, becomes)| async move {
            let changed = was.devices != becomes.devices;
            let checked = match changed {
                true => self.db.view(|v| nics::check(v, (&record.project, &record.name), &becomes.devices)),
                false => Ok(()),
            };
            let applied = match checked {
                Ok(()) => self.take_over(record.id, &was, &becomes).await,
                Err(e) => Err(e),
            };
            applied.err().map(|e| format!(" - Project: {}, Instance: {}: {e}", record.project, record.name))
        });
        let failed: Vec<Option<String>> = futures_util::stream::iter(applied).buffer_unordered(AT_ONCE).collect().await;
        let failed: Vec<String> = failed.into_iter().flatten().collect();
        self.networks.tell(&after.project, [&before.devices, &after.devices]).await;
        match failed.is_empty() {
            true => Ok(()),
            false => {
                let list = failed.join("\n");
                Err(Error::internal(format!(
                    "The following instances failed to update (profile change still saved):\n{list}"
                )))
            }
        }
    }

    async fn take_over(&self, id: u64, was: &Expanded, becomes: &Expanded) -> Result<()> {
        let same_nics = nic::interfaces(&was.devices).eq(nic::interfaces(&becomes.devices));
        if cloud_init::changed(was, becomes) || !same_nics {
            let noted = self.db.transact(|tx| {
                repo::instances::modify(tx, id, |record| {
                    nic::forget(&mut record.config, &was.devices, &becomes.devices);
                    nic::fill(&mut record.config, &becomes.devices);
                    if cloud_init::changed(was, becomes) {
                        cloud_init::renew(&mut record.config);
                    }
                    Ok(())
                })
            });
            noted.await?;
        }
        if ids::differ(&was.config, &becomes.config) {
            let _alone = self.choosing_ids().await;
            let chosen = self
                .db
                .transact(|tx| repo::instances::modify(tx, id, |record| self.choose_ids(record, &becomes.config)));
            chosen.await?;
        }
        self.apply(id, was, becomes).await
    }
}

fn users(v: &View, profile: &ProfileRecord) -> Result<Vec<InstanceRecord>> {
    let users = repo::profiles::used_by(v, profile.id)?.into_iter();
    let ids = users.filter_map(|user| if let User::Instance(id) = user { Some(id) } else { None });
    ids.map(|id| repo::instances::by_id(v, id)).collect()
}

/// The instance expanded as if `profile` were as given.
fn expanded_with(r: &impl Read, record: &InstanceRecord, profile: &ProfileRecord) -> Result<Expanded> {
    if !record.profiles.contains(&profile.id) {
        return expand(r, record);
    }
    let one = |id: &u64| if *id == profile.id { Ok(profile.clone()) } else { repo::profiles::by_id(r, *id) };
    let profiles = record.profiles.iter().map(one).collect::<Result<Vec<_>>>()?;
    Ok(over(&profiles, &record.config, &record.devices))
}
