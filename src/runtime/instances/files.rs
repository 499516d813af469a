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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockWriteGuard, RwLock};

use super::container::files::{Tree, Visit, visit};
use super::machine::State;
use super::{Instances, Running};
use crate::runtime::events::Lifecycle;
use crate::runtime::spec::files::FilesTask;
use crate::runtime::sys::process;
use crate::runtime::url;
use crate::store::records::Phase;
use crate::{Error, Kind, Result};

/// How often, and how long, a request lets an instance go first that is on its way up.
const ROUNDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
/// How long a helper that was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The turns on stopped instances.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<u64, Arc<Turn>>>);

#[derive(Default)]
struct Turn {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Shared by visitors of the running guest: its tree must be nobody's before it is mounted again.
    running: Arc<RwLock<()>>,
    visitor: Mutex<Visitor>,
}

/// Who has the turn.
#[derive(Default)]
struct Visitor {
    /// Its helper.
    helper: Option<Arc<OwnedFd>>,
    /// Whether it stays for as long as its client likes.
    session: bool,
    /// The helpers of those who visit the running guest.
    others: Vec<Weak<OwnedFd>>,
    /// How many want to end its visit.
    evictors: usize,
}

/// Keeps visitors off a stopped instance while it lives.
pub struct Kept {
    _turn: OwnedMutexGuard<()>,
    _running: OwnedRwLockWriteGuard<()>,
}

impl Turns {
    fn of(&self, id: u64) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for are made anew.
        turns.retain(|_, turn| {
            Arc::strong_count(turn) > 1 || Arc::strong_count(&turn.lock) > 1 || Arc::strong_count(&turn.running) > 1
        });
        turns.entry(id).or_default().clone()
    }

    /// Ends the visit that is under way, and lets no other begin while the answer lives.
    pub async fn evict(&self, id: u64) -> Kept {
        let turn = self.of(id);
        let _evictor = Evictor::new(&turn);
        Kept { _turn: turn.lock.clone().lock_owned().await, _running: turn.running.clone().write_owned().await }
    }
}

impl Turn {
    fn visitor(&self) -> MutexGuard<'_, Visitor> {
        self.visitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A visit has begun; it ends at once when somebody wants that already.
    fn begun(&self, helper: Arc<OwnedFd>, session: bool) {
        let mut visitor = self.visitor();
        visitor.session = session;
        if visitor.evictors > 0 {
            let _ = process::kill(&helper);
        }
        visitor.helper = Some(helper);
    }
}

impl Turn {
    /// The same for one of the running guest.
    fn joined(&self, helper: &Arc<OwnedFd>) {
        let mut visitor = self.visitor();
        if visitor.evictors > 0 {
            let _ = process::kill(helper);
        }
        visitor.others.retain(|other| other.strong_count() > 0);
        visitor.others.push(Arc::downgrade(helper));
    }

    /// Whether a session has the turn, which nobody can wait for.
    fn is_taken_for_long(&self) -> bool {
        self.visitor().session && self.lock.try_lock().is_err()
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
        for other in visitor.others.drain(..).filter_map(|other| other.upgrade()) {
            let _ = process::kill(&other);
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

/// Begins a visit to the tree of a running guest.
async fn visit_running(turn: &Turn, running: Running, path: &str, task: FilesTask) -> Result<Visit> {
    let shared = turn.running.clone().read_owned().await;
    let (visit, helper) = visit(Tree::Running(running), path, task, shared).await?;
    turn.joined(&helper);
    Ok(visit)
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
        let turn = self.turns.of(record.id);
        if let Some(running) = self.actor(record.id).live().running {
            return visit_running(&turn, running, path, task).await;
        }
        let session = matches!(task, FilesTask::Sftp);
        for _ in 0..ROUNDS {
            if turn.is_taken_for_long() {
                return Err(Error::new(Kind::Busy, "The stopped instance is in use by an SFTP session"));
            }
            let guard = turn.lock.clone().lock_owned().await;
            // It may have been started, renamed or deleted meanwhile.
            self.record(project, name)?;
            let live = self.actor(record.id).live();
            match (live.running, live.state) {
                (Some(running), _) => {
                    drop(guard);
                    return visit_running(&turn, running, path, task).await;
                }
                (None, State::Stopped) => {
                    let spec = Box::new(self.root_of(record.id).await?);
                    let (visit, helper) = visit(Tree::Stopped(spec), path, task, guard).await?;
                    turn.begun(helper, session);
                    return Ok(visit);
                }
                // It was faster than the start, which wants the turn for itself.
                (None, _) => drop(guard),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::new(Kind::Busy, "Instance is being started or deleted"))
    }

    /// Ends all visits to the tree of a guest that is down, so that it can be mounted again.
    pub(super) async fn end_visits(&self, id: u64) {
        if tokio::time::timeout(PATIENCE, self.turns.evict(id)).await.is_err() {
            tracing::warn!(id, "A visitor of the instance's files doesn't end");
        }
    }

    /// Tells about a path that a client has read (`instance-file-retrieved`), written or removed.
    pub fn announce_file(&self, project: &str, name: &str, action: &str, path: &str) {
        let source = url::of("instances", name, project);
        let context = Some(Map::from_iter([("path".to_owned(), Value::from(path))]));
        self.events.lifecycle(Lifecycle { project, action, source, context, requestor: None });
    }
}
