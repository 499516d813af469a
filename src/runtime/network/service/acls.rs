//! Access lists.

use std::collections::BTreeSet;

use super::{Networks, set};
use crate::api::config::{self, Site};
use crate::api::types::{EventRequestor, NetworkAcl, NetworkAclPut, NetworkAclsPost};
use crate::order::Gather;
use crate::runtime::leases::{Class, Want};
use crate::runtime::network::acl::{self, Direction};
use crate::runtime::network::bridge::Bridge;
use crate::runtime::sys::fault;
use crate::runtime::url;
use crate::store::records::AclRecord;
use crate::store::{Read, repo};
use crate::{Error, Result};

/// A name for the lease that keeps changes of access lists and of networks apart.
fn lease(name: &str) -> Vec<Want> {
    vec![Want::exclusive(Class::Network, format!("acl/{name}"))]
}

fn as_lxd(e: Error) -> Error {
    Site::NetworkPart.config(e)
}

impl Networks {
    /// The access lists of a project, by name.
    pub fn acls(&self, project: &str) -> Result<Vec<NetworkAcl>> {
        let place = self.place(project)?;
        self.db.view(|v| repo::network_acls::list(v, Some(&place))?.into_iter().map(|a| show(v, a)).collect())
    }

    /// One access list.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub fn acl(&self, project: &str, name: &str) -> Result<NetworkAcl> {
        let place = self.place(project)?;
        self.db.view(|v| show(v, repo::network_acls::by_name(v, &place, name)?))
    }

    /// A new access list.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] when the name is taken; as LXD, [`Kind::Internal`] for what is wrong with it.
    pub async fn create_acl(&self, project: &str, post: NetworkAclsPost, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        let name = post.name.clone();
        acl::check_name(&name).map_err(as_lxd)?;
        let put = NetworkAclPut {
            description: post.description,
            egress: post.egress,
            ingress: post.ingress,
            config: post.config,
        };
        let fresh = AclRecord { project: place.clone(), name: name.clone(), ..AclRecord::default() };
        let made = self.db.transact(|tx| {
            if repo::network_acls::by_name(tx, &place, &name).is_ok() {
                return Err(Error::invalid("The network ACL already exists"));
            }
            let record = changed(tx, &fresh, put.clone())?;
            repo::network_acls::insert(tx, record)
        });
        made.await?;
        self.events.announce(project, "network-acl-created", url::of("network-acls", &name, project), &by);
        Ok(())
    }

    /// Changes an access list, and then the networks that use it; `decide` gets the present one.
    pub async fn update_acl(
        &self,
        project: &str,
        name: &str,
        decide: impl Fn(&NetworkAcl) -> Result<NetworkAclPut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let place = self.place(project)?;
        let _lease = self.leases.take(lease(name)).await;
        let ((before, networks), _) = self
            .db
            .transact(|tx| {
                let before = repo::network_acls::by_name(tx, &place, name)?;
                let put = decide(&plain(before.clone()))?;
                let after = changed(tx, &before, put)?;
                let networks = networks_with(tx, &place, name)?;
                if !networks.is_empty() {
                    acl::check_for_bridge(after.ingress.iter().chain(&after.egress)).map_err(as_lxd)?;
                }
                repo::network_acls::update(tx, &after)?;
                Ok((before, networks))
            })
            .await?;
        fault("daemon.network_acl_update.committed");
        if let Err(e) = self.refresh_all(&networks).await {
            let back = self.db.transact(|tx| repo::network_acls::update(tx, &before)).await;
            let restored = self.refresh_all(&networks).await;
            for undo in [back.err(), restored.err()].into_iter().flatten() {
                tracing::warn!(acl = name, "Failed taking back a change of an access list: {}", undo.chain());
            }
            return Err(e);
        }
        self.events.announce(project, "network-acl-updated", url::of("network-acls", name, project), &by);
        Ok(())
    }

    /// Brings up networks again, each under its lease.
    async fn refresh_all(&self, networks: &[(u64, String)]) -> Result<()> {
        for (id, name) in networks {
            let _lease = self.leases.take(vec![Want::exclusive(Class::Network, name)]).await;
            self.refresh(*id).await?;
        }
        Ok(())
    }

    /// Renames an access list that nothing uses.
    ///
    /// # Errors
    /// As LXD, [`crate::Kind::Internal`] for a wrong or taken name, and when it is in use.
    pub async fn rename_acl(&self, project: &str, name: &str, new_name: &str, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        let _lease = self.leases.take(lease(name)).await;
        let renamed = self.db.transact(|tx| {
            let record = repo::network_acls::by_name(tx, &place, name)?;
            if repo::network_acls::by_name(tx, &place, new_name).is_ok() {
                return Err(Error::internal("An ACL by that name exists already"));
            }
            if !used_by(tx, &record)?.is_empty() {
                return Err(Error::internal("Cannot rename an ACL that is in use"));
            }
            acl::check_name(new_name).map_err(as_lxd)?;
            repo::network_acls::rename(tx, record, new_name)
        });
        renamed.await?;
        let source = url::of("network-acls", new_name, project);
        self.events.renamed(project, "network-acl-renamed", (source, name), &by);
        Ok(())
    }

    /// Removes an access list that nothing uses.
    ///
    /// # Errors
    /// As LXD, [`crate::Kind::Internal`] when it is in use.
    pub async fn delete_acl(&self, project: &str, name: &str, by: EventRequestor) -> Result<()> {
        let place = self.place(project)?;
        let _lease = self.leases.take(lease(name)).await;
        let removed = self.db.transact(|tx| {
            let record = repo::network_acls::by_name(tx, &place, name)?;
            if !used_by(tx, &record)?.is_empty() {
                return Err(Error::internal("Cannot delete an ACL that is in use"));
            }
            repo::network_acls::remove(tx, &record)
        });
        removed.await?;
        self.events.announce(project, "network-acl-deleted", url::of("network-acls", name, project), &by);
        Ok(())
    }

    /// What an access list has logged.
    ///
    /// # Errors
    /// Always: as in LXD, bridges log to the kernel's log alone.
    pub fn acl_log(&self, project: &str, name: &str) -> Result<String> {
        self.acl(project, name)?;
        Err(Error::internal("Only OVN log entries may be retrieved at this time"))
    }
}

