//! Background operations: waiting for their end, and watching them on the way.

use super::{Client, Socket, path, with_query};
use crate::api::types::{self, Event, Operation, from_tree};
use crate::error::{Ctx, Error, Kind, Result};

impl Client {
    /// An operation as it stands.
    pub async fn operation(&self, id: &str) -> Result<Operation> {
        self.get(&path(&["operations", id])).await
    }

    /// Waits for the end of an operation, without a limit of time. A failed one is an error with the server's text.
    pub async fn wait(&self, id: &str) -> Result<Operation> {
        let ended = self.wait_any(id).await?;
        check(ended)
    }

    /// Waits for the end of an operation and returns it however it ended.
    pub async fn wait_any(&self, id: &str) -> Result<Operation> {
        self.get(&with_query(&path(&["operations", id, "wait"]), &[("timeout", "-1")])).await
    }

    /// Asks for an operation to be cancelled.
    pub async fn cancel(&self, id: &str) -> Result<()> {
        self.delete(&path(&["operations", id])).await
    }

    /// One of an operation's websockets; a secret opens it once.
    pub async fn operation_socket(&self, id: &str, secret: &str) -> Result<Socket> {
        self.websocket(&with_query(&path(&["operations", id, "websocket"]), &[("secret", secret)])).await
    }

    /// The events of the server; `kinds` is a comma-separated list, empty for all.
    pub async fn events(&self, kinds: &str, all_projects: bool) -> Result<Events> {
        let all = if all_projects { "true" } else { "" };
        let address = with_query("/1.0/events", &[("type", kinds), ("all-projects", all)]);
        Ok(Events { socket: self.websocket(&address).await? })
    }

    /// Waits for the end of an operation and tells `on_change` of each state on the way.
    ///
    /// `events` must have been opened before the operation was begun, so that nothing is missed.
    pub async fn watch(
        &self,
        id: &str,
        mut events: Events,
        on_change: &mut dyn FnMut(&Operation),
    ) -> Result<Operation> {
        let now = self.operation(id).await?;
        on_change(&now);
        if now.status_code.is_final() {
            return check(now);
        }
        let mut end = std::pin::pin!(self.wait_any(id));
        loop {
            tokio::select! {
                ended = &mut end => return check(ended?),
                event = events.next() => match event? {
                    Some(event) => {
                        let operation = from_tree::<Operation>(&event.metadata).ok();
                        operation.filter(|o| o.id == id).iter().for_each(&mut *on_change);
                    }
                    None => return check(end.await?),
                },
            }
        }
    }
}

/// A stream of events.
pub struct Events {
    socket: Socket,
}

impl Events {
    /// The next event; none when the server closed the stream.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let Some(text) = self.socket.text().await? else { return Ok(None) };
        types::from_slice(text.as_bytes()).map(Some).ctx(Kind::Internal, || "Failed reading an event")
    }

    /// The next event as the JSON text it came in.
    pub async fn next_raw(&mut self) -> Result<Option<String>> {
        self.socket.text().await
    }
}

fn check(operation: Operation) -> Result<Operation> {
    use crate::api::types::StatusCode::{Cancelled, Failure};
    match operation.status_code {
        Failure | Cancelled if operation.err.is_empty() => Err(Error::internal(operation.status)),
        Failure => Err(Error::internal(operation.err)),
        Cancelled => Err(Error::new(Kind::Conflict, operation.err)),
        _ => Ok(operation),
    }
}
