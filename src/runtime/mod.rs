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
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (slot, theirs) = slot();
    let erased: Box<dyn FnOnce() + Send> = Box::new(move || fill(&theirs, work()));
    tokio::task::spawn_blocking(erased).await.ctx(Kind::Internal, || "Failed running a blocking task")?;
    taken(&slot)
}

/// Runs a change in a task of its own and waits for it: who stops waiting can't cut it in half.
///
/// # Errors
/// The change's own, or [`Kind::Internal`] when it panics.
pub async fn owned<T: Send + 'static>(change: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let (slot, theirs) = slot();
    let erased: BoxFuture<'static, ()> = Box::pin(async move { fill(&theirs, change.await) });
    tokio::spawn(erased).await.ctx(Kind::Internal, || "Failed running the request")?;
    taken(&slot)
}

// The way of a result out of a task whose type doesn't say it: tokio's code for a task exists once for each type, and three
// hundred of them were a tenth of the file.
type Slot<T> = Arc<Mutex<Option<Result<T>>>>;

fn slot<T>() -> (Slot<T>, Slot<T>) {
    let slot = Arc::new(Mutex::new(None));
    (slot.clone(), slot)
}

fn fill<T>(slot: &Slot<T>, result: Result<T>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

fn taken<T>(slot: &Slot<T>) -> Result<T> {
    let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| Err(Error::internal("A task ended without a result")))
}