/// The record with what was put, checked.
fn changed(r: &impl Read, before: &AclRecord, mut put: NetworkAclPut) -> Result<AclRecord> {
    let others = repo::network_acls::list(r, Some(&before.project))?;
    let names: BTreeSet<String> = others.into_iter().map(|a| a.name).gather();
    config::network::check_acl(&put.config).map_err(as_lxd)?;
    acl::normalise(&mut put.ingress);
    acl::normalise(&mut put.egress);
    acl::check(&put.ingress, Direction::Ingress, &names).map_err(as_lxd)?;
    acl::check(&put.egress, Direction::Egress, &names).map_err(as_lxd)?;
    Ok(AclRecord {
        description: put.description,
        config: set(&put.config),
        ingress: put.ingress,
        egress: put.egress,
        ..before.clone()
    })
}

/// The bridges that an access list holds on.
fn networks_with(r: &impl Read, project: &str, name: &str) -> Result<Vec<(u64, String)>> {
    let networks = repo::networks::list(r, Some(project))?.into_iter();
    Ok(networks.filter(|n| Bridge(&n.config).acls().contains(&name)).map(|n| (n.id, n.name)).collect())
}

/// URLs of the networks and lists that name a list.
fn used_by(r: &impl Read, record: &AclRecord) -> Result<Vec<String>> {
    let networks = networks_with(r, &record.project, &record.name)?;
    let mut urls: Vec<String> = networks.iter().map(|(_, name)| url::of("networks", name, &record.project)).collect();
    for other in repo::network_acls::list(r, Some(&record.project))? {
        let named = acl::names(other.ingress.iter().chain(&other.egress)).contains(record.name.as_str());
        if named && other.id != record.id {
            urls.push(url::of("network-acls", &other.name, &record.project));
        }
    }
    Ok(urls)
}

fn show(r: &impl Read, a: AclRecord) -> Result<NetworkAcl> {
    Ok(NetworkAcl { used_by: used_by(r, &a)?, ..plain(a) })
}

fn plain(a: AclRecord) -> NetworkAcl {
    NetworkAcl {
        name: a.name,
        description: a.description,
        egress: a.egress,
        ingress: a.ingress,
        config: a.config,
        used_by: Vec::new(),
    }
}
