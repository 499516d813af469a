//! Feeds the daemon's log into the event bus, for `lxc monitor --type=logging`.

use std::fmt::Debug;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Events;

/// A [`tracing`] layer that sends each record of this program as a logging event.
pub struct LogLayer(pub Events);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.logging(|| {
            let mut fields = Fields::default();
            event.record(&mut fields);
            json!({"context": fields.context, "level": level_name(*event.metadata().level()), "message": fields.message})
        });
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    context: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.into(),
            name => drop(self.context.insert(name.into(), value.into())),
        }
    }
}
