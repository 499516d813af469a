//! Files of an instance: reading and changing paths in its tree, running or stopped.
//!
//! A stopped instance is visited by one request at a time, since its root is mounted for it. Whatever needs the root for
//! itself (a start, a rename, a deletion) ends that visit:
//!
//! ```text
//! request ─ turn ─ visit ─ helper gone ─ turn given back
//!                   ▲
//! start ── evict ───┘ kill, then the turn
//! ```

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::OwnedMutexGuard;

use super::Instances;
use super::container::files::{Tree, Visit, visit};
use super::machine::State;
use crate::runtime::events::Lifecycle;
use crate::runtime::spec::files::FilesTask;
use crate::runtime::sys::process;
use crate::runtime::url;
use crate::store::records::Phase;
use crate::{Error, Kind, Result};

/// How often, and how long, a request lets an instance go first that is on its way up.
const ROUNDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// The turns on stopped instances.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<u64, Arc<Turn>>>);

#[derive(Default)]
struct Turn {
    lock: Arc<tokio::sync::Mutex<()>>,
    visitor: Mutex<Visitor>,
}

/// Who has the turn.
#[derive(Default)]
struct Visitor {
    /// Its helper.
    helper: Option<Arc<OwnedFd>>,
    /// How many want to end its visit.
    evictors: usize,
}

/// Keeps visitors off a stopped instance while it lives.
pub struct Kept {
    _turn: OwnedMutexGuard<()>,
}

impl Turns {
    fn of(&self, id: u64) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for are made anew.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1 || Arc::strong_count(&turn.lock) > 1);
        turns.entry(id).or_default().clone()
    }

    /// Ends the visit that is under way, and lets no other begin while the answer lives.
    pub async fn evict(&self, id: u64) -> Kept {
        let turn = self.of(id);
        let _evictor = Evictor::new(&turn);
        Kept { _turn: turn.lock.clone().lock_owned().await }
    }
}

impl Turn {
    fn visitor(&self) -> MutexGuard<'_, Visitor> {
        self.visitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A visit has begun; it ends at once when somebody wants that already.
    fn begun(&self, helper: Arc<OwnedFd>) {
        let mut visitor = self.visitor();
        if visitor.evictors > 0 {
            let _ = process::kill(&helper);
        }
        visitor.helper = Some(helper);
    }
}

/// Somebody who waits for a turn and lets no visit go on until then.
struct Evictor<'a>(&'a Turn);

impl Evictor<'_> {
    fn new(turn: &Turn) -> Evictor<'_> {
        let mut visitor = turn.visitor();
        visitor.evictors += 1;
        if let Some(helper) = &visitor.helper {
            // One that has ended by itself is no error.
            let _ = process::kill(helper);
        }
        drop(visitor);
        Evictor(turn)
    }
}

impl Drop for Evictor<'_> {
    fn drop(&mut self) {
        self.0.visitor().evictors -= 1;
    }
}

impl Instances {
    /// Begins a visit to a path of an instance's tree.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such instance, [`Kind::Busy`] while it is being made or deleted.
    pub async fn visit_files(&self, project: &str, name: &str, path: &str, task: FilesTask) -> Result<Visit> {
        let record = self.record(project, name)?;
        if record.phase != Phase::Created {
            return Err(Error::new(Kind::Busy, "Instance is being made or deleted"));
        }
        if let Some(running) = self.actor(record.id).live().running {
            return Ok(visit(Tree::Running(running), path, task, ()).await?.0);
        }
        let turn = self.turns.of(record.id);
        for _ in 0..ROUNDS {
            let guard = turn.lock.clone().lock_owned().await;
            // It may have been started, renamed or deleted meanwhile.
            self.record(project, name)?;
            let live = self.actor(record.id).live();
            match (live.running, live.state) {
                (Some(running), _) => return Ok(visit(Tree::Running(running), path, task, ()).await?.0),
                (None, State::Stopped) => {
                    let spec = Box::new(self.root_of(record.id).await?);
                    let (visit, helper) = visit(Tree::Stopped(spec), path, task, guard).await?;
                    turn.begun(helper);
                    return Ok(visit);
                }
                // It was faster than the start, which wants the turn for itself.
                (None, _) => drop(guard),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::new(Kind::Busy, "Instance is being started or deleted"))
    }

    /// Tells about a path that a client has read (`instance-file-retrieved`), written or removed.
    pub fn announce_file(&self, project: &str, name: &str, action: &str, path: &str) {
        let source = url::of("instances", name, project);
        let context = Some(Map::from_iter([("path".to_owned(), Value::from(path))]));
        self.events.lifecycle(Lifecycle { project, action, source, context, requestor: None });
    }
}
