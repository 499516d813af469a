//! What is given back while nobody asks anything.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::runtime::sys::program;

/// How long nobody must have asked. Longer than a helper's ([`program::QUIET`]): the next request takes some milliseconds more.
const QUIET: Duration = Duration::from_secs(20);

/// Knows when somebody asked last.
#[derive(Debug, Default)]
pub struct Rest {
    last: Mutex<Option<Instant>>,
    next: Notify,
}

impl Rest {
    /// Somebody asks.
    pub fn disturb(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.next.notify_one();
    }

    /// Gives back the pages of the program whenever nobody has asked for a while: most of what is mapped of it at the start, or was
    /// for a request, is of no use again soon. Goes on for ever.
    pub(super) async fn run(&self) {
        loop {
            let asked = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let left = asked.map_or(QUIET, |at| QUIET.saturating_sub(at.elapsed()));
            tokio::time::sleep(left).await;
            if *self.last.lock().unwrap_or_else(PoisonError::into_inner) == asked {
                program::forget_pages();
                self.next.notified().await;
            }
        }
    }
}
