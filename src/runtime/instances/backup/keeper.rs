//! Keeps `backup.yaml` beside each volume as its instance is: what `lxd recover` reads when the database is lost.
//!
//! It follows the database from behind: no change waits for a file, and none is forgotten, since at each start all of them are looked
//! at. A file is replaced whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::index;
use crate::runtime::blocking;
use crate::runtime::instances::Instances;
use crate::runtime::instances::create::volume_of;
use crate::store::records::Phase;
use crate::store::repo::User;
use crate::store::{Event, Prefix, Table, repo};
use crate::{Ctx, Kind, Result};

/// The file's name.
pub(super) const NAME: &str = "backup.yaml";
/// What it is called until it is whole.
const DRAFT: &str = ".backup.yaml.new";
/// How long changes are gathered: a start makes several.
const PAUSE: Duration = Duration::from_millis(300);

impl Instances {
    /// Follows the database for as long as it is polled.
    pub async fn keep_descriptions(&self) {
        loop {
            if let Err(e) = self.follow().await {
                if e.kind() == Kind::Unavailable {
                    return;
                }
                // It was too slow, and looks at everything anew.
                tracing::debug!("Failed following the instances: {}", e.chain());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follow(&self) -> Result<()> {
        let (from, all) = self.db.view(|v| Ok((v.rev(), repo::instances::list(v, None)?)))?;
        let mut watch = self.db.watch(Prefix::all(), from.next());
        for record in all {
            self.write_description(record.id).await;
        }
        loop {
            let mut changed = self.touched(&watch.next().await?.events);
            if changed.is_empty() {
                continue;
            }
            tokio::time::sleep(PAUSE).await;
            while let Some(batch) = watch.take()? {
                changed.extend(self.touched(&batch.events));
            }
            for id in changed {
                self.write_description(id).await;
            }
        }
    }

    /// The instances that a change is about.
    fn touched(&self, events: &[Event]) -> BTreeSet<u64> {
        let mut ids = BTreeSet::new();
        for event in events {
            let id = event.key.number();
            match (event.key.table, id) {
                (Table::Instances, Some(id)) if event.value.is_some() => {
                    ids.insert(id);
                }
                // The rows of names begin with the instance, also when a snapshot is deleted.
                (Table::InstanceSnapshotNames, _) => ids.extend(event.key.text().and_then(|id| id.parse::<u64>().ok())),
                (Table::InstanceSnapshots, Some(id)) => {
                    ids.extend(self.db.view(|v| repo::snapshots::by_id(v, id)).map(|snapshot| snapshot.instance));
                }
                (Table::Profiles, Some(id)) => {
                    let users = self.db.view(|v| repo::profiles::used_by(v, id)).unwrap_or_default();
                    ids.extend(users.into_iter().filter_map(|user| match user {
                        User::Instance(id) => Some(id),
                        User::Profile(_) | User::Volume(_) => None,
                    }));
                }
                _ => {}
            }
        }
        ids
    }

    async fn write_description(&self, id: u64) {
        let described = self.db.view(|v| {
            let record = repo::instances::by_id(v, id)?;
            let (description, pool) = self.describe(v, &record, true)?;
            Ok((record, description, pool))
        });
        // It is gone again.
        let Ok((record, mut description, pool)) = described else { return };
        if record.phase != Phase::Created {
            return;
        }
        // Whether it runs is no part of what it is.
        (description.container.status, description.container.status_code) =
            ("Stopped".into(), crate::api::types::StatusCode::Stopped);
        let written = match (self.pools.driver(&pool), volume_of(&record), index::text(&description)) {
            (Ok(driver), Ok(volume), Ok(text)) => {
                let place = driver.paths().volume(&volume);
                blocking(move || replace(&place, &text)).await
            }
            (Err(e), _, _) | (_, Err(e), _) | (_, _, Err(e)) => Err(e),
        };
        if let Err(e) = written {
            tracing::warn!(instance = %record.name, "Failed writing {NAME:?}: {}", e.chain());
        }
    }
}

/// Replaces the file unless it says this already. A volume that was renamed or deleted meanwhile is fine.
fn replace(place: &Path, text: &str) -> Result<()> {
    let (path, draft): (PathBuf, PathBuf) = (place.join(NAME), place.join(DRAFT));
    if fs::read(&path).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(());
    }
    let failed = || format!("Failed writing {path:?}");
    let made =
        File::options().write(true).create(true).truncate(true).mode(0o400).custom_flags(libc::O_NOFOLLOW).open(&draft);
    let mut file = match made {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        made => made.ctx(Kind::Internal, failed)?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).ctx(Kind::Internal, failed)?;
    match fs::rename(&draft, &path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        renamed => renamed.ctx(Kind::Internal, failed),
    }
}
