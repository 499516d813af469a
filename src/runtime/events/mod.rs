//! The event bus: everything that happens is rendered once and broadcast to bounded queues.
//!
//! A listener that falls behind is closed, never waited for. Called by operations and services; the websocket
//! side is `api::handlers::events`.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::api::types::{Event, EventLifecycle, EventRequestor, Operation, Timestamp};

mod log;

pub use log::LogLayer;

/// Events a listener may lag behind before it is closed.
const QUEUE: usize = 4096;

/// One event, rendered.
#[derive(Debug)]
pub struct Rendered {
    /// `operation`, `lifecycle` or `logging`.
    pub kind: &'static str,
    /// The project; empty for the whole server.
    pub project: String,
    /// The JSON text.
    pub text: String,
}

/// The event bus. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<Rendered>>,
}

impl Default for Events {
    fn default() -> Events {
        Events { sender: broadcast::channel(QUEUE).0 }
    }
}

impl Events {
    /// Everything sent from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Rendered>> {
        self.sender.subscribe()
    }

    /// Sends the state of an operation.
    pub fn operation(&self, project: &str, operation: &Operation) {
        self.send("operation", project, || serde_json::to_value(operation).unwrap_or_default());
    }

    /// Sends a change of something's life.
    pub fn lifecycle(&self, change: Lifecycle<'_>) {
        let Lifecycle { project, action, source, context, requestor } = change;
        self.send("lifecycle", project, || {
            let event = EventLifecycle { action: action.into(), source, context, requestor: requestor.cloned() };
            serde_json::to_value(event).unwrap_or_default()
        });
    }

    /// Sends a change of something's life that somebody asked for, without more about it.
    pub fn announce(&self, project: &str, action: &str, source: String, by: &EventRequestor) {
        self.lifecycle(Lifecycle { project, action, source, context: None, requestor: Some(by) });
    }

    /// Sends a change of something's name: its new URL and its old name.
    pub fn renamed(&self, project: &str, action: &str, (source, old_name): (String, &str), by: &EventRequestor) {
        let context = Map::from_iter([("old_name".to_owned(), Value::from(old_name))]);
        self.lifecycle(Lifecycle { project, action, source, context: Some(context), requestor: Some(by) });
    }

    /// Sends a log line.
    pub fn logging(&self, metadata: impl FnOnce() -> Value) {
        self.send("logging", "", metadata);
    }

    fn send(&self, kind: &'static str, project: &str, metadata: impl FnOnce() -> Value) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let event = Event {
            location: "none".into(),
            metadata: metadata(),
            project: project.into(),
            timestamp: Timestamp::now(),
            kind: kind.into(),
        };
        let text = serde_json::to_string(&event).unwrap_or_default();
        // Fails only when the last listener has just gone.
        let _ = self.sender.send(Arc::new(Rendered { kind, project: project.into(), text }));
    }
}

/// What a lifecycle event says.
pub struct Lifecycle<'a> {
    /// The project it concerns; empty for the whole server.
    pub project: &'a str,
    /// Such as `instance-started`.
    pub action: &'a str,
    /// The URL of the thing.
    pub source: String,
    /// More about it.
    pub context: Option<Map<String, Value>>,
    /// Who asked for it.
    pub requestor: Option<&'a EventRequestor>,
}
