//! Files of an instance: reading and changing paths in its tree, running or stopped.
//!
//! The root of a stopped instance is mounted by the helper of its first visitor, and stays until the last one has left, so that
//! an SFTP session keeps nobody out. Whatever needs the root for itself (a start, a rename, a deletion) ends all visits:
//!
//! ```text
//! request ─ visit, together with others ─ helper gone ─ last one: root unmounted
//!             ▲
//! start ── evict: kill, then alone
//! ```

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::container::files::{Mount, Tree, Visit, visit};
use super::leftovers::check_complete;
use super::machine::State;
use super::{Instances, Running};
use crate::runtime::events::Lifecycle;
use crate::runtime::spec::ContainerSpec;
use crate::runtime::spec::files::FilesTask;
use crate::runtime::sys::process;
use crate::runtime::url;
use crate::{Error, Kind, Result};

/// How often, and how long, a request lets an instance go first that is on its way up.
const ROUNDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
/// How long a helper that was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The visits to instances.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<u64, Arc<Turn>>>);

#[derive(Default)]
struct Turn {
    /// Shared by visitors: the tree must be nobody's before it is mounted again.
    visits: Arc<RwLock<()>>,
    /// Held for as long as the root of the stopped instance is mounted.
    root: Arc<tokio::sync::Mutex<()>>,
    /// That root; locked while it is being mounted.
    mounted: tokio::sync::Mutex<Weak<Stay>>,
    visitors: Mutex<Visitors>,
}

#[derive(Default)]
struct Visitors {
    helpers: Vec<Weak<OwnedFd>>,
    /// How many want to end their visits.
    evictors: usize,
}

/// A mounted root, held by each of its visitors.
struct Stay {
    /// Unset until it is mounted. Gone before the turn is.
    mount: OnceLock<Arc<Mount>>,
    _turn: OwnedMutexGuard<()>,
}

/// Keeps visitors off an instance while it lives.
pub struct Kept {
    _visits: OwnedRwLockWriteGuard<()>,
}

impl Turns {
    fn of(&self, id: u64) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for are made anew.
        turns.retain(|_, turn| {
            Arc::strong_count(turn) > 1 || Arc::strong_count(&turn.visits) > 1 || Arc::strong_count(&turn.root) > 1
        });
        turns.entry(id).or_default().clone()
    }

    /// Ends the visits that are under way, and lets no other begin while the answer lives.
    pub async fn evict(&self, id: u64) -> Kept {
        let turn = self.of(id);
        let _evictor = Evictor::new(&turn);
        Kept { _visits: turn.visits.clone().write_owned().await }
    }
}

impl Turn {
    fn visitors(&self) -> MutexGuard<'_, Visitors> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A visit has begun; it ends at once when somebody wants that already.
    fn joined(&self, helper: &Arc<OwnedFd>) {
        let mut visitors = self.visitors();
        if visitors.evictors > 0 {
            let _ = process::kill(helper);
        }
        visitors.helpers.retain(|other| other.strong_count() > 0);
        visitors.helpers.push(Arc::downgrade(helper));
    }

    /// Begins a visit to the tree of a running guest.
    async fn visit_running(&self, running: Running, shared: Shared, (path, task): Asked<'_>) -> Result<Visit> {
        let (visit, helper) = visit(Tree::Running(running), path, task, shared).await?;
        self.joined(&helper);
        Ok(visit)
    }

    /// Begins a visit to the tree of a stopped one, which is mounted unless it is already.
    async fn visit_stopped(&self, spec: ContainerSpec, shared: Shared, (path, task): Asked<'_>) -> Result<Visit> {
        let mut mounted = self.mounted.lock().await;
        let stay = mounted.upgrade();
        if let Some((stay, mount)) = stay.and_then(|stay| stay.mount.get().cloned().map(|mount| (stay, mount))) {
            drop(mounted);
            let (visit, helper) = visit(Tree::Mounted(mount), path, task, (stay, shared)).await?;
            self.joined(&helper);
            return Ok(visit);
        }
        // The one before may be on its way out.
        let turn = self.root.clone().lock_owned().await;
        let stay = Arc::new(Stay { mount: OnceLock::new(), _turn: turn });
        let spec = Box::new(spec);
        let (visit, helper) = visit(Tree::Stopped(spec.clone()), path, task, (stay.clone(), shared)).await?;
        self.joined(&helper);
        let mount = visit.mounted(spec).await?;
        stay.mount.get_or_init(|| Arc::new(mount));
        *mounted = Arc::downgrade(&stay);
        Ok(visit)
    }
}

/// A visitor's share.
type Shared = OwnedRwLockReadGuard<()>;
/// A path, and what to do with it.
type Asked<'a> = (&'a str, FilesTask);

/// Somebody who waits to be alone and lets no visit go on until then.
struct Evictor<'a>(&'a Turn);

impl Evictor<'_> {
    fn new(turn: &Turn) -> Evictor<'_> {
        let mut visitors = turn.visitors();
        visitors.evictors += 1;
        for helper in visitors.helpers.drain(..).filter_map(|helper| helper.upgrade()) {
            // One that has ended by itself is no error.
            let _ = process::kill(&helper);
        }
        drop(visitors);
        Evictor(turn)
    }
}

impl Drop for Evictor<'_> {
    fn drop(&mut self) {
        self.0.visitors().evictors -= 1;
    }
}

impl Instances {
    /// Begins a visit to a path of an instance's tree.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such instance, [`Kind::Busy`] while it is being made or deleted.
    pub async fn visit_files(&self, project: &str, name: &str, path: &str, task: FilesTask) -> Result<Visit> {
        let record = self.record(project, name)?;
        check_complete(&record)?;
        let turn = self.turns.of(record.id);
        for _ in 0..ROUNDS {
            let shared = turn.visits.clone().read_owned().await;
            // It may have been started, renamed or deleted meanwhile.
            self.record(project, name)?;
            let live = self.actor(record.id).live();
            match (live.running, live.state) {
                (Some(running), _) => return turn.visit_running(running, shared, (path, task)).await,
                (None, State::Stopped) => {
                    let spec = self.root_of(record.id).await?;
                    return turn.visit_stopped(spec, shared, (path, task)).await;
                }
                // It was faster than the start, which wants to be alone.
                (None, _) => drop(shared),
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
