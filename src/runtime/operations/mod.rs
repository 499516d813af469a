//! Background operations: owned tasks with progress, cancel and websockets.
//!
//! A handler never changes anything in a connection's future; it hands the work to [`Operations::start`], which
//! runs it in a task of its own, turns a panic into a failure, sends the events and forgets the operation five
//! seconds after its end (as LXD 5.0.2 does).
//!
//! ```text
//! Pending -> Running -> Success | Failure | Cancelled
//! ```

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};

use crate::api::types::{EventRequestor, Operation, StatusCode, Timestamp};
use crate::order::Order;
use crate::runtime::events::Events;
use crate::runtime::random;
use crate::task::spawn;
use crate::{Error, Kind, Result};

mod progress;
mod sockets;
mod tokens;

pub use progress::{Progress, Stage};
pub use sockets::{Socket, Sockets};

/// How long an ended operation can still be asked for.
const KEEP: Duration = Duration::from_secs(5);

/// What an operation is about.
pub struct NewOperation {
    /// What is being done, for people.
    pub description: &'static str,
    /// The project it belongs to.
    pub project: String,
    /// URLs of what it works on, by kind of thing.
    pub resources: Option<BTreeMap<String, Vec<String>>>,
    /// Whether DELETE stops it.
    pub cancellable: bool,
    /// Who asked.
    pub requestor: Option<EventRequestor>,
    /// What it shows from the beginning.
    pub metadata: Option<Map<String, Value>>,
    /// Websockets it waits for; none makes it a plain task.
    pub sockets: Option<Sockets>,
    /// Whether it does nothing and only says a secret, until that is used.
    pub token: bool,
}

impl NewOperation {
    /// A task without resources that can't be cancelled.
    pub fn task(description: &'static str, project: &str) -> NewOperation {
        NewOperation {
            description,
            project: project.into(),
            resources: None,
            cancellable: false,
            requestor: None,
            metadata: None,
            sockets: None,
            token: false,
        }
    }

    /// Adds the URLs of things of one kind.
    pub fn on(mut self, kind: &str, urls: Vec<String>) -> NewOperation {
        self.resources.get_or_insert_default().insert(kind.into(), urls);
        self
    }

    /// Says who asked.
    pub fn by(mut self, requestor: EventRequestor) -> NewOperation {
        self.requestor = Some(requestor);
        self
    }
}

/// All operations that are not forgotten yet. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    events: Events,
    all: Arc<Mutex<HashMap<String, Arc<Entry>>>>,
}

struct Entry {
    project: String,
    state: watch::Sender<Operation>,
    cancel: Cancel,
    cancellable: bool,
    sockets: Option<Sockets>,
}

/// Tells a task that it should stop. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cancel(Arc<(std::sync::atomic::AtomicBool, Notify)>);

impl Cancel {
    /// Asks the task to stop; whether it is the first to ask.
    pub fn cancel(&self) -> bool {
        let first = !self.0.0.swap(true, std::sync::atomic::Ordering::SeqCst);
        self.0.1.notify_waiters();
        first
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// An error when it was asked to stop; for use between steps.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(Kind::Conflict, "Operation was cancelled")) } else { Ok(()) }
    }

    /// Resolves when it is asked to stop.
    pub async fn cancelled(&self) {
        loop {
            let notified = self.0.1.notified();
            if self.is_cancelled() {
                return;
            }
            notified.await;
        }
    }
}

/// What a running operation's task may do with it.
#[derive(Clone)]
pub struct Handle {
    entry: Arc<Entry>,
    events: Events,
}

impl Handle {
    /// The operation's id.
    pub fn id(&self) -> String {
        self.entry.state.borrow().id.clone()
    }

    /// Its cancel token.
    pub fn cancel(&self) -> &Cancel {
        &self.entry.cancel
    }

    /// Sets one member of its metadata and tells listeners.
    pub fn set(&self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        self.change(|metadata| drop(metadata.insert(name.into(), value)));
    }

    /// Changes its metadata and tells listeners.
    fn change(&self, change: impl FnOnce(&mut Map<String, Value>)) {
        self.quietly(change);
        self.events.operation(&self.entry.project, &self.entry.state.borrow());
    }

    fn quietly(&self, change: impl FnOnce(&mut Map<String, Value>)) {
        self.entry.state.send_modify(|op| {
            change(op.metadata.get_or_insert_default());
            op.updated_at = Timestamp::now();
        });
    }

    /// A text of its metadata; empty when it has none of this name.
    pub fn metadata(&self, name: &str) -> String {
        let state = self.entry.state.borrow();
        let value = state.metadata.as_ref().and_then(|m| m.get(name)).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    }
}

impl Operations {
    /// An empty list that reports to this bus.
    pub fn new(events: Events) -> Operations {
        Operations { events, all: Arc::default() }
    }

