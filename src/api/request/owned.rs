//! Changes that finish whether or not the client waits for them.

use std::future::Future;

use crate::{Ctx, Kind, Result};

/// Runs a change in a task of its own and waits for it: a client that hangs up can't cut it in half.
///
/// # Errors
/// The change's own, or [`Kind::Internal`] when it panics.
pub async fn owned<T: Send + 'static>(change: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(change).await.ctx(Kind::Internal, || "Failed running the request")?
}
