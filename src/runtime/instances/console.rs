//! The console: attached by websockets, and its log.

use std::os::fd::OwnedFd;

use futures_util::StreamExt;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::Instances;
use super::exec::{next_control, terminal, window};
use super::streams::Stream;
use crate::api::types::{EventRequestor, InstanceConsolePost, Operation};
use crate::runtime::operations::{NewOperation, Sockets};
use crate::runtime::sys::pty;
use crate::{Ctx, Error, Kind, Result};

/// How long a client may take to connect.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(10);

impl Instances {
    /// Attaches to the console of a running instance; the operation ends when the client goes away or the instance
    /// stops.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it isn't running, or for a kind of console that it doesn't have.
    pub fn console(
        &self,
        project: &str,
        name: &str,
        post: InstanceConsolePost,
        by: EventRequestor,
    ) -> Result<Operation> {
        match post.kind.as_str() {
            "" | "console" => {}
            "vga" => return Err(Error::invalid("VGA console is only supported by virtual machines")),
            other => return Err(Error::invalid(format!("Unknown console type {other:?}"))),
        }
        let (_, running) = self.running(project, name)?;
        let (sockets, mut connecting) = Sockets::new(&["0", "control"]);
        let fds = Map::from_iter([("fds".to_owned(), Value::Object(sockets.secrets()))]);
        let new = NewOperation {
            sockets: Some(sockets),
            metadata: Some(fds),
            ..self.operation_on("Showing console", project, name, by.clone())
        };
        self.announce_with((project, name), "instance-console", &by, [("type".into(), Value::from("console"))]);
        let (data, control) = (connecting.remove("0"), connecting.remove("control"));
        let (Some(data), Some(control)) = (data, control) else { return Err(Error::internal("No console sockets")) };
        Ok(self.operations.start(new, move |_| async move {
            let both = async { tokio::try_join!(data, control) };
            let connected = tokio::time::timeout(CONNECT, both).await;
            let late = |_| Error::new(Kind::Unavailable, "Timed out waiting for websockets to connect");
            let (data, control) = connected.map_err(late)?.ctx(Kind::Internal, || "Failed connecting a websocket")?;
            // Whoever attaches last has it, as with LXD.
            let (console, tty) = running.console(true).await?;
            resize(&tty, u16::try_from(post.width).unwrap_or(0), u16::try_from(post.height).unwrap_or(0));
            let (exited_tx, exited) = watch::channel(false);
            let resizes = async move {
                let (_sender, mut receiver) = control.split();
                while let Some(message) = next_control(&mut receiver).await {
                    if message.command == "window-resize" {
                        let (columns, rows) = window(&message);
                        resize(&tty, columns, rows);
                    }
                }
            };
            tokio::select! {
                () = terminal(data, Stream::new(console)?, exited) => {}
                () = resizes => {}
            }
            drop(exited_tx);
            Ok(())
        }))
    }
}

/// Changes the size of the console's terminal; one that is gone has none.
fn resize(tty: &OwnedFd, columns: u16, rows: u16) {
    if let Err(e) = pty::resize(tty, columns, rows) {
        tracing::debug!("Failed resizing a console: {e}");
    }
}
