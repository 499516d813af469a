//! Backups of instances: archives that are kept here until they are fetched, and instances made of archives.
//!
//! The layout is LXD's: `backup/index.yaml`, then `backup/snapshots/NAME/` of each snapshot and `backup/container/`, each with what
//! a volume has: `backup.yaml`, `metadata.yaml`, `templates/`, `rootfs/`.

mod describe;
mod import;
mod index;
mod keeper;
mod recover;
mod shelf;

use std::fs::File;

use serde_json::{Map, Value};

pub use self::import::{Arrival, Wanted};
use self::index::Index;
use self::shelf::Draft;
pub use self::shelf::{Facts, Shelf};
use super::Instances;
use super::container::pack::{self, Archive};
use super::packing::{self, Source};
use crate::api::types::{EventRequestor, InstanceBackup, InstanceBackupsPost, Operation, Timestamp};
use crate::runtime::events::Lifecycle;
use crate::runtime::leases::{Class, Want};
use crate::runtime::operations::{Handle, NewOperation, Progress, Stage};
use crate::runtime::spec::pack::{Compression, Part};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::InstanceRecord;
use crate::store::repo;
use crate::{Error, Kind, Result};

impl Instances {
    /// The backups of an instance, by name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such instance.
    pub async fn backups(&self, project: &str, name: &str) -> Result<Vec<InstanceBackup>> {
        let shelf = self.shelf(self.record(project, name)?.id);
        let all = blocking(move || shelf.list()).await?;
        Ok(all.into_iter().map(|(name, facts)| shown(name, facts)).collect())
    }

    /// The same of the instance of this id; none when it has none. Blocks.
    pub fn backups_of(&self, id: u64) -> Result<Option<Vec<InstanceBackup>>> {
        let all = self.shelf(id).list()?;
        Ok((!all.is_empty()).then(|| all.into_iter().map(|(name, facts)| shown(name, facts)).collect()))
    }

