//! Profiles: one commit, then a bounded fan-out to the running instances that use the profile.

use crate::api::config::instance::Target;
use crate::api::config::{Site, device, drop_unset, instance, names};
use crate::api::types::{ConfigMap, Devices, EventRequestor, Profile, ProfilePut, ProfilesPost};
use crate::order::Order;
use crate::runtime::events::Events;
use crate::runtime::instances::Instances;
use crate::runtime::leases::{Class, Leases, Want};
use crate::runtime::network::service::nics;
use crate::runtime::url;
use crate::store::records::ProfileRecord;
use crate::store::repo::User;
use crate::store::{Db, Read, repo};
use crate::{Error, Kind, Result};

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Profiles {
    db: Db,
    events: Events,
    leases: Leases,
    instances: Instances,
}

impl Profiles {
    /// Over these.
    pub fn new(db: Db, events: Events, leases: Leases, instances: Instances) -> Profiles {
        Profiles { db, events, leases, instances }
    }

    /// The profiles of a project, by name.
    pub fn list(&self, project: &str) -> Result<Vec<Profile>> {
        self.db.view(|v| repo::profiles::list(v, Some(project))?.into_iter().map(|p| show(v, p)).collect())
    }

    /// One profile.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn get(&self, project: &str, name: &str) -> Result<Profile> {
        self.db.view(|v| show(v, repo::profiles::by_name(v, project, name)?))
    }

    /// A new profile.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for its name, configuration or devices; [`Kind::Internal`] (as LXD answers 500) when the
    /// name is taken.
    pub async fn create(&self, project: &str, mut post: ProfilesPost, by: EventRequestor) -> Result<()> {
        names::profile(&post.name)?;
        self.db.view(|v| validate(v, &post.config, &post.devices, Site::ProfileCreate))?;
        drop_unset(&mut post.config, &mut post.devices);
        let record = ProfileRecord {
            id: 0,
            project: project.into(),
            name: post.name.clone(),
            description: post.description,
            config: post.config,
            devices: post.devices,
        };
        self.db.transact(|tx| repo::profiles::insert(tx, record.clone())).await.map_err(|e| match e.kind() {
            Kind::Exists => Error::internal(format!("Error inserting {:?} into database: {e}", post.name)),
            _ => e,
        })?;
        self.events.announce(project, "profile-created", url::of("profiles", &post.name, project), &by);
        Ok(())
    }

    /// Changes a profile and then the running instances that use it.
    ///
    /// `decide` gets the present profile and may run several times.
    ///
    /// # Errors
    /// Those of `decide`; [`Kind::Internal`] for wrong values, and when instances could not be changed, naming each.
    pub async fn update(
        &self,
        project: &str,
        name: &str,
        decide: impl Fn(&Profile) -> Result<ProfilePut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let wants = vec![Want::exclusive(Class::Profile, format!("{project}/{name}"))];
        let _lease = self.leases.take(wants).await;
        let ((before, after), _) = self
            .db
            .transact(|tx| {
                let before = repo::profiles::by_name(tx, project, name)?;
                let put = decide(&plain(before.clone()))?;
                validate(tx, &put.config, &put.devices, Site::ProfileUpdate)?;
                let mut after = before.clone();
                (after.config, after.devices, after.description) = (put.config, put.devices, put.description);
                drop_unset(&mut after.config, &mut after.devices);
                self.instances.check_profile_change(&before, &after)?;
                repo::profiles::update(tx, &after)?;
                Ok((before, after))
            })
            .await?;
        self.events.announce(project, "profile-updated", url::of("profiles", name, project), &by);
        self.instances.apply_profile_change(&before, &after).await
    }

    /// Renames a profile.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for the default one; [`Kind::Conflict`] when the name is taken.
    pub async fn rename(&self, project: &str, name: &str, new_name: &str, by: EventRequestor) -> Result<()> {
        names::profile(new_name)?;
        let wants = vec![Want::exclusive(Class::Profile, format!("{project}/{name}"))];
        let _lease = self.leases.take(wants).await;
        let renamed = self.db.transact(|tx| repo::profiles::rename(tx, project, name, new_name)).await;
        // LXD answers 500 when the name is taken.
        renamed.map_err(|e| if e.kind() == Kind::Exists { e.with_kind(Kind::Internal) } else { e })?;
        self.events.renamed(project, "profile-renamed", (url::of("profiles", new_name, project), name), &by);
        Ok(())
    }

    /// Removes a profile.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for the default one; [`Kind::Internal`] (as LXD answers 500) when instances use it.
    pub async fn delete(&self, project: &str, name: &str, by: EventRequestor) -> Result<()> {
        let wants = vec![Want::exclusive(Class::Profile, format!("{project}/{name}"))];
        let _lease = self.leases.take(wants).await;
        self.db.transact(|tx| repo::profiles::remove(tx, project, name)).await.map_err(|e| match e.kind() {
            Kind::Conflict => e.with_kind(Kind::Internal),
            _ => e,
        })?;
        self.events.announce(project, "profile-deleted", url::of("profiles", name, project), &by);
        Ok(())
    }
}

fn validate(r: &impl Read, config: &ConfigMap, devices: &Devices, site: Site) -> Result<()> {
    instance::validate(config, Target::Profile).map_err(|e| site.config(e))?;
    device::validate(devices, Target::Profile).map_err(|e| site.devices(e))?;
    nics::check_places(r, devices).map_err(|e| site.devices(e))
}

/// A profile without its users: reading those in a transaction would make it depend on all of them.
fn plain(p: ProfileRecord) -> Profile {
    Profile { config: p.config, description: p.description, devices: p.devices, name: p.name, used_by: Vec::new() }
}

fn show(r: &impl Read, p: ProfileRecord) -> Result<Profile> {
    let mut used_by = Vec::new();
    for user in repo::profiles::used_by(r, p.id)? {
        if let User::Instance(id) = user {
            let i = repo::instances::by_id(r, id)?;
            used_by.push(url::of("instances", &i.name, &i.project));
        }
    }
    used_by.order();
    Ok(Profile { used_by, ..plain(p) })
}
