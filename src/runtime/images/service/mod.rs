//! The service behind `/1.0/images`: records in the store, files below `LXD_DIR/images`.
//!
//! Files come first and go last: an image whose record exists has its files; files without a record are removed at
//! start.

use std::path::PathBuf;

use crate::api::types::{EventRequestor, Image, ImageAlias, ImagePut, InstanceSource, Operation};
use crate::runtime::events::Events;
use crate::runtime::leases::{Class, Leases, Want};
use crate::runtime::operations::{NewOperation, Operations};
use crate::runtime::pools::Pools;
use crate::runtime::server::Places;
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{ImageRecord, InstanceKind};
use crate::store::{Db, Read, repo};
use crate::{Ctx, Error, Kind, Result};

mod aliases;
mod export;
mod fetch;
mod files;
mod upload;

pub use export::Export;
pub use files::ImageFiles;
pub use upload::{NewImage, Receiving, Upload};

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Images {
    pub(super) db: Db,
    pub(super) events: Events,
    pub(super) operations: Operations,
    pub(super) leases: Leases,
    pools: Pools,
    pub(super) directory: PathBuf,
}

impl Images {
    /// Over these.
    pub fn new(db: Db, events: Events, operations: Operations, pools: Pools, places: &Places) -> Images {
        Images { db, events, operations, leases: pools.leases(), pools, directory: places.images() }
    }

    /// The images of a project.
    pub fn list(&self, project: &str) -> Result<Vec<Image>> {
        self.db.view(|v| repo::images::list(v, Some(project))?.into_iter().map(|i| show(v, i)).collect())
    }

    /// The image whose fingerprint begins so.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] when it begins more than one.
    pub fn get(&self, project: &str, prefix: &str) -> Result<Image> {
        self.db.view(|v| show(v, repo::images::by_prefix(v, project, prefix)?))
    }

    /// The image that the source of a new instance means.
    pub fn resolve(&self, project: &str, source: &InstanceSource) -> Result<ImageRecord> {
        self.db.view(|v| {
            if !source.alias.is_empty() {
                let alias = repo::images::alias(v, project, &source.alias)?;
                return repo::images::by_fingerprint(v, project, &alias.target);
            }
            if !source.fingerprint.is_empty() {
                return repo::images::by_prefix(v, project, &source.fingerprint);
            }
            if source.properties.is_empty() {
                return Err(Error::invalid("Must specify one of alias, fingerprint or properties for init from image"));
            }
            let matches = |i: &ImageRecord| source.properties.iter().all(|(k, want)| i.properties.get(k) == Some(want));
            let found = repo::images::list(v, Some(project))?.into_iter().filter(matches);
            found.max_by_key(|i| i.created_at).ok_or_else(|| Error::not_found("No matching image could be found"))
        })
    }

    /// The files of an image, to unpack or send them.
    pub fn files(&self, image: &ImageRecord) -> ImageFiles {
        ImageFiles::new(&self.directory, image)
    }

    /// Changes what can be edited; `decide` gets the present image and may run several times.
    pub async fn update(
        &self,
        project: &str,
        prefix: &str,
        decide: impl Fn(&Image) -> Result<ImagePut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let fingerprint = self.change(project, prefix, decide).await?;
        self.events.announce(project, "image-updated", url::of("images", &fingerprint, project), &by);
        Ok(())
    }

    /// The same without telling; answers with the fingerprint.
    async fn change(
        &self,
        project: &str,
        prefix: &str,
        decide: impl Fn(&Image) -> Result<ImagePut> + Sync,
    ) -> Result<String> {
        let (fingerprint, _) = self
            .db
            .transact(|tx| {
                let mut record = repo::images::by_prefix(tx, project, prefix)?;
                let put = decide(&show(tx, record.clone())?)?;
                if put.auto_update && record.source.is_none() {
                    return Err(Error::unsupported("Following the source of an image"));
                }
                record.profiles = match &put.profiles {
                    Some(names) => profile_ids(tx, project, names)?,
                    None => profile_ids(tx, project, &["default".to_owned()])?,
                };
                record.public = put.public;
                record.properties = put.properties;
                record.properties.retain(|_, value| !value.is_empty());
                if !put.expires_at.is_zero() {
                    record.expires_at = put.expires_at;
                }
                repo::images::update(tx, &record)?;
                Ok(record.fingerprint)
            })
            .await?;
        Ok(fingerprint)
    }