    /// One backup.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn backup(&self, project: &str, name: &str, backup: &str) -> Result<InstanceBackup> {
        let (shelf, wanted) = (self.shelf(self.record(project, name)?.id), backup.to_owned());
        Ok(shown(backup.to_owned(), blocking(move || shelf.get(&wanted)).await?))
    }

    /// Makes a backup, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such instance; [`Kind::Invalid`] for a wrong name or compressor.
    pub async fn create_backup(
        &self,
        project: &str,
        name: &str,
        post: InstanceBackupsPost,
        by: EventRequestor,
    ) -> Result<Operation> {
        let record = self.record(project, name)?;
        if post.name.contains('/') {
            return Err(Error::invalid("Backup names may not contain slashes"));
        }
        let compression = self.compression(&post.compression_algorithm, project, "backups.compression_algorithm")?;
        let shelf = self.shelf(record.id);
        let instance_only = post.instance_only || post.container_only;
        let facts = Facts {
            created_at: Timestamp::from_unix(Timestamp::now().unix()),
            expires_at: post.expires_at,
            instance_only,
            optimized_storage: post.optimized_storage,
        };
        // Its name is taken here, so that two at once don't choose the same.
        let (backup, draft) = blocking(move || {
            Ok(match post.name.as_str() {
                "" => shelf.draft_next(&facts),
                given => (given.to_owned(), shelf.draft(given, &facts)),
            })
        })
        .await?;
        let new = self.operation_on("Backing up instance", project, name, by);
        let new = new.on("backups", vec![format!("/1.0/backups/{backup}")]);
        let this = self.clone();
        Ok(self.operations.start(new, move |handle| async move {
            let draft = draft.map_err(|e| match e.kind() {
                Kind::Exists => {
                    let name = format!("{}/{backup}", record.name);
                    Error::new(Kind::Exists, format!("Create backup: Backup {name:?} already exists"))
                }
                _ => e,
            })?;
            this.pack_backup(&record, draft, (instance_only, compression), &handle).await?;
            this.announce_backup((&record.project, &record.name), "created", &backup, None);
            Ok(())
        }))
    }

    async fn pack_backup(
        &self,
        record: &InstanceRecord,
        (draft, file): (Draft, File),
        (instance_only, compression): (bool, Compression),
        handle: &Handle,
    ) -> Result<()> {
        let shelf = self.shelf(record.id);
        let name = format!("{}/{}", record.project, record.name);
        let _lease = self.leases.take(vec![Want::shared(Class::Instance, name)]).await;
        let (source, moment) = self.still_source_of(record).await?;
        fault("daemon.backup.begun");
        let packed = self.pack_source(record, (source, file), (instance_only, compression), handle).await;
        if let Some(moment) = moment {
            self.end_moment(moment).await;
        }
        packed?;
        fault("daemon.backup.packed");
        blocking(move || shelf.keep(draft)).await?;
        fault("daemon.backup.kept");
        Ok(())
    }

    async fn pack_source(
        &self,
        record: &InstanceRecord,
        (source, file): (Source, File),
        (instance_only, compression): (bool, Compression),
        handle: &Handle,
    ) -> Result<()> {
        let parts = self.parts(record, &source, instance_only).await?;
        let Source { guest, kept, .. } = source;
        let archive = Archive { parts, guest, compression, sync: true };
        let mut progress = Progress::new(handle, Stage::Backup, None);
        pack::pack(archive, file.into(), kept).await?.done(|bytes| progress.reach(bytes)).await
    }

    /// What is in the archive of an instance.
    async fn parts(&self, record: &InstanceRecord, source: &Source, instance_only: bool) -> Result<Vec<Part>> {
        let (mut description, pool) =
            self.db.view(|v| self.describe(v, &repo::instances::by_id(v, record.id)?, !instance_only))?;
        description.with_guest_ids();
        let modified = Timestamp::now().unix();
        let file = |path: String, content: String| Part::File { path, content: content.into_bytes(), modified };
        let own = index::text(&description)?;
        let snapshots = description.snapshots.iter().map(|s| s.name.clone()).collect();
        let index = Index {
            name: record.name.clone(),
            backend: pool.driver.clone(),
            pool: pool.name.clone(),
            snapshots,
            optimized: false,
            optimized_header: false,
            kind: record.kind.as_str().into(),
            config: description,
        };
        let mut parts = vec![file("backup/index.yaml".into(), index::text(&index)?)];
        for snapshot in &index.snapshots {
            let path = format!("backup/snapshots/{snapshot}");
            let source = self.snapshot_source(record, snapshot).await?;
            let place = source.place;
            let beside = path.clone();
            parts.extend(blocking(move || packing::beside(&beside, &place)).await?);
            parts.extend(packing::trees(&format!("{path}/rootfs"), source.root, &source.plain));
        }
        let (place, root) = (source.place.clone(), source.root.clone());
        const CONTAINER: &str = "backup/container";
        parts.extend(blocking(move || packing::beside(CONTAINER, &place)).await?);
        parts.push(file(format!("{CONTAINER}/backup.yaml"), own));
        parts.extend(packing::trees(&format!("{CONTAINER}/rootfs"), root, &source.plain));
        Ok(parts)
    }

    /// Renames a backup, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] for a wrong name.
    pub async fn rename_backup(
        &self,
        (project, name): (&str, &str),
        backup: &str,
        new_name: &str,
        by: EventRequestor,
    ) -> Result<Operation> {
        self.backup(project, name, backup).await?;
        if new_name.contains('/') {
            return Err(Error::invalid("Backup names may not contain slashes"));
        }
        let new = self.operation_on("Renaming instance backup", project, name, by);
        let (this, project, name) = (self.clone(), project.to_owned(), name.to_owned());
        let (old, wanted) = (backup.to_owned(), new_name.to_owned());
        Ok(self.operations.start(new, move |_| async move {
            let _lease = this.leases.take(this.exclusive(&project, &name)).await;
            let shelf = this.shelf(this.record(&project, &name)?.id);
            let (from, to) = (old.clone(), wanted.clone());
            blocking(move || shelf.rename(&from, &to)).await?;
            let context = Map::from_iter([("old_name".to_owned(), Value::from(format!("{name}/{old}")))]);
            this.announce_backup((&project, &name), "renamed", &wanted, Some(context));
            Ok(())
        }))
    }

    /// Removes a backup, in the background.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn delete_backup(
        &self,
        project: &str,
        name: &str,
        backup: &str,
        by: EventRequestor,
    ) -> Result<Operation> {
        self.backup(project, name, backup).await?;
        // As LXD names it.
        let new = NewOperation::task("Removing instance backup", project)
            .on("container", vec![url::of("container", name, project)])
            .by(by);
        let (this, project, name, backup) = (self.clone(), project.to_owned(), name.to_owned(), backup.to_owned());
        Ok(self.operations.start(new, move |_| async move { this.remove_backup(&project, &name, &backup).await }))
    }

    async fn remove_backup(&self, project: &str, name: &str, backup: &str) -> Result<()> {
        let (shelf, wanted) = (self.shelf(self.record(project, name)?.id), backup.to_owned());
        blocking(move || shelf.remove(&wanted)).await?;
        self.announce_backup((project, name), "deleted", backup, None);
        Ok(())
    }

    /// The archive of a backup.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn open_backup(&self, project: &str, name: &str, backup: &str) -> Result<File> {
        let (shelf, wanted) = (self.shelf(self.record(project, name)?.id), backup.to_owned());
        let file = blocking(move || shelf.open(&wanted)).await?;
        self.announce_backup((project, name), "retrieved", backup, None);
        Ok(file)
    }

    /// Removes backups whose time is over.
    pub async fn expire_backups(&self) -> Result<()> {
        let now = Timestamp::now();
        let backups = self.places.backups();
        for (id, backup) in blocking(move || Ok(shelf::expired(&backups, now))).await? {
            let Ok(record) = self.db.view(|v| repo::instances::by_id(v, id)) else { continue };
            if let Err(e) = self.remove_backup(&record.project, &record.name, &backup).await {
                tracing::warn!(instance = %record.name, backup, "Failed removing an expired backup: {}", e.chain());
            }
        }
        Ok(())
    }

    /// Removes what a crash has left of backups. Blocks; for the start.
    pub fn sweep_backups(&self) -> Result<()> {
        let known = self.db.view(|v| repo::instances::list(v, None))?;
        shelf::sweep(&self.places.backups(), |id| known.iter().any(|record| record.id == id))
    }

    pub(super) fn shelf(&self, id: u64) -> Shelf {
        Shelf::new(&self.places.backups(), id)
    }

    fn announce_backup(
        &self,
        (project, name): (&str, &str),
        what: &str,
        backup: &str,
        context: Option<Map<String, Value>>,
    ) {
        let source = url::of(&format!("instances/{}/backups", url::encode(name)), backup, project);
        let action = &format!("instance-backup-{what}");
        self.events.lifecycle(Lifecycle { project, action, source, context, requestor: None });
    }
}

fn shown(name: String, facts: Facts) -> InstanceBackup {
    InstanceBackup {
        name,
        created_at: facts.created_at,
        expires_at: facts.expires_at,
        instance_only: facts.instance_only,
        container_only: facts.instance_only,
        optimized_storage: facts.optimized_storage,
    }
}
