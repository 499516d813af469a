//! Commands do one thing after the other: each waits here for what is asynchronous, on the client's one runtime.
//!
//! What is done at the same time, as reading the terminal and writing to it, is one future that is waited for as a
//! whole: nothing below it may wait here, as a runtime can't be run within itself.

use std::pin::pin;
use std::sync::OnceLock;
use std::task::{self, Poll};

use bytes::Bytes;
use hyper::Method;
use tokio::runtime::{Builder, EnterGuard, Runtime};

use super::output::complain;
use crate::api::client::{Client, Reply};
use crate::api::tree::FromTree;
use crate::error::Result;

/// Made once a process and used until its end. It is never taken down: a thread may still wait for standard input, and
/// must not hold up the end.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Lets what belongs to a runtime be made outside of its futures too, as long as the result is kept.
pub fn enter() -> EnterGuard<'static> {
    runtime().enter()
}

fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("Error: Failed starting the client: {error}\n"));
            std::process::exit(1);
        }
    })
}

/// Futures that are waited for.
pub trait Wait: Future + Sized {
    /// Runs it to its end.
    ///
    /// # Panics
    /// Within another future that is waited for.
    fn wait(self) -> Self::Output {
        let mut future = pin!(self);
        let mut output = None;
        loop {
            // Only this is made for each type of future.
            run(&mut |waker| future.as_mut().poll(waker).map(|ended| output = Some(ended)));
            if let Some(output) = output {
                return output;
            }
        }
    }
}

impl<F: Future> Wait for F {}

/// Objects of servers. Nothing but the reading of an answer is made for each type.
pub trait Read {
    /// `GET`s an object.
    fn read<T: FromTree>(&self, path: &str) -> Result<T>;

    /// `GET`s an object and its ETag, as [`Client::get_with_etag`].
    fn read_with_etag<T: FromTree>(&self, path: &str) -> Result<(T, String)>;
}

impl Read for Client {
    fn read<T: FromTree>(&self, path: &str) -> Result<T> {
        asked(self, path)?.object(path)
    }

    fn read_with_etag<T: FromTree>(&self, path: &str) -> Result<(T, String)> {
        let reply = asked(self, path)?;
        Ok((reply.object(path)?, reply.etag))
    }
}

/// The answer to a `GET`.
pub fn asked(client: &Client, path: &str) -> Result<Reply> {
    client.call(Method::GET, path, Bytes::new(), "").wait()
}

fn run(step: &mut dyn FnMut(&mut task::Context<'_>) -> Poll<()>) {
    runtime().block_on(std::future::poll_fn(step));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn futures_are_run_to_their_end() {
        let _entered = enter();
        let slept = tokio::time::sleep(std::time::Duration::from_millis(1));
        tokio::time::timeout(std::time::Duration::from_secs(60), slept).wait().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        crate::task::spawn(async move { sender.send("told") });
        assert_eq!(receiver.wait(), Ok("told"));
    }
}