    /// Removes an image and its aliases, in the background; instances made of it are not touched.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn delete(&self, project: &str, prefix: &str, by: EventRequestor) -> Result<Operation> {
        let record = self.db.view(|v| repo::images::by_prefix(v, project, prefix))?;
        let (this, project) = (self.clone(), project.to_owned());
        let url = url::of("images", &record.fingerprint, &project);
        let new = NewOperation::task("Deleting image", &project).on("images", vec![url.clone()]).by(by.clone());
        Ok(self.operations.start(new, move |_| async move {
            let _lease = this.leases.take(vec![Want::exclusive(Class::Image, &record.fingerprint)]).await;
            // One transaction takes a bounded number of aliases along.
            while !this.db.transact(|tx| repo::images::remove(tx, &project, &record.fingerprint)).await?.0 {}
            fault("daemon.image_delete.forgotten");
            let elsewhere = this.db.view(|v| repo::images::list(v, None))?;
            if !elsewhere.iter().any(|i| i.fingerprint == record.fingerprint) {
                let (files, pools) = (this.files(&record), this.pools.clone());
                blocking(move || {
                    files.remove()?;
                    fault("daemon.image_delete.removed");
                    pools.sweep_layers()
                })
                .await?;
            }
            this.events.announce(&project, "image-deleted", url, &by);
            Ok(())
        }))
    }

    /// A secret by which a stranger may see an image and fetch its files once; the operation tells it.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn secret(&self, project: &str, prefix: &str, by: EventRequestor) -> Result<Operation> {
        let record = self.db.view(|v| repo::images::by_prefix(v, project, prefix))?;
        let url = url::of("images", &record.fingerprint, project);
        let new = NewOperation::task("Image download token", project).on("images", vec![url.clone()]).by(by.clone());
        let operation = self.operations.token(new);
        self.events.announce(project, "image-secret-created", url, &by);
        Ok(operation)
    }

    /// Whether this secret opens the image; `used` for the last time.
    pub fn is_opened(&self, project: &str, image: &Image, secret: &str, used: bool) -> bool {
        self.operations.opens(secret, "images", &url::of("images", &image.fingerprint, project), used)
    }

    /// Removes files without a record, which an interrupted upload or deletion left. Blocks; for the start.
    pub fn sweep(&self) -> Result<()> {
        let known = self.db.view(|v| repo::images::list(v, None))?;
        let entries = std::fs::read_dir(&self.directory);
        let entries = entries.ctx(Kind::Internal, || format!("Failed listing {:?}", self.directory))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let fingerprint = name.strip_suffix(".rootfs").unwrap_or(&name);
            if !known.iter().any(|i| i.fingerprint == fingerprint) {
                tracing::info!("Removing the leftover image file {name:?}");
                std::fs::remove_file(entry.path()).ctx(Kind::Internal, || format!("Failed removing {name:?}"))?;
            }
        }
        Ok(())
    }
}

/// An image as clients see it.
pub(super) fn show(r: &impl Read, i: ImageRecord) -> Result<Image> {
    let aliases = repo::images::aliases_of(r, &i.project, &i.fingerprint)?;
    let profiles = i.profiles.iter().filter_map(|id| repo::profiles::by_id(r, *id).ok()).map(|p| p.name).collect();
    Ok(Image {
        auto_update: i.auto_update,
        properties: i.properties,
        public: i.public,
        expires_at: i.expires_at,
        profiles,
        aliases: aliases.into_iter().map(|a| ImageAlias { name: a.name, description: a.description }).collect(),
        architecture: i.architecture,
        cached: i.cached,
        filename: i.filename,
        fingerprint: i.fingerprint,
        size: i.size,
        update_source: None,
        kind: kind_name(i.kind).into(),
        created_at: i.created_at,
        last_used_at: i.last_used_at,
        uploaded_at: i.uploaded_at,
    })
}

pub(super) fn kind_name(kind: InstanceKind) -> &'static str {
    kind.as_str()
}

/// The ids of profiles that an image brings, each once.
fn profile_ids(r: &impl Read, project: &str, names: &[String]) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    for name in names {
        let found = repo::profiles::by_name(r, project, name);
        let id = found.map_err(|_| Error::invalid(format!("Profile '{name}' doesn't exist")))?.id;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}
