//! Tasks of any shape as tasks of one type: the runtime's code for a task, 3 kB, is made anew for each type of future.

use futures_util::FutureExt;
use tokio::task::JoinHandle;

/// `tokio::spawn`, without the future's type.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future.boxed())
}
