//! `metadata.yaml` and the templates of an instance: what its image brought, read and changed while it runs or not.

use serde_json::{Map, Value};

use super::Instances;
use super::create::{pool_of, volume_of};
use crate::Result;
use crate::api::types::{EventRequestor, ImageMetadata};
use crate::runtime::blocking;
use crate::runtime::events::Lifecycle;
use crate::runtime::images::place::{Place, Text};
use crate::runtime::leases::Want;
use crate::runtime::url;
use crate::store::repo;

impl Instances {
    /// What its `metadata.yaml` says; none when it has none.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] when there is no such instance.
    pub async fn metadata(&self, project: &str, name: &str, by: EventRequestor) -> Result<Option<ImageMetadata>> {
        let found = self.at_place((project, name), self.shared(project, name), |place| place.metadata()).await?;
        let source = url::of(&format!("instances/{}", url::encode(name)), "metadata", project);
        self.events.announce(project, "instance-metadata-retrieved", source, &by);
        Ok(found)
    }

    /// Replaces its `metadata.yaml`; `decide` gets the present one, or why it can't be read.
    ///
    /// # Errors
    /// Those of `decide`.
    pub async fn set_metadata(
        &self,
        (project, name): (&str, &str),
        decide: impl FnOnce(Result<Option<ImageMetadata>>) -> Result<ImageMetadata> + Send + 'static,
        by: EventRequestor,
    ) -> Result<()> {
        self.at_place((project, name), self.exclusive(project, name), |place| {
            place.write_metadata(&decide(place.metadata())?)
        })
        .await?;
        let source = url::of(&format!("instances/{}", url::encode(name)), "metadata", project);
        let action = "instance-metadata-updated";
        self.events.lifecycle(Lifecycle { project, action, source, context: None, requestor: Some(&by) });
        Ok(())
    }

    /// Names of its templates.
    pub async fn templates(&self, project: &str, name: &str) -> Result<Vec<String>> {
        self.at_place((project, name), self.shared(project, name), |place| place.list()).await
    }

    /// The text of one of its templates.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub async fn template(&self, (project, name): (&str, &str), path: &str, by: EventRequestor) -> Result<Text> {
        let wanted = path.to_owned();
        let text =
            self.at_place((project, name), self.shared(project, name), move |place| place.template(&wanted)).await?;
        self.announce_template((project, name), ("retrieved", path), &by);
        Ok(text)
    }

    /// Makes a template, or replaces its text.
    pub async fn write_template(
        &self,
        (project, name): (&str, &str),
        (path, text): (&str, bytes::Bytes),
        by: EventRequestor,
    ) -> Result<()> {
        let wanted = path.to_owned();
        self.at_place((project, name), self.exclusive(project, name), move |place| {
            place.write_template(&wanted, &text)
        })
        .await?;
        self.announce_template((project, name), ("created", path), &by);
        Ok(())
    }

    /// Removes a template.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub async fn remove_template(&self, (project, name): (&str, &str), path: &str, by: EventRequestor) -> Result<()> {
        let wanted = path.to_owned();
        self.at_place((project, name), self.exclusive(project, name), move |place| place.remove_template(&wanted))
            .await?;
        self.announce_template((project, name), ("deleted", path), &by);
        Ok(())
    }

    /// Works in the directory of an instance's volume, with the instance leased: nothing renames or deletes it meanwhile.
    async fn at_place<T: Send + 'static>(
        &self,
        (project, name): (&str, &str),
        lease: Vec<Want>,
        work: impl FnOnce(&Place) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.record(project, name)?;
        let _lease = self.leases.take(lease).await;
        let (record, pool) = self.db.view(|v| {
            let record = repo::instances::by_name(v, project, name)?;
            let pool = pool_of(v, &record)?;
            Ok((record, pool))
        })?;
        let driver = self.pools.driver(&pool)?;
        let volume = volume_of(&record)?;
        blocking(move || {
            driver.check()?;
            work(&Place::open(&driver.paths().volume(&volume))?)
        })
        .await
    }

    fn announce_template(&self, (project, name): (&str, &str), (what, path): (&str, &str), by: &EventRequestor) {
        let source = url::of(&format!("instances/{}/metadata", url::encode(name)), "templates", project);
        let action = &format!("instance-metadata-template-{what}");
        let context = Some(Map::from_iter([("path".to_owned(), Value::from(path))]));
        self.events.lifecycle(Lifecycle { project, action, source, context, requestor: Some(by) });
    }
}
