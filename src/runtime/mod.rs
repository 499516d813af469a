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
pub mod network;
pub mod operations;
pub mod pools;
pub mod profiles;
pub mod projects;
pub mod random;
pub mod server;
pub mod spec;
pub mod storage;
pub mod sys;
pub mod url;
pub mod warnings;

use crate::{Ctx, Kind, Result};

/// Runs work that blocks (files, fsync, walks) on a thread of its own and waits for it.
///
/// # Errors
/// Whatever the work fails with; [`Kind::Internal`] when it panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.ctx(Kind::Internal, || "Failed running a blocking task")?
}
