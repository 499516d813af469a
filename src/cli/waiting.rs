//! Waiting for what a server does: progress on the way, and `ctrl-c` as a wish to cancel it.

use std::pin::{Pin, pin};

use hyper::Method;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::context::Context;
use super::output::Progress;
use super::wait::Wait;
use crate::api::client::{Client, Started};
use crate::api::types::Operation;
use crate::error::{Error, Kind, Result};

/// Begins an operation and waits for its end. On a terminal its progress is shown after `prefix`.
///
/// `None` means that the server did it at once.
pub fn run(
    cx: &Context,
    client: &Client,
    request: (Method, &str, &impl Serialize),
    prefix: &str,
) -> Result<Option<Operation>> {
    watched(cx, client, pin!(client.start(request.0, request.1, request.2)), prefix).wait()
}

/// As [`run`], with what begins the operation. It is one future from the first question on: events, the end and
/// `ctrl-c` are waited for at the same time.
async fn watched(
    cx: &Context,
    client: &Client,
    begun: Pin<&mut dyn Future<Output = Result<Started>>>,
    prefix: &str,
) -> Result<Option<Operation>> {
    let mut progress = Progress::new(cx.quiet);
    // Opened first: an operation may be over before one can ask for its events.
    let events = match progress.visible() {
        true => Some(client.events("operation", false).await?),
        false => None,
    };
    let operation = match begun.await? {
        Started::Done(_) => return Ok(None),
        Started::Operation(operation) => operation,
    };
    let id = operation.id;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<String>();
    let mut on_change = |now: &Operation| _ = progress_of(now).map(|text| tell.send(text));
    let end = async {
        match events {
            Some(events) => client.watch(&id, events, &mut on_change).await,
            None => client.wait(&id).await,
        }
    };
    let mut end = pin!(end);
    let mut interrupts = signal(SignalKind::interrupt()).ok();
    let mut wishes = 0;
    loop {
        tokio::select! {
            ended = &mut end => return ended.map(Some),
            Some(text) = told.recv() => progress.update(&format!("{prefix}{text}")),
            () = interrupt(&mut interrupts) => {
                let Err(refused) = client.cancel(&id).await else {
                    return Err(Error::new(Kind::Conflict, "Remote operation canceled by user"));
                };
                wishes += 1;
                if wishes == 3 {
                    let text = "User signaled us three times, exiting. The remote operation will keep running";
                    return Err(Error::new(Kind::Conflict, text));
                }
                progress.update(&format!("{} (interrupt two more times to force)", refused.message()));
            }
        }
    }
}

async fn interrupt(signals: &mut Option<tokio::signal::unix::Signal>) {
    match signals {
        Some(signals) => _ = signals.recv().await,
        None => std::future::pending().await,
    }
}

/// The progress of an operation, which the server keeps in its metadata as `…_progress`.
fn progress_of(operation: &Operation) -> Option<String> {
    let metadata = operation.metadata.iter().flatten();
    let found = metadata.filter(|(key, _)| key.ends_with("_progress")).find_map(|(_, value)| value.as_str());
    found.map(String::from)
}
