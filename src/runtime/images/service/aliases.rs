//! Aliases: names for images.

use super::{Images, kind_name};
use crate::api::config::names;
use crate::api::types::{EventRequestor, ImageAlias, ImageAliasesEntry, ImageAliasesEntryPut};
use crate::runtime::events::Lifecycle;
use crate::runtime::url;
use crate::store::records::AliasRecord;
use crate::store::repo;
use crate::{Error, Result};

impl Images {
    /// The aliases of a project, by name.
    pub fn aliases(&self, project: &str) -> Result<Vec<ImageAliasesEntry>> {
        self.db.view(|v| Ok(repo::images::aliases(v, Some(project))?.into_iter().map(entry).collect()))
    }

    /// One alias.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub fn alias(&self, project: &str, name: &str) -> Result<ImageAliasesEntry> {
        self.db.view(|v| Ok(entry(repo::images::alias(v, project, name)?)))
    }

    /// A new alias.
    ///
    /// # Errors
    /// [`crate::Kind::Exists`] when the name is taken; [`crate::Kind::NotFound`] when there is no such image.
    pub async fn create_alias(&self, project: &str, post: ImageAliasesEntry, by: EventRequestor) -> Result<()> {
        self.insert_alias(project, &post).await?;
        let source = url::of("images/aliases", &post.name, project);
        let context = serde_json::Map::from_iter([("target".to_owned(), post.target.into())]);
        let action = "image-alias-created";
        self.events.lifecycle(Lifecycle { project, action, source, context: Some(context), requestor: Some(&by) });
        Ok(())
    }

    async fn insert_alias(&self, project: &str, post: &ImageAliasesEntry) -> Result<()> {
        if post.name.is_empty() || post.target.is_empty() {
            return Err(Error::invalid("name and target are required"));
        }
        names::alias(&post.name)?;
        self.db
            .transact(|tx| {
                if repo::images::alias(tx, project, &post.name).is_ok() {
                    return Err(Error::new(crate::Kind::Exists, format!("Alias {:?} already exists", post.name)));
                }
                let image = repo::images::by_prefix(tx, project, &post.target)?;
                let alias = AliasRecord {
                    project: project.into(),
                    name: post.name.clone(),
                    target: image.fingerprint,
                    description: post.description.clone(),
                    kind: image.kind,
                };
                repo::images::insert_alias(tx, &alias)
            })
            .await?;
        Ok(())
    }

    /// The alias of an image that was made a moment ago; without an event of its own, as with LXD.
    ///
    /// # Errors
    /// [`crate::Kind::Exists`] with LXD's text when the name is taken.
    pub async fn alias_new_image(&self, project: &str, alias: &ImageAlias, fingerprint: &str) -> Result<()> {
        let (name, description) = (alias.name.clone(), alias.description.clone());
        let post = ImageAliasesEntry { name, description, target: fingerprint.into(), kind: String::new() };
        self.insert_alias(project, &post).await.map_err(|e| match e.kind() {
            crate::Kind::Exists => Error::new(crate::Kind::Exists, format!("Alias already exists: {}", alias.name)),
            _ => e,
        })
    }

    /// Changes an alias; `decide` gets the present one and may run several times.
    pub async fn update_alias(
        &self,
        project: &str,
        name: &str,
        decide: impl Fn(&ImageAliasesEntry) -> Result<ImageAliasesEntryPut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let (target, _) = self
            .db
            .transact(|tx| {
                let mut alias = repo::images::alias(tx, project, name)?;
                let put = decide(&entry(alias.clone()))?;
                if put.target.is_empty() {
                    return Err(Error::invalid("The target field is required"));
                }
                let image = repo::images::by_prefix(tx, project, &put.target)?;
                (alias.target, alias.kind, alias.description) = (image.fingerprint, image.kind, put.description);
                repo::images::update_alias(tx, &alias)?;
                Ok(alias.target)
            })
            .await?;
        let (source, action) = (url::of("images/aliases", name, project), "image-alias-updated");
        let context = Some(serde_json::Map::from_iter([("target".to_owned(), target.into())]));
        self.events.lifecycle(Lifecycle { project, action, source, context, requestor: Some(&by) });
        Ok(())
    }

    /// Renames an alias.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`]; [`crate::Kind::Exists`] when the name is taken.
    pub async fn rename_alias(&self, project: &str, name: &str, new_name: &str, by: EventRequestor) -> Result<()> {
        names::alias(new_name)?;
        self.db.transact(|tx| repo::images::rename_alias(tx, project, name, new_name)).await?;
        let source = url::of("images/aliases", new_name, project);
        self.events.renamed(project, "image-alias-renamed", (source, name), &by);
        Ok(())
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub async fn delete_alias(&self, project: &str, name: &str, by: EventRequestor) -> Result<()> {
        self.db.transact(|tx| repo::images::remove_alias(tx, project, name)).await?;
        self.events.announce(project, "image-alias-deleted", url::of("images/aliases", name, project), &by);
        Ok(())
    }
}

fn entry(a: AliasRecord) -> ImageAliasesEntry {
    ImageAliasesEntry { description: a.description, target: a.target, name: a.name, kind: kind_name(a.kind).into() }
}
