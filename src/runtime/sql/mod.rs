//! `lxd sql`: the store as LXD's tables, to be read by SQL, and repaired in places.
//!
//! ```text
//! one view of the store -> rows (fill) -> tables in memory (database) -> statements -> what they changed (repair) -> store
//! ```
//!
//! The tables live as long as a request; there is one at a time.

mod codes;
mod database;
mod fill;
mod repair;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::api::types::SqlResult;
use crate::runtime::blocking;
use crate::runtime::instances::Instances;
use crate::runtime::operations::Operations;
use crate::store::{Db, repo};
use crate::{Error, Result};

use database::Database;
use fill::Hot;
use repair::{Fix, Thing};

/// Which of the two databases that LXD has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// What a cluster's members have in common.
    Global,
    /// What is this member's own.
    Local,
}

impl Which {
    /// Reads the word of the API.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] with LXD's text.
    pub fn parse(word: &str) -> Result<Which> {
        match word {
            "global" => Ok(Which::Global),
            "local" => Ok(Which::Local),
            _ => Err(Error::invalid("Invalid database")),
        }
    }
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Sql {
    db: Db,
    instances: Instances,
    operations: Operations,
    turn: Arc<Mutex<()>>,
}

impl Sql {
    /// Over these.
    pub fn new(db: Db, instances: Instances, operations: Operations) -> Sql {
        Sql { db, instances, operations, turn: Arc::default() }
    }

    /// A database as SQL; without its rows when `schema`.
    pub async fn dump(&self, which: Which, schema: bool) -> Result<String> {
        let _turn = self.turn.lock().await;
        let this = self.clone();
        blocking(move || this.tables(which)?.dump(schema)).await
    }

    /// Runs statements, and brings what they have changed into the store.
    ///
    /// # Errors
    /// What is wrong with a statement; changes that can't be made in this way, and those of what runs. Nothing is
    /// changed then.
    pub async fn query(&self, which: Which, query: String) -> Result<Vec<SqlResult>> {
        let _turn = self.turn.lock().await;
        let this = self.clone();
        let (results, fixes) = blocking(move || {
            let tables = this.tables(which)?;
            let (results, before) = tables.run(&query)?;
            let fixes = before.map(|before| tables.fixes(&before)).transpose()?;
            Ok((results, fixes.unwrap_or_default()))
        })
        .await?;
        if !fixes.is_empty() {
            self.repair(&fixes).await?;
        }
        Ok(results)
    }

    fn tables(&self, which: Which) -> Result<Database> {
        if which == Which::Local {
            return Database::new(tables::LOCAL, self.db.view(fill::local)?);
        }
        let mut hot = Hot { operations: self.operations.list(None), backups: HashMap::new() };
        let rows = self.db.view(|view| {
            for instance in repo::instances::list(view, None)? {
                if let Some(backups) = self.instances.backups_of(instance.id)? {
                    hot.backups.insert(instance.id, backups);
                }
            }
            fill::global(view, &hot)
        })?;
        Database::new(tables::GLOBAL, rows)
    }

    async fn repair(&self, fixes: &[Fix]) -> Result<()> {
        for fix in fixes {
            if let Fix::Remove(Thing::Instance, id) = fix {
                self.instances.let_go(*id).await?;
            }
        }
        self.db.transact(|tx| fixes.iter().try_for_each(|fix| repair::apply(tx, fix))).await?;
        Ok(())
    }
}
