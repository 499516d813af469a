//! Processes started in instances, and consoles: an operation with one websocket a stream.

use std::collections::BTreeMap;

use hyper::Method;

use super::{Client, Socket, SocketWriter, path};
use crate::api::types::{ExecControl, InstanceConsolePost, InstanceExecPost, Operation};
use crate::error::{Error, Kind, Result};
use crate::task::spawn;

/// A stream of a started process.
pub type Stream = Socket;

/// A process started in an instance, with its streams connected.
///
/// Dropping `control` makes the server kill the process.
pub struct Exec {
    /// The operation that ends when the process does.
    pub id: String,
    /// Window sizes and signals go here.
    pub control: Control,
    /// Standard input; the terminal in both directions when interactive.
    pub stdin: Stream,
    /// Standard output and error; none when interactive.
    pub output: Option<(Stream, Stream)>,
}

/// An attached console.
pub struct Console {
    /// The operation that ends when the console is detached.
    pub id: String,
    /// Window sizes go here.
    pub control: Control,
    /// The console in both directions.
    pub stream: Stream,
}

/// The control socket of a process or console.
pub struct Control {
    writer: SocketWriter,
}

impl Control {
    /// Tells the size of the caller's terminal, in cells.
    pub async fn resize(&mut self, width: u16, height: u16) -> Result<()> {
        let args = BTreeMap::from([("width".into(), width.to_string()), ("height".into(), height.to_string())]);
        self.send(&ExecControl { command: "window-resize".into(), args, signal: 0 }).await
    }

    /// Sends a signal to the process.
    pub async fn signal(&mut self, signal: i32) -> Result<()> {
        self.send(&ExecControl { command: "signal".into(), args: BTreeMap::new(), signal }).await
    }

    /// Says goodbye.
    pub async fn close(&mut self) {
        self.writer.close().await;
    }

    async fn send(&mut self, message: &ExecControl) -> Result<()> {
        let text = serde_json::to_string(message).map_err(|e| Error::internal(e.to_string()))?;
        self.writer.text(text).await
    }
}

impl Client {
    /// Starts a process in an instance and connects its streams.
    ///
    /// Its exit code is `metadata.return` of the operation ([`exit_code`]).
    pub async fn exec(&self, instance: &str, post: &InstanceExecPost) -> Result<Exec> {
        let operation = self.begin(Method::POST, &path(&["instances", instance, "exec"]), post).await?;
        let control = self.control(&operation).await?;
        let stdin = self.stream_of(&operation, "0").await?;
        let output = match post.interactive {
            true => None,
            false => Some((self.stream_of(&operation, "1").await?, self.stream_of(&operation, "2").await?)),
        };
        Ok(Exec { id: operation.id, control, stdin, output })
    }

    /// Attaches to the console of an instance.
    pub async fn console(&self, instance: &str, post: &InstanceConsolePost) -> Result<Console> {
        let operation = self.begin(Method::POST, &path(&["instances", instance, "console"]), post).await?;
        let control = self.control(&operation).await?;
        let stream = self.stream_of(&operation, "0").await?;
        Ok(Console { id: operation.id, control, stream })
    }

    async fn control(&self, operation: &Operation) -> Result<Control> {
        let (mut reader, writer) = self.stream_of(operation, "control").await?.split();
        // Someone has to read, for pings to be answered and a close to be noticed.
        spawn(async move { while let Ok(Some(_)) = reader.bytes().await {} });
        Ok(Control { writer })
    }

    async fn stream_of(&self, operation: &Operation, fd: &str) -> Result<Socket> {
        let fds = operation.metadata.as_ref().and_then(|m| m.get("fds"));
        let secret = fds.and_then(|fds| fds.get(fd)).and_then(|secret| secret.as_str());
        let secret = secret.ok_or_else(|| Error::internal(format!("The server offers no stream {fd:?}")))?;
        self.operation_socket(&operation.id, secret).await
    }

    /// The exit code of a process that has ended: waits for its operation.
    ///
    /// A process that could not be started has a code and an error (127 and "Command not found").
    pub async fn exit_code(&self, id: &str) -> Result<(i32, Option<Error>)> {
        let ended = self.wait_any(id).await?;
        let code = ended.metadata.as_ref().and_then(|m| m.get("return")).and_then(|code| code.as_i64());
        let error = (!ended.err.is_empty()).then(|| Error::new(Kind::Internal, ended.err.clone()));
        match (code, error) {
            (None, Some(error)) => Err(error),
            (code, error) => Ok((code.and_then(|c| i32::try_from(c).ok()).unwrap_or(0), error)),
        }
    }
}
