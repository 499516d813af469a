//! Warnings: what the daemon has noticed about itself and its host.

use crate::api::types::{Timestamp, Warning};
use crate::runtime::random;
use crate::store::records::{Severity, WarningRecord, WarningStatus};
use crate::store::{Db, repo};
use crate::{Error, Result};

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Warnings {
    db: Db,
}

impl Warnings {
    /// Over this store.
    pub fn new(db: Db) -> Warnings {
        Warnings { db }
    }

    /// All warnings.
    pub fn list(&self) -> Result<Vec<Warning>> {
        self.db.view(|v| Ok(repo::warnings::list(v, None)?.into_iter().map(show).collect()))
    }

    /// One warning.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub fn get(&self, uuid: &str) -> Result<Warning> {
        self.db.view(|v| Ok(show(repo::warnings::by_uuid(v, uuid)?)))
    }

    /// Raises a warning about the whole server, or counts it once more.
    pub async fn raise(&self, kind: &str, severity: Severity, message: &str) -> Result<()> {
        self.raise_about(("", String::new()), kind, severity, message).await
    }

    /// The same about something in a project, by its URL.
    pub async fn raise_about(
        &self,
        (project, entity): (&str, String),
        kind: &str,
        severity: Severity,
        message: &str,
    ) -> Result<()> {
        let warning = WarningRecord {
            uuid: random::uuid(),
            project: project.into(),
            entity,
            kind: kind.into(),
            severity,
            last_message: message.into(),
            ..WarningRecord::default()
        };
        self.db.transact(|tx| repo::warnings::raise(tx, warning.clone(), Timestamp::now())).await?;
        Ok(())
    }

    /// Notes that the cause of a warning about the whole server is gone; one that was never raised is fine.
    pub async fn resolve(&self, kind: &str) -> Result<()> {
        self.resolve_about(("", String::new()), kind).await
    }

    /// The same about something in a project, by its URL.
    pub async fn resolve_about(&self, (project, entity): (&str, String), kind: &str) -> Result<()> {
        let warning = WarningRecord { project: project.into(), entity, kind: kind.into(), ..WarningRecord::default() };
        self.db.transact(|tx| repo::warnings::resolve(tx, &warning, Timestamp::now())).await?;
        Ok(())
    }

    /// Acknowledges a warning or makes it new again; `check` sees the present one first.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a status that people can't set.
    pub async fn set_status(
        &self,
        uuid: &str,
        status: &str,
        check: impl Fn(&Warning) -> Result<()> + Sync,
    ) -> Result<()> {
        let status = WarningStatus::parse(status).filter(|s| *s != WarningStatus::Resolved);
        let status = status.ok_or_else(|| Error::invalid("Status may only be set to \"new\" or \"acknowledged\""))?;
        self.db
            .transact(|tx| {
                check(&show(repo::warnings::by_uuid(tx, uuid)?))?;
                repo::warnings::set_status(tx, uuid, status, Timestamp::now())
            })
            .await?;
        Ok(())
    }

    /// Removes a warning.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`].
    pub async fn delete(&self, uuid: &str) -> Result<()> {
        self.db.transact(|tx| repo::warnings::remove(tx, uuid)).await?;
        Ok(())
    }
}

fn show(w: WarningRecord) -> Warning {
    Warning {
        status: w.status.as_str().into(),
        uuid: w.uuid,
        location: "none".into(),
        project: w.project,
        kind: w.kind,
        count: w.count,
        first_seen_at: w.first_seen_at,
        last_seen_at: w.last_seen_at,
        last_message: w.last_message,
        severity: w.severity.as_str().into(),
        entity_url: w.entity,
    }
}