    /// Starts the work in a task of its own and answers with the running operation.
    pub fn start<W, F>(&self, new: NewOperation, work: W) -> Operation
    where
        W: FnOnce(Handle) -> F,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (entry, running) = self.register(new);
        let handle = Handle { entry: entry.clone(), events: self.events.clone() };
        self.run(entry, Box::pin(work(handle)));
        running
    }

    fn run(&self, entry: Arc<Entry>, work: BoxFuture<'static, Result<()>>) {
        let task = spawn(work);
        let this = self.clone();
        spawn(async move {
            let outcome = task.await.unwrap_or_else(|panic| Err(Error::internal(format!("Operation failed: {panic}"))));
            this.finish(&entry, outcome);
            tokio::time::sleep(KEEP).await;
            this.lock().remove(&entry.state.borrow().id);
        });
    }

    fn register(&self, new: NewOperation) -> (Arc<Entry>, Operation) {
        let now = Timestamp::now();
        let pending = Operation {
            id: random::uuid(),
            class: match new.sockets {
                Some(_) => "websocket",
                None if new.token => tokens::CLASS,
                None => "task",
            }
            .into(),
            description: new.description.into(),
            created_at: now,
            updated_at: now,
            status: StatusCode::Pending.name().into(),
            status_code: StatusCode::Pending,
            resources: new.resources,
            metadata: new.metadata,
            may_cancel: new.cancellable,
            err: String::new(),
            location: "none".into(),
        };
        let entry = Arc::new(Entry {
            project: new.project,
            state: watch::Sender::new(pending),
            cancel: Cancel::default(),
            cancellable: new.cancellable,
            sockets: new.sockets,
        });
        self.lock().insert(entry.state.borrow().id.clone(), entry.clone());
        self.events.operation(&entry.project, &entry.state.borrow());
        self.advance(&entry, StatusCode::Running, String::new());
        let running = entry.state.borrow().clone();
        (entry, running)
    }

    fn finish(&self, entry: &Entry, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.advance(entry, StatusCode::Success, String::new()),
            Err(_) if entry.cancel.is_cancelled() => self.advance(entry, StatusCode::Cancelled, String::new()),
            Err(e) => {
                let id = entry.state.borrow().id.clone();
                tracing::debug!(operation = %id, "Operation failed: {}", e.chain());
                self.advance(entry, StatusCode::Failure, e.to_string());
            }
        }
    }

    fn advance(&self, entry: &Entry, to: StatusCode, err: String) {
        entry.state.send_modify(|op| {
            op.status_code = to;
            op.status = to.name().into();
            op.err = err;
            op.may_cancel = entry.cancellable && !to.is_final();
        });
        self.events.operation(&entry.project, &entry.state.borrow());
    }

    /// The operation with this id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it never was or is forgotten.
    pub fn get(&self, id: &str) -> Result<Operation> {
        Ok(self.entry(id)?.state.borrow().clone())
    }

    /// Operations of one project, or of all; oldest first.
    pub fn list(&self, project: Option<&str>) -> Vec<Operation> {
        let all = self.lock();
        let mine = all.values().filter(|e| project.is_none_or(|p| e.project == p || e.project.is_empty()));
        let mut list: Vec<Operation> = mine.map(|e| e.state.borrow().clone()).collect();
        list.order_by_key(|op| op.created_at);
        list
    }

    /// How many operations still do something.
    pub fn running(&self) -> usize {
        let works = |op: &Operation| !op.status_code.is_final() && op.class != tokens::CLASS;
        self.lock().values().filter(|e| works(&e.state.borrow())).count()
    }

    /// Waits for the end of an operation, at most `limit`; answers with how it stands then.
    pub async fn wait(&self, id: &str, limit: Option<Duration>) -> Result<Operation> {
        let mut state = self.entry(id)?.state.subscribe();
        let ended = async { state.wait_for(|op| op.status_code.is_final()).await.map(|op| op.clone()).ok() };
        let found = match limit {
            None => ended.await,
            Some(limit) => tokio::time::timeout(limit, ended).await.ok().flatten(),
        };
        match found {
            Some(op) => Ok(op),
            None => self.get(id),
        }
    }

    /// Asks an operation to stop.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] when it can't be cancelled.
    pub fn cancel(&self, id: &str) -> Result<()> {
        let entry = self.entry(id)?;
        if !entry.cancellable {
            return Err(Error::invalid("This operation can't be cancelled"));
        }
        if entry.state.borrow().status_code.is_final() {
            return Err(Error::invalid("Only running operations can be cancelled"));
        }
        entry.cancel.cancel();
        Ok(())
    }

    /// The websockets an operation waits for.
    pub fn sockets(&self, id: &str) -> Result<Sockets> {
        let entry = self.entry(id)?;
        entry.sockets.clone().ok_or_else(|| Error::invalid("Only websocket operations can be connected"))
    }

    fn entry(&self, id: &str) -> Result<Arc<Entry>> {
        self.lock().get(id).cloned().ok_or_else(|| Error::not_found("Operation not found"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
