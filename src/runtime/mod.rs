//! What happens on the host: services, drivers, helper processes, system calls.

pub mod auth;
pub mod certificates;
pub mod daemon;
pub mod devices;
pub mod events;
pub mod helper;
pub mod host;
pub mod https;
pub mod images;
pub mod instances;
pub mod leases;
pub mod listen;
pub mod network;
pub mod operations;
pub mod pools;
pub mod profiles;
pub mod projects;
pub mod random;
pub mod resident;
pub mod server;
pub mod spec;
pub mod sql;
pub mod storage;
pub mod sys;
pub mod url;
pub mod warnings;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use crate::{Ctx, Error, Kind, Result};

/// Runs work that blocks (files, fsync, walks) on a thread of its own and waits for it.
///
/// # Errors
/// Whatever the work fails with; [`Kind::Internal`] when it panics.
pub fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    let (slot, theirs) = slot();
    filled(run_blocking(Box::new(move || fill(&theirs, work()))), slot)
}

async fn run_blocking(work: Box<dyn FnOnce() + Send>) -> Result<()> {
    tokio::task::spawn_blocking(work).await.ctx(Kind::Internal, || "Failed running a blocking task")
}

/// Runs a change in a task of its own and waits for it: who stops waiting can't cut it in half.
///
/// # Errors
/// The change's own, or [`Kind::Internal`] when it panics.
pub fn owned<T: Send + 'static>(
    change: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    let (slot, theirs) = slot();
    filled(run_owned(Box::pin(async move { fill(&theirs, change.await) })), slot)
}

async fn run_owned(change: BoxFuture<'static, ()>) -> Result<()> {
    tokio::spawn(change).await.ctx(Kind::Internal, || "Failed running the request")
}

// The way of a result out of a task whose type doesn't say it: tokio's code for a task exists once for each type, and three
// hundred of them were a tenth of the file. What waits for it knows only the result's type, for the same reason.
type Slot<T> = Arc<Mutex<Option<Result<T>>>>;

fn slot<T>() -> (Slot<T>, Slot<T>) {
    let slot = Arc::new(Mutex::new(None));
    (slot.clone(), slot)
}

fn fill<T>(slot: &Slot<T>, result: Result<T>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

async fn filled<T>(done: impl Future<Output = Result<()>>, slot: Slot<T>) -> Result<T> {
    done.await?;
    let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| Err(Error::internal("A task ended without a result")))
}
