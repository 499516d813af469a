//! `/1.0/events`: the event bus as a websocket.

use futures_util::{SinkExt, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::tungstenite::Message;

use crate::api::request::{Request, upgrade};
use crate::api::response::Reply;
use crate::runtime::events::Rendered;
use crate::runtime::operations::Socket;
use crate::{Error, Kind, Result};

const TYPES: [&str; 3] = ["logging", "operation", "lifecycle"];

/// `GET`: sends every event of the wanted types and project until the client goes away.
pub async fn get(mut request: Request) -> Result<Reply> {
    let types = wanted_types(request.query.get("type").unwrap_or(""))?;
    let all = request.query.flag("all-projects");
    if all && request.query.get("project").is_some_and(|p| !p.is_empty()) {
        return Err(Error::invalid("Cannot specify a project when requesting all projects"));
    }
    let project = request.project()?;
    let passes = move |event: &Rendered| {
        types.contains(&event.kind) && (all || event.project.is_empty() || event.project == project)
    };
    // Listening begins before the 101 leaves: the client acts as soon as it sees it.
    let mut events = request.services.events.listen();
    upgrade(&mut request, move |mut socket: Socket| async move {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) if passes(&event) => {
                        if socket.send(Message::text(event.text.clone())).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    // Too slow: events are lost, so the connection ends rather than lie.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => break,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => break,
                    Some(Ok(_)) => {}
                },
            }
        }
        // The peer may be gone already.
        let _ = socket.close(None).await;
    })
}

fn wanted_types(text: &str) -> Result<Vec<&'static str>> {
    if text.is_empty() {
        return Ok(TYPES.to_vec());
    }
    let known = |name: &str| {
        TYPES
            .into_iter()
            .find(|t| *t == name)
            .ok_or_else(|| Error::new(Kind::Internal, format!("{name:?} isn't a supported event type")))
    };
    text.split(',').map(known).collect()
}
