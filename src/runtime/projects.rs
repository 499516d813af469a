//! Projects. There is one, `default`, until projects come; everything carries its project already.

use crate::api::types::Project;
use crate::runtime::url;
use crate::store::records::ProjectRecord;
use crate::store::{Db, View, repo};
use crate::{Kind, Result};

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Projects {
    db: Db,
}

impl Projects {
    /// Over this store.
    pub fn new(db: Db) -> Projects {
        Projects { db }
    }

    /// All projects.
    pub fn list(&self) -> Result<Vec<Project>> {
        self.db.view(|v| repo::projects::list(v)?.into_iter().map(|p| show(v, p)).collect())
    }

    /// One project.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn get(&self, name: &str) -> Result<Project> {
        self.db.view(|v| show(v, repo::projects::by_name(v, name)?))
    }

    /// Whether there is such a project.
    pub fn exists(&self, name: &str) -> Result<bool> {
        match self.db.view(|v| repo::projects::by_name(v, name)) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == Kind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn show(v: &View, p: ProjectRecord) -> Result<Project> {
    let project = Some(p.name.as_str());
    let mut used_by = Vec::new();
    used_by.extend(repo::instances::list(v, project)?.iter().map(|i| url::of("instances", &i.name, &p.name)));
    used_by.extend(repo::profiles::list(v, project)?.iter().map(|f| url::of("profiles", &f.name, &p.name)));
    used_by.extend(repo::images::list(v, project)?.iter().map(|i| url::of("images", &i.fingerprint, &p.name)));
    Ok(Project { config: p.config, description: p.description, name: p.name, used_by })
}
